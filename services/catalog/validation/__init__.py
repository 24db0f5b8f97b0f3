"""Whether a document is a workflow that can run, and everything that is wrong with it (interface.md 1.5). Pure.

Read in this order: report, draft (what of the document can be read; the bodies of loops are graphs of their own), graph
(algorithms), structure (ids, edges, cycles of every graph), branches (conditions, parallels, merges), loops, kinds (what
each type of node needs), places and texts (expressions and templates), ports (what edges carry), values (defaults,
limits), policies (settings of the run), named (other workflows, stored prompts), schedules, triggers, job_types; prompts
is the check of a stored prompt.
"""

from services.catalog.validation.named import NOTHING_KNOWN, Known, Name, PromptVersions, names_in
from services.catalog.validation.prompts import check_prompt
from services.catalog.validation.report import Finding, Report
from services.catalog.validation.validate import Checked, check, validate
from services.catalog.validation.values import encoded

__all__ = [
    "NOTHING_KNOWN",
    "Checked",
    "Finding",
    "Known",
    "Name",
    "PromptVersions",
    "Report",
    "check",
    "check_prompt",
    "encoded",
    "names_in",
    "validate",
]

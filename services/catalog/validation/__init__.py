"""Whether a document is a workflow that can run, and everything that is wrong with it (interface.md 1.5). Pure.

Read in this order: report, draft (what of the document can be read; the bodies of loops are graphs of their own), graph
(algorithms), structure (ids, edges, cycles of every graph), branches (conditions, parallels, merges), loops, kinds (what
each type of node needs), places and texts (expressions and templates), ports (what edges carry), values (defaults,
limits), policies (settings of the run, other workflows), schedules, triggers, job_types.
"""

from services.catalog.validation.policies import names_in
from services.catalog.validation.report import Finding, Report
from services.catalog.validation.validate import NOTHING_KNOWN, Checked, check, validate

__all__ = ["NOTHING_KNOWN", "Checked", "Finding", "Report", "check", "names_in", "validate"]

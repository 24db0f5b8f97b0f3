"""Whether a document is a workflow that can run, and everything that is wrong with it (interface.md 1.5). Pure.

Read in this order: report, draft (what of the document can be read), graph (algorithms), structure (ids, edges,
cycles), texts (expressions and templates), ports (what edges carry), values (defaults, schema, limits),
schedules, triggers, job_types.
"""

from services.catalog.validation.report import Finding, Report
from services.catalog.validation.validate import Checked, check, validate

__all__ = ["Checked", "Finding", "Report", "check", "validate"]

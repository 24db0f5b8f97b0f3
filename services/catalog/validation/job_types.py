"""Job-type triggers: each type once, and their ids taken by no other trigger."""

from flowforge.job_types import TRIGGER_IDS

from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings

_WORKFLOW_IDS_TAKEN = frozenset({"trigger_blueprints"})
"""Names of other things below /api/workflows/ that are read."""


def check_job_types(draft: Draft, findings: Findings) -> None:
    """What reading alone does not tell: names that stand twice, or for something else."""
    first: dict[str, int] = {}
    for at, config in enumerate(draft.head.trigger_configs):
        name = config.trigger_type
        if first.setdefault(name, at) != at:
            findings.error(
                "DUPLICATE_TRIGGER_CONFIG",
                f"$.trigger_configs[{at}].trigger_type",
                f"the job type {name} stands twice, first at $.trigger_configs[{first[name]}]",
                "remove one of them",
            )
    for placed in draft.triggers:
        if placed.item.id in TRIGGER_IDS:
            kind = TRIGGER_IDS[placed.item.id]
            findings.error(
                "RESERVED_ID",
                f"{placed.at}.id",
                f"'{placed.item.id}' is the id of the job-type trigger {kind}, which every workflow has",
                f"give it another id, such as 'on-{placed.item.id.replace('_', '-')}'; {kind} is set in trigger_configs",
            )
    if draft.head.id in _WORKFLOW_IDS_TAKEN:
        message = f"'{draft.head.id}' is no id for a workflow: /api/workflows/{draft.head.id} is another address"
        findings.error("RESERVED_ID", "$.id", message, "give it another id")

"""Settings of the whole run that contradict one another, and the workflows that a definition names."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from flowforge.definition import ChildNode

from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings

RECOVERY = "$.settings.recovery"


def check_policies(draft: Draft, findings: Findings) -> None:
    """What of the settings has no effect, or says two things at once."""
    settings = draft.head.settings
    _check_recovery(draft, findings)
    if settings.sla_ms is not None and settings.timeout_ms is not None and settings.sla_ms >= settings.timeout_ms:
        _without_effect(
            "$.settings.sla_ms",
            f"a run ends by its timeout ({settings.timeout_ms} ms) before it could miss its sla ({settings.sla_ms} ms)",
            "make sla_ms smaller than timeout_ms",
            findings,
        )
    if settings.queue_timeout_ms is not None and (
        settings.concurrency is None or settings.concurrency.on_conflict != "queue"
    ):
        _without_effect(
            "$.settings.queue_timeout_ms",
            "no run waits for a slot: there is no concurrency with on_conflict: queue",
            "add concurrency, or leave out queue_timeout_ms",
            findings,
        )


def _check_recovery(draft: Draft, findings: Findings) -> None:
    settings, recovery = draft.head.settings, draft.head.settings.recovery
    if recovery.retry_failed_nodes and not recovery.max_retry_attempts:
        _without_effect(
            f"{RECOVERY}.retry_failed_nodes", "max_retry_attempts is 0, so nothing is tried again",
            "write max_retry_attempts: 2, or leave out retry_failed_nodes", findings,
        )  # fmt: skip
    if recovery.max_retry_attempts and not recovery.retry_failed_nodes:
        _without_effect(
            f"{RECOVERY}.max_retry_attempts", "retry_failed_nodes is false, so nothing is tried again",
            "write retry_failed_nodes: true, or leave out max_retry_attempts", findings,
        )  # fmt: skip
    for name in ("continue_on_node_failure", "skip_failed_branches"):
        if getattr(recovery, name) and draft.settings.get("fail_fast") is True:
            findings.warning(
                "CONTRADICTION",
                f"{RECOVERY}.{name}",
                f"fail_fast stops the run at the first failure, and {name} goes on after it; {name} is followed",
                f"leave out fail_fast, or {name}",
            )
    if recovery.fallback_to_partial_execution and settings.is_fail_fast:
        _without_effect(
            f"{RECOVERY}.fallback_to_partial_execution",
            "the first failure stops the run (fail_fast), so it does not end partial",
            "write settings.fail_fast: false beside it",
            findings,
        )


def _without_effect(path: str, message: str, mend: str, findings: Findings) -> None:
    findings.warning("WITHOUT_EFFECT", path, message, mend)


# --- other workflows --------------------------------------------------------------------------------------------------


def named_workflows(draft: Draft) -> Iterator[tuple[str, str, list[str]]]:
    """Id, place and node of each workflow that is started as a child or on failure."""
    for placed in draft.nodes():
        if isinstance(placed.item, ChildNode):
            yield placed.item.workflow_id, placed.path("workflow_id"), [placed.item.id]
    if draft.head.settings.on_failure is not None:
        yield draft.head.settings.on_failure.workflow_id, "$.settings.on_failure.workflow_id", []


def check_other_workflows(draft: Draft, existing: Mapping[str, bool], findings: Findings) -> None:
    """That they exist, as far as `existing` says, and are not this one."""
    for name, path, nodes in named_workflows(draft):
        if name == draft.head.id:
            what = "its runs start runs of itself" if nodes else "a failure of its failure handler starts it again"
            findings.warning(
                "STARTS_ITSELF", path, f"'{name}' is this workflow: {what}, until the chain is cut (DEPTH_EXCEEDED)",
                "make sure that there is a way out, such as a condition before it" if nodes else "name another workflow",
                nodes,
            )  # fmt: skip
        elif existing.get(name) is False:
            message = f"there is no workflow '{name}' yet; until there is, starting it fails"
            findings.warning("UNKNOWN_WORKFLOW", path, message, "save that workflow, or correct the name", nodes)


def names_in(document: object, count_max: int) -> list[str]:
    """The workflows that a document may name, found without reading it as a definition; at most `count_max`."""
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    found: dict[str, None] = {}
    stack: list[Any] = [fields.get("nodes"), fields.get("settings")]
    while stack and len(found) < count_max:
        value = stack.pop()
        if isinstance(value, dict):
            part = cast("dict[str, Any]", value)
            if isinstance(name := part.get("workflow_id"), str):
                found[name] = None
            stack += [part[key] for key in ("config", "body", "nodes", "on_failure") if key in part]
        elif isinstance(value, list):
            stack += cast("list[Any]", value)
    return list(found)

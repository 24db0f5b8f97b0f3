"""Settings of the whole run that contradict one another."""

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

"""Triggers: settings that contradict one another, or that could never be met."""

from collections import Counter

from flowforge.definition import DependencyConfig, DependencyTrigger, EventConfig, EventTrigger

from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings


def check_triggers(draft: Draft, findings: Findings) -> None:
    """Every trigger by itself."""
    for placed in draft.triggers:
        match placed.item:
            case EventTrigger() as trigger:
                _check_event(trigger.config, f"{placed.at}.config", findings)
            case DependencyTrigger() as trigger:
                _check_dependency(trigger.config, f"{placed.at}.config", findings)
            case _:
                pass


def _check_event(config: EventConfig, at: str, findings: Findings) -> None:
    if config.absent_for_ms is not None and config.batch is not None:
        findings.error(
            "INVALID_TRIGGER",
            f"{at}.batch",
            "a trigger that fires when nothing comes cannot gather what comes",
            "give the batch to another trigger of the same event, or leave absent_for_ms out",
        )


def _check_dependency(config: DependencyConfig, at: str, findings: Findings) -> None:
    named = Counter(upstream.workflow_id for upstream in config.upstreams)
    for name, count in named.items():
        if count > 1 and config.logic == "all":
            findings.error(
                "INVALID_TRIGGER",
                f"{at}.upstreams",
                f"the upstream '{name}' is named {count} times: with logic all each counts once",
                "name each upstream once; on_completion stands for every ending",
            )
    if config.logic == "any" and config.correlate_by is not None:
        findings.warning(
            "NO_EFFECT",
            f"{at}.correlate_by",
            "with logic any no upstreams are joined, so nothing is correlated",
            "set logic to all, or leave correlate_by out",
        )

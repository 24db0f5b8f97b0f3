"""Changes of triggers in several workflows at once: all are carried out, or none. Pure."""

from collections.abc import Mapping
from typing import Any

from flowforge.commands import ChangeTriggers, TriggerChange
from flowforge.refusals import Refusal, invalid

from services.catalog.decide import NOTHING_BESIDE, Beside, Decided, changeable, patch_trigger, save
from services.catalog.state import State

Numbered = tuple[int, TriggerChange]


def change_together(
    states: Mapping[str, State], command: ChangeTriggers, beside: Beside = NOTHING_BESIDE
) -> dict[str, Decided] | Refusal:
    """What each workflow's stream gets, one version at most; or every item that stands in the way, with its path."""
    by_workflow: dict[str, list[Numbered]] = {}
    for number, item in enumerate(command.items):
        by_workflow.setdefault(item.workflow_id, []).append((number, item))
    decided: dict[str, Decided] = {}
    errors: list[dict[str, Any]] = []
    for workflow_id, items in by_workflow.items():
        one = _change(states[workflow_id], workflow_id, items, beside)
        if isinstance(one, Decided):
            decided[workflow_id] = one
        else:
            errors += one
    if errors:
        return invalid(
            "Nothing changed", f"{errors[0]['message']} (at {errors[0]['path']}); nothing is changed", errors
        )
    return decided


def _change(state: State, workflow_id: str, items: list[Numbered], beside: Beside) -> Decided | list[dict[str, Any]]:
    document = changeable(state, workflow_id)
    if isinstance(document, Refusal):
        return [_error(number, document) for number, _ in items]
    errors: list[dict[str, Any]] = []
    changed: dict[int, int] = {}
    for number, item in items:
        at = patch_trigger(document, workflow_id, item.trigger_id, item.patch)
        if isinstance(at, Refusal):
            errors.append(_error(number, at))
        else:
            changed[at] = number
    if errors:
        return errors
    decided = save(state, workflow_id, document, beside)
    return decided if isinstance(decided, Decided) else _placed(decided, changed, items[0][0])


def _error(number: int, refusal: Refusal) -> dict[str, Any]:
    return {"path": f"$.items[{number}]", "message": refusal.detail, "code": refusal.code}


def _placed(refusal: Refusal, changed: Mapping[int, int], first: int) -> list[dict[str, Any]]:
    """The findings of the changed definition, each at the item that brought it about."""
    if not refusal.errors:
        return [_error(first, refusal)]
    return [{**error, "path": _path_in_items(str(error.get("path", "$")), changed, first)} for error in refusal.errors]


def _path_in_items(path: str, changed: Mapping[int, int], first: int) -> str:
    for at, number in changed.items():
        place = f"$.triggers[{at}]"
        if path.startswith(place):
            return f"$.items[{number}].patch{path.removeprefix(place)}"
    return f"$.items[{first}]"

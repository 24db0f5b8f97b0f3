"""Labels of runs, by which lists find them in their order."""

import msgspec

from services.projections.labelled import label_text
from services.projections.state import Changes, Json

NONE = Json("{}")
_decode = msgspec.json.Decoder(dict[str, str]).decode
_Labels = dict[tuple[str, int], str]


def relabelled(changes: Changes, workflow_id: str, created_position: int, before: Json, after: Json) -> None:
    """The run of this workflow that was created there had labels, and now has others."""
    if before == after:
        return
    had, has = _texts(before), _texts(after)
    for text in had - has:
        _move(changes.labels, changes.labels_gone, (text, created_position), workflow_id)
    for text in has - had:
        _move(changes.labels_gone, changes.labels, (text, created_position), workflow_id)


def _texts(labels: Json) -> set[str]:
    return set() if labels == NONE else {label_text(name, value) for name, value in _decode(labels).items()}


def _move(others: _Labels, wanted: _Labels, label: tuple[str, int], workflow_id: str) -> None:
    """What came and went before it was written is not written at all."""
    if label in others:
        del others[label]
    else:
        wanted[label] = workflow_id

"""Finding runs by their labels, newest first, however long ago they were: through `run_labels`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.projections.conditions import Conditions

_LABELLED = "labelled_position"
LABEL_TEXT_CHARS_MAX = 400
"""An entry of an index has room for so many; what is cut is looked at in the run itself."""


def label_text(name: str, value: str) -> str:
    """A label as `run_labels` has it."""
    return f"{name}={value}"[:LABEL_TEXT_CHARS_MAX]


def newest_runs(
    columns: str,
    conditions: Conditions,
    labels: Mapping[str, str],
    *,
    workflow_id: str | None,
    limit: int,
    last: Sequence[Any] | None,
    by_time: bool,
) -> str:
    """The statement for a page of runs under these conditions that have all these labels, as `Conditions.newest_first` orders
    them; those with labels always by position."""
    if not labels:
        clauses = conditions.newest_first("created_at", "created_position", limit, last, by_time=by_time)
        return f"select {columns} from projections.runs{clauses}"  # noqa: S608  constants, and numbers of parameters
    with_labels(conditions, labels)
    found = _found_by(conditions, labels, workflow_id, None if last is None else last[0])
    clauses = conditions.newest_first("created_at", _LABELLED, limit, last, by_time=False)
    return f"select {columns} from {found}{clauses}"  # noqa: S608


def with_labels(conditions: Conditions, labels: Mapping[str, str]) -> Conditions:
    """Ask for runs that have all these labels."""
    return conditions.add("labels @> {}::jsonb", msgspec.json.encode(labels).decode()) if labels else conditions


def _found_by(
    conditions: Conditions, labels: Mapping[str, str], workflow_id: str | None, before_position: int | None
) -> str:
    """The runs that have the first of these labels, in their order. They are looked up one by one (`offset 0`), until the page
    is full: other ways lead past all that are newer."""
    name, value = next(iter(labels.items()))
    of_label = (
        Conditions.within(conditions).add("label = {}", label_text(name, value)).add("workflow_id = {}", workflow_id)
    )
    of_label.add("created_position < {}", before_position)
    return f"""
        (
            select created_position as {_LABELLED} from projections.run_labels{of_label.where()} order by created_position desc
        ) found cross join lateral (
            select * from projections.runs where created_position = {_LABELLED} offset 0
        ) runs"""  # noqa: S608

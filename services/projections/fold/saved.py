"""Rows of what people save under an id: replaced whole with each save, kept when it is deleted."""

from collections.abc import MutableMapping
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from infra.eventlog import StoredEvent
from services.projections.fold.values import clean
from services.projections.state import CHANGED, CLEAN


class _Row(Protocol):
    id: str
    status: str
    created_at: datetime
    created_by: str | None
    created_position: int
    updated_at: datetime
    position: int
    change: int


RowT = TypeVar("RowT", bound=_Row)


class Creation(NamedTuple):
    """When something was created, by whom, and where in the log."""

    at: datetime
    by: str | None
    position: int


def creation(before: _Row | None, stored: StoredEvent) -> Creation:
    """That of the row before; what was deleted is created anew."""
    if before is None or before.status == "deleted":
        return Creation(stored.recorded_at, clean(stored.actor), stored.position)
    return Creation(before.created_at, before.created_by, before.created_position)


def replace(rows: MutableMapping[str, RowT], changes: list[RowT], row: RowT) -> None:
    """Put a new row in the place of the one with its id, if there is one."""
    before = rows.get(row.id)
    rows[row.id] = row
    if before is not None:
        row.change = CHANGED if before.change == CLEAN else before.change
        if before.change != CLEAN:
            _remove(changes, before)
    changes.append(row)


def _remove(changes: list[RowT], row: RowT) -> None:
    """Rows are equal by their fields, and it is this one that is meant."""
    del changes[next(at for at, each in enumerate(changes) if each is row)]


def delete(changes: list[RowT], row: RowT, stored: StoredEvent) -> None:
    """Mark it deleted."""
    row.status, row.updated_at, row.position = "deleted", stored.recorded_at, stored.position
    if row.change == CLEAN:
        row.change = CHANGED
        changes.append(row)

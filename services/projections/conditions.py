"""A `where` that is put together from what was asked for. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


class Conditions:
    """A `where` of constant terms, each with one parameter; values never become text."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)
        self._terms: list[str] = []

    def add(self, term: str, value: Any) -> "Conditions":
        """Ask for `term`, in which `{}` stands for the value; nothing is asked for None."""
        if value is not None:
            self.values.append(value)
            self._terms.append(term.format(f"${len(self.values)}"))
        return self

    def newest_first(self, time: str, position: str, limit: int, last: Sequence[Any] | None, *, by_time: bool) -> str:
        """The clauses of a page in the order of `position`, after the place `last`: `[position, time]`. With `by_time`, for
        a list of one workflow or between two instants, in the order of `time`, which an index gives without passing over
        what is newer."""
        if last is not None and by_time:
            self.values += [last[0], datetime.fromisoformat(last[1])]
            count = len(self.values)
            self.require(f"({time}, {position}) < (${count}::timestamptz, ${count - 1}::bigint)")
        elif last is not None:
            self.add(f"{position} < {{}}", last[0])
        return self.page(f"{time} desc, {position} desc" if by_time else f"{position} desc", limit)

    def require(self, term: str) -> "Conditions":
        """Ask for a term without a value."""
        self._terms.append(term)
        return self

    def page(self, order: str, limit: int) -> str:
        """The clauses `where`, `order by` and `limit`, asking for one row more than a page has."""
        where = f" where {' and '.join(self._terms)}" if self._terms else ""
        self.values.append(limit + 1)
        return f"{where} order by {order} limit ${len(self.values)}"


def utc(at: datetime | None) -> datetime | None:
    """A time without zone is taken as UTC."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)

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
            self._terms.append(term.format(self.value(value)))
        return self

    @classmethod
    def within(cls, outer: "Conditions") -> "Conditions":
        """Those of a query inside of another one: no terms yet, and all parameters shared."""
        inner = cls()
        inner.values = outer.values
        return inner

    def value(self, value: Any) -> str:
        """The name under which the statement has this value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def after(self, time: str, position: str, last: Sequence[Any] | None, *, by_time: bool) -> "Conditions":
        """Ask for what comes after the place `last`, `[position, time]`, of a list that `newest_first` orders."""
        if last is not None and by_time:
            at = f"{self.value(datetime.fromisoformat(last[1]))}::timestamptz"
            self.require(f"({time}, {position}) < ({at}, {self.value(last[0])}::bigint)")
        elif last is not None:
            self.add(f"{position} < {{}}", last[0])
        return self

    def newest_first(self, time: str, position: str, limit: int, last: Sequence[Any] | None, *, by_time: bool) -> str:
        """The clauses of a page in the order of `position`, after the place `last`: `[position, time]`. With `by_time`, for
        a list of one workflow or between two instants, in the order of `time`, which an index gives without passing over
        what is newer."""
        self.after(time, position, last, by_time=by_time)
        return self.page(f"{time} desc, {position} desc" if by_time else f"{position} desc", limit)

    def require(self, term: str) -> "Conditions":
        """Ask for a term without a value."""
        self._terms.append(term)
        return self

    def page(self, order: str, limit: int) -> str:
        """The clauses `where`, `order by` and `limit`, asking for one row more than a page has."""
        return f"{self.where()} order by {order} limit {self.value(limit + 1)}"

    def where(self, *more: str) -> str:
        """The clause `where`, with some terms more; empty without any."""
        terms = [*self._terms, *more]
        return f" where {' and '.join(terms)}" if terms else ""


def utc(at: datetime | None) -> datetime | None:
    """A time without zone is taken as UTC."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)

"""A `where` that is put together from what was asked for. Pure."""

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

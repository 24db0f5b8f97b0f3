"""What a database answers, and its values as JSON data."""

import base64
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec

_EXACT_DIGITS = 15
"""So many decimal digits a double holds, whatever they are."""


ADDRESS = (
    "it is no address of a database: write postgresql://user:password@host:port/database, what is neither letter nor digit "
    "in the password percent-encoded (%2F for /)"
)


class Rows(msgspec.Struct, frozen=True):
    """What a database answered; `affected` counts the rows that a statement without rows of its own changed."""

    columns: list[str]
    rows: list[Sequence[Any]]
    affected: int | None = None


class TooManyRows(ValueError):
    """More rows than the node allows."""

    def __init__(self, rows_max: int) -> None:
        super().__init__(f"the query gives more than {rows_max} rows (max_rows); limit it, or raise max_rows")


class Failed(Exception):
    """The database refused, or was not there. `state` is its SQLSTATE where it tells one."""

    def __init__(self, message: str, state: str = "", *, is_worth_another_try: bool = False) -> None:
        super().__init__(message)
        self.state = state
        self.is_worth_another_try = is_worth_another_try


class Unfit(ValueError):
    """The query, its parameters or its connection make no sense here; the message says what would."""


def number(text: str) -> int | float | str:
    """A number where JSON holds it exactly, else its text."""
    if text.lstrip("-").isdigit():
        return int(text)
    return float(text) if len(text.strip("-").replace(".", "")) <= _EXACT_DIGITS and "N" not in text.upper() else text


def plain(value: Any) -> Any:
    """A value of a driver as JSON data."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return number(format(value, "f"))
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            return {"base64": base64.b64encode(bytes(value)).decode()}
        case UUID():
            return str(value)
        case list() | tuple():
            return [plain(each) for each in cast("Sequence[Any]", value)]
        case dict():
            return {str(name): plain(each) for name, each in cast("dict[Any, Any]", value).items()}
        case _:
            return str(value)

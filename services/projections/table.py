"""One table of the read models, and its statements, which derive from the type of its rows."""

import types
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from services.projections.rows import CLEAN, NEW, Json

_SCALARS = {
    int: "bigint", str: "text", Json: "json", UUID: "uuid", datetime: "timestamptz", float: "float8", bool: "boolean",
}  # fmt: skip


class Table:
    """One table and its statements. The first `key_count` columns are its key, the first `fixed_count` never change.

    `unique` is what its unique index is over, where that is not the key as it stands.
    """

    def __init__(
        self, name: str, row: type[Any], key_count: int = 1, fixed_count: int | None = None, unique: str | None = None
    ) -> None:
        hints = get_type_hints(row)
        self.name = name
        self.row = row
        self.columns = tuple(field for field in row.__struct_fields__ if field != "change")
        self.columns_count = len(self.columns)
        self.key_count = key_count
        self.fixed_count = key_count if fixed_count is None else fixed_count
        changing = self.columns[self.fixed_count :]
        given = (*self.columns[:key_count], *changing)
        arrays = ", ".join(f"${number}::{_column_type(hints[name])}[]" for number, name in enumerate(given, 1))
        named = ", ".join(given)
        sets = ", ".join(f"{column} = given.{column}" for column in changing)
        keys = " and ".join(f"kept.{column} = given.{column}" for column in self.columns[:key_count])
        # Every name in these statements is a constant of this package.
        self.update = f"update {name} kept set {sets} from unnest({arrays}) as given ({named}) where {keys}"  # noqa: S608
        all_arrays = ", ".join(
            f"${number}::{_column_type(hints[name])}[]" for number, name in enumerate(self.columns, 1)
        )
        key, taken = (
            unique or ", ".join(self.columns[:key_count]),
            ", ".join(f"{name} = excluded.{name}" for name in changing),
        )
        self.upsert = (
            f"insert into {name} ({', '.join(self.columns)}) select * from unnest({all_arrays}) "  # noqa: S608
            f"on conflict ({key}) do update set {taken}"
        )
        # an array of lists is no array that Postgres takes
        self.updates_singly = any(get_origin(hints[name]) is list for name in changing)
        singly = ", ".join(f"{name} = ${number}" for number, name in enumerate(self.columns, 1) if name in changing)
        named_keys = " and ".join(f"{name} = ${number}" for number, name in enumerate(self.columns[:key_count], 1))
        self.update_one = f"update {name} set {singly} where {named_keys}"  # noqa: S608
        self.select = f"select {', '.join(self.columns)} from {name}"  # noqa: S608

    def added(self, rows: Sequence[Any]) -> "Writing":
        """Rows that never change."""
        return Writing(self, inserted=[msgspec.structs.astuple(row) for row in rows])

    def kept(self, rows: Sequence[Any]) -> "Writing":
        """New rows to be inserted, changed ones to be updated; from here on they count as written."""
        end, writing = self.columns_count, Writing(self)
        for row in rows:
            (writing.inserted if row.change == NEW else writing.updated).append(msgspec.structs.astuple(row)[:end])
            row.change = CLEAN
        return writing

    def put(self, rows: Sequence[Any]) -> "Writing":
        """Rows that the table may have older forms of, or not."""
        end = self.columns_count
        return Writing(self, put=[msgspec.structs.astuple(row)[:end] for row in rows])

    def without(self, condition: str, *values: Any) -> "Removal":
        """The rows for which this holds, with the values as `$1` and so on, are to go."""
        return Removal(f"delete from {self.name} where {condition}", values)  # noqa: S608


class Removal(msgspec.Struct, frozen=True):
    """Rows of one table that are to go."""

    statement: str
    values: tuple[Any, ...]

    async def perform(self, connection: asyncpg.Connection) -> None:
        """Delete them."""
        await connection.execute(self.statement, *self.values)


class Writing:
    """Rows of one table as they are to be written, tuples of all its columns: whatever becomes of the rows meanwhile."""

    __slots__ = ("inserted", "put", "table", "updated")

    def __init__(
        self, table: Table, inserted: list[tuple[Any, ...]] | None = None, put: list[tuple[Any, ...]] | None = None
    ) -> None:
        self.table = table
        self.inserted = inserted or []
        self.updated: list[tuple[Any, ...]] = []
        self.put = put or []

    async def perform(self, connection: asyncpg.Connection) -> None:
        """COPY the new rows; bring the others to this form, in one statement."""
        table = self.table
        if self.inserted:
            await connection.copy_records_to_table(table.name, records=self.inserted, columns=table.columns)
        if self.updated and table.updates_singly:
            await connection.executemany(table.update_one, self.updated)
        elif self.updated:
            columns = [list(column) for column in zip(*self.updated, strict=True)]
            await connection.execute(table.update, *columns[: table.key_count], *columns[table.fixed_count :])
        if self.put:
            await connection.execute(table.upsert, *(list(column) for column in zip(*self.put, strict=True)))


def _column_type(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is list:
        return "text"  # never in an update by array: see `updates_singly`
    return _SCALARS[hint]

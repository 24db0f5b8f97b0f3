"""One table of the read models, and its statements, which derive from the type of its rows."""

import types
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from services.projections.rows import NEW, Json

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
        self.select = f"select {', '.join(self.columns)} from {name}"  # noqa: S608

    async def insert_rows(self, connection: asyncpg.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """COPY rows, tuples of all columns."""
        await connection.copy_records_to_table(self.name, records=rows, columns=self.columns)

    async def update_rows(self, connection: asyncpg.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Bring rows that are there to this form, in one statement."""
        given = zip(*rows, strict=True)
        columns = [list(column) for column in given]
        await connection.execute(self.update, *columns[: self.key_count], *columns[self.fixed_count :])

    async def write(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Insert the new rows, update the changed ones."""
        end = self.columns_count
        new = [msgspec.structs.astuple(row)[:end] for row in rows if row.change == NEW]
        changed = [msgspec.structs.astuple(row)[:end] for row in rows if row.change != NEW]
        if new:
            await self.insert_rows(connection, new)
        if changed:
            await self.update_rows(connection, changed)

    async def put(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Have these rows in the table, whether it has older forms of them or not."""
        if rows:
            end = self.columns_count
            given = zip(*(msgspec.structs.astuple(row)[:end] for row in rows), strict=True)
            await connection.execute(self.upsert, *(list(column) for column in given))

    async def append(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Insert rows that never change."""
        if rows:
            await self.insert_rows(connection, [msgspec.structs.astuple(row) for row in rows])


def _column_type(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is list:
        return "text"  # never in an update by array: see WORKFLOWS
    return _SCALARS[hint]

"""What is in a backup: the log and what lives beside it. What the log can give again is left out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from infra.eventlog.migrate import schemas

FORMAT, FORMAT_VERSION = "flowforge-backup", 1
MANIFEST = "manifest.json"
HOME_FILES = ("credentials.json", "admin.key", "secrets.key", "flowforge.toml")
"""Of the home: logins, keys, settings. Certificates and the like, which are elsewhere, are their owner's to keep."""
ARCHIVES = "archives"
_REBUILT_SCHEMAS = frozenset({"projections", "projections_next", "projections_verified"})
_LEFT_OUT = frozenset({"eventlog.migrations", "eventlog.snapshots", "gateway.sessions", "gateway.login_links"})
"""Sessions that ended after a backup was made would begin again with it."""
_FIRST = ("eventlog.archives",)
"""Tables that others refer to."""
_TABLES = """
    select n.nspname || '.' || c.relname as name,
           array_agg(a.attname order by a.attnum) filter (where a.attgenerated = '') as columns
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where n.nspname = any ($1) and c.relkind in ('r', 'p') and not c.relispartition
    group by 1 order by 1
"""


class TableContent(msgspec.Struct, frozen=True):
    """A table: its rows are in `tables/<name>.copy`, as text of Postgres's COPY."""

    name: str
    columns: list[str]
    rows_count: int
    size: int
    sha256: str

    @property
    def entry(self) -> str:
        return f"tables/{self.name}.copy"


class FileContent(msgspec.Struct, frozen=True):
    """A file of the home, at `home/<path>`."""

    path: str
    size: int
    sha256: str

    @property
    def entry(self) -> str:
        return f"home/{self.path}"


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself; the last thing that is written."""

    format: Literal["flowforge-backup"]
    format_version: int
    created_at: datetime
    schema_version: int
    namespace: str
    incarnation: UUID
    position: int
    head_hash: str
    tables: list[TableContent]
    files: list[FileContent]

    @property
    def contents(self) -> Sequence[TableContent | FileContent]:
        return [*self.tables, *self.files]


async def tables_of(connection: Any) -> list[tuple[str, list[str]]]:
    """The tables to be kept with their columns, those first that others refer to."""
    kept = [schema for schema in schemas() if schema not in _REBUILT_SCHEMAS]
    found = [(name, list(columns)) for name, columns in await connection.fetch(_TABLES, kept) if name not in _LEFT_OUT]
    return sorted(found, key=lambda table: (table[0] not in _FIRST, table[0]))

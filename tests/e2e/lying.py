"""Where a text lies in a running installation: in every row of its database as the owner sees it, in every file."""

import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from infra.embedded.cluster import Cluster
from infra.embedded.postgres import OWNER


@contextlib.asynccontextmanager
async def owner_of(cluster: Cluster) -> AsyncGenerator[Any]:
    """The database as its owner sees it."""
    credentials = json.loads(cluster.home.credentials_file.read_text())["postgres"]
    address = cluster.endpoints.database.rpartition("@")[2]
    owner = await asyncpg.connect(f"postgresql://{OWNER}:{credentials['owner']}@{address}")
    try:
        yield owner
    finally:
        await owner.close()


async def places_of(cluster: Cluster, texts: Sequence[bytes], *, in_files: Sequence[bytes] = ()) -> list[str]:
    """Tables and files in which one of these texts lies; `in_files` are looked for in files alone."""
    async with owner_of(cluster) as owner:
        tables = await owner.fetch("select schemaname, tablename from pg_tables where schemaname !~ '^pg_|information'")
        found = [
            f"{schema}.{table}"
            for schema, table in tables
            for text in texts
            if await owner.fetchval(
                f'select exists (select from "{schema}"."{table}" t where position($1 in t::text) > 0)', text.decode()
            )
        ]
        await owner.execute("checkpoint")
    files = [path for path in cluster.home.folder.rglob("*") if path.is_file()]
    return found + [str(path) for path in files if any(text in _content(path) for text in (*texts, *in_files))]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

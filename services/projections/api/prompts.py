"""Reading stored prompts: the list, one at its newest version, and all its versions, which outlive its deletion."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response, Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.etags import IfNoneMatch, tag_of, tagged
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.reads import Reads, raw
from services.projections.api.workflows import VERSION_MAX
from services.projections.conditions import Conditions

_PROMPTS = (
    "select id, name, description, version, created_at, updated_at, created_by, created_position "
    "from projections.prompts"
)
_VERSIONS = "select version, name, description, created_at, created_by from projections.prompt_versions"
_ONE = """
    select p.id, p.name, p.description, p.version, p.created_at, p.updated_at, p.created_by, v.prompt, v.system
    from projections.prompts p
    join projections.prompt_versions v on v.prompt_id = p.id and v.version = p.version
    where p.id = $1 and p.status = 'active'
"""
_ONE_VERSION = """
    select prompt_id as id, name, description, version, created_at, created_by, prompt, system
    from projections.prompt_versions where prompt_id = $1 and version = $2
"""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class PromptSummary(msgspec.Struct, kw_only=True):
    """A stored prompt in the list; `version` is its newest."""

    id: str
    name: str
    description: str
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None


class PromptView(PromptSummary, kw_only=True):
    """A stored prompt with its texts; `system` is null where it has none."""

    prompt: msgspec.Raw
    system: msgspec.Raw


class PromptVersion(msgspec.Struct, kw_only=True):
    """One version in the list of them: when it was saved, and by whom."""

    version: int
    name: str
    description: str
    created_at: datetime
    created_by: str | None


class PromptVersionView(PromptVersion, kw_only=True):
    """One version with its texts."""

    id: str
    prompt: msgspec.Raw
    system: msgspec.Raw


@get("/", opt=VIEWER)
async def list_prompts(reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None) -> Page[PromptSummary]:
    """Stored prompts, the newest created first."""
    cursors = await reads.cursors("prompts")
    conditions = Conditions().add("status = {}", "active")
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("created_position < {}", before[0])
    rows = await reads.pool.fetch(_PROMPTS + conditions.page("created_position desc", limit), *conditions.values)
    return cursors.page([_of(PromptSummary, row) for row in rows], limit, [[row["created_position"]] for row in rows])


@get("/{prompt_id:str}", opt=VIEWER)
async def read_prompt(reads: Reads, prompt_id: str, if_none_match: IfNoneMatch = None) -> Response[PromptView]:
    """A stored prompt at its newest version, which is the ETag."""
    row = await reads.pool.fetchrow(_ONE, prompt_id)
    if row is None:
        raise not_found("prompt", prompt_id)
    return tagged(_of(PromptView, row), tag_of(row["version"]), if_none_match)


@get("/{prompt_id:str}/versions", opt=VIEWER)
async def list_prompt_versions(
    reads: Reads, prompt_id: str, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[PromptVersion]:
    """All versions, newest first; of a deleted prompt too."""
    cursors = await reads.cursors("prompt versions", prompt_id)
    conditions = Conditions().add("prompt_id = {}", prompt_id)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("version < {}", before[0])
    rows = await reads.pool.fetch(_VERSIONS + conditions.page("version desc", limit), *conditions.values)
    if not rows and before is None:
        raise not_found("prompt", prompt_id)
    return cursors.page([_of(PromptVersion, row) for row in rows], limit, [[row["version"]] for row in rows])


@get("/{prompt_id:str}/versions/{version:int}", opt=VIEWER)
async def read_prompt_version(
    reads: Reads, prompt_id: str, version: Annotated[int, Parameter(ge=1, le=VERSION_MAX)]
) -> PromptVersionView:
    """One version, as it was saved."""
    row = await reads.pool.fetchrow(_ONE_VERSION, prompt_id, version)
    if row is None:
        raise not_found("prompt", f"{prompt_id} version {version}")
    return _of(PromptVersionView, row)


def _of(shape: type[Shape], row: Mapping[str, Any]) -> Shape:
    """The row's columns by the names of the shape's fields, texts of JSON as they are."""
    fields = {name: row[name] for name in shape.__struct_fields__}
    return shape(**{name: raw(value) if name in ("prompt", "system") else value for name, value in fields.items()})


def routers() -> list[Router]:
    handlers = [list_prompts, read_prompt, list_prompt_versions, read_prompt_version]
    return [Router("/api/prompts", route_handlers=handlers, tags=["prompts"])]

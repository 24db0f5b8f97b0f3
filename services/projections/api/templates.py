"""Reading templates: those that people saved, from the read models, and the ready-made ones, which catalog tells."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from flowforge.commands import ListTemplates
from flowforge.identity import new_uuid
from litestar import Response, Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.etags import IfNoneMatch, tag_of, tagged
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.reads import Reads
from services.projections.conditions import Conditions

Source = Literal["own", "builtin"]
_READY_MADE_POSITION = 0
_COLUMNS = (
    "id, version, name, description, category, definition, workflow_id, workflow_version, created_at, created_by, "
    "created_position, updated_at"
)
_OWN = f"select {_COLUMNS} from projections.templates"  # noqa: S608 - put together from constants
_ONE = f"{_OWN} where id = $1 and status = 'active'"


class TemplateSummary(msgspec.Struct, kw_only=True):
    """A template in the list. `parameters` are the variables of its definition, whose defaults may be replaced.

    `version`, who saved it and when are of those that people saved; so is the workflow that one was taken from.
    """

    id: str
    name: str
    description: str
    category: str
    source: Source
    parameters: list[dict[str, Any]]
    version: int = 0
    workflow_id: str | None = None
    workflow_version: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: str | None = None


class TemplateView(TemplateSummary, kw_only=True):
    """A template with its definition."""

    definition: dict[str, Any]


class _Variables(msgspec.Struct):
    variables: list[dict[str, Any]] = []


_variables = msgspec.json.Decoder(_Variables)


@get("/", opt=VIEWER)
async def list_templates(
    reads: Reads,
    source: Annotated[Source | None, Parameter(description="only ready-made ones, or only people's own")] = None,
    category: Annotated[str | None, Parameter(description="only of this category")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[TemplateSummary]:
    """Templates that people saved, the newest first; then the ready-made ones, by id."""
    cursors = await reads.cursors("templates", source, category)
    after = cursors.read(cursor, int, str)
    found: list[tuple[list[Any], TemplateSummary]] = []
    if source != "builtin" and (after is None or after[0] != _READY_MADE_POSITION):
        conditions = Conditions().add("status = {}", "active").add("category = {}", category)
        conditions.add("created_position < {}", None if after is None else after[0])
        rows = await reads.pool.fetch(_OWN + conditions.page("created_position desc", limit), *conditions.values)
        found += [([row["created_position"], row["id"]], _summary(row)) for row in rows]
    if source != "own" and len(found) <= limit:
        last = after[1] if after is not None and after[0] == _READY_MADE_POSITION else ""
        ready_made = [one for one in await _ready_made(reads) if category in (None, one.category) and one.id > last]
        found += [([_READY_MADE_POSITION, one.id], _shortened(one)) for one in ready_made]
    items: Sequence[TemplateSummary] = [item for _, item in found[: limit + 1]]
    return cursors.page(items, limit, [key for key, _ in found])


@get("/{template_id:str}", opt=VIEWER)
async def read_template(reads: Reads, template_id: str, if_none_match: IfNoneMatch = None) -> Response[TemplateView]:
    """A template with its definition."""
    row = await reads.pool.fetchrow(_ONE, template_id)
    if row is not None:
        view = TemplateView(**_named(row), definition=msgspec.json.decode(row["definition"]))
        return tagged(view, tag_of(view.version), if_none_match)
    ready_made = await _ready_made(reads, template_id)
    if not ready_made:
        raise not_found("template", template_id)
    return Response(ready_made[0])


async def _ready_made(reads: Reads, template_id: str | None = None) -> list[TemplateView]:
    """Raises a 503 `Problem` while catalog does not answer."""
    answer = await reads.ask(ListTemplates(command_id=str(new_uuid()), template_id=template_id))
    return msgspec.convert(answer["items"], list[TemplateView])


def _summary(row: Mapping[str, Any]) -> TemplateSummary:
    return TemplateSummary(**_named(row))


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: row[name] for name in TemplateSummary.__struct_fields__ if name not in ("source", "parameters")}
    return {**fields, "source": "own", "parameters": _variables.decode(row["definition"]).variables}


def _shortened(view: TemplateView) -> TemplateSummary:
    return TemplateSummary(**{name: getattr(view, name) for name in TemplateSummary.__struct_fields__})


def routers() -> list[Router]:
    """Under today's name and the older one."""
    handlers = [list_templates, read_template]
    return [
        Router("/api/templates", route_handlers=handlers, tags=["templates"]),
        Router("/api/workflow-templates", route_handlers=handlers, include_in_schema=False),
    ]

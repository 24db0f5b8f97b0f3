"""Reading what could not be handled, and who did what."""

from typing import Annotated, Any, Literal

from litestar import Response, Router, get
from litestar.params import Parameter

from infra.http.authentication import ADMIN, EDITOR, VIEWER
from infra.http.described import gives
from infra.http.etags import IfNoneMatch, tagged
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import bad_request, not_found
from services.projections.api.filters import OfWorkflow, Since, Until
from services.projections.api.reads import Reads
from services.projections.api.shapes import AuditEntry, DeadLetter, SecretView
from services.projections.audited import audited_subject
from services.projections.conditions import Conditions, utc

_DEAD_LETTERS = """
    select id, service, subject, status, reason, body, body_encoding, deliveries, quarantined_at, failures, retries,
        retried_at, retried_by, first_position
    from projections.dead_letters
"""
_AUDIT = "select position, actor, action, resource, subject, workflow_id, at from projections.audit"
_SECRETS = """
    select name, version, created_at, changed_at, changed_by, position from (
        select distinct on (name) name, version, changed_at, changed_by, position,
            (select min(first.changed_at) from projections.secret_changes first where first.name = changed.name
             and first.position > coalesce((select max(gone.position) from projections.secret_changes gone
                                            where gone.name = changed.name and gone.version is null), 0)) as created_at
        from projections.secret_changes changed order by name, position desc
    ) newest
"""
_HASH_LENGTH = 64


@get("/dead-letters", opt=VIEWER)
async def list_dead_letters(
    reads: Reads,
    service: Annotated[str | None, Parameter(description="only what this service could not handle")] = None,
    status: Annotated[Literal["open", "retried"] | None, Parameter(description="only those that stand so")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[DeadLetter]:
    """Messages that could not be handled, newest first, each with its cause."""
    cursors = await reads.cursors("dead letters", service, status)
    conditions = Conditions().add("service = {}", service).add("status = {}", status)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("first_position < {}", before[0])
    rows = await reads.pool.fetch(_DEAD_LETTERS + conditions.page("first_position desc", limit), *conditions.values)
    return cursors.page([DeadLetter(*row) for row in rows], limit, [[row["first_position"]] for row in rows])


@get("/audit", opt=ADMIN)
async def list_audit(
    reads: Reads,
    actor: Annotated[str | None, Parameter(description="only what this user did")] = None,
    action: Annotated[str | None, Parameter(description="only what was done so")] = None,
    resource: Annotated[str | None, Parameter(description="only what was done to things of this kind")] = None,
    subject: Annotated[str | None, Parameter(description="only what was done to the thing of this id")] = None,
    workflow_id: OfWorkflow = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[AuditEntry]:
    """Every write that was accepted, with its actor, newest first. `resource` is the kind of its subject: `workflow`,
    `trigger`, `run`, `node`, `approval`, `event`, `template`, `prompt`, `secret`, `dead_letter`, `subscription`, `archive`
    or `payload` (data that was erased)."""
    cursors = await reads.cursors("audit", actor, action, resource, subject, workflow_id, since, until)
    conditions = Conditions().add("actor = {}", actor).add("action = {}", action)
    conditions.add("subject = {}", None if subject is None else audited_subject(subject))
    conditions.add("resource = {}", resource).add("workflow_id = {}", workflow_id)
    conditions.add("at >= {}", utc(since)).add("at < {}", utc(until))
    last, by_time = cursors.read(cursor, int, str), since is not None or until is not None
    rows = await reads.pool.fetch(
        _AUDIT + conditions.newest_first("at", "position", limit, last, by_time=by_time), *conditions.values
    )
    keys = [[row["position"], row["at"].isoformat()] for row in rows]
    return cursors.page([AuditEntry(*row) for row in rows], limit, keys)


@get("/secrets", opt=EDITOR)
async def list_secrets(reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None) -> Page[SecretView]:
    """The secrets that workflows may name, last changed first; never their values."""
    cursors = await reads.cursors("secrets")
    conditions = Conditions().add("version >= {}", 1)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("position < {}", before[0])
    rows = await reads.pool.fetch(_SECRETS + conditions.page("position desc", limit), *conditions.values)
    shown = [SecretView(*list(row.values())[:5]) for row in rows]
    return cursors.page(shown, limit, [[row["position"]] for row in rows])


@get("/blobs/{blob_hash:str}", opt=VIEWER | gives(Any, {"rows": [{"id": 1}]}))
async def read_blob(reads: Reads, blob_hash: str, if_none_match: IfNoneMatch = None) -> Response[bytes]:
    """A payload that travelled by reference; it never changes."""
    if len(blob_hash) != _HASH_LENGTH or set(blob_hash) - set("0123456789abcdef"):
        raise bad_request("path.hash", "a blob's name is its SHA-256, 64 lower-case hexadecimal digits")
    content = await reads.log.get_blob(blob_hash)
    if content is None:
        raise not_found("blob", blob_hash)
    headers = {
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    return tagged(content, f'"{blob_hash}"', if_none_match, headers, media_type="application/json")


def routers() -> list[Router]:
    """All under /api."""
    handlers = {
        "activity": [list_audit, read_blob],
        "dead-letters": [list_dead_letters],
        "secrets": [list_secrets],
    }
    return [Router("/api", route_handlers=each, tags=[tag]) for tag, each in handlers.items()]

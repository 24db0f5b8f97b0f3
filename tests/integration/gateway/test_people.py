"""What authentication reads of users and keys is made from the log, whatever became of it meanwhile."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from flowforge.events import UserAdded, UserChanged, UserKeyCreated, UserKeyRevoked, UserRemoved, encode
from flowforge.people import PEOPLE, PEOPLE_STREAM

from infra.embedded.front import lifespan
from infra.embedded.preparation import admit_administrator
from infra.eventlog import Append, Appended, MemoryEventLog, NewEvent, StreamAppend
from infra.http.authentication import Principal, key_holder, session_holder
from infra.http.sessions import digest_of
from infra.settings import Settings
from services.gateway.api import create_app
from services.gateway.people import People
from services.gateway.sessions import Sessions
from services.gateway.settings import open_links_per_user_max

AT = datetime(2026, 3, 1, tzinfo=UTC)


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def key(name: str, key_id: str, **fields: Any) -> UserKeyCreated:
    return UserKeyCreated(name=name, key_id=key_id, key_hash=digest(key_id).hex(), **fields)


HISTORY = (
    UserAdded(name="ada", role="viewer"), key("ada", "key-1"), key("ada", "key-2"), UserAdded(name="ben", role="admin"),
    key("ben", "key-3"), UserChanged(name="ada", role="editor"), UserKeyRevoked(name="ada", key_id="key-2"),
    UserRemoved(name="ben"), key("admin", "key-4", expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
)  # fmt: skip
KNOWN = {"key-1": ("ada", "editor"), "key-2": None, "key-3": None, "key-4": None}


@pytest.fixture
async def pool(service_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(service_dsn, min_size=1, max_size=3) as opened:
        yield opened


async def log_of(*events: Any) -> MemoryEventLog:
    log = MemoryEventLog()
    await tell(log, 0, *events)
    return log


async def tell(log: MemoryEventLog, version: int, *events: Any) -> None:
    new = [NewEvent(type(event).__name__, encode(event)) for event in events]
    if new:
        [answer] = await log.append([Append([StreamAppend(PEOPLE, PEOPLE_STREAM, version, new)], AT)])
        assert isinstance(answer, Appended)


async def known(pool: asyncpg.Pool) -> dict[str, tuple[str, str] | None]:
    found = {name: await key_holder(pool, digest(name)) for name in KNOWN}
    return {name: None if holder is None else (holder.name, holder.role) for name, holder in found.items()}


async def test_keys_are_known_as_the_log_tells_them(pool: asyncpg.Pool):
    people = People(pool, await log_of(*HISTORY))
    await people.catch_up()
    assert await known(pool) == KNOWN
    await people.catch_up()
    assert await known(pool) == KNOWN


@pytest.mark.parametrize("count", range(len(HISTORY)))
async def test_a_gateway_that_died_after_a_change_was_logged_goes_on_with_it(pool: asyncpg.Pool, count: int):
    log = await log_of(*HISTORY[:count])
    await People(pool, log).catch_up()
    await tell(log, count, *HISTORY[count:])
    await People(pool, log).catch_up()
    assert await known(pool) == KNOWN


async def test_tables_that_were_lost_are_made_anew(pool: asyncpg.Pool, postgres_dsn: str):
    people = People(pool, await log_of(*HISTORY))
    await people.catch_up()
    await pool.execute("delete from gateway.keys")
    await pool.execute("update gateway.people set version = 0")
    await people.catch_up()
    assert await known(pool) == KNOWN


async def test_a_log_that_lost_its_end_is_believed_and_the_installations_own_key_stays(pool: asyncpg.Pool):
    await pool.execute("insert into gateway.keys (hash, name, role) values ($1, 'admin', 'admin')", digest("first"))
    await People(pool, await log_of(*HISTORY)).catch_up()
    await People(pool, await log_of(*HISTORY[:2])).catch_up()
    assert await known(pool) == {**dict.fromkeys(KNOWN), "key-1": ("ada", "viewer")}
    assert await key_holder(pool, digest("first")) == Principal("admin", "admin")


async def test_a_removed_administrator_takes_the_installations_own_key_along(pool: asyncpg.Pool):
    await pool.execute("insert into gateway.keys (hash, name, role) values ($1, 'admin', 'admin')", digest("first"))
    await People(pool, await log_of(UserAdded(name="ben", role="admin"), UserRemoved(name="admin"))).catch_up()
    assert await key_holder(pool, digest("first")) is None
    assert await Sessions(pool).add_link("admin", "http://x") is None


async def test_what_was_revoked_as_the_gateway_died_opens_nothing_once_one_is_there(
    catalog: None, http: httpx.AsyncClient, pool: asyncpg.Pool, service_settings: Settings
):
    assert (await http.post("/api/users", json={"name": "ada", "role": "viewer"})).status_code == 201
    made = (await http.post("/api/users/ada/keys", json={})).json()
    assert await key_holder(pool, digest(made["key"])) == Principal("ada", "viewer")
    assert (await http.delete(f"/api/users/ada/keys/{made['id']}")).status_code == 200
    await pool.execute("update gateway.people set version = version - 1")
    await pool.execute(
        "insert into gateway.keys (hash, name, role, key_id) values ($1, 'ada', 'viewer', $2)",
        digest(made["key"]),
        made["id"],
    )
    async with lifespan(create_app(service_settings)):  # type: ignore[arg-type]
        assert await key_holder(pool, digest(made["key"])) is None


async def test_of_two_administrators_who_lower_each_other_at_once_one_stays(catalog: None, http: httpx.AsyncClient):
    for turn in range(5):
        other = f"ben{turn}"
        await http.post("/api/users", json={"name": other, "role": "admin"})
        key = (await http.post(f"/api/users/{other}/keys", json={})).json()["key"]
        answers = await asyncio.gather(
            http.patch(f"/api/users/{other}", json={"role": "viewer"}),
            http.patch("/api/users/admin", json={"role": "viewer"}, headers={"Authorization": f"Bearer {key}"}),
        )
        lowered_other, lowered_self = (answer.status_code for answer in answers)
        if lowered_self == 200:  # the first administrator goes on, for the next turn
            assert lowered_other == 409
            await http.patch("/api/users/admin", json={"role": "admin"}, headers={"Authorization": f"Bearer {key}"})
            assert (await http.delete(f"/api/users/{other}")).status_code == 200
        else:
            assert (lowered_other, lowered_self in (403, 409)) == (200, True)


async def test_no_key_outlives_its_user_however_many_are_made_meanwhile(
    catalog: None, http: httpx.AsyncClient, pool: asyncpg.Pool
):
    await http.post("/api/users", json={"name": "ada", "role": "viewer"})
    asked = [http.post("/api/users/ada/keys", json={}) for _ in range(12)]
    asked.insert(6, http.delete("/api/users/ada"))
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} <= {200, 201, 404}
    made = [key for answer in answers if answer.status_code == 201 and (key := answer.json()["key"]) is not None]
    assert [await key_holder(pool, digest(each)) for each in made] == [None] * len(made)
    assert await pool.fetchval("select count(*) from gateway.keys where name = 'ada'") == 0


async def test_a_replaced_key_of_the_installation_opens_nothing(pool: asyncpg.Pool, postgres_dsn: str):
    await pool.execute(
        "insert into gateway.keys (hash, name, role, key_id) values ($1, 'admin', 'admin', 'k')", digest("k")
    )
    for key in ("first", "first", "second"):
        await admit_administrator(postgres_dsn, key)
        assert await key_holder(pool, digest(key)) == Principal("admin", "admin")
    assert await key_holder(pool, digest("first")) is None
    assert await key_holder(pool, digest("k")) == Principal("admin", "admin")


async def test_the_installations_own_key_does_not_come_back_with_another_user_of_that_name(
    pool: asyncpg.Pool, postgres_dsn: str
):
    await admit_administrator(postgres_dsn, "first")
    ben = UserAdded(name="ben", role="admin")
    log = await log_of(ben, UserRemoved(name="admin"), UserAdded(name="admin", role="admin"))
    await People(pool, log).catch_up()
    await admit_administrator(postgres_dsn, "first")
    assert await key_holder(pool, digest("first")) is None


async def test_a_log_that_lost_a_change_of_the_administrator_gives_the_role_back(pool: asyncpg.Pool, postgres_dsn: str):
    await admit_administrator(postgres_dsn, "first")
    ben = UserAdded(name="ben", role="admin")
    await People(pool, await log_of(ben, UserChanged(name="admin", role="viewer"))).catch_up()
    assert await key_holder(pool, digest("first")) == Principal("admin", "viewer")
    await People(pool, await log_of(ben)).catch_up()
    assert await key_holder(pool, digest("first")) == Principal("admin", "admin")


async def test_a_session_ends_after_a_week_unused_and_after_a_month_in_any_case(pool: asyncpg.Pool):
    sessions = Sessions(pool)

    async def begun() -> bytes:
        link = await sessions.add_link("admin", "http://here/")
        assert link is not None
        assert link.url.startswith("http://here/login?token=")
        token = link.url.partition("token=")[2]
        session = await sessions.begin(token)
        assert session is not None
        assert await sessions.begin(token) is None
        return digest_of(session)

    for column, days, is_known in (
        ("used_at", 6.9, True), ("used_at", 7.1, False), ("created_at", 29.9, True), ("created_at", 30.1, False)
    ):  # fmt: skip
        session = await begun()
        await pool.execute(
            f"update gateway.sessions set {column} = now() - $2 * interval '1 day' where hash = $1", session, days
        )
        holder = await session_holder(pool, session)
        assert (holder is not None and holder.auth == "session") is is_known, (column, days)
    assert await pool.fetchval("select count(*) from gateway.sessions where used_at < now() - interval '7 days'") == 1


async def test_a_session_that_is_used_lasts_a_week_from_then(pool: asyncpg.Pool):
    link = await Sessions(pool).add_link("admin", "http://here")
    assert link is not None
    session = await Sessions(pool).begin(link.url.partition("token=")[2])
    assert session is not None
    await pool.execute("update gateway.sessions set used_at = now() - interval '6 days'")
    first = await session_holder(pool, digest_of(session))
    second = await session_holder(pool, digest_of(session))
    assert first is not None
    assert second is not None
    assert first.expires_at is not None
    assert second.expires_at is not None
    assert (second.expires_at - first.expires_at).days in (5, 6)


CHANGED = ("update gateway.users set role = 'viewer'", "update gateway.sessions set role = 'viewer'")
REMOVED = ("delete from gateway.users", "delete from gateway.sessions", "delete from gateway.login_links")


@pytest.mark.parametrize(("statements", "role"), [(CHANGED, "viewer"), (REMOVED, None)])
@pytest.mark.parametrize("done", [1, 2])
async def test_a_session_that_begins_while_its_user_changes_is_of_the_user_afterwards(
    pool: asyncpg.Pool, statements: tuple[str, ...], role: str | None, done: int
):
    link = await Sessions(pool).add_link("admin", "http://here")
    assert link is not None
    async with pool.acquire() as changing, changing.transaction():
        for statement in statements[:done]:
            await changing.execute(statement)
        beginning = asyncio.create_task(Sessions(pool).begin(link.url.partition("token=")[2]))
        await done_or_waiting(pool, beginning)
        for statement in statements[done:]:
            await changing.execute(statement)
    session = await beginning
    holder = None if session is None else await session_holder(pool, digest_of(session))
    assert (None if holder is None else holder.role) == role


async def done_or_waiting(pool: asyncpg.Pool, task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(5):
        while not (task.done() or await pool.fetchval("select exists (select from pg_locks where not granted)")):
            await asyncio.sleep(0.005)


async def test_a_link_begins_one_session_however_many_ask_at_once(pool: asyncpg.Pool):
    link = await Sessions(pool).add_link("admin", "http://here")
    assert link is not None
    token = link.url.partition("token=")[2]
    begun = await asyncio.gather(*(Sessions(pool).begin(token) for _ in range(5)))
    assert len([session for session in begun if session is not None]) == 1


async def test_so_many_links_are_open_at_once_and_no_more(catalog: None, http: httpx.AsyncClient, pool: asyncpg.Pool):
    for _ in range(open_links_per_user_max):
        assert await Sessions(pool).add_link("admin", "http://here") is not None
    refused = await http.post("/api/users/admin/login-links")
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_LINKS")
    await pool.execute(
        "update gateway.login_links set expires_at = now() where ctid = (select min(ctid) from gateway.login_links)"
    )
    assert (await http.post("/api/users/admin/login-links")).status_code == 201


async def test_an_old_link_begins_nothing(pool: asyncpg.Pool):
    link = await Sessions(pool).add_link("admin", "http://here")
    assert link is not None
    await pool.execute("update gateway.login_links set expires_at = now() - interval '1 second'")
    assert await Sessions(pool).begin(link.url.partition("token=")[2]) is None

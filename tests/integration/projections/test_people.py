"""Reading users and keys, and building what is read of them anew."""

from datetime import timedelta
from typing import Any

import pytest
from flowforge.events import Event, UserAdded, UserChanged, UserKeyCreated, UserKeyRevoked, UserRemoved
from flowforge.people import PEOPLE, PEOPLE_STREAM
from histories import START, new
from httpx import AsyncClient

from infra.eventlog import Append, Appended, EventLog, PostgresEventLog, StreamAppend
from services.projections import store
from services.projections.projector import Projector
from services.projections.rebuild import verify


def key(name: str, key_id: str) -> UserKeyCreated:
    return UserKeyCreated(name=name, key_id=key_id, key_hash="00", description=f"of {name}")


HISTORY: tuple[Event, ...] = (
    UserAdded(name="ada", role="viewer"), key("ada", "key-1"), key("ada", "key-2"), UserChanged(name="ada", role="editor"),
    UserKeyRevoked(name="ada", key_id="key-1"), UserAdded(name="ben", role="admin"), key("ben", "key-3"),
    UserRemoved(name="ben"), UserAdded(name="ben", role="viewer"), key("ben", "key-4"),
    UserChanged(name="admin", role="operator"), UserRemoved(name="admin"),
)  # fmt: skip


async def tell(log: EventLog, events: tuple[Event, ...] = HISTORY) -> None:
    for at, event in enumerate(events):
        stream = StreamAppend(PEOPLE, PEOPLE_STREAM, at, new(event))
        [answer] = await log.append([Append([stream], START + timedelta(seconds=at), actor=f"person-{at}")])
        assert isinstance(answer, Appended)


@pytest.fixture
def admin(client: AsyncClient, keys: dict[str, str]) -> AsyncClient:
    client.headers["authorization"] = f"Bearer {keys['admin']}"
    return client


async def read(client: AsyncClient, log: EventLog, path: str = "", **query: Any) -> Any:
    answer = await client.get(f"/api/users{path}", params={"after": (await log.head()).position, **query})
    return answer.json()


async def test_a_new_installation_has_an_administrator(admin: AsyncClient, log: EventLog):
    nobody = {"created_at": None, "created_by": None, "updated_at": None, "keys_count": 0}
    assert (await read(admin, log))["items"] == [{"name": "admin", "role": "admin", **nobody}]
    assert (await read(admin, log, "/admin"))["role"] == "admin"
    assert (await read(admin, log, "/admin/keys"))["items"] == []


async def test_users_and_keys_are_read_as_the_last_change_left_them(admin: AsyncClient, log: EventLog):
    await tell(log)
    users = (await read(admin, log))["items"]
    assert [(each["name"], each["role"], each["keys_count"]) for each in users] == [
        ("ben", "viewer", 1),
        ("ada", "editor", 1),
    ]
    assert (users[1]["created_by"], users[1]["updated_at"]) == ("person-0", "2026-03-01T12:00:03Z")
    assert [each["id"] for each in (await read(admin, log, "/ada/keys"))["items"]] == ["key-2"]
    assert (await read(admin, log, "/admin"))["status"] == 404
    page = await read(admin, log, limit=1)
    rest = await read(admin, log, limit=1, cursor=page["next_cursor"])
    assert [each["name"] for each in (*page["items"], *rest["items"])] == ["ben", "ada"]


@pytest.mark.parametrize("batch", [1, 2, 3, 5, len(HISTORY)])
async def test_any_batches_lead_to_the_same_rows(log: PostgresEventLog, service_dsn: str, batch: int):
    await tell(log)
    connection = await store.connect(service_dsn, store.LIVE_SCHEMA)
    try:
        await store.create_tables(connection, store.LIVE_SCHEMA, (await log.head()).incarnation)
        projector = Projector(log, connection, 10)
        await projector.start()
        while projector.position < len(HISTORY):
            await projector.advance(batch)
    finally:
        await connection.close()
    assert (await verify(log, service_dsn)).difference is None

"""A process that has lost what it owned leaves everything to the next owner, and takes it up again when its turn comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec
import pytest

from infra.bus import Shell, ownership
from infra.bus.ownership import lock_key
from infra.eventlog import Answer, Append, EventLog, MemoryEventLog
from tests.integration.bus.conftest import Stage
from tests.integration.bus.tally import Tally
from tests.link import Link
from tests.until import WAIT_S, until

HOLDERS = """
    select pid, granted from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())
"""


class Rival:
    """Another owner."""

    def __init__(self, waiting: asyncpg.Connection, looking: asyncpg.Connection, namespace: str) -> None:
        self._waiting = waiting
        self._looking = looking
        self._key = lock_key(namespace, "execution")

    async def take_over(self) -> None:
        """Wait for the lock, and have it from the moment at which its owner loses the connection."""
        taking = asyncio.create_task(self._waiting.execute("select pg_advisory_lock($1)", self._key))

        async def is_next() -> bool:
            return (self._waiting.get_server_pid(), False) in [tuple(row) for row in await self._looking.fetch(HOLDERS)]

        await until(is_next, "the rival waits for the lock")
        await self._looking.execute(f"select pg_terminate_backend(pid) from ({HOLDERS}) h where granted")
        await taking

    async def be_the_owner(self) -> None:
        await self._waiting.execute("select pg_advisory_lock($1)", self._key)

    async def others_count(self) -> int:
        """How many connections there are besides these."""
        mine = [self._waiting.get_server_pid(), self._looking.get_server_pid()]
        theirs = "select pid from pg_stat_activity where datname = current_database() and pid <> all ($1)"
        return len(await self._looking.fetch(theirs, mine))

    async def leave(self) -> None:
        await self._waiting.execute("select pg_advisory_unlock($1)", self._key)


@pytest.fixture
async def rival(stage: Stage, postgres_dsn: str) -> AsyncIterator[Rival]:
    waiting, looking = await asyncpg.connect(postgres_dsn), await asyncpg.connect(postgres_dsn)
    yield Rival(waiting, looking, stage.namespace)
    await waiting.close()
    await looking.close()


async def owner(stage: Stage, dsn: str, log: EventLog) -> Shell:
    shell = Shell(Tally(log, stage.namespace), log, stage.client, stage.namespace, dsn)
    await shell.start()
    async with asyncio.timeout(WAIT_S):
        await shell.is_ready.wait()
    return shell


async def test_who_is_not_the_owner_any_more_takes_no_messages(stage: Stage, postgres_dsn: str, rival: Rival):
    shell = await owner(stage, postgres_dsn, stage.log)
    await rival.take_over()

    async def nobody_pulls() -> bool:
        info = await stage.client.jetstream().consumer_info(stage.subjects.runs_stream, "execution")
        return info.num_waiting == 0

    await until(nobody_pulls, "the messages are left to the next owner")
    await stage.say("a", 1)
    info = await stage.client.jetstream().consumer_info(stage.subjects.runs_stream, "execution")
    assert (info.num_pending, info.num_ack_pending) == (1, 0)
    await rival.leave()
    await until(lambda: stage.heard == [{"word": "a", "seq": 1}], "it is the owner again, and takes them")
    await shell.stop()


async def test_who_is_not_the_owner_any_more_forgets_all_at_once_and_not_only_when_its_turn_comes_again(
    stage: Stage, postgres_dsn: str, rival: Rival
):
    class Watched(Tally):
        forgot_all = 0

        def forget_all(self) -> None:
            super().forget_all()
            self.forgot_all += 1

    service = Watched(stage.log, stage.namespace)
    shell = Shell(service, stage.log, stage.client, stage.namespace, postgres_dsn)
    await shell.start()
    async with asyncio.timeout(WAIT_S):
        await shell.is_ready.wait()
    before = service.forgot_all
    await rival.take_over()
    await until(lambda: service.forgot_all > before, "what works by itself is ended while another is the owner")
    await shell.stop()


async def test_who_asked_an_owner_that_is_none_any_more_is_told_so_and_may_ask_the_next(
    stage: Stage, postgres_dsn: str, rival: Rival
):
    class Stuck(MemoryEventLog):
        goes_on = asyncio.Event()

        async def append(self, groups: Sequence[Append]) -> list[Answer]:
            await self.goes_on.wait()
            return await super().append(groups)

    log = Stuck()
    shell = await owner(stage, postgres_dsn, log)
    inbox = await stage.client.subscribe(stage.client.new_inbox())
    await shell.command("commands", stage.body("under way", 1), inbox.subject)
    await until(lambda: shell.turn.is_busy, "the first is under way")
    await shell.command("commands", stage.body("waiting", 2), inbox.subject)
    await rival.take_over()
    for _ in range(2):
        refused = msgspec.json.decode((await inbox.next_msg(5)).data)["refused"]
        assert (refused["status"], refused["detail"]) == (503, "execution is not the owner any more")
    log.goes_on.set()
    await rival.leave()
    await until(shell.is_ready.is_set, "it is the owner again")
    await shell.stop()
    assert await log.read(0) == []


async def test_who_stops_while_it_stands_by_leaves_no_connection_behind(stage: Stage, postgres_dsn: str, rival: Rival):
    await rival.be_the_owner()
    shell = Shell(Tally(stage.log, stage.namespace), stage.log, stage.client, stage.namespace, postgres_dsn)
    await shell.start()

    async def stands_by() -> bool:
        return await rival.others_count() == 1

    async def is_gone() -> bool:
        return await rival.others_count() == 0

    await until(stands_by, "it waits for the lock")
    await shell.stop()
    await until(is_gone, "its connection is closed")


async def test_an_owner_whose_connection_was_cut_without_a_word_is_owner_no_more(
    stage: Stage, postgres_dsn: str, rival: Rival, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ownership, "ANSWER_S", 0.2)
    link = Link(postgres_dsn)
    async with link.up() as dsn:
        shell = await owner(stage, dsn, stage.log)
        link.cut()
        await rival.take_over()
        await until(lambda: not shell.is_ready.is_set(), "it notices")
        await rival.leave()
        await until(shell.is_ready.is_set, "it is the owner again, over another connection")
        await shell.stop()

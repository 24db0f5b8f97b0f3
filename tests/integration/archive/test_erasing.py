"""Payloads leave an archive for good; the events, and the chain over them, stay."""

import asyncio
import gzip
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from flowforge.events import NodeCompleted, PayloadErased, RunCancelled, encode
from flowforge.events.erasure import ERASURES_STREAM
from flowforge.identity import derived_uuid
from histories import START, new, received, triggered

from infra.archive import ArchivedEventLog, ArchiveFile
from infra.archive import file as archive_file
from infra.archive.erasing import Erased, erase_from_archive, find_in_archives
from infra.archive.moving import archive, moving, restore
from infra.archive.proof import ProvenArchives
from infra.archive.record import blobs_in
from infra.erasure import find
from infra.eventlog import Append, NewEvent, StreamAppend
from infra.eventlog.verify import verify
from infra.failpoints import KILLED_EXIT_STATUS

CANARY = "Ada-Lovelace-1815"
LEFT = b'{"left":"nothing"}'


@pytest.fixture
async def person(log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path) -> UUID:
    """A run with a person's data, inline and in a blob, archived among others."""
    blob = await log.put_blob(f'"blob of {CANARY}"'.encode())
    data = b'{"who":"%s","output":{"$blob":"%s","size":9}}' % (CANARY.encode(), blob.encode())
    run_id = derived_uuid(START, "person")
    events = [NewEvent("NodeCompleted", data), NewEvent("RunCancelled", b'{"reason":"%s"}' % CANARY.encode())]
    await log.append([Append([StreamAppend("run", run_id, 0, events)], START)])
    async with moving(service_dsn) as connection:
        await archive(connection, folder, [*runs, run_id])
    return run_id


async def erased_from(dsn: str, folder: Path, left: Mapping[int, bytes]) -> list[Erased]:
    async with moving(dsn) as connection:
        return await erase_from_archive(connection, folder, left)


async def everything_of(run_id: UUID, log: ArchivedEventLog) -> dict[int, bytes]:
    return {event.position: LEFT for event in await log.read_stream(run_id)}


async def say_so(owner_dsn: str, left: Mapping[int, bytes]) -> None:
    """Have the log say it, as the erasure of what it has itself does."""
    hashes = [hashlib.sha256(data).hexdigest() for data in left.values()]
    event = PayloadErased(erasure_id=uuid4(), positions=list(left), left=hashes)
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(
        "select eventlog.erase($1, $2, $3, $4, $5, now(), 'me')",
        event.positions, list(left.values()), ERASURES_STREAM, encode(event), bytes(16),
    )  # fmt: skip
    await connection.close()


async def test_what_a_person_has_in_archives_is_found_inline_and_in_blobs(
    log: ArchivedEventLog, person: UUID, runs: list[UUID], service_dsn: str, folder: Path
):
    connection = await asyncpg.connect(service_dsn)
    by_text = await find_in_archives(connection, folder, texts=[CANARY])
    by_blob = await find_in_archives(connection, folder, texts=["blob of Ada"])
    by_stream = await find_in_archives(connection, folder, streams=[person])
    assert [record.version for record in by_text] == [record.version for record in by_stream] == [1, 2]
    assert [record.version for record in by_blob] == [1]
    assert await find_in_archives(connection, folder, streams=[derived_uuid(START, "nobody")], texts=()) == []
    await connection.close()


def texts_in(folder: Path) -> list[bytes]:
    return [gzip.decompress(path.read_bytes()) for path in folder.iterdir()]


async def test_a_persons_payloads_leave_the_archive_and_the_chain_still_verifies(
    log: ArchivedEventLog, person: UUID, runs: list[UUID], service_dsn: str, postgres_dsn: str, folder: Path
):
    others = await log.read_streams(runs)
    assert CANARY.encode() in texts_in(folder)[0]
    left = await everything_of(person, log)
    assert await erased_from(service_dsn, folder, left) == [Erased("runs-000001.e1.jsonl.gz", 2)]
    [text] = texts_in(folder)
    assert CANARY.encode() not in text
    assert [event.data for event in await log.read_stream(person)] == [LEFT, LEFT]
    assert await log.read_streams(runs) == others
    report = await verify(service_dsn, await ProvenArchives.of(service_dsn, folder))
    assert {problem.kind for problem in report.problems} == {"erasure"}  # nothing in the log says so
    await say_so(postgres_dsn, left)
    assert (await verify(service_dsn, await ProvenArchives.of(service_dsn, folder))).problems == []
    assert await erased_from(service_dsn, folder, left) == []


async def test_single_events_are_erased_by_their_position(
    log: ArchivedEventLog, person: UUID, service_dsn: str, folder: Path
):
    first, second = await log.read_stream(person)
    assert await erased_from(service_dsn, folder, {first.position: LEFT}) == [Erased("runs-000001.e1.jsonl.gz", 1)]
    assert [event.data for event in await log.read_stream(person)] == [LEFT, second.data]
    await erased_from(service_dsn, folder, {second.position: LEFT, 10**9: LEFT})
    assert [path.name for path in folder.iterdir()] == ["runs-000001.e2.jsonl.gz"]


async def test_an_archive_without_some_payloads_is_restored_without_them(
    log: ArchivedEventLog, person: UUID, service_dsn: str, postgres_dsn: str, folder: Path
):
    await say_so(postgres_dsn, await everything_of(person, log))
    [erased] = await erased_from(service_dsn, folder, await everything_of(person, log))
    async with moving(service_dsn) as connection:
        await restore(connection, folder / erased.archive)
    (folder / erased.archive).unlink()
    assert [event.data for event in await log.read_stream(person)] == [LEFT, LEFT]
    assert (await verify(service_dsn)).problems == []


async def test_files_that_no_longer_are_archives_do_not_keep_what_is_erased(
    log: ArchivedEventLog, person: UUID, runs: list[UUID], service_dsn: str, folder: Path
):
    left = await everything_of(person, log)
    [path] = folder.iterdir()
    (folder / "runs-000002.jsonl.gz").write_bytes(path.read_bytes())  # written, and killed before it was one
    opened = ArchiveFile.open(path)
    foreign = folder / "runs-000003.jsonl.gz"
    header = msgspec.structs.replace(opened.header, incarnation=uuid4())
    archive_file.write(foreign, header, [], list(opened.records()))
    async with moving(service_dsn) as connection:
        await restore(connection, path)
        assert await erase_from_archive(connection, folder, left) == []
    assert list(folder.iterdir()) == [foreign]


async def test_a_blob_that_a_fork_still_needs_moves_from_the_archive_into_the_log(
    log: ArchivedEventLog, person: UUID, service_dsn: str, postgres_dsn: str, folder: Path
):
    [name] = {name for event in await log.read_stream(person) for name in blobs_in(event.data)}
    blob = await log.get_blob(name)
    fork = b'{"output":{"$blob":"%s","size":9}}' % name.encode()
    await log.append([Append([StreamAppend("run", uuid4(), 0, [NewEvent("NodeCompleted", fork)])], START)])
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("delete from eventlog.blobs")  # as the sweep does
    await owner.close()
    await erased_from(service_dsn, folder, await everything_of(person, log))
    assert CANARY.encode() not in texts_in(folder)[0]
    assert await log.get_blob(name) == blob


_ERASE = """
import asyncio, sys
from pathlib import Path
from infra.archive.erasing import erase_from_archive
from infra.archive.moving import moving
left = {int(position): b'{"left":"nothing"}' for position in sys.argv[3].split(",")}
async def erase():
    async with moving(sys.argv[1]) as connection:
        await erase_from_archive(connection, Path(sys.argv[2]), left)
asyncio.run(erase())
"""


@pytest.mark.parametrize("point", ["archive.after_rewritten_file", "archive.after_rewrite"])
async def test_a_kill_while_erasing_leaves_a_log_that_is_whole_and_nothing_after_the_next_try(
    log: ArchivedEventLog, person: UUID, service_dsn: str, postgres_dsn: str, folder: Path, point: str
):
    left = await everything_of(person, log)
    positions = ",".join(map(str, left))
    await say_so(postgres_dsn, left)
    for armed, status in ((f"{point}=die", KILLED_EXIT_STATUS), ("", 0)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ERASE, service_dsn, str(folder), positions,
            env={**os.environ, "FLOWFORGE_FAILPOINTS": armed},
        )  # fmt: skip
        assert await process.wait() == status
        assert (await verify(service_dsn, await ProvenArchives.of(service_dsn, folder))).problems == []
    assert all(CANARY.encode() not in text for text in texts_in(folder))
    assert len(texts_in(folder)) == 1


_ERASE_TEXT = """
import asyncio, sys
import asyncpg
from infra.erasure import erase, erase_copies, erasing, find
erasing.EVENTS_PER_STATEMENT = 3
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    found = await find(connection, text=sys.argv[2])
    copies = await erase_copies(connection, found)
    await erase(connection, found, copies.blobs)
    print(len(found.to_do))
asyncio.run(main())
"""


async def test_an_erasure_that_was_cut_off_finds_what_is_left_when_it_is_done_again(
    log: ArchivedEventLog, postgres_dsn: str
):
    for number in range(2):
        blob = await log.put_blob(b'"%d of %s"' % (number, CANARY.encode()))
        output = msgspec.Raw(b'{"$blob":"%s","size":9}' % blob.encode())
        append, cause = received(number, START)
        run = triggered(cause, START)
        events = new(run, NodeCompleted(node_id="a", output=output), RunCancelled(reason=""))
        await log.append([append, Append([StreamAppend("run", run.run_id, 0, events)], START)])
    for armed, status in (("erasure.after_statement=die", KILLED_EXIT_STATUS), ("", 0)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ERASE_TEXT, postgres_dsn, CANARY, env={**os.environ, "FLOWFORGE_FAILPOINTS": armed}
        )
        assert await process.wait() == status
    owner = await asyncpg.connect(postgres_dsn)
    assert await owner.fetchval("select count(*) from eventlog.blobs") == 0
    kept = await owner.fetch("select distinct type from eventlog.events where salt is not null order by 1")
    assert [row[0] for row in kept] == ["PayloadErased", "RunCancelled"]
    await owner.close()
    assert (await verify(postgres_dsn)).problems == []


@pytest.mark.parametrize("written", [b"Jos\\u00E9+1", b"Jos\\u00E9\\u002B1", "José+1".encode()])
async def test_a_text_is_found_however_its_sender_wrote_it(log: ArchivedEventLog, postgres_dsn: str, written: bytes):
    append, cause = received(1, START)
    run = triggered(cause, START)
    output = msgspec.Raw(b'{"who":"%s"}' % written)
    events = new(run, NodeCompleted(node_id="a", output=output), RunCancelled(reason=""))
    await log.append([append, Append([StreamAppend("run", run.run_id, 0, events)], START)])
    owner = await asyncpg.connect(postgres_dsn)
    try:
        assert (await find(owner, text="José+1")).runs == [run.run_id]
    finally:
        await owner.close()

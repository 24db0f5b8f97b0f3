"""Events of runs that ended move into a file and back, and are read as if nothing had happened."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
from flowforge.identity import derived_uuid
from histories import START, Clock, append_chain_runs

from infra.archive import ArchiveDamaged, ArchivedEventLog, ArchiveFile
from infra.archive import file as archive_file
from infra.archive import moving as moving_room
from infra.archive.catalogue import ArchiveUnreadable
from infra.archive.moving import FolderTaken, Moved, NotRestorable, archive, moving, portions, put_in_place, restore
from infra.eventlog import (
    Append,
    Appended,
    Conflict,
    NewEvent,
    PostgresEventLog,
    StoredEvent,
    StreamAppend,
)
from infra.eventlog.verify import verify

RUN_EVENTS = 12


async def moved(dsn: str, folder: Path, runs: Sequence[UUID]) -> Moved:
    async with moving(dsn) as connection:
        return await archive(connection, folder, runs)


async def all_of(log: ArchivedEventLog, page: int = 1000) -> list[StoredEvent]:
    events: list[StoredEvent] = []
    while found := await log.read(events[-1].position if events else 0, page):
        events += found
    return events


async def in_the_database(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("select count(*) from eventlog.events")
    finally:
        await connection.close()


async def test_archived_events_leave_the_database_and_are_read_as_before(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    before = await all_of(log)
    kept = await in_the_database(service_dsn)
    said = await moved(service_dsn, folder, runs[:6])
    assert (said.file, said.runs_count, said.events_count) == ("runs-000001.jsonl.gz", 6, 6 * RUN_EVENTS)
    assert await in_the_database(service_dsn) == kept - 6 * RUN_EVENTS + 1
    after = await all_of(log)
    assert after[:-1] == before
    assert (after[-1].type, after[-1].position) == ("RunsArchived", said.position)
    for page in (1, 7, 50):
        assert await all_of(log, page) == after


async def test_streams_positions_and_moments_of_archived_runs_are_read_from_the_file(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    streams = await log.read_streams(runs)
    one = streams[runs[2]]
    moment = await log.read_of_moment(runs[2], {"RunCompleted"}, 100)
    ended = await log.read(0, 5, types={"RunCompleted"}, archived=True)
    await moved(service_dsn, folder, runs[:6])
    assert await log.read_streams(runs) == streams
    assert await log.read_stream(runs[2]) == one
    assert await log.read_stream(runs[2], 3, 2) == one[3:5]
    assert await log.read_stream(derived_uuid(START, "unknown")) == []
    assert await log.read_position(one[4].position) == one[4]
    assert await log.read_of_moment(runs[2], {"RunCompleted"}, 100) == moment
    assert await log.read(0, 5, types={"RunCompleted"}, archived=True) == ended
    assert len(await log.read(0, 50, types={"RunCompleted"})) == 4
    assert set(await log.archived(runs)) == set(runs[:6])


async def test_several_archives_whose_positions_overlap_are_read_in_order(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    before = await all_of(log)
    await moved(service_dsn, folder, runs[::3])
    await moved(service_dsn, folder, runs[1::3])
    assert (await all_of(log, 9))[: len(before)] == before


async def test_a_log_opened_before_finds_what_another_process_has_archived(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    async with await ArchivedEventLog.open(service_dsn, folder) as other:
        before = await all_of(other)
        await moved(service_dsn, folder, runs)
        assert (await all_of(other))[: len(before)] == before


async def test_an_archived_stream_takes_nothing_more_whatever_is_expected(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    await moved(service_dsn, folder, runs[:1])
    for expected in (0, RUN_EVENTS):
        for event_count in (1, 2):  # the small function, and with another group the large one
            groups = [
                Append([StreamAppend("run", run_id, expected, [NewEvent("X", b"{}")])], START)
                for run_id in (runs[0], derived_uuid(START, "new", expected, event_count))[:event_count]
            ]
            answers = await log.append(groups)
            assert answers[0] == Conflict(runs[0], -RUN_EVENTS)
            if event_count == 2 and expected == 0:
                assert isinstance(answers[1], Appended)


async def test_restored_events_are_where_they_were(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    before = await all_of(log)
    said = await moved(service_dsn, folder, runs[:6])
    async with moving(service_dsn) as connection:
        back = await restore(connection, folder / said.file)
    assert (back.runs_count, back.events_count) == (6, 6 * RUN_EVENTS)
    (folder / said.file).unlink()
    assert [event.type for event in await all_of(log)][-2:] == ["RunsArchived", "RunsRestored"]
    assert (await all_of(log))[: len(before)] == before
    async with await PostgresEventLog.connect(service_dsn) as plain:
        assert (await plain.read(0, 1000))[: len(before)] == before
    assert await log.archived(runs) == {}
    answer = await log.append([Append([StreamAppend("run", runs[0], RUN_EVENTS, [NewEvent("X", b"{}")])], START)])
    assert isinstance(answer[0], Appended)


async def test_what_was_restored_can_be_archived_again(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    before = await all_of(log)
    said = await moved(service_dsn, folder, runs[:6])
    async with moving(service_dsn) as connection:
        await restore(connection, folder / said.file)
    again = await moved(service_dsn, folder, runs)
    assert again.file == "runs-000002.jsonl.gz"
    assert (await all_of(log))[: len(before)] == before


async def test_blobs_of_archived_runs_travel_with_them(
    log: ArchivedEventLog, service_dsn: str, postgres_dsn: str, folder: Path, runs: list[UUID]
):
    name = await log.put_blob(b'["large"]')
    run_id = derived_uuid(START, "with blob")
    data = b'{"node_id":"a","output":{"$blob":"%s","size":9}}' % name.encode()
    await log.append([Append([StreamAppend("run", run_id, 0, [NewEvent("NodeCompleted", data), ended()])], START)])
    said = await moved(service_dsn, folder, [run_id])
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("delete from eventlog.blobs")
    assert await log.get_blob(name) == b'["large"]'
    async with moving(service_dsn) as connection:
        await restore(connection, folder / said.file)
    (folder / said.file).unlink()
    assert await log.get_blob(name) == b'["large"]'
    await owner.close()


def ended() -> NewEvent:
    return NewEvent("RunCancelled", b"{}")


async def test_json_texts_come_back_byte_for_byte(log: ArchivedEventLog, service_dsn: str, folder: Path):
    texts = [b'{ "a" : 1e400,\n "b":12345678901234567890123 }', '{"é":"\\u0041\\n\U0001f600\u2028"}'.encode(), b"null"]
    run_id = derived_uuid(START, "texts")
    events = [*(NewEvent("X", text) for text in texts), ended()]
    await log.append([Append([StreamAppend("run", run_id, 0, events)], START, actor="ädä", traceparent="x")])
    before = await log.read_stream(run_id)
    await moved(service_dsn, folder, [run_id])
    assert await log.read_stream(run_id) == before
    assert [event.data for event in before[:3]] == texts


async def test_entries_come_back_within_their_commits(log: ArchivedEventLog, service_dsn: str, folder: Path):
    run_id = derived_uuid(START, "alike")
    for version, events in enumerate(([NewEvent("Paid_1", b"1", 2)], [NewEvent("Paid", b"2")], [ended()])):
        await log.append([Append([StreamAppend("run", run_id, version, events)], START)])
    before = await log.read(0)
    file = folder / (await moved(service_dsn, folder, [run_id])).file
    async with moving(service_dsn) as connection:
        await restore(connection, file)
    report = await verify(service_dsn)
    assert (report.batches, report.problems) == (5, [])
    assert (await log.read(0))[:3] == before
    assert [event.data for event in await log.read(0, types=["Paid"])] == [b"2"]
    assert [event.position for event in await log.read(0, 1, types=["Paid_1", "%", "Paid\\"])] == [1]


async def test_a_run_that_has_not_ended_is_not_archived(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    open_run = derived_uuid(START, "open")
    await log.append([Append([StreamAppend("run", open_run, 0, [NewEvent("RunStarted", b"{}")])], START)])
    before = await all_of(log)
    with pytest.raises(asyncpg.DataError, match="only runs that have ended"):
        await moved(service_dsn, folder, [open_run, runs[0]])
    assert await all_of(log) == before


@pytest.mark.parametrize("words", [["RunRetryRequested"], ["RunRetryRequested", "RunRetried", "NodeQueued"]])
async def test_a_run_that_is_retried_stays_in_the_log_though_it_had_ended_once(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, words: list[str]
):
    await log.append([Append([StreamAppend("run", runs[0], RUN_EVENTS, [NewEvent(w, b"{}") for w in words])], START)])
    before = await all_of(log)
    with pytest.raises(asyncpg.SerializationError, match="1 of these runs are retried"):
        await moved(service_dsn, folder, runs)
    assert await all_of(log) == before
    assert await log.archived(runs) == {}


async def test_a_run_that_was_retried_in_vain_is_archived(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    words = [NewEvent(word, b"{}") for word in ("RunRetryRequested", "RunRetryRefused")]
    await log.append([Append([StreamAppend("run", runs[0], RUN_EVENTS, words)], START)])
    assert (await moved(service_dsn, folder, runs)).runs_count == len(runs)


async def test_only_the_archiving_function_deletes(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, postgres_dsn: str
):
    for dsn in (service_dsn, postgres_dsn):
        connection = await asyncpg.connect(dsn)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from eventlog.entries where stream_id = $1", runs[0])
        await connection.close()


async def test_a_file_that_is_not_what_was_archived_takes_nothing_from_the_log(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    before = await all_of(log)
    connection = await asyncpg.connect(service_dsn)
    with pytest.raises(asyncpg.SerializationError, match="does not have exactly the events"):
        await connection.execute(
            "select eventlog.archive_runs(1, 'f', ''::bytea, 0, sha256('other'), null, $1, '{1}', '{1}', '{1}', '{}',"
            " 'RunsArchived', '{}', gen_random_uuid(), 0, sha256(''), now(), null)",
            runs[:1],
        )
    await connection.close()
    assert await all_of(log) == before


async def test_a_blob_that_is_only_in_another_archive_goes_with_who_refers_to_it(
    log: ArchivedEventLog, service_dsn: str, postgres_dsn: str, folder: Path
):
    name = await log.put_blob(b'["large"]')
    data = b'{"node_id":"a","output":{"$blob":"%s","size":9}}' % name.encode()
    origin, fork = derived_uuid(START, "origin"), derived_uuid(START, "fork")
    await log.append([Append([StreamAppend("run", origin, 0, [NewEvent("NodeCompleted", data), ended()])], START)])
    first = await moved(service_dsn, folder, [origin])
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("delete from eventlog.blobs")  # as the sweep does
    await owner.close()
    await log.append([Append([StreamAppend("run", fork, 0, [NewEvent("NodeCompleted", data), ended()])], START)])
    second = await moved(service_dsn, folder, [fork])
    assert ArchiveFile.open(folder / second.file).blob(name) == b'["large"]'
    assert ArchiveFile.open(folder / first.file).blob(name) == b'["large"]'


async def test_large_runs_are_spread_over_files_by_the_bytes_of_their_payloads(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(moving_room, "PAYLOAD_BYTES_PER_ARCHIVE_MAX", 2_500)
    monkeypatch.setattr(moving_room, "FAMILY_PAYLOAD_BYTES_MAX", 10_000)
    huge = derived_uuid(START, "huge")
    text = NewEvent("X", b'"%s"' % (b"x" * 11_000))
    await log.append([Append([StreamAppend("run", huge, 0, [text, ended()])], START)])
    async with moving(service_dsn) as connection:
        found = [portion async for portion in portions(connection, [[run] for run in (*runs, huge)])]
    assert [run for portion in found for run in portion] == runs
    assert len(found) > 1


# --- whose file it is ---------------------------------------------------------------------------------------------------


def of_another_log(said: Moved, folder: Path) -> bytes:
    path = folder / said.file
    opened = ArchiveFile.open(path)
    header = msgspec.structs.replace(opened.header, incarnation=derived_uuid(START, "another log"))
    archive_file.write(path, header, [], list(opened.records()))
    return path.read_bytes()


async def test_a_folder_of_another_log_is_refused_and_its_files_stay(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    path = folder / "runs-000002.jsonl.gz"
    foreign = of_another_log(await moved(service_dsn, folder, runs[:3]), folder)
    for content in (foreign, b"something else"):
        path.write_bytes(content)
        with pytest.raises(FolderTaken, match=r"is not of this log .* move it away"):
            await moved(service_dsn, folder, runs[3:])
        assert path.read_bytes() == content
    assert set(await log.archived(runs)) == set(runs[:3])


async def test_who_has_lost_its_right_to_archive_overwrites_nothing(tmp_path: Path):
    draft, path = tmp_path / "draft", tmp_path / "runs-000001.jsonl.gz"
    draft.write_bytes(b"of one that is late")
    path.write_bytes(b"of the one that archives now")
    with pytest.raises(FileExistsError):
        put_in_place(draft, path)
    assert path.read_bytes() == b"of the one that archives now"


async def test_a_file_is_ours_alone_from_its_first_byte_on(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    folder.mkdir()
    draft = folder / ".runs-000001.jsonl.gz.draft"
    draft.write_bytes(b"left by a kill, for all to read")
    draft.chmod(0o644)
    with draft.open("rb+") as held:
        said = await moved(service_dsn, folder, runs)
        held.write(b"a writer that was thought dead")
    assert (folder / said.file).stat().st_mode & 0o777 == 0o600
    ArchiveFile.open(folder / said.file).check()


# --- what is wrong with a file ----------------------------------------------------------------------------------------


async def test_a_missing_archive_is_named_by_whoever_reads_it(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    said = await moved(service_dsn, folder, runs[:6])
    (folder / said.file).unlink()
    with pytest.raises(
        ArchiveUnreadable, match=r"runs-000001\.jsonl\.gz .* it is not there\. It has 72 events of positions"
    ):
        await log.read_stream(runs[0])
    with pytest.raises(ArchiveUnreadable, match="put it back into FLOWFORGE_ARCHIVE_DIR from a backup"):
        await all_of(log)
    assert await log.read_stream(runs[7])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: content[:-1], "its end is missing"),
        (lambda _: b"", "its end is missing"),
        (lambda content: b"not gzip" + content[8:], "damaged at byte 0"),
        (lambda content: content[:600] + bytes([content[600] ^ 1]) + content[601:], "damaged at byte"),
    ],
)
async def test_a_damaged_file_is_refused_and_nothing_is_restored(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, spoil: object, says: str
):
    said = await moved(service_dsn, folder, runs[:6])
    path = folder / said.file
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    async with moving(service_dsn) as connection:
        with pytest.raises(ArchiveDamaged, match=says):
            await restore(connection, path)
    assert set(await log.archived(runs)) == set(runs[:6])


async def test_an_archive_is_restored_once_and_into_its_own_log_only(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, tmp_path: Path
):
    said = await moved(service_dsn, folder, runs[:6])
    foreign = tmp_path / "foreign.jsonl.gz"
    foreign.write_bytes((folder / said.file).read_bytes())
    async with moving(service_dsn) as connection:
        await restore(connection, folder / said.file)
        with pytest.raises(NotRestorable, match="was restored already"):
            await restore(connection, foreign)
        with pytest.raises(NotRestorable, match="there is no file"):
            await restore(connection, folder / "nothing")


async def test_an_archive_of_another_log_is_refused(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path, postgres_dsn: str
):
    said = await moved(service_dsn, folder, runs[:6])
    opened = ArchiveFile.open(folder / said.file)
    owner = await asyncpg.connect(postgres_dsn)
    await owner.execute("delete from eventlog.archived_streams; delete from eventlog.archives")
    await owner.close()
    async with moving(service_dsn) as connection:
        with pytest.raises(NotRestorable, match=f"not an archive of this log .*{opened.header.incarnation}"):
            await restore(connection, folder / said.file)


async def test_a_header_in_python_is_the_header_in_the_database(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    actors = [None, "", "ädä"]
    for number, actor in enumerate(actors):
        group = Append(
            [StreamAppend("run", runs[0], RUN_EVENTS + number, new_x())], START, actor=actor, traceparent=actor
        )
        await log.append([group])
    connection = await asyncpg.connect(service_dsn)
    rows = await connection.fetch(
        "select position, eventlog.event_header(position, stream_id, version, stream_type, type, schema_version,"
        " recorded_at, correlation_id, causation_id, traceparent, actor, sha256(salt || convert_to(data::text, 'UTF8')))"
        " from eventlog.events where stream_id = $1",
        runs[0],
    )
    await connection.close()
    expected = dict(rows)
    said = await moved(service_dsn, folder, runs[:1])
    found = {record.position: record.header for record in ArchiveFile.open(folder / said.file).records()}
    assert found == expected
    erased = {r.position: r.erased(b"{}").header for r in ArchiveFile.open(folder / said.file).records()}
    assert erased == expected


def new_x() -> list[NewEvent]:
    return [NewEvent("X", b'{"a": 1}')]


async def test_appends_go_on_while_runs_are_archived(
    log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path
):
    more = await append_chain_runs(log, Clock(), range(100, 140))
    before = await all_of(log)
    async with moving(service_dsn) as connection:
        await archive(connection, folder, more)
    assert (await all_of(log, 33))[: len(before)] == before

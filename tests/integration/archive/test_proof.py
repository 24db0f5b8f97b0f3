"""The chain is proven through archives; a file that is missing, damaged or changed is named with its first place."""

import gzip
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from infra.archive import ArchivedEventLog, ArchiveFile
from infra.archive import file as archive_file
from infra.archive.moving import archive, moving, restore
from infra.archive.proof import ProvenArchives
from infra.eventlog.verify import Report, verify


@pytest.fixture
async def path(log: ArchivedEventLog, runs: list[UUID], service_dsn: str, folder: Path) -> Path:
    """Of ten runs six are archived; the file."""
    async with moving(service_dsn) as connection:
        return folder / (await archive(connection, folder, runs[:6])).file


async def proven(dsn: str, folder: Path) -> Report:
    return await verify(dsn, await ProvenArchives.of(dsn, folder))


async def test_a_log_with_archives_is_whole_and_a_reader_can_tell(log: ArchivedEventLog, path: Path, reader_dsn: str):
    report = await proven(reader_dsn, path.parent)
    assert (report.problems, report.events) == ([], (await log.head()).position)


async def test_without_its_archives_it_is_not_whole(path: Path, reader_dsn: str):
    assert {problem.kind for problem in (await verify(reader_dsn)).problems} == {"missing_events"}


async def test_a_missing_file_is_one_problem_with_its_place(path: Path, reader_dsn: str):
    path.unlink()
    [problem] = (await proven(reader_dsn, path.parent)).problems
    assert (problem.kind, problem.first_position, problem.last_position) == ("archive", 12, 123)
    assert "runs-000001.jsonl.gz cannot be read: it is not there" in problem.message


async def test_a_flipped_bit_is_found_with_its_place(path: Path, reader_dsn: str):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    problems = (await proven(reader_dsn, path.parent)).problems
    assert {problem.kind for problem in problems} == {"archive"}
    assert problems[0].first_position == 12


async def test_a_file_made_to_fit_itself_does_not_fit_the_chain(path: Path, reader_dsn: str):
    opened = ArchiveFile.open(path)
    records = [msgspec.structs.replace(r, actor="eve") if r.position == 60 else r for r in opened.records()]
    archive_file.write(path, opened.header, [], records)
    problems = (await proven(reader_dsn, path.parent)).problems
    assert "it has other events than were archived" in problems[0].message


async def test_any_tool_reads_the_file(path: Path):
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert lines[0].startswith(b'{"format":"flowforge-archive","format_version":1,')
    assert len(lines) == 1 + 6 * 12 + 1


async def test_what_is_archived_or_put_back_while_the_log_is_proven_is_no_problem(
    log: ArchivedEventLog, path: Path, runs: list[UUID], service_dsn: str, reader_dsn: str
):
    proven_before = await ProvenArchives.of(reader_dsn, path.parent)
    async with moving(service_dsn) as connection:
        await restore(connection, path)
        await archive(connection, path.parent, runs[4:])
    assert (await verify(reader_dsn, proven_before)).problems == []

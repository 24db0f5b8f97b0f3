"""`archive`, `restore`, `backup`: what keeps a system for years, and brings it back."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from services.cli.commands.system import database_url, read_models, settings_of
from services.cli.connect import START_IT, Session
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Failure, table

Hidden = Parameter(parse=False)
_AGE = re.compile(r"(\d{1,9})\s*([smhdw]?)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "": 86_400}


# --- archives ---------------------------------------------------------------------------------------------------------


async def archive(
    *,
    older_than: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    list: Annotated[bool, Parameter(negative=())] = False,  # noqa: A002  the name of the option
    session: Annotated[Session, Hidden],
) -> int:
    """Move the events of runs that ended long ago, with all their children and parents, from the log into files.

    They stay in the lists, and everything of them can be read as before, from the files; only the lines of their jobs go.
    The files are in FLOWFORGE_ARCHIVE_DIR, else in `archives` of the home: keep them, they are a part of the log.

    Parameters
    ----------
    older_than
        Since when they have ended, such as 90d, 12h, 30m.
    dry_run
        Only say how much there is.
    list
        Show the archives that there are.
    """
    if list:
        return await _list(session)
    if older_than is None:
        raise Failure("say of when the runs are", "such as: flowforge archive --older-than 90d", status=EXIT_USAGE)
    options = ["--older-than", str(_seconds(older_than)), "--actor", "admin"]
    said = await read_models(session, "archive", *options, *(["--dry-run"] if dry_run else []))
    output = session.output
    output.json(said)
    deed = "would be archived" if dry_run else "archived"
    events = f"{said['events_count']:,} events"
    size = f", {_size(said['events_bytes'])} in the log" if dry_run else f" in {_size(said['files_bytes'])}"
    line = Text.assemble((f"{said['runs_count']:,} runs {deed}", "bold"), (f"  {events}{size}", "dim"))
    output.say(output.state("completed", line))
    for file in said["files"]:
        output.say(f"  {file}")
    if said["put_off_count"]:
        output.say(Text(f"  {said['put_off_count']:,} went on meanwhile, and stay: archive again later", "yellow"))
    return EXIT_OK


def _seconds(age: str) -> int:
    given = _AGE.fullmatch(age.strip())
    if given is None:
        raise Failure(
            f"--older-than: {age!r} is no age", "give a number of days, or such as 90d, 12h, 30m", status=EXIT_USAGE
        )
    return int(given[1]) * _SECONDS[given[2]]


async def _list(session: Session) -> int:
    import asyncpg

    from infra.archive.catalogue import Archive
    from infra.archive.moving import archives

    folder = settings_of(session).archive_folder
    with _database(session) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            found: Any = await archives(connection)
        finally:
            await connection.close()

    def state(one: Archive) -> str:
        return "restored" if one.restored_at else "kept" if (folder / one.file).is_file() else "missing"

    session.output.json(
        {
            "folder": str(folder),
            "items": [
                {
                    "archive": one.file, "state": state(one), "runs_count": one.streams_count,
                    "events_count": one.events_count, "size": one.size, "first_position": one.first_position,
                    "last_position": one.last_position, "archived_at": one.archived_at, "restored_at": one.restored_at,
                    "sha256": one.sha256.hex(),
                }
                for one in found
            ],
        }
    )  # fmt: skip
    grid = table("archive", "runs", "events", "size", "positions", "archived", "", right=("runs", "events", "size"))
    for one in found:
        grid.add_row(
            one.file, f"{one.streams_count:,}", f"{one.events_count:,}", _size(one.size),
            f"{one.first_position:,} to {one.last_position:,}", f"{one.archived_at:%Y-%m-%d %H:%M}", state(one),
        )  # fmt: skip
    session.output.say(grid if found else "nothing was archived yet", Text(f"in {folder}", "dim"))
    return EXIT_FAILED if any(state(one) == "missing" for one in found) else EXIT_OK


# --- restore ----------------------------------------------------------------------------------------------------------


async def restore(
    archive: str | None = None,
    /,
    *,
    backup: Annotated[Path | None, Parameter(name=("--from",))] = None,
    session: Annotated[Session, Hidden],
) -> int:
    """Put the runs of an archive back into the log; or, with --from, make a new home of a backup.

    Parameters
    ----------
    archive
        An archive's name, or the path of its file.
    backup
        A file that `flowforge backup` wrote. The home (--home, FLOWFORGE_HOME) is empty, or not there yet.
    """
    if (archive is None) == (backup is None):
        hint = "flowforge restore ARCHIVE, or: flowforge restore --from BACKUP"
        raise Failure("name either an archive or a backup", hint, status=EXIT_USAGE)
    if backup is not None:
        return await _restore_backup(backup, session)
    assert archive is not None
    return await _restore_archive(archive, session)


async def _restore_archive(archive: str, session: Session) -> int:
    from infra.archive import ArchiveDamaged
    from infra.archive.moving import ArchivingBusy, NotRestorable, moving
    from infra.archive.moving import restore as put_back

    named = settings_of(session).archive_folder / archive
    path = named if named.is_file() or "/" not in archive else Path(archive)
    with _database(session) as dsn:
        try:
            async with moving(dsn) as connection:
                back = await put_back(connection, path, actor="admin")
        except (ArchiveDamaged, NotRestorable, ArchivingBusy) as refused:
            raise Failure(str(refused), "see what there is with: flowforge archive --list") from refused
    session.output.json(back)
    numbers = Text(f"  {back.runs_count:,} runs, {back.events_count:,} events; the file is no longer needed", "dim")
    session.output.say(
        session.output.state("completed", (f"{back.file} is in the log again", "bold")).append_text(numbers)
    )
    return EXIT_OK


async def _restore_backup(backup: Path, session: Session) -> int:
    from infra.backup import BackupDamaged, NotRestored
    from infra.backup import restore as make_home

    settings = settings_of(session)
    with _telling(session) as tell:
        try:
            manifest, report = await make_home(backup, settings, os.environ, tell)
        except (BackupDamaged, NotRestored) as refused:
            raise Failure(str(refused), "check the file with: flowforge backup --check FILE") from refused
    session.output.json({"home": str(settings.home), "position": manifest.position, "ok": report.ok})
    line = Text.assemble(
        (f"{settings.home} is as it was at {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC", "bold"),
        (f"  {report.events:,} events, every hash of the log proven", "dim"),
    )
    session.output.say(session.output.state("completed", line), Text(f"  {START_IT}", "cyan"))
    return EXIT_OK


# --- backup -----------------------------------------------------------------------------------------------------------


async def backup(
    target: Path,
    /,
    *,
    check: Annotated[bool, Parameter(negative=())] = False,
    session: Annotated[Session, Hidden],
) -> int:
    """Write everything into one file while it all goes on: log, archives, secrets, keys and logins; keep it safe.

    Parameters
    ----------
    target
        A new file; or a folder, in which the file is named after the time.
    check
        Instead of writing, read this backup and say whether it is whole.
    """
    from infra.archive.moving import ArchivingBusy
    from infra.backup import BackupDamaged, BackupFailed, write
    from infra.backup import check as look

    if check:
        try:
            manifest = look(target)
        except BackupDamaged as damaged:
            raise Failure(str(damaged), "make a new one with: flowforge backup FILE") from damaged
        path, deed = target, "is whole"
    else:
        settings = settings_of(session)
        with _database(session) as dsn, _telling(session) as tell:
            try:
                path, manifest = await write(dsn, settings, target, tell)
            except (BackupFailed, ArchivingBusy) as failed:
                raise Failure(str(failed)) from failed
            except OSError as failed:
                raise Failure(f"{target} cannot be written: {failed}") from failed
        deed = "written"
    rows = sum(each.rows_count for each in manifest.tables)
    session.output.json({"file": str(path), "position": manifest.position, "rows": rows, "size": path.stat().st_size})
    line = Text.assemble(
        (f"{path} {deed}", "bold"), (f"  {_size(path.stat().st_size)}, as of position {manifest.position:,}", "dim")
    )
    session.output.say(session.output.state("completed", line))
    return EXIT_OK


# --- what they share --------------------------------------------------------------------------------------------------


@contextmanager
def _database(session: Session) -> Generator[str]:
    """The services' login; a database that does not answer is a failure with its next step."""
    import asyncpg

    try:
        yield database_url(session)
    except (asyncpg.PostgresConnectionError, ConnectionError) as fault:
        raise Failure("the database does not answer", START_IT, status=EXIT_UNREACHABLE) from fault


@contextmanager
def _telling(session: Session) -> Generator[Callable[[str], None]]:
    """What is being done, on one line of a terminal."""
    from rich.status import Status

    if not session.output.err.is_terminal:
        yield lambda _: None
        return
    with Status("", console=session.output.err) as status:
        yield lambda what: status.update(Text(what, "dim"))


def _size(count: int) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024  # type: ignore[assignment]
    return f"{count:,.1f} GB"

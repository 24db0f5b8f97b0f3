"""python -m services.projections            follow the log
python -m services.projections rebuild    build all read models anew and put them in place
python -m services.projections verify     build them beside the live ones and compare, byte for byte
python -m services.projections archive    move runs that ended `--older-than` seconds ago into archives

`--json` gives one JSON object per line. Exit status 0 only on success.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import uvloop
from flowforge.events import UnknownEvent

from infra.archive import ArchiveDamaged, ArchivedEventLog
from infra.archive.moving import ArchivingBusy
from infra.eventlog import Unavailable
from infra.eventlog.connections import UnsuitableServer
from infra.settings import Settings, SettingsError, load_settings
from infra.telemetry.logs import write_logs
from services.projections.archiving import Archived, ArchiveProgress, archive_older
from services.projections.projector import LogBroken, LogChanged
from services.projections.rebuild import Busy, Difference, Progress, Rebuilt, Verified, rebuild, verify
from services.projections.wiring import Projections

Told = Progress | Rebuilt | Verified | ArchiveProgress | Archived
_TOLD = (
    Busy, LogChanged, LogBroken, UnknownEvent, UnsuitableServer, Unavailable, OSError, ArchivingBusy, ArchiveDamaged,
)  # fmt: skip
"""Faults that a person is told of in a sentence."""


def main() -> int:
    """Run what the arguments say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.projections", description="The read models of FlowForge.")
    parser.add_argument("command", nargs="?", choices=["serve", "rebuild", "verify", "archive"], default="serve")
    parser.add_argument("--older-than", type=float, metavar="SECONDS", help="of archive: since when runs have ended")
    parser.add_argument("--dry-run", action="store_true", help="of archive: only count")
    parser.add_argument("--actor", help="of archive: who asked for it")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
    except SettingsError as fault:
        print(fault, file=sys.stderr)
        return 2
    write_logs("projections", settings)
    if arguments.command == "serve":
        return _serve(settings)
    if arguments.command == "archive" and not (arguments.older_than is not None and arguments.older_than >= 0):
        parser.error("archive takes --older-than, seconds from 0")
    write = _writer(as_json=arguments.json)
    try:
        if arguments.command == "archive":
            return uvloop.run(_archive(settings, arguments, write))
        return uvloop.run(_once(settings, arguments.command, write))
    except _TOLD as fault:
        print(fault, file=sys.stderr)
        return 1


def _serve(settings: Settings) -> int:
    service = Projections(settings)
    uvloop.run(service.app.run())
    return 0 if service.fault is None else 1


async def _once(settings: Settings, command: str, write: Callable[[Told], None]) -> int:
    if settings.database_url is None:
        raise UnsuitableServer("FLOWFORGE_DATABASE_URL names no server")
    async with await ArchivedEventLog.open(settings.database_url, settings.archive_folder) as log:
        if command == "rebuild":
            write(await rebuild(log, settings.database_url, write))
            return 0
        verified = await verify(log, settings.database_url, write)
        write(verified)
        return 0 if verified.is_equal else 1


async def _archive(settings: Settings, arguments: argparse.Namespace, write: Callable[[Told], None]) -> int:
    if settings.database_url is None:
        raise UnsuitableServer("FLOWFORGE_DATABASE_URL names no server")
    done = await archive_older(
        settings.database_url,
        settings.archive_folder,
        datetime.now(UTC) - timedelta(seconds=arguments.older_than),
        dry_run=arguments.dry_run,
        actor=arguments.actor,
        tell=write,
    )
    write(done)
    return 0


def _writer(*, as_json: bool) -> Callable[[Told], None]:
    def write(message: Told) -> None:
        print(msgspec.json.encode(message).decode() if as_json else _sentence(message), flush=True)

    return write


def _sentence(message: Told) -> str:
    match message:
        case ArchiveProgress(file, runs_count, events_count, size):
            return f"{file}: {runs_count:,} runs, {events_count:,} events, {size:,} bytes"
        case Archived(ended_before, dry_run, runs_count, events_count):
            deed = "would be archived" if dry_run else "archived"
            return f"{runs_count:,} runs that ended before {ended_before.isoformat()} {deed} ({events_count:,} events)"
        case Progress(position, head, events_per_s, eta_s):
            return f"position {position:,} of {head:,}, {events_per_s:,} events/s, {eta_s:.0f} s to go"
        case Rebuilt(position, events_per_s, took_s):
            return f"rebuilt up to position {position:,} in {took_s:.1f} s ({events_per_s:,} events/s)"
        case Verified(position, rows, took_s, None):
            return f"{rows:,} rows are what the log says at position {position:,} ({took_s:.1f} s)"
        case Verified(position, _, _, Difference() as found):
            where = f"{found.table} {found.key}" + (f", column {found.column}" if found.column else "")
            return f"different at position {position:,}: {where}\n  live:  {found.live}\n  fresh: {found.fresh}"
        case _:
            raise TypeError(message)


if __name__ == "__main__":
    sys.exit(main())

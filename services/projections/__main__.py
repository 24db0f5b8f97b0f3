"""python -m services.projections            follow the log
python -m services.projections rebuild    build all read models anew and put them in place
python -m services.projections verify     build them beside the live ones and compare, byte for byte

`--json` gives one JSON object per line. Exit status 0 only on success.
"""

import argparse
import sys
from collections.abc import Callable

import msgspec
import uvloop
from flowforge.events import UnknownEvent

from infra.eventlog import PostgresEventLog, Unavailable
from infra.eventlog.connections import UnsuitableServer
from infra.settings import Settings, SettingsError, load_settings
from infra.telemetry.logs import write_logs
from services.projections.projector import LogBroken, LogChanged
from services.projections.rebuild import Busy, Difference, Progress, Rebuilt, Verified, rebuild, verify
from services.projections.wiring import Projections


def main() -> int:
    """Run what the arguments say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.projections", description="The read models of FlowForge.")
    parser.add_argument("command", nargs="?", choices=["serve", "rebuild", "verify"], default="serve")
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
    try:
        return uvloop.run(_once(settings, arguments.command, _writer(as_json=arguments.json)))
    except (Busy, LogChanged, LogBroken, UnknownEvent, UnsuitableServer, Unavailable, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1


def _serve(settings: Settings) -> int:
    service = Projections(settings)
    uvloop.run(service.app.run())
    return 0 if service.fault is None else 1


async def _once(settings: Settings, command: str, write: Callable[[Progress | Rebuilt | Verified], None]) -> int:
    if settings.database_url is None:
        raise UnsuitableServer("FLOWFORGE_DATABASE_URL names no server")
    async with await PostgresEventLog.connect(settings.database_url) as log:
        if command == "rebuild":
            write(await rebuild(log, settings.database_url, write))
            return 0
        verified = await verify(log, settings.database_url, write)
        write(verified)
        return 0 if verified.is_equal else 1


def _writer(*, as_json: bool) -> Callable[[Progress | Rebuilt | Verified], None]:
    def write(message: Progress | Rebuilt | Verified) -> None:
        print(msgspec.json.encode(message).decode() if as_json else _sentence(message), flush=True)

    return write


def _sentence(message: Progress | Rebuilt | Verified) -> str:
    match message:
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

"""`erase`: a person's data out of the log, the read models, blobs and the bus. It first shows what it would do."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import os
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec
from cyclopts import Parameter
from flowforge import home as installation
from rich.text import Text

from services.cli.commands.system import READER, read_models, settings_of
from services.cli.connect import START_IT, Session
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Failure

if TYPE_CHECKING:
    from infra.erasure import Preview

Hidden = Parameter(parse=False)
RUNS_SHOWN_MAX = 10
OWNER, SUPERVISOR = "flowforge_owner", "supervisor"


async def erase(
    *run: str,
    text: str = "",
    reason: str = "",
    yes: Annotated[bool, Parameter(negative=())] = False,
    scrub: bool = True,
    session: Annotated[Session, Hidden],
) -> int:
    """Erase what a person left in runs and events, for good. Without --yes it only says what would go.

    The log keeps that the runs were, and how each node ended; what they were given, said and made is gone.

    Parameters
    ----------
    run
        Ids of runs, which must have ended; their children and causes go with them.
    text
        What only that person has, such as an address: every event with it, and every run of these.
    reason
        Why; it is kept in the log.
    yes
        Do it.
    scrub
        Write the tables anew that had something of it, so that no file of Postgres has it as bytes: what is logged
        meanwhile waits, about a second for each 100 MB that were logged in the same month.
    """
    import asyncpg

    from infra.archive import ArchiveDamaged
    from infra.archive.moving import ArchivingBusy
    from infra.erasure import NotErasable, find
    from infra.erasure.scrubbing import scrub as scrubbed

    if not run and not text:
        raise Failure("nothing to erase is named", "give ids of runs, or --text", status=EXIT_USAGE)
    runs = [_run_id(each) for each in run]
    connection = await _as_owner(session)
    try:
        if not yes:
            found = await find(connection, runs, text, settings_of(session).archive_folder)
            _show(session, found)
            session.output.json({"done": False, **_preview(found)})
            return EXIT_OK
        found, said = await _erase(session, connection, runs, text, reason)
        models = await read_models(session, "rebuild")
        if scrub:
            said["scrubbed"] = await scrubbed(connection, [piece.position for piece in found.pieces])
    except (NotErasable, ArchivingBusy, ArchiveDamaged) as refused:
        raise Failure(str(refused)) from refused
    except asyncpg.InsufficientPrivilegeError as refused:
        raise Failure("this login of the database may not erase: only the log's owner may", str(refused)) from refused
    finally:
        await connection.close()
    session.output.json({"done": True, **_preview(found), **said})
    counts = ", ".join(f"{count:,} {what}" for what, count in said["copies"].items() if count)
    session.output.say(
        session.output.state(
            "completed", ("erased", "bold"), f"  {said['events']:,} events, {len(said['blobs']):,} blobs"
        ),
        Text(
            f"  and {counts or 'no copies'}; {said['messages']:,} messages; "
            f"read models built anew at {models['position']:,}",
            "dim",
        ),
    )
    if not said.get("scrubbed"):
        session.output.say(Text("  its bytes stay in files of Postgres until these are written over", "dim"))
    return EXIT_FAILED if found.standing else EXIT_OK


async def _erase(
    session: Session, connection: Any, runs: list[UUID], text: str, reason: str
) -> tuple["Preview", dict[str, Any]]:
    """What was found and what was done. Nobody archives, restores or backs up meanwhile; the log, by which everything is
    found, comes after all that keeps copies, so that one that was cut off finds it again."""
    from infra.archive.erasing import erase_from_archive
    from infra.archive.moving import moving
    from infra.erasure import erase as erase_events
    from infra.erasure import erase_copies, find

    archives = settings_of(session).archive_folder
    async with moving(_owner_url(session)) as mover:
        found = await find(connection, runs, text, archives)
        _show(session, found)
        copies = await erase_copies(connection, found)
        messages = await _from_bus(session, copies.blobs, found.runs)
        done = await erase_events(connection, found, copies.blobs, actor=_me(), reason=reason)
        left = {piece.position: piece.left for piece in found.pieces}
        rewritten = await erase_from_archive(mover, archives, left)
    said = {"blobs": copies.blobs, "copies": copies.counts, "messages": messages, "archives": rewritten}
    return found, {**msgspec.to_builtins(done), **said}


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Failure(f"'{text}' is no id of a run", "list them with: flowforge runs", status=EXIT_USAGE) from None


def _me() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "owner"


def _preview(found: "Preview") -> dict[str, Any]:
    return {"events": len(found.to_do), "runs": [str(each) for each in found.runs], "standing": found.standing}


def _show(session: Session, found: "Preview") -> None:
    said = session.output
    said.say(Text(f"{len(found.to_do):,} events of {len(found.runs):,} runs have something to erase", "bold"))
    said.say(*[Text(f"  {each}", "cyan") for each in found.runs[:RUNS_SHOWN_MAX]])
    if len(found.runs) > RUNS_SHOWN_MAX:
        said.say(Text(f"  and {len(found.runs) - RUNS_SHOWN_MAX:,} more", "dim"))
    for each in found.standing:
        said.say(Text(f"  cannot be erased: {each}; a definition is changed by saving it anew", "yellow"))


def _passwords(session: Session) -> dict[str, Any]:
    file = session.folder / "credentials.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as fault:
        raise Failure(f"cannot read the logins in {file}: {fault}", status=EXIT_UNREACHABLE) from fault


def _owner_url(session: Session) -> str:
    """FLOWFORGE_DATABASE_URL, which is then to be the owner's login, or that of the running installation."""
    if given := os.environ.get("FLOWFORGE_DATABASE_URL"):
        return given
    address = installation.endpoints(session.folder).database
    if not address:
        raise Failure(f"nothing runs in {session.folder}", START_IT, status=EXIT_UNREACHABLE)
    parts = urlsplit(address)
    if not (parts.username or "").endswith(READER):
        return address
    password = quote(str(_passwords(session)["postgres"]["owner"]))
    return parts._replace(netloc=f"{OWNER}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


async def _as_owner(session: Session) -> Any:
    import asyncpg

    try:
        return await asyncpg.connect(_owner_url(session), server_settings={"application_name": "flowforge erase"})
    except (asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError, OSError) as fault:
        raise Failure(f"the database does not let us in: {fault}", START_IT, status=EXIT_UNREACHABLE) from fault


def _bus_url(session: Session) -> str:
    if given := os.environ.get("FLOWFORGE_NATS_URL"):
        return given
    parts = urlsplit(installation.endpoints(session.folder).nats)
    password = str(_passwords(session)["nats"][SUPERVISOR])
    return parts._replace(netloc=f"{SUPERVISOR}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


async def _from_bus(session: Session, blobs: list[str], runs: list[UUID]) -> int:
    """How many messages were removed."""
    import nats
    from flowforge.subjects import Subjects
    from nats.errors import Error as NatsError

    from infra.erasure.bus import close_file_of_jobs, erase_blobs, erase_messages

    subjects = Subjects(installation.namespace())
    try:
        client = await nats.connect(_bus_url(session), connect_timeout=5, max_reconnect_attempts=1)
    except (NatsError, OSError) as fault:
        raise Failure(
            f"NATS does not answer ({fault}), and has copies: the log is not erased yet",
            "do it again once it runs",
            status=EXIT_UNREACHABLE,
        ) from fault
    try:
        await erase_blobs(client.jetstream(), subjects, blobs)
        await close_file_of_jobs(client.jetstream(), subjects)
        return await erase_messages(client.jetstream(), subjects, runs)
    finally:
        await client.close()

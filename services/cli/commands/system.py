"""`up`, `worker`, `rebuild`, `verify`: what runs or looks after the system itself."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import asyncio
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from cyclopts import Parameter
from flowforge import home as installation
from rich.live import Live
from rich.text import Text

from infra.settings import given_as_file
from services.cli.connect import START_IT, Session
from services.cli.glyphs import duration
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Failure

if TYPE_CHECKING:
    from infra.settings import Settings

Hidden = Parameter(parse=False)
BAR_CELLS = 30
READER, SERVICE = "_reader", "_service"
"""How the names of logins end; they begin with the namespace."""


def up(
    *,
    http_port: int | None = None,
    nats_port: int | None = None,
    session: Annotated[Session, Hidden],
) -> int:
    """Run everything on this machine: Postgres, NATS and every service, until Ctrl-C.

    With FLOWFORGE_DATABASE_URL and FLOWFORGE_NATS_URL it uses the servers named there.

    Parameters
    ----------
    http_port
        Port of the server, else FLOWFORGE_HTTP_PORT, else 8080; 0 takes a free one.
    nats_port
        Port of NATS, else FLOWFORGE_NATS_PORT, else 4222; 0 takes a free one.
    """
    from infra.embedded.home import UpError
    from infra.embedded.supervisor import up as run_everything
    from infra.settings import SettingsError, load_settings

    environment = dict(os.environ)
    if session.home is not None:
        environment["FLOWFORGE_HOME"] = str(session.home)
    for name, port in (("FLOWFORGE_HTTP_PORT", http_port), ("FLOWFORGE_NATS_PORT", nats_port)):
        if port is not None:
            environment[name] = str(port)
    try:
        settings = load_settings(environment)
        asyncio.run(run_everything(settings, as_json=session.output.as_json))
    except SettingsError as refused:
        raise Failure(str(refused), status=EXIT_USAGE) from refused
    except UpError as refused:
        first, _, rest = str(refused).partition("\n")
        details = [Text(line, "dim") for line in rest.splitlines()]
        raise Failure(first, details=details) from refused
    return EXIT_OK


def worker(reference: str, /, *, session: Annotated[Session, Hidden]) -> int:
    """Serve job types of your own until Ctrl-C.

    Parameters
    ----------
    reference
        MODULE:NAME of a `flowforge.Worker`, such as jobs:worker; the module is looked for here first.
    """
    from flowforge.errors import FlowForgeError
    from flowforge.worker import load_worker

    from infra.telemetry import start_tracing
    from infra.telemetry.jobs import JobSpans
    from infra.telemetry.logs import configure

    _name_home(session)
    configure("worker", "info", "json" if os.environ.get("FLOWFORGE_LOG_FORMAT") == "json" else "text")
    try:
        served = load_worker(reference)
    except FlowForgeError as fault:
        raise Failure(str(fault), status=EXIT_USAGE) from fault
    names = ", ".join(served.job_types) or "nothing"
    session.output.note(session.output.state("running", ("serving ", "bold"), f"{names} on queue {served.queue}"))
    tracing = start_tracing("worker", installation.namespace())
    if tracing is not None and served.tracer is None:
        served.tracer = JobSpans(tracing)
    try:
        served.run_forever()
    finally:
        if tracing is not None:
            tracing.end()
    return EXIT_OK


def _name_home(session: Session) -> None:
    """What finds the installation by the environment finds the one named by `--home`."""
    if session.home is not None:
        os.environ["FLOWFORGE_HOME"] = str(session.home)


async def rebuild(*, session: Annotated[Session, Hidden]) -> int:
    """Build the read models anew from the log; readers keep the old ones until the new are complete."""
    said = await read_models(session, "rebuild")
    session.output.json(said)
    session.output.say(session.output.state("completed", ("read models rebuilt", "bold"), _numbers(said)))
    return EXIT_OK


async def verify(*, session: Annotated[Session, Hidden]) -> int:
    """Check the log's hash chain, and the read models against a fresh rebuild."""
    output = session.output
    log = await _verify_log(session)
    output.say(output.state(_verdict(not log["problems"]), ("event log", "bold"), _numbers(log)))
    for problem in log["problems"]:
        where = f"positions {problem['first_position']:,} to {problem['last_position']:,}"
        output.say(Text.assemble("  ", (where, "cyan"), f"  {problem['message']}"))
    models = await read_models(session, "verify")
    difference = models.get("difference")
    output.say(output.state(_verdict(difference is None), ("read models", "bold"), _numbers(models)))
    if difference is not None:
        output.say(*_difference(difference), Text("  build them anew with: flowforge rebuild", "cyan"))
    is_whole = not log["problems"] and difference is None
    output.json({"ok": is_whole, "event_log": log, "read_models": models})
    return EXIT_OK if is_whole else EXIT_FAILED


def _verdict(is_whole: bool) -> str:
    return "completed" if is_whole else "failed"


def _difference(found: dict[str, Any]) -> list[Text]:
    key = ", ".join(f"{name} {value}" for name, value in found["key"].items())
    column = f", column {found['column']}" if found["column"] else ""
    return [
        Text.assemble("  ", (f"{found['table']}: {key}{column}", "bold")),
        Text.assemble("    is      ", (str(found["live"]), "red")),
        Text.assemble("    should  ", (str(found["fresh"]), "green")),
    ]


async def _verify_log(session: Session) -> dict[str, Any]:
    import asyncpg

    from infra.archive.proof import ProvenArchives
    from infra.eventlog.verify import verify as verify_log

    url = installation.endpoints(session.folder).database or database_url(session)
    try:
        report = await verify_log(url, await ProvenArchives.of(url, settings_of(session).archive_folder))
    except (asyncpg.PostgresConnectionError, OSError) as fault:
        raise Failure("the database does not answer", START_IT, status=EXIT_UNREACHABLE) from fault
    return {"ok": report.ok, **msgspec.to_builtins(report)}


async def read_models(session: Session, command: str, *options: str) -> dict[str, Any]:
    """Run a maintenance command of the projections service in its own process; its last word, a bar until then."""
    environment = {**os.environ, "FLOWFORGE_DATABASE_URL": database_url(session)}
    environment["FLOWFORGE_HOME"] = str(session.folder.absolute())
    with tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.projections", command, *options, "--json",
            env=environment, stdout=subprocess.PIPE, stderr=complaints,
        )  # fmt: skip
        said = await _last_word(session, process, command)
        status = await process.wait()
        complaints.seek(0)
        complained = complaints.read().decode(errors="replace").strip().splitlines()
    if not said or said.get("type") == "progress" or (status != 0 and not said.get("difference")):
        reason = complained[-1] if complained else f"it ended with status {status}"
        raise Failure(f"{command} did not end well: {reason}", "see: flowforge doctor")
    return said


async def _last_word(session: Session, process: asyncio.subprocess.Process, command: str) -> dict[str, Any]:
    assert process.stdout is not None
    said: dict[str, Any] = {}
    with Live(console=session.output.err, transient=True, refresh_per_second=4) as live:
        async for line in process.stdout:
            said = msgspec.json.decode(line)
            if said.get("type") == "progress":
                live.update(_progress(session, said, command))
    return said


def _progress(session: Session, said: dict[str, Any], command: str) -> Text:
    share = said["position"] / said["head"] if said["head"] else 1.0
    speed = f"  {said['position']:,} of {said['head']:,} events, {said['events_per_s']:,} a second"
    return Text.assemble(f"{command} ", session.output.glyphs.bar(share, BAR_CELLS), (speed, "dim"))


def settings_of(session: Session) -> "Settings":
    """What the installation is set to. Raises a usage Failure."""
    from infra.settings import SettingsError, load_settings

    try:
        return load_settings({**os.environ, "FLOWFORGE_HOME": str(session.folder.absolute())})
    except SettingsError as refused:
        raise Failure(str(refused), status=EXIT_USAGE) from refused


def database_url(session: Session) -> str:
    """The services' login of the database: FLOWFORGE_DATABASE_URL, or that of the running installation."""
    if given := os.environ.get("FLOWFORGE_DATABASE_URL") or given_as_file("database_url", os.environ):
        return given
    address = installation.endpoints(session.folder).database
    if not address:
        raise Failure(f"nothing runs in {session.folder}", START_IT, status=EXIT_UNREACHABLE)
    parts = urlsplit(address)
    if not (parts.username or "").endswith(READER):  # a database that is not ours, with the one login it was given
        return address
    file = session.folder / "credentials.json"
    try:
        credentials = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        password = str(credentials["postgres"]["service"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as fault:
        raise Failure(f"cannot read the logins in {file}: {fault}") from fault
    login = f"{(parts.username or '').removesuffix(READER)}{SERVICE}:{quote(password)}"
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


def _numbers(said: dict[str, Any]) -> Text:
    """The numbers in an answer, beside its verdict."""
    words = {"position": "events", "events_per_s": "events a second"}
    counts = [f"{value:,} {words.get(name, name)}" for name, value in said.items() if type(value) is int]
    took = [duration(said["took_s"])] if "took_s" in said else []
    return Text("  " + ", ".join(counts + took), "dim")

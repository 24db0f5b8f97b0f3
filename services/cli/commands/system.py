"""`up`, `worker`, `rebuild`, `verify`: what runs or looks after the system itself."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from cyclopts import Parameter
from flowforge import home as installation
from rich.text import Text

from services.cli.connect import START_IT, Session
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, Failure

Hidden = Parameter(parse=False)
SERVICE_LOGIN = "flowforge_service"


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
    import logging

    from flowforge.errors import FlowForgeError
    from flowforge.worker import load_worker

    _name_home(session)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        served = load_worker(reference)
    except FlowForgeError as fault:
        raise Failure(str(fault), status=EXIT_USAGE) from fault
    names = ", ".join(served.job_types) or "nothing"
    session.output.note(session.output.state("running", ("serving ", "bold"), f"{names} on queue {served.queue}"))
    served.run_forever()
    return EXIT_OK


def _name_home(session: Session) -> None:
    """What finds the installation by the environment finds the one named by `--home`."""
    if session.home is not None:
        os.environ["FLOWFORGE_HOME"] = str(session.home)


def rebuild(*, session: Annotated[Session, Hidden]) -> int:
    """Build the read models anew from the log; readers keep the old ones until the new are complete."""
    status, said = _projections(session, "rebuild")
    session.output.json(said or {"ok": status == EXIT_OK})
    if status == EXIT_OK:
        session.output.say(session.output.state("completed", ("read models rebuilt", "bold"), _counts(said)))
    return status


def verify(*, session: Annotated[Session, Hidden]) -> int:
    """Check the log's hash chain, and the read models against a fresh rebuild."""
    log = asyncio.run(_verify_log(session))
    output = session.output
    log_is_whole = bool(log.get("ok"))
    output.say(output.state("completed" if log_is_whole else "failed", ("event log", "bold"), _counts(log)))
    if not log_is_whole:
        output.say(Text(f"  {log.get('message') or 'the log was changed after it was written'}", "red"))
    status, models = _projections(session, "verify")
    models_are_equal = status == EXIT_OK
    output.say(output.state("completed" if models_are_equal else "failed", ("read models", "bold"), _counts(models)))
    if not models_are_equal:
        output.say(Text("  they differ from what the log says; build them anew with: flowforge rebuild", "red"))
    output.json({"ok": log_is_whole and models_are_equal, "event_log": log, "read_models": models})
    return EXIT_OK if log_is_whole and models_are_equal else EXIT_FAILED


async def _verify_log(session: Session) -> dict[str, Any]:
    from infra.eventlog.types import Unavailable
    from infra.eventlog.verify import verify as verify_log

    try:
        report = await verify_log(database_url(session))
    except (Unavailable, OSError) as fault:
        raise Failure("the database does not answer", START_IT, status=EXIT_UNREACHABLE) from fault
    return msgspec.to_builtins(report)


def _projections(session: Session, command: str) -> tuple[int, dict[str, Any]]:
    """Run a maintenance command of the projections service in its own process; its JSON answer, if it gave one."""
    environment = {**os.environ, "FLOWFORGE_DATABASE_URL": database_url(session)}
    environment["FLOWFORGE_HOME"] = str(session.folder.absolute())
    done = subprocess.run(
        [sys.executable, "-m", "services.projections", command], env=environment, stdout=subprocess.PIPE, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    try:
        said = msgspec.json.decode(lines[-1], type=dict[str, Any]) if lines else {}
    except msgspec.DecodeError:
        said = {"message": lines[-1].decode(errors="replace")}
    return (EXIT_OK if done.returncode == 0 else EXIT_FAILED), said


def database_url(session: Session) -> str:
    """The services' login of the database: FLOWFORGE_DATABASE_URL, or that of the running installation."""
    if given := os.environ.get("FLOWFORGE_DATABASE_URL"):
        return given
    address = installation.endpoints(session.folder).database
    if not address:
        raise Failure(f"nothing runs in {session.folder}", START_IT, status=EXIT_UNREACHABLE)
    try:
        credentials = msgspec.json.decode((session.folder / "credentials.json").read_bytes(), type=dict[str, Any])
        password = str(credentials["postgres"][SERVICE_LOGIN])
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as fault:
        raise Failure(f"cannot read the logins in {_credentials(session.folder)}: {fault}") from fault
    parts = urlsplit(address)
    return parts._replace(netloc=f"{SERVICE_LOGIN}:{quote(password)}@{parts.netloc.rpartition('@')[2]}").geturl()


def _credentials(folder: Path) -> Path:
    return folder / "credentials.json"


def _counts(said: dict[str, Any]) -> Text:
    """The numbers in an answer, beside its verdict."""
    numbers = [f"{value:,} {name.replace('_', ' ')}" for name, value in said.items() if type(value) is int]
    return Text("  " + ", ".join(numbers) if numbers else "", "dim")

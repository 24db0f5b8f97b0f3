"""`prepare`: what a deployment on servers of one's own needs before its services start."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.text import Text

from services.cli.connect import Session
from services.cli.output import EXIT_OK, EXIT_USAGE, Failure

app = App(name="prepare", help="Make credentials for a deployment, and prepare its Postgres and NATS.")
Hidden = Parameter(parse=False)


@app.command
def credentials(
    folder: Path,
    /,
    *,
    database: str = "postgres:5432",
    nats: str = "nats:4222",
    owner_url: str | None = None,
    session: Annotated[Session, Hidden],
) -> int:
    """Write the passwords, keys and the nats.conf of a deployment into a folder; files that are there stay.

    Parameters
    ----------
    folder
        Where to; it is made, and readable by you only.
    database
        HOST:PORT of Postgres, as the services reach it.
    nats
        HOST:PORT of NATS, as the services reach it.
    owner_url
        Of a Postgres that somebody else runs: postgresql://LOGIN:PASSWORD@HOST/DATABASE, a login that may make logins.
    """
    from infra.deploy.credentials import BadServer, Servers, make
    from infra.settings import SettingsError, load_settings

    try:
        namespace = load_settings().namespace
        made = make(folder, Servers(database=database, nats=nats, namespace=namespace, owner_url=owner_url))
    except (BadServer, SettingsError) as refused:
        raise Failure(str(refused), status=EXIT_USAGE) from refused
    except OSError as fault:
        raise Failure(f"cannot write to {folder}: {fault.strerror}", "name another folder") from fault
    session.output.json({"folder": str(folder), "made": made})
    session.output.say(session.output.state("completed", (f"{len(made)} files made", "bold"), f"  in {folder}"))
    return EXIT_OK


@app.command
async def servers(
    *,
    credentials: Path = Path("/etc/flowforge/secrets"),
    wait_s: float = 60.0,
    session: Annotated[Session, Hidden],
) -> int:
    """Make tables, logins and streams, and let the administrator's key in; may be done again at any time.

    The servers are those of FLOWFORGE_DATABASE_URL (the owner's login) and FLOWFORGE_NATS_URL (the supervisor's), or of the
    files that FLOWFORGE_DATABASE_URL_FILE and FLOWFORGE_NATS_URL_FILE name.

    Parameters
    ----------
    credentials
        The folder that `flowforge prepare credentials` wrote.
    wait_s
        How long servers that do not answer yet are waited for, in seconds.
    """
    from infra.deploy.servers import NotPrepared, prepare
    from infra.settings import SettingsError, load_settings

    try:
        prepared = await prepare(load_settings(os.environ), credentials, wait_s=wait_s)
    except SettingsError as refused:
        raise Failure(str(refused), status=EXIT_USAGE) from refused
    except NotPrepared as fault:
        raise Failure(str(fault)) from fault
    session.output.json(prepared)
    if prepared.note:
        session.output.note(Text(f"! {prepared.note}", "yellow"))
    words = f"  {len(prepared.applied)} schema files applied"
    session.output.say(session.output.state("completed", ("Postgres and NATS are ready", "bold"), words))
    return EXIT_OK

"""What is kept for how long, and whether every archive is where the log needs it."""

from infra.archive.catalogue import NOT_RESTORED
from services.cli.commands.system import settings_of
from services.cli.connect import Session
from services.cli.doctor import Check, several
from services.cli.doctor.servers import database

NAMED_MAX = 5


async def kept(session: Session) -> list[Check]:
    """Retention and archives; an archive that is missing is an error, since it is a part of the log."""
    async with database(session) as connection:
        if connection is None or await connection.fetchval("select to_regclass('eventlog.archives')") is None:
            return []
        found = await connection.fetch(NOT_RESTORED)
    settings = settings_of(session)
    missing = [row["file"] for row in found if not (settings.archive_folder / row["file"]).is_file()]
    if missing:
        return [Check(
            name="retention", verdict="error",
            seen=f"missing in {settings.archive_folder}: {', '.join(missing[:NAMED_MAX])}",
            why="the runs in them cannot be read", next_step="put them back from a backup: they are a part of the log",
        )]  # fmt: skip
    days = settings.retention_runs_days
    for_how_long = "runs are kept for ever" if days is None else f"runs are archived {days} days after they ended"
    runs = several(sum(row["streams_count"] for row in found), "run")
    return [Check(name="retention", verdict="ok", seen=f"{for_how_long}; {several(len(found), 'archive')} of {runs}")]

"""`doctor`: what is reachable, what is not, what does not get on, and what to do about it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from services.cli.connect import Session
from services.cli.doctor import ANSWER_TIMEOUT_S, Check, ago_s, here
from services.cli.doctor.kept import kept
from services.cli.doctor.receivers import receivers
from services.cli.doctor.servers import nats_server, postgres
from services.cli.doctor.services import answering, read_models, server
from services.cli.doctor.work import work
from services.cli.glyphs import STYLES, duration
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE

Hidden = Parameter(parse=False)
Look = Callable[[Session], Awaitable[list[Check]]]
_LOOKS: tuple[tuple[str, Look], ...] = (
    ("server", server), ("nats", nats_server), ("services", answering), ("database", postgres),
    ("read models", read_models), ("work", work), ("subscriptions", receivers), ("retention", kept),
)  # fmt: skip


async def doctor(*, session: Annotated[Session, Hidden]) -> int:
    """Look at everything, and say of what is not well since when, why it matters and what mends it.

    Servers and services, their clocks, who is behind, disk and streams; jobs that nobody takes, runs that wait, dead
    letters, open breakers, missed schedules; subscriptions and archives. Exit status 0 unless something is broken; 3
    when no server answers.
    """
    checks = [here.home(session), here.disk(session), *here.processes(session)]
    found = await asyncio.gather(*(_looked(name, look, session) for name, look in _LOOKS))
    checks += _once([check for each in found for check in each])
    checks.append(here.versions())
    _tell(session, checks)
    if any(check.verdict == "error" for check in checks):
        unreachable = any(check.name == "server" and check.verdict == "error" for check in checks)
        return EXIT_UNREACHABLE if unreachable else EXIT_FAILED
    return EXIT_OK


async def _looked(name: str, look: Look, session: Session) -> list[Check]:
    """A look that fails is a finding, never the end of the others."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S * 2):
            return await look(session)
    except TimeoutError:
        return [Check(name=name, verdict="error", seen=f"no answer within {ANSWER_TIMEOUT_S * 2} s")]
    except Exception as fault:  # noqa: BLE001  whatever is wrong is what was asked for
        return [Check(name=name, verdict="error", seen=f"{type(fault).__name__}: {fault}".splitlines()[0])]


def _once(checks: list[Check]) -> list[Check]:
    """A server that is away is told by whoever looks at it first, not by all that need it."""
    away = {name for name in ("database", "nats") if any(c.name == name and c.verdict == "error" for c in checks)}
    needs = {"database": {"read models", "work", "retention"}, "nats": {"services"}}
    silent = {name for gone in away for name in needs[gone]}
    return [check for check in checks if check.name not in silent or check.verdict != "error" or check.why]


def _tell(session: Session, checks: list[Check]) -> None:
    output = session.output
    output.json({"ok": all(check.verdict != "error" for check in checks), "checks": checks})
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = Text.assemble((check.name.ljust(width), "bold"), f"  {check.seen}")
        if check.since is not None:
            line.append(f"  since {check.since:%Y-%m-%d %H:%M:%S} UTC ({duration(ago_s(check.since))})", "dim")
        output.say(output.state(check.verdict, line))
        if check.why:
            output.say(Text(f"  {'':{width}}  {check.why}", "dim"))
        if check.next_step:
            output.say(Text(f"  {'':{width}}  {check.next_step}", STYLES[check.verdict]))
    bad = sum(check.verdict == "error" for check in checks)
    warnings = sum(check.verdict == "warning" for check in checks)
    if bad or warnings:
        said = [f"{bad} not well"] * bool(bad) + [f"{warnings} to look at"] * bool(warnings)
        output.say("", Text(", ".join(said), "bold"))
    else:
        output.say("", Text("all is well", "bold green"))

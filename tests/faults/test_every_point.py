"""Every named point in every process that passes it, dying there and failing there, under load."""

import asyncio

import pytest

from tests.faults import points
from tests.faults.system import System
from tests.faults.workload import Load

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

SAYS = {
    "catalog": frozenset({"WorkflowCreated"}),
    "triggers": frozenset({"WorkflowTriggered"}),
    "execution": frozenset({"NodeCompleted"}),
    "scheduler": frozenset({"TimerFired"}),
}
AT_THE_FIRST = frozenset(
    {
        "projections.job_log_before_commit",
        "scheduler.after_timers_deleted",
        "workers.before_report",
        "workers.after_report",
    }
)
"""Points that a case passes a few times only; the others fire at their second passage, in the middle of the load."""


def _cases() -> list[tuple[str, str, str]]:
    """One process after the other, so that none dies often in a row and has to wait for its next start."""
    by_process: dict[str, list[tuple[str, str, str]]] = {}
    for process, point in points.cases():
        by_process.setdefault(process, []).extend((process, point, deed) for deed in ("die", "error"))
    rows: list[tuple[str, str, str]] = []
    while by_process:
        for process in list(by_process):
            rows.append(by_process[process].pop(0))
            if not by_process[process]:
                del by_process[process]
    return rows


@pytest.mark.parametrize(("process", "point", "deed"), _cases(), ids=str)
async def test_whatever_happens_there_nothing_is_lost_and_nothing_counts_twice(
    system: System, process: str, point: str, deed: str
):
    load = Load(system)
    await load.begin()
    if point.endswith(".after_resay"):
        await _meets_what_was_not_said(system, load, process, point, deed)
    else:
        system.arm(process, point, deed if point in AT_THE_FIRST else f"{deed}@2")
        await system.cluster.restart(process)
        await load.send()
    try:
        await load.quiet()
    finally:
        system.disarm(process)
    assert system.fired(point), f"I12: {point} was never passed in {process}"
    await load.check()


async def _meets_what_was_not_said(system: System, load: Load, process: str, point: str, deed: str) -> None:
    """Killed just after it logged something, before it noted that it was said; again, until it is met so."""
    system.arm(process, point, deed)
    sending = asyncio.create_task(load.send(rounds=4))
    kinds = SAYS[process]
    while not system.fired(point) and not sending.done():
        seen = system.history.head
        await system.until(lambda: _is_logged(system, kinds, seen), 30, f"{process} logs something")  # noqa: B023
        await system.cluster.restart(process)
    await sending


async def _is_logged(system: System, kinds: frozenset[str], after_position: int) -> bool:
    return any(event.type in kinds and event.position > after_position for event in await system.read_on())

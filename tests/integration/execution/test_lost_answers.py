"""A step that is in the log though the log never said so counts like any other, for all that runs share."""

import pytest
from execution_stage import Installation

from services.execution import open_runs, outputs
from tests.until import until

WAITS = {"id": "w", "type": "wait_event", "event_type": "order.paid"}


async def looked_around(installation: Installation) -> None:
    """What is found once per process is found: a run that waits for an event has got it."""
    run = await installation.run()
    await installation.until_logged(run, "NodeWaiting")
    await installation.received("order.paid")
    await installation.until_logged(run, "RunCompleted")


async def test_an_event_reaches_a_node_whose_waiting_was_logged_and_never_answered(installation: Installation):
    await installation.define(WAITS)
    await installation.start()
    await looked_around(installation)
    installation.log.unanswered = {"NodeWaiting"}
    run = await installation.run()
    await until(lambda: not installation.log.unanswered, "the answer is lost")
    other = await installation.run()
    await installation.until_logged(other, "NodeWaiting")
    await installation.received("order.paid")
    await installation.until_logged(other, "RunCompleted")
    await installation.until_logged(run, "RunCompleted")


async def test_a_run_whose_first_step_was_logged_and_never_answered_is_open(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_runs, "OPEN_RUNS_KEPT_EVERY_S", 0)
    await installation.define(WAITS)
    service = await installation.start()
    await looked_around(installation)
    installation.log.unanswered = {"NodeWaiting"}
    run = await installation.run()
    await until(lambda: not installation.log.unanswered, "the answer is lost")
    await until(lambda: run in service._open, "it is open")  # pyright: ignore[reportPrivateUsage]


async def test_an_output_that_was_logged_and_never_answered_may_be_used_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outputs, "OUTPUTS_KEPT_EVERY_S", 0)
    await installation.define({"id": "j", "type": "job", "job_type": "work", "cache_key": "k"})
    await installation.start()
    first = await installation.run()
    await installation.until_logged(first, "NodeQueued")
    installation.log.unanswered = {"NodeCompleted"}
    await installation.completes(first, "j", 7)
    await until(lambda: not installation.log.unanswered, "the answer is lost")
    await installation.until_logged(first, "RunCompleted")
    await until(lambda: bool(installation.store.rows), "it is in the table")
    second = await installation.run()
    await installation.until_logged(second, "RunCompleted")
    assert "NodeQueued" not in await installation.kinds(second)

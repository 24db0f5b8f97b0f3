"""Counts of what the log tells: from where they began, bounded, and told as such where something was left out."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flowforge.errors import RunError
from flowforge.events import Cause, Event, NodeCompleted, NodeQueued, NodeStarted, RunFailed, TriggerDecided, encode

from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from services.projections.measured import tally
from services.projections.measured.tally import Durations, Tally

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID("019b0000-0000-7000-8000-000000000001")
CAUSE = Cause(event_id=RUN, type="t", id="1", source="/s", stream_id=RUN)


class Log(MemoryEventLog):
    """Tells events of one run, each a second after the one before."""

    async def tell(self, *events: Event) -> None:
        for event in events:
            version = len(await self.read_stream(RUN))
            new = [NewEvent(type(event).__name__, encode(event))]
            await self.append([Append([StreamAppend("run", RUN, version, new)], START + timedelta(seconds=version))])


def attempt(node_id: str, job_type: str = "work") -> list[Event]:
    return [
        NodeQueued(node_id=node_id, job_type=job_type),
        NodeStarted(node_id=node_id),
        NodeCompleted(node_id=node_id),
    ]


async def test_what_was_there_before_the_first_look_is_not_counted():
    log, failed = Log(), RunFailed(error=RunError(code="X", message="no"))
    await log.tell(failed)
    counts = Tally(log)
    await counts.catch_up()
    await log.tell(failed, *attempt("a"))
    await counts.catch_up()
    await counts.catch_up()
    assert (dict(counts.runs), counts.events["NodeQueued"], counts.skipped) == ({"failed": 1}, 1, 0)


async def test_an_attempt_takes_from_its_beginning_to_its_end():
    log = Log()
    counts = Tally(log)
    await counts.catch_up()
    await log.tell(*attempt("a"))
    await counts.catch_up()
    assert (list(counts.durations), counts.durations["work", "completed"].sum_s) == ([("work", "completed")], 1.0)


async def test_what_is_too_far_back_is_left_out_and_counted_as_such(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tally, "BEHIND_COUNT_MAX", 3)
    log = Log()
    counts = Tally(log)
    await counts.catch_up()
    await log.tell(*attempt("a"), *attempt("b"))
    await counts.catch_up()
    assert (counts.skipped, sum(counts.events.values()), counts.durations["work", "completed"].sum_s) == (3, 3, 1.0)


async def test_job_types_beyond_a_number_count_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tally, "NAMES_MAX", 2)
    log = Log()
    counts = Tally(log)
    await counts.catch_up()
    await log.tell(*(event for name in "abcda" for event in attempt(name, name)))
    await counts.catch_up()
    assert {name for name, _ in counts.durations} == {"a", "b", "other"}


async def test_another_log_that_is_shorter_is_counted_from_its_end():
    log = Log()
    await log.tell(*attempt("a"))
    counts = Tally(log)
    await counts.catch_up()
    counts._event_log = Log()  # pyright: ignore[reportPrivateUsage]  it was restored
    await counts.catch_up()
    assert sum(counts.events.values()) == 0


def test_buckets_are_cumulative_and_the_last_has_all():
    durations = Durations()
    for seconds in (0.001, 0.005, 4, 10**6):
        durations.add(seconds)
    told = dict(durations.cumulative())
    assert (told["0.005"], told["2.5"], told["5.0"], told["3600.0"], told["+Inf"]) == (2, 2, 3, 3, 4)


async def test_decisions_are_told_apart_by_reason_but_not_by_filters():
    """The reason of `not_matched` has the values that were seen: there would be no end of them."""
    log = Log()
    counts = Tally(log)
    await counts.catch_up()
    place: dict[str, Any] = {"trigger_id": "t", "trigger_version": 1, "workflow_id": "w", "cause": CAUSE}
    await log.tell(
        TriggerDecided(decision="not_matched", reason="event.data.n > 1 was false, n = 0", **place),
        TriggerDecided(decision="suppressed", reason="limited", **place),
    )
    await counts.catch_up()
    assert dict(counts.decisions) == {("not_matched", ""): 1, ("suppressed", "limited"): 1}

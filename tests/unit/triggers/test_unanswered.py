"""A log that does not answer: what it took and never told of is not lost, nor what could not be read of it at first."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from triggers_spec import Spec, command, inbox, on_event

from infra.bus import Message
from infra.eventlog import Answer, Append, Duplicate, MemoryEventLog, StoredEvent, Unavailable

Fate = Literal["", "the turn fails", "it is tried again at once"]


class Log(MemoryEventLog):
    """One whose next answer is lost, or that cannot read streams of one kind once."""

    fate: Fate = ""
    unreadable = ""

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        fate, self.fate = (self.fate, "") if groups else ("", self.fate)
        answers = await super().append(groups)
        if fate == "the turn fails":
            raise Unavailable("the answer was lost")
        return await super().append(groups) if fate else answers

    async def read(self, after_position: int, limit: int = 1000, **which: Any) -> list[StoredEvent]:
        if self.unreadable in (which.get("stream_types") or ()):
            self.unreadable = ""
            raise Unavailable("the log does not answer")
        return await super().read(after_position, limit, **which)


class Stage(Spec):
    def __init__(self) -> None:
        self.own_log = Log()
        super().__init__(self.own_log)

    async def unanswered(self, fate: Fate, message: Message) -> None:
        """The log takes what follows from the message and does not say so; others come, then the message again."""
        self.own_log.fate = fate
        try:
            await self.turn([message])
        except Unavailable:
            self.service.refused(self.service.key(message), Duplicate(0))  # as the shell does when a turn fails
        assert not self.own_log.fate
        await self.event(f"other {message.event.id}", "other")
        await self.turn([message])


FATES = pytest.mark.parametrize("fate", ["the turn fails", "it is tried again at once"])


@FATES
async def test_what_is_held_fires_though_the_log_never_said_that_it_took_it(fate: Fate):
    spec = Stage()
    await spec.workflow("w", on_event(debounce_ms=1000))
    await spec.unanswered(fate, inbox("e1"))
    await spec.time_passes(2000)
    assert [run.cause.id for run in await spec.runs()] == ["e1"]


@FATES
async def test_a_slot_is_freed_though_the_log_never_said_that_it_was_taken(fate: Fate):
    spec = Stage()
    await spec.workflow("w", settings={"concurrency": {"limit": 1}})
    await spec.unanswered(fate, command("RequestRun", command_id="c", workflow_id="w", input_data={}))
    [run] = await spec.runs()
    await spec.ends(run)
    assert (await spec.begin("w")).waits is None


@FATES
async def test_a_slot_that_a_delayed_run_took_is_freed_though_the_log_never_said_so(fate: Fate):
    spec = Stage()
    await spec.workflow("w", on_event(delay_ms=1000), settings={"concurrency": {"limit": 1}})
    await spec.event("e1")
    spec.pass_without_timers(1001)
    await spec.unanswered(fate, await spec.timer())
    [run] = await spec.runs()
    await spec.ends(run)
    assert (await spec.begin("w")).waits is None


async def test_what_was_held_before_a_restart_fires_though_the_log_could_not_be_read_at_first():
    spec = Stage()
    await spec.workflow("w", on_event(delay_ms=1000))
    for name in ("e1", "e2", "e3"):
        await spec.event(name)
    spec.pass_without_timers(1001)
    timer = await spec.timer()
    spec.restart()
    spec.own_log.unreadable = "trigger"
    with pytest.raises(Unavailable):
        await spec.turn([timer])
    await spec.turn([timer])
    assert [run.cause.id for run in await spec.runs()] == ["e1", "e2", "e3"]


async def test_a_slot_is_freed_though_the_log_could_not_be_read_at_first():
    spec = Stage()
    await spec.workflow("w", settings={"concurrency": {"limit": 1}})
    run = await spec.begin("w")
    ending = await spec.ending(run)
    spec.restart()
    spec.own_log.unreadable = "slot"
    with pytest.raises(Unavailable):
        await spec.turn([ending])
    await spec.turn([ending])
    assert (await spec.begin("w")).waits is None

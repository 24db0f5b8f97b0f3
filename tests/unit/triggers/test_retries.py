"""A run that ended and is to go on asks for its slot anew, and is answered once: admitted, now or later, or refused."""

import asyncio
from typing import Any, Literal
from uuid import UUID

import msgspec
from flowforge.events import (
    QueueLeft,
    RetryRefused,
    RunAdmitted,
    RunDisplaced,
    SlotFreed,
    SlotTaken,
    TriggerDecided,
    WorkflowTriggered,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_spec import is_retried
from triggers_spec import Spec, on_upstreams

from infra.bus import Message


async def limited(limit: int = 1, **concurrency: Any) -> Spec:
    spec = Spec()
    await spec.workflow("w", settings={"concurrency": {"limit": limit, **concurrency}})
    return spec


async def failed(spec: Spec) -> WorkflowTriggered:
    run = await spec.begin("w")
    await spec.ends(run, "failed")
    return run


async def kinds_after(spec: Spec, message: Message) -> list[str]:
    return [stored.type for stored in await spec.deliver([message])]


async def test_where_a_slot_is_free_it_is_taken_and_said_at_once():
    spec = await limited()
    run = await failed(spec)
    assert await kinds_after(spec, await is_retried(spec, run)) == ["SlotTaken", "RunAdmitted"]
    [admitted] = await spec.logged(RunAdmitted)
    assert (admitted.run_id, admitted.asked_version) == (run.run_id, 3)
    assert spec.said[-1].subject == f"ns.runs.w.{run.run_id}.RunAdmitted"
    [stored] = await spec.log.read(0, 100, types={"RunAdmitted"})
    assert stored.actor == "ada"


async def test_without_concurrency_nothing_is_asked_and_nothing_logged():
    spec = Spec()
    await spec.workflow("w")
    run = await failed(spec)
    assert await kinds_after(spec, await is_retried(spec, run)) == []


async def test_the_setting_of_the_runs_own_version_counts():
    spec = await limited()
    run = await failed(spec)
    await spec.workflow("w")
    assert await kinds_after(spec, await is_retried(spec, run)) == ["SlotTaken", "RunAdmitted"]


async def test_while_others_hold_the_slots_it_waits_and_its_trigger_decides_nothing():
    spec = await limited()
    run = await failed(spec)
    other = await spec.begin("w")
    assert await kinds_after(spec, await is_retried(spec, run)) == ["SlotAwaited"]
    spec.restart()
    logged = await spec.ends(other)
    assert [stored.type for stored in logged] == ["SlotFreed", "RunAdmitted"]
    [admitted] = await spec.logged(RunAdmitted)
    assert (admitted.run_id, admitted.asked_version) == (run.run_id, 3)
    assert await spec.logged(TriggerDecided) == []


async def test_it_asks_for_the_slots_under_the_key_it_had():
    spec = Spec()
    concurrency = {"limit": 1, "key": "${event.data.customer}"}
    await spec.workflow("w", settings={"concurrency": concurrency})
    run = await spec.begin("w", input_data={"customer": "acme"})
    await spec.ends(run, "failed")
    other = await spec.begin("w", input_data={"customer": "else"})
    await spec.deliver([await is_retried(spec, run)])
    assert [fact.key for fact in await spec.logged(SlotTaken)] == ["acme", "else", "acme"]
    assert other.slot != run.slot


async def test_one_that_had_waited_asks_for_the_same_slots():
    spec = await limited(key="${input.customer}")
    first = await spec.begin("w", input_data={"customer": "acme"})
    second = await spec.begin("w", input_data={"customer": "acme"})
    await spec.ends(first)
    await spec.ends(second, "failed")
    await spec.deliver([await is_retried(spec, second)])
    assert {fact.key for fact in await spec.logged(SlotTaken)} == {"acme"}


async def test_where_others_are_skipped_the_retry_is_refused_and_said():
    spec = await limited(on_conflict="skip")
    run = await failed(spec)
    other = await spec.begin("w")
    assert await kinds_after(spec, await is_retried(spec, run)) == ["RetryRefused"]
    [fact] = await spec.logged(RetryRefused)
    assert (fact.run_id, fact.asked_version, fact.code) == (run.run_id, 3, "CONCURRENT_EXECUTION_CONFLICT")
    assert fact.message == f"1 of 1 slot of 'w' held by {other.run_id}; retry it once a slot is free"
    assert spec.said[-1].subject == f"ns.runs.w.{run.run_id}.RetryRefused"


async def test_one_that_was_refused_may_be_retried_again():
    spec = await limited(on_conflict="skip")
    run = await failed(spec)
    other = await spec.begin("w")
    await spec.deliver([await is_retried(spec, run)])
    await spec.ends(other)
    assert await kinds_after(spec, await is_retried(spec, run)) == ["SlotTaken", "RunAdmitted"]


async def test_where_running_ones_make_room_the_older_is_asked_to_end():
    spec = await limited(on_conflict="cancel_running")
    run = await failed(spec)
    other = await spec.begin("w")
    assert await kinds_after(spec, await is_retried(spec, run)) == ["RunDisplaced", "SlotAwaited"]
    [displaced] = await spec.logged(RunDisplaced)
    assert (displaced.run_id, displaced.by_run_id) == (other.run_id, run.run_id)
    await spec.ends(other, "cancelled")
    assert [fact.run_id for fact in await spec.logged(RunAdmitted)] == [run.run_id]


async def test_an_ending_of_before_that_comes_again_frees_nothing():
    spec = await limited()
    run = await spec.begin("w")
    ending = await spec.ending(run, "failed")
    await spec.deliver([ending])
    await spec.deliver([await is_retried(spec, run)])
    spec.restart()
    assert await spec.deliver([ending]) == []
    assert len(await spec.logged(SlotFreed)) == 1


async def test_an_ending_that_freed_nothing_frees_nothing_later_either():
    """One that was put out of the queue held no slot when it ended; told again after the retry, it ends nothing."""
    spec = await limited(on_conflict="cancel_running")
    holder = await spec.begin("w")
    waiting = await spec.begin("w")
    await spec.begin("w")  # takes its place in the queue
    ending = await spec.ending(waiting, "cancelled")
    assert await spec.deliver([ending]) == []
    await spec.deliver([await is_retried(spec, waiting)])
    spec.restart()
    assert await spec.deliver([ending]) == []
    await spec.ends(holder, "cancelled")
    assert (await spec.logged(RunAdmitted))[-1].run_id == waiting.run_id


async def test_a_retry_that_is_heard_before_the_ending_frees_what_was_held():
    spec = await limited()
    run = await spec.begin("w")
    next_one = await spec.begin("w")
    ending = await spec.ending(run, "failed")
    retried = await is_retried(spec, run)
    await spec.deliver([retried])
    assert [fact.run_id for fact in await spec.logged(RunAdmitted)] == [next_one.run_id]
    await spec.deliver([ending])
    await spec.ends(next_one)
    assert [(fact.run_id, fact.asked_version) for fact in await spec.logged(RunAdmitted)] == [
        (next_one.run_id, 1),
        (run.run_id, 3),
    ]


async def test_one_that_ends_while_its_retry_waits_leaves_the_queue():
    spec = await limited()
    run = await failed(spec)
    await spec.begin("w")
    await spec.deliver([await is_retried(spec, run)])
    logged = await spec.ends(run, "cancelled")
    assert [stored.type for stored in logged] == ["QueueLeft"]
    assert [fact.run_id for fact in await spec.logged(QueueLeft)] == [run.run_id]


async def test_a_new_ending_after_a_retry_is_a_new_cause_for_those_that_depend_on_it():
    spec = await limited()
    await spec.workflow("after", on_upstreams("w", condition="on_completion"))
    run = await failed(spec)
    await spec.deliver([await is_retried(spec, run)])
    await spec.ends(run)
    first, second = [run for run in await spec.runs() if run.workflow_id == "after"]
    assert (first.cause.type, second.cause.type) == ("RunFailed", "RunCompleted")


# --- any history ------------------------------------------------------------------------------------------------------

Begun = tuple[Literal["begin"]]
Ended = tuple[Literal["end"], int]
Retried = tuple[Literal["retry"], int]
Again = tuple[Literal["again"], int]
Restarted = tuple[Literal["restart"]]
Step = Begun | Ended | Retried | Again | Restarted
NUMBERS = st.integers(0, 4)
histories = st.lists(
    st.one_of(
        st.tuples(st.just("begin")),
        st.tuples(st.just("end"), NUMBERS),
        st.tuples(st.just("retry"), NUMBERS),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


async def played(limit: int, history: list[Step]) -> None:
    """The oracle: a list of those that run, one of those that wait, and a set of those that ended."""
    spec = await limited(limit)
    runs: list[WorkflowTriggered] = []
    running: list[int] = []
    waiting: list[int] = []
    ended: set[int] = set()
    heard: list[Message] = []
    for step in history:
        match step:
            case ("begin",) if len(runs) < 5:
                waiting.append(len(runs))
                runs.append(await spec.begin("w"))
            case ("end", number) if number in running or number in waiting:
                heard.append(await spec.ending(runs[number], "failed"))
                await spec.deliver(heard[-1:])
                running = [each for each in running if each != number]
                waiting = [each for each in waiting if each != number]
                ended.add(number)
            case ("retry", number) if number in ended:
                heard.append(await is_retried(spec, runs[number]))
                await spec.deliver(heard[-1:])
                ended.discard(number)
                waiting.append(number)
            case ("again", at) if heard:
                assert await spec.deliver([heard[at % len(heard)]]) == []
            case ("restart",):
                spec.restart()
            case _:
                continue
        while waiting and len(running) < limit:
            running.append(waiting.pop(0))
        assert await _holders(spec) == {runs[number].run_id for number in running}


async def _holders(spec: Spec) -> set[Any]:
    """As the log has it."""
    holders: set[Any] = set()
    for stored in await spec.log.read(0, 100_000, stream_types={"slot"}):
        match stored.type:
            case "SlotTaken" | "RunAdmitted":
                holders.add(UUID(_run_of(stored.data)))
            case "SlotFreed":
                holders.discard(UUID(_run_of(stored.data)))
            case _:
                pass
    return holders


def _run_of(data: bytes) -> Any:
    return msgspec.json.decode(data)["run_id"]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 2), histories)
def test_slots_are_held_by_the_first_that_asked_however_often_runs_are_retried(limit: int, history: list[Step]):
    asyncio.run(played(limit, history))

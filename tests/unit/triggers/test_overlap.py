"""Runs of a workflow with `concurrency`: who starts, who waits, who does not, whatever is delivered twice or restarted."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from flowforge.events import (
    QueueLeft,
    RunAdmitted,
    RunDisplaced,
    RunRequested,
    SlotAwaited,
    SlotFreed,
    SlotRefused,
    SlotTaken,
    TriggerDecided,
    WorkflowTriggered,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from triggers_spec import Spec, command, inbox, on_event, own


async def limited(limit: int = 1, workflow_id: str = "w", **concurrency: Any) -> Spec:
    spec = Spec()
    await save(spec, limit, workflow_id, **concurrency)
    return spec


async def save(spec: Spec, limit: int = 1, workflow_id: str = "w", **concurrency: Any) -> None:
    more = {name: concurrency.pop(name) for name in ("queue_timeout_ms",) if name in concurrency}
    wanted = {"concurrency": {"limit": limit, **concurrency}, **more}
    await spec.workflow(workflow_id, on_event(), settings=wanted)


async def events(spec: Spec, *names: str, **data: Any) -> list[WorkflowTriggered]:
    for name in names:
        await spec.event(name, data=data)
    runs = {run.cause.id: run for run in await spec.runs()}
    return [runs[name] for name in names if name in runs]


async def holders(spec: Spec) -> list[str]:
    """The causes of the runs that may run now, in order."""
    causes = {run.run_id: run.cause.id for run in await spec.runs()}
    held: dict[Any, str] = {}
    for stored in await spec.log.read(0, 100_000, stream_types={"slot"}):
        match decoded(stored):
            case SlotTaken() | RunAdmitted() as fact:
                assert fact.run_id not in held
                held[fact.run_id] = causes[fact.run_id]
            case SlotFreed() as fact:
                del held[fact.run_id]
            case _:
                pass
    return list(held.values())


def decoded(stored: Any) -> Any:
    from flowforge.events import decode

    return decode(stored.type, stored.data)


async def decided(spec: Spec, cause: str) -> list[tuple[str, str]]:
    facts = [fact for fact in await spec.logged(TriggerDecided) if fact.cause.id == cause]
    return [(fact.decision, fact.reason) for fact in facts]


async def test_a_run_without_concurrency_asks_for_nothing():
    spec = Spec()
    await spec.workflow("w", on_event())
    await events(spec, "e1", "e2")
    assert await spec.log.read(0, 100, stream_types={"slot"}) == []


async def test_a_start_and_its_slot_are_one_fact():
    spec = await limited()
    [run] = await events(spec, "e1")
    stored = {event.type: event for event in await spec.log.read(0, 100)}
    assert stored["SlotTaken"].recorded_at == stored["WorkflowTriggered"].recorded_at
    assert run.waits is None


async def test_one_too_many_waits_and_is_admitted_when_the_first_has_ended():
    spec = await limited(queue_timeout_ms=5_000)
    first, second = await events(spec, "e1", "e2")
    assert second.waits is not None
    assert (second.waits.holders, second.waits.place) == ([first.run_id], 1)
    assert second.waits.due_at is not None
    assert await decided(spec, "e2") == [("held", "concurrency")]
    await spec.ends(first)
    assert await holders(spec) == ["e2"]
    assert await decided(spec, "e2") == [("held", "concurrency"), ("fired", "")]
    said = [(one.subject.split(".")[-2], one.subject.split(".")[-1]) for one in spec.said]
    assert said[-1] == (str(second.run_id), "RunAdmitted")


async def test_the_queue_and_the_slots_survive_a_restart():
    spec = await limited()
    first, *_ = await events(spec, "e1", "e2", "e3")
    spec.restart()
    await spec.ends(first)
    spec.restart()
    assert await holders(spec) == ["e2"]
    [fourth] = await events(spec, "e4")
    assert fourth.waits is not None
    assert fourth.waits.place == 2


async def test_what_was_written_down_of_slots_is_what_the_log_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.triggers.kept_up.LEDGER_KEPT_AFTER_COUNT", 1)
    spec = await limited(key="${input.k}")
    first, *_ = await events(spec, "a1", "a2", "a3", k="a")
    done, *_ = await events(spec, "b1", k="b")
    await spec.ends(done)
    for number in range(4):
        await spec.event(f"c{number}", data={"k": f"c{number}"})
    await spec.service.tick()
    spec.restart()
    await spec.ends(first)
    assert await holders(spec) == ["c0", "c1", "c2", "c3", "a2"]
    [again] = await events(spec, "b2", k="b")
    assert again.waits is None


async def test_of_free_slots_only_those_used_last_are_known_and_an_older_one_is_looked_up(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("services.triggers.kept_up.LEDGER_KEPT_AFTER_COUNT", 1)
    monkeypatch.setattr("services.triggers.slot_ledger.IDLE_SLOTS_KEPT_COUNT_MAX", 2)
    spec = await limited(key="${input.k}")
    for name in "abcd":
        [run] = await events(spec, f"{name}1", k=name)
        await spec.ends(run)
    assert spec.service.slots.idle_count == 2
    await spec.service.tick()
    for name in ("a", "b"):
        [run] = await events(spec, f"{name}2", k=name)
        assert await holders(spec) == [f"{name}2"]
        [waits] = await events(spec, f"{name}3", k=name)
        assert waits.waits is not None
        await spec.ends(run)
        await spec.ends(waits)
        spec.restart()
    assert await holders(spec) == []


async def test_an_ending_heard_again_frees_one_slot():
    spec = await limited(limit=2)
    first, *_ = await events(spec, "e1", "e2", "e3", "e4")
    ending = await spec.ending(first)
    await spec.deliver([ending, ending])
    spec.restart()
    await spec.deliver([ending])
    assert await holders(spec) == ["e2", "e3"]


async def test_skip_is_a_decision_that_names_who_runs():
    spec = await limited(on_conflict="skip")
    first, *others = await events(spec, "e1", "e2")
    assert others == []
    assert await decided(spec, "e2") == [("suppressed", "overlap")]
    [fact] = await spec.logged(TriggerDecided)
    assert str(first.run_id) in fact.detail
    await spec.ends(first)
    await events(spec, "e3")
    assert await holders(spec) == ["e3"]


async def test_execute_meets_skip_with_a_refusal_that_names_who_runs_and_leaves_nothing():
    spec = await limited(on_conflict="skip")
    [first] = await events(spec, "e1")
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w")
    refused = answer["refused"]
    assert (refused["code"], refused["status"]) == ("CONCURRENT_EXECUTION_CONFLICT", 409)
    assert refused["extra"]["run_ids"] == [str(first.run_id)]
    assert await spec.logged(RunRequested) == []


async def test_a_command_that_was_granted_has_the_same_answer_while_its_own_run_is_in_the_way():
    spec = await limited(on_conflict="skip")
    granted = await spec.command("RequestRun", command_id="c1", workflow_id="w")
    spec.restart()
    assert await spec.command("RequestRun", command_id="c1", workflow_id="w") == granted


async def test_what_comes_again_is_in_nobodys_way():
    spec = await limited(on_conflict="skip")
    [first] = await events(spec, "e1")
    await spec.ends(first)
    spec.restart()
    await spec.deliver([inbox("e1"), inbox("e2")])
    assert await holders(spec) == ["e2"]
    assert await spec.logged(TriggerDecided) == []


async def test_of_two_commands_in_one_turn_one_is_granted_and_the_other_refused():
    spec = await limited(on_conflict="skip")
    batch = [command("RequestRun", command_id=name, workflow_id="w") for name in ("c1", "c2", "c3")]
    await spec.deliver(batch)
    first_turn = spec.answers[:3]
    assert sorted("ok" if "ok" in answer else "refused" for answer in first_turn) == ["ok", "refused", "refused"]
    assert await holders(spec) == ["c1"]
    assert len(await spec.logged(RunRequested)) == 1
    assert await spec.logged(SlotRefused) == []


async def test_a_command_that_comes_again_is_in_nobodys_way():
    spec = await limited(on_conflict="skip")
    await spec.command("RequestRun", command_id="c1", workflow_id="w")
    [first] = await spec.runs()
    await spec.ends(first)
    spec.restart()
    await spec.deliver([command("RequestRun", command_id=name, workflow_id="w") for name in ("c1", "c2")])
    assert await holders(spec) == ["c2"]


async def test_an_override_starts_beyond_the_limit():
    spec = await limited(on_conflict="skip")
    await events(spec, "e1")
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w", override_running=True)
    assert "ok" in answer
    assert await holders(spec) == ["e1", "c1"]
    [_, taken] = await spec.logged(SlotTaken)
    assert taken.is_beyond_limit


async def test_execute_waits_in_the_queue_and_is_answered_at_once():
    spec = await limited()
    await events(spec, "e1")
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w", priority=7)
    run = (await spec.runs())[-1]
    assert answer["ok"]["run_id"] == str(run.run_id)
    assert run.waits is not None
    [asked] = await spec.logged(SlotAwaited)
    assert (asked.priority, asked.trigger_id) == (7, "manual")


async def test_cancel_running_displaces_the_oldest_and_what_waits():
    spec = await limited(on_conflict="cancel_running")
    first, second, third = await events(spec, "e1", "e2", "e3")
    displaced = await spec.logged(RunDisplaced)
    assert [(fact.run_id, fact.by_run_id) for fact in displaced] == [
        (first.run_id, second.run_id),
        (second.run_id, third.run_id),
    ]
    assert await decided(spec, "e2") == [("held", "concurrency"), ("suppressed", "overlap")]
    await spec.ends(second, "cancelled")
    await spec.ends(first, "cancelled")
    assert await holders(spec) == ["e3"]


async def test_each_key_has_slots_of_its_own():
    spec = await limited(key="${input.customer}-${event.data.customer}")
    await events(spec, "a1", "a2", customer="a")
    await events(spec, "b1", customer="b")
    assert await holders(spec) == ["a1", "b1"]
    assert {fact.key for fact in await spec.logged(SlotTaken)} == {"a-a", "b-b"}


async def test_the_key_sees_the_variables_of_the_run():
    spec = Spec()
    declared = [{"name": "region", "type": "string", "default_value": "eu"}]
    concurrency = {"key": "${variables.region}"}
    await spec.workflow("w", on_event(), variables=declared, settings={"concurrency": concurrency})
    await events(spec, "e1")
    await spec.command("RequestRun", command_id="c1", workflow_id="w", variables={"region": "us"})
    assert [fact.key for fact in await spec.logged(SlotTaken)] == ["eu", "us"]


async def test_a_key_that_cannot_be_computed_is_a_decision_and_for_execute_a_refusal():
    spec = await limited(key="${input.customer}")
    await events(spec, "e1")
    [fact] = await spec.logged(TriggerDecided)
    assert (fact.decision, fact.detail) == ("failed", "input.customer")
    assert fact.reason.startswith("concurrency.key: ")
    answer = await spec.command("RequestRun", command_id="c1", workflow_id="w")
    assert answer["refused"]["errors"][0]["path"] == "$.settings.concurrency.key"


async def test_workflows_share_the_slots_of_a_pool_each_with_its_own_limit():
    spec = await limited(pool="database", limit=2)
    await save(spec, limit=1, workflow_id="v", pool="database")
    await spec.command("RequestRun", command_id="w1", workflow_id="w")
    await spec.command("RequestRun", command_id="v1", workflow_id="v")
    await spec.command("RequestRun", command_id="w2", workflow_id="w")
    assert await holders(spec) == ["w1"]
    await spec.ends((await spec.runs())[0])
    assert await holders(spec) == ["v1", "w2"]


async def test_who_is_cancelled_in_the_queue_leaves_it():
    spec = await limited()
    first, second, _ = await events(spec, "e1", "e2", "e3")
    await spec.ends(second, "cancelled")
    assert [fact.run_id for fact in await spec.logged(QueueLeft)] == [second.run_id]
    assert await decided(spec, "e2") == [("held", "concurrency"), ("suppressed", "cancelled")]
    await spec.ends(first)
    assert await holders(spec) == ["e3"]


async def test_who_waited_too_long_is_expired():
    spec = await limited(queue_timeout_ms=1)
    _, second = await events(spec, "e1", "e2")
    await spec.ends(second, "failed")
    assert await decided(spec, "e2") == [("held", "concurrency"), ("expired", "concurrency")]


async def test_a_raised_limit_lets_more_in_as_soon_as_it_is_saved():
    spec = await limited()
    await events(spec, "e1", "e2", "e3", "e4")
    await save(spec, limit=3)
    assert await holders(spec) == ["e1", "e2", "e3"]
    await spec.workflow("w", on_event())
    assert await holders(spec) == ["e1", "e2", "e3", "e4"], "without a limit nobody waits"


async def test_a_raised_limit_lets_more_in_beside_a_command_that_came_again():
    spec = await limited()
    first, second = await events(spec, "e1", "e2")
    asked = {"command_id": "c", "input_data": {}, "override_running": True}
    await spec.ends(await spec.begin("w", **asked))
    spec.tells_definitions = False
    await save(spec, 2)
    [saved] = (await spec.log.read(0, 100_000, stream_types={"workflow"}))[-1:]
    await spec.turn([command("RequestRun", workflow_id="w", **asked), own(saved, f"ns.workflows.w.{saved.type}")])
    assert (first.waits is None, second.waits is None) == (True, False)
    assert await holders(spec) == ["e1", "e2"]


async def test_a_lowered_limit_lets_those_that_run_end():
    spec = await limited(limit=3)
    first, second, third, _ = await events(spec, "e1", "e2", "e3", "e4")
    await save(spec, limit=1)
    await spec.ends(first)
    await spec.ends(second)
    assert await holders(spec) == ["e3"]
    await spec.ends(third)
    assert await holders(spec) == ["e4"]


async def test_twenty_events_in_one_turn_take_two_slots_and_wait_in_their_order():
    spec = await limited(limit=2)
    names = [f"e{number:02}" for number in range(20)]
    await spec.deliver([inbox(name) for name in names])
    for name in names:
        assert (await holders(spec))[0] == name
        assert len(await holders(spec)) <= 2
        [run] = [run for run in await spec.runs() if run.cause.id == name]
        await spec.ends(run)
    assert await holders(spec) == []


# --- any history ------------------------------------------------------------------------------------------------------

Step = tuple[Literal["start"], list[int]] | tuple[Literal["end"], int, str] | tuple[Literal["restart"]]
NUMBERS = st.integers(0, 8)
started = st.tuples(st.just("start"), st.lists(NUMBERS, min_size=1, max_size=4))
ended = st.tuples(st.just("end"), NUMBERS, st.sampled_from(["completed", "failed", "cancelled", "partial"]))
histories = st.lists(st.one_of(started, ended, ended, st.tuples(st.just("restart"))), max_size=14)


async def played(limit: int, keys: int, way: str, history: Sequence[Step]) -> None:
    """The oracle: of each key a list of those that run, one of those that wait, and who was ever there."""
    spec = await limited(limit=limit, key="${input.key}")
    known: set[int] = set()
    running: list[int] = []
    waiting: list[int] = []
    for step in history:
        match step:
            case ("start", numbers):
                for number in dict.fromkeys(numbers):
                    if number not in known:
                        known.add(number)
                        waiting.append(number)
                await spec.deliver([asked(way, number, {"key": f"{number % keys}"}) for number in numbers])
            case ("end", number, how):
                if number not in running and number not in waiting:
                    continue
                [run] = [run for run in await spec.runs() if run.cause.id == str(number)]
                await spec.ends(run, how)
                running = [each for each in running if each != number]
                waiting = [each for each in waiting if each != number]
            case ("restart",):
                spec.restart()
        for number in list(waiting):
            if sum(each % keys == number % keys for each in running) < limit:
                waiting.remove(number)
                running.append(number)
        held = await holders(spec)
        for key in range(keys):
            assert [one for one in held if int(one) % keys == key] == [f"{one}" for one in running if one % keys == key]
    assert len(await spec.runs()) == len(known)


def asked(way: str, number: int, data: dict[str, str]) -> Any:
    if way == "inbox":
        return inbox(f"{number}", data=data)
    return command("RequestRun", command_id=str(number), workflow_id="w", input_data=data)


TWO_ENDED: list[Step] = [("start", [1, 2]), ("end", 1, "completed"), ("end", 2, "completed")]


@settings(max_examples=100, deadline=None)
@example(1, 1, "inbox", 0, [("start", [1]), ("end", 1, "completed"), ("start", [0])])
@example(1, 3, "inbox", 0, [*TWO_ENDED, ("start", [4, 5])])
@example(1, 3, "command", 1, [*TWO_ENDED, ("restart",), ("start", [4, 5]), ("end", 4, "failed"), ("start", [7, 8])])
@given(st.integers(1, 3), st.sampled_from([1, 3]), st.sampled_from(["inbox", "command"]), st.integers(0, 2), histories)
def test_slots_are_held_by_the_first_that_came_whatever_is_sent_again_restarted_or_forgotten(
    limit: int, keys: int, way: str, idle_kept: int, history: list[Step]
):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("services.triggers.slot_ledger.IDLE_SLOTS_KEPT_COUNT_MAX", idle_kept)
        asyncio.run(played(limit, keys, way, history))

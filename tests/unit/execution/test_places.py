"""Limits across runs: never more than there is room for, whose turn it is, and that no place is lost."""

import random
from typing import Any
from uuid import UUID

import pytest
from flowforge.commands import ChangeRun, DecideNode, PauseRun, ResumeRun, RetryRun
from flowforge.events import ChildWait, NodeWaiting, PoolWait
from flowforge.reports import JobCompleted
from hypothesis import given, settings
from hypothesis import strategies as st

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import edge, job
from tests.unit.execution.house import House


def one(house: House, **fields: Any) -> Any:
    return house.define(nodes=[job("j", **{"pool": "gpu", **fields})])


def started(house: House, count: int, **fields: Any) -> list[UUID]:
    plan = one(house, **fields)
    return [house.start(plan) for _ in range(count)]


def test_a_pool_has_room_for_so_many_and_the_others_wait_and_say_for_what():
    house = House(pools={"gpu": 2})
    runs = started(house, 4)
    assert house.statuses(runs, "j") == ["queued", "queued", "waiting", "waiting"]
    assert house.unit(runs[2], "j").wait == PoolWait(pool="gpu", limit=2)


def test_a_place_that_is_freed_goes_to_the_one_that_has_waited_longest():
    house = House(pools={"gpu": 1})
    first, second, third = started(house, 3)
    house.completes(first, "j")
    assert house.statuses([first, second, third], "j") == ["completed", "queued", "waiting"]
    house.fails(second, "j")
    assert house.status(third, "j") == "queued"


def test_it_is_told_once_that_a_node_waits():
    house = House(pools={"gpu": 1})
    _, second = started(house, 2)
    for _ in range(3):
        house.when(second, decide.woken)
    assert house.kinds(second).count("NodeWaiting") == 1


def test_a_higher_priority_goes_first_whoever_came_first():
    house = House(pools={"gpu": 1})
    plan = one(house)
    first, low, high = house.start(plan), house.start(plan), house.start(plan, priority=5)
    house.completes(first, "j")
    assert house.statuses([low, high], "j") == ["waiting", "queued"]


def test_a_priority_that_is_changed_changes_the_turn():
    house = House(pools={"gpu": 1})
    first, second, third = started(house, 3)
    house.when(third, lambda step: operations.change(step, ChangeRun(command_id="c", run_id=str(third), priority=1)))
    house.completes(first, "j")
    assert house.statuses([second, third], "j") == ["waiting", "queued"]


def test_nobody_new_gets_ahead_of_those_who_wait():
    house = House(pools={"gpu": 1})
    plan = one(house)
    first, second = house.start(plan), house.start(plan)
    job_id = house.run(first).job_id(house.unit(first, "j"))
    house.only(first, lambda step: decide.report(step, job_id, JobCompleted(attempt=1)))  # the place is free
    third = house.start(plan)  # and it comes before the second is woken, which then has its turn
    assert house.statuses([second, third], "j") == ["queued", "waiting"]


def test_a_chain_keeps_its_place_while_nobody_waits():
    house = House(pools={"gpu": 1})
    plan = house.define(nodes=[job("a", pool="gpu"), job("b", pool="gpu")], edges=[edge("a", "b")])
    run = house.start(plan)
    house.completes(run, "a")
    assert house.status(run, "b") == "queued"
    assert "NodeWaiting" not in house.kinds(run)


def test_a_chain_does_not_keep_its_place_from_others():
    house = House(pools={"gpu": 1})
    plan = house.define(nodes=[job("a", pool="gpu"), job("b", pool="gpu")], edges=[edge("a", "b")])
    first, second = house.start(plan), house.start(plan)
    house.completes(first, "a")
    assert (house.status(first, "b"), house.status(second, "a")) == ("waiting", "queued")


@pytest.mark.parametrize(
    ("limits", "waits_for"),
    [
        ({"jobs_max": 1}, "jobs"),
        ({"queues": {"default": 1}}, "queue:default"),
        ({"user_jobs_max": 1}, "user:ada"),
    ],
)
def test_the_installation_has_limits_of_its_own(limits: dict[str, Any], waits_for: str):
    house = House(**limits)
    plan = one(house, pool=None)
    first, second = house.start(plan, actor="ada"), house.start(plan, actor="ada")
    assert house.unit(second, "j").wait == PoolWait(pool=waits_for, limit=1)
    house.completes(first, "j")
    assert house.status(second, "j") == "queued"


def test_a_user_does_not_wait_for_another_and_runs_of_nobody_wait_for_no_user():
    house = House(user_jobs_max=1)
    plan = one(house)
    runs = [house.start(plan, actor=actor) for actor in ("ada", "bob", None, None)]
    assert house.statuses(runs, "j") == ["queued"] * 4


def test_a_pool_without_a_limit_is_unlimited():
    house = House(pools={"db": 1})
    assert house.statuses(started(house, 5), "j") == ["queued"] * 5


def test_who_waits_for_one_limit_does_not_hold_another():
    house = House(pools={"gpu": 2}, queues={"slow": 1})
    plan, slow = one(house), one(house, queue="slow")
    first, second, third = house.start(slow), house.start(slow), house.start(plan)
    assert house.statuses([first, second, third], "j") == ["queued", "waiting", "queued"]
    assert house.unit(second, "j").wait == PoolWait(pool="queue:slow", limit=1)
    house.completes(first, "j")
    assert house.status(second, "j") == "queued"


def test_a_map_waits_with_one_of_its_instances():
    house = House(pools={"gpu": 2})
    plan = house.define(nodes=[job("j", pool="gpu", for_each="${input}")])
    run = house.start(plan, [1, 2, 3, 4])
    assert [house.status(run, "j", str(index)) for index in range(4)] == ["queued", "queued", "waiting", "idle"]
    for index in range(4):
        house.completes(run, "j", index, instance=str(index))
    assert house.run(run).status == "completed"


def test_a_child_run_takes_a_place_while_it_lasts():
    house = House(pools={"gpu": 1})
    child = {"id": "c", "type": "workflow", "workflow_id": "other", "pool": "gpu"}
    plan = house.define(nodes=[child])
    first, second = house.start(plan), house.start(plan)
    assert isinstance(house.unit(first, "c").wait, ChildWait)
    assert isinstance(house.unit(second, "c").wait, PoolWait)
    house.when(first, lambda step: decide.cancel(step, "enough", "c1"))
    assert isinstance(house.unit(second, "c").wait, ChildWait)


def test_a_job_that_waits_for_its_retry_gives_its_place_back():
    house = House(pools={"gpu": 1})
    plan = one(house, retry_policy={"max_attempts": 2, "delay_ms": 60_000})
    first, second = house.start(plan), house.start(plan)
    house.fails(first, "j")
    assert (house.status(first, "j"), house.status(second, "j")) == ("waiting", "queued")


def test_a_paused_run_keeps_nobody_waiting_and_has_its_turn_again():
    house = House(pools={"gpu": 1})
    first, second, third = started(house, 3)
    house.when(second, lambda step: operations.pause(step, PauseRun(command_id="p", run_id=str(second))))
    house.completes(first, "j")
    assert house.statuses([second, third], "j") == ["waiting", "queued"]
    house.when(second, lambda step: operations.resume(step, ResumeRun(command_id="r", run_id=str(second))))
    house.completes(third, "j")
    assert house.status(second, "j") == "queued"


def test_a_run_that_has_no_slot_of_its_own_lets_others_go_first():
    house = House(pools={"gpu": 1})
    plan = house.define(nodes=[job("j", pool="gpu"), job("k")], settings={"max_parallel_jobs": 1})
    holder, busy, other = house.start(one(house)), house.start(plan), house.start(one(house))
    assert (house.status(busy, "j"), house.status(busy, "k")) == ("waiting", "queued")
    house.completes(holder, "j")
    assert house.status(other, "j") == "queued"
    house.completes(other, "j")
    house.completes(busy, "k")
    assert house.status(busy, "j") == "queued"


@pytest.mark.parametrize("action", ["complete", "fail", "skip"])
def test_a_node_that_waits_can_be_decided_by_hand(action: Any):
    house = House(pools={"gpu": 1})
    first, second, third = started(house, 3)
    command = DecideNode(command_id="d", run_id=str(second), node_id="j", action=action)
    house.when(second, lambda step: operations.decide_node(step, command))
    house.completes(first, "j")
    assert house.status(third, "j") == "queued"


def test_a_retried_run_waits_for_a_place_again():
    house = House(pools={"gpu": 1})
    first, second = started(house, 2)
    house.fails(first, "j")
    retry = RetryRun(command_id="r", run_id=str(first))
    house.when(first, lambda step: operations.retry(step, retry))
    assert house.status(first, "j") == "waiting"
    house.completes(second, "j")
    assert house.status(first, "j") == "queued"
    house.completes(first, "j", attempt=2)
    assert house.run(first).status == "completed"


def test_a_step_that_was_refused_has_taken_nothing():
    house = House(pools={"gpu": 1})
    plan = one(house)
    first = house.start(plan)
    house.completes(first, "j")
    house.around.places.invitations()
    second = house.start(
        house.define("other", nodes=[job("before"), job("j", pool="gpu")], edges=[edge("before", "j")])
    )
    job_id = house.run(second).job_id(house.unit(second, "before"))
    step = house.decided(second, lambda step: decide.report(step, job_id, JobCompleted(attempt=1)))
    assert "NodeQueued" in [type(event).__name__ for event in step.events]
    third = house.start(plan)
    assert house.status(third, "j") == "waiting"  # what is decided and not logged counts
    house.refused(step)
    house.settle()
    assert house.status(third, "j") == "queued"


def test_what_a_step_gives_back_is_for_others_once_it_is_logged():
    house = House(pools={"gpu": 1})
    first, second = started(house, 2)
    job_id = house.run(first).job_id(house.unit(first, "j"))
    step = house.decided(first, lambda step: decide.report(step, job_id, JobCompleted(attempt=1)))
    assert house.only(second, decide.woken) == []
    house.logged(step)
    house.settle()
    assert house.status(second, "j") == "queued"


def test_a_limit_that_was_taken_away_keeps_nobody_waiting():
    house = House(pools={"gpu": 1})
    runs = started(house, 3)
    house.limits = type(house.limits)()
    house.crash()
    house.settle()
    assert house.statuses(runs, "j") == ["queued"] * 3


Act = tuple[str, int]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["start", "end", "end", "end", "fail", "cancel", "pause", "resume", "crash", "refuse"]),
        st.integers(0, 1_000),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(acts=ACTS, seed=st.integers(0, 1_000))
def test_whatever_happens_no_limit_is_exceeded_and_everybody_has_a_turn(acts: list[Act], seed: int):
    house = House(pools={"gpu": 2, "db": 1}, queues={"slow": 2}, jobs_max=4, user_jobs_max=3)
    plans = plans_of(house)
    chance = random.Random(seed)
    for act, number in acts:
        act_once(house, act, number, plans, chance)
        check_limits(house)
    for run_id in list(house.log):
        if house.run(run_id).status == "paused":
            command = ResumeRun(command_id=f"end-{run_id}", run_id=str(run_id))
            house.when(run_id, lambda step, command=command: operations.resume(step, command))
    while under_way := house.under_way():
        check_limits(house)
        run_id, unit = under_way[0]
        house.completes(run_id, unit.node_id, attempt=unit.attempt, instance=unit.instance)
    assert all(house.run(run_id).is_ended for run_id in house.log), "somebody waits for ever"
    for name in ("pool:gpu", "pool:db", "queue:slow", "jobs", "user:ada"):
        assert house.around.places.taken_count(name) == 0
        assert house.around.places.waiting_count(name) == 0


def plans_of(house: House) -> list[Any]:
    chain = [job("a", pool="gpu"), job("b", pool="db", queue="slow"), job("c", pool="gpu", queue="slow")]
    wide = [job(f"n{i}", pool="gpu" if i % 2 else None) for i in range(4)]
    retried = job("j", pool="db", retry_policy={"max_attempts": 3, "delay_ms": 0})
    return [
        house.define("chain", nodes=chain, edges=[edge("a", "b"), edge("b", "c")]),
        house.define("wide", nodes=wide, settings={"max_parallel_jobs": 2, "fail_fast": False}),
        house.define("map", nodes=[job("m", pool="gpu", for_each="${[1, 2, 3]}")]),
        house.define("retried", nodes=[retried]),
    ]


def act_once(house: House, act: str, number: int, plans: list[Any], chance: random.Random) -> None:
    if act == "start":
        actor = chance.choice(["ada", "bob", None])
        house.start(plans[number % len(plans)], actor=actor, priority=chance.choice([0, 0, 5]))
        return
    if act == "crash":
        house.crash()
        house.settle()
        return
    under_way, runs = house.under_way(), [run_id for run_id in house.log if not house.run(run_id).is_ended]
    if act in ("end", "fail", "refuse") and under_way:
        run_id, unit = under_way[number % len(under_way)]
        if act == "end":
            house.completes(run_id, unit.node_id, attempt=unit.attempt, instance=unit.instance)
        elif act == "fail" and not unit.instance:
            house.fails(run_id, unit.node_id, attempt=unit.attempt)
        elif act == "refuse":
            refuse(house, run_id, unit)
    elif runs:
        operate(house, act, runs[number % len(runs)], number)


def refuse(house: House, run_id: UUID, unit: Any) -> None:
    job_id, said = house.run(run_id).job_id(unit), JobCompleted(attempt=unit.attempt)
    step = house.decided(run_id, lambda step: decide.report(step, job_id, said))
    house.refused(step)
    house.settle()


def operate(house: House, act: str, run_id: UUID, number: int) -> None:
    name = str(run_id)
    deeds: dict[str, Any] = {
        "cancel": lambda step: decide.cancel(step, "enough", f"c{number}"),
        "pause": lambda step: operations.pause(step, PauseRun(command_id=f"p{number}", run_id=name)),
        "resume": lambda step: operations.resume(step, ResumeRun(command_id=f"r{number}", run_id=name)),
    }
    if act in deeds:
        house.when(run_id, deeds[act])


def check_limits(house: House) -> None:
    units = [(house.run(run_id), unit) for run_id, unit in house.under_way()]
    for name in ("pool:gpu", "pool:db", "queue:slow", "jobs", "user:ada", "user:bob"):
        count = sum(name in house.limits.names(unit.plan, run.actor) for run, unit in units)
        assert count <= (house.limits.count_max(name) or 0), f"{count} under {name}"
        assert count == house.around.places.taken_count(name)


def test_waiting_is_told_of_each_node_and_of_one_instance():
    house = House(pools={"gpu": 1})
    plan = house.define(nodes=[job(f"n{i}", pool="gpu") for i in range(3)])
    run = house.start(plan)
    waits = [event for event, _ in house.log[run] if isinstance(event, NodeWaiting)]
    assert [event.node_id for event in waits] == ["n1", "n2"]

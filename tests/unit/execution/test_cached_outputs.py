"""`cache_key`: an output that is there already is used again, and shown as such."""

from typing import Any
from uuid import UUID

import pytest
from flowforge.commands import DecideNode, RetryRun
from flowforge.events import NodeCompleted, NodeQueued

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import edge, job
from tests.unit.execution.house import House


def one(house: House, **fields: Any) -> Any:
    return house.define(nodes=[job("j", **{"cache_key": "${input.day}", **fields})])


def ran(house: House, plan: Any, given: Any, output: Any = 1) -> UUID:
    run = house.start(plan, given)
    house.completes(run, "j", output)
    return run


def completed(house: House, run: UUID, node_id: str = "j") -> NodeCompleted:
    return next(e for e, _ in house.log[run] if isinstance(e, NodeCompleted) and e.node_id == node_id)


def test_the_same_key_gives_the_same_output_and_no_job():
    house = House()
    plan = one(house)
    first = ran(house, plan, {"day": "monday"}, {"rows": 7})
    second = house.start(plan, {"day": "monday"})
    assert house.kinds(second)[1:] == ["RunStarted", "NodeStarted", "NodeCompleted", "RunCompleted"]
    event = completed(house, second)
    assert bytes(event.output) == b'{"rows":7}'
    assert event.cached_from is not None
    assert (event.cached_from.run_id, event.cached_from.node_id) == (first, "j")
    assert event.cache_key == ""


def test_the_newest_output_counts_and_one_that_was_used_again_is_none():
    house = House()
    plan = one(house)
    ran(house, plan, {"day": "monday"})
    house.start(plan, {"day": "monday"})
    third = house.start(plan, {"day": "monday"})
    cached_from = completed(house, third).cached_from
    assert cached_from is not None
    assert cached_from.run_id == next(iter(house.log))


@pytest.mark.parametrize("other", [{"day": "tuesday"}, {"day": 1}])
def test_another_key_is_another_job(other: Any):
    house = House()
    plan = one(house)
    ran(house, plan, {"day": "monday"})
    assert house.status(house.start(plan, other), "j") == "queued"


@pytest.mark.parametrize("key", ["${null}", "${''}"])
def test_a_key_of_nothing_uses_nothing_again(key: str):
    house = House()
    plan = one(house, cache_key=key)
    ran(house, plan, {})
    assert house.status(house.start(plan, {}), "j") == "queued"


def test_the_key_may_be_any_value_and_its_order_does_not_matter():
    house = House()
    plan = one(house, cache_key="${input}")
    ran(house, plan, {"a": 1, "b": [2]})
    assert house.run(house.start(plan, {"b": [2], "a": 1})).status == "completed"


def test_another_node_workflow_or_job_type_has_outputs_of_its_own():
    house = House()
    ran(house, one(house), {"day": "monday"})
    others = [
        house.define("other", nodes=[job("j", cache_key="${input.day}")]),
        house.define(nodes=[job("k", cache_key="${input.day}")]),
        one(house, job_type="else"),
    ]
    for plan in others:
        run = house.start(plan, {"day": "monday"})
        assert "NodeQueued" in house.kinds(run)


def test_a_failure_is_not_used_again():
    house = House()
    plan = one(house)
    house.fails(house.start(plan, {"day": "monday"}), "j")
    assert house.status(house.start(plan, {"day": "monday"}), "j") == "queued"


def test_a_later_attempt_is_a_new_job_and_its_output_is_kept():
    house = House()
    plan = one(house, retry_policy={"max_attempts": 2, "delay_ms": 0})
    first = house.start(plan, {"day": "monday"})
    house.fails(first, "j")
    house.completes(first, "j", 2, attempt=2)
    assert [e.cache_key for e, _ in house.log[first] if isinstance(e, NodeQueued)] == ["monday", "monday"]
    assert house.run(house.start(plan, {"day": "monday"})).status == "completed"


def test_what_a_person_says_is_used_once():
    house = House()
    plan = one(house)
    run = house.start(plan, {"day": "monday"})
    command = DecideNode(command_id="d", run_id=str(run), node_id="j", action="complete")
    house.when(run, lambda step: operations.decide_node(step, command))
    assert house.status(house.start(plan, {"day": "monday"}), "j") == "queued"


def test_every_instance_of_a_map_has_a_key_of_its_own():
    house = House()
    plan = house.define(nodes=[job("m", cache_key="${item}", for_each="${input}")])
    first = house.start(plan, [1, 2])
    for index in range(2):
        house.completes(first, "m", index * 10, instance=str(index))
    second = house.start(plan, [2, 3, 1])
    statuses = [house.status(second, "m", str(index)) for index in range(3)]
    assert statuses == ["completed", "queued", "completed"]


def test_a_long_map_and_a_long_chain_that_were_all_done_before_need_no_job():
    house = House()
    names = [f"n{i}" for i in range(12)]
    plan = house.define(
        nodes=[job("m", cache_key="m${index}", for_each="${input}"), *(job(name, cache_key="k") for name in names)],
        edges=[edge(a, b) for a, b in zip(["m", *names], names, strict=False)],
    )
    first = house.start(plan, list(range(40)))
    while under_way := house.under_way():
        _, unit = under_way[0]
        house.completes(first, unit.node_id, instance=unit.instance)
    run = house.start(plan, list(range(40)))
    assert "NodeQueued" not in house.kinds(run)
    assert house.run(run).status == "completed"


def test_an_iteration_uses_what_the_one_before_gave():
    house = House()
    body = {"nodes": [job("j", cache_key="same")]}
    plan = house.define(nodes=[{"id": "l", "type": "loop", "loop_type": "count", "count": 3, "body": body}])
    run = house.start(plan)
    house.completes(run, "j", 5, instance="0")
    assert house.run(run).status == "completed"
    assert house.kinds(run).count("NodeQueued") == 1


def test_an_output_that_breaks_what_the_node_declares_now_fails_it():
    house = House()
    ran(house, one(house), {"day": "monday"}, {"rows": 7})
    run = house.start(one(house, outputs=[{"name": "rows", "type": "string"}]), {"day": "monday"})
    error = house.unit(run, "j").error
    assert error is not None
    assert error.code == "OUTPUT_INVALID"


def test_a_key_that_cannot_be_computed_fails_the_node():
    house = House()
    run = house.start(one(house), {})
    error = house.unit(run, "j").error
    assert error is not None
    assert error.code == "EXPRESSION_ERROR"


def test_a_run_that_asked_when_the_process_ended_goes_on():
    house = House()
    plan = one(house)
    ran(house, plan, {"day": "monday"})
    asked = house.start(plan, {"day": "tuesday"}, is_looked_up=False)
    assert house.status(asked, "j") == "idle"
    house.crash()
    house.settle()
    assert house.status(asked, "j") == "queued"


def test_a_retried_run_may_use_what_another_has_done_since():
    house = House()
    plan = one(house)
    failed = house.start(plan, {"day": "monday"})
    house.fails(failed, "j")
    ran(house, plan, {"day": "monday"})
    house.when(failed, lambda step: operations.retry(step, RetryRun(command_id="r", run_id=str(failed))))
    assert house.run(failed).status == "completed"
    assert house.run(failed).active_jobs == 0


def test_what_is_used_again_takes_no_place():
    house = House(pools={"gpu": 1})
    plan = one(house, pool="gpu")
    ran(house, plan, {"day": "monday"})
    house.start(plan, {"day": "tuesday"})
    assert house.run(house.start(plan, {"day": "monday"})).status == "completed"
    assert house.status(house.start(plan, {"day": "wednesday"}), "j") == "waiting"


def test_looked_up_once_while_it_waits():
    house = House(pools={"gpu": 1})
    plan = one(house, pool="gpu")
    first = house.start(plan, {"day": "monday"})
    second = house.start(plan, {"day": "tuesday"})
    house.only(second, decide.woken)
    house.completes(first, "j")
    assert house.status(second, "j") == "queued"

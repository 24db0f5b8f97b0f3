"""Circuit breakers: they open after failures in a row, let one attempt through to try, and survive a crash."""

from typing import Any
from uuid import UUID

from flowforge.commands import DecideNode
from flowforge.events import BreakerClosed, BreakerHalfOpened, BreakerOpened, BreakerWait, NodeQueued

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import edge, job
from tests.unit.execution.house import House

BREAKER = {"failure_threshold": 2, "window_ms": 10_000, "open_ms": 30_000}
NAME = "job:work"


def one(house: House, **fields: Any) -> Any:
    return house.define(nodes=[job("j", **{"circuit_breaker": BREAKER, **fields})])


def failed_run(house: House, plan: Any) -> UUID:
    run = house.start(plan)
    house.fails(run, "j")
    return run


def opened(house: House) -> Any:
    plan = one(house)
    failed_run(house, plan)
    failed_run(house, plan)
    return plan


def told(house: House, name: str = NAME) -> list[type]:
    return [type(event) for event in house.breaker_log.get(name, [])]


def test_it_opens_with_so_many_failures_in_a_row_and_says_why():
    house = House()
    opened(house)
    [event] = house.breaker_log[NAME]
    assert isinstance(event, BreakerOpened)
    assert event.failures_count == 2
    assert event.error == "NODE_EXECUTION_FAILED: it broke"


def test_while_it_is_open_attempts_wait_and_say_for_how_long():
    house = House()
    plan = opened(house)
    run = house.start(plan)
    wait = house.unit(run, "j").wait
    assert isinstance(wait, BreakerWait)
    assert wait.breaker == NAME
    assert wait.due_at == house.around.breakers.known[NAME].open_until
    assert house.kinds(run).count("NodeWaiting") == 1


def test_a_success_between_them_makes_failures_no_row():
    house = House()
    plan = one(house)
    failed_run(house, plan)
    house.completes(house.start(plan), "j")
    failed_run(house, plan)
    assert told(house) == []


def test_failures_that_are_long_past_do_not_count():
    house = House()
    plan = one(house)
    failed_run(house, plan)
    house.pass_ms(11_000)
    failed_run(house, plan)
    assert told(house) == []


def test_after_its_time_it_lets_one_attempt_through_and_the_others_wait_on():
    house = House()
    plan = opened(house)
    runs = [house.start(plan) for _ in range(3)]
    house.pass_ms(30_000)
    assert sorted(house.statuses(runs, "j")) == ["queued", "waiting", "waiting"]
    assert told(house) == [BreakerOpened, BreakerHalfOpened]


def test_a_trial_that_goes_well_closes_it_for_all():
    house = House()
    plan = opened(house)
    runs = [house.start(plan) for _ in range(3)]
    house.pass_ms(30_000)
    trial = next(run for run in runs if house.status(run, "j") == "queued")
    house.completes(trial, "j")
    assert told(house)[2:] == [BreakerClosed]
    assert sorted(house.statuses(runs, "j")) == ["completed", "queued", "queued"]


def test_a_trial_that_fails_opens_it_again():
    house = House()
    plan = opened(house)
    first, second = house.start(plan), house.start(plan)
    house.pass_ms(30_000)
    house.fails(first, "j")
    assert told(house)[2:] == [BreakerOpened]
    assert house.status(second, "j") == "waiting"
    house.pass_ms(29_000)
    assert house.status(second, "j") == "waiting"
    house.pass_ms(1_000)
    assert house.status(second, "j") == "queued"


def test_a_trial_that_does_not_end_makes_way_for_another():
    house = House()
    plan = opened(house)
    first, second = house.start(plan), house.start(plan)
    house.pass_ms(30_000)
    assert house.statuses([first, second], "j") == ["queued", "waiting"]
    house.pass_ms(30_001)
    assert house.status(second, "j") == "queued"


def test_a_trial_that_is_cancelled_makes_way_at_once():
    house = House()
    plan = opened(house)
    first, second = house.start(plan), house.start(plan)
    house.pass_ms(30_000)
    house.when(first, lambda step: decide.cancel(step, "enough", "c"))
    house.pass_ms(1)
    assert house.status(second, "j") == "queued"


def test_a_retry_at_once_waits_when_the_failure_before_it_opened_the_breaker():
    house = House()
    run = house.start(one(house, retry_policy={"max_attempts": 5, "delay_ms": 0}))
    house.fails(run, "j")
    assert house.status(run, "j") == "queued"
    house.fails(run, "j", attempt=2)
    assert isinstance(house.unit(run, "j").wait, BreakerWait)
    house.pass_ms(30_000)
    house.fails(run, "j", attempt=3)
    assert isinstance(house.unit(run, "j").wait, BreakerWait)
    house.pass_ms(30_001)
    house.completes(run, "j", attempt=4)
    assert house.run(run).status == "completed"
    assert told(house)[-1] is BreakerClosed


def test_it_survives_a_crash_and_lets_through_whoever_waits():
    house = House()
    plan = opened(house)
    run = house.start(plan)
    house.crash()
    house.settle()
    assert house.status(run, "j") == "waiting"
    house.pass_ms(30_000)
    assert house.status(run, "j") == "queued"
    house.crash()
    house.completes(run, "j")
    assert told(house) == [BreakerOpened, BreakerHalfOpened, BreakerClosed]


def test_what_is_not_the_fault_of_what_is_called_is_not_counted():
    house = House()
    plan = one(house, outputs=[{"name": "x"}])
    for _ in range(3):
        house.completes(house.start(plan), "j", {})
    assert told(house) == []


def test_a_node_that_is_decided_by_hand_says_nothing_about_what_it_calls():
    house = House()
    plan = one(house)
    for _ in range(3):
        run = house.start(plan)
        command = DecideNode(command_id=f"d{run}", run_id=str(run), node_id="j", action="fail")
        house.when(run, lambda step, command=command: operations.decide_node(step, command))
    assert told(house) == []


def test_it_is_shared_by_all_nodes_of_the_job_type_that_have_one():
    house = House()
    opened(house)
    other = house.define("other", nodes=[job("k", circuit_breaker=BREAKER), job("free"), job("x", job_type="y")])
    run = house.start(other)
    assert [house.status(run, node) for node in ("k", "free", "x")] == ["waiting", "queued", "queued"]


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"id": "j", "type": "webhook", "url": url, "circuit_breaker": BREAKER, **fields}


def test_webhooks_share_one_with_those_to_the_same_host():
    house = House()
    plan = house.define(nodes=[webhook("https://${input}/path")])
    for _ in range(2):
        house.fails(house.start(plan, "Api.example.com:8443"), "j", code="HTTP_ERROR")
    waits, passes = house.start(plan, "api.example.com"), house.start(plan, "other.example.com")
    assert house.statuses([waits, passes], "j") == ["waiting", "queued"]
    assert told(house, "host:api.example.com") == [BreakerOpened]


def test_a_webhook_whose_call_was_made_counts_as_a_success_before_it_is_called_back():
    house = House()
    plan = house.define(nodes=[webhook("https://a.example.com", wait_for_callback=True)])
    house.fails(house.start(plan), "j")
    house.completes(house.start(plan), "j", {"status": 202})
    house.fails(house.start(plan), "j")
    assert told(house, "host:a.example.com") == []


def test_a_map_waits_before_it_with_one_instance():
    house = House()
    opened(house)
    run = house.start(house.define("map", nodes=[job("m", circuit_breaker=BREAKER, for_each="${[1, 2, 3]}")]))
    assert [house.status(run, "m", str(index)) for index in range(3)] == ["waiting", "idle", "idle"]


def test_with_a_pool_the_place_is_taken_once_the_breaker_lets_through():
    house = House(pools={"gpu": 1})
    opened(house)
    held = house.start(house.define("held", nodes=[job("j", pool="gpu", circuit_breaker=BREAKER)]))
    free = house.start(house.define("free", nodes=[job("j", pool="gpu", job_type="y")]))
    assert house.statuses([held, free], "j") == ["waiting", "queued"]
    house.pass_ms(30_000)
    assert house.status(held, "j") == "waiting"
    house.completes(free, "j")
    assert house.status(held, "j") == "queued"


def test_a_step_that_was_refused_tried_nothing():
    house = House()
    plan = opened(house)
    first, second = house.start(plan), house.start(plan)
    house.now = house.around.breakers.known[NAME].open_until or house.now
    step = house.decided(first, decide.woken)
    assert isinstance(step.events[0], NodeQueued)
    assert house.only(second, decide.woken) == []  # while nobody knows
    house.refused(step)
    assert isinstance(house.only(second, decide.woken)[0], NodeQueued)


def test_a_chain_of_nodes_before_one_breaker():
    house = House()
    plan = house.define(
        "chain", nodes=[job("a", circuit_breaker=BREAKER), job("b", circuit_breaker=BREAKER)], edges=[edge("a", "b")]
    )
    run = house.start(plan)
    house.completes(run, "a")
    house.completes(run, "b")
    assert house.run(run).status == "completed"
    assert told(house) == []

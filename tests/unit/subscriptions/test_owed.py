"""Filters, attempts and lanes: what is owed, in which order, and when again."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flowforge.events import SubscriptionFilter

from infra.settings import SettingsError
from services.subscriptions.filters import Filter, RunFacts
from services.subscriptions.lanes import Lanes, Owed
from services.subscriptions.retries import Again, Attempt, verdict
from services.subscriptions.settings import ATTEMPT_WAITS_S, attempt_waits_s

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RED = RunFacts("r", "daily", {"team": "red"})


@pytest.mark.parametrize(
    ("given", "event_type", "fits"),
    [
        (SubscriptionFilter(), "NodeStarted", True),
        (SubscriptionFilter(), "WorkflowCreated", False),
        (SubscriptionFilter(workflow_id="daily"), "RunStarted", True),
        (SubscriptionFilter(workflow_id="other"), "RunStarted", False),
        (SubscriptionFilter(statuses=("failed",)), "RunFailed", True),
        (SubscriptionFilter(statuses=("failed",)), "NodeFailed", False),
        (SubscriptionFilter(label="team=red"), "RunFailed", True),
        (SubscriptionFilter(label="team=blue"), "RunFailed", False),
        (SubscriptionFilter(condition="event.data.n > 1 && run.labels.team == 'red'"), "RunFailed", True),
        (SubscriptionFilter(condition="event.data.n > 2"), "RunFailed", False),
    ],
)
def test_an_event_fits_all_of_a_filter_or_none(given: SubscriptionFilter, event_type: str, fits: bool):
    assert Filter(given).means(event_type, RED, lambda: {"type": event_type, "data": {"n": 2}}) is fits


def test_a_condition_without_an_answer_is_false_and_says_why():
    filter_ = Filter(SubscriptionFilter(condition="event.data.none == 1"))
    assert not filter_.means("RunFailed", RED, lambda: {"type": "RunFailed", "data": {}})
    assert "none" in filter_.fault


def attempt(status: int | None = 500, retry_after: str = "", error: str = "no") -> Attempt:
    return Attempt(NOW, status, 5, error, retry_after)


def test_a_failure_is_tried_again_over_about_a_day_and_then_no_more():
    waits = [verdict(attempt(), number, 0.5) for number in range(1, 12)]
    assert waits[9:] == ["spent", "spent"]
    seconds = [each.at - NOW for each in waits[:9] if isinstance(each, Again)]
    assert seconds == [timedelta(seconds=wait_s) for wait_s in ATTEMPT_WAITS_S]
    assert timedelta(hours=20) < sum(seconds, timedelta()) < timedelta(hours=28)


def test_waits_spread_so_that_what_failed_together_does_not_come_together():
    assert [verdict(attempt(), 1, jitter) for jitter in (0.0, 1.0)] == [
        Again(NOW + timedelta(seconds=4)), Again(NOW + timedelta(seconds=6)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        ("60", 60),
        ("1", 5),
        ("Sat, 31 Jan 2026 12:01:00 GMT", 60),
        ("soon", 5),
        ("99999999999", 43_200),
        ("-1", 5),
        ("Sat, 31 Jan 2026 12:00:00 +99999999999999999999", 5),
    ],
)
def test_a_receiver_may_ask_for_more_time(retry_after: str, wait_s: int):
    assert verdict(attempt(429, retry_after), 1, 0.5) == Again(NOW + timedelta(seconds=wait_s))


def test_gone_is_gone_and_what_arrived_is_delivered():
    assert verdict(attempt(410), 1, 0.5) == "gone"
    assert verdict(attempt(200, error=""), 1, 0.5) == "delivered"


def test_waits_of_an_installation_are_numbers_of_seconds():
    assert attempt_waits_s({}) == ATTEMPT_WAITS_S
    assert attempt_waits_s({"FLOWFORGE_SUBSCRIPTION_WAITS_S": "1, 2.5"}) == (1.0, 2.5)
    for wrong in ("x", "0", "-1", "1,,2", ",".join(["1"] * 60)):
        with pytest.raises(SettingsError, match="FLOWFORGE_SUBSCRIPTION_WAITS_S"):
            attempt_waits_s({"FLOWFORGE_SUBSCRIPTION_WAITS_S": wrong})


def owed(position: int, run: int) -> Owed:
    return Owed(position, UUID(int=position), "RunStarted", UUID(int=run), "w")


def test_of_one_run_the_next_goes_once_the_one_before_has_arrived():
    lanes = Lanes([owed(1, 7), owed(2, 7), owed(3, 8)])
    taken = lanes.take_due(NOW, 10)
    assert [each.position for each in taken] == [1, 3]
    assert lanes.take_due(NOW, 10) == []
    lanes.done(taken[0])
    assert [each.position for each in lanes.take_due(NOW, 10)] == [2]
    assert (len(lanes), lanes.under_way_count) == (2, 2)


def test_what_failed_waits_and_holds_up_its_own_run_only():
    lanes = Lanes([owed(1, 7), owed(2, 7), owed(3, 8)])
    first, other = lanes.take_due(NOW, 10)
    first.due_at = NOW + timedelta(seconds=5)
    lanes.again(first)
    lanes.done(other)
    assert lanes.take_due(NOW, 10) == []
    assert lanes.next_at() == NOW + timedelta(seconds=5)
    assert lanes.take_due(NOW + timedelta(seconds=5), 10) == [first]


def test_no_more_are_taken_than_there_is_room_for():
    lanes = Lanes([owed(number, number) for number in range(1, 6)])
    assert [each.position for each in lanes.take_due(NOW, 2)] == [1, 2]
    assert [each.position for each in lanes.take_due(NOW, 0)] == []

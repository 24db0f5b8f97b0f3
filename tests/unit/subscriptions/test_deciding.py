"""What follows from commands about subscriptions, and from commands that come twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flowforge.command import Command
from flowforge.events import (
    DeliveryAbandoned,
    SubscriptionDeleted,
    SubscriptionEvent,
    SubscriptionFilter,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
)
from flowforge.refusals import Refusal
from flowforge.subscribing import (
    AbandonDelivery,
    ChangeSubscription,
    CreateSubscription,
    DeleteSubscription,
    PauseSubscription,
    ReplaySubscription,
    ResumeSubscription,
)

from services.subscriptions.decide import Beside, decide
from services.subscriptions.settings import SUBSCRIPTIONS_MAX
from services.subscriptions.state import State, evolve, initial

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
URL = "https://ledger.example.com/hook"
RUN = UUID(int=7)
MADE = SubscriptionSaved(subscription_id="s", subscription_version=1, url=URL, secret_ref="r1")
PAUSED = SubscriptionPaused(subscription_id="s", reason="by_hand")
RESUMED = SubscriptionResumed(subscription_id="s")
GONE = SubscriptionDeleted(subscription_id="s")
CREATE = CreateSubscription(command_id="c", subscription_id="s", url=URL, secret_ref="r1")
ABANDON = AbandonDelivery(
    command_id="c", subscription_id="s", event_id=RUN, event_position=3, event_type="RunFailed", run_id=RUN, attempts=4,
    error="answered 500",
)  # fmt: skip


def folded(events: Sequence[SubscriptionEvent]) -> State:
    state = initial
    for event in events:
        state = evolve(state, event)
    return state


def beside(since: int | None = 5, url_fault: str = "", count: int = 1) -> Beside:
    return Beside(now=NOW, subscriptions_count=count, url_fault=url_fault, since_position=since, head_position=9)


def given(*events: SubscriptionEvent, then: Command, **fields: int | str | None) -> list[SubscriptionEvent] | Refusal:
    return decide(folded(events), then, beside(**fields))  # type: ignore[arg-type]


def change(**fields: object) -> ChangeSubscription:
    return ChangeSubscription(command_id="c", subscription_id="s", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "command", "wanted"),
    [
        ([], CREATE, [MADE]),
        ([MADE, GONE], CREATE, [SubscriptionSaved(subscription_id="s", subscription_version=2, url=URL, secret_ref="r1")]),
        ([], CreateSubscription(command_id="c", subscription_id="s", url=URL, secret_ref="r1", is_enabled=False),
         [MADE, PAUSED]),
        ([MADE], change(), []),
        ([MADE], change(url=URL, secret_ref="r1", is_enabled=True), []),
        ([MADE], change(name="n"),
         [SubscriptionSaved(subscription_id="s", subscription_version=2, url=URL, name="n", secret_ref="r1")]),
        ([MADE], change(secret_ref="r2"),
         [SubscriptionSaved(subscription_id="s", subscription_version=2, url=URL, secret_ref="r2", secret_before="r1",
                            secret_before_until=NOW + timedelta(days=1))]),
        ([MADE], change(is_enabled=False), [PAUSED]),
        ([MADE, PAUSED], change(is_enabled=True), [RESUMED]),
        ([MADE], PauseSubscription(command_id="c", subscription_id="s"), [PAUSED]),
        ([MADE, PAUSED], ResumeSubscription(command_id="c", subscription_id="s"), [RESUMED]),
        ([MADE], DeleteSubscription(command_id="c", subscription_id="s"), [GONE]),
        ([], ABANDON, []),
    ],
)  # fmt: skip
def test_a_command_leads_to_its_events_and_to_none_the_second_time(
    before: list[SubscriptionEvent], command: Command, wanted: list[SubscriptionEvent]
):
    assert given(*before, then=command) == wanted
    again = given(*before, *wanted, then=command)
    assert again == [] or isinstance(again, Refusal)


def test_what_repeats_on_purpose_is_told_each_time():
    replay = ReplaySubscription(command_id="c", subscription_id="s", since_position=5)
    assert given(MADE, then=replay) == [SubscriptionReplayed(subscription_id="s", since_position=5)]
    [abandoned] = given(MADE, then=ABANDON)  # type: ignore[misc]
    assert isinstance(abandoned, DeliveryAbandoned)
    assert evolve(folded([MADE]), abandoned) == folded([MADE])


@pytest.mark.parametrize(
    ("before", "command", "code", "words"),
    [
        ([MADE], CREATE, "ALREADY_EXISTS", "PATCH"),
        ([], change(), "NOT_FOUND", "subscription 's'"),
        ([MADE, GONE], DeleteSubscription(command_id="c", subscription_id="s"), "NOT_FOUND", "'s'"),
        ([MADE], change(url="ftp://x"), "INVALID", "https://"),
        ([MADE], change(filter=SubscriptionFilter(types=("NodeStarted",), statuses=("failed",))), "INVALID", "nothing"),
        ([MADE, PAUSED], ReplaySubscription(command_id="c", subscription_id="s"), "INVALID_FLOW_STATE", "resume it"),
    ],
)
def test_what_cannot_be_is_refused(before: list[SubscriptionEvent], command: Command, code: str, words: str):
    refused = given(*before, then=command)
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert words in refused.detail


def test_an_address_that_may_not_be_called_and_one_subscription_too_many_are_refused():
    refused = given(then=CREATE, url_fault="10.0.0.1 is not on the public internet")
    assert isinstance(refused, Refusal)
    assert refused.errors == [{"path": "$.url", "message": "10.0.0.1 is not on the public internet"}]
    refused = given(then=CREATE, count=SUBSCRIPTIONS_MAX)
    assert isinstance(refused, Refusal)
    assert "delete one" in refused.detail


def test_a_secret_before_signs_for_a_day():
    state = folded([MADE, *given(MADE, then=change(secret_ref="r2"))])  # type: ignore[misc]
    assert state.subscription is not None
    assert state.subscription.secret_refs(NOW + timedelta(hours=23)) == ["r2", "r1"]
    assert state.subscription.secret_refs(NOW + timedelta(hours=25)) == ["r2"]


@pytest.mark.parametrize("kind", [ChangeSubscription, DeleteSubscription])
def test_on_condition_of_another_version_nothing_changes(kind: type[ChangeSubscription] | type[DeleteSubscription]):
    refused = given(MADE, then=kind(command_id="c", subscription_id="s", expected_version=2))
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.extra) == (412, {"current_version": 1})
    assert not isinstance(given(MADE, then=kind(command_id="c", subscription_id="s", expected_version=[1, 2])), Refusal)
    gone = given(MADE, GONE, then=kind(command_id="c", subscription_id="s", expected_version=1))
    assert isinstance(gone, Refusal)
    assert gone.status == 404

"""What follows from a command about a subscription. Pure; a refusal is a value."""

import re
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from flowforge.command import Command
from flowforge.definition import SLUG_PATTERN
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
from flowforge.refusals import Refusal, invalid, invalid_state, is_expected, not_found, version_changed
from flowforge.subscribing import (
    AbandonDelivery,
    ChangeSubscription,
    CreateSubscription,
    DeleteSubscription,
    PauseSubscription,
    ReplaySubscription,
    ResumeSubscription,
)

from services.subscriptions.filters import faults_of
from services.subscriptions.settings import NAME_CHARS_MAX, SECRET_OVERLAP, SUBSCRIPTIONS_MAX, URL_CHARS_MAX
from services.subscriptions.state import Paused, State, Subscription

Decided = list[SubscriptionEvent] | Refusal


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What else a decision needs: the time, how many there are, why an address may not be called, and where a replay
    begins that named a time."""

    now: datetime
    subscriptions_count: int = 0
    url_fault: str = ""
    since_position: int | None = None
    head_position: int = 0


def decide(state: State, command: Command, beside: Beside) -> Decided:
    """The events that carry the command out; none where all is so already."""
    if isinstance(command, CreateSubscription):
        return _create(state, command, beside)
    before = state.subscription
    match command:
        case AbandonDelivery():
            return [] if before is None else [_abandoned(command)]
        case _ if before is None:
            return _gone(getattr(command, "subscription_id", ""))
        case ChangeSubscription() | DeleteSubscription() if not is_expected(state.version, command.expected_version):
            return version_changed(before.id, command.expected_version, state.version)
        case DeleteSubscription():
            return [_deleted(command.subscription_id)]
        case ChangeSubscription():
            return _change(state, before, command, beside)
        case PauseSubscription():
            return [] if before.paused is not None else [_paused(command)]
        case ResumeSubscription():
            return [] if before.paused is None else [_resumed(command)]
        case ReplaySubscription():
            return _replay(before, command, beside)
        case _:
            raise TypeError(f"{type(command).__name__} decides nothing")


def _create(state: State, command: CreateSubscription, beside: Beside) -> Decided:
    if not re.fullmatch(SLUG_PATTERN, command.subscription_id):
        message = f"'{command.subscription_id[:100]}' is no id: small letters, digits, `-` and `_`, at most 63 in all"
        return _invalid([{"path": "$.id", "message": message}])
    if state.subscription is not None:
        return Refusal(
            code="ALREADY_EXISTS",
            status=409,
            title="Already exists",
            detail=f"a subscription '{command.subscription_id}' exists already; PATCH changes it",
        )
    if beside.subscriptions_count >= SUBSCRIPTIONS_MAX:
        return invalid_state(f"there are {SUBSCRIPTIONS_MAX:,} subscriptions, the limit; delete one that nobody needs")
    if (refusal := _fault(command.url, command.name, command.filter, beside)) is not None:
        return refusal
    saved = SubscriptionSaved(
        subscription_id=command.subscription_id,
        subscription_version=state.version + 1,
        url=command.url,
        name=command.name,
        filter=command.filter,
        secret_ref=command.secret_ref,
    )
    paused = SubscriptionPaused(subscription_id=command.subscription_id, reason="by_hand")
    return [saved] if command.is_enabled else [saved, paused]


def _change(state: State, before: Subscription, command: ChangeSubscription, beside: Beside) -> Decided:
    changed = msgspec.structs.replace(
        before,
        url=before.url if command.url is None else command.url,
        name=before.name if command.name is None else command.name,
        filter=before.filter if command.filter is None else command.filter,
    )
    if command.secret_ref is not None and command.secret_ref != before.secret_ref:
        changed = msgspec.structs.replace(
            changed,
            secret_ref=command.secret_ref,
            secret_before=before.secret_ref,
            secret_before_until=beside.now + SECRET_OVERLAP,
        )
    if (refusal := _fault(changed.url, changed.name, changed.filter, beside)) is not None:
        return refusal
    events: list[SubscriptionEvent] = [] if changed == before else [_saved(changed, state.version + 1)]
    if command.is_enabled is False and before.paused is None:
        events.append(SubscriptionPaused(subscription_id=before.id, reason="by_hand"))
    if command.is_enabled and before.paused is not None:
        events.append(SubscriptionResumed(subscription_id=before.id))
    return events


def _saved(subscription: Subscription, version: int) -> SubscriptionSaved:
    return SubscriptionSaved(
        subscription_id=subscription.id,
        subscription_version=version,
        url=subscription.url,
        name=subscription.name,
        filter=subscription.filter,
        secret_ref=subscription.secret_ref,
        secret_before=subscription.secret_before,
        secret_before_until=subscription.secret_before_until,
    )


def _replay(before: Subscription, command: ReplaySubscription, beside: Beside) -> Decided:
    if beside.since_position is None:
        return _invalid([{"path": "$.since", "message": "since when? a position of the log or a time is expected"}])
    if beside.since_position > beside.head_position:
        text = f"{beside.since_position} lies beyond the end of this log ({beside.head_position})"
        return _invalid([{"path": "$.since", "message": f"{text}: replay what has been, not what will be"}])
    if before.paused is not None:
        why = _why(before.paused)
        return invalid_state(f"'{before.id}' is paused ({why}); resume it, then replay")
    return [SubscriptionReplayed(subscription_id=command.subscription_id, since_position=beside.since_position)]


def _why(paused: Paused) -> str:
    return paused.detail or paused.reason.replace("_", " ")


def _fault(url: str, name: str, given: SubscriptionFilter, beside: Beside) -> Refusal | None:
    faults = [{"path": "$.url", "message": text}] if (text := url_fault(url) or beside.url_fault) else []
    if len(name) > NAME_CHARS_MAX:
        faults.append({"path": "$.name", "message": f"{len(name)} characters, at most {NAME_CHARS_MAX}"})
    faults += faults_of(given)
    return _invalid(faults) if faults else None


def url_fault(url: str) -> str:
    """Why this is no address to post to; empty where it is one."""
    if len(url) > URL_CHARS_MAX:
        return f"the address has {len(url):,} characters, at most {URL_CHARS_MAX:,}"
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as fault:
        return f"'{url[:100]}' is no address: {fault}"
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        return f"'{url[:100]}' is no address to post to: it begins with https:// or http:// and names a host"
    if parts.username or parts.password:
        return "a login in the address would be shown to everybody who may read; the signature says who posts"
    return ""


def _invalid(faults: list[dict[str, str]]) -> Refusal:
    detail = "; ".join(f"{fault['message']} (at {fault['path']})" for fault in faults[:3])
    return invalid("Subscription invalid", detail, list(faults))


def _gone(subscription_id: str) -> Refusal:
    return not_found("subscription", subscription_id)


def _paused(command: PauseSubscription) -> SubscriptionPaused:
    return SubscriptionPaused(subscription_id=command.subscription_id, reason=command.reason, detail=command.detail)


def _resumed(command: ResumeSubscription) -> SubscriptionResumed:
    return SubscriptionResumed(subscription_id=command.subscription_id, skips_missed=command.skips_missed)


def _deleted(subscription_id: str) -> SubscriptionDeleted:
    return SubscriptionDeleted(subscription_id=subscription_id)


def _abandoned(command: AbandonDelivery) -> DeliveryAbandoned:
    return DeliveryAbandoned(
        subscription_id=command.subscription_id,
        event_id=command.event_id,
        event_position=command.event_position,
        event_type=command.event_type,
        run_id=command.run_id,
        attempts=command.attempts,
        error=command.error,
    )

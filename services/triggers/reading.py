"""What a message asks of triggers: external events, one or several, or a run by hand."""

import re
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, cast, get_args
from uuid import UUID

import msgspec
from flowforge.commands import (
    CheckUpstreams,
    CountRejections,
    ExplainDecision,
    ForkRun,
    ReceiveEvents,
    ReceiveWebhook,
    RehearseTrigger,
    RequestRun,
    TryTrigger,
)
from flowforge.envelope import CloudEvent, NotAnEvent, decode_external
from flowforge.events import (
    RUN_ENDINGS,
    ChildCancelRequested,
    ChildRunRequested,
    JobEnded,
    RunRetryRequested,
    ScheduleFired,
    ScheduleMissed,
    TriggerTimerFired,
    WebhookReceived,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowUpdated,
    decode,
)
from flowforge.identity import identity_key
from flowforge.refusals import Refusal, invalid

from infra.bus import Message
from services.triggers.settings import JSON_DEPTH_MAX

SCHEDULE_TYPES = frozenset({ScheduleFired.__name__, ScheduleMissed.__name__})
TIMER_TYPE = TriggerTimerFired.__name__
WORKFLOW_TYPES = frozenset({WorkflowCreated.__name__, WorkflowUpdated.__name__, WorkflowArchived.__name__})
JOB_TYPE = JobEnded.__name__
CHILD_TYPE, UNWANTED_TYPE = ChildRunRequested.__name__, ChildCancelRequested.__name__
CHILD_TYPES = frozenset({CHILD_TYPE, UNWANTED_TYPE})
RETRY_TYPE = RunRetryRequested.__name__
HEARD = SCHEDULE_TYPES | RUN_ENDINGS | CHILD_TYPES | {TIMER_TYPE, JOB_TYPE, RETRY_TYPE}
"""What is caught up from the log; definitions are, by the index."""
Question = TryTrigger | ExplainDecision | RehearseTrigger | CheckUpstreams
"""What is evaluated and answered, and never logged."""
REQUEST_RUN, RECEIVE_EVENTS, RECEIVE_WEBHOOK = RequestRun.__name__, ReceiveEvents.__name__, ReceiveWebhook.__name__
COUNT_REJECTIONS, FORK_RUN = CountRejections.__name__, ForkRun.__name__
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_commands: dict[str, msgspec.json.Decoder[Any]] = {
    REQUEST_RUN: msgspec.json.Decoder(RequestRun),
    FORK_RUN: msgspec.json.Decoder(ForkRun),
    RECEIVE_EVENTS: msgspec.json.Decoder(ReceiveEvents),
    RECEIVE_WEBHOOK: msgspec.json.Decoder(ReceiveWebhook),
    COUNT_REJECTIONS: msgspec.json.Decoder(CountRejections),
    **{kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(Question)},
}


class _Commanded(msgspec.Struct):
    command_id: str


class _Named(msgspec.Struct):
    workflow_id: str


class _ChildNamed(msgspec.Struct):
    child_run_id: UUID


class ScheduledKey(NamedTuple):
    """A firing of a schedule, or some that were missed."""

    stream_id: UUID


class EndedKey(NamedTuple):
    """The end of a run, by its event."""

    event_id: UUID


class JobKey(NamedTuple):
    """The end of a job of a run, by its event."""

    event_id: UUID


class ChildKey(NamedTuple):
    """A run that a node asks for, or wants no more."""

    child_run_id: UUID


class RetryKey(NamedTuple):
    """A run that ended and is to go on, by the event that asks for it."""

    event_id: UUID


class TimerKey(NamedTuple):
    """A timer of a trigger that came due."""

    timer_id: UUID


class DefinedKey(NamedTuple):
    """A workflow whose definition changed."""

    workflow_id: str


_commanded = msgspec.json.Decoder(_Commanded)
_named = msgspec.json.Decoder(_Named)
_child_named = msgspec.json.Decoder(_ChildNamed)
_anything = msgspec.json.Decoder()


class Arrival(msgspec.Struct, frozen=True):
    """One external event, as it came by NATS or within a command. `body` is the whole CloudEvent.

    `addressee`: workflow and trigger of a delivery to a webhook, which concerns that trigger and no other; its `body` is
    the event's data.
    """

    identity: bytes
    event: CloudEvent
    body: bytes | msgspec.Raw
    addressee: tuple[str, str] | None = None


def key_of(message: Message) -> Hashable:
    """The identity of an external event; of a command, its name and id; of what the log says, what it is about.

    Raises ValueError for what nobody could read.
    """
    if message.origin == "command":
        name = message.tokens[-1]
        try:
            return name, _commanded.decode(message.event.data).command_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "unreadable", message.reply_to
    if message.origin == "log" or message.tokens[1] != "inbox":
        return _key_of_own(message)
    require_readable(message.body)
    return event_identity(message.event)


def _key_of_own(message: Message) -> Hashable:
    """Of an event of our own: others, who say what they like, reach the inbox only. Raises ValueError."""
    kind = message.event.type
    if kind in SCHEDULE_TYPES:
        return ScheduledKey(schedule_stream(message))
    if kind in RUN_ENDINGS:
        return EndedKey(UUID(message.event.id))
    if kind == JOB_TYPE:
        return JobKey(UUID(message.event.id))
    if kind in CHILD_TYPES:
        return ChildKey(_child_named.decode(message.event.data).child_run_id)
    if kind == RETRY_TYPE:
        return RetryKey(UUID(message.event.id))
    if kind == TIMER_TYPE:
        return TimerKey(schedule_stream(message))
    if kind in WORKFLOW_TYPES:
        return DefinedKey(_named.decode(message.event.data).workflow_id)
    raise ValueError(f"triggers do not know {kind}")


def run_of(message: Message) -> UUID:
    """The run in whose stream an event stands that `is_of_runs`. Raises ValueError."""
    return UUID(message.event.source.rpartition("/")[2])


def is_of_runs(message: Message) -> bool:
    """Whether execution says it, or the log: the same event type on the inbox is somebody else's."""
    return message.origin == "log" or (message.origin == "stream" and message.tokens[1] == "runs")


def schedule_stream(message: Message) -> UUID:
    """The stream of a firing, which names it. Raises ValueError."""
    return UUID(message.event.source.rpartition("/")[2])


def scheduled_of(message: Message) -> ScheduleFired | ScheduleMissed:
    """The firing in a message. Raises msgspec.DecodeError."""
    return cast("ScheduleFired | ScheduleMissed", decode(message.event.type, message.event.data))


def schedule_identity(stream_id: UUID) -> bytes:
    return identity_key("schedule", str(stream_id))


def command_of(
    message: Message,
) -> RequestRun | ForkRun | ReceiveEvents | ReceiveWebhook | CountRejections | Question | Refusal:
    """The command in a message, or why it is none."""
    name = message.tokens[-1]
    decoder = _commands.get(name)
    if decoder is None:
        return invalid("Unknown command", f"triggers know no command '{name}'", [])
    try:
        require_readable(message.body)
        command = decoder.decode(message.event.data)
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        return invalid("Malformed command", str(fault), [{"path": "$", "message": str(fault)}])
    if isinstance(command, ReceiveEvents) and (wrong := _malformed(command)):
        return invalid("No CloudEvent", wrong[0]["message"], wrong)
    return command


def arrivals_of(message: Message) -> Iterator[Arrival]:
    """The external events that a message brings; it was looked at by `command_of` where it is a command."""
    if message.origin != "command":
        yield Arrival(event_identity(message.event), message.event, message.body)
        return
    if message.tokens[-1] == RECEIVE_WEBHOOK:
        yield _delivery(message)
    if message.tokens[-1] != RECEIVE_EVENTS:
        return
    for body in _commands[RECEIVE_EVENTS].decode(message.event.data).events:
        event = decode_external(bytes(body))
        yield Arrival(event_identity(event), event, body)


def _delivery(message: Message) -> Arrival:
    command: ReceiveWebhook = _commands[RECEIVE_WEBHOOK].decode(message.event.data)
    addressee = command.workflow_id, command.trigger_id
    event = CloudEvent(
        id=command.delivery_id,
        source=f"/{message.tokens[0]}/webhooks/{command.workflow_id}/{command.trigger_id}",
        type=WebhookReceived.__name__,
        subject=command.subject,
        data=command.data,
    )
    return Arrival(identity_key("webhook", *addressee, command.delivery_id), event, command.data, addressee)


def event_identity(event: CloudEvent) -> bytes:
    return identity_key("cause", event.source, event.id)


def command_identity(command_id: str) -> bytes:
    return identity_key("command", command_id)


def identities_of(message: Message) -> set[bytes]:
    """Under which identities what the message brings would be logged."""
    if message.origin == "command" and message.tokens[-1] in (REQUEST_RUN, FORK_RUN, COUNT_REJECTIONS):
        command = command_of(message)
        return set() if isinstance(command, Refusal) else {command_identity(command.command_id)}
    return {arrival.identity for arrival in arrivals_of(message)}


def traceparent_of(event: CloudEvent) -> str | None:
    """The trace that the sender is in, where it is well-formed (W3C Trace Context)."""
    given = event.traceparent
    return given if given is not None and _TRACEPARENT.fullmatch(given) else None


def require_readable(body: bytes | msgspec.Raw) -> None:
    """Raises ValueError for JSON that others could not read: raw fields are not looked at when a message is decoded."""
    try:
        _anything.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ValueError(f"the message cannot be read: {fault}") from fault
    text = bytes(body)
    if text.count(b"[") + text.count(b"{") > JSON_DEPTH_MAX and _depth(text) > JSON_DEPTH_MAX:
        raise ValueError(f"the message is nested deeper than {JSON_DEPTH_MAX} levels")


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _malformed(command: ReceiveEvents) -> list[dict[str, Any]]:
    if not command.events:
        return [{"path": "$.events", "message": "there is no event in it"}]
    wrong: list[dict[str, Any]] = []
    for number, body in enumerate(command.events):
        try:
            event_identity(decode_external(bytes(body)))
        except (NotAnEvent, UnicodeEncodeError) as fault:
            wrong.append({"path": f"$.events[{number}]", "message": str(fault)})
    return wrong

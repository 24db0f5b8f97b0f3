"""Answers to commands, as long as the bus takes them; and commands as causes of events."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from flowforge.commands import Command
from flowforge.events import encode
from flowforge.identity import named_stream
from flowforge.refusals import Accepted, Refusal, Rejected

from infra.bus import Message
from infra.eventlog import Append, NewEvent, StreamAppend
from services.catalog.settings import answer_bytes_max, findings_shown_least
from services.catalog.validation import Finding


class Saved(msgspec.Struct, frozen=True):
    """Where something that is saved as versions stood after an event of its stream."""

    version: int
    position: int


def cause_of(command_id: str) -> UUID:
    """The command as the cause of events: its own id where that is a UUID."""
    return uuid_of(command_id) or named_stream("command", command_id)


def uuid_of(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


def new_events(events: Iterable[Any]) -> list[NewEvent]:
    return [NewEvent(type(event).__name__, encode(event)) for event in events]


def append_of(
    streams: list[StreamAppend],
    message: Message,
    command: Command,
    recorded_at: datetime,
    *,
    changes_definitions: bool = False,
) -> Append:
    """What follows from the command in the message, with the command as its cause."""
    cause = cause_of(command.command_id)
    return Append(
        streams,
        recorded_at=recorded_at,
        correlation_id=uuid_of(message.event.correlationid) or cause,
        causation_id=cause,
        actor=command.actor or None,
        traceparent=message.event.traceparent,
        changes_definitions=changes_definitions,
    )


def saved_answer(
    name: str, saved: Saved, warnings: list[Finding], further: Mapping[str, Any] = MappingProxyType({})
) -> bytes:
    return accepted(
        {
            "id": name,
            "version": saved.version,
            "position": saved.position,
            "warnings": msgspec.to_builtins(warnings),
            **further,
        }
    )


def accepted(ok: dict[str, Any]) -> bytes:
    return msgspec.json.encode(Accepted(ok))


def rejected(refusal: Refusal) -> bytes:
    body = msgspec.json.encode(Rejected(refusal))
    if len(body) <= answer_bytes_max:
        return body
    fewer = refusal.errors[:findings_shown_least]
    return msgspec.json.encode(Rejected(msgspec.structs.replace(refusal, errors=fewer, extra={})))


def fitting(report: dict[str, Any]) -> bytes:
    """A report, cut to what an answer can carry: names may be long, and there may be very many."""
    body = accepted(report)
    if len(body) <= answer_bytes_max:
        return body
    return accepted(
        {name: value[:findings_shown_least] if isinstance(value, list) else value for name, value in report.items()}
    )

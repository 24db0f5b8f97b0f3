"""Spans of what a turn logs: one for each group, under the message that caused it.

A group without a message that says where it belongs begins a trace, under the id that derives from its first cause: that of
an event from outside, of a firing of a schedule. What a timer wakes has a place of its own already, and a command without
one was passed over by whoever sent it.
"""

import time
from collections.abc import Hashable, Mapping, Sequence

import msgspec
from flowforge.events import TimerFired, TriggerTimerFired

from infra.bus.message import Message, Work
from infra.eventlog import StoredEvent
from infra.telemetry import Kind, TraceContext, Tracing
from infra.telemetry.tracing import new_span

TYPES_TOLD_MAX = 20
_WAKES = frozenset({TimerFired.__name__, TriggerTimerFired.__name__})


class _Open(msgspec.Struct, gc=False):
    own: TraceContext
    parent: TraceContext | None
    first: Message
    links: list[TraceContext]


class GroupSpans:
    """The spans of one service. Where it is given a trace, a group is logged with its own span as `traceparent`."""

    def __init__(self, tracing: Tracing, service: str) -> None:
        self._tracing = tracing
        self._service = service
        self._open: dict[Hashable, _Open] = {}
        self._began_ns = 0

    def begin(self) -> None:
        """A turn begins."""
        self._began_ns = time.time_ns()

    def decided(self, works: Mapping[Hashable, Work], pending: Mapping[Hashable, Sequence[Message]]) -> None:
        """These groups are about to be logged."""
        self._open.clear()
        for key, work in works.items():
            if work.append is None or not (messages := pending.get(key)):
                continue
            opened = self._opened(work, messages)
            if opened is not None:
                self._open[key] = opened
                work.append.traceparent = opened.own.traceparent

    def logged(self, key: Hashable, events: Sequence[StoredEvent]) -> None:
        """The group is in the log."""
        opened = self._open.pop(key, None)
        if opened is None:
            return
        self._tracing.record(
            f"{self._service} {opened.first.event.type}",
            opened.own,
            opened.parent,
            began_ns=self._began_ns,
            kind=Kind.CONSUMER,
            attributes=_attributes(events),
            links=opened.links,
        )

    def _opened(self, work: Work, messages: Sequence[Message]) -> _Open | None:
        append, first = work.append, messages[0]
        assert append is not None
        given = append.traceparent or first.event.traceparent
        if given is not None:
            parent = self._tracing.followed(given)
            if parent is None:
                return None
            return _Open(parent.child(new_span()), parent, first, self._others(messages))
        stream = append.streams[0]
        if first.origin == "command" or stream.events[0].type in _WAKES:
            return None
        trace_id = self._tracing.begun(append.correlation_id or stream.stream_id)
        return None if trace_id is None else _Open(TraceContext(trace_id, new_span()), None, first, [])

    def _others(self, messages: Sequence[Message]) -> list[TraceContext]:
        """What led to the group besides its first message."""
        links = [self._tracing.followed(message.event.traceparent) for message in messages[1:]]
        return [link for link in links if link is not None]


def _attributes(events: Sequence[StoredEvent]) -> dict[str, str | int]:
    first = events[0]
    told: dict[str, str | int] = {
        "flowforge.stream": f"{first.stream_type}/{first.stream_id}",
        "flowforge.position": first.position,
        "flowforge.events": " ".join(event.type for event in events[:TYPES_TOLD_MAX]),
    }
    runs = [str(event.stream_id) for event in events if event.type == "WorkflowTriggered"]
    if runs:
        told["flowforge.run.ids"] = " ".join(runs[:TYPES_TOLD_MAX])
    return told

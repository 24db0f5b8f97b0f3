"""Where in a trace something stands, as W3C Trace Context (level 1) writes it; and ids that derive from causes. Pure.

A trace that nobody outside began has the id that derives from its first cause, and the span of a run the one that derives
from the run: whoever computes one computes the same, so that nothing needs to be asked for or kept.
"""

import re
from hashlib import blake2b
from uuid import UUID

import msgspec

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_VERSION = "00"
_NO_VERSION = "ff"
_ODD_DIGITS = frozenset("13579bdf")


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """A span by its ids (neither is 0), and whether its trace is recorded."""

    trace_id: int
    span_id: int
    is_sampled: bool = True

    @property
    def traceparent(self) -> str:
        """As it is sent along."""
        return f"{_VERSION}-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.is_sampled else '00'}"

    def child(self, span_id: int) -> "TraceContext":
        """Another span of the same trace."""
        return TraceContext(self.trace_id, span_id, self.is_sampled)


def parse(traceparent: str | None) -> TraceContext | None:
    """What a `traceparent` says; None for one that is not well-formed."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == _NO_VERSION or (version == _VERSION and rest) or not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def may_be_sampled(traceparent: str | None) -> bool:
    """Whether its last digit says so; of one that is not well-formed it says nothing. Costs next to nothing."""
    return traceparent is not None and traceparent[-1:] in _ODD_DIGITS


def derived_trace(first_cause: UUID) -> int:
    """The id of the trace that begins with this cause. Its low half is even chance, which samplers go by."""
    return int.from_bytes(blake2b(first_cause.bytes, digest_size=16, person=b"trace").digest()) or 1


def derived_span(whole: UUID, *parts: object) -> int:
    """The id of the span that stands for this (a part of this) in its trace."""
    name = "\x1f".join((whole.hex, *map(str, parts)))
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"span").digest()) or 1

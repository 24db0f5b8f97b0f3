"""Payloads that were erased from the log: stream type `erasure`, one stream, written with the deed, in one transaction."""

from uuid import UUID

from flowforge.events.event import Event
from flowforge.identity import lasting_stream

ERASURES_STREAM = lasting_stream("erasures")


class PayloadErased(Event, kw_only=True, frozen=True):
    """The payloads of the events at `positions` are gone; `left` has, for each of them, the SHA-256 (hex) of what was left
    in its place: which node ended when and how, but nothing of what it was given, said or made.

    One erasure may be several of these events. `runs` are the runs that they belong to.
    """

    erasure_id: UUID
    positions: list[int]
    left: list[str]
    runs: list[UUID] = []
    reason: str = ""

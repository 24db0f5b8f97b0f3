"""The fast way to write an event's message writes the same as the plain one."""

from datetime import UTC, datetime, timedelta

from flowforge.envelope import decode
from flowforge.identity import derived_uuid, event_id, event_id_text
from hypothesis import given
from hypothesis import strategies as st

from infra.bus import Envelopes
from infra.bus.message import logged_event
from infra.eventlog import StoredEvent

START = datetime(2026, 1, 1, tzinfo=UTC)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.integers(0, 10**15).map(lambda us: START + timedelta(microseconds=us))


@st.composite
def stored_events(draw: st.DrawFn) -> StoredEvent:
    at = draw(moments)
    stream = derived_uuid(at, draw(st.integers(0, 3)))
    correlation = draw(st.none() | st.just(derived_uuid(at, "c")))
    return StoredEvent(
        draw(st.integers(1, 2**60)), "run", stream, draw(st.integers(1, 2**31 - 1)), "NodeCompleted", 1,
        draw(st.sampled_from([b"{}", b'{"output":{"x":1}}'])), correlation, correlation, draw(texts), draw(texts), at,
    )  # fmt: skip


@given(st.lists(stored_events(), min_size=1, max_size=6))
def test_the_fast_envelope_says_what_the_plain_one_says(events: list[StoredEvent]):
    envelopes = Envelopes("flowforge")
    for stored in events:
        name, body = envelopes.of(stored)
        assert name == str(stored.event_id)
        assert decode(body) == logged_event(stored, "flowforge")


@given(moments, st.integers(1, 2**31 - 1))
def test_the_text_of_an_event_id_is_its_text(at: datetime, version: int):
    stream = derived_uuid(at, "s")
    assert event_id_text(stream, version, at) == str(event_id(stream, version, at))

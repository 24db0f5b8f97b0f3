"""Old shapes stay readable: every one ever written keeps a sample here, frozen, and what it is read as today.

A shape that is no longer written gets two files in `samples`: `<Type>.<schema version>.json`, as it was logged, and
`<Type>.<schema version>.read.json`, as it must be read.
"""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from infra.eventlog import UPCASTERS, Append, MemoryEventLog, NewEvent, StreamAppend, Upcasters, upcast

SAMPLES = Path(__file__).parent / "samples"
STREAM = UUID("01a1fbd2-608d-76c0-8557-94a0f82b739f")


def split_name(data: bytes) -> bytes:
    first, last = msgspec.json.decode(data)["name"].split(" ")
    return msgspec.json.encode({"first": first, "last": last})


def add_title(data: bytes) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(data), "title": None})


RENAMED: Upcasters = {("SamplePersonNamed", 1): split_name, ("SamplePersonNamed", 2): add_title}


@pytest.mark.parametrize(("event_type", "schema_version"), sorted(UPCASTERS) or [pytest.param("", 0, id="none yet")])
def test_every_shape_that_is_no_longer_written_has_a_frozen_sample(event_type: str, schema_version: int):
    if not UPCASTERS:
        return
    logged = (SAMPLES / f"{event_type}.{schema_version}.json").read_bytes()
    expected = (SAMPLES / f"{event_type}.{schema_version}.read.json").read_bytes()
    _, read = upcast(UPCASTERS, event_type, schema_version, logged)
    assert msgspec.json.decode(read) == msgspec.json.decode(expected)


@pytest.mark.parametrize("schema_version", [1, 2])
def test_a_frozen_sample_is_read_as_the_newest_shape_through_every_step(schema_version: int):
    logged = (SAMPLES / f"SamplePersonNamed.{schema_version}.json").read_bytes()
    expected = (SAMPLES / f"SamplePersonNamed.{schema_version}.read.json").read_bytes()
    read_version, read = upcast(RENAMED, "SamplePersonNamed", schema_version, logged)
    assert (read_version, msgspec.json.decode(read)) == (3, msgspec.json.decode(expected))


def test_a_shape_nobody_replaced_is_read_byte_for_byte():
    assert upcast(RENAMED, "SamplePersonNamed", 3, b' {"first" : "Ada"}') == (3, b' {"first" : "Ada"}')


async def test_the_log_upcasts_whatever_it_reads_and_leaves_what_it_holds():
    log = MemoryEventLog(upcasters=RENAMED)
    logged = NewEvent("SamplePersonNamed", b'{"name": "Ada Lovelace"}')
    await log.append([Append([StreamAppend("person", STREAM, 0, [logged])], datetime.now(UTC))])
    for event in [*await log.read(0), *await log.read_stream(STREAM), await log.read_position(1)]:
        assert event is not None
        assert (event.schema_version, event.data) == (3, b'{"first":"Ada","last":"Lovelace","title":null}')

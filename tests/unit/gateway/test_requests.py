"""Headers, and how a list of events is cut."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.http.problems import Problem
from services.gateway.context import expected_version
from services.gateway.routes.events import part_id, parts
from services.gateway.settings import events_bytes_per_command_max


def request(**headers: str) -> Any:
    return SimpleNamespace(headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("given_text", "version"),
    [
        ('"3"', 3),
        ('W/"3"', 3),
        ("3", 3),
        ("*", None),
        (' "12" ', 12),
        ('"1", "2"', [1, 2]),
        ('"4.archived"', 4),
        ('"3", W/"3"', 3),
    ],
)
def test_if_match_names_a_version(given_text: str, version: int | list[int] | None) -> None:
    assert expected_version(request(if_match=given_text)) == version


def test_without_if_match_any_version_will_do() -> None:
    assert expected_version(request()) is None


@pytest.mark.parametrize("text", ["", '"x"', '"1","x"', '"1",', '"-1"', '"1.0.0"', '"٣"', '"9999999999"'])
def test_an_if_match_that_names_none_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="If-Match"):
        expected_version(request(if_match=text))


@given(st.lists(st.integers(1, events_bytes_per_command_max), min_size=1, max_size=40))
def test_parts_hold_all_events_in_order_and_fit_the_bus(sizes: list[int]) -> None:
    events = [msgspec.Raw(b"x" * size) for size in sizes]
    cut = parts(events)
    assert [event for part in cut for event in part] == events
    assert all(part and sum(map(len, part)) <= events_bytes_per_command_max for part in cut)


def test_each_part_has_an_id_of_its_own_that_is_the_same_next_time() -> None:
    whole = str(UUID(int=5))
    ids = [part_id(whole, number) for number in range(10)]
    assert ids[0] == whole
    assert len(set(ids)) == 10
    assert ids == [part_id(whole, number) for number in range(10)]

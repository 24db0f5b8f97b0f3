"""A cursor comes back as it was given, to the list that gave it, or it is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.http.paging import Cursors
from infra.http.problems import Problem


@given(st.integers(-(2**53), 2**53), st.text(max_size=50))
def test_a_cursor_comes_back_as_it_was_given(number: int, text: str):
    cursors = Cursors("list", "filter")
    assert cursors.read(cursors.write([number, text]), int, str) == [number, text]


def test_a_cursor_of_another_list_filter_or_log_is_refused():
    cursor = Cursors("log", "runs", None).write([5])
    for other in (Cursors("log", "runs", "failed"), Cursors("log", "jobs", None), Cursors("other", "runs", None)):
        with pytest.raises(Problem) as refusal:
            other.read(cursor, int)
        assert refusal.value.status == 400


@given(st.text(max_size=80))
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(Problem):
        Cursors("list").read(text, int)


@pytest.mark.parametrize("place", range(10))
def test_an_altered_cursor_is_refused(place: int):
    cursors = Cursors("list")
    cursor = cursors.write([12345])
    altered = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
    with pytest.raises(Problem):
        cursors.read(altered, int)


def test_a_page_has_a_cursor_only_when_more_follows():
    cursors = Cursors("list")
    keys: list[list[Any]] = [[1], [2], [3]]
    assert cursors.page(["a", "b", "c"], 3, keys).next_cursor is None
    page = cursors.page(["a", "b", "c"], 2, keys)
    assert page.items == ["a", "b"]
    assert cursors.read(page.next_cursor, int) == [2]
    assert cursors.read(None, int) is None

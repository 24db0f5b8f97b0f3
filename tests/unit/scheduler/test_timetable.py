"""The timetable gives every timer once, never early, in order, whatever the windows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler import state
from services.scheduler.state import Timer, Timetable, window_ends_at

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600


def timer(number: int, due_s: float) -> Timer:
    return Timer(UUID(int=number), UUID(int=0), "w", START + timedelta(seconds=due_s), "retry", "", "", 0, number)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "WINDOW_COUNT_MAX", 4)
    monkeypatch.setattr(state, "LOOK_AHEAD_COUNT", 1)


class Table:
    """The rows of the store, in memory; `look` is what the scheduler does when the timetable asks for a window."""

    def __init__(self) -> None:
        self.rows: list[Timer] = []
        self.timetable = Timetable()

    def look(self, now: datetime) -> None:
        after, until = self.timetable.horizon, window_ends_at(now)
        rows = sorted(
            (row for row in self.rows if row.place > after and row.due_at <= until), key=lambda row: row.place
        )
        self.timetable.open(rows[: state.WINDOW_COUNT_MAX], now)

    def set(self, timer: Timer) -> None:
        self.rows.append(timer)
        self.timetable.add([timer])

    def advance(self, now: datetime) -> list[Timer]:
        """What fires on the way to `now`, step by step as the alarm rings."""
        fired: list[Timer] = []
        while (instant := self.timetable.next_at()) is not None and instant <= now:
            due = self.timetable.take_due(instant)
            for one in due:
                assert one.due_at <= instant
                self.timetable.remove(one.timer_id)
                self.rows.remove(one)
            fired += due
            if self.timetable.look_at is not None and self.timetable.look_at <= instant:
                self.look(instant)
        return fired


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from([0, 0, 1, 60, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, 10 * HOUR])),
        st.tuples(st.just("advance"), st.sampled_from([1, 59, HOUR, 3 * HOUR])),
    ),
    max_size=40,
)


@given(st.lists(st.integers(0, 3 * HOUR), max_size=20), steps)
def test_every_timer_is_taken_once_and_in_time(first: list[int], history: list[tuple[str, int]]):
    table = Table()
    table.rows = [timer(number, due_s) for number, due_s in enumerate(first)]
    expected = {row.timer_id: row.due_at for row in table.rows}
    table.look(START)
    now_s, fired = 0, table.advance(START)
    for deed, seconds in [*history, ("advance", 100 * HOUR)]:
        if deed == "set":
            new = timer(len(expected), now_s + seconds)
            expected[new.timer_id] = new.due_at
            table.set(new)
            table.timetable.add([new])
            continue
        now_s += seconds
        now = START + timedelta(seconds=now_s)
        fired += table.advance(now)
        late = [row for row in table.rows if row.due_at <= now]
        assert not late, "due and not taken"
    ids = [one.timer_id for one in fired]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(expected)


def test_a_timer_put_back_is_taken_again():
    table = Table()
    table.look(START)
    table.set(timer(1, 5))
    [taken] = table.timetable.take_due(START + timedelta(seconds=5))
    assert table.timetable.take_due(START + timedelta(seconds=5)) == []
    table.timetable.put_back(taken)
    assert table.timetable.next_at() == taken.due_at
    assert table.timetable.take_due(START + timedelta(seconds=5)) == [taken]


def test_a_timer_that_was_removed_is_not_taken():
    table = Table()
    table.look(START)
    table.set(timer(1, 5))
    table.timetable.remove(UUID(int=1))
    assert table.timetable.take_due(START + timedelta(seconds=5)) == []


def test_however_many_are_set_within_the_window_the_nearest_are_in_memory_and_all_fire():
    table, count = Table(), 50
    table.look(START)
    for number in range(count):
        table.set(timer(number, 7 * number % count))
        assert len(table.timetable) <= 2 * state.WINDOW_COUNT_MAX
    fired = table.advance(START + timedelta(seconds=count))
    assert [one.due_at for one in fired] == [START + timedelta(seconds=n) for n in range(count)]


def test_what_was_taken_and_has_not_fired_is_taken_again_where_too_many_are_nearer():
    table = Table()
    table.look(START)
    for number in range(4, 10):
        table.set(timer(number, 5))
    at = START + timedelta(seconds=5)
    assert len(table.timetable.take_due(at)) == 6
    for number in range(1, 4):
        table.set(timer(number, 1))
    assert len(table.timetable) == state.WINDOW_COUNT_MAX
    assert len(table.advance(at)) == 8, "one of those taken is still in memory"


def test_any_number_may_be_due_at_one_instant():
    table = Table()
    table.rows = [timer(number, 5) for number in range(50)]
    table.look(START)
    assert len(table.timetable) == state.WINDOW_COUNT_MAX
    assert len(table.advance(START + timedelta(seconds=5))) == 50

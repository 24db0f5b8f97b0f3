"""Nominal times, where no clock is changed: two other implementations find the same."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from croniter import croniter
from cronsim import CronSim, CronSimError
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.schedules import ScheduleFault, ScheduleSpec, compile_schedule, next_after, upcoming

MONTHS = ["JAN", "feb", "Mar", "12", "4-9", "1,7", "2", "2", "*", "*", "*/5", "OCT-DEC"]
WEEKDAYS = ["MON", "sun", "0", "7", "1-5", "MON-FRI", "6,7", "*/2", "*", "*", "*", "5-7"]
STEPPED_WEEKDAYS = ["3/2", "5/1"]  # to Saturday for croniter, to Sunday (7) for others
SPECIAL_WEEKDAYS = ["MON#1", "5#5", "7#2", "0L", "5L", "SUN#3,TUE#1", "2,4#2"]
DAYS = ["1", "31", "29", "13", "1-7", "*/10", "25/2", "*", "*", "*", "15,30"]
SPECIAL_DAYS = ["L", "LW", "15,L"]
MINUTES = ["0", "*", "*/7", "5-9", "59", "10/20", "1,2,58"]
HOURS = ["0", "*", "*/5", "22-23", "9-17/2", "23"]
INSTANTS = st.integers(0, 50 * 366 * 86_400).map(
    lambda seconds: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(0, seconds)
)


def crons(minutes: list[str], days: list[str], weekdays: list[str]) -> st.SearchStrategy[str]:
    fields = (minutes, HOURS, days, MONTHS, weekdays)
    return st.tuples(*map(st.sampled_from, fields)).map(" ".join)


def first_of(cron: str, instant: datetime, count: int) -> list[datetime] | None:
    try:
        schedule = compile_schedule(ScheduleSpec(cron=cron))
    except ScheduleFault:
        return None
    return [firing.scheduled_at for firing in upcoming(schedule, instant, count)]


@given(crons(MINUTES, DAYS + SPECIAL_DAYS, WEEKDAYS + STEPPED_WEEKDAYS + SPECIAL_WEEKDAYS), INSTANTS)
def test_cronsim_agrees(cron: str, instant: datetime):
    try:
        expected = list(islice(CronSim(cron, instant), 5))
    except CronSimError:
        expected = []
    assert (first_of(cron, instant, 5) or []) == expected


@given(st.sampled_from(MINUTES), crons(MINUTES, DAYS, WEEKDAYS), INSTANTS)
def test_cronsim_agrees_about_seconds(seconds: str, cron: str, instant: datetime):
    found = first_of(f"{seconds} {cron}", instant, 5)
    assume(found is not None)
    assert found == list(islice(CronSim(f"{seconds} {cron}", instant), 5))


@given(crons(MINUTES, [*DAYS, "L"], WEEKDAYS), INSTANTS)
def test_croniter_agrees(cron: str, instant: datetime):
    found = first_of(cron, instant, 5)
    assume(found is not None)
    walk = croniter(cron, instant.replace(tzinfo=None), ret_type=datetime, implement_cron_bug=True)
    assert found == [walk.get_next().replace(tzinfo=UTC) for _ in range(5)]


@given(crons(MINUTES, DAYS + SPECIAL_DAYS, WEEKDAYS + STEPPED_WEEKDAYS + SPECIAL_WEEKDAYS), INSTANTS)
def test_looking_back_finds_what_looking_ahead_found(cron: str, instant: datetime):
    try:
        schedule = compile_schedule(ScheduleSpec(cron=cron))
    except ScheduleFault:
        return
    walked = upcoming(schedule, instant, 4)
    for earlier, later in pairwise(walked):
        again = next_after(schedule, later.scheduled_at - timedelta(microseconds=1))
        assert again == later
        assert (later.previous_at, earlier.next_at) == (earlier.scheduled_at, later.scheduled_at)

"""Whatever triggers remember: batches, joins, quiet, delays, limits, absences, all mixed, with messages that come again, time
that passes in jumps, timers that come late and twice, definitions that change meanwhile, and a service that dies anywhere.

The oracle (remembering_oracle.py) is told what was accepted and when the service looked, and must come to the same answers.
"""

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from remembering_histories import (
    beginnings,
    deaths,
    endings,
    events,
    histories,
)
from remembering_play import played, small_ledgers


@settings(max_examples=300, deadline=None, derandomize=True)
@given(histories)
def test_whatever_is_remembered_every_cause_is_decided_as_the_promise_says(history: list[Any]):
    with small_ledgers(3):
        asyncio.run(played(history))


moments = st.lists(
    st.tuples(
        st.sampled_from([100, 200, 300, 500, 1000]),
        st.lists(
            st.one_of(events.map(lambda event: event[2:]), endings.map(lambda end: end[1:])), min_size=1, max_size=4
        ),
    ),
    min_size=3,
    max_size=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(beginnings, moments, st.lists(deaths, min_size=8, max_size=8))
def test_how_the_messages_fall_into_turns_changes_no_decision(begins: Any, moments: list[Any], deaths: list[str]):
    number = itertools.count()
    groups = [
        (
            milliseconds,
            [("event", next(number), *part) if len(part) == 2 else ("ends", *part) for part in parts],
        )
        for milliseconds, parts in moments
    ]
    one_by_one: list[Any] = [*begins]
    at_once: list[Any] = [*begins]
    for (milliseconds, parts), death in zip(groups, deaths, strict=False):
        one_by_one += [("time", milliseconds, False), *(("turn", [part], "") for part in parts)]
        at_once += [
            ("time", milliseconds, False),
            ("restart",),
            ("turn", [("again", 1), *parts, ("again", 2)], death),
            ("keep",),
            ("turn", [("again", each) for each in range(4)], ""),
        ]

    async def both() -> None:
        first, second = await played(one_by_one), await played(at_once)
        assert first.oracle.decisions == second.oracle.decisions
        assert first.oracle.runs == second.oracle.runs

    with small_ledgers(2):
        asyncio.run(both())

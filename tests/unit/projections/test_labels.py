"""Labels of runs come and go with what changed them, and none is written that came and went in one batch."""

import itertools

import pytest

from services.projections.conditions import Conditions
from services.projections.fold.labels import NONE, relabelled
from services.projections.labelled import LABEL_TEXT_CHARS_MAX, label_text, newest_runs
from services.projections.state import Changes, Json

ONE, OTHER = Json('{"team": "blue"}'), Json('{"team": "red", "day": "mon"}')


def changed(*states: Json) -> Changes:
    changes = Changes()
    for before, after in itertools.pairwise(states):
        relabelled(changes, "w", 7, before, after)
    return changes


def test_the_labels_of_a_new_run_come():
    changes = changed(NONE, OTHER)
    assert changes.labels == {("team=red", 7): "w", ("day=mon", 7): "w"}
    assert changes.labels_gone == {}


def test_a_change_takes_what_was_and_brings_what_is():
    changes = changed(ONE, OTHER)
    assert changes.labels == {("team=red", 7): "w", ("day=mon", 7): "w"}
    assert changes.labels_gone == {("team=blue", 7): "w"}


@pytest.mark.parametrize(("before", "after"), [(NONE, ONE), (ONE, OTHER), (OTHER, NONE), (ONE, ONE)])
def test_there_and_back_within_a_batch_is_nothing(before: Json, after: Json):
    changes = changed(before, after, before)
    assert (changes.labels, changes.labels_gone) == ({}, {})


def test_a_label_that_is_too_long_for_an_index_is_cut_and_looked_at_in_the_run():
    value = "x" * 3 * LABEL_TEXT_CHARS_MAX
    assert len(label_text("a", value)) == LABEL_TEXT_CHARS_MAX
    conditions = Conditions()
    statement = newest_runs("run_id", conditions, {"a": value}, workflow_id="w", limit=50, last=[9, ""], by_time=True)
    assert "labels @> $1::jsonb" in statement
    assert "label = $2 and workflow_id = $3 and created_position < $4" in statement
    assert conditions.values[1:4] == [label_text("a", value), "w", 9]


def test_without_labels_none_are_looked_for():
    conditions = Conditions()
    assert "label" not in newest_runs("run_id", conditions, {}, workflow_id=None, limit=50, last=None, by_time=False)
    assert conditions.values == [51]

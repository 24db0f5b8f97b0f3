"""Labels of runs come and go with what changed them, and none is written that came and went in one batch."""

import pytest

from services.projections.conditions import Conditions
from services.projections.fold.labels import NONE, relabelled
from services.projections.labelled import LABEL_TEXT_CHARS_MAX, found_by, label_text, with_labels
from services.projections.state import Changes, Json

ONE, OTHER = Json('{"team": "blue"}'), Json('{"team": "red", "day": "mon"}')


def test_the_labels_of_a_new_run_come():
    changes = Changes()
    relabelled(changes, 7, NONE, OTHER)
    assert changes.labels.keys() == {("team=red", 7), ("day=mon", 7)}
    assert changes.labels_gone == {}


def test_a_change_takes_what_was_and_brings_what_is():
    changes = Changes()
    relabelled(changes, 7, ONE, OTHER)
    assert changes.labels.keys() == {("team=red", 7), ("day=mon", 7)}
    assert changes.labels_gone.keys() == {("team=blue", 7)}


@pytest.mark.parametrize(("before", "after"), [(NONE, ONE), (ONE, OTHER), (OTHER, NONE), (ONE, ONE)])
def test_there_and_back_within_a_batch_is_nothing(before: Json, after: Json):
    changes = Changes()
    relabelled(changes, 7, before, after)
    relabelled(changes, 7, after, before)
    assert (changes.labels, changes.labels_gone) == ({}, {})


def test_a_label_that_is_too_long_for_an_index_is_cut_and_looked_at_in_the_run():
    value = "x" * 3 * LABEL_TEXT_CHARS_MAX
    assert len(label_text("a", value)) == LABEL_TEXT_CHARS_MAX
    conditions = Conditions()
    join = found_by(with_labels(conditions, {"a": value}), {"a": value}, 9)
    assert "labels @> $1::jsonb" in conditions.where()
    assert "label = $2 and created_position < $3" in join
    assert [len(str(each)) for each in conditions.values] == [len(value) + 8, LABEL_TEXT_CHARS_MAX, 1]


def test_without_labels_nothing_is_joined():
    conditions = Conditions()
    assert found_by(with_labels(conditions, {}), {}) == ""
    assert conditions.where() == ""

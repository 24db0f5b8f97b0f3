"""Counting what was seen, and estimating from it what is still to come."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from services.projections.estimating import NodeStands, NodeUsual, estimate
from services.projections.graph import Graph, graph_of
from services.projections.metrics import metrics_of
from services.projections.statistics import (
    NodeSeen,
    RunSeen,
    Seen,
    Statistics,
    Used,
    bucket_of,
    count,
    middle_of,
    quantile,
    took_ms,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def usual(mean_ms: float, runs: int = 50, deviation_ms: float = 0.0, skipped: int = 0) -> NodeUsual:
    return NodeUsual(runs, skipped, runs, mean_ms, deviation_ms**2)


def graph(edges: list[tuple[str, str]], names: str, **settings: int) -> Graph:
    return graph_of(
        json.dumps(
            {
                "id": "w",
                "name": "W",
                "nodes": [{"id": name, "type": "job", "job_type": "work"} for name in names],
                "edges": [{"source_node_id": one, "target_node_id": two} for one, two in edges],
                "settings": settings,
            }
        )
    )


CHAIN = graph([("a", "b"), ("b", "c")], "abc")


def seen_runs(*runs: RunSeen) -> Seen:
    seen = Seen()
    seen.runs = list(runs)
    return seen


def ended(minute: int, status: str = "completed", ms: int | None = 100, by: int = 1) -> RunSeen:
    return RunSeen("w", "manual", "manual", NOON + timedelta(minutes=minute), status, ms, by, minute)


def test_durations_fall_into_buckets_that_are_off_by_less_than_one_part_in_64():
    for duration in [*range(2_000), 12_345, 3_600_000, 86_400_000, 10**12]:
        assert abs(middle_of(bucket_of(duration)) - duration) <= duration / 64


def test_buckets_are_in_the_order_of_their_durations():
    found = [bucket_of(duration) for duration in range(5_000)]
    assert found == sorted(found)


def test_quantiles_of_many_durations_are_those_of_the_sorted_list():
    durations = sorted(int(random.Random(7).expovariate(1 / 900)) for _ in range(5_000))
    histogram: dict[int, int] = {}
    for duration in durations:
        histogram[bucket_of(duration)] = histogram.get(bucket_of(duration), 0) + 1
    for share in (0.5, 0.95, 0.99):
        exact = durations[int(share * len(durations)) - 1]
        assert quantile(histogram, share) == pytest.approx(exact, rel=1 / 32)
    assert quantile({}, 0.5) is None


def test_runs_are_counted_in_the_hour_in_which_they_end_and_by_trigger():
    rows = Statistics()
    counted = count(rows, seen_runs(ended(1), ended(2, "failed", None), ended(61)))
    assert [(row.hour.hour, row.completed, row.failed, row.duration_ms) for row in counted.hours] == [
        (12, 1, 1, 100),
        (13, 1, 0, 100),
    ]


def test_a_retry_takes_back_the_ending_before_it():
    rows = Statistics()
    count(rows, seen_runs(ended(1)))
    [row] = count(rows, seen_runs(ended(1, by=-1))).hours or list(rows.hours.values())
    assert (row.completed, row.duration_ms, row.durations) == (0, 0, "{}")


def test_any_batches_give_the_same_rows():
    runs = [ended(number % 90, ms=number * 37 % 4_000) for number in range(300)]
    nodes = [NodeSeen("w", "a", "completed", number * 53 % 900, number) for number in range(300)]
    whole, parts = Statistics(), Statistics()
    seen = Seen()
    seen.runs, seen.nodes = runs, nodes
    count(whole, seen)
    for start in range(0, 300, 7):
        part = Seen()
        part.runs, part.nodes = runs[start : start + 7], nodes[start : start + 7]
        for rows in count(parts, part):
            for row in rows:
                row.change = 0
    for row in [*whole.hours.values(), *whole.nodes.values()]:
        row.change = 0
    assert list(whole.hours.values()) == list(parts.hours.values())
    assert list(whole.nodes.values()) == list(parts.nodes.values())


def test_the_mean_of_a_node_follows_its_last_runs():
    rows, seen = Statistics(), Seen()
    seen.nodes = [NodeSeen("w", "a", "completed", 100, 1)] * 50 + [NodeSeen("w", "a", "completed", 500, 1)] * 200
    [row] = count(rows, seen).nodes
    assert row.mean_ms == pytest.approx(500, rel=0.03)
    assert row.completed_count == 250


def test_a_cached_completion_says_nothing_about_durations():
    rows, seen = Statistics(), Seen()
    seen.nodes = [NodeSeen("w", "a", "completed", 100, 1), NodeSeen("w", "a", "completed", None, 2)]
    [row] = count(rows, seen).nodes
    assert (row.completed_count, row.timed_count, row.mean_ms) == (2, 1, 100)


def test_uses_are_counted_with_their_first_and_last_time():
    rows, seen = Statistics(), Seen()
    seen.used = [Used("actor", "ada", NOON, 1), Used("actor", "ada", NOON + timedelta(hours=1), 9)]
    [row] = count(rows, seen).usage
    assert (row.count, row.first_at, row.last_at, row.position) == (2, NOON, NOON + timedelta(hours=1), 9)


def test_a_clock_that_went_back_gives_no_duration_below_nothing():
    assert took_ms(NOON, NOON - timedelta(seconds=1)) == 0


# --- estimates --------------------------------------------------------------------------------------------------------


def test_what_is_left_of_a_chain_is_what_its_nodes_usually_take():
    known = {"a": usual(100), "b": usual(200), "c": usual(300)}
    found = estimate(CHAIN, {"a": NodeStands("completed", NOON)}, known, NOON)
    assert found is not None
    assert (found.remaining_ms, found.low_ms, found.high_ms, found.based_on_runs) == (500, 500, 500, 50)


def test_a_node_at_work_counts_for_what_is_left_of_it():
    known = {"a": usual(100), "b": usual(200), "c": usual(300)}
    stands = {"a": NodeStands("running", NOON - timedelta(milliseconds=60))}
    found = estimate(CHAIN, stands, known, NOON)
    assert found is not None
    assert found.remaining_ms == 540


def test_an_overdue_node_is_expected_to_take_a_little_longer_and_never_less_than_nothing():
    stands = {"a": NodeStands("running", NOON - timedelta(hours=1))}
    found = estimate(graph([], "a"), stands, {"a": usual(1_000)}, NOON)
    assert found is not None
    assert found.remaining_ms == 100


def test_parallel_branches_take_as_long_as_the_longest_and_as_there_is_room():
    wide = graph([], "abcd", max_parallel_jobs=4)
    narrow = graph([], "abcd", max_parallel_jobs=1)
    known = {name: usual(100) for name in "abcd"}
    assert [
        found.remaining_ms for found in (estimate(wide, {}, known, NOON), estimate(narrow, {}, known, NOON)) if found
    ] == [
        100,
        400,
    ]


def test_a_branch_that_is_seldom_taken_counts_seldom():
    found = estimate(graph([], "a"), {}, {"a": usual(1_000, runs=10, skipped=90)}, NOON)
    assert found is not None
    assert found.remaining_ms == 100


def test_confidence_grows_with_runs_and_falls_with_their_spread_and_with_what_is_unknown():
    def confidence(known: dict[str, NodeUsual]) -> float:
        found = estimate(CHAIN, {}, known, NOON)
        assert found is not None
        return found.confidence

    steady = {name: usual(100) for name in "abc"}
    assert confidence(steady) > 0.9
    assert confidence({name: usual(100, runs=1) for name in "abc"}) < 0.2
    assert confidence({name: usual(100, deviation_ms=100) for name in "abc"}) < 0.7
    assert confidence({name: steady[name] for name in "ab"}) < confidence(steady)


def test_nothing_is_estimated_of_a_workflow_that_never_ran():
    assert estimate(CHAIN, {}, {}, NOON) is None


# --- work inside of maps and loops ------------------------------------------------------------------------------------


def test_work_inside_of_a_map_counts_one_item_after_the_other():
    metrics = metrics_of(graph([("a", "b")], "ab"), {"a": 10, "b": 40}, 50, {"b": 160})
    assert (metrics.sequential_duration_ms, metrics.time_saved_ms) == (170, 120)


def test_time_is_not_saved_where_nothing_runs_beside_something_else():
    metrics = metrics_of(CHAIN, {"a": 10, "b": 20, "c": 30}, 75, {})
    assert (metrics.sequential_duration_ms, metrics.run_duration_ms, metrics.time_saved_ms) == (60, 75, -15)

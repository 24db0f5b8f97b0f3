import pytest
from flowforge import events as e

from services.cli import feed
from services.cli.glyphs import Glyphs, duration
from tests.unit.cli.run_events import at, error, output, triggered


def said(event: e.Event) -> str:
    line = feed.line(type(event).__name__, e.encode(event), at(0), Glyphs())
    return line.plain.partition("  ")[2]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (triggered(), "○ WorkflowTriggered  daily-report v3 by event trigger new-data"),
        (e.NodeStarted(node_id="a", instance="3", attempt=2, worker="w1"),
         "● NodeStarted        a[3]                     attempt 2, on w1"),
        (e.NodeCompleted(node_id="a", output=output({"n": 1})),
         '✔ NodeCompleted      a                        {"n":1}'),
        (e.NodeCompleted(node_id="a"), "✔ NodeCompleted      a"),
        (e.NodeSkipped(node_id="a", reason="upstream_failed"),
         "– NodeSkipped        a                        upstream failed"),
        (e.NodeFailed(node_id="a", error=error("one\n  two")),
         "✘ NodeFailed         a                        NODE_EXECUTION_FAILED: one two"),
        (e.RunStarted(total_nodes=4), "● RunStarted         4 nodes"),
        (e.NodeWaiting(node_id="a", wait=e.EventWait(event_type="paid", source="shop")),
         "◔ NodeWaiting        a                        waits for an event paid from shop"),
        (e.NodeWaiting(node_id="a", wait=e.ApprovalWait(approval_id="x", approvers=list("abcde"))),
         "◔ NodeWaiting        a                        waits for approval by a, b, c and 2 others"),
        (e.IterationEnded(node_id="l", index=7, status="failed"),
         "✔ IterationEnded     l                        iteration 7 failed"),
        (e.RunPaused(before=["b"]), "◫ RunPaused          before b"),
        (e.RunResumed(steps=1), "● RunResumed         for 1 step"),
        (e.RunRetryRequested(cleared=["a", "b"]), "○ RunRetryRequested  from a, b"),
        (e.RunChanged(priority=3), "○ RunChanged         priority 3"),
        (e.NodeDecidedByHand(node_id="a", action="skip", comment="why"),
         "! NodeDecidedByHand  a                        skip by hand why"),
    ],
)  # fmt: skip
def test_an_event_is_one_line(event: e.Event, expected: str):
    assert said(event).rstrip() == expected


def test_an_event_of_a_newer_server_is_shown_as_it_is():
    assert feed.line("Novelty", b'{"x": 1}', at(0), Glyphs()).plain.endswith('○ Novelty            {"x": 1}')


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0421, "42 ms"), (0.9999, "1.0 s"), (4.06, "4.1 s"), (59.96, "1 m 00 s"), (185, "3 m 05 s"),
     (7_800, "2 h 10 m"), (200_000, "2 d 7 h"), (-3, "0 ms")],
)  # fmt: skip
def test_durations_in_words(seconds: float, words: str):
    assert duration(seconds) == words

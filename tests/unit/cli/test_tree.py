"""What a person sees, as exported text: frozen events in, frozen lines out."""

import io
from uuid import UUID

from flowforge import events as e
from rich.console import Console

from services.cli.tree import RunTree
from services.cli.view import RunView
from tests.unit.cli.run_events import Graph, Told, at, error, folded, triggered

CHILD = UUID("01934a2c-5c1e-7000-8000-000000000007")
GRAPH: Graph = [
    ("list-files", "script", []),
    ("profile", "script", ["list-files"]),
    ("check", "job", ["list-files"]),
    ("merge", "script", ["profile", "check"]),
    ("report", "end", ["merge"]),
    ("tell", "script", ["merge"]),
]
BEGINNING: list[Told] = [
    (0, triggered()),
    (0, e.RunStarted(total_nodes=6)),
    (0, e.NodeStarted(node_id="list-files", worker="w")),
    (0.25, e.NodeCompleted(node_id="list-files")),
    (0.3, e.NodeStarted(node_id="profile", instances_count=120)),
    *[(0.5, e.NodeCompleted(node_id="profile", instance=str(item))) for item in range(37)],
    (0.6, e.NodeStarted(node_id="profile", instance="40")),
    (1, e.NodeRetried(node_id="check", attempt=2, error=error("the source answered 503"), due_at=at(6))),
]
END: list[Told] = [
    (6, e.NodeStarted(node_id="check", attempt=2)),
    (6.5, e.NodeCompleted(node_id="check", attempt=2)),
    (8, e.NodeCompleted(node_id="profile")),
    (8, e.NodeStarted(node_id="merge")),
    (9, e.NodeFailed(node_id="merge", error=error("exit status 1: no column 'median'", resolution="look at its log"))),
    (9, e.NodeSkipped(node_id="report", reason="upstream_failed")),
    (9, e.NodeStarted(node_id="tell")),
    (9.2, e.NodeCompleted(node_id="tell")),
    (9.2, e.RunFailed(error=error("node merge failed"))),
]


def text(
    run: RunView, seconds: float, *, live: bool = False, height: int = 40, width: int = 72, encoding: str = "utf-8"
) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    console = Console(file=file, width=width, height=height, color_system=None, force_terminal=False)
    console.print(RunTree(run, lambda: at(seconds), live=live))
    file.flush()
    written: io.BytesIO = file.buffer  # type: ignore[assignment]
    return [line.rstrip() for line in written.getvalue().decode(encoding).splitlines()]


def test_a_run_under_way():
    assert text(folded(GRAPH, BEGINNING), 2.6) == [
        "● running  daily-report v3  01934a2c-5c1e-7000-8000-000000000001   2.6 s",
        "━━━━━━──────────────────────────────  1 of 6 nodes",
        "",
        "✔ list-files                                                      250 ms",
        "├ ● profile   ━━━╸──────── 37/120 · 1 running                      2.3 s",
        "└ ◔ check     attempt 2 in 3.4 s",
        "    NODE_EXECUTION_FAILED: the source answered 503",
        "○ merge",
        "├ ○ report",
        "└ ○ tell",
    ]


def test_a_run_that_failed():
    assert text(folded(GRAPH, BEGINNING + END), 99) == [
        "✘ failed  daily-report v3  01934a2c-5c1e-7000-8000-000000000001    9.2 s",
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  6 of 6 nodes",
        "",
        "✔ list-files                                                      250 ms",
        "├ ✔ profile   37/120                                               7.7 s",
        "└ ✔ check     attempt 2                                           500 ms",
        "✘ merge       failed                                               1.0 s",
        "  NODE_EXECUTION_FAILED: exit status 1: no column 'median'",
        "  look at its log",
        "├ – report    skipped: upstream failed",
        "└ ✔ tell                                                          200 ms",
    ]


def test_every_state_can_be_told_apart_on_a_console_without_unicode():
    lines = text(folded(GRAPH, BEGINNING + END), 99, encoding="ascii")
    assert lines[0].startswith("x failed  daily-report")
    assert lines[3].startswith("+ list-files")
    assert lines[9].startswith("|- - report")


def test_a_live_tree_says_how_to_leave_it():
    assert text(folded(GRAPH, BEGINNING), 2.6, live=True)[-1] == "Ctrl-C leaves; the run goes on"


def test_a_live_tree_never_outgrows_the_terminal_and_keeps_what_matters():
    graph: Graph = [(f"n{index}", "job", []) for index in range(1_000)]
    told: list[Told] = [(0, triggered()), (0, e.RunStarted(total_nodes=1_000))]
    told += [(1, e.NodeCompleted(node_id=f"n{index}")) for index in range(400)]
    told += [(2, e.NodeFailed(node_id="n250", error=error("first line\nsecond line\nthird line")))]
    told += [(2, e.NodeStarted(node_id=f"n{index}")) for index in (500, 501, 700)]
    lines = text(folded(graph, told), 3, live=True, height=20)
    assert len(lines) <= 20
    shown = "\n".join(lines)
    assert all(name in shown for name in ("✘ n250", "first line", "n500", "n501", "n700"))
    assert any("not started" in line for line in lines)


def test_a_long_name_leaves_room_for_the_rest():
    graph: Graph = [("a-very-long-name-of-a-node-that-somebody-chose-without-thinking", "job", [])]
    lines = text(folded(graph, [(0, triggered()), (0, e.NodeStarted(node_id=graph[0][0]))]), 1.5)
    assert "running" in lines[3]
    assert lines[3].endswith("1.5 s")
    assert len(lines[3]) <= 72


def test_a_run_before_its_first_event_is_no_error():
    assert text(folded([], []), 1)[1].endswith("waiting for its first event")


def test_a_run_that_waits_and_repeats():
    graph: Graph = [
        ("ask", "human_approval", []),
        ("each", "loop", []),
        ("child", "workflow", []),
        ("gpu", "job", []),
        ("nap", "delay", []),
    ]
    told: list[Told] = [
        (0, triggered()),
        (0, e.RunStarted(total_nodes=5)),
        (0, e.NodeWaiting(node_id="ask", wait=e.ApprovalWait(approval_id="x", approvers=["ada"], due_at=at(65)))),
        (0, e.NodeStarted(node_id="each", instances_count=4)),
        (0, e.IterationStarted(node_id="each", index=0)),
        (1, e.IterationEnded(node_id="each", index=0)),
        (1, e.IterationStarted(node_id="each", index=1)),
        (1, e.NodeWaiting(node_id="child", wait=e.ChildWait(child_run_id=CHILD, workflow_id="sub"))),
        (1, e.NodeQueued(node_id="gpu")),
        (4, e.WorkerAwaited(node_id="gpu", job_type="gpu", queue="default", since=at(1))),
        (4, e.NodeWaiting(node_id="nap", wait=e.TimerWait(due_at=at(95)))),
        (5, e.RunPaused(before=["nap"])),
        (5, e.RunSlaMissed(sla_ms=1)),
    ]
    lines = text(folded(graph, told), 5, width=110)
    assert lines[0].startswith("◫ paused  daily-report v3")
    assert lines[1].endswith("0 of 5 nodes · before nap · longer than its sla_ms")
    assert [line.split("  ")[0] for line in lines[3:]] == ["◔ ask", "● each", "◔ child", "◌ gpu", "◔ nap"]
    assert "waiting for approval by ada, 1 m 00 s left, since 5.0 s" in lines[3]
    assert "1/4 · 1 running" in lines[4]
    assert f"waiting for run {CHILD} of sub, since 4.0 s" in lines[5]
    assert "queued · waiting for a worker that serves gpu on queue default, since 4.0 s" in lines[6]
    assert "waiting for 1 m 30 s" in lines[7]


def test_a_run_that_was_retried_says_so():
    failed: list[Told] = [
        (0, triggered()),
        (1, e.NodeFailed(node_id="merge", error=error("no"))),
        (1, e.RunFailed(error=error("no"))),
    ]
    again: list[Told] = [(2, e.RunRetryRequested(cleared=["merge"])), (2, e.RunRetried(cleared=["merge"]))]
    lines = text(folded(GRAPH, failed + again), 3)
    assert lines[0].startswith("● running")
    assert lines[1].endswith("0 of 6 nodes · retried")

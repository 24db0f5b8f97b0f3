"""What a person sees, as exported text: frozen events in, frozen lines out."""

import io

from flowforge import events as e
from rich.console import Console

from services.cli.tree import RunTree
from services.cli.view import RunView
from tests.unit.cli.run_events import Graph, Told, at, error, folded, triggered

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


def text(run: RunView, seconds: float, *, live: bool = False, height: int = 40, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    console = Console(file=file, width=72, height=height, color_system=None, force_terminal=False)
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

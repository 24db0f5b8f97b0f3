"""A run drawn as a tree of its nodes with states, counts and times. Pure: a view and an instant in, lines out."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from flowforge import events as e
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from services.cli import waits
from services.cli.glyphs import STYLES, Glyphs, duration, glyphs_for
from services.cli.layout import Row, rows
from services.cli.view import NodeView, RunView

WIDTH_MAX = 110
"""Wider terminals stay empty on the right: a time belongs near its name."""
BAR_CELLS = 36
NODE_BAR_CELLS = 12
NAME_SHARE = 0.45
"""A name may take so much of the line's width."""
ERROR_LINES_LIVE_MAX = 2
ERROR_LINES_MAX = 12
HEADER_LINES = 4
FOOTER_LINES = 2
LINES_MAX = 200
"""A finished tree of more nodes shows what matters and counts the rest."""

_SECOND = timedelta(seconds=1)
_SHOWN_MIN = timedelta(milliseconds=1)
SKIP_REASONS = {
    "branch_not_taken": "branch not taken",
    "upstream_failed": "upstream failed",
    "upstream_skipped": "upstream skipped",
    "run_if_not_met": "run_if not met",
    "run_failed": "the run failed",
    "run_cancelled": "the run was cancelled",
    "branch_lost": "another branch has won",
    "not_selected": "the run began elsewhere",
    "by_hand": "by hand",
}
_BY_URGENCY = ("failed", "running", "waiting", "queued", "cancelled", "completed", "idle", "skipped")
_URGENCY = {status: rank for rank, status in enumerate(_BY_URGENCY)}


class RunTree:
    """Draws `view` as it is at `now()`. `live`: fits the terminal's height, moves, and says how to leave."""

    def __init__(self, view: RunView, now: Callable[[], datetime], *, live: bool = False, notice: str = "") -> None:
        self.view = view
        self.now = now
        self.live = live
        self.notice = notice
        self._rows: list[Row] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(console)
        width = min(options.max_width, WIDTH_MAX)
        yield from header(self.view, self.now(), glyphs, width, moving=self.live)
        yield Text("")
        lines_max = max(console.height - HEADER_LINES - FOOTER_LINES, 3) if self.live else LINES_MAX
        yield from self._body(console, glyphs, width, lines_max)
        if self.live:
            yield Text("")
            yield Text(self.notice or "Ctrl-C leaves; the run goes on", "yellow" if self.notice else "dim")

    def _body(self, console: Console, glyphs: Glyphs, width: int, lines_max: int) -> list[Text]:
        if len(self._rows) != len(self.view.nodes):
            self._rows = rows({name: node.after for name, node in self.view.nodes.items()}, glyphs)
        blocks = [(row, self.view.nodes[row.node_id]) for row in self._rows]
        shown = _most_urgent([node for _, node in blocks], lines_max)
        name_cells = _name_cells([blocks[index][0] for index in shown], width)
        lines: list[Text] = []
        before = -1
        for index in shown:
            lines += _gap([node for _, node in blocks[before + 1 : index]], glyphs)
            row, node = blocks[index]
            lines.append(
                _node_line(node, row, self.now(), glyphs, width=width, name_cells=name_cells, moving=self.live)
            )
            lines += _error_lines(node, row, console, glyphs, width=width, live=self.live)
            before = index
        return lines + _gap([node for _, node in blocks[before + 1 :]], glyphs)


def header(view: RunView, now: datetime, glyphs: Glyphs, width: int, *, moving: bool = False) -> list[Text]:
    """Which run, how it stands, how far it is."""
    status = "cancelling" if view.cancelling and not view.has_ended else view.status
    style = STYLES.get(view.status, "")
    left = Text.assemble(
        glyphs.state(view.status, moving), " ", (status, style), "  ", (view.workflow_id or "run", "bold"),
        (f" v{view.workflow_version}" if view.workflow_version else "", "dim"), (f"  {view.run_id}", "dim"),
    )  # fmt: skip
    elapsed = (view.ended_at or now) - view.created_at if view.created_at else None
    ended, total = view.nodes_ended, max(view.total_nodes, len(view.nodes))
    share = 1.0 if view.status == "completed" else ended / total if total else 0.0
    bar_cells = max(min(BAR_CELLS, width - 24), 8)
    bar = glyphs.bar(share, bar_cells, style if view.has_ended else "cyan")
    counted = Text(f"  {ended} of {total} nodes" if total else "  waiting for its first event", "dim")
    if view.queue_place is not None and not view.has_ended:
        counted = Text(f"  waiting for a slot, came at place {view.queue_place} in the queue", STYLES["waiting"])
    for said in _remarks(view):
        counted.append_text(Text.assemble((glyphs.dot, "dim"), said))
    return [_justified(left, Text(duration(elapsed), "bold"), width, glyphs), Text.assemble(bar, counted)]


def _remarks(view: RunView) -> Iterator[Text]:
    """What else there is to know of a run."""
    if view.status == "paused" and view.paused_before:
        yield Text(f"before {', '.join(view.paused_before)}", STYLES["paused"])
    if view.retries:
        yield Text("retried" if view.retries == 1 else f"retried {view.retries} times", "yellow")
    if view.has_missed_sla:
        yield Text("longer than its sla_ms", "yellow")


def _node_line(
    node: NodeView, row: Row, now: datetime, glyphs: Glyphs, *, width: int, name_cells: int, moving: bool
) -> Text:
    quiet = node.status in {"idle", "skipped"}
    name = Text.assemble((row.guide, "bright_black"), glyphs.state(node.status, moving), " ")
    name.append(node.node_id, "dim" if quiet else "")
    name.truncate(name_cells, overflow="ellipsis")
    name.pad_right(name_cells - name.cell_len)
    return _justified(Text.assemble(name, "  ", _detail(node, now, glyphs)), _span(node, now), width, glyphs)


def _detail(node: NodeView, now: datetime, glyphs: Glyphs) -> Text:
    """What there is to say beside the name; nothing for a node that simply completed."""
    parts: list[Text] = []
    if node.instances_count is not None or node.instances:
        parts.append(_map_counts(node, glyphs))
    elif node.status == "running" and node.progress is not None:
        parts.append(Text.assemble(glyphs.bar(node.progress, NODE_BAR_CELLS), f" {node.progress:.0%}"))
    if node.waiting_inside:
        parts.append(_waiting_inside(node))
    if node.status in {"queued", "failed", "cancelled"}:
        parts.append(Text(node.status, STYLES[node.status]))
    if node.status == "queued" and node.wait is not None:
        parts.append(Text(_waiting_for(node, now), STYLES["waiting"]))
    if node.status == "running" and not parts:
        parts.append(Text("running", STYLES["running"]))
    if node.status == "skipped":
        parts.append(Text(f"skipped: {SKIP_REASONS.get(node.skip_reason, node.skip_reason)}", STYLES["skipped"]))
    if node.status == "waiting":
        parts.append(Text(_waiting_for(node, now), STYLES["waiting"]))
    elif node.attempt > 1:
        parts.append(Text(f"attempt {node.attempt}", "yellow"))
    if node.status == "running" and node.message:
        parts.append(Text(node.message.splitlines()[0], "dim"))
    return Text().join(_separated(parts, glyphs))


def _separated(parts: list[Text], glyphs: Glyphs) -> Iterator[Text]:
    for index, part in enumerate(parts):
        if index:
            yield Text.assemble((glyphs.dot, "dim"))
        yield part


def _waiting_for(node: NodeView, now: datetime) -> str:
    if node.wait is not None:
        since = f", since {_moving(now - node.waiting_since)}" if node.waiting_since is not None else ""
        return f"waiting {waits.in_words(node.wait, now)}{'' if isinstance(node.wait, e.TimerWait) else since}"
    if node.retry_due_at is None:
        return "waiting"
    return f"attempt {node.attempt} in {_moving(node.retry_due_at - now)}"


def _waiting_inside(node: NodeView) -> Text:
    (node_id, instance), wait = next(iter(node.waiting_inside.items()))
    others = len(node.waiting_inside) - 1
    more = f" (and {others} more)" if others else ""
    return Text(f"{node_id}[{instance}] waiting {waits.in_words(wait)}{more}", STYLES["waiting"])


def _map_counts(node: NodeView, glyphs: Glyphs) -> Text:
    counts = node.counts()
    total = node.instances_count if node.instances_count is not None else len(node.instances)
    done = counts["completed"]
    text = Text()
    if not node.has_ended:
        text += glyphs.bar((done + counts["failed"] + counts["cancelled"]) / total if total else 1.0, NODE_BAR_CELLS)
        text.append(" ")
    text.append(f"{done}/{total}")
    for status in ("failed", "cancelled"):
        if counts[status]:
            text.append(glyphs.dot, "dim").append(f"{counts[status]} {status}", STYLES[status])
    for status in ("running", "waiting"):
        if counts[status] and not node.has_ended:
            text.append(glyphs.dot, "dim").append(f"{counts[status]} {status}", STYLES[status])
    return text


def _error_lines(node: NodeView, row: Row, console: Console, glyphs: Glyphs, *, width: int, live: bool) -> list[Text]:
    """Why it failed, under its line; while a retry is awaited, why the last attempt did."""
    if node.error is None or node.status not in {"failed", "waiting", "running", "queued"}:
        return []
    is_final = node.status == "failed"
    style = "red" if is_final else "yellow"
    text = Text.assemble((f"{node.error.code}: ", f"bold {style}"), (node.error.message.strip(), style))
    if node.error.suggested_resolution and is_final:
        text.append(f"\n{node.error.suggested_resolution}", "dim")
    indent = Text(row.below + "  ", "bright_black")
    wrapped = list(text.wrap(console, max(width - indent.cell_len - 1, 20)))
    lines_max = (ERROR_LINES_LIVE_MAX if is_final else 1) if live else ERROR_LINES_MAX
    if len(wrapped) > lines_max:
        wrapped = [*wrapped[: lines_max - 1], Text.assemble(wrapped[lines_max - 1], (glyphs.cut, "dim"))]
    return [indent + line for line in wrapped]


def _span(node: NodeView, now: datetime) -> Text:
    if node.started_at is None or node.status in {"skipped", "idle", "queued"}:
        return Text("")
    span = (node.ended_at or now) - node.started_at
    if node.has_ended and span < _SHOWN_MIN:
        return Text("")
    if node.status == "running":
        return Text(_moving(span))
    return Text(duration(span), "dim")


def _moving(span: timedelta) -> str:
    """A span that changes while it is looked at, never finer than a tenth of a second."""
    return duration(span) if span >= _SECOND else f"{max(span.total_seconds(), 0):.1f} s"


def _most_urgent(nodes: list[NodeView], lines_max: int) -> list[int]:
    """Indexes of the nodes to show, in order: all, or what fits with those first that a person looks for."""
    needed = len(nodes) + sum(node.status in {"failed", "waiting"} for node in nodes) * ERROR_LINES_LIVE_MAX
    if needed <= lines_max:
        return list(range(len(nodes)))
    ranked = sorted(range(len(nodes)), key=lambda index: (_URGENCY[nodes[index].status], index))
    kept = lines_max
    while kept > 1:
        chosen = sorted(ranked[:kept])
        if _lines(chosen, nodes) <= lines_max:
            return chosen
        kept -= max((_lines(chosen, nodes) - lines_max) // 4, 1)
    return ranked[:1]


def _lines(chosen: list[int], nodes: list[NodeView]) -> int:
    gaps = sum(b - a > 1 for a, b in zip([-1, *chosen], [*chosen, len(nodes)], strict=True))
    errors = sum(nodes[index].status in {"failed", "waiting"} for index in chosen) * ERROR_LINES_LIVE_MAX
    return len(chosen) + gaps + errors


def _gap(nodes: list[NodeView], glyphs: Glyphs) -> list[Text]:
    """One line in place of many."""
    if not nodes:
        return []
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.status] = counts.get(node.status, 0) + 1
    said = ", ".join(f"{count} {'not started' if status == 'idle' else status}" for status, count in counts.items())
    return [Text(f"{glyphs.gap} {said}", "dim")]


def _name_cells(shown: list[Row], width: int) -> int:
    longest = max((len(row.guide) + 2 + len(row.node_id) for row in shown), default=0)
    return max(min(longest, int(width * NAME_SHARE)), 8)


def _justified(left: Text, right: Text, width: int, glyphs: Glyphs) -> Text:
    """`left`, cut where it is too long, with `right` at the line's end."""
    room = width - max(right.cell_len, 0) - 2
    if left.cell_len > room:
        left.truncate(max(room - len(glyphs.cut), 4), overflow="crop")
        left.append(glyphs.cut, "dim")
    left.pad_right(max(room - left.cell_len, 0))
    line = Text.assemble(left, "  ", right)
    line.no_wrap = True
    line.rstrip()
    return line

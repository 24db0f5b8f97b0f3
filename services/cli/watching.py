"""Following one run to its end: the live tree on a terminal, one line per event elsewhere, JSON lines for programs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from flowforge.errors import Refused
from rich.live import Live
from rich.text import Text

from services.cli import feed, view
from services.cli.connect import Session, no_run
from services.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from services.cli.tree import RunTree
from services.cli.view import RunView

if TYPE_CHECKING:
    from flowforge.client import Client

FRAMES_PER_S = 10
OUTPUT_CHARACTERS_MAX = 2_000


async def watch_run(session: Session, client: "Client", run_id: str) -> int:
    """Show the run until it ended, and answer the exit status that says how. Ctrl-C leaves the run alone."""
    run = await _initial(client, run_id)
    try:
        if session.output.is_terminal:
            await _draw(session, client, run)
        else:
            await _list(session, client, run)
    except asyncio.CancelledError:
        _say_left(session, run)
        return EXIT_INTERRUPTED
    _say_end(session, run)
    return EXIT_OK if run.status == "completed" else EXIT_FAILED


async def _initial(client: "Client", run_id: str) -> RunView:
    try:
        read = await client.run(run_id)
    except Refused as refused:
        if refused.status == 404:
            raise no_run(run_id, refused) from refused
        raise
    return await view_of(client, read)


async def view_of(client: "Client", read: dict[str, Any]) -> RunView:
    """A run that was read, before its first event: its nodes, and in which loops they stand."""
    rows: list[dict[str, Any]] = read.get("node_runs") or []
    graph = [(row["node_id"], row.get("type") or "", row.get("dependencies") or []) for row in rows]
    has_loops = any(kind == "loop" for _, kind, _ in graph)
    return view.initial(read["run_id"], graph, await _loops(client, read) if has_loops else None)


async def _loops(client: "Client", run: dict[str, Any]) -> dict[str, str]:
    """Of the nodes inside of loops, the outermost loop around each."""
    bodies = (await client.graph(run["workflow_id"], run["workflow_version"])).get("bodies") or {}
    around = {node["node_id"]: loop_id for loop_id, body in bodies.items() for node in body["nodes"]}
    outermost: dict[str, str] = {}
    for node_id, loop_id in around.items():
        while loop_id in around:
            loop_id = around[loop_id]  # noqa: PLW2901  one loop further out
        outermost[node_id] = loop_id
    return outermost


async def _draw(session: Session, client: "Client", run: RunView) -> None:
    tree = RunTree(run, lambda: datetime.now(UTC), live=True)
    with Live(tree, console=session.output.out, auto_refresh=False) as live:
        drawing = asyncio.create_task(_refresh(live))
        try:
            async for _ in _events(client, run):
                pass
        finally:
            drawing.cancel()
            tree.live = False
            live.refresh()


async def _refresh(live: Live) -> None:
    """Draw frame after frame, in the thread that folds events: a frame shows a state that existed."""
    while True:
        live.refresh()
        await asyncio.sleep(1 / FRAMES_PER_S)


async def _list(session: Session, client: "Client", run: RunView) -> None:
    async for event in _events(client, run):
        session.output.json(event)
        text = feed.line(event["type"], _raw(event), _at(event), session.output.glyphs)
        session.output.say(text)


async def _events(client: "Client", run: RunView) -> AsyncIterator[dict[str, Any]]:
    """The run's events from its first, each once, until the last one that ends it."""
    async for event in client.follow(run.run_id):
        if view.apply(run, event["type"], _raw(event), _at(event), int(event.get("position") or 0)):
            yield event


def _raw(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(event.get("data"))


def _at(event: dict[str, Any]) -> datetime:
    return msgspec.convert(event["recorded_at"], datetime)


def _say_left(session: Session, run: RunView) -> None:
    session.output.note(
        Text.assemble("\nThe run goes on.\n", ("  watch it again   ", "dim"), f"flowforge watch {run.run_id}\n",
                      ("  end it           ", "dim"), f"flowforge cancel {run.run_id}")
    )  # fmt: skip


def _say_end(session: Session, run: RunView) -> None:
    """What the run gave, or why it failed and where to look."""
    output = session.output
    if run.output is not None and bytes(run.output) not in {b"null", b""} and output.is_terminal:
        output.say("", Text("output", "dim"), Text(feed.shortened(run.output, OUTPUT_CHARACTERS_MAX)))
    is_told = any(node.status == "failed" for node in run.nodes.values()) or not output.is_terminal
    if run.status in ("failed", "partial") and run.error is not None and not is_told:
        output.say("", Text.assemble((f"{run.error.code}: ", "bold red"), (run.error.message, "red")))
        if run.error.suggested_resolution:
            output.say(Text(run.error.suggested_resolution, "green"))
    if run.status != "completed" and output.is_terminal:
        output.say(
            Text.assemble("\n", ("what its jobs wrote   ", "dim"), f"flowforge logs {run.run_id}\n",
                          ("what happened         ", "dim"), f"flowforge events list {run.run_id}")
        )  # fmt: skip

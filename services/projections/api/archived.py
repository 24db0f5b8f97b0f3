"""Runs whose events are in an archive have no rows of nodes: they are folded from their events when somebody asks."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from services.projections.api.reads import Reads
from services.projections.past import folded
from services.projections.state import NodeRow

_NODES = "select * from projections.node_runs where run_id = $1"


async def node_rows(reads: Reads, run: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The rows of the nodes of the run's own graph, wherever they are. May raise `ArchiveUnreadable`."""
    if run["archive"] is None:
        return await reads.pool.fetch(_NODES, run["run_id"])
    return [row for row in await folded_rows(reads, run) if not row["instance"]]


async def folded_rows(reads: Reads, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of its rows, those of instances too."""
    nodes: dict[tuple[str, str], NodeRow] = {}
    for models in folded(await reads.log.read_stream(run["run_id"])):
        nodes = models.runs[run["run_id"]].nodes
        await asyncio.sleep(0)
    return [structs.asdict(row) for row in nodes.values()]

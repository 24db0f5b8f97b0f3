"""Outputs of several nodes as one value, as JSON text."""

from collections.abc import Iterable

import msgspec
from flowforge.raw import NULL

from services.execution.state.units import Frame


def joined(frame: Frame, node_ids: Iterable[str]) -> msgspec.Raw:
    """An object of the outputs by node id, of those that completed."""
    parts = [
        b'"%s":%s' % (node_id.encode(), bytes(frame.nodes[node_id].output))
        for node_id in node_ids
        if frame.nodes[node_id].status == "completed"
    ]
    return msgspec.Raw(b"{" + b",".join(parts) + b"}")


def listed(outputs: Iterable[msgspec.Raw]) -> msgspec.Raw:
    """A list of them, in order."""
    return msgspec.Raw(b"[" + b",".join(map(bytes, outputs)) + b"]")


def iteration_output(frame: Frame) -> msgspec.Raw:
    """What its last node gave; of several, an object by node id."""
    leaves = frame.graph.leaves
    if len(leaves) != 1:
        return joined(frame, leaves)
    leaf = frame.nodes[leaves[0]]
    return leaf.output if leaf.status == "completed" else NULL

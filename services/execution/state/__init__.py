"""What a run remembers, rebuilt from its events: `evolve` folds one event, and nothing else changes a run.

A run is folded in place: whoever evolves it owns it, and drops it when the log refused what was decided on it.

Rooms: `units` (nodes, instances, iterations), `run` (the run as a whole), `evolve` (one event), `clearing` (a retry),
`source` (the run that another begins from).
"""

from services.execution.state.evolve import evolve, fold, initial
from services.execution.state.run import Run, StoredPrompt
from services.execution.state.source import Source, recorded_in, source_of
from services.execution.state.units import ENDED, Frame, LoopState, NodeState, Unit

__all__ = [
    "ENDED", "Frame", "LoopState", "NodeState", "Run", "Source", "StoredPrompt", "Unit", "evolve", "fold", "initial",
    "recorded_in", "source_of",
]  # fmt: skip

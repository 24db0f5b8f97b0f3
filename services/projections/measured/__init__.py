"""What is measured for Prometheus: `tally` (what the log told since this process began to look), `gathered` (how things
stand now: consumers, queues, pools, breakers) and `exposition` (both as metric families)."""

from services.projections.measured.exposition import CONTENT_TYPE, exposed
from services.projections.measured.gathered import Standing, gather
from services.projections.measured.tally import Tally

__all__ = ["CONTENT_TYPE", "Standing", "Tally", "exposed", "gather"]

"""Every failpoint of the sources, and every process that passes it: found by searching, so that none is forgotten."""

import re
from pathlib import Path

from services.workers.wiring import FAILPOINTS

ROOT = Path(__file__).parents[2]
_POINT = re.compile(r'\bfailpoint\(\s*f?"([^"]+)"')
_RUNS = re.compile(r'\brun_service\("(\w+)"')
_TOLD = re.compile(r'\bpassed\("(\w+)"\)')
LOG_WRITERS = ("catalog", "triggers", "execution", "scheduler")
"""Processes that append to the log in every case (projections do for messages that they cannot read)."""
BY_ITSELF = frozenset({"archive", "erasure"})
"""Passed by commands that end by themselves: tried in tests/integration, projections/test_archived_runs.py and archive."""
SUBSCRIPTIONS = "subscriptions"
"""Says nothing and hears no stream; what it posts is a suite of its own (test_subscriptions)."""
TURNED = ("turn_taken", "before_append", "after_append")
"""What a turn passes that publishes and acknowledges nothing."""
PROCESSES_OF = {"gateway": "front", "eventlog": ""}


def found() -> set[str]:
    """The points as they stand in the sources; `*.x` for those that are named after the service that runs the code."""
    points: set[str] = set()
    for folder in ("services", "infra"):
        for file in (ROOT / folder).rglob("*.py"):
            points |= {re.sub(r"\{[^}]*(point|name)\}", "*", each) for each in _POINT.findall(file.read_text())}
    return points


def turning() -> set[str]:
    """The services that are the shell's turn around decisions of their own."""
    files = (ROOT / "services").glob("*/*.py")
    return {name for file in files for name in _RUNS.findall(file.read_text())} - {SUBSCRIPTIONS}


def of_subscriptions() -> list[str]:
    """Every point that subscriptions pass."""
    own = {point for point in found() if point.startswith(f"{SUBSCRIPTIONS}.")}
    return sorted(own | {f"{SUBSCRIPTIONS}.{step}" for step in TURNED})


def told_by_workers() -> set[str]:
    """The points that the SDK's worker tells to whoever runs it."""
    files = (ROOT / "contracts" / "flowforge").glob("*.py")
    return {point for file in files for point in _TOLD.findall(file.read_text())}


def cases() -> list[tuple[str, str]]:
    """(process, point) for every point in every process that passes it."""
    pairs: set[tuple[str, str]] = set()
    for point in found():
        owner, _, step = point.partition(".")
        if owner == SUBSCRIPTIONS:
            continue
        if point == "workers.*":
            pairs |= {("workers", each) for each in FAILPOINTS}
            pairs |= {("worker", f"worker.{each}") for each in told_by_workers()}
        elif owner == "*":
            pairs |= {(service, f"{service}.{step}") for service in turning()}
        elif owner in BY_ITSELF:
            continue
        elif owner == "eventlog":
            pairs |= {(service, point) for service in LOG_WRITERS}
        else:
            pairs.add((PROCESSES_OF.get(owner, owner), point))
    return sorted(pairs)

"""What a process counts of itself: cheap to count, told when somebody asks (`infra/bus/health.py`), shown at `/metrics`.

A name ends with its unit and has always the same labels. Of each name at most `LABELS_MAX` combinations are told apart.
"""

import os
import resource
import time
from bisect import bisect_left
from pathlib import Path

import msgspec

LABELS_MAX = 1_000
OTHER = "other"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PAGE_BYTES = resource.getpagesize()
_STARTED_AT = time.time()
Labels = tuple[tuple[str, str], ...]


class Count(msgspec.Struct, array_like=True):
    """So many of `name`."""

    name: str
    labels: Labels
    value: float


class Times(msgspec.Struct, array_like=True):
    """How many of `name` took at most as long as each of `BUCKETS_S`, the rest, and the sum in seconds."""

    name: str
    labels: Labels
    counts: list[int]
    sum_s: float


class Measured(msgspec.Struct):
    """A process at one moment."""

    pid: int
    started_at_s: float
    cpu_s: float
    memory_bytes: int
    counts: list[Count]
    times: list[Times]


class Measures:
    """Counters and histograms of this process."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], Count] = {}
        self._times: dict[tuple[str, Labels], Times] = {}

    def add(self, name: str, by: float = 1, **labels: str) -> None:
        """Count so many more."""
        key = self._key(self._counts, name, labels)
        known = self._counts.get(key)
        if known is None:
            known = self._counts[key] = Count(*key, 0)
        known.value += by

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """One more that took so long."""
        key = self._key(self._times, name, labels)
        known = self._times.get(key)
        if known is None:
            known = self._times[key] = Times(*key, [0] * (len(BUCKETS_S) + 1), 0.0)
        known.counts[bisect_left(BUCKETS_S, seconds)] += 1
        known.sum_s += seconds

    def now(self) -> Measured:
        """All of it, and what the process takes."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Measured(
            pid=os.getpid(),
            started_at_s=_STARTED_AT,
            cpu_s=used.ru_utime + used.ru_stime,
            memory_bytes=_memory_bytes(),
            counts=list(self._counts.values()),
            times=list(self._times.values()),
        )

    def _key(
        self,
        known: dict[tuple[str, Labels], Count] | dict[tuple[str, Labels], Times],
        name: str,
        labels: dict[str, str],
    ) -> tuple[str, Labels]:
        key = name, tuple(labels.items())
        if key not in known and len(known) >= LABELS_MAX:
            return name, tuple((label, OTHER) for label in labels)
        return key


MEASURES = Measures()
"""Those of this process."""


def _memory_bytes() -> int:
    """Resident memory (proc(5), statm); 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0

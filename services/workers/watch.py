"""What scripts take: the memory of all processes of each while they run, their processor time when they have ended.

/proc is looked at every now and then, once for all scripts. A process is of a script if it is in its session, descends
from it, or has its mark in the environment. Source of the fields: proc(5).
"""

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from flowforge.reports import JobUsage

from infra.embedded.process import all_pids, environment_of, stat_fields
from services.workers import settings

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process(msgspec.Struct, frozen=True):
    """A process as /proc shows it."""

    pid: int
    parent: int
    session: int
    is_alive: bool


class Group:
    """A script and what it started. `kill` is called whenever it is seen to take more than it may."""

    def __init__(self, pid: int, mark: str, *, memory_bytes_max: int | None, kill: Callable[[], None]) -> None:
        self.pid = pid
        self.mark = mark.encode()
        self.pids = {pid}
        self._memory_bytes_max = memory_bytes_max
        self._kill = kill
        self._has_too_many = False
        self._cpu_s = 0.0
        self._seen_bytes = 0
        self._told_bytes = 0
        self._floor_bytes = resident_bytes() + settings.memory_floor_slack_bytes

    def look(self) -> None:
        """Measure what it takes now."""
        self._has_too_many = self._has_too_many or len(self.pids) > settings.processes_max
        found = [sizes for pid in self.pids if (sizes := _memory(pid)) is not None]
        self._seen_bytes = max([self._seen_bytes, *(most for _, most in found)])
        together = sum(now for now, _ in found)
        if len(found) > 1 and together > self._seen_bytes:  # pages that they share count once
            together = sum(_share(pid) for pid in self.pids)
        self._seen_bytes = max(self._seen_bytes, together)
        if self.excess() is not None:
            self._kill()

    def ended(self, usage: resource.struct_rusage) -> None:
        """Count what one of its processes took, which has been reaped."""
        self._cpu_s += usage.ru_utime + usage.ru_stime
        self._told_bytes = max(self._told_bytes, usage.ru_maxrss * 1024)

    def usage(self) -> JobUsage:
        """All that it took."""
        peak = max(self._seen_bytes, self._told_bytes if self._is_told or not self._seen_bytes else 0)
        return JobUsage(cpu_ms=round(self._cpu_s * 1000), peak_memory_bytes=peak)

    def excess(self) -> str | None:
        """What it took too much of, in words."""
        if self._has_too_many:
            return f"the script ran more than {settings.processes_max} processes at once"
        most, peak = self._memory_bytes_max, max(self._seen_bytes, self._told_bytes if self._is_told else 0)
        if most is None or peak <= most:
            return None
        return f"the script took {_mb(peak)} MB of memory, at most {_mb(most)} MB are allowed (max_memory_mb)"

    @property
    def _is_told(self) -> bool:
        """A child begins as a copy of this process, and the kernel counts the copy: as much as that says nothing."""
        return self._told_bytes > self._floor_bytes


class Watch:
    """Looks at the groups that are told to it, while there are any."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}
        self._others: set[int] = set()
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, group: Group) -> None:
        """From now on; first after a moment, when the script has become what it is."""
        self._groups[group.pid] = group
        loop = asyncio.get_running_loop()
        at = loop.time() + settings.watch_first_s
        if self._timer is None or self._timer.when() > at:
            self._look_at(at)

    def end(self, group: Group) -> None:
        self._groups.pop(group.pid, None)
        if not self._groups and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        began_at = time.perf_counter()
        try:
            self._find()
            for group in list(self._groups.values()):
                group.look()
        finally:  # also where /proc cannot be read now, for too many open files
            took_s = time.perf_counter() - began_at
            wait_s = max(settings.watch_every_s, took_s / settings.watch_share_max)
            if self._groups:
                self._look_at(asyncio.get_running_loop().time() + wait_s)

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _find(self) -> None:
        """Whose each process is. What was found to be nobody's is not asked about again while it lives."""
        listed = set(all_pids())
        is_fresh = time.monotonic() - self._looked_at < settings.watch_forgets_s
        self._others = self._others & listed if is_fresh else set()
        self._looked_at = time.monotonic()
        found = {pid: process for pid in listed - self._others if (process := read_process(pid)) is not None}
        owned = {pid: group for group in self._groups.values() for pid in group.pids}
        for group in self._groups.values():
            group.pids = {group.pid}
        for process in found.values():
            group = self._owner(process, found, owned)
            if group is None:
                self._others.add(process.pid)
            elif process.is_alive:
                group.pids.add(process.pid)
            elif process.parent == os.getpid() and process.pid != group.pid:
                self._reap(process.pid, group)

    def _owner(self, process: Process, found: dict[int, Process], owned: dict[int, Group]) -> Group | None:
        at: Process | None = process
        for _ in found:
            if at is None:
                break
            if (group := self._groups.get(at.session) or owned.get(at.pid)) is not None:
                return group
            at = found.get(at.parent)
        environment = environment_of(process.pid)
        return next((group for group in self._groups.values() if group.mark in environment), None)

    def _reap(self, pid: int, group: Group) -> None:
        """It lost its parent, became ours and has ended."""
        with contextlib.suppress(ChildProcessError):
            reaped, _, usage = os.wait4(pid, os.WNOHANG)
            if reaped:
                group.ended(usage)


def read_process(pid: int) -> Process | None:
    """None: it is gone."""
    if (fields := stat_fields(pid)) is None:
        return None
    state, parent, _, session = fields[:4]
    return Process(pid, int(parent), int(session), state not in "ZX")


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def _memory(pid: int) -> tuple[int, int] | None:
    """(what it has in memory, the most it had since it became what it is), in bytes; None: it is gone."""
    try:
        fields = dict(_sizes(Path(f"/proc/{pid}/status").read_text(errors="replace")))
    except OSError:
        return None
    return (fields["VmRSS"], fields["VmHWM"]) if "VmHWM" in fields and "VmRSS" in fields else None


def _share(pid: int) -> int:
    """Its memory, what it shares counted in part (smaps_rollup)."""
    try:
        return dict(_sizes(Path(f"/proc/{pid}/smaps_rollup").read_text())).get("Pss", 0)
    except OSError:
        return 0


def _mb(count: int) -> int:
    return -(-count // 1024**2)


def _sizes(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            yield name, int(rest.split()[0]) * 1024

"""Processes that a script started and put out of its group's reach, found by the mark in their environment.

With `adopt` this process becomes the parent of every descendant whose own parent dies (prctl(2),
PR_SET_CHILD_SUBREAPER), so that such processes stay in sight, and reaps them.
"""

import contextlib
import os
import signal
from pathlib import Path

from infra.embedded.process import adopt_orphans


class Strays:
    """What runs below this process without being a script itself; `known` are the scripts."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self._adopts = False

    def adopt(self) -> None:
        """Become the parent of orphans below; nothing else in this process may then have children."""
        adopt_orphans()
        self._adopts = True

    def end(self, mark: str) -> None:
        """Kill the strays of one job, and what becomes ours by that, until none is left."""
        if not self._adopts:
            return
        while marked := [pid for pid, is_alive in _children() if is_alive and mark.encode() in _environment(pid)]:
            for pid in marked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                _reap(pid)
        for pid, is_alive in _children():
            if not is_alive and pid not in self.known:
                _reap(pid)


def _children() -> list[tuple[int, bool]]:
    """(pid, whether it lives) of every child of this process; proc(5) gives state and parent."""
    found: list[tuple[int, bool]] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == os.getpid():
                    found.append((int(entry.name), state not in "ZX"))
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)

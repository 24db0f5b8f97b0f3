"""Processes that a script started and put out of its group's reach, found by the mark in their environment.

With `adopt` this process becomes the parent of every descendant whose own parent dies (prctl(2),
PR_SET_CHILD_SUBREAPER), so that such processes stay in sight, and reaps them.
"""

import contextlib
import os
import resource
import signal
from collections.abc import Container

from infra.embedded.process import adopt_orphans, all_pids, environment_of
from services.workers.watch import Process, read_process


class Strays:
    """What runs below this process without being a script itself; `known` are the scripts."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self._adopts = False

    def adopt(self) -> None:
        """Become the parent of orphans below; nothing else in this process may then have children."""
        adopt_orphans()
        self._adopts = True

    def end(self, mark: str, seen: Container[int] = ()) -> list[resource.struct_rusage]:
        """Kill the strays of one job, and what becomes ours by that, until none is left; answers what each took.

        They bear its mark, or were seen below it. One that gave its mark away before it was seen is nobody's, and ends
        as soon as no script runs.
        """
        took = list[resource.struct_rusage]()
        if not self._adopts or not _has_children():
            return took
        children = _children()
        while found := [each.pid for each in children if each.is_alive and self._is_stray(each, mark, seen)]:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                took += _reap(pid)
            children = _children()
        for each in children:
            if not each.is_alive and not {each.pid, each.session} & self.known:
                _reap(each.pid)
        return took

    def _is_stray(self, child: Process, mark: str, seen: Container[int]) -> bool:
        if child.pid in self.known:
            return False
        return not self.known or child.pid in seen or mark.encode() in environment_of(child.pid)


def _has_children() -> bool:
    """Whether there is any process to look for: looking costs as much as starting a script."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> list[Process]:
    """Every child of this process."""
    found = map(read_process, all_pids())
    return [process for process in found if process is not None and process.parent == os.getpid()]


def _reap(pid: int) -> list[resource.struct_rusage]:
    with contextlib.suppress(ChildProcessError):
        return [os.wait4(pid, 0)[2]]
    return []

"""What an earlier `up` that was killed may have left: found by what every child carries, and ended before we start."""

import asyncio
import os
import signal
from pathlib import Path

from infra.embedded.postgres import PostgresFolder
from infra.embedded.process import all_pids, environment_of, is_alive, parent_of, send

SUPERVISED = "FLOWFORGE_SUPERVISED"
"""In the environment of every child: the home it belongs to."""
POSTGRES_GRACE_S = 3.0
END_TIMEOUT_S = 5.0
_LOOK_INTERVAL_S = 0.02


class StillThereError(RuntimeError):
    """A process of an earlier start does not end."""


async def end_stale(home: Path, cluster: PostgresFolder) -> list[int]:
    """End every process of an earlier `up` in `home`; the ids of those found.

    Postgres gets the chance to end by itself. Raises StillThereError for what outlives SIGKILL (it waits for a disk).
    """
    servers = cluster.running_pids()
    if servers:
        send(servers[0], signal.SIGQUIT)
        await _gone(servers, POSTGRES_GRACE_S)
    stale = [*cluster.running_pids(), *_supervised(home)]
    for pid in stale:
        send(pid, signal.SIGKILL)
    if not await _gone(stale, END_TIMEOUT_S):
        left = ", ".join(str(pid) for pid in stale if is_alive(pid))
        raise StillThereError(f"processes of an earlier start do not end: {left}")
    return list(dict.fromkeys((*servers, *stale)))


def _supervised(home: Path) -> list[int]:
    mark = f"{SUPERVISED}={home.absolute()}".encode()
    ours = _ourselves_and_above()
    return [pid for pid in all_pids() if pid not in ours and mark in environment_of(pid) and is_alive(pid)]


def _ourselves_and_above() -> set[int]:
    pid: int | None = os.getpid()
    line: set[int] = set()
    while pid:
        line.add(pid)
        pid = parent_of(pid)
    return line


async def _gone(pids: list[int], timeout_s: float) -> bool:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while any(map(is_alive, pids)):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_INTERVAL_S)
    return True

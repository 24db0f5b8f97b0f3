"""Scripts while the machine refuses what is needed to watch them."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.process import all_pids, is_alive
from services.workers import settings, watch
from services.workers.confinement import Inside, Limits, Started
from services.workers.process import ScriptProcess
from services.workers.strays import Strays
from services.workers.watch import Group, Watch

SLEEPS = ["sleep", "60"]


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEPS) as process:
        yield process
        process.kill()


def too_many_open_files() -> OSError:
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_script_that_cannot_be_watched_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[int]()

    def refused(pid: int) -> int:
        begun.append(pid)
        raise too_many_open_files()

    monkeypatch.setattr(os, "pidfd_open", refused)
    strays = Strays()
    with pytest.raises(OSError, match="Too many open files"):
        ScriptProcess(
            Started(SLEEPS, Inside(Limits())), env=dict(os.environ), folder=tmp_path, mark="A=1", line=print,
            strays=strays, watch=Watch(),
        )  # fmt: skip
    assert not is_alive(begun[0])
    assert strays.known == set()


async def test_limits_are_kept_also_after_processes_could_not_be_listed(
    sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, listed = asyncio.Event(), 0

    def refused_once() -> list[int]:
        nonlocal listed
        listed += 1
        if listed == 1:
            raise too_many_open_files()
        return all_pids()

    monkeypatch.setattr(watch, "all_pids", refused_once)
    monkeypatch.setattr(settings, "watch_every_s", 0.01)
    group = Group(sleeping.pid, "A=1", memory_bytes_max=1, kill=killed.set)
    watching = Watch()
    watching.begin(group)
    async with asyncio.timeout(5):
        await killed.wait()
    watching.end(group)

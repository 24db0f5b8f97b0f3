"""Tests that promise a time hold the machine alone: the other test processes end what they do and wait meanwhile."""

import contextlib
import fcntl
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def machine_held(shared_folder: Path, *, is_alone: bool) -> Generator[None]:
    """Hold the machine for one test; `shared_folder` is one that all test processes of a run know.

    All go through a gate. Whoever wants to be alone shuts it, so that nobody can begin before those who had begun end.
    """
    how = fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH
    with (shared_folder / "machine").open("w") as machine:
        with (shared_folder / "gate").open("w") as gate:
            fcntl.flock(gate, how)
            fcntl.flock(machine, how)
        yield

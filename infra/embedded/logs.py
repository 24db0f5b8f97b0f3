"""The output of the children: one file each, the one of the last start beside it, none without an end."""

import contextlib
import os
import shutil
from pathlib import Path

from infra.telemetry.logs import readable

LOG_BYTES_MAX = 16 * 1024 * 1024
TAIL_LINES = 15
TAIL_BYTES = 8192


def rotate(log: Path) -> None:
    """Put the output of the last start aside."""
    if log.exists():
        log.replace(_previous(log))


def cap(log: Path) -> None:
    """Empty a log that has grown too long, after putting what it holds aside; its writer appends and goes on.

    Where there is no room to put it aside, such as on a full disk, it is emptied all the same: that makes room.
    """
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        with contextlib.suppress(OSError):
            shutil.copyfile(log, _previous(log))
        os.truncate(log, 0)


def tail(log: Path) -> str:
    """The last lines, for a message to a person."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(readable(line) for line in lines[-TAIL_LINES:])


def _previous(log: Path) -> Path:
    return log.with_name(log.name + ".1")

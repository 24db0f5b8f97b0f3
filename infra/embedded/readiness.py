"""How a process tells whoever started it that it is ready: one byte into the pipe named by FLOWFORGE_READY_FD, and, in a
container, the file named by FLOWFORGE_READY_FILE.

The file is touched again and again from the event loop: one that is older than a few beats belongs to a process that hangs.
"""

import asyncio
import contextlib
import os
from pathlib import Path

READY_FD = "FLOWFORGE_READY_FD"
READY_FILE = "FLOWFORGE_READY_FILE"
BEAT_S = 5.0
_beating: set["asyncio.Task[None]"] = set()


def say_ready() -> None:
    """Tell whoever started this process that it does its work now; without such a listener it is nothing."""
    file = os.environ.pop(READY_FILE, None)
    if file:
        _beating.add(asyncio.get_running_loop().create_task(_beat(Path(file))))
    number = os.environ.pop(READY_FD, None)
    if number is None:
        return
    with contextlib.suppress(OSError):
        os.write(int(number), b"1")
    with contextlib.suppress(OSError):
        os.close(int(number))


async def _beat(file: Path) -> None:
    while True:
        with contextlib.suppress(OSError):  # a full disk is for a probe to find, not a reason to end
            file.touch()  # noqa: ASYNC240  a file in memory; and a loop that does not come to it is what it shows
        await asyncio.sleep(BEAT_S)

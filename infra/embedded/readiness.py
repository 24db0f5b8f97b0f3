"""How a child tells the supervisor that it is ready: one byte into the pipe named by FLOWFORGE_READY_FD."""

import contextlib
import os

READY_FD = "FLOWFORGE_READY_FD"


def say_ready() -> None:
    """Tell whoever started this process that it does its work now; without such a listener it is nothing."""
    number = os.environ.pop(READY_FD, None)
    if number is None:
        return
    with contextlib.suppress(OSError):
        os.write(int(number), b"1")
    with contextlib.suppress(OSError):
        os.close(int(number))

"""What holds the machine alone is alone, and does not wait for ever."""

import fcntl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.alone import machine_held

WAIT_S = 10


def gate_is_shut(folder: Path) -> bool:
    with (folder / "gate").open("w") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_who_is_alone_waits_for_those_who_had_begun_and_lets_nobody_begin(tmp_path: Path) -> None:
    goes_on, has_begun, order = threading.Event(), threading.Event(), list[str]()

    def begin_first() -> None:
        with machine_held(tmp_path, is_alone=False):
            has_begun.set()
            assert goes_on.wait(WAIT_S)
            order.append("with others")

    def be_alone() -> None:
        with machine_held(tmp_path, is_alone=True):
            order.append("alone")

    def begin_later() -> None:
        with machine_held(tmp_path, is_alone=False):
            order.append("later")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(begin_first)
        assert has_begun.wait(WAIT_S)
        alone = pool.submit(be_alone)
        while not gate_is_shut(tmp_path):
            time.sleep(0.001)
        later = pool.submit(begin_later)
        goes_on.set()
        for one in (first, alone, later):
            one.result(WAIT_S)
    assert order == ["with others", "alone", "later"]

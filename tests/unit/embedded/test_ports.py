"""Free ports are looked for where a server may listen, whatever the system hands to outgoing connections; nobody else takes
one before a server listens."""

import errno
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from infra.embedded import ports
from infra.embedded.ports import choices, free_port, is_free

ROOT = Path(__file__).parents[3]
FEW = range(12_000, 12_040)
TAKE_ALL = f"""
from infra.embedded import ports
ports.choices, taken = lambda: range({FEW.start}, {FEW.stop}), []
print(flush=True)
input()
try:
    while True:
        taken.append(ports.free_port())
except OSError:
    print(*taken, flush=True)
input()
"""


def taking_all() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TAKE_ALL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def taken_by(*processes: subprocess.Popen[str]) -> list[set[int]]:
    """What each has, which begin at the same time."""
    for process in processes:
        assert said_by(process) == ""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [{int(word) for word in said_by(process).split()} for process in processes]


def said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("port_range", "ports"),
    [
        ("32768\t60999\n", range(12_000, 32_768)),
        ("20000\t60999\n", range(12_000, 20_000)),
        ("1024\t65535\n", range(12_000, 32_768)),
        ("12001\t65535\n", range(12_000, 32_768)),
        ("no numbers", range(12_000, 32_768)),
    ],
)
def test_ports_are_below_those_of_outgoing_connections_where_there_are_enough(
    tmp_path: Path, port_range: str, ports: range
):
    file = tmp_path / "range"
    file.write_text(port_range)
    assert choices(file) == ports
    assert choices(tmp_path / "missing") == range(12_000, 32_768)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows names of sockets that are no files")
def test_no_two_processes_take_the_same_port_before_a_server_listens(monkeypatch: pytest.MonkeyPatch):
    with taking_all() as one, taking_all() as other:
        by_one, by_other = taken_by(one, other)
        taken = by_one | by_other
        assert len(taken) > len(FEW) / 2, "they found hardly any"
        assert not by_one & by_other
        assert all(map(is_free, taken)), "held, and free for a server"
        monkeypatch.setattr(ports, "choices", lambda: list(taken))
        with pytest.raises(OSError) as none_left:
            free_port()
        assert none_left.value.errno == errno.EADDRINUSE
        one.kill()
        other.kill()
    assert free_port() in taken, "they go with whoever held them"


def test_a_process_that_asks_for_ever_holds_the_last_ones(monkeypatch: pytest.MonkeyPatch):
    held: deque[socket.socket] = deque()
    monkeypatch.setattr(ports, "_held", held)
    monkeypatch.setattr(ports, "_HELD_MAX", 20)
    taken = [free_port() for _ in range(100)]
    assert [name.getsockname() for name in held] == [f"\0flowforge-port-{port}".encode() for port in taken[-20:]]
    for name in held:
        name.close()

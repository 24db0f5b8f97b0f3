"""Free ports that stay ours until a server listens, and while it restarts."""

import atexit
import collections
import errno
import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_TRIES_MAX = 200
_CHOICES_FROM = 12_000
_CHOICES_COUNT_MIN = 1_000
_OUTGOING_FROM = 32_768
_HELD_MAX = 256
_held: collections.deque[socket.socket] = collections.deque()


def choices(port_range: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> range:
    """Ports below those that the system hands to outgoing connections: such a one could be taken during a restart.

    Where it hands out nearly all, as some servers are set, they are as good as any other.
    """
    try:
        end = int(port_range.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        end = _OUTGOING_FROM
    return range(_CHOICES_FROM, end if end >= _CHOICES_FROM + _CHOICES_COUNT_MIN else _OUTGOING_FROM)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now. Raises OSError for an address that is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(host: str = LOOPBACK) -> int:
    """A port nobody listens on, of those that `choices` gives; no other FlowForge of this machine takes it while this process
    lives, and has not taken 256 more."""
    ports = choices()
    for _ in range(_TRIES_MAX):
        port = secrets.choice(ports)
        if is_free(port, host) and _hold(port):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port found on {host}")


def _hold(port: int) -> bool:
    """Keep the port from others who ask here, who see it free until a server listens. False where one of them has it.

    A name without a file: it is known wherever the port is, and goes with this process, however that ends.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0flowforge-port-{port}")
    except OSError as error:
        name.close()
        return error.errno != errno.EADDRINUSE  # a system without such names: as it would be without holding
    _held.append(name)
    if len(_held) > _HELD_MAX:
        _held.popleft().close()
    return True


@atexit.register
def _let_go() -> None:
    """As files are closed: a name that is left open is told as a fault where Python is asked to tell such."""
    while _held:
        _held.pop().close()

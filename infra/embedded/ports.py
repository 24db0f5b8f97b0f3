"""Free ports that stay ours while a server restarts."""

import errno
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_TRIES_MAX = 200
_CHOICES_FROM = 12_000


def _choices_end() -> int:
    """The first port the system may hand to an outgoing connection: such a one could be taken during a restart."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


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
    """A port nobody listens on, below those the system uses for outgoing connections."""
    end = _choices_end()
    for _ in range(_TRIES_MAX):
        port = random.randrange(min(_CHOICES_FROM, end - 1000), end)
        if is_free(port, host):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port found on {host}")

"""Free ports that stay ours while a server restarts."""

import errno
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_TRIES_MAX = 200
_CHOICES_FROM = 12_000
_CHOICES_COUNT_MIN = 1_000
_OUTGOING_FROM = 32_768


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
    """A port nobody listens on, of those that `choices` gives."""
    ports = choices()
    for _ in range(_TRIES_MAX):
        port = random.choice(ports)
        if is_free(port, host):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port found on {host}")

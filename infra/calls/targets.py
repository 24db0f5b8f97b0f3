"""Where calls may go: every address of a host is looked at, and the call connects to one that was looked at.

The public internet, unless it is FlowForge itself; beyond that what `FLOWFORGE_WEBHOOK_ALLOW` names. Judged are the
addresses that the resolver gives, never the text of the host: `0x7f.1` and `2130706433` are ways to write 127.0.0.1, and
a name may have one public and one private address. Addresses that wrap another one (IPv4 in IPv6) count as that one.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
SETTING = "FLOWFORGE_WEBHOOK_ALLOW"
_NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "fc00::/7", "fe80::/10",
        "fec0::/10",
    )
)  # fmt: skip
"""Beside what `ipaddress` calls private: networks that lead to others (NAT64, 6to4, Teredo), and old ones."""
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_IPV6_WITH_PORT = re.compile(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?")
_PORT_MAX = 65_535


class TargetRefused(Exception):
    """No call may go there; the message says why, and what would allow it."""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a list of targets: a network or the name of a host (`*.` before it: of all below it), and a port."""

    network: Network | None = None
    host: str = ""
    port: int | None = None

    def covers(self, host: str, address: Address, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address in self.network
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


def read_entry(text: str) -> Entry:
    """`10.0.0.0/8`, `127.0.0.1:9000`, `[::1]:9000`, `hooks.internal`, `*.internal:8443`. Raises ValueError."""
    name, port = _parted(text.strip().lower())
    if port is not None and not 0 < port <= _PORT_MAX:
        raise ValueError(f"'{text}': a port is 1 to {_PORT_MAX}")
    try:
        return Entry(ipaddress.ip_network(name, strict=False), port=port)
    except ValueError:
        pass
    if not _HOST.fullmatch(name) or name.replace(".", "").isdigit():
        raise ValueError(f"'{text}' is neither a network, nor an address, nor the name of a host")
    return Entry(host=name.rstrip("."), port=port)


def _parted(text: str) -> tuple[str, int | None]:
    if (match := _IPV6_WITH_PORT.fullmatch(text)) is not None:
        return match["host"], None if match["port"] is None else int(match["port"])
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name and port.isascii() and port.isdigit():
        return name, int(port)
    return text, None


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system's resolver gives them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Targets:
    """Says which addresses a call may connect to. `allow` and `own` are entries as in the settings. Raises ValueError."""

    def __init__(self, allow: Iterable[str] = (), own: Iterable[str] = (), resolver: Resolve = resolve) -> None:
        self._allowed = [read_entry(text) for text in allow]
        self._own = [read_entry(text) for text in own]
        self._resolve = resolver

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to, in order. Raises TargetRefused if any address of the host is out of bounds, OSError."""
        name = host.lower().rstrip(".")
        found = [_unwrapped(ipaddress.ip_address(text)) for text in await self._resolve(host, port)]
        if not found:
            raise OSError(f"'{host}' has no address")
        for address in found:
            await self._check(name, address, port)
        return [str(address) for address in found]

    async def _check(self, name: str, address: Address, port: int) -> None:
        if await self._is_own(address, port):
            raise TargetRefused(
                f"{_shown(name, address)}, port {port}, is FlowForge's own: nothing allows a call there"
            )
        if address.is_unspecified or address.is_multicast:
            raise TargetRefused(f"{_shown(name, address)} is no address of one host: nothing allows a call there")
        if _is_public(address) or any(entry.covers(name, address, port) for entry in self._allowed):
            return
        raise TargetRefused(
            f"{_shown(name, address)} is not on the public internet; who runs FlowForge may allow it: {SETTING}={address}"
        )

    async def _is_own(self, address: Address, port: int) -> bool:
        for entry in self._own:
            if entry.port != port:
                continue
            if entry.network is not None:
                known = [entry.network.network_address]
            else:
                known = [_unwrapped(ipaddress.ip_address(text)) for text in await self._resolve(entry.host, port)]
            if address in known or (any(_is_this_machine(one) for one in known) and _is_this_machine(address)):
                return True
        return False


def _unwrapped(address: Address) -> Address:
    """What the address leads to: an IPv4 address mapped into IPv6 is that one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER_PUBLIC)


def _is_this_machine(address: Address) -> bool:
    """Whether what is sent there stays here: only an address of this machine can be taken by a socket."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _shown(name: str, address: Address) -> str:
    return f"'{name}'" if name == str(address) else f"'{name}' ({address})"

"""Where calls may go: judged by the addresses that a host has, however it is written."""

import pytest

from infra.calls import TargetRefused, Targets, read_entry

PUBLIC = ["8.8.8.8", "1.1.1.1", "203.0.114.1", "2606:4700::1111", "2a00:1450:4001::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "240.0.0.1", "255.255.255.255", "0.0.0.1", "::1", "::127.0.0.1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12:3456::1",
    "fec0::1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1",
    "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254",
]  # fmt: skip
NEVER = ["0.0.0.0", "::", "224.0.0.1", "239.255.255.250", "ff02::1", "::ffff:0.0.0.0"]


def targets(*answers: str, allow: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> Targets:
    async def resolve(host: str, port: int) -> list[str]:
        return list(answers)

    return Targets(allow, own, resolve)


@pytest.mark.parametrize("address", PUBLIC)
async def test_the_public_internet_may_be_called(address: str):
    assert await targets(address).addresses("example.com", 443) == [address]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_what_is_not_public_is_refused_with_the_setting_that_allows_it(address: str):
    with pytest.raises(TargetRefused, match="FLOWFORGE_WEBHOOK_ALLOW="):
        await targets(address).addresses("example.com", 443)


@pytest.mark.parametrize("address", NEVER)
async def test_what_is_no_address_of_one_host_is_refused_whatever_is_allowed(address: str):
    with pytest.raises(TargetRefused, match="nothing allows"):
        await targets(address, allow=("0.0.0.0/0", "::/0", "example.com")).addresses("example.com", 443)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "LOCALHOST"]
)
async def test_loopback_is_loopback_however_it_is_written(host: str):
    """With the system's own resolver."""
    with pytest.raises(TargetRefused, match=r"127\.0\.0\.1|::1"):
        await Targets().addresses(host, 80)


async def test_one_private_address_among_public_ones_is_enough():
    with pytest.raises(TargetRefused, match=r"'example\.com' \(10\.0\.0\.7\)"):
        await targets("8.8.8.8", "10.0.0.7").addresses("example.com", 443)


async def test_a_mapped_address_is_connected_to_as_what_it_is():
    assert await targets("::ffff:8.8.8.8").addresses("example.com", 443) == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("allow", "host", "address", "port", "is_allowed"),
    [
        ("10.0.0.0/8", "a.internal", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "a.internal", "11.1.2.3", 80, True),  # public anyway
        ("10.0.0.0/8", "a.internal", "192.168.0.1", 80, False),
        ("127.0.0.1", "localhost", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "localhost", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "localhost", "127.0.0.1", 9001, False),
        ("127.0.0.1:9000", "localhost", "127.0.0.2", 9000, False),
        ("[::1]:9000", "localhost", "::1", 9000, True),
        ("::1", "localhost", "::1", 1, True),
        ("hooks.internal", "hooks.internal", "10.0.0.1", 80, True),
        ("hooks.internal", "HOOKS.internal.", "10.0.0.1", 80, True),
        ("hooks.internal", "nohooks.internal", "10.0.0.1", 80, False),
        ("hooks.internal:8443", "hooks.internal", "10.0.0.1", 80, False),
        ("*.internal", "hooks.internal", "10.0.0.1", 80, True),
        ("*.internal", "internal", "10.0.0.1", 80, False),
        ("*.internal", "hooks.internal.example.com", "10.0.0.1", 80, False),
        ("10.0.0.0/8", "a.internal", "::ffff:10.0.0.1", 80, True),
    ],
)
async def test_what_is_allowed_is_a_network_an_address_or_a_host_and_a_port(
    allow: str, host: str, address: str, port: int, is_allowed: bool
):
    asked = targets(address, allow=(allow,))
    if is_allowed:
        assert await asked.addresses(host, port)
    else:
        with pytest.raises(TargetRefused):
            await asked.addresses(host, port)


@pytest.mark.parametrize("own", ["127.0.0.1:5432", "0.0.0.0:5432", "localhost:5432", "[::]:5432"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_own_servers_are_denied_whatever_is_allowed(own: str, address: str):
    async def resolve(host: str, port: int) -> list[str]:
        return [address] if host == "trick.example" else ["127.0.0.1"]

    asked = Targets(("127.0.0.0/8", "::1", "trick.example"), (own,), resolve)
    with pytest.raises(TargetRefused, match="FlowForge's own: nothing allows"):
        await asked.addresses("trick.example", 5432)
    assert await asked.addresses("trick.example", 5433)


async def test_an_own_server_elsewhere_is_known_by_its_addresses():
    async def resolve(host: str, port: int) -> list[str]:
        return {"db.internal": ["10.0.0.5"], "other.internal": ["10.0.0.5"], "third.internal": ["10.0.0.6"]}[host]

    asked = Targets(("10.0.0.0/8",), ("db.internal:5432",), resolve)
    with pytest.raises(TargetRefused, match="own"):
        await asked.addresses("other.internal", 5432)
    assert await asked.addresses("third.internal", 5432) == ["10.0.0.6"]


@pytest.mark.parametrize(
    "text", ["*", "", "10.0.0.0/33", "10.0.0", "a b", "host:0", "host:70000", "*.*.x", "http://x", "1.2.3.4.5"]
)
def test_an_entry_that_makes_no_sense_is_refused(text: str):
    with pytest.raises(ValueError):
        read_entry(text)

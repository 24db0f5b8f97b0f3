"""Free ports are looked for where a server may listen, whatever the system hands to outgoing connections."""

from pathlib import Path

import pytest

from infra.embedded.ports import choices


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

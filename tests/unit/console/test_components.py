"""The console's own tests (Vitest, beside its source), as one of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.console.build import is_good

BUILD = Path(__file__).parents[3] / "services" / "console" / "build.py"
TESTS_S_MAX = 280


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("v18.19.0", False), ("v20.18.3", False), ("v20.19.0", True), ("v21.7.0", False), ("v22.12.0", False),
        ("v22.13.1", True), ("v23.5.0", False), ("v24.0.0", True), ("v26.1.0", True), ("", False), ("v24", True),
    ],
)  # fmt: skip
def test_the_machines_node_is_used_where_it_is_new_enough(version: str, is_taken: bool):
    assert is_good(version) == is_taken


@pytest.mark.timeout(TESTS_S_MAX + 10)
def test_the_components_pass_their_own_tests():
    done = subprocess.run(
        [sys.executable, BUILD, "test"], capture_output=True, text=True, timeout=TESTS_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

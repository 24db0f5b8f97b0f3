"""The console's own tests (Vitest, beside its source), as one of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[3] / "services" / "console" / "build.py"
TESTS_S_MAX = 280


@pytest.mark.timeout(TESTS_S_MAX + 10)
def test_the_components_pass_their_own_tests():
    done = subprocess.run(
        [sys.executable, BUILD, "test"], capture_output=True, text=True, timeout=TESTS_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

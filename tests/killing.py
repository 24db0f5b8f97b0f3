"""Where tests of one service kill it."""

from typing import Any

import pytest


def points(always: str, *others: str) -> list[Any]:
    """Parameters: `always` in every test run, the others in `make test-faults` only."""
    return [always, *(pytest.param(other, marks=pytest.mark.faults) for other in others)]

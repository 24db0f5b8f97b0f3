"""`make demo` as a person meets it: to its end, a second time, interrupted, and with something wrong."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.account import make_traversable
from tests.integration.cli.command import ROOT

DEMO = ROOT / "contracts" / "examples" / "demo.py"
DEMO_S_MAX = 110
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder outside pytest's own, since another account must pass through it."""
    made = Path(tempfile.mkdtemp(prefix="flowforge-demo-test-"))
    make_traversable(made / "any")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def start(home: Path, demo: Path = DEMO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(demo), "--home", str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def processes_of(home: Path) -> list[str]:
    """Commands of whatever carries the home in its environment or command."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            command, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in command + environ:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def held(folder: Path) -> None:
    demo = start(folder / "home")
    told, _ = demo.communicate(timeout=DEMO_S_MAX)
    assert demo.returncode == 0, told
    assert "All expectations held." in told
    assert not re.search(r"^  NOT ", told, re.MULTILINE), told
    assert processes_of(folder) == []


def test_the_demo_holds_what_it_claims(folder: Path):
    held(folder)


@pytest.mark.faults  # half a minute
def test_the_demo_does_so_a_second_time(folder: Path):
    held(folder)
    held(folder)


def test_interrupted_it_stops_everything_and_says_so_in_its_exit_status(folder: Path):
    demo = start(folder / "home")
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("2 "):  # everything is up
            break
    demo.send_signal(signal.SIGINT)
    told, _ = demo.communicate(timeout=DEMO_S_MAX)
    assert demo.returncode == 130, told
    assert processes_of(folder) == []


@pytest.mark.faults  # half a minute
def test_a_workflow_that_computes_something_else_is_found_out(folder: Path):
    examples = folder / "examples"
    shutil.copytree(DEMO.parent, examples, ignore=shutil.ignore_patterns("__pycache__"))
    definition = examples / "csv-report.yaml"
    definition.write_text(
        definition.read_text().replace("statistics.fmean(as_numbers)", "statistics.median(as_numbers)")
    )
    demo = start(folder / "home", examples / "demo.py")
    told, _ = demo.communicate(timeout=DEMO_S_MAX)
    assert demo.returncode == 1, told
    assert "1 of the expectations did not hold." in told
    assert re.search(
        r"NOT 38 groups of figures equal those computed here: .*iowa-electricity\.csv net_generation", told
    )
    assert processes_of(folder) == []

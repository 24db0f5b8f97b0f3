"""The examples on a running FlowForge: registered once, their worker beside it, the command line as a process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.cluster import Cluster
from infra.embedded.process import spawn
from tests.e2e.server import Server
from tests.e2e.stranger import Stranger
from tests.integration.cli.command import COMMAND_S_MAX, ROOT, Ended, Flowforge, environment

EXAMPLES = ROOT / "contracts" / "examples"
STOP_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def flowforge(cluster: Cluster) -> Flowforge:
    """Runs a command in the folder of the examples, or in `cwd`, against the running FlowForge."""

    def run(*words: str, cwd: Path = EXAMPLES, stdin: str = "") -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words],
            input=stdin, capture_output=True, text=True, cwd=cwd, env=environment(cluster.home.folder), check=False,
            timeout=COMMAND_S_MAX,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def examples(cluster: Cluster, flowforge: Flowforge) -> Iterator[Flowforge]:
    """The same, with the examples registered and their worker running."""
    applied = flowforge("apply", "-f", ".")
    assert applied.status == 0, applied.err
    worker = spawn(
        [sys.executable, "-m", "services.cli", "worker", "workers:worker"],
        env=environment(cluster.home.folder),
        log=cluster.home.folder / "worker.log",
        cwd=EXAMPLES,
    )
    yield flowforge
    worker.terminate()
    assert worker.wait(STOP_TIMEOUT_S) == 0


@pytest.fixture(scope="session")
def stranger(cluster: Cluster) -> Iterator[Stranger]:
    """Somebody who has read the public page, and the home of the running FlowForge."""
    with Stranger(cluster.home.folder) as somebody:
        yield somebody


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server that answers with what it was asked, until a test says otherwise."""
    with Server.serving() as answering:
        yield answering

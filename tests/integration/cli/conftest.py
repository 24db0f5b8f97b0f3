"""One running FlowForge for all tests of the command line, and the command line as a process."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.cluster import Cluster
from tests.integration.cli.command import COMMAND_S_MAX, Ended, Flowforge, environment


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The folder of a FlowForge that runs."""
    with tempfile.TemporaryDirectory(prefix="flowforge-cli-") as folder:
        cluster = Cluster(Path(folder) / "home")
        asyncio.run(cluster.start())
        try:
            yield cluster.home.folder
        finally:
            asyncio.run(cluster.stop())


@pytest.fixture
def flowforge(home: Path, tmp_path: Path) -> Flowforge:
    """Runs a command in `tmp_path` against the running FlowForge, with files that it writes there first."""

    def run(*words: str, stdin: str = "", **files: str) -> Ended:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words],
            input=stdin, capture_output=True, text=True, cwd=tmp_path, env=environment(home), check=False,
            timeout=COMMAND_S_MAX,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return run

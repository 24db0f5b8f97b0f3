"""The README's tour, typed as it stands; and what else it claims of this repository."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.embedded.cluster import Cluster
from infra.settings import Settings
from tests.integration.cli.command import COMMAND_S_MAX, ROOT, Flowforge, environment

README = (ROOT / "README.md").read_text()
TOUR = README[README.index("## A five-minute tour") : README.index("## Writing workflows")]
BLOCKS = re.findall(r"```sh\n(.*?)```", TOUR, re.DOTALL)
LISTEN_S = 1.0
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def folder(cluster: Cluster, tmp_path: Path) -> Path:
    """What a reader's folder holds while `flowforge up` runs there."""
    (tmp_path / ".flowforge").symlink_to(cluster.home.folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "contracts").symlink_to(ROOT / "contracts")
    (tmp_path / "reports").mkdir()
    return tmp_path


def typed(block: str, folder: Path, cluster: Cluster) -> subprocess.Popen[str]:
    """A block of the tour as a shell that was told to stop at the first fault."""
    text = ". .venv/bin/activate\n" + block.replace("localhost:8080", cluster.endpoints.http)
    env = {name: value for name, value in environment(cluster.home.folder).items() if name != "FLOWFORGE_HOME"}
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def test_the_tour_can_be_typed_as_it_stands(folder: Path, cluster: Cluster, flowforge: Flowforge):
    assert "flowforge up" in BLOCKS[0]
    told: list[str] = []
    for block in BLOCKS[1:]:
        shell = typed(block, folder, cluster)
        if "subscribe(" in block:
            told.append(overheard(shell, flowforge))
            continue
        said, _ = shell.communicate(timeout=COMMAND_S_MAX)
        assert shell.returncode == 0, f"{block}\n{said}"
        assert "Traceback" not in said
        told.append(said)
    everything = "\n".join(told)
    for shown in (
        '{"greeting":"Hello, Ada!"}',
        '{"squares":[1,4,9,16,25],"greatest":25,"above_ten":2}',
        "line.price * line.count >= 100) was false",
        "NodeCompleted greet",
        '{"text":"HELLO!"}',
        "5 files, 19,150 rows, 37 columns",
        "read models rebuilt",
    ):
        assert shown in everything, everything


def test_the_example_of_job_types_can_be_typed_as_it_stands(folder: Path, cluster: Cluster, flowforge: Flowforge):
    section = README[README.index("### When a job completes") :]
    (definition, commands) = re.findall(r"```(?:yaml|sh)\n(.*?)```", section, re.DOTALL)[:2]
    (folder / "evaluate.yaml").write_text(definition)
    shell = typed(commands, folder, cluster)
    said, _ = shell.communicate(timeout=COMMAND_S_MAX)
    assert shell.returncode == 0, said
    assert "also failed ones" in said
    while "fired" not in flowforge("triggers", "decisions", "evaluate", "TRAIN").out:
        pass  # the event is on disk when it is published, and decided a moment later


def overheard(shell: subprocess.Popen[str], flowforge: Flowforge) -> str:
    """What the listener of the tour printed about runs, which are started until it has heard one to its end."""
    lines: list[str] = []
    listening = threading.Thread(target=listen, args=(shell, lines))
    listening.start()
    try:
        while listening.is_alive():
            assert flowforge("run", "hello").status == 0
            listening.join(LISTEN_S)
    finally:
        os.killpg(shell.pid, signal.SIGINT)
        rest, _ = shell.communicate(timeout=COMMAND_S_MAX)
    assert "Traceback" not in rest
    return "".join(lines)


def listen(shell: subprocess.Popen[str], lines: list[str]) -> None:
    assert shell.stdout is not None
    for line in shell.stdout:
        lines.append(line)
        if "RunCompleted" in line:
            return


def test_every_path_that_it_names_is_there():
    named = set(re.findall(r"\]\(((?!http)[^)]+)\)", README))
    assert len(named) >= 8
    assert [path for path in named if not (ROOT / path).exists()] == []
    table = README[README.index("## Writing workflows") : README.index("Expressions are")]
    examples = set(re.findall(r"`([a-z-]+\.yaml)`", table))
    assert examples == {file.name for file in (ROOT / "contracts" / "examples").glob("*.yaml")}


def test_every_setting_that_it_names_is_one():
    sources = [file for part in ("services", "infra", "contracts/flowforge") for file in (ROOT / part).rglob("*.py")]
    known = {name for file in sources for name in re.findall(r"FLOWFORGE_[A-Z_]+", file.read_text())}
    known |= {f"FLOWFORGE_{name.upper()}" for name in Settings.__struct_fields__}
    named = set(re.findall(r"`(FLOWFORGE_[A-Z_]+)", README))
    assert len(named) >= 10
    assert {name for name in named - known if not name.startswith("FLOWFORGE_TEST_")} == set()


def test_the_questions_about_what_became_of_it_can_be_typed_as_they_stand(
    folder: Path, cluster: Cluster, flowforge: Flowforge
):
    flowforge("apply", "-f", str(ROOT / "contracts" / "examples" / "hello.yaml"))
    flowforge("run", "hello", "--watch")
    section = README[README.index("## What became of it, and why") : README.index("## From Python")]
    commands, program = re.findall(r"```(?:sh|python)\n(.*?)```", section, re.DOTALL)
    shell = typed(f"{commands}\npython - <<'END'\n{program}END\n", folder, cluster)
    said, _ = shell.communicate(timeout=COMMAND_S_MAX)
    assert shell.returncode == 0, said
    assert "execute" in said
    assert "under way" in said
    assert "['hello']" in said

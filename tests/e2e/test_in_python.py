"""A stranger with the Python package: the example, the client without `async` on a whole FlowForge, pictures."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flowforge import Client, Conflict, Invalid, Missing, SyncClient

from infra.embedded.cluster import Cluster
from tests.e2e.conftest import EXAMPLES
from tests.integration.cli.command import ROOT, Flowforge, environment

WAIT_S = 60


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "in_python.py"))


def test_the_example_runs_as_it_stands(cluster: Cluster, tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "in_python.py"), "--draw", str(tmp_path / "run.svg")]
    done = subprocess.run(
        command,
        env=environment(cluster.home.folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "completed {'say': {'text': 'So: 19 letters in 4 words'}}"
    assert "RunCompleted" in done.stdout
    assert (tmp_path / "run.svg").read_text().count("<rect ") == 4


async def test_the_same_client_with_and_without_async(cluster: Cluster, example: dict[str, Any]):
    """Inside a running event loop, as in a notebook."""
    with SyncClient(home=cluster.home.folder) as client:
        saved = client.save_workflow(example["word_count"]())
        run_id = client.execute("word-count", {"text": "a b"}, labels={"by": "hand"}, idempotency_key="in-python")
        assert (
            client.execute("word-count", {"text": "a b"}, labels={"by": "hand"}, idempotency_key="in-python") == run_id
        )
        told = [event["type"] for event in client.follow(run_id)]
        run = client.run(run_id)
    assert (told[0], told[-1], run["status"]) == ("WorkflowTriggered", "RunCompleted", "completed")
    async with Client(home=cluster.home.folder) as again:
        assert [row["run_id"] async for row in again.each(again.runs, label="by=hand", limit=1)] == [run_id]
        workflow = await again.get_workflow("word-count", saved["version"])
        assert (await again.run(run_id)).to_mermaid() == run.to_mermaid()
    assert "classDef completed" in run.to_mermaid()
    assert "-.->|" in workflow.to_mermaid()


def test_what_is_refused_says_what_kind_it_is(cluster: Cluster, example: dict[str, Any]):
    with Client(home=cluster.home.folder) as client:
        client.save_workflow(example["word_count"]())
        with pytest.raises(Conflict, match="word-count"):
            client.create_workflow(example["word_count"]())
        with pytest.raises(Missing):
            client.get_workflow("there-is-none")
        with pytest.raises(Invalid) as refused:
            client.create_workflow({"id": "bad", "name": "Bad", "nodes": [{"id": "a", "type": "jub"}]})
        assert any(each["path"].startswith("$.nodes[0]") for each in refused.value.errors)


def test_the_command_line_draws_workflows_files_and_runs(examples: Flowforge, tmp_path: Path):
    drawn = examples("graph", "hello", "--mermaid")
    assert (drawn.status, drawn.out.splitlines()[0]) == (0, "flowchart LR")
    assert examples("graph", str(EXAMPLES / "hello.yaml")).out == drawn.out
    assert examples("run", "hello", "--watch", "--json").status == 0
    run_id = examples("runs", "--json").json["items"][0]["run_id"]
    file = tmp_path / "run.svg"
    assert examples("graph", str(run_id), "--run", "--svg", str(file)).status == 0
    assert file.read_text().startswith("<svg ")
    assert "there is no workflow nothing-here" in examples("graph", "nothing-here").err
    assert examples("graph", str(EXAMPLES / "hello.yaml"), "--svg", "/nowhere/at/all.svg").status == 1

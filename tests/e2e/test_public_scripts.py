"""Scripts and jobs on a running FlowForge: kept apart from its home, measured, and heard while they run."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from flowforge import Job, Worker

from services.workers import landlock
from tests.e2e.stranger import Stranger, bash, fresh, node_runs, workflow
from tests.integration.workers.executing import serving

WAIT_S_MAX = 20.0


def until_logged(stranger: Stranger, run_id: str, text: str) -> None:
    """Until a line of the run's log is this text."""
    deadline = time.monotonic() + WAIT_S_MAX
    while text not in {line["text"] for line in _lines(stranger, run_id)}:
        assert time.monotonic() < deadline, f"{text!r} was not logged within {WAIT_S_MAX} s"
        time.sleep(0.02)


def _lines(stranger: Stranger, run_id: str) -> list[dict[str, Any]]:
    return stranger.get(f"/api/runs/{run_id}/logs", limit=1000)["items"]


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock: scripts cannot be confined to their files")
def test_a_script_reaches_nothing_of_flowforges_home(stranger: Stranger):
    tries = "; ".join(
        f"cat {stranger.home}/{name} && echo reached"
        for name in ("admin.key", "secrets.key", "endpoints.json", "postgres/PG_VERSION")
    )
    run = stranger.run(
        workflow(bash("a", f"{tries}; ls {stranger.home} && echo reached; touch {stranger.home}/x; true"))
    )
    told = [line["text"] for line in _lines(stranger, run["run_id"])]
    assert "reached" not in told
    assert sum("Permission denied" in line for line in told) == 6
    assert not (stranger.home / "x").exists()


def test_the_run_says_what_kept_a_script_apart_and_what_it_took(stranger: Stranger):
    source = (
        "import time\nb = bytearray(200_000_000)\nt = time.process_time()\nwhile time.process_time() < t + 0.2: pass"
    )
    run = stranger.run(workflow({"id": "a", "type": "script", "language": "python", "source": source}))
    events = {event["type"]: event["data"] for event in stranger.history(run["run_id"])}
    assert {"own_process_group", "resource_limits", "clean_environment"} <= set(events["NodeStarted"]["isolation"])
    usage = events["NodeCompleted"]["usage"]
    assert usage["cpu_ms"] >= 200
    assert usage["peak_memory_bytes"] > 200_000_000
    node = stranger.get(f"/api/runs/{run['run_id']}/nodes/a")
    assert (node["isolation"], node["usage"]) == (events["NodeStarted"]["isolation"], usage)


def test_too_much_memory_fails_the_node_in_words(stranger: Stranger):
    source = "b = bytearray(200_000_000)"
    run = stranger.run(
        workflow({"id": "a", "type": "script", "language": "python", "source": source, "max_memory_mb": 64})
    )
    error = node_runs(run)["a"]["error"]
    assert error["code"] == "NODE_EXECUTION_FAILED"
    assert "at most 64 MB are allowed (max_memory_mb)" in error["message"]


def test_lines_of_a_script_are_there_while_it_runs(stranger: Stranger, tmp_path: Path):
    source = f"echo under way; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo over"
    run_id = stranger.execute(stranger.save(workflow(bash("a", source)))["id"])
    until_logged(stranger, run_id, "under way")
    assert stranger.get(f"/api/runs/{run_id}")["status"] == "running"
    (tmp_path / "go").touch()
    assert stranger.ended(run_id)["status"] == "completed"
    assert [line["text"] for line in _lines(stranger, run_id)] == ["under way", "over"]


async def test_progress_and_lines_of_a_job_are_there_while_it_runs(stranger: Stranger):
    job_type, go_on = fresh("told"), asyncio.Event()
    worker = Worker(nats_url=stranger.endpoints["worker_nats"])

    @worker.job(job_type)
    async def work(job: Job) -> str:
        job.log("half of it")
        await job.progress(0.5, "half way")
        await go_on.wait()
        return "done"

    def seen() -> float:
        until_logged(stranger, run_id, "half of it")
        deadline = time.monotonic() + WAIT_S_MAX
        while not (progress := node_runs(stranger.get(f"/api/runs/{run_id}"))["a"]["progress"]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return progress

    async with serving(worker):
        run_id = await asyncio.to_thread(_begun, stranger, workflow({"id": "a", "type": "job", "job_type": job_type}))
        assert await asyncio.to_thread(seen) == 0.5
        go_on.set()
        ended = await asyncio.to_thread(stranger.ended, run_id)
    assert node_runs(ended)["a"]["output"] == "done"


def _begun(stranger: Stranger, definition: dict[str, Any]) -> str:
    return stranger.execute(stranger.save(definition)["id"])


def test_a_container_without_an_engine_fails_its_node_and_says_what_is_missing(stranger: Stranger):
    if any(map(shutil.which, ("docker", "podman"))):
        pytest.skip("a container engine is installed here")
    script = {**bash("a", "true"), "isolation": "container", "image": "alpine"}
    run = stranger.run(workflow(script))
    assert run["status"] == "failed"
    assert "neither docker nor podman" in run["error"]["message"]

"""The command line and the Python package as the public page promises them: each command, --json, exit status, wrong words."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flowforge import Client

from infra.embedded.process import spawn
from tests.e2e.stranger import ENDED, Object, Stranger, bash, edge, fresh, transform, workflow
from tests.integration.cli.command import environment

STOP_S_MAX = 20
JOBS = """
import asyncio
from flowforge import Job, Worker

worker = Worker(queue="default")


@worker.job("KIND-double")
async def double(job: Job) -> dict:
    return {"n": job.input["n"] * 2, "payload": job.payload}


@worker.job("KIND-fail")
async def fail(job: Job) -> dict:
    raise RuntimeError("the disk is full")


@worker.job("KIND-slow")
async def slow(job: Job) -> dict:
    await asyncio.sleep(60)
    return {}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "definition.json"


def written(file: Path, definition: Object) -> str:
    file.write_text(json.dumps(definition))
    return str(file)


# --- definitions ------------------------------------------------------------------------------------------------------


def test_apply_creates_then_updates_then_changes_nothing(stranger: Stranger, file: Path):
    definition = workflow(transform("a"))
    first = stranger.cli("apply", "-f", written(file, definition), "--json")
    assert first.status == 0, first.err
    assert definition["id"] in first.out
    changed = stranger.cli("apply", "-f", written(file, definition | {"description": "new"}), "--json")
    assert changed.status == 0, changed.err
    assert stranger.get(f"/api/workflows/{definition['id']}")["version"] == 2
    assert stranger.cli("apply", "-f", str(file)).status == 0
    assert stranger.get(f"/api/workflows/{definition['id']}")["version"] == 2


def test_apply_and_validate_of_a_mistake_say_where_and_how_to_mend(stranger: Stranger, tmp_path: Path):
    file = tmp_path / "mistake.yaml"
    file.write_text(
        f"id: {fresh('m')}\nname: Mistake\nnodes:\n  - {{id: a, type: data_transform, expresions: {{x: '1'}}}}\n"
    )
    for command in (("apply", "-f"), ("validate",)):
        ended = stranger.cli(*command, str(file))
        told = ended.out + ended.err
        assert ended.status != 0
        assert "expresions" in told
        assert "expressions" in told, "the right word is suggested"
        assert "Traceback" not in told
        as_json = stranger.cli(*command, str(file), "--json")
        assert as_json.status != 0
        assert json.loads(as_json.out or as_json.err)
    file.write_text("a: [1, 2")
    ended = stranger.cli("validate", str(file))
    assert ended.status != 0
    assert "mistake.yaml" in ended.out + ended.err


def test_validate_of_a_good_file_is_0_and_saves_nothing(stranger: Stranger, file: Path):
    definition = workflow(transform("a"))
    ended = stranger.cli("validate", written(file, definition))
    assert ended.status == 0, ended.err
    assert stranger.http.get(f"/api/workflows/{definition['id']}").status_code == 404


# --- runs -------------------------------------------------------------------------------------------------------------


def test_run_answers_its_id_and_with_watch_its_end(stranger: Stranger):
    definition = workflow(transform("a", expressions={"n": "${input.n}"}), output_mapping={"n": "${nodes.a.output.n}"})
    stranger.save(definition)
    started = stranger.cli("run", definition["id"], "--input", '{"n": 1}', "--json")
    assert started.status == 0, started.err
    run = stranger.ended(started.json["run_id"])
    assert run["output_data"] == {"n": 1}
    watched = stranger.cli("run", definition["id"], "--input", '{"n": 2}', "--watch")
    assert watched.status == 0, watched.err
    assert "a" in watched.out
    assert "completed" in watched.out.lower()
    lines = stranger.cli("run", definition["id"], "--input", '{"n": 3}', "--watch", "--json").lines
    assert lines[-1]["type"] in ENDED
    again = stranger.cli("watch", run["run_id"], "--json")
    assert (again.status, again.lines[-1]["type"]) == (0, "RunCompleted")


def test_run_watch_exits_by_the_end_of_the_run(stranger: Stranger):
    definition = workflow(bash("a", "echo no luck; exit 3"), transform("b"), edges=[edge("a", "b")])
    stranger.save(definition)
    ended = stranger.cli("run", definition["id"], "--watch")
    assert ended.status not in {0, 2}
    assert "a" in ended.out + ended.err
    assert "failed" in (ended.out + ended.err).lower()
    assert stranger.cli("run", definition["id"]).status == 0


def test_runs_are_listed(stranger: Stranger):
    definition = workflow(transform("a"))
    run = stranger.run(definition)
    ended = stranger.cli("runs", "--workflow", definition["id"], "--json")
    assert ended.status == 0
    assert run["run_id"] in ended.out
    assert stranger.cli("runs").status == 0


def test_events_are_published(stranger: Stranger):
    kind = fresh("kind")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind}}
    slug = stranger.save(workflow(transform("a"), triggers=[trigger]))["id"]
    ended = stranger.cli("events", "publish", kind, "--data", '{"n": 1}', "--json")
    assert ended.status == 0, ended.err
    assert ended.json
    while not stranger.get("/api/runs", workflow_id=slug)["items"]:
        pass


# --- the system -------------------------------------------------------------------------------------------------------


def test_verify_rebuild_and_doctor_tell_the_truth(stranger: Stranger):
    stranger.run(workflow(transform("a")))
    for command in ("verify", "doctor", "rebuild", "verify"):
        ended = stranger.cli(command, "--json")
        assert ended.status == 0, (command, ended.out, ended.err)
        assert ended.lines
        assert stranger.cli(command).status == 0


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"], ["run"], ["run", "nobody-here"], ["run", "nobody-here", "--input", "{"], ["watch", "not-a-uuid"],
        ["watch", "01890000-0000-7000-8000-000000000000"], ["apply", "-f", "/nowhere.yaml"], ["validate", "/nowhere.yaml"],
        ["runs", "--status", "sleeping"], ["events", "publish"], ["events", "publish", "x", "--data", "{"],
        ["worker", "nowhere:worker"], ["worker", "json:worker"], ["worker", "json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_told_and_exit_with_an_error(stranger: Stranger, words: list[str]):
    ended = stranger.cli(*words)
    assert ended.status != 0
    assert ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err


def test_no_server_is_told_with_the_next_step(stranger: Stranger, tmp_path: Path):
    for command in (["runs"], ["doctor"], ["run", "x"]):
        ended = stranger.cli(*command, "--home", str(tmp_path))
        assert ended.status != 0
        assert "flowforge up" in ended.out + ended.err
        assert "Traceback" not in ended.out + ended.err


def test_a_second_up_is_refused_clearly(stranger: Stranger):
    ended = stranger.cli("up")
    assert ended.status not in {0, 2}
    assert "already" in (ended.out + ended.err).lower()
    assert stranger.get("/api/runs", limit=1)


# --- the Python package -----------------------------------------------------------------------------------------------


@pytest.fixture
def kind(stranger: Stranger, tmp_path: Path) -> Iterator[str]:
    """The first half of the job types of a worker that the command line runs."""
    name = fresh("kind")
    (tmp_path / "jobs.py").write_text(JOBS.replace("KIND", name))
    worker = spawn(
        [sys.executable, "-m", "services.cli", "worker", "jobs:worker"],
        env=environment(stranger.home), log=tmp_path / "worker.log", cwd=tmp_path,
    )  # fmt: skip
    yield name
    worker.terminate()
    assert worker.wait(STOP_S_MAX) == 0, (tmp_path / "worker.log").read_text()


def test_a_worker_serves_job_types(stranger: Stranger, kind: str):
    definition = workflow(
        {"id": "a", "type": "job", "job_type": f"{kind}-double", "payload": {"k": "${input.n}"}},
        {"id": "b", "type": "job", "job_type": f"{kind}-double"},
        edges=[edge("a", "b")],
        output_mapping={"n": "${nodes.b.output.n}", "p": "${nodes.a.output.payload.k}"},
    )
    assert stranger.run(definition, input_data={"n": 3})["output_data"] == {"n": 12, "p": 3}


def test_a_handler_that_raises_fails_its_node_in_words(stranger: Stranger, kind: str):
    run = stranger.run(workflow({"id": "a", "type": "job", "job_type": f"{kind}-fail"}))
    assert run["status"] == "failed"
    assert "the disk is full" in run["node_runs"][0]["error"]["message"]


def test_a_job_is_cancelled_in_its_handler(stranger: Stranger, kind: str):
    slug = stranger.save(workflow({"id": "a", "type": "job", "job_type": f"{kind}-slow"}))["id"]
    run_id = stranger.execute(slug)
    next(message for message in stranger.follow(run_id) if message.event == "NodeStarted")
    stranger.send("POST", f"/api/runs/{run_id}/cancel")
    assert stranger.ended(run_id)["status"] == "cancelled"


async def test_a_client_publishes_follows_and_asks(stranger: Stranger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWFORGE_HOME", str(stranger.home))
    definition = workflow(transform("a"))
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    async with Client() as client:
        types = [event["type"] async for event in client.follow(run_id)]
    assert types[0] == "WorkflowTriggered"
    assert types[-1] == "RunCompleted"

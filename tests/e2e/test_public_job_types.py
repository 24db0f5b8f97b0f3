"""Job-type triggers on the running system: jobs of runs and of external systems start workflows, once per job."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from infra.embedded.process import spawn
from tests.e2e.stranger import Object, Stranger, fresh, node_runs, problem, transform, workflow
from tests.integration.cli.command import environment

TYPES = ["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"]
STOP_S_MAX = 30
TRAINERS = '''
from flowforge import Job, JobError, Worker

worker = Worker(queue="QUEUE")


@worker.job("TRAIN")
async def train(job: Job) -> dict:
    """Fails where its input says so, and in any case at a first attempt that is to fail."""
    if job.input.get("fail") or job.attempt <= job.input.get("failures", 0):
        raise JobError("NODE_EXECUTION_FAILED", "no convergence")
    return {"f1": 0.9, "attempt": job.attempt}
'''


@pytest.fixture(scope="module")
def queue(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A queue on which a worker serves TRAIN."""
    name, folder = fresh("queue"), tmp_path_factory.mktemp("trainers")
    (folder / "trainers.py").write_text(TRAINERS.replace("QUEUE", name))
    worker = spawn(
        [sys.executable, "-m", "services.cli", "worker", "trainers:worker"],
        env=environment(stranger.home), log=folder / "worker.log", cwd=folder,
    )  # fmt: skip
    yield name
    worker.terminate()
    assert worker.wait(STOP_S_MAX) == 0, (folder / "worker.log").read_text()


def six(*enabled: str, **options: Any) -> list[Object]:
    return [
        {"trigger_type": name, "is_enabled": name in enabled, **(options if name in enabled else {})} for name in TYPES
    ]


def training(experiment: str | None, queue: str, **fields: Any) -> Object:
    """A workflow whose one node is a job of type TRAIN."""
    node = {"id": "fit", "name": "Nightly fit", "type": "job", "job_type": "TRAIN", "queue": queue}
    return workflow({**node, **fields.pop("node", {})}, experiment_id=experiment, **fields)


def watching(experiment: str | None, *enabled: str, **fields: Any) -> Object:
    """A workflow that such jobs start."""
    options = fields.pop("options", {})
    node = transform("a", expressions={"input": "${input}"})
    return workflow(node, experiment_id=experiment, trigger_configs=six(*enabled, **options), **fields)


def decisions(stranger: Stranger, slug: str, trigger: str = "train", **filters: Any) -> list[Object]:
    return list(stranger.all(f"/api/workflows/{slug}/triggers/{trigger}/decisions", **filters))


def decided(stranger: Stranger, slug: str, count: int = 1, **filters: Any) -> list[Object]:
    """So many decisions, oldest first, once they are there; the test's own timeout ends the wait."""
    while len(found := decisions(stranger, slug, **filters)) < count:
        pass
    assert len(found) == count, found
    return found[::-1]


def report(stranger: Stranger, experiment: str | None, event_id: str | None = None, **data: Any) -> Object:
    """An external system tells of a job that completed; answers the event."""
    told = {"job_id": fresh("job"), "job_type": "TRAIN", "experiment_id": experiment, "status": "COMPLETE", "output": 1}
    event = {
        "specversion": "1.0", "id": event_id or fresh("event"), "source": "/trainer", "type": "JobCompleted",
        "data": {**told, **data},
    }  # fmt: skip
    answer = stranger.send("POST", "/api/events", event)
    assert answer.status_code == 202, answer.text
    return event


def test_a_job_of_a_run_starts_the_workflow_that_watches_its_experiment(stranger: Stranger, queue: str):
    experiment = fresh("churn")
    watcher = stranger.save(watching(experiment, "TRAIN"))["id"]
    elsewhere = stranger.save(watching(fresh("fraud"), "TRAIN"))["id"]
    other_type = stranger.save(watching(experiment, "EVAL"))["id"]
    trained = stranger.run(training(experiment, queue), input_data={"failures": 0})
    [decision] = decided(stranger, watcher)
    assert (decision["decision"], decision["cause"]["type"]) == ("fired", "JobEnded")
    run = stranger.ended(decision["run_id"])
    assert (run["status"], run["trigger"]) == ("completed", {"type": "TRAIN", "id": "train"})
    job_id = node_runs(trained)["fit"]["job_id"]
    assert run["cause"]["id"] == decision["cause"]["id"] == job_id
    given = run["input_data"]
    assert (given["job_id"], given["run_id"], given["node_id"]) == (job_id, trained["run_id"], "fit")
    assert (given["job_type"], given["status"], given["experiment_id"]) == ("TRAIN", "COMPLETE", experiment)
    assert given["output"] == {"f1": 0.9, "attempt": 1}
    assert [item["run_id"] for item in stranger.all("/api/runs", trigger_type="TRAIN", workflow_id=watcher)] == [
        run["run_id"]
    ]
    assert decisions(stranger, watcher, "TRAIN") == [decision]
    assert decisions(stranger, elsewhere) == decisions(stranger, other_type) == []
    assert stranger.get(f"/api/workflows/{watcher}/triggers/TRAIN/stats")["decisions"] == {"fired": 1}
    told = [event for event in stranger.history(trained["run_id"]) if event["type"] == "JobEnded"]
    assert [event["data"]["status"] for event in told] == ["COMPLETE"]


def test_one_job_starts_a_workflow_once_by_whatever_path_it_is_told(stranger: Stranger, queue: str):
    experiment = fresh("churn")
    watcher = stranger.save(watching(experiment, "TRAIN"))["id"]
    trained = stranger.run(training(experiment, queue), input_data={})
    [fired] = decided(stranger, watcher)
    job_id = node_runs(trained)["fit"]["job_id"]
    again = report(stranger, experiment, job_id=job_id)
    report(stranger, experiment, again["id"], job_id=job_id)  # the same event is the same cause
    report(stranger, experiment, job_id=job_id.upper())
    first, second, third = decided(stranger, watcher, 3)
    assert first == fired
    assert [(item["decision"], item["reason"]) for item in (second, third)] == [("suppressed", "duplicate")] * 2
    assert second["cause"]["id"] == again["id"]
    assert len(list(stranger.all("/api/runs", workflow_id=watcher))) == 1


def test_an_external_job_starts_each_watcher_once_and_one_that_cannot_start_keeps_no_other(stranger: Stranger):
    experiment = fresh("churn")
    wants = {"type": "object", "required": ["model"]}
    cannot = stranger.save(watching(experiment, "TRAIN", input_schema=wants))["id"]
    draft = stranger.save(watching(experiment, "TRAIN", status="draft"))["id"]
    can = stranger.save(watching(experiment, "TRAIN"))["id"]
    event = report(stranger, experiment)
    [fired] = decided(stranger, can, cause=event["id"])
    assert fired["decision"] == "fired"
    assert stranger.ended(fired["run_id"])["input_data"] == {**event["data"], "source": "/trainer"}
    [failed], [inactive] = decided(stranger, cannot), decided(stranger, draft)
    assert (failed["decision"], "model" in failed["reason"]) == ("failed", True)
    assert (inactive["decision"], inactive["reason"]) == ("suppressed", "workflow_inactive")
    report(stranger, experiment, job_id=event["data"]["job_id"])
    assert [item["decision"] for item in decided(stranger, can, 2)] == ["fired", "suppressed"]


def test_a_workflow_never_starts_itself_directly_through_another_or_by_an_external_report(
    stranger: Stranger, queue: str
):
    experiment = fresh("churn")
    one, two = [stranger.save(training(experiment, queue, trigger_configs=six("TRAIN")))["id"] for _ in range(2)]
    run = stranger.ended(stranger.execute(one, input_data={}))
    [own] = decided(stranger, one, decision="suppressed", cause=node_runs(run)["fit"]["job_id"])
    assert own["reason"] == "self"
    [fired] = decided(stranger, two, decision="fired")
    second = stranger.ended(fired["run_id"])
    [through] = decided(stranger, one, decision="suppressed", cause=node_runs(second)["fit"]["job_id"])
    assert through["reason"] == "self"
    event = report(stranger, experiment, job_id=node_runs(run)["fit"]["job_id"])
    [told] = decided(stranger, one, cause=event["id"])
    assert (told["decision"], told["reason"]) == ("suppressed", "self")
    assert len(list(stranger.all("/api/runs", workflow_id=one))) == 1
    assert len(list(stranger.all("/api/runs", workflow_id=two))) == 1


def test_a_job_that_is_tried_again_counts_when_it_ends(stranger: Stranger, queue: str):
    experiment = fresh("churn")
    watcher = stranger.save(watching(experiment, "TRAIN"))["id"]
    failures = stranger.save(watching(experiment, "TRAIN", options={"on_failure": True, "job_name": "Nightly *"}))["id"]
    policy = {"retry_policy": {"max_attempts": 2, "delay_ms": 1}}
    stranger.run(training(experiment, queue, node=policy), input_data={"failures": 1})
    [fired] = decided(stranger, watcher)
    assert stranger.ended(fired["run_id"])["input_data"]["output"]["attempt"] == 2
    stranger.run(training(experiment, queue), input_data={"fail": True})
    assert [item["decision"] for item in decided(stranger, failures, 2)] == ["fired", "fired"]
    assert [item["decision"] for item in decided(stranger, watcher, 2)] == ["fired", "not_matched"]


def test_they_are_in_force_from_the_moment_a_put_is_answered(stranger: Stranger):
    experiment = fresh("churn")
    slug = stranger.save(workflow(transform("a"), experiment_id=experiment))["id"]
    assert stranger.get(f"/api/workflows/{slug}")["trigger_configs"] == six()
    for turn in range(3):
        for enabled in (["TRAIN"], []):
            answer = stranger.send("PUT", f"/api/workflows/{slug}/trigger_configs", {"configs": six(*enabled)})
            assert answer.status_code == 200, answer.text
            assert answer.json()["trigger_configs"] == six(*enabled)
            report(stranger, experiment)
        assert len(list(stranger.all("/api/runs", workflow_id=slug))) == turn + 1
    assert len(decided(stranger, slug, 3)) == 3
    event = report(stranger, experiment)
    [why] = decided(stranger, slug, cause=event["id"])
    assert (why["decision"], why["reason"], why["computed"]) == ("suppressed", "disabled", True)


def test_what_is_wrong_with_a_put_is_told_path_by_path(stranger: Stranger):
    slug = stranger.save(workflow(transform("a")))["id"]
    configs = [*six()[1:], {"trigger_type": "EVAL", "is_enabled": "true"}, {"trigger_type": "TEST", "is_enabled": True}]
    told = problem(stranger.send("PUT", f"/api/workflows/{slug}/trigger_configs", {"configs": configs}), 422)
    assert [(error["path"], error["type"]) for error in told["errors"]] == [
        ("$.configs[5].is_enabled", "WRONG_TYPE"),
        ("$.configs[6].trigger_type", "UNKNOWN_TYPE"),
        ("$.configs[5].trigger_type", "DUPLICATE_TYPE"),
        ("$.configs", "MISSING_TYPE"),
    ]
    assert stranger.get(f"/api/workflows/{slug}")["version"] == 1
    problem(stranger.send("PUT", f"/api/workflows/{fresh('none')}/trigger_configs", {"configs": six()}), 404)


def test_the_command_line_shows_and_sets_them(stranger: Stranger):
    slug = stranger.save(workflow(transform("a"), experiment_id=fresh("churn")))["id"]
    shown = stranger.cli("triggers", "configs", slug)
    assert shown.status == 0, shown.err
    assert all(name in shown.out for name in TYPES)
    changed = stranger.cli(
        "triggers", "configs", slug, "--enable", "TRAIN", "--enable", "EVAL", "--job-name", "nightly-*", "--json"
    )
    assert changed.status == 0, changed.err
    assert json.loads(changed.out)["trigger_configs"] == six("TRAIN", "EVAL", job_name="nightly-*")
    changed = stranger.cli(
        "triggers", "configs", slug, "--disable", "EVAL", "--enable", "TRAIN", "--job-name", "", "--json"
    )
    kept = json.loads(changed.out)["trigger_configs"]
    assert kept[0] == {"trigger_type": "TRAIN", "is_enabled": True}
    assert kept[4] == {"trigger_type": "EVAL", "is_enabled": False, "job_name": "nightly-*"}
    assert stranger.cli("triggers", "configs", slug, "--enable", "TRIAN").status == 2
    assert stranger.cli("triggers", "configs", slug, "--on-failure").status == 2
    assert stranger.cli("triggers", "configs", fresh("none")).status == 1

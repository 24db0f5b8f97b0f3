"""What keeps a system for years, from outside: archives and back, a backup and a new home, on a FlowForge of its own."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from infra.embedded.account import make_traversable
from infra.embedded.cluster import Cluster
from tests.e2e.stranger import ENDED, Object, Stranger, bash, problem, statuses, transform, workflow


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the account of Postgres may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="flowforge-years-"))
    make_traversable(folder / "any")
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def old(place: Path) -> AsyncIterator[Stranger]:
    """Everything is old here: whoever archives gets all that has ended."""
    async with Cluster(place / "old") as cluster:
        with Stranger(cluster.home.folder) as somebody:
            yield somebody


def parent_and_child(stranger: Stranger) -> Object:
    """A run with a child, a loop and an output too large for an event."""
    large = "import json,os;json.dump('x' * 300_000, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))"
    child = stranger.save(workflow(bash("large", f'python3 -c "{large}"')))
    loop = {
        "id": "loop",
        "type": "loop",
        "config": {"loop_type": "count", "count": 3, "max_parallel": 1, "body": {"nodes": [transform("step")]}},
    }
    ask = {"id": "ask", "type": "workflow", "config": {"workflow_id": child["id"]}}
    return stranger.run(workflow(loop, ask), input_data={"n": 1})


def test_archived_runs_are_read_refused_and_restored(old: Stranger):
    run = parent_and_child(old)
    run_id, name = run["run_id"], "runs-000001.jsonl.gz"
    assert run["status"] == "completed", run
    [child] = [one for one in old.get("/api/runs")["items"] if one["parent_run_id"] == run_id]
    paths = [
        f"/api/runs/{run_id}", f"/api/runs/{run_id}/nodes/loop", f"/api/runs/{run_id}/nodes/step",
        f"/api/runs/{run_id}/nodes/step?instance=1", f"/api/runs/{run_id}/events", f"/api/runs/{run_id}/timeline",
        f"/api/runs/{child['run_id']}", f"/api/blobs/{child['output_data']['$blob']}",
    ]  # fmt: skip
    before = {path: old.get(path) for path in paths}
    middle = old.history(run_id)[4]["position"]
    then = old.get(f"/api/runs/{run_id}/state", at=middle)

    dry = old.cli("archive", "--older-than", "0s", "--dry-run", "--json")
    assert dry.status == 0, dry.err
    assert dry.json["runs_count"] >= 2  # with what other tests have run here
    assert old.cli("archive", "--older-than", "0s", "--json").json["files"] == [name]
    old.get("/api/stats", after=old.get("/api/stats")["log_position"])
    listed = old.get("/api/archives")["items"]
    assert [(one["archive"], one["restored_at"]) for one in listed] == [(name, None)]
    assert listed[0]["runs_count"] >= dry.json["runs_count"]
    assert old.cli("verify").status == 0
    for path in paths:
        found = old.get(path)
        if isinstance(found, dict) and found.get("archive"):
            assert found.pop("archive") == name
            before[path].pop("archive")
        assert found == before[path], path
    assert old.get(f"/api/runs/{run_id}/state", at=middle) == then
    heard = old.follow(run_id, last_event_id=middle)
    assert next(heard).id > middle

    refused = problem(old.send("POST", f"/api/runs/{run_id}/retry", {"from": "node", "node_ids": ["ask"]}), 409)
    assert f"flowforge restore {name}" in refused["detail"]
    forked = old.send("POST", f"/api/runs/{run_id}/fork", {"at": run["position"], "changes": {}})
    assert forked.status_code == 202, forked.text
    assert statuses(old.ended(forked.json()["run_id"])) == {"loop": "completed", "ask": "completed"}

    assert old.cli("restore", name).status == 0
    again = old.cli("restore", name)
    assert (again.status, "was restored already" in again.err) == (1, True)
    assert old.cli("verify").status == 0
    retried = old.send("POST", f"/api/runs/{run_id}/retry", {"from": "node", "node_ids": ["ask"]})
    assert retried.status_code == 202, retried.text
    since = retried.json()["position"]
    assert next(told for told in old.follow(run_id, last_event_id=since) if told.event in ENDED).event == "RunCompleted"


@pytest.mark.faults  # half a minute: a home of its own is started twice
@pytest.mark.asyncio(loop_scope="module")
async def test_a_backup_becomes_a_home_where_everything_goes_on(old: Stranger, place: Path):
    slow = workflow(bash("slow", "sleep 2; echo 7 > $FLOWFORGE_OUTPUT"))
    old.save(slow)
    under_way = old.execute(slow["id"])
    old.get(f"/api/runs/{under_way}")
    file = place / "it.backup"
    done = old.cli("backup", str(file), "--json")
    assert done.status == 0, done.err
    assert old.cli("backup", "--check", str(file)).status == 0
    refused = old.cli("restore", "--from", str(file))
    assert (refused.status, "is not empty" in refused.err) == (1, True)

    new = place / "new"
    made = old.cli("--home", str(new), "restore", "--from", str(file), "--json")
    assert made.status == 0, made.err
    async with Cluster(new) as cluster:
        with Stranger(cluster.home.folder) as there:
            assert there.ended(under_way)["status"] == "completed"
            assert {run["run_id"] for run in there.get("/api/runs")["items"]} <= {
                run["run_id"] for run in old.get("/api/runs")["items"]
            }
            cursor = old.get("/api/runs", limit=1)["next_cursor"]
            problem(there.send("GET", f"/api/runs?limit=1&cursor={cursor}"), 400)
            assert there.run(workflow(transform("a")))["status"] == "completed"
            assert there.cli("verify").status == 0

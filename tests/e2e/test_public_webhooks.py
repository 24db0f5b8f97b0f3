"""Webhook triggers of a running FlowForge: the README's example, what a reader sees, and that no secret lies anywhere."""

import base64
import json
import re
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from infra.embedded.cluster import Cluster
from tests.e2e.lying import owner_of, places_of
from tests.e2e.stranger import Object, Stranger, fresh, problem, transform, workflow
from tests.e2e.test_readme import README, typed
from tests.integration.cli.command import COMMAND_S_MAX


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def hooked(secret: str, trigger: Object | None = None, **config: Any) -> Object:
    """A workflow with one webhook trigger `hook`."""
    return workflow(
        transform("a", expressions={"n": "${event.data.n}", "source": "${event.source}"}),
        triggers=[{"id": "hook", "type": "webhook", "config": {"secret": secret, **config}, **(trigger or {})}],
    )


def deliver(
    stranger: Stranger, slug: str, data: Any, secret: str, name: str | None = None, trigger: str = "hook"
) -> httpx.Response:
    """A delivery of somebody who has no key, but perhaps the secret."""
    body = json.dumps(data)
    name, now = name or fresh("msg"), datetime.now(UTC)
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body),
        "Content-Type": "application/json",
    }
    with stranger.client() as somebody:
        answer = somebody.post(f"/api/webhooks/{slug}/{trigger}", content=body, headers=headers)
    stranger.notice(answer)
    return answer


def decisions(stranger: Stranger, slug: str) -> list[Object]:
    return list(stranger.all(f"/api/workflows/{slug}/triggers/hook/decisions"))


def test_a_delivery_starts_a_run_that_shows_what_came(stranger: Stranger):
    secret = new_secret()
    slug = stranger.save(hooked(secret))["id"]
    told = deliver(stranger, slug, {"n": 7}, secret)
    assert told.status_code == 202, told.text
    [decision] = decisions(stranger, slug)
    assert (decision["decision"], decision["cause"]["event_id"]) == ("fired", told.json()["event_id"])
    run = stranger.ended(decision["run_id"])
    assert (run["trigger"], run["input_data"]) == ({"type": "webhook", "id": "hook"}, {"n": 7})
    assert run["node_runs"][0]["output"] == {"n": 7, "source": told.json()["source"]}
    events = list(stranger.all(f"/api/runs/{run['run_id']}/events"))
    assert events[0]["correlation_id"] == told.json()["event_id"]


def test_each_answer_is_on_record_and_each_rejection_counted(stranger: Stranger):
    secret = new_secret()
    slug = stranger.save(hooked(secret, filter="event.data.n > 1"))["id"]
    for n in (1, 2):
        assert deliver(stranger, slug, {"n": n}, secret).status_code == 202
    told = problem(deliver(stranger, slug, {"n": 3}, new_secret()), 401)
    assert told == problem(deliver(stranger, slug, {"n": 3}, secret, trigger="none"), 401)
    assert told == problem(deliver(stranger, fresh("none"), {"n": 3}, secret), 401)
    assert sorted(one["decision"] for one in decisions(stranger, slug)) == ["fired", "not_matched"]
    stats_path = f"/api/workflows/{slug}/triggers/hook/stats"
    while not (stats := stranger.get(stats_path))["rejected"]:
        time.sleep(0.05)
    assert stats["rejected"] == {"signature": 1}
    assert (stats["total"], stats["decisions"]) == (2, {"fired": 1, "not_matched": 1})
    what_if = stranger.http.post(
        "/api/triggers/what-if",
        json={
            "trigger": {"id": "hook", "type": "webhook", "config": {"filter": "event.data.n > 0"}},
            "workflow_id": slug,
        },
    ).json()
    assert (what_if["evaluated"], what_if["would_fire"], what_if["did_fire"]) == (2, 2, 1)


def test_no_read_shows_a_secret_and_what_was_read_can_be_saved(stranger: Stranger):
    secret = new_secret()
    slug = stranger.save(hooked(secret))["id"]
    path = f"/api/workflows/{slug}"
    read = stranger.get(path)
    assert stranger.send("PUT", path, read | {"description": "another"}).status_code == 200
    assert stranger.send("POST", f"{path}/rollback", {"version": 1}).status_code == 200
    shown = [
        stranger.get(path), stranger.get(f"{path}/versions"), stranger.get(f"{path}/triggers"),
        stranger.get(f"{path}/diff", **{"from": 1, "to": 2}), stranger.get("/api/audit"),
    ]  # fmt: skip
    assert secret not in json.dumps(shown)
    [trigger] = shown[2]["items"]
    assert list(trigger["config"]) == ["secret_refs"]
    assert deliver(stranger, slug, {"n": 1}, secret).status_code == 202
    assert secret not in stranger.cli("triggers", "decisions", slug, "hook", "--json").out


def test_the_example_of_the_readme_can_be_typed_as_it_stands(cluster: Cluster, tmp_path: Path):
    (tmp_path / ".flowforge").symlink_to(cluster.home.folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    part = README[README.index("### By a webhook") :]
    [block, *_] = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    shell = typed(block, tmp_path, cluster)
    said, _ = shell.communicate(timeout=COMMAND_S_MAX)
    assert shell.returncode == 0, said
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [answer.get("duplicate") for answer in answers] == [False, True, None]
    assert answers[2]["status"] == 401
    assert "fired" in said


@pytest.mark.timeout(240)
async def test_a_secret_lies_nowhere(stranger: Stranger, cluster: Cluster):
    """Every file of the installation, and every row of the database as its owner sees it."""
    canary = new_secret()
    definition = hooked(canary)
    slug = stranger.save(definition)["id"]
    assert deliver(stranger, slug, {"n": 1}, canary).status_code == 202
    assert deliver(stranger, slug, {"n": 1}, new_secret()).status_code == 401
    trigger = f"/api/workflows/{slug}/triggers/hook"
    assert stranger.send("PATCH", trigger, {"config": {"secret": [canary], "filter": "nonsense ("}}).status_code == 422
    assert stranger.send("PATCH", trigger, {"config": {"secret": [canary, new_secret()]}}).status_code == 200
    bad = {**definition, "id": fresh("bad"), "nodes": [{"id": "a", "type": "nonsense"}]}
    assert stranger.send("POST", "/api/workflows", bad).status_code == 422
    assert stranger.send("POST", "/api/workflows/validate", bad).status_code == 200
    body = canary.removeprefix("whsec_")
    forms = [form.encode() for form in (body, base64.b64decode(body).hex(), base64.b64encode(canary.encode()).decode())]
    async with owner_of(cluster) as owner:
        owned = "select count(*) from secrets.sealed where owner = $1"
        assert await owner.fetchval(owned, f"webhooks/{slug}/hook") == 2
    assert await places_of(cluster, forms, in_files=[base64.b64decode(body)]) == []

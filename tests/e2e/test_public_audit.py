"""Every write leaves who did it, what and when; a new route of the gateway has to be added here."""

import json
from typing import Any

import pytest

from infra.settings import Settings
from services.gateway.api import create_app
from tests.e2e.stranger import Object, Stranger, fresh, transform, workflow

WORKFLOW, TRIGGER, RUN, NODE, SUBSCRIPTION, USER = (
    "/api/workflows/{w}",
    "/api/workflows/{w}/triggers/{t}",
    "/api/runs/{r}",
    "/api/runs/{r}/nodes/{n}",
    "/api/subscriptions/{x}",
    "/api/users/{u}",
)
ACTIONS = {
    ("POST", "/api/workflows"): "create_workflow", ("PUT", WORKFLOW): "update_workflow",
    ("DELETE", WORKFLOW): "archive_workflow", ("POST", f"{WORKFLOW}/rollback"): "update_workflow",
    ("POST", f"{WORKFLOW}/execute"): "execute", ("POST", f"{WORKFLOW}/triggers"): "update_workflow",
    ("PATCH", TRIGGER): "update_workflow", ("DELETE", TRIGGER): "update_workflow", ("PUT", "/api/triggers"): "update_workflow",
    ("POST", f"{TRIGGER}/fire"): "fire_trigger", ("POST", f"{TRIGGER}/backfill"): "backfill",
    ("PUT", f"{WORKFLOW}/trigger_configs"): "update_workflow",
    ("POST", f"{RUN}/cancel"): "cancel", ("POST", f"{RUN}/pause"): "pause", ("POST", f"{RUN}/resume"): "resume",
    ("POST", f"{RUN}/step"): "step", ("POST", f"{RUN}/retry"): "retry", ("PATCH", RUN): "change_run",
    ("PUT", f"{RUN}/breakpoints"): "change_run", ("POST", f"{RUN}/fork"): "fork",
    ("POST", f"{NODE}/complete"): "complete_node", ("POST", f"{NODE}/fail"): "fail_node", ("POST", f"{NODE}/skip"): "skip_node",
    ("POST", "/api/runs/bulk"): "cancel", ("POST", "/api/approvals/{a}"): "approve",
    ("POST", "/api/templates"): "save_template", ("PUT", "/api/templates/{x}"): "save_template",
    ("DELETE", "/api/templates/{x}"): "delete_template", ("POST", "/api/templates/{x}/instantiate"): "create_workflow",
    ("POST", "/api/prompts"): "save_prompt", ("PUT", "/api/prompts/{x}"): "save_prompt",
    ("DELETE", "/api/prompts/{x}"): "delete_prompt",
    ("PUT", "/api/secrets/{x}"): "set_secret", ("DELETE", "/api/secrets/{x}"): "delete_secret",
    ("POST", "/api/events"): "publish_event",
    ("POST", "/api/users"): "add_user", ("PATCH", USER): "change_user", ("DELETE", USER): "remove_user",
    ("POST", f"{USER}/keys"): "create_key", ("DELETE", f"{USER}/keys/{{k}}"): "revoke_key",
    ("POST", f"{USER}/login-links"): "make_login_link",
    ("POST", "/api/subscriptions"): "save_subscription", ("PATCH", SUBSCRIPTION): "save_subscription",
    ("POST", f"{SUBSCRIPTION}/pause"): "pause_subscription", ("POST", f"{SUBSCRIPTION}/resume"): "resume_subscription",
    ("POST", f"{SUBSCRIPTION}/replay"): "replay_subscription", ("DELETE", SUBSCRIPTION): "delete_subscription",
}  # fmt: skip
ELSEWHERE = {
    ("POST", "/api/webhooks/{w}/{t}"), ("POST", "/api/callbacks/{x}"), ("POST", "/api/dead-letters/{x}/retry"),
}  # fmt: skip
"""Audited too; what leads there is made in the tests of webhooks, callbacks and dead letters."""
NO_WRITES = {
    ("POST", "/api/workflows/validate"), ("POST", "/api/triggers/test"), ("POST", "/api/triggers/what-if"),
    ("POST", f"{SUBSCRIPTION}/test"), ("DELETE", "/api/session"),
}  # fmt: skip
OLDER = ("/workflows", "/api/workflow-executions", "/api/workflow-templates", "/schema")
_NAMES = {
    "workflow_id": "w", "trigger_id": "t", "run_id": "r", "node_id": "n", "approval_id": "a",
    "template_id": "x", "prompt_id": "x", "name": "x", "token": "x", "dead_letter_id": "x",
    "subscription_id": "x", "user": "u", "key_id": "k",
}  # fmt: skip


def test_no_write_of_the_gateway_is_missing_here():
    app = create_app(Settings(database_url="postgresql://nobody@localhost/none", nats_url="nats://localhost:1"))
    found = {
        (method, route.path_format.format(**{name: f"{{{short}}}" for name, short in _NAMES.items()}))
        for route in app.routes
        if not route.path.startswith(OLDER)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}  # type: ignore[union-attr]  no ASGI routes here
    }
    assert found == ACTIONS.keys() | ELSEWHERE | NO_WRITES


def newest(stranger: Stranger, **filters: Any) -> Object | None:
    items = stranger.get("/api/audit", limit=1, **filters)["items"]
    return items[0] if items else None


class Audited:
    """Writes, and sees that each is in the trail, with the one who wrote."""

    def __init__(self, stranger: Stranger) -> None:
        self.stranger = stranger
        self.left = set(ACTIONS)

    def write(self, method: str, path: str, body: Any = None, **names: str) -> Object:
        action = ACTIONS[method, path]
        before = newest(self.stranger)
        answer = self.stranger.send(method, path.format(**names), body)
        assert answer.is_success, (method, path, answer.text)
        entry = newest(self.stranger, action=action)
        assert entry is not None, (method, path)
        assert before is None or entry["position"] > before["position"], (method, path)
        assert entry["actor"], (method, path)
        assert entry["resource"], (method, path)
        self.left.discard((method, path))
        return answer.json()


@pytest.fixture
def audited(stranger: Stranger) -> Audited:
    return Audited(stranger)


def waiting_run(audited: Audited, slug: str) -> str:
    """A run in which people are asked."""
    return audited.write("POST", f"{WORKFLOW}/execute", {}, w=slug)["run_id"]


def ask(name: str) -> Object:
    return {"id": name, "type": "human_approval", "message": "go on?"}


def test_every_write_is_in_the_trail_with_who_did_what(audited: Audited, stranger: Stranger):
    definitions(audited, workflow(ask("a"), ask("b"), ask("c"), name="audited"))
    runs(audited, stranger, workflow(ask("a"), ask("b"), ask("c"), name="asking"))
    stored(audited)
    people(audited)
    assert audited.left == set()


def definitions(audited: Audited, plain: Object) -> None:
    slug = audited.write("POST", "/api/workflows", plain)["id"]
    audited.write("PUT", WORKFLOW, {**plain, "description": "anew"}, w=slug)
    audited.write("POST", f"{WORKFLOW}/rollback", {"version": 1}, w=slug)
    trigger = {"id": "hourly", "type": "schedule", "enabled": False, "config": {"cron": "@hourly"}}
    audited.write("POST", f"{WORKFLOW}/triggers", trigger, w=slug)
    audited.write("PATCH", TRIGGER, {"name": "each hour"}, w=slug, t="hourly")
    change = {"workflow_id": slug, "trigger_id": "hourly", "patch": {"name": "hourly"}}
    audited.write("PUT", "/api/triggers", {"items": [change]})
    configs = [
        {**config, "is_enabled": False} for config in audited.stranger.get(f"/api/workflows/{slug}")["trigger_configs"]
    ]
    audited.write(
        "PUT", f"{WORKFLOW}/trigger_configs", {"configs": [{**configs[0], "is_enabled": True}, *configs[1:]]}, w=slug
    )
    span = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:30:00Z"}
    audited.write("PATCH", TRIGGER, {"enabled": True}, w=slug, t="hourly")
    audited.write("POST", f"{TRIGGER}/backfill", span, w=slug, t="hourly")
    audited.write("POST", f"{TRIGGER}/fire", {}, w=slug, t="hourly")
    audited.write("DELETE", TRIGGER, w=slug, t="hourly")
    audited.write("DELETE", WORKFLOW, w=slug)


def runs(audited: Audited, stranger: Stranger, plain: Object) -> None:
    slug = audited.write("POST", "/api/workflows", plain)["id"]
    run = waiting_run(audited, slug)
    approvals: list[Object] = []
    while len(approvals) < 3:
        approvals = stranger.get("/api/approvals", run_id=run)["items"]
    audited.write("PATCH", RUN, {"priority": 3}, r=run)
    audited.write("PUT", f"{RUN}/breakpoints", {"breakpoints": []}, r=run)
    audited.write("POST", f"{RUN}/pause", {}, r=run)
    audited.write("POST", f"{RUN}/step", {}, r=run)
    audited.write("POST", f"{RUN}/pause", {}, r=run)
    audited.write("POST", f"{RUN}/resume", {}, r=run)
    audited.write("POST", f"{NODE}/complete", {"output": 1}, r=run, n="a")
    audited.write("POST", "/api/approvals/{a}", {"decision": "approve"}, a=next(
        found["id"] for found in approvals if found["node_id"] == "b"
    ))  # fmt: skip
    audited.write("POST", f"{NODE}/fail", {"message": "no"}, r=run, n="c")
    assert stranger.ended(run)["status"] == "failed"
    audited.write("POST", f"{RUN}/retry", {"from": "failed"}, r=run)
    audited.write("POST", f"{NODE}/skip", {}, r=run, n="c")
    stranger.ended(run)
    fork = audited.write("POST", f"{RUN}/fork", {"changes": {"rerun": ["a"]}}, r=run)["run_id"]
    audited.write("POST", f"{RUN}/cancel", {}, r=fork)
    other = waiting_run(audited, slug)
    audited.write("POST", "/api/runs/bulk", {"filter": {"run_ids": [other]}, "action": "cancel"})
    [entry] = stranger.get("/api/audit", subject=run, action="pause", limit=1)["items"]
    assert (entry["resource"], entry["workflow_id"]) == ("run", slug)


def stored(audited: Audited) -> None:
    name = fresh("audited")
    template = {"id": name, "name": name, "definition": workflow(transform("a"), name="of-template")}
    audited.write("POST", "/api/templates", template)
    audited.write("PUT", "/api/templates/{x}", {**template, "name": "anew"}, x=name)
    audited.write("POST", "/api/templates/{x}/instantiate", {"id": fresh("made")}, x=name)
    audited.write("DELETE", "/api/templates/{x}", x=name)
    audited.write("POST", "/api/prompts", {"id": name, "name": name, "prompt": "Say ${input.x}"})
    audited.write("PUT", "/api/prompts/{x}", {"name": name, "prompt": "Say it: ${input.x}"}, x=name)
    audited.write("DELETE", "/api/prompts/{x}", x=name)
    audited.write("PUT", "/api/secrets/{x}", {"value": "s3cret"}, x=name.replace("-", "_"))
    audited.write("DELETE", "/api/secrets/{x}", x=name.replace("-", "_"))
    event = {"specversion": "1.0", "id": name, "source": "/audit", "type": "audited"}
    audited.write("POST", "/api/events", event)
    name = audited.write("POST", "/api/subscriptions", {"url": "https://ledger.example.com/hook", "enabled": False})[
        "id"
    ]
    audited.write("PATCH", SUBSCRIPTION, {"name": "ledger"}, x=name)
    audited.write("POST", f"{SUBSCRIPTION}/resume", {}, x=name)
    audited.write(
        "POST", f"{SUBSCRIPTION}/replay", {"since": audited.stranger.get("/api/stats")["log_position"]}, x=name
    )
    audited.write("POST", f"{SUBSCRIPTION}/pause", {}, x=name)
    audited.write("DELETE", SUBSCRIPTION, x=name)


def people(audited: Audited) -> None:
    name = fresh("ada")
    audited.write("POST", "/api/users", {"name": name, "role": "viewer"})
    audited.write("PATCH", USER, {"role": "operator"}, u=name)
    key = audited.write("POST", f"{USER}/keys", {"description": "laptop"}, u=name)
    audited.write("DELETE", f"{USER}/keys/{{k}}", u=name, k=key["id"])
    audited.write("POST", f"{USER}/login-links", u=name)
    audited.write("DELETE", USER, u=name)


def test_the_trail_is_filtered_by_time_and_workflow_and_read_from_the_command_line(stranger: Stranger):
    slug = stranger.save(workflow(transform("a"), name="filtered"))["id"]
    [entry] = stranger.get("/api/audit", workflow_id=slug)["items"]
    assert (entry["action"], entry["subject"]) == ("create_workflow", slug)
    assert stranger.get("/api/audit", workflow_id=slug, until=entry["at"])["items"] == []
    assert stranger.get("/api/audit", workflow_id=slug, since=entry["at"], resource="run")["items"] == []
    told = stranger.cli("audit", "--workflow", slug, "--json")
    assert told.status == 0
    assert json.loads(told.out)["items"] == [entry]

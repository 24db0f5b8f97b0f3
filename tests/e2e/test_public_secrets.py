"""Secrets, webhook nodes and callbacks of a running FlowForge, as a stranger sees them; and that no secret lies anywhere."""

import base64
import json
import secrets
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from infra.embedded.cluster import Cluster
from tests.e2e.lying import places_of
from tests.e2e.server import Server
from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, node_runs, problem, python, transform, workflow


def webhook(node_id: str, url: str, **fields: Any) -> Object:
    return {"id": node_id, "type": "webhook", "url": url, **fields}


def name_of(text: str) -> str:
    return fresh(text).replace("-", "_")


def test_secrets_are_set_listed_and_deleted_from_the_command_line(stranger: Stranger):
    name = name_of("token")
    assert stranger.cli("secrets", "set", name, "--value", "first").status == 0
    again = stranger.cli("secrets", "set", name, "--json", stdin="second\n")
    assert (again.status, json.loads(again.out)["version"]) == (0, 2)
    [listed] = [
        each for each in json.loads(stranger.cli("secrets", "list", "--json").out)["items"] if each["name"] == name
    ]
    assert (listed["version"], listed["updated_by"]) == (2, "admin")
    assert listed["created_at"] < listed["updated_at"]
    assert "second" not in stranger.cli("secrets", "list").out
    assert stranger.cli("secrets", "delete", name).status == 0
    gone = stranger.cli("secrets", "delete", name)
    assert gone.status == 1
    assert f"there is no secret {name}" in gone.err
    assert stranger.cli("secrets", "set", "not-a-name", "--value", "x").status == 2
    audit = [(entry["action"], entry["actor"]) for entry in stranger.all("/api/audit", subject=name)]
    assert audit == [("delete_secret", "admin"), ("set_secret", "admin"), ("set_secret", "admin")]


def test_a_script_gets_its_secret_and_nobody_reads_it_there(stranger: Stranger):
    name = name_of("db")
    stranger.send("PUT", f"/api/secrets/{name}", {"value": "pa55-of-the-db"})
    run = stranger.run(
        workflow(
            python(
                "s",
                "import os, json; v = os.environ['PASSWORD']; print('got', v); "
                "json.dump({'whole': v, 'length': len(v)}, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))",
                env={"PASSWORD": f"${{secrets.{name}}}"},
            )
        )
    )
    assert node_runs(run)["s"]["output"] == {"whole": "***", "length": len("pa55-of-the-db")}
    assert [line["text"] for line in stranger.all(f"/api/runs/{run['run_id']}/logs")] == ["got ***"]


def test_a_missing_secret_fails_its_node_and_is_named(stranger: Stranger):
    run = stranger.run(workflow(bash("s", "true", env={"A": "${secrets.never_set}"})))
    error = node_runs(run)["s"]["error"]
    assert (run["status"], error["code"]) == ("failed", "EXPRESSION_ERROR")
    assert "secrets.never_set" in error["message"]
    assert "flowforge secrets set never_set" in error["message"]


def test_a_webhook_node_calls_out_and_its_output_is_the_answer(stranger: Stranger, server: Server):
    run = stranger.run(
        workflow(
            webhook("call", f"{server.url}/orders/${{input.id}}", body={"id": "${input.id}"}),
            transform("after", expressions={"status": "${nodes.call.output.status}"}),
            edges=[edge("call", "after")],
        ),
        input_data={"id": 7},
    )
    output = node_runs(run)["call"]["output"]
    assert (run["status"], output["status"], output["body"]["path"]) == ("completed", 200, "/orders/7")
    assert json.loads(output["body"]["body"]) == {"id": 7}
    assert node_runs(run)["after"]["output"] == {"status": 200}
    assert server.asked[0]["headers"]["idempotency-key"] == node_runs(run)["call"]["job_id"]


def test_a_webhook_node_is_retried_where_that_makes_sense(stranger: Stranger, server: Server):
    server.answer = lambda _: (503, "busy") if len(server.asked) == 1 else (200, "done")
    policy = {"max_attempts": 3, "delay_ms": 1}
    run = stranger.run(workflow(webhook("call", server.url, retry_policy=policy)))
    assert (run["status"], len(server.asked)) == ("completed", 2)
    server.answer = lambda _: (403, "no")
    run = stranger.run(workflow(webhook("call", server.url, retry_policy=policy)))
    error = node_runs(run)["call"]["error"]
    assert (error["code"], len(server.asked)) == ("HTTP_ERROR", 3)
    assert "answered 403 Forbidden" in error["message"]


def test_private_targets_and_flowforge_itself_are_refused(stranger: Stranger):
    own = urlsplit(stranger.endpoints["http"]).port
    bus = urlsplit(stranger.endpoints["nats"]).port
    database = urlsplit(stranger.endpoints["database"]).port
    urls = ["http://10.0.0.1/", "http://169.254.169.254/", "http://[::1]/"]
    urls += [f"http://127.0.0.1:{port}/" for port in (own, bus, database)]
    nodes = [webhook(f"n{at}", url) for at, url in enumerate(urls)]
    run = stranger.run(workflow(*nodes, settings={"fail_fast": False}))
    errors = {name: row["error"] for name, row in node_runs(run).items()}
    assert {error["code"] for error in errors.values()} == {"HTTP_ERROR"}
    assert all("FLOWFORGE_WEBHOOK_ALLOW" in errors[f"n{at}"]["message"] for at in range(3))
    assert all("FlowForge's own" in errors[f"n{at}"]["message"] for at in range(3, 6))


def test_a_node_that_waits_for_its_callback_ends_with_what_is_posted_once(stranger: Stranger, server: Server):
    definition = workflow(webhook("ask", server.url, body={"to": "${callback.url}"}, wait_for_callback=True))
    run_id = stranger.execute(stranger.save(definition)["id"])
    next(message for message in stranger.follow(run_id) if message.event == "NodeWaiting")
    [asked] = server.asked
    address = json.loads(asked["body"])["to"]
    assert address == asked["headers"]["flowforge-callback-url"]
    assert address.startswith(f"{stranger.endpoints['http']}/api/callbacks/")
    with stranger.client() as somebody:
        assert somebody.post(address[:-3] + "xyz", json={}).status_code == 404
        assert somebody.post(address, content=b"{").status_code == 422
        first = somebody.post(address, json={"approved": True})
        assert first.status_code == 202, first.text
        told = problem(somebody.post(address, json={"approved": False}), 409)
    assert told["code"] == "INVALID_FLOW_STATE"
    run = stranger.ended(run_id)
    assert (run["status"], node_runs(run)["ask"]["output"]) == ("completed", {"approved": True})


def test_a_callback_may_come_before_the_call_is_answered(stranger: Stranger, server: Server):
    def answer(asked: Object) -> tuple[int, Any]:
        with stranger.client() as somebody:
            told = somebody.post(asked["headers"]["flowforge-callback-url"], data={"a": "form"})
        return 200, told.status_code

    server.answer = answer
    run = stranger.run(workflow(webhook("ask", server.url, wait_for_callback=True)))
    assert (run["status"], node_runs(run)["ask"]["output"]) == ("completed", {"a": "form"})


@pytest.mark.timeout(240)
async def test_a_secret_lies_nowhere_however_it_is_echoed(stranger: Stranger, server: Server, cluster: Cluster):
    """Every file of the installation, and every row of the database as its owner sees it."""
    canary, name = "canary/" + secrets.token_urlsafe(24) + '"+', name_of("canary")
    assert stranger.send("PUT", f"/api/secrets/{name}", {"value": canary}).status_code == 200
    assert stranger.cli("secrets", "set", name, stdin=canary).status == 0
    env = {"CANARY": f"${{secrets.{name}}}"}
    echo = (
        'echo "$CANARY"; echo "$CANARY" | base64 -w0 >&2; printf "user:%s" "$CANARY" | base64 -w0; '
        "python3 -c \"import os, json; json.dump({'c': os.environ['CANARY']}, open(os.environ['FLOWFORGE_OUTPUT'], 'w'))\""
    )
    headers = {"Authorization": f"Bearer ${{secrets.{name}}}"}
    server.answer = lambda asked: (500 if asked["path"] == "/bad" else 200, asked)
    url = f"{server.url}/good?key=${{secrets.{name}}}"
    run = stranger.run(
        workflow(
            bash("well", echo, env=env),
            bash("ill", echo + '; echo "$CANARY" >&2; exit 3', env=env),
            webhook("good", url, headers=headers, body={"c": f"x${{secrets.{name}}}"}),
            webhook("bad", f"{server.url}/bad", headers=headers),
            webhook("away", f"http://127.0.0.1:1/${{secrets.{name}}}", headers=headers),
            settings={"fail_fast": False},
        )
    )
    rows = node_runs(run)
    assert {node: row["status"] for node, row in rows.items()} == {
        "well": "completed", "ill": "failed", "good": "completed", "bad": "failed", "away": "failed",
    }  # fmt: skip
    assert cast("Object", rows["well"]["output"]) == {"c": "***"}
    assert rows["good"]["output"]["body"]["headers"]["authorization"] == "Bearer ***"
    errors = {node: rows[node]["error"]["message"] for node in ("ill", "away")}
    assert all("***" in message for message in errors.values()), errors
    assert "***" in rows["bad"]["error"]["details"]["body"]
    assert any(canary in asked["headers"]["authorization"] for asked in server.asked)
    list(stranger.all(f"/api/runs/{run['run_id']}/logs"))  # waits until the lines are kept
    inner = canary.split("/")[1].split('"')[0]
    whole = base64.b64encode(canary.encode())[:-4]
    forms = [inner.encode(), whole, inner.encode().hex().encode()]
    assert await places_of(cluster, forms) == []

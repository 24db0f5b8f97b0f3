"""The example of each node type runs as it is, and gives what it says."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import EXAMPLES
from tests.e2e.server import Server
from tests.e2e.stranger import Object, Stranger, node_runs
from tests.e2e.test_examples import output
from tests.integration.cli.command import Flowforge


def given(examples: Flowforge, name: str, value: Any) -> Any:
    return output(examples("run", name, "--input", json.dumps(value), "--watch", "--json"))


def begun(stranger: Stranger, name: str, value: Any) -> str:
    """The run, once a node of it waits and that can be read."""
    run_id = stranger.execute(name, input_data=value)
    waits = next(message for message in stranger.follow(run_id) if message.event == "NodeWaiting")
    stranger.get(f"/api/runs/{run_id}", after=waits.id)
    return run_id


def test_every_example_of_a_node_is_tried_here():
    told = Path(__file__).read_text()
    names = [file.stem for file in (EXAMPLES / "nodes").glob("*.yaml")]
    assert [name for name in names if f"node-{name}" not in told] == []


def test_condition(examples: Flowforge):
    assert given(examples, "node-condition", {"amount": 120}) == "asked about 120"
    assert given(examples, "node-condition", {"amount": 5}) == "approved 5"


def test_loop(examples: Flowforge):
    assert given(examples, "node-loop", {"cities": ["Oslo", "Rome"]}) == {
        "greetings": ["1. Hello, Oslo", "2. Hello, Rome"],
        "squares": [0, 1, 4],
        "first_above": 128,
    }


def test_parallel_merge(examples: Flowforge):
    """`node-parallel-merge` is called `node-parallel`."""
    given_ = output(examples("run", "node-parallel", "--watch", "--json"))
    assert given_ == {"answers": {"north": "here", "south": "here"}, "east": "cancelled"}


def test_delay(examples: Flowforge):
    assert given(examples, "node-delay", {"wait_ms": 200}) == {"waited_ms": 200}


def test_wait_event(examples: Flowforge, stranger: Stranger):
    """`node-wait-event`."""
    run_id = begun(stranger, "node-wait-event", {"order": 7})
    for order in (6, 7):
        data = json.dumps({"order": order, "by": "card"})
        sent = examples("events", "publish", "payment.received", "--source", "/shop", "--data", data)
        assert sent.status == 0, sent.err
    assert told(stranger, run_id) == "paid by card"


def told(stranger: Stranger, run_id: str) -> str:
    run: Object = stranger.ended(run_id)
    assert run["status"] == "completed", run["error"]
    return node_runs(run)["told"]["output"]["message"]


def test_map(examples: Flowforge):
    assert given(examples, "node-map", [3, 1, 2]) == [9, 1, 4]


def test_webhook(examples: Flowforge, stranger: Stranger, server: Server):
    """`node-webhook`."""
    assert examples("secrets", "set", "partner_token", "--value", "open-sesame").status == 0
    server.answer = lambda _: (202, "later")
    run_id = begun(stranger, "node-webhook", {"address": f"{server.url}/orders", "order": 7})
    [asked] = server.asked
    assert (asked["path"], asked["headers"]["authorization"]) == ("/orders", "Bearer open-sesame")
    body = json.loads(asked["body"])
    with stranger.client() as partner:
        assert partner.post(body["answer_to"], json={"accepted": body["order"]}).status_code == 202
    run = stranger.ended(run_id)
    assert (run["status"], node_runs(run)["order"]["output"]) == ("completed", {"accepted": 7})


def test_sql(examples: Flowforge, stranger: Stranger):
    """`node-sql`: the database is the one of the read models, by its reader's login."""
    database = stranger.endpoints["database"]
    assert examples("secrets", "set", "reports_database", "--value", database).status == 0
    assert given(examples, "node-sql", {"least": 3}) == {
        "rows": [{"n": 4, "square": 16}, {"n": 5, "square": 25}],
        "row_count": 2,
        "columns": ["n", "square"],
    }


def test_prompt(examples: Flowforge, stranger: Stranger):
    """`node-prompt`: no model runs on the machines where this is tried, and the run says so."""
    run = stranger.ended(stranger.execute("node-prompt", input_data={"text": "The train was late again."}))
    if run["status"] == "completed":
        assert node_runs(run)["mood"]["output"]["json"]["mood"] in ("good", "bad", "neutral")
    else:
        assert run["error"]["code"] == "PROVIDER_ERROR"
        assert node_runs(run)["mood"]["attempt"] == 2


def test_child(examples: Flowforge):
    """`node-child` runs `node-child-greeting` once for each name."""
    assert given(examples, "node-child", {"names": ["Ada", "Grace"]}) == {"greetings": ["Hello, Ada", "Hello, Grace"]}


def test_approval(examples: Flowforge, stranger: Stranger):
    """`node-approval`, decided on the command line."""
    run_id = begun(stranger, "node-approval", {"version": "1.4"})
    [asked] = stranger.get("/api/approvals", run_id=run_id)["items"]
    assert asked["message"] == "Release 1.4?"
    decided = examples("approvals", "approve", asked["id"], "--comment", "looks good")
    assert decided.status == 0, decided.err
    assert told(stranger, run_id) == "1.4 was approved: looks good"

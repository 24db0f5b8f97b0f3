"""Every view of the console, over something of each kind."""

import time

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, workflow

SEEDED_WITHIN_S = 20.0
PEOPLE_TABS = ("mine", "secrets", "outgoing")
WORKFLOW_TABS = ("graph", "triggers", "runs", "statistics", "versions", "settings", "yaml")
RUN_TABS = ("graph", "timeline", "logs", "events", "data", "causes")


def order(**fields: Object) -> Object:
    """Checks an order, asks for large ones, ships, and fails where the customer is `nobody`; fires on events."""
    name = fresh("order")
    ask = {"id": "ask", "type": "human_approval", "name": "Ask", "config": {"message": "Ship a large order?"}}
    large = {"condition": "nodes.check.output.amount > 100", "true_path": ["ask"], "false_path": ["ship"]}
    listens = {"event_type": f"{name}.placed", "source": "shop", "filter": "event.data.amount > 10"}
    checked = {"amount": "${has(input.amount) ? input.amount : 20}"}
    drawn = workflow(
        {"id": "check", "type": "data_transform", "name": "Check", "config": {"expressions": checked}},
        {"id": "large", "type": "condition", "name": "Large?", "config": large},
        ask,
        bash("ship", "echo packing; echo shipped", run_if="at_least_one_success"),
        bash("bill", "echo billing; if [ -e broken ]; then exit 3; fi"),
        edges=[
            edge("check", "large"), edge("large", "ask"), edge("large", "ship"), edge("ask", "ship"),
            edge("ship", "bill"),
        ],
        triggers=[
            {"id": "orders", "name": "Orders", "type": "event", "config": listens},
            {"id": "hourly", "name": "Hourly", "type": "schedule", "config": {"cron": "@hourly"}},
        ],
    )  # fmt: skip
    return {
        **drawn,
        "id": name,
        "name": "Orders",
        "description": "From the order to the bill",
        "tags": ["shop"],
        **fields,
    }


def place(stranger: Stranger, definition: Object, amount: int) -> str:
    """The id of the event that places an order."""
    event = {"specversion": "1.0", "id": fresh("order"), "source": "shop", "type": f"{definition['id']}.placed"}
    answer = stranger.send("POST", "/api/events", {**event, "data": {"amount": amount}})
    assert answer.status_code == 202, answer.text
    return event["id"]


def run_of(stranger: Stranger, definition: Object) -> str:
    """The newest run of the workflow, once there is one."""
    deadline = time.monotonic() + SEEDED_WITHIN_S
    while not (found := stranger.get("/api/runs", workflow_id=definition["id"])["items"]):
        assert time.monotonic() < deadline, "no run was started"
    return found[0]["run_id"]


def addresses(stranger: Stranger) -> dict[str, str]:
    """What a view is called → its address."""
    definition = order()
    stranger.save(definition)
    for amount in (5, 200):
        place(stranger, definition, amount)
    run_id = run_of(stranger, definition)
    stranger.ended(stranger.execute(definition["id"], labels={"made": "by-hand"}))
    for receiver in ({"enabled": False}, {"filter": {"types": ["RunFailed"]}}):
        stranger.send("POST", "/api/subscriptions", {"url": "https://ledger.example.com/hook", **receiver})
    event = stranger.get("/api/events", type=f"{definition['id']}.placed")["items"][0]
    of_workflow, of_run = f"/workflows/{definition['id']}", f"/runs/{run_id}"
    return {
        "overview": "/",
        "workflows": "/workflows",
        **{f"workflow-{tab}": f"{of_workflow}/{tab}" for tab in WORKFLOW_TABS},
        "designer": f"{of_workflow}/edit",
        "designer-new": "/workflows/new",
        "trigger": f"{of_workflow}/triggers/orders",
        "triggers": "/triggers",
        "runs": "/runs",
        **{f"run-{tab}": f"{of_run}/{tab}" for tab in RUN_TABS},
        "approvals": "/approvals",
        "events": "/events",
        "event": f"/events/{event['event_id']}",
        "dead-letters": "/dead-letters",
        "templates": "/templates",
        "template": "/templates?use=process-list",
        "import": "/workflows?import=yaml",
        **{f"people-{tab}": f"/people?tab={tab}" for tab in PEOPLE_TABS},
        "audit": "/audit",
        "people": "/people",
    }

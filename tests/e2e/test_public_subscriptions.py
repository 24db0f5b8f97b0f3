"""Subscriptions of a running FlowForge: what a receiver gets, in which order, and what happens when it does not answer."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from infra.embedded.cluster import Cluster
from tests.e2e.lying import places_of
from tests.e2e.server import Server
from tests.e2e.stranger import Object, Stranger, fresh, problem, transform, workflow

WAIT_S = 20.0
RUN = ["WorkflowTriggered", "RunStarted", "NodeStarted", "NodeCompleted", "RunCompleted"]


def until(is_so: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def subscribe(stranger: Stranger, server: Server, **fields: Any) -> Object:
    answer = stranger.send("POST", "/api/subscriptions", {"url": f"{server.url}/hook", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def read(stranger: Stranger, made: Object) -> Object:
    return stranger.get(f"/api/subscriptions/{made['id']}")


def deliveries(stranger: Stranger, made: Object, **filters: Any) -> list[Object]:
    return list(stranger.all(f"/api/subscriptions/{made['id']}/deliveries", **filters))


def bodies(server: Server) -> list[Object]:
    return [json.loads(asked["body"]) for asked in server.asked]


def types(server: Server) -> list[str]:
    return [body["type"] for body in bodies(server)]


@pytest.fixture
def slug(stranger: Stranger) -> str:
    return stranger.save(workflow(transform("a")))["id"]


def test_a_receiver_is_told_of_a_run_in_order_and_each_post_is_signed(stranger: Stranger, server: Server, slug: str):
    made = subscribe(stranger, server, filter={"workflow_id": slug}, name="to the ledger")
    assert made["secret"].startswith("whsec_")
    assert (made["status"], made["enabled"], made["filter"]) == ("active", True, {"workflow_id": slug})
    run_id = stranger.execute(slug)
    until(lambda: "RunCompleted" in types(server), "the end of the run is posted")
    history = stranger.history(run_id)
    assert [body["id"] for body in bodies(server)] == [event["event_id"] for event in history]
    assert [body["position"] for body in bodies(server)] == [event["position"] for event in history]
    for asked in server.asked:
        body = Webhook(made["secret"]).verify(asked["body"], asked["headers"])
        assert (body["specversion"], body["id"]) == ("1.0", asked["headers"]["webhook-id"])
        assert asked["headers"]["content-type"] == "application/cloudevents+json"
    shown = until(
        lambda: read(stranger, made)["deliveries"]["delivered"] == len(history) and read(stranger, made), "all"
    )
    assert (shown["deliveries"]["pending"], shown["deliveries"]["failing_since"]) == (0, None)
    assert "secret" not in json.dumps(shown)
    assert [each["last_status"] for each in deliveries(stranger, made)] == [200] * len(history)
    stranger.send("DELETE", f"/api/subscriptions/{made['id']}")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"types": ["NodeCompleted", "RunFailed"]}, ["NodeCompleted"]),
        ({"statuses": ["completed", "failed"]}, ["RunCompleted"]),
        ({"label": "team=red", "types": ["RunCompleted"]}, ["RunCompleted"]),
        ({"label": "team=blue", "types": ["RunCompleted"]}, []),
        ({"types": ["RunStarted", "RunCompleted"], "condition": "event.type.endsWith('Completed') && run.labels.team == 'red'"},
         ["RunCompleted"]),
        ({"condition": "event.data.no_such_thing"}, []),
    ],
)  # fmt: skip
def test_a_filter_says_what_is_posted(stranger: Stranger, server: Server, slug: str, given: Object, wanted: list[str]):
    made = subscribe(stranger, server, filter={"workflow_id": slug, **given})
    end = subscribe(stranger, server, url=f"{server.url}/end", filter={"workflow_id": slug, "types": ["RunCompleted"]})
    stranger.execute(slug, labels={"team": "red"})
    until(lambda: any(asked["path"] == "/end" for asked in server.asked), "the end is posted to the other one")
    position = deliveries(stranger, end)[0]["position"]
    until(lambda: _is_beyond(read(stranger, made), position), "the first one has been looked at as far")
    told = [json.loads(asked["body"])["type"] for asked in server.asked if asked["path"] == "/hook"]
    assert told == wanted
    for each in (made, end):
        stranger.send("DELETE", f"/api/subscriptions/{each['id']}")


def _is_beyond(shown: Object, position: int) -> bool:
    return shown["deliveries"]["position"] >= position and not shown["deliveries"]["pending"]


def test_what_fails_is_tried_again_before_what_follows_it(stranger: Stranger, server: Server, slug: str):
    answers = iter([503, 500])
    server.answer = lambda _: (next(answers, 200), {})
    made = subscribe(stranger, server, filter={"workflow_id": slug, "types": ["RunStarted", "RunCompleted"]})
    stranger.execute(slug)
    until(lambda: "RunCompleted" in types(server), "posted after all")
    assert types(server) == ["RunStarted"] * 3 + ["RunCompleted"]
    assert [asked["headers"]["flowforge-attempt"] for asked in server.asked] == ["1", "2", "3", "1"]
    assert len({asked["headers"]["webhook-id"] for asked in server.asked}) == 2
    last, first = until(lambda: _ended(deliveries(stranger, made)), "both are delivered")
    assert [each["status"] for each in first["tries"]] == [503, 500, 200]
    assert "503" in first["tries"][0]["error"]
    assert (last["attempts"], first["attempts"]) == (1, 3)


def _ended(found: list[Object]) -> list[Object]:
    return found if all(each["status"] == "delivered" for each in found) else []


def test_a_receiver_that_never_answers_is_paused_and_loses_nothing(stranger: Stranger, server: Server, slug: str):
    server.answer = lambda _: (500, {"oh": "no"})
    made = subscribe(stranger, server, filter={"workflow_id": slug, "types": ["RunCompleted"]})
    first = stranger.execute(slug)
    paused = until(lambda: _paused(read(stranger, made)), "it is paused")
    assert paused["reason"] == "failing"
    assert "4 attempts" in paused["detail"]
    assert "500" in paused["detail"]
    second = stranger.execute(slug)
    stranger.ended(second)
    server.answer = lambda _: (200, {})
    server.asked.clear()
    answer = stranger.send("POST", f"/api/subscriptions/{made['id']}/resume")
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    until(lambda: len(server.asked) == 2, "what was owed is posted")
    assert {body["source"].rpartition("/")[2] for body in bodies(server)} == {first, second}


def _paused(shown: Object) -> Object | None:
    return shown["paused"]


def test_gone_pauses_at_once(stranger: Stranger, server: Server, slug: str):
    server.answer = lambda _: (410, {})
    made = subscribe(stranger, server, filter={"workflow_id": slug})
    stranger.execute(slug)
    paused = until(lambda: _paused(read(stranger, made)), "it is paused")
    assert paused["reason"] == "gone"
    assert len(server.asked) == 1


def test_a_slow_receiver_holds_up_nobody_else(stranger: Stranger, server: Server, slug: str):
    with Server.serving() as slow:

        def wait(_: Object) -> tuple[int, Any]:
            until(lambda: "RunCompleted" in types(server), "the other one is told meanwhile")
            return 200, {}

        slow.answer = wait
        made = [subscribe(stranger, each, filter={"workflow_id": slug}) for each in (slow, server)]
        stranger.execute(slug)
        until(lambda: "RunCompleted" in types(slow), "the slow one is told in the end")
    for each in made:
        stranger.send("DELETE", f"/api/subscriptions/{each['id']}")


def test_the_past_is_posted_again_on_demand_under_the_same_ids(stranger: Stranger, server: Server, slug: str):
    began = datetime.now(UTC)
    run_id = stranger.execute(slug)
    stranger.ended(run_id)
    made = subscribe(stranger, server, filter={"workflow_id": slug, "types": ["RunStarted", "RunCompleted"]})
    wanted = [
        event["event_id"] for event in stranger.history(run_id) if event["type"] in ("RunStarted", "RunCompleted")
    ]
    for since in (began.isoformat(), 0):
        server.asked.clear()
        answer = stranger.send("POST", f"/api/subscriptions/{made['id']}/replay", {"since": since})
        assert answer.status_code == 202, answer.text
        until(lambda: len(server.asked) == 2, "both are posted again")
        assert [body["id"] for body in bodies(server)] == wanted


def test_a_dead_service_posts_what_it_owes_after_its_next_start(
    stranger: Stranger, server: Server, slug: str, cluster: Cluster
):
    killed: list[int] = []

    def die(_: Object) -> tuple[int, Any]:
        if not killed:
            killed.append(cluster.kill("subscriptions"))
        return 200, {}

    server.answer = die
    subscribe(stranger, server, filter={"workflow_id": slug})
    run_id = stranger.execute(slug)
    until(lambda: "RunCompleted" in types(server), "all is posted")
    wanted = [event["event_id"] for event in stranger.history(run_id)]
    assert list(dict.fromkeys(body["id"] for body in bodies(server))) == wanted


def test_a_test_posts_one_event_now(stranger: Stranger, server: Server):
    made = subscribe(stranger, server, enabled=False)
    answer = stranger.send("POST", f"/api/subscriptions/{made['id']}/test")
    assert (answer.status_code, answer.json()["delivered"], answer.json()["status"]) == (200, True, 200)
    assert types(server) == ["SubscriptionTested"]
    server.answer = lambda _: (404, {"no": "body"})
    told = stranger.send("POST", f"/api/subscriptions/{made['id']}/test").json()
    assert (told["delivered"], told["status"]) == (False, 404)
    assert "404 Not Found" in told["error"]
    assert (made["status"], made["paused"]["reason"]) == ("paused", "by_hand")


@pytest.mark.asyncio(loop_scope="session")
async def test_the_secret_lies_nowhere_in_plain(stranger: Stranger, server: Server, cluster: Cluster):
    made = subscribe(stranger, server, enabled=False)
    stranger.send("POST", f"/api/subscriptions/{made['id']}/test")
    assert await places_of(cluster, [made["secret"].encode()]) == []


def test_a_changed_secret_signs_beside_the_one_before(stranger: Stranger, server: Server):
    made = subscribe(stranger, server)
    changed = stranger.send("PATCH", f"/api/subscriptions/{made['id']}", {"secret": None, "name": "n"}).json()
    assert changed["secret"] != made["secret"]
    assert (changed["name"], changed["version"]) == ("n", 2)
    stranger.send("POST", f"/api/subscriptions/{made['id']}/test")
    asked = server.asked[-1]
    for secret in (made["secret"], changed["secret"]):
        Webhook(secret).verify(asked["body"], asked["headers"])
    stranger.send("DELETE", f"/api/subscriptions/{made['id']}")


def test_the_same_request_again_makes_one_subscription_and_shows_its_secret_again(stranger: Stranger, server: Server):
    body: Object = {"id": fresh("sub"), "url": server.url, "enabled": False}
    answers = [stranger.send("POST", "/api/subscriptions", body, **{"Idempotency-Key": body["id"]}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert problem(stranger.send("POST", "/api/subscriptions", body), 409)["code"] == "ALREADY_EXISTS"
    gone = stranger.send("DELETE", f"/api/subscriptions/{body['id']}")
    assert gone.status_code == 200
    assert stranger.http.get(f"/api/subscriptions/{body['id']}").status_code == 404
    assert problem(stranger.send("POST", f"/api/subscriptions/{body['id']}/pause"), 404)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({"url": "ftp://example.org"}, "$.url", "begins with https://"),
        ({"url": "nonsense"}, "$.url", "begins with https://"),
        ({"url": "https://a:b@example.org"}, "$.url", "login"),
        ({"url": "http://10.1.2.3/x"}, "$.url", "FLOWFORGE_WEBHOOK_ALLOW=10.1.2.3"),
        ({"url": "http://169.254.169.254/latest"}, "$.url", "FLOWFORGE_WEBHOOK_ALLOW"),
        ({"filter": {"types": ["RunCompletd"]}}, "$.filter.types[0]", "did you mean RunCompleted"),
        ({"filter": {"statuses": ["done"]}}, "$.filter.statuses[0]", "one of pending"),
        ({"filter": {"label": "red"}}, "$.filter.label", "name=value"),
        ({"filter": {"condition": "event.type =="}}, "$.filter.condition", "at 1:14"),
        ({"filter": {"condition": "nothing.known"}}, "$.filter.condition", "nothing"),
        ({"filter": {"colour": "red"}}, "$.filter", "colour"),
        ({"secret": "short"}, "$.secret", "whsec_"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(stranger: Stranger, server: Server, body: Object, path: str, words: str):
    told = problem(stranger.send("POST", "/api/subscriptions", {"url": server.url, **body}), 422)
    assert told["errors"][0]["path"] == path
    assert words in told["errors"][0]["message"]


def test_an_address_of_flowforge_itself_is_refused(stranger: Stranger):
    told = problem(stranger.send("POST", "/api/subscriptions", {"url": stranger.endpoints["http"]}), 422)
    assert "FlowForge's own" in told["errors"][0]["message"]


def test_a_replay_of_what_will_be_is_refused(stranger: Stranger, server: Server):
    made = subscribe(stranger, server)
    told = problem(stranger.send("POST", f"/api/subscriptions/{made['id']}/replay", {"since": 10**12}), 422)
    assert "beyond the end" in told["errors"][0]["message"]
    told = problem(stranger.send("POST", f"/api/subscriptions/{made['id']}/replay", {"since": "yesterday"}), 422)
    assert told["errors"][0]["path"] == "$.since"
    stranger.send("DELETE", f"/api/subscriptions/{made['id']}")


def test_a_person_at_the_terminal(stranger: Stranger, server: Server, slug: str):
    name = fresh("cli")
    words = ("subscriptions", "add", f"{server.url}/hook", "--id", name, "--workflow", slug, "--type", "RunCompleted")
    made = stranger.cli(*words)
    assert made.status == 0, made.err
    assert "whsec_" in made.out
    stranger.execute(slug)
    until(lambda: types(server) == ["RunCompleted"], "it is posted")
    assert name in stranger.cli("subscriptions", "list").out
    assert "RunCompleted" in stranger.cli("subscriptions", "deliveries", name).out
    assert stranger.cli("subscriptions", "replay", name, "0").status == 0
    until(lambda: types(server) == ["RunCompleted"] * 2, "it is posted again")
    server.answer = lambda _: (410, {})
    assert stranger.cli("subscriptions", "test", name).status == 1
    stranger.execute(slug)
    until(lambda: stranger.get(f"/api/subscriptions/{name}")["paused"], "it is paused")
    told = stranger.cli("doctor")
    assert f"{name} is paused" in told.out
    assert f"subscriptions resume {name}" in told.out
    assert stranger.cli("subscriptions", "delete", name).status == 0
    assert f"there is no subscription {name}" in stranger.cli("subscriptions", "pause", name).err

"""Rules that hold for every route there is: the description of the interface is walked, so that none is forgotten."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stranger import Stranger, problem, transform, workflow

METHODS = ("get", "put", "post", "delete", "patch")
OLDER = (
    ("/api/workflows", "/workflows"),
    ("/api/runs", "/api/workflow-executions"),
    ("/api/templates", "/api/workflow-templates"),
)
NOBODY = "01890000-0000-7000-8000-000000000000"
Object = dict[str, Any]


class Route:
    """One operation of the description, at an address of its own."""

    def __init__(self, path: str, method: str, operation: Object) -> None:
        self.template, self.method, self.operation = path, method.upper(), operation
        filled = (
            path.replace("{run_id}", NOBODY)
            .replace("{event_id}", NOBODY)
            .replace("{blob_hash}", "0" * 64)
            .replace("{version}", "1")
        )
        self.path = filled.replace("{", "").replace("}", "")
        self.parameters = {each["name"] for each in operation["parameters"]}

    @property
    def body(self) -> Any:
        content = self.operation.get("requestBody", {"content": {}})["content"]
        return next((each.get("example") for each in content.values()), None)

    def __repr__(self) -> str:
        return f"{self.method} {self.template}"


@pytest.fixture(scope="session")
def routes(stranger: Stranger) -> list[Route]:
    paths: Object = stranger.get("/schema")["paths"]
    return [Route(path, method, item[method]) for path, item in paths.items() for method in METHODS if method in item]


def reads(routes: list[Route]) -> Iterator[Route]:
    return (route for route in routes if route.method == "GET")


def writes(routes: list[Route]) -> Iterator[Route]:
    return (route for route in routes if "Idempotency-Key" in route.parameters)


def test_without_a_key_every_route_is_401_but_those_that_are_said_to_be_open(stranger: Stranger, routes: list[Route]):
    with stranger.client() as nobody:
        for route in routes:
            answer = nobody.request(route.method, route.path, json=route.body)
            if route.operation.get("security") == []:
                assert route.path.startswith(("/health/", "/api/webhooks/", "/api/callbacks/")), route
            else:
                problem(answer, 401)


def test_a_method_that_an_address_does_not_know_is_405_with_those_that_it_does(stranger: Stranger, routes: list[Route]):
    known: dict[str, set[str]] = {}
    for route in routes:
        known.setdefault(route.template, set()).add(route.method)
    for route in routes:
        allowed = known[route.template] | {"OPTIONS"} | ({"HEAD"} if "GET" in known[route.template] else set())
        options = stranger.http.options(route.path)
        assert (options.status_code, set(options.headers["allow"].split(", "))) == (204, allowed), route
        for method in {"GET", "PUT", "POST", "DELETE", "PATCH", "TRACE"} - allowed:
            answer = stranger.http.request(method, route.path)
            if answer.status_code == 404 and "{" not in route.template:
                continue  # `validate` and `trigger_blueprints` may be names of workflows
            problem(answer, 405)
            assert set(answer.headers["allow"].split(", ")) == allowed, (method, route)


def test_every_read_waits_for_a_position_and_refuses_what_is_none(stranger: Stranger, routes: list[Route]):
    for route in reads(routes):
        assert "after" in route.parameters, route
        for after in ("x", "-1", "1.5", "", str(10**17), str(10**30)):
            refused = problem(stranger.http.get(route.path, params={"after": after}), 400)
            assert refused["errors"][0]["path"] == "query.after", route


def test_every_read_refuses_a_parameter_that_it_does_not_know_and_one_given_twice(
    stranger: Stranger, routes: list[Route]
):
    for route in reads(routes):
        assert "colour" in problem(stranger.http.get(route.path, params={"colour": "red"}), 400)["detail"]
        problem(stranger.http.get(f"{route.path}?after=0&after=0"), 400)


def test_every_list_refuses_a_bad_limit(stranger: Stranger, routes: list[Route]):
    for route in (route for route in reads(routes) if "limit" in route.parameters):
        for limit in ("0", "1001", "many", "-1", "null"):
            refused = problem(stranger.http.get(route.path, params={"limit": limit}), 400)
            assert refused["errors"][0]["path"] == "query.limit", route


def test_head_is_get_without_a_body(stranger: Stranger, routes: list[Route]):
    for route in (route for route in reads(routes) if not route.path.endswith("/stream") and "{" not in route.template):
        head, get = stranger.http.head(route.path), stranger.http.get(route.path)
        assert (head.status_code, head.content) == (get.status_code, b""), route


def test_every_write_takes_an_idempotency_key(stranger: Stranger, routes: list[Route]):
    for number, route in enumerate(writes(routes)):
        if route.path.endswith("/backfill"):
            continue  # its example is a dry run, which stores nothing
        headers = {"Idempotency-Key": f"walk-{number}-{NOBODY}"}
        first = stranger.http.request(route.method, route.path, json=route.body, headers=headers)
        again = stranger.http.request(route.method, route.path, json=route.body, headers=headers)
        assert first.status_code < 500, (route, first.text)
        if first.status_code == 404 and "idempotency-replayed" not in again.headers:
            continue  # refused by its address alone
        assert (again.status_code, again.content) == (first.status_code, first.content), route
        assert again.headers["idempotency-replayed"] == "true", route
        long = stranger.http.request(route.method, route.path, json=route.body, headers={"Idempotency-Key": "k" * 256})
        assert problem(long, 400)["errors"][0]["path"] == "header.Idempotency-Key", route


def test_every_body_is_refused_that_is_no_json_or_says_that_it_is_something_else(
    stranger: Stranger, routes: list[Route]
):
    for route in (route for route in routes if route.body is not None and "security" not in route.operation):
        csv = stranger.http.request(route.method, route.path, content=b"a,b", headers={"Content-Type": "text/csv"})
        broken = stranger.http.request(
            route.method, route.path, content=b'{"a": ', headers={"Content-Type": "application/json"}
        )
        deep = stranger.http.request(
            route.method, route.path, content=b"[" * 5_000, headers={"Content-Type": "application/json"}
        )
        assert csv.status_code in (404, 415), route
        assert broken.status_code in (400, 404), route
        assert deep.status_code in (400, 404), route
        for answer in (csv, broken, deep):
            problem(answer, answer.status_code)


def test_the_older_names_answer_as_the_newer_do(stranger: Stranger, routes: list[Route]):
    for route in routes:
        older = next((old + route.path.removeprefix(new) for new, old in OLDER if route.path.startswith(new)), None)
        if older is None or route.path.endswith("/stream"):
            continue
        body = b"{" if route.method != "GET" else None
        now, then = (stranger.http.request(route.method, path, content=body) for path in (route.path, older))
        assert then.status_code == now.status_code, (route, older, then.text)
        if route.method == "GET":
            assert then.content.replace(b'"/workflows', b'"/api/workflows') == now.content or now.is_error, route


def test_what_is_read_with_an_etag_is_304_for_who_has_it_and_its_tag_is_a_condition_of_a_write(stranger: Stranger):
    definition = workflow(transform("t"))
    saved = stranger.send("POST", "/api/workflows", definition)
    path = f"/api/workflows/{definition['id']}"
    etag = stranger.http.get(path, params={"after": saved.json()["position"]}).headers["etag"]
    for known in (etag, f"W/{etag}", f'"9", {etag}', "*"):
        answer = stranger.http.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert stranger.http.get(path, headers={"If-None-Match": '"9"'}).status_code == 200
    stale = problem(stranger.send("PUT", path, definition | {"name": "B"}, **{"If-Match": '"8", "9"'}), 412)
    assert stale["current_version"] == 1
    taken = stranger.send("PUT", path, definition | {"name": "B"}, **{"If-Match": f'"8", {etag}'})
    assert (taken.status_code, taken.json()["version"]) == (200, 2)


def test_a_workflow_that_was_archived_has_another_tag_that_names_the_same_version(stranger: Stranger):
    definition = workflow(transform("t"))
    stranger.send("POST", "/api/workflows", definition)
    path = f"/api/workflows/{definition['id']}"
    archived = stranger.send("DELETE", path)
    read = stranger.http.get(path, params={"after": archived.json()["position"]}, headers={"If-None-Match": '"1"'})
    assert (read.status_code, read.json()["status"], read.headers["etag"]) == (200, "archived", '"1.archived"')
    revived = stranger.send("PUT", path, definition, **{"If-Match": read.headers["etag"]})
    assert revived.status_code == 200


def test_templates_and_prompts_are_saved_and_deleted_on_condition(stranger: Stranger):
    definition = workflow(transform("t"))
    for path, body, anew in (
        (
            "/api/templates",
            {"id": definition["id"], "definition": definition},
            {"description": "B", "definition": definition},
        ),
        ("/api/prompts", {"id": definition["id"], "prompt": "A"}, {"prompt": "B"}),
    ):
        saved = stranger.send("POST", path, body)
        assert saved.status_code == 201, saved.text
        one = f"{path}/{definition['id']}"
        read = stranger.http.get(one, params={"after": saved.json()["position"]})
        assert stranger.http.get(one, headers={"If-None-Match": read.headers["etag"]}).status_code == 304
        problem(stranger.send("PUT", one, anew, **{"If-Match": '"7"'}), 412)
        problem(stranger.send("DELETE", one, **{"If-Match": '"7"'}), 412)
        assert stranger.send("DELETE", one, **{"If-Match": read.headers["etag"]}).status_code == 200


def test_a_subscription_is_changed_and_deleted_on_condition_and_its_tag_tells_how_it_stands(stranger: Stranger):
    made = stranger.send("POST", "/api/subscriptions", {"url": "https://ledger.example.com/hook", "enabled": False})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    path = made.headers["location"]
    read = stranger.http.get(path)
    assert read.headers["etag"].startswith('"1.')
    assert stranger.http.get(path, headers={"If-None-Match": read.headers["etag"]}).status_code == 304
    stale = problem(stranger.send("PATCH", path, {"name": "A"}, **{"If-Match": '"7"'}), 412)
    assert stale["current_version"] == 1
    changed = stranger.send("PATCH", path, {"name": "A"}, **{"If-Match": read.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert stranger.http.get(path, headers={"If-None-Match": read.headers["etag"]}).status_code == 200
    problem(stranger.send("DELETE", path, **{"If-Match": '"1"'}), 412)
    assert stranger.send("DELETE", path, **{"If-Match": '"2"'}).status_code == 200

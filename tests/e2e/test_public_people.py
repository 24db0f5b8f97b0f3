"""Users, roles and keys: what holds as soon as it is answered, what everybody may do for themselves, what is on record."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.stranger import Stranger, fresh, problem, transform, workflow

NOBODY = "01890000-0000-7000-8000-000000000000"
Object = dict[str, Any]


def add(stranger: Stranger, role: str) -> str:
    name = fresh("user")
    made = stranger.send("POST", "/api/users", {"name": name, "role": role})
    assert (made.status_code, made.headers["location"]) == (201, f"/api/users/{name}")
    assert made.json() == {"name": name, "role": role, "position": made.json()["position"]}
    return name


def key_of(stranger: Stranger, user: str, **fields: Any) -> Object:
    made = stranger.send("POST", f"/api/users/{user}/keys", fields)
    assert made.status_code == 201, made.text
    assert made.json()["key"].startswith("ffk_")
    return made.json()


def asks(stranger: Stranger, key: Object) -> httpx.Client:
    return stranger.client(f"Bearer {key['key']}")


def test_a_user_has_a_role_and_it_holds_for_keys_at_once(stranger: Stranger):
    user = add(stranger, "viewer")
    with asks(stranger, key_of(stranger, user)) as client:
        assert client.get("/api/session").json()["role"] == "viewer"
        definition = workflow(transform("a"))
        assert "editor" in problem(client.post("/api/workflows", json=definition), 403)["detail"]
        assert stranger.send("PATCH", f"/api/users/{user}", {"role": "editor"}).json()["role"] == "editor"
        assert client.post("/api/workflows", json=definition).status_code == 201
        assert stranger.get(f"/api/users/{user}")["role"] == "editor"
        stranger.send("PATCH", f"/api/users/{user}", {"role": "viewer"})
        problem(client.post("/api/workflows", json=definition), 403)


def test_who_is_removed_is_out_at_once_with_keys_sessions_and_links(stranger: Stranger):
    user = add(stranger, "admin")
    links = [stranger.send("POST", f"/api/users/{user}/login-links").json()["url"] for _ in range(2)]
    with asks(stranger, key_of(stranger, user)) as client, stranger.client() as browser:
        assert browser.get(links[0]).status_code == 303
        assert (client.get("/api/users").status_code, browser.get("/api/users").status_code) == (200, 200)
        assert stranger.send("DELETE", f"/api/users/{user}").status_code == 200
        problem(client.get("/api/session"), 401)
        problem(browser.get("/api/session"), 401)
        assert browser.get(links[1]).status_code == 401
    problem(stranger.http.get(f"/api/users/{user}"), 404)
    assert user not in [each["name"] for each in stranger.all("/api/users")]


def test_a_role_that_changes_holds_for_sessions_too(stranger: Stranger):
    user = add(stranger, "viewer")
    with stranger.client() as browser:
        browser.get(stranger.send("POST", f"/api/users/{user}/login-links").json()["url"])
        problem(browser.get("/api/users"), 403)
        problem(browser.post(f"/api/runs/{NOBODY}/cancel", headers={"Origin": stranger.endpoints["http"]}), 403)
        stranger.send("PATCH", f"/api/users/{user}", {"role": "operator"})
        problem(browser.post(f"/api/runs/{NOBODY}/cancel", headers={"Origin": stranger.endpoints["http"]}), 404)


def test_a_key_is_listed_without_itself_and_opens_nothing_once_revoked(stranger: Stranger):
    user = add(stranger, "viewer")
    first, second = key_of(stranger, user, description="import"), key_of(stranger, user)
    listed = stranger.get(f"/api/users/{user}/keys")["items"]
    assert [each["id"] for each in listed] == [second["id"], first["id"]]
    assert listed[1] == {
        "id": first["id"], "description": "import", "created_at": listed[1]["created_at"], "created_by": "admin",
        "expires_at": None,
    }  # fmt: skip
    assert stranger.get(f"/api/users/{user}")["keys_count"] == 2
    with asks(stranger, first) as client:
        assert client.get("/api/workflows").status_code == 200
        gone = stranger.send("DELETE", f"/api/users/{user}/keys/{first['id']}")
        assert gone.json() == {"id": first["id"], "user": user, "position": gone.json()["position"]}
        problem(client.get("/api/workflows"), 401)
    with asks(stranger, second) as client:
        assert client.get("/api/workflows").status_code == 200
    problem(stranger.send("DELETE", f"/api/users/{user}/keys/{first['id']}"), 404)


def test_a_key_ends_when_it_was_said_to(stranger: Stranger):
    user = add(stranger, "viewer")
    key = key_of(stranger, user, expires_at="2099-01-01T00:00:00Z")
    with asks(stranger, key) as client:
        assert client.get("/api/session").json()["expires_at"] == "2099-01-01T00:00:00Z"
    elsewhere = key_of(stranger, user, expires_at="2099-01-01T05:30:00+05:30")
    assert elsewhere["expires_at"] == key["expires_at"] == "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("name", "value"),
    [("expires_at", "2020-01-01T00:00:00Z"), ("expires_at", "2099-01-01T00:00:00"), ("expires_at", "soon"),
     ("expires_at", "9999-12-31T23:59:59-14:00"), ("expires_at", "0001-01-01T00:00:00+14:00"),
     ("description", "x" * 201), ("description", "a\x1b]0;title\x07"), ("description", "two\nlines"), ("description", "a\n")],
)  # fmt: skip
def test_a_key_that_no_table_and_no_terminal_takes_is_refused(stranger: Stranger, name: str, value: str):
    user = add(stranger, "viewer")
    refused = problem(stranger.http.post(f"/api/users/{user}/keys", json={name: value}), 422)
    assert refused["errors"][0]["path"] == f"$.{name}"
    assert stranger.send("DELETE", f"/api/users/{user}").status_code == 200


def test_a_key_is_shown_once_however_often_it_is_asked_for(stranger: Stranger):
    user = add(stranger, "viewer")
    headers = {"Idempotency-Key": fresh("once")}
    first = stranger.send("POST", f"/api/users/{user}/keys", {}, **headers)
    again = stranger.send("POST", f"/api/users/{user}/keys", {}, **headers)
    assert first.json()["key"].startswith("ffk_")
    assert again.json() == first.json() | {"key": None}
    assert len(stranger.get(f"/api/users/{user}/keys")["items"]) == 1


def test_everybody_sees_to_keys_of_their_own_and_to_nobody_elses(stranger: Stranger):
    user = add(stranger, "viewer")
    with asks(stranger, key_of(stranger, user)) as client:
        made = client.post(f"/api/users/{user}/keys", json={"description": "mine"})
        stranger.notice(made)
        assert made.status_code == 201
        assert client.get(f"/api/users/{user}").status_code == 200
        assert len(client.get(f"/api/users/{user}/keys").json()["items"]) == 2
        assert client.post(f"/api/users/{user}/login-links").status_code == 201
        assert client.delete(f"/api/users/{user}/keys/{made.json()['id']}").status_code == 200
        for method, path in (
            ("GET", "/api/users"), ("POST", "/api/users"), ("GET", "/api/users/admin"), ("PATCH", f"/api/users/{user}"),
            ("DELETE", f"/api/users/{user}"), ("GET", "/api/users/admin/keys"), ("POST", "/api/users/admin/keys"),
            ("DELETE", "/api/users/admin/keys/x"), ("POST", "/api/users/admin/login-links"),
        ):  # fmt: skip
            problem(client.request(method, path, json=None if method == "GET" else {}), 403)


def test_the_last_administrator_stays(stranger: Stranger):
    for each in list(stranger.all("/api/users")):  # whoever other tests have left
        if each["role"] == "admin" and each["name"] != "admin":
            assert stranger.send("DELETE", f"/api/users/{each['name']}").status_code == 200
    for refused in (
        stranger.send("DELETE", "/api/users/admin"), stranger.send("PATCH", "/api/users/admin", {"role": "viewer"})
    ):  # fmt: skip
        assert problem(refused, 409)["code"] == "LAST_ADMIN"
    assert "admin" in [each["name"] for each in stranger.all("/api/users")]


@pytest.mark.parametrize(
    ("body", "path"),
    [({"name": "Ada", "role": "viewer"}, "$.name"), ({"name": "ada", "role": "boss"}, "$.role"), ({"name": "ada"}, "$"),
     ({"name": "ada", "role": "viewer", "age": 3}, "$"), ({"name": "local", "role": "viewer"}, "$.name")],
)  # fmt: skip
def test_what_is_no_user_is_refused_with_the_place(stranger: Stranger, body: Object, path: str):
    assert problem(stranger.http.post("/api/users", json=body), 422)["errors"][0]["path"] == path


def test_every_change_is_on_record_with_who_asked(stranger: Stranger):
    user = add(stranger, "viewer")
    key = key_of(stranger, user)
    with asks(stranger, key) as client:
        client.post(f"/api/users/{user}/login-links")
    stranger.send("PATCH", f"/api/users/{user}", {"role": "editor"})
    stranger.send("DELETE", f"/api/users/{user}/keys/{key['id']}")
    stranger.send("DELETE", f"/api/users/{user}")
    trail = list(stranger.all("/api/audit", resource="user", subject=user))
    assert [(each["action"], each["actor"]) for each in reversed(trail)] == [
        ("add_user", "admin"), ("create_key", "admin"), ("make_login_link", user), ("change_user", "admin"),
        ("revoke_key", "admin"), ("remove_user", "admin"),
    ]  # fmt: skip


def test_what_happens_to_users_is_streamed_to_administrators(stranger: Stranger):
    user = fresh("user")
    began = stranger.send("POST", "/api/users", {"name": user, "role": "viewer"}).json()["position"] - 1
    key = key_of(stranger, user)
    definition = workflow(transform("a"))
    stranger.save(definition)
    with asks(stranger, key) as viewer:
        for client, heard in ((stranger.http, "UserAdded"), (viewer, "WorkflowCreated")):
            with client.stream("GET", "/api/stream", headers={"Last-Event-ID": f"{began}"}) as stream:
                assert next(line for line in stream.iter_lines() if line.startswith("event:")) == f"event: {heard}"


def test_the_command_line_adds_changes_and_removes(stranger: Stranger):
    def told(*words: str) -> Any:
        done = stranger.cli(*words, "--json")
        assert done.status == 0, done.err
        return json.loads(done.out)

    user = fresh("cli")
    assert told("users", "add", user, "--role", "operator")["role"] == "operator"
    key = told("keys", "create", user, "--description", "cron")
    assert [each["description"] for each in told("keys", "list", user)["items"]] == ["cron"]
    with asks(stranger, key) as client:
        assert client.get("/api/session").json()["user"] == user
    assert told("keys", "revoke", key["id"], user)["id"] == key["id"]
    assert told("users", "change", user, "--role", "viewer")["role"] == "viewer"
    assert user in [each["name"] for each in told("users", "list")["items"]]
    assert told("users", "remove", user)["name"] == user
    assert stranger.cli("users", "remove", user).status != 0

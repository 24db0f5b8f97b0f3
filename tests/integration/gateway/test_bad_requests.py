"""What a stranger may send, and the answer it gets: a problem document that says where, never a stack trace."""

import gzip
from itertools import pairwise
from typing import Any

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


def assert_problem(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "errors"} <= problem.keys()
    assert "Traceback" not in answer.text
    for word in words:
        assert word in problem["detail"]
    return problem


PATHS = ["/api/workflows", "/api/workflows/validate", "/api/workflows/w/execute", "/api/events"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"id": "a",\n "name" }', "line 2, column 9"),
        (b'{"id": ', "line 1, column 8"),
        (b'{"id": "\xff"}', ""),
        (b"[" * 100_000 + b"]" * 100_000, "deeper than 200 levels"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "deeper than 200 levels"),
        (b"}" * 500, "line 1"),
        (b'{"a": 1} x', "line 1, column 11"),
        (b'{"a": 1e999}', ""),
        (b'{"a": "\\ud800"}', ""),
    ],
)
async def test_broken_json_is_told_with_its_position(
    http: httpx.AsyncClient, path: str, body: bytes, words: str
) -> None:
    assert_problem(await http.post(path, content=body, headers=JSON), 400, words)


async def test_broken_yaml_is_told_with_its_position(http: httpx.AsyncClient) -> None:
    text = "id: a\nname: [unclosed\nnodes: []\n"
    problem = assert_problem(await http.post("/api/workflows", content=text, headers=YAML), 400)
    assert problem["errors"][0]["path"].startswith("line 3")


LAUGHS = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n" for before, name in pairwise("abcdefghijklmnop")
)


@pytest.mark.parametrize(
    "text", [LAUGHS, "!!python/object/apply:os.system [ls]", "a: &a [*a]", "{" * 5_000, "- &x 1\n- *y"]
)
async def test_yaml_that_is_no_plain_data_is_refused(http: httpx.AsyncClient, text: str) -> None:
    assert_problem(await http.post("/api/workflows", content=text, headers=YAML), 400)


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_too_large_is_refused(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.post(path, content=b'"' + b"x" * 5_000_000 + b'"', headers=JSON), 413)


@pytest.mark.parametrize("path", PATHS)
async def test_a_content_type_that_nobody_reads_is_refused(http: httpx.AsyncClient, path: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert_problem(await http.post(path, content=b"a=b", headers=headers), 415)


async def test_a_compressed_body_is_refused(http: httpx.AsyncClient) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert_problem(await http.post("/api/workflows", content=gzip.compress(b"{}"), headers=headers), 415, "compressed")


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(http: httpx.AsyncClient) -> None:
    assert_problem(await http.post("/api/nothing"), 404)
    assert_problem(await http.patch("/api/workflows/hello"), 405)


async def test_an_unknown_query_parameter_is_refused(http: httpx.AsyncClient) -> None:
    assert_problem(await http.post("/api/workflows?force=1", json={}), 400, "force")


@pytest.mark.parametrize("version", ["x", '"-1"', '"1", "x"', '""'])
async def test_an_if_match_that_names_no_version_is_refused(http: httpx.AsyncClient, version: str) -> None:
    assert_problem(await http.put("/api/workflows/w", json={}, headers={"If-Match": version}), 400, "If-Match")


@pytest.mark.parametrize("body", [b"", b"5", b"null", b"[]", b"[5]", b'{"specversion": "0.3"}'])
async def test_what_is_no_event_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    assert_problem(await http.post("/api/events", content=body, headers=JSON), 422)


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("body", [b"", b"5", b"null", b"[]", b'{"id": "hello"}', b'{"id": 5, "nodes": [[], 1, {}]}'])
async def test_what_is_no_definition_is_refused_by_catalog(http: httpx.AsyncClient, body: bytes) -> None:
    problem = assert_problem(await http.post("/api/workflows", content=body, headers=JSON), 422)
    assert problem["errors"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/api/users/%00/login-links", None), ("PATCH", "/api/subscriptions/%00", {"secret": None})],
)
async def test_a_name_that_no_table_takes_is_the_callers_mistake(
    http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert "U+0000" in answer.json()["detail"]

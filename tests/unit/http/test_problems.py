"""Whatever is raised, the answer is a problem document, and no stack trace."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from flowforge.refusals import invalid, unavailable
from litestar import Litestar, get
from litestar.params import Parameter
from litestar.testing import TestClient

from infra.eventlog import Unavailable
from infra.http.problems import Problem, exception_handlers, of_refusal
from infra.http.queries import only_known_queries


@get("/raises/{what:str}")
async def raises(what: str) -> None:
    faults: dict[str, Exception] = {
        "problem": Problem(409, "taken", code="TAKEN", errors=[{"path": "$.id", "message": "taken"}]),
        "refusal": of_refusal(
            invalid("Definition invalid", "2 faults", [{"path": "$", "message": "x"}], is_valid=False)
        ),
        "unavailable": of_refusal(unavailable("no log")),
        "log": Unavailable("gone"),
        "bug": KeyError("secret detail"),
    }
    raise faults[what]


Number = Annotated[int, Parameter(ge=1)]
Other = Annotated[str | None, Parameter(query="an-other")]


@get("/typed")
async def typed(
    number: Annotated[int, Parameter(ge=1)], other: Annotated[str | None, Parameter(query="an-other")] = None
) -> None:
    return None


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    app = Litestar(
        [raises, typed], exception_handlers=exception_handlers, guards=[only_known_queries], logging_config=None
    )
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/raises/problem", 409, "TAKEN"),
        ("/raises/refusal", 422, "INVALID"),
        ("/raises/unavailable", 503, "UNAVAILABLE"),
        ("/raises/log", 503, "UNAVAILABLE"),
        ("/raises/bug", 500, "INTERNAL_ERROR"),
        ("/nowhere", 404, "NOT_FOUND"),
        ("/typed", 400, "BAD_REQUEST"),
        ("/typed?number=x", 400, "BAD_REQUEST"),
        ("/typed?number=0", 400, "BAD_REQUEST"),
        ("/typed?number=1&nubmer=2", 400, "BAD_REQUEST"),
    ],
)
def test_everything_raised_becomes_a_problem(client: TestClient[Litestar], path: str, status: int, code: str):
    response = client.get(path)
    problem = response.json()
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/problem+json")
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:flowforge:problem:{code.lower().replace('_', '-')}"
    assert problem["title"]
    assert "secret detail" not in response.text
    assert "Traceback" not in response.text


def test_a_method_that_is_not_there_is_a_problem_too(client: TestClient[Litestar]):
    response = client.post("/typed")
    assert (response.status_code, response.json()["status"]) == (405, 405)


def test_faults_say_where_and_what(client: TestClient[Litestar]):
    assert client.get("/typed?number=0").json()["errors"] == [
        {"path": "query.number", "message": "Expected `int` >= 1"}
    ]
    fault = client.get("/typed?number=1&nubmer=2").json()["errors"][0]
    assert fault == {"path": "query.nubmer", "message": "unknown; did you mean 'number'?"}
    assert client.get("/typed?number=1&other=x").status_code == 400
    assert client.get("/typed?number=1&an-other=x").status_code == 200


def test_a_refusals_own_fields_stay_beside_the_standard_ones(client: TestClient[Litestar]):
    assert client.get("/raises/refusal").json()["is_valid"] is False


def test_what_may_pass_says_when_to_ask_again(client: TestClient[Litestar]):
    assert client.get("/raises/log").headers["retry-after"] == "1"
    assert client.get("/raises/unavailable").headers["retry-after"] == "1"

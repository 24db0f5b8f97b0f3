"""The documents are what the code says, and whole: each route with its text, its answers, its refusals and examples."""

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import chain
from typing import Any

import jsonschema_rs
import pytest
from flowforge.events import AnyEvent

from infra.documents.__main__ import texts
from infra.http.methods import methods_of, newer_path

Object = dict[str, Any]
READS, WRITES = "services.projections.api:create_app", "services.gateway.api:create_app"
FOLDER = files("flowforge.documents")
OPENAPI: Object = json.loads(FOLDER.joinpath("openapi.json").read_bytes())
ASYNCAPI: Object = json.loads(FOLDER.joinpath("asyncapi.json").read_bytes())


def operations() -> Iterator[tuple[str, Object]]:
    for path, item in OPENAPI["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def posts() -> Iterator[tuple[str, Object]]:
    """What FlowForge posts itself."""
    for name, item in OPENAPI["webhooks"].items():
        yield name, item["post"]


def contents() -> Iterator[tuple[str, Object]]:
    """Every body and every answer in JSON that is no refusal."""
    for name, operation in chain(operations(), posts()):
        told = [operation.get("requestBody", {})]
        told += [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        for each in told:
            for media_type, content in each.get("content", {}).items():
                if media_type.endswith("json"):
                    yield name, content


def test_the_documents_are_what_the_code_says() -> None:
    for name, text in texts(READS, WRITES).items():
        assert FOLDER.joinpath(name).read_bytes() == text, f"{name}: `make documents` writes it anew"


def test_every_route_has_a_text_a_name_of_its_own_and_a_group() -> None:
    names = [operation["operationId"] for _, operation in chain(operations(), posts())]
    assert len(names) == len(set(names))
    groups = {tag["name"] for tag in OPENAPI["tags"]}
    for name, operation in chain(operations(), posts()):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= groups, name


def test_every_parameter_says_what_it_does() -> None:
    for name, operation in operations():
        for parameter in operation["parameters"]:
            assert parameter["in"] == "path" or parameter.get("description"), (name, parameter["name"])


def test_every_body_and_answer_has_an_example_that_its_schema_takes() -> None:
    for name, content in contents():
        assert "example" in content, name
        schema = {**content["schema"], "components": OPENAPI["components"]}
        jsonschema_rs.validator_for(schema).validate(content["example"])


def test_every_refusal_is_a_problem_document() -> None:
    problem = {**OPENAPI["components"]["schemas"]["Problem"]}
    for example in OPENAPI["components"]["examples"].values():
        jsonschema_rs.validate(problem, example["value"])
    for name, operation in operations():
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")) and "$ref" not in answer:
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_every_route_says_what_it_refuses() -> None:
    for name, operation in operations():
        wanted = {"400", "503"} if operation.get("security") == [] else {"400", "401", "403", "503"}
        wanted |= {"404"} if "{" in name else set()
        wanted |= {"413", "415", "422"} if "requestBody" in operation else set()
        assert wanted <= operation["responses"].keys(), name


def test_every_reference_leads_somewhere() -> None:
    for document in (OPENAPI, ASYNCAPI):
        for reference in _references(document):
            at: Any = document
            for part in reference.removeprefix("#/").split("/"):
                at = at[part.replace("~1", "/")]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def test_every_event_of_the_contracts_is_a_message() -> None:
    names = {kind.__name__ for kind in AnyEvent.__args__}
    assert names <= ASYNCAPI["components"]["messages"].keys()


def test_every_message_has_an_example_that_its_schema_takes() -> None:
    for name, message in ASYNCAPI["components"]["messages"].items():
        schema = {**message["payload"], "components": ASYNCAPI["components"]}
        for example in message["examples"]:
            jsonschema_rs.validator_for(schema).validate(example["payload"])
        assert message["examples"], name


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/runs", ["GET", "HEAD", "OPTIONS"]),
        ("/api/runs/", ["GET", "HEAD", "OPTIONS"]),
        ("/api/workflow-executions", ["GET", "HEAD", "OPTIONS"]),
        ("/workflows/x", ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]),
        ("/api/triggers/test", ["OPTIONS", "POST"]),
        ("/workflowsx", []),
        ("/nowhere", []),
    ],
)
def test_the_methods_of_an_address_are_those_of_both_applications(path: str, methods: list[str]) -> None:
    assert methods_of(path) == methods


def test_an_older_name_is_one_only_as_a_whole_part() -> None:
    assert newer_path("/workflows") == "/api/workflows"
    assert newer_path("/workflowsx") == "/workflowsx"

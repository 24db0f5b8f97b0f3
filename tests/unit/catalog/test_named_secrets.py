"""Secrets by name: what follows from a command, given what happened before."""

from collections.abc import Sequence

import pytest
from flowforge.commands import DeleteSecret, SetSecret
from flowforge.events import SecretDeleted, SecretEvent, SecretSet
from flowforge.refusals import Refusal

from services.catalog.giving import Referring, references_by_node
from services.catalog.named_secrets import decide, evolve, initial
from tests.unit.catalog.conftest import Running

SET_1, SET_2 = SecretSet(name="a", secret_version=1, ref="r1"), SecretSet(name="a", secret_version=2, ref="r2")
GONE = SecretDeleted(name="a")


def after(events: Sequence[SecretEvent], command: SetSecret | DeleteSecret) -> list[SecretEvent] | Refusal:
    state = initial
    for event in events:
        state = evolve(state, event)
    decided = decide(state, command)
    if not isinstance(decided, Refusal):
        for event in decided:
            state = evolve(state, event)
        again = decide(state, command)
        assert isinstance(again, Refusal) or again == []
    return decided


def set_(ref: str, name: str = "a") -> SetSecret:
    return SetSecret(command_id="c", name=name, ref=ref)


DELETE = DeleteSecret(command_id="c", name="a")


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        ([], set_("r1"), [SET_1]),
        ([SET_1], set_("r1"), []),
        ([SET_1], set_("r2"), [SET_2]),
        ([SET_1], DELETE, [GONE]),
        ([SET_1, GONE], set_("r1"), [SecretSet(name="a", secret_version=2, ref="r1")]),
    ],
)
def test_a_change_is_an_event_and_the_same_value_is_none(
    before: list[SecretEvent], command: SetSecret | DeleteSecret, events: list[SecretEvent]
):
    assert after(before, command) == events


@pytest.mark.parametrize("before", [[], [SET_1, GONE]])
def test_what_is_not_there_cannot_be_deleted(before: list[SecretEvent]):
    refusal = after(before, DELETE)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.detail) == (404, "there is no secret 'a'")


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a" * 64, "a\n"])
def test_a_name_is_an_identifier_of_cel(name: str):
    refusal = after([], set_("r", name))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 422


async def test_every_change_is_answered_with_its_place_the_same_again_and_said_to_nobody(running: Running):
    changes = [
        SetSecret(command_id="1", name="a", ref="r1"),
        SetSecret(command_id="2", name="a", ref="r2"),
        SetSecret(command_id="3", name="a", ref="r2"),
        DeleteSecret(command_id="4", name="a"),
        SetSecret(command_id="5", name="b", ref="r1"),
    ]
    answers = await running.turn(*changes)
    assert [(answer["ok"]["name"], answer["ok"]["version"]) for answer in answers] == [
        ("a", 1), ("a", 2), ("a", 2), ("a", 2), ("b", 1)
    ]  # fmt: skip
    assert [answer["ok"].keys() for answer in answers] == [{"name", "version", "position"}] * 5
    logged = await running.events()
    assert await running.turn(*(changes[at] for at in (0, 1, 3, 4))) == [answers[at] for at in (0, 1, 3, 4)]
    assert await running.events() == logged
    assert sorted(event.type for event in logged) == ["SecretDeleted", "SecretSet", "SecretSet", "SecretSet"]
    assert running.said == []


async def test_who_loses_the_race_for_a_name_decides_again(running: Running):
    async def before_append() -> None:
        await running.turn(SetSecret(command_id="other", name="a", ref="r1"))

    running.before_append = before_append
    [answer] = await running.turn(SetSecret(command_id="mine", name="a", ref="r2"))
    assert (answer["ok"]["version"], len(await running.events())) == (2, 2)


def test_a_node_refers_to_the_secrets_that_its_templates_name():
    script = {"type": "script", "language": "bash", "source": "echo ${secrets.no}"}
    inner = {**script, "id": "inner", "env": {"A": "x ${secrets.inner} y", "B": '${secrets["other"]}'}}
    nodes = [
        {"id": "call", "type": "webhook", "url": "https://x/?k=${secrets.key}", "body": {"deep": ["${secrets.deep}"]}},
        {"id": "ask", "type": "sql", "connection": "db", "query": "select 1", "parameters": ["${secrets.p}"]},
        {
            "id": "plain",
            "type": "script",
            **{k: v for k, v in script.items() if k != "type"},
            "env": {"A": "$${secrets.no}"},
        },
        {"id": "again", "type": "loop", "loop_type": "count", "count": 1, "body": {"nodes": [inner]}},
    ]
    found = references_by_node({"id": "w", "name": "W", "nodes": nodes})
    assert {node: refers.secrets for node, refers in found.items()} == {
        "call": {"key", "deep"}, "ask": {"db", "p"}, "inner": {"inner", "other"},
    }  # fmt: skip


def test_a_node_refers_to_the_stored_prompt_that_it_names():
    asks = {"type": "prompt_execution", "provider_model": "ollama:m"}
    nodes = [
        {"id": "own", **asks, "prompt": "hi"},
        {"id": "any", **asks, "prompt_id": "greet", "options": {"api_key": "${secrets.key}"}},
        {"id": "one", **asks, "prompt_id": "greet", "prompt_version": 2},
    ]
    assert references_by_node({"id": "w", "name": "W", "nodes": nodes}) == {
        "any": Referring(frozenset({"key"}), ("greet", None)),
        "one": Referring(frozenset(), ("greet", 2)),
    }

"""Secrets of webhook triggers: taken out before anything is logged, kept by whoever saves without one."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from flowforge.commands import (
    AddTrigger,
    ArchiveWorkflow,
    ChangeTrigger,
    ChangeTriggers,
    Command,
    CreateWorkflow,
    RemoveTrigger,
    RollbackWorkflow,
    TriggerChange,
    UpdateWorkflow,
    ValidateWorkflow,
    packed,
)

from infra.secrets import owner_of_webhook
from services.catalog.handlers import Catalog

OLD, NEW, THIRD = "the old secret of hello", "the new secret of hello", "the third secret of hello"
OWNER = owner_of_webhook("hello", "hook")


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def trigger(secret: Any = None, name: str = "hook", **config: Any) -> dict[str, Any]:
    return {"id": name, "type": "webhook", "config": {**config, **({} if secret is None else {"secret": secret})}}


def definition(*triggers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "hello", "name": "Hello", "nodes": [{"id": "s", "type": "start"}], "triggers": list(triggers), **more
    }  # fmt: skip


def create(*triggers: dict[str, Any]) -> Command:
    return CreateWorkflow(command_id=str(uuid4()), definition=raw(definition(*triggers)))


def update(*triggers: dict[str, Any], **more: Any) -> Command:
    return UpdateWorkflow(
        command_id=str(uuid4()), workflow_id="hello", definition=raw(definition(*triggers, **more))
    )  # fmt: skip


def patch(config: Any, **more: Any) -> Command:
    return ChangeTrigger(
        command_id=str(uuid4()), workflow_id="hello", trigger_id="hook", patch=raw({"config": config, **more})
    )  # fmt: skip


async def saved(running: Any, command: Command) -> dict[str, Any]:
    [answer] = await running.turn(command)
    assert "ok" in answer, answer
    return answer["ok"]


async def errors(running: Any, command: Command) -> list[tuple[str, str, str]]:
    [answer] = await running.turn(command)
    found = answer["refused"]["errors"]
    return [(each["type"], each["path"], each["suggested_resolution"]) for each in found]


async def stored(running: Any) -> dict[str, Any]:
    """The newest definition, as logged."""
    definitions = [msgspec.json.decode(event.data).get("definition") for event in await running.events()]
    return [each for each in definitions if each is not None][-1]


async def accepted(running: Any, number: int = 0) -> list[tuple[str, Any]]:
    """The secrets that the trigger accepts, each with its end."""
    stored_trigger = (await stored(running))["triggers"][number]
    refs = stored_trigger["config"]["secret_refs"]
    opened = await running.secrets.get(owner_of_webhook("hello", stored_trigger["id"]), [ref["id"] for ref in refs])
    return [(opened[ref["id"]], ref.get("expires_at")) for ref in refs]


async def assert_nowhere(running: Any, *secrets: str) -> None:
    everything = b"".join(event.data for event in await running.events())
    everything += b"".join(outgoing.body for outgoing in running.said)
    assert all(secret.encode() not in everything for secret in secrets)


async def test_a_secret_is_stored_and_the_log_holds_a_reference(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    assert await accepted(running) == [(OLD, None)]
    assert "secret" not in (await stored(running))["triggers"][0]["config"]
    await assert_nowhere(running, OLD)
    assert all(OLD.encode() not in sealed for sealed in running.secrets.sealed.values())


async def test_it_is_stored_before_it_is_referred_to(running: Any) -> None:
    async def before_append() -> None:
        assert len(running.secrets.sealed) == 1
        assert await running.events() == []

    running.before_append = before_append
    await saved(running, create(trigger(OLD)))
    assert running.before_append is None


@pytest.mark.parametrize(
    "again",
    [
        update(trigger(), description="another"),
        update(trigger(filter="event.data.n > 1")),
        update(trigger(OLD)),
        update(trigger(secret_refs=[{"id": "f" * 32}])),
        patch({"tolerance_ms": 1_000}),
        patch({"secret": None, "secret_refs": None}, name="Another"),
    ],
)
async def test_whoever_saves_without_a_secret_keeps_the_one_there_is(running: Any, again: Command) -> None:
    await saved(running, create(trigger(OLD)))
    await saved(running, again)
    assert await accepted(running) == [(OLD, None)]
    await assert_nowhere(running, OLD)


async def test_what_was_read_and_what_was_applied_before_make_no_new_version(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    assert (await saved(running, update(*(await stored(running))["triggers"])))["version"] == 1
    assert (await saved(running, update(trigger(OLD))))["version"] == 1


async def test_a_new_secret_takes_the_place_of_the_last_one_which_is_accepted_for_a_while(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    assert (await saved(running, patch({"secret": NEW})))["version"] == 2
    until = msgspec.to_builtins(running.now + timedelta(days=1))
    assert await accepted(running) == [(NEW, None), (OLD, until)]
    assert (await saved(running, patch({"secret": NEW})))["version"] == 2, "the same again"
    await saved(running, patch({"secret": THIRD, "secret_overlap_ms": 60_000}))
    soon = msgspec.to_builtins(running.now + timedelta(minutes=1))
    assert await accepted(running) == [(THIRD, None), (NEW, soon)], "the one before is accepted until the next change"
    await saved(running, patch({"secret": OLD, "secret_overlap_ms": 0}))
    assert await accepted(running) == [(OLD, None)]


async def test_of_a_list_exactly_those_are_accepted(running: Any) -> None:
    await saved(running, create(trigger([OLD, NEW])))
    assert await accepted(running) == [(OLD, None), (NEW, None)]
    await saved(running, patch({"secret": [NEW]}))
    assert await accepted(running) == [(NEW, None)]


async def test_several_triggers_have_secrets_of_their_own(running: Any) -> None:
    await saved(running, create(trigger(OLD), trigger(OLD, "other")))
    assert await accepted(running, 0) == await accepted(running, 1) == [(OLD, None)]
    first, second = [each["config"]["secret_refs"] for each in (await stored(running))["triggers"]]
    assert first != second, "one reference does not tell of the other"


async def test_every_way_of_saving_takes_it_out(running: Any) -> None:
    large = raw(definition(trigger(OLD)))
    await saved(running, CreateWorkflow(command_id=str(uuid4()), definition_packed=packed(bytes(large))))
    added = AddTrigger(command_id=str(uuid4()), workflow_id="hello", trigger=raw(trigger(NEW, "other")))
    await saved(running, added)
    change = TriggerChange("hello", "hook", raw({"config": {"secret": THIRD}}))
    await saved(running, ChangeTriggers(command_id=str(uuid4()), items=[change]))
    assert [secret for secret, _ in await accepted(running)] == [THIRD, OLD]
    assert await accepted(running, 1) == [(NEW, None)]
    spelt = bytes(raw(definition(trigger("secret in an odd spelling")))).replace(b'"secret"', b'"\\u0073ecret"')
    await saved(running, UpdateWorkflow(command_id=str(uuid4()), workflow_id="hello", definition=msgspec.Raw(spelt)))
    assert (await accepted(running))[0] == ("secret in an odd spelling", None)
    await assert_nowhere(running, OLD, NEW, THIRD, "secret in an odd spelling")


async def test_a_rollback_brings_no_withdrawn_secret_back(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    await saved(running, update(trigger([NEW]), description="another"))
    await saved(running, RollbackWorkflow(command_id=str(uuid4()), workflow_id="hello", version=1))
    assert await accepted(running) == [(NEW, None)]
    assert (await stored(running)).get("description") != "another"


async def test_a_trigger_that_is_gone_comes_back_with_its_secret(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    await saved(running, RemoveTrigger(command_id=str(uuid4()), workflow_id="hello", trigger_id="hook"))
    assert await errors(running, update(trigger())) == [
        ("MISSING_SECRET", "$.triggers[0].config.secret", 'make one: echo "whsec_$(openssl rand -base64 32)"')
    ]
    await saved(running, RollbackWorkflow(command_id=str(uuid4()), workflow_id="hello", version=1))
    assert await accepted(running) == [(OLD, None)]


async def test_an_archived_workflow_is_revived_with_its_secret(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    await saved(running, ArchiveWorkflow(command_id=str(uuid4()), workflow_id="hello"))
    await saved(running, update(trigger()))
    assert await accepted(running) == [(OLD, None)]


async def test_nobody_takes_over_the_secret_of_another_trigger(running: Any) -> None:
    await saved(running, create(trigger(OLD)))
    refs = (await stored(running))["triggers"][0]["config"]["secret_refs"]
    found = await errors(running, update(trigger(), trigger(name="thief", secret_refs=refs)))
    assert [(kind, path) for kind, path, _ in found] == [("MISSING_SECRET", "$.triggers[1].config.secret")]


@pytest.mark.parametrize(
    ("secret", "provider", "kind", "below"),
    [
        (None, "standard", "MISSING_SECRET", ""),
        ("short", "github", "INVALID_SECRET", ""),
        ("x" * 513, "github", "INVALID_SECRET", ""),
        ("has a line end\n", "slack", "INVALID_SECRET", ""),
        ("whsec_not base64!", "standard", "INVALID_SECRET", ""),
        ("whsec_dG9vIHNob3J0", "standard", "INVALID_SECRET", ""),
        ("whsec_" + "A" * 100, "standard", "INVALID_SECRET", ""),
        ([], "standard", "INVALID_SECRET", ""),
        ([OLD] * 6, "standard", "INVALID_SECRET", ""),
        ([OLD, "short"], "standard", "INVALID_SECRET", "[1]"),
        (17, "standard", "INVALID_FIELD", ""),
    ],
)
async def test_what_can_be_no_secret_is_refused_and_not_repeated(
    running: Any, secret: Any, provider: str, kind: str, below: str
) -> None:
    [answer] = await running.turn(create(trigger(secret, provider=provider)))
    [error] = answer["refused"]["errors"]
    assert (error["type"], error["path"]) == (kind, f"$.triggers[0].config.secret{below}")
    assert error["suggested_resolution"]
    assert not isinstance(secret, str) or secret not in msgspec.json.encode(answer).decode()
    assert await running.events() == []


@pytest.mark.parametrize(
    ("secret", "provider"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "standard"),
        ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "standard"),
        ("It's a Secret to Everybody", "github"),
        ("whsec_5f1a9c0e7d3b", "stripe"),
        ("8f742231b10e8888abcd99yyyzzz85a5", "slack"),
    ],
)
async def test_secrets_as_the_providers_make_them_are_taken(running: Any, secret: str, provider: str) -> None:
    assert (await saved(running, create(trigger(secret, provider=provider))))["warnings"] == []


async def test_a_secret_that_can_be_guessed_is_warned_about(running: Any) -> None:
    [warning] = (await saved(running, create(trigger("topsecret"))))["warnings"]
    assert (warning["type"], warning["path"]) == ("WEAK_SECRET", "$.triggers[0].config.secret")


async def test_a_filter_that_does_not_compile_is_refused_with_its_place(running: Any) -> None:
    found = await errors(running, create(trigger(OLD, filter="event.data. >")))
    assert [(kind, path) for kind, path, _ in found] == [("EXPRESSION_ERROR", "$.triggers[0].config.filter")]


async def test_validation_wants_a_secret_or_what_was_read(running: Any) -> None:
    async def is_valid(*triggers: dict[str, Any]) -> bool:
        command = ValidateWorkflow(command_id=str(uuid4()), definition=raw(definition(*triggers)))
        return (await saved(running, command))["is_valid"]

    assert await is_valid(trigger(OLD))
    assert not await is_valid(trigger())
    await saved(running, create(trigger(OLD)))
    assert await is_valid(*(await stored(running))["triggers"])


async def test_without_a_key_secrets_are_refused_and_all_else_works(running: Any) -> None:
    running.service = Catalog(running.log, "flowforge")
    [answer] = await running.turn(create(trigger(OLD)))
    assert answer["refused"]["status"] == 409
    assert "FLOWFORGE_SECRETS_KEY" in answer["refused"]["detail"]
    await saved(running, create())

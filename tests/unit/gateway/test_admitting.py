"""Which deliveries are admitted: by the definition as the log has it now, and the secrets that count now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated, encode
from flowforge.identity import named_stream
from standardwebhooks import Webhook

from infra.eventlog import Append, Appended, MemoryEventLog, NewEvent, StreamAppend
from infra.http.problems import Problem
from infra.secrets import MemorySecrets, Secret, SecretKey, owner_of_webhook
from services.gateway.deliveries import Delivery
from services.gateway.webhooks import Webhooks

FIRST, SECOND = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Gate:
    """The gateway's view of one log, at a time of the test's choosing."""

    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.now = START
        self.secrets = MemorySecrets(SecretKey(bytes(32)))
        self.webhooks = Webhooks(self.log, self.secrets, lambda: self.now)
        self._versions = 0

    async def saves(self, *refs: tuple[str, datetime | None], trigger_id: str = "hook", **config: Any) -> None:
        """A version of `w` with one webhook trigger that refers to these secrets."""
        owner = owner_of_webhook("w", trigger_id)
        named = [(self.secrets.fingerprint(owner, value), value, until) for value, until in refs]
        await self.secrets.put([Secret(owner, name, value) for name, value, _ in named])
        references = [{"id": name, **({"expires_at": until} if until else {})} for name, _, until in named]
        hook = {"id": trigger_id, "type": "webhook", "config": {"secret_refs": references, **config}}
        document = {"id": "w", "name": "w", "nodes": [], "triggers": [hook]}
        kind = WorkflowUpdated if self._versions else WorkflowCreated
        await self.logs(
            kind(
                workflow_id="w",
                workflow_version=self._versions + 1,
                definition=msgspec.Raw(msgspec.json.encode(document)),
            )
        )

    async def logs(self, event: WorkflowEvent) -> None:
        new = NewEvent(type(event).__name__, encode(event))
        stream = StreamAppend("workflow", named_stream("workflow", "w"), self._versions, [new])
        [answer] = await self.log.append([Append([stream], recorded_at=self.now)])
        assert isinstance(answer, Appended)
        self._versions += 1

    async def status(self, secret: str = FIRST, trigger_id: str = "hook", workflow_id: str = "w") -> int:
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(self.now.timestamp())),
            "webhook-signature": Webhook(secret).sign("msg_1", self.now, "{}"),
        }
        try:
            admitted = await self.webhooks.admit(workflow_id, trigger_id, headers, b"{}")
        except Problem as problem:
            return problem.status
        assert isinstance(admitted, Delivery)
        return 202


async def test_a_save_counts_for_the_next_delivery():
    gate = Gate()
    assert await gate.status() == 401
    await gate.saves((FIRST, None))
    assert await gate.status() == 202
    await gate.saves((SECOND, None))
    assert (await gate.status(FIRST), await gate.status(SECOND)) == (401, 202)
    await gate.saves((SECOND, None), trigger_id="another")
    assert await gate.status(SECOND) == 401
    assert await gate.status(SECOND, "another") == 202


async def test_a_secret_that_was_replaced_is_accepted_until_its_time_is_over():
    gate = Gate()
    await gate.saves((SECOND, None), (FIRST, START + timedelta(hours=1)))
    assert (await gate.status(FIRST), await gate.status(SECOND)) == (202, 202)
    gate.now = START + timedelta(minutes=59, seconds=59)
    assert await gate.status(FIRST) == 202
    gate.now = START + timedelta(hours=1)
    assert (await gate.status(FIRST), await gate.status(SECOND)) == (401, 202)


async def test_an_archived_workflow_still_takes_deliveries():
    gate = Gate()
    await gate.saves((FIRST, None))
    await gate.logs(WorkflowArchived(workflow_id="w"))
    assert await gate.status() == 202
    assert await Webhooks(gate.log, gate.secrets, lambda: gate.now).admit(
        "w", "hook", {
            "webhook-id": "m", "webhook-timestamp": str(int(START.timestamp())),
            "webhook-signature": Webhook(FIRST).sign("m", START, "1"),
        }, b"1",
    ) == Delivery("m", msgspec.Raw(b"1"))  # fmt: skip


async def test_without_the_right_key_senders_are_asked_to_come_again():
    gate = Gate()
    await gate.saves((FIRST, None))
    gate.webhooks = Webhooks(gate.log, None, lambda: gate.now)
    assert await gate.status() == 503
    assert await gate.status(trigger_id="nothing") == 401
    other = MemorySecrets(SecretKey(bytes([1] * 32)))
    other.sealed = gate.secrets.sealed
    gate.webhooks = Webhooks(gate.log, other, lambda: gate.now)
    assert await gate.status() == 503


async def test_a_secret_that_is_lost_verifies_nothing():
    gate = Gate()
    await gate.saves((FIRST, None), (SECOND, None))
    lost = gate.secrets.fingerprint(owner_of_webhook("w", "hook"), FIRST)
    del gate.secrets.sealed[owner_of_webhook("w", "hook"), lost]
    assert (await gate.status(FIRST), await gate.status(SECOND)) == (401, 202)


async def test_only_triggers_that_are_there_are_counted():
    gate = Gate()
    await gate.saves((FIRST, None))
    for trigger_id, workflow_id in (("nothing", "w"), ("hook", "nowhere")):
        assert await gate.status(SECOND, trigger_id, workflow_id) == 401
    assert gate.webhooks.rejections.due(0.0) == []
    assert await gate.status(SECOND) == 401
    [counted] = gate.webhooks.rejections.due(0.0)
    assert counted.reasons == {"signature": 1}


@pytest.mark.parametrize("tolerance_ms", [1_000, 60_000])
async def test_the_tolerance_is_the_triggers_own(tolerance_ms: int):
    gate = Gate()
    await gate.saves((FIRST, None), tolerance_ms=tolerance_ms)
    at = START - timedelta(seconds=30)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(FIRST).sign("msg_1", at, "{}"),
    }
    if tolerance_ms == 60_000:
        assert isinstance(await gate.webhooks.admit("w", "hook", headers, b"{}"), Delivery)
    else:
        with pytest.raises(Problem, match="too far from now"):
            await gate.webhooks.admit("w", "hook", headers, b"{}")

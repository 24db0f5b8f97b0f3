"""The load of every case: workflows of each kind (`workflows`), started over NATS and HTTP while a fault is injected.

Every sender does what the promise asks of senders: it sends the same thing under the same identity until it is
answered. What was answered is remembered, and so is what was only tried.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
import msgspec
from flowforge.envelope import CloudEvent, encode, now
from flowforge.events import RUN_ENDINGS, decode
from nats.errors import Error as NatsError

from infra.eventlog import StoredEvent
from tests.faults import invariants
from tests.faults.system import SUBJECTS, System
from tests.faults.workflows import DEFINITIONS, JOINED

SOURCE = "/faults"
SENT_WITHIN_S = 60.0
QUIET_WITHIN_S = 30.0
PACE_S = 0.04
RETRY_WAIT_S = 0.1
ACK_TIMEOUT_S = 1.0
STUCK_SHOWN_MAX = 3
LARGE = 300_000
"""Characters of an output that travels by reference."""
UPSTREAMS = {name: invariants.Trigger("joined", "on") for name in ("map", "retry")}
TRIGGERS = {
    definition["triggers"][0]["config"]["event_type"]: invariants.Trigger(
        definition["id"], "on", is_half=definition["id"] == "chain"
    )
    for definition in DEFINITIONS
}
LIMITS = {"limited": 2, "pair": 2}
"""Slots of all keys together."""
POLICIES = {("retry", "flaky"): 3}
ENDINGS = {"cleanup": "RunFailed"}
_runs = itertools.count(1)


async def register(system: System) -> None:
    """Save the workflows of the load."""
    for definition in [*DEFINITIONS, JOINED]:
        await system.client.save_workflow(definition)


class Load:
    """What one case sends, and what came of it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.name = f"load{next(_runs)}"
        self.sent = invariants.Sent()
        self._number = itertools.count(1)
        self._unanswered: dict[int, CloudEvent] = {}
        self._key = system.cluster.admin_key
        self._deadline = 0.0

    async def begin(self) -> None:
        """Everything before this belongs to earlier cases."""
        await self.system.read_on()
        self.system.history.begin()
        self._first_said = await self.system.last_said_sequence() + 1

    async def send(self, rounds: int = 2) -> None:
        """Send one of everything, `rounds` times, a little apart, and what an earlier call was cut off before it had answered;
        returns once each is accepted."""
        self._deadline = time.monotonic() + SENT_WITHIN_S
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {self._key}"}, timeout=15) as http:
            sending = [partial(self._ask_and_answer, number) for number in self._unanswered]
            sending += [one for _ in range(rounds) for one in self._round(http)]
            await asyncio.gather(*(self._later(place * PACE_S, one) for place, one in enumerate(sending)))

    def _round(self, http: httpx.AsyncClient) -> list[Any]:
        data = [{"n": next(self._number), "size": 0} for _ in range(4)]
        data[1]["size"] = data[0]["size"] = LARGE
        return [
            *(partial(self.publish, "faults.chain", each) for each in data),
            partial(self.publish, "faults.map", {"items": [1, 2, 3, 4, 5]}),
            partial(self.execute, http, "chain", {"n": next(self._number), "size": 0}),
            partial(self.publish, "faults.retry", {}),
            partial(self.publish, "faults.loop", {"items": [1, 2]}),
            partial(self.publish, "faults.race", {"n": next(self._number)}),
            partial(self._ask_and_answer, next(self._number)),
            partial(self.publish, "faults.late", {"n": next(self._number)}),
            *(partial(self.publish, "faults.batched", {"n": next(self._number)}) for _ in range(4)),
            partial(self.save, http),
            partial(self.publish, "faults.cleanup", {}),
            partial(self.announce, http, "faults.chain", {"n": next(self._number), "size": 0}),
            partial(self.announce, http, "faults.chain", {"n": next(self._number), "size": 0}),
            *(partial(self.publish, "faults.limited", {"n": n, "key": f"{self.name}-{n % 2}"}) for n in range(4)),
            partial(self.publish, "faults.script", {"n": next(self._number)}),
            partial(self.execute, http, "map", {"items": [1, 2]}),
            partial(self.publish, "faults.parent", {"items": [1, 2]}),
            partial(self._fork_under_way, http),
            partial(self._fork_in_shadow, http),
            partial(self.save, http),
        ]

    async def _later(self, delay_s: float, one: Any) -> None:
        """The pace of the load: a fault shall meet it half way."""
        await asyncio.sleep(delay_s)
        await one()

    # --- ways in ------------------------------------------------------------------------------------------------------

    async def publish(self, event_type: str, data: dict[str, Any]) -> str:
        """One event over NATS, under one id, until it is acknowledged."""
        return await self._publish(self._event(event_type, data), data.get("n", 0))

    async def _publish(self, event: CloudEvent, number: int) -> str:
        body = encode(event)
        jetstream = self.system.outside.jetstream(timeout=ACK_TIMEOUT_S)
        self._deadline = self._deadline or time.monotonic() + SENT_WITHIN_S
        while True:
            try:
                await jetstream.publish(
                    SUBJECTS.inbox("faults"), body, stream=SUBJECTS.inbox_stream, headers={"Nats-Msg-Id": event.id}
                )
            except (NatsError, TimeoutError, OSError) as fault:
                await self._again(f"the event {event.id} is not acknowledged: {fault!r}")
            else:
                self.sent.accepted[event.source, event.id] = event.type, number
                return event.id

    async def _ask_and_answer(self, number: int) -> None:
        """A run that waits for an event, and the event once it does: after that, it must not be missed."""
        asked = self._unanswered.setdefault(number, self._event("faults.waits", {"n": number}))
        await self._publish(asked, number)
        await self.system.until(partial(self._waits_for_answer, number), SENT_WITHIN_S, lambda: f"{number} never waits")
        await self.publish("answer", {"n": number})
        del self._unanswered[number]

    async def _waits_for_answer(self, number: int) -> bool:
        events = await self.system.read_on()
        given = b'"input_data":{"n":%d}' % number
        runs = {event.stream_id for event in events if event.type == "WorkflowTriggered" and given in event.data}
        return any(
            event.stream_id in runs and event.type == "NodeWaiting" and b'"for":"event"' in event.data
            for event in events
        )

    async def announce(self, http: httpx.AsyncClient, event_type: str, data: dict[str, Any]) -> None:
        """One event over HTTP."""
        event = self._event(event_type, data)
        await self._post(http, "POST", "/api/events", encode(event), event.id)
        self.sent.accepted[event.source, event.id] = event.type, data.get("n", 0)

    async def execute(self, http: httpx.AsyncClient, workflow_id: str, data: dict[str, Any]) -> str:
        """One run by hand; its key is the run's label."""
        key = f"{self.name}-run-{next(self._number)}"
        body = msgspec.json.encode({"input_data": data, "labels": {"key": key}})
        self.sent.requested.setdefault(key, set())
        answer = await self._post(http, "POST", f"/api/workflows/{workflow_id}/execute", body, key)
        self.sent.requested[key].add(answer["run_id"])
        again = await self._post(http, "POST", f"/api/workflows/{workflow_id}/execute", body, key)
        self.sent.requested[key].add(again["run_id"])
        return answer["run_id"]

    async def _fork_under_way(self, http: httpx.AsyncClient) -> None:
        """A fork of a run that has hardly begun: what has completed is taken over, whatever that is by then."""
        origin = await self.execute(http, "chain", {"n": next(self._number), "size": 0})
        await self._fork(http, origin, {})

    async def _fork_in_shadow(self, http: httpx.AsyncClient) -> None:
        """A run from its beginning once more, its jobs taken from history."""
        origin = await self.execute(http, "map", {"items": [1, 2]})
        await self.system.until(partial(self._has_ended, origin), SENT_WITHIN_S, lambda: f"{origin} does not end")
        events = await self.system.read_on()
        first = next(event.position for event in events if str(event.stream_id) == origin)
        shadow = await self._fork(http, origin, {"shadow": True}, first)
        await self.system.until(partial(self._has_ended, shadow), SENT_WITHIN_S, lambda: f"{shadow} does not end")
        kinds = {event.type for event in await self.system.read_on() if str(event.stream_id) == shadow}
        assert "NodeQueued" not in kinds, f"the shadow run {shadow} handed out a job"

    async def _has_ended(self, run_id: str) -> bool:
        events = await self.system.read_on()
        return any(event.type in RUN_ENDINGS and str(event.stream_id) == run_id for event in events)

    async def _fork(self, http: httpx.AsyncClient, origin: str, changes: dict[str, Any], at: int | None = None) -> str:
        """One fork, asked for twice under one key, which is its label."""
        key = f"{self.name}-fork-{next(self._number)}"
        body = msgspec.json.encode({"at": at, "changes": {"labels": {"key": key}, **changes}})
        self.sent.requested.setdefault(key, set())
        answers = [await self._post(http, "POST", f"/api/runs/{origin}/fork", body, key) for _ in range(2)]
        self.sent.requested[key] |= {answer["run_id"] for answer in answers}
        return answers[0]["run_id"]

    async def save(self, http: httpx.AsyncClient) -> None:
        """One workflow of its own."""
        workflow_id = f"{self.name}-saved-{next(self._number)}"
        body = msgspec.json.encode({"id": workflow_id, "name": "Saved", "nodes": [{"id": "start", "type": "start"}]})
        await self._post(http, "POST", "/api/workflows", body, workflow_id)
        self.sent.saved.append(workflow_id)

    def _event(self, event_type: str, data: dict[str, Any]) -> CloudEvent:
        identity = f"{self.name}-{next(self._number)}"
        return CloudEvent(
            id=identity, source=SOURCE, type=event_type, time=now(), data=msgspec.Raw(msgspec.json.encode(data))
        )

    async def _post(self, http: httpx.AsyncClient, method: str, path: str, body: bytes, key: str) -> dict[str, Any]:
        """Ask under one key until somebody answers; a refusal is none of the answers expected here."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        while True:
            try:
                response = await http.request(method, self.system.http + path, content=body, headers=headers)
            except httpx.TransportError as fault:
                told = repr(fault)
            else:
                if response.status_code < 300:
                    return response.json()
                told = f"{response.status_code} {response.text[:500]}"
                assert response.status_code >= 500, f"{method} {path} under {key} was refused: {told}"
            await self._again(f"{method} {path} under {key} is not answered: {told}")

    async def _again(self, told: str) -> None:
        assert time.monotonic() < self._deadline, f"{told}\n{self.system.tails()}"
        await asyncio.sleep(RETRY_WAIT_S)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def quiet(self, timeout_s: float = QUIET_WITHIN_S) -> None:
        """Wait until every run has ended and left its slot, no trigger holds anything, and nothing is left on NATS. Fails
        with what is stuck, and why."""
        await self.system.until(self._runs_ended, timeout_s, self.stuck)
        await self.system.until(self._slots_free, timeout_s, lambda: f"slots of runs that ended: {self._busy}")
        await self.system.until(self._nothing_left, timeout_s, lambda: "\n".join([*self._left, self.stuck()]))

    async def is_received(self) -> bool:
        """Whether everything that was accepted is in the log."""
        return not invariants.not_received(await self.system.read_on(), self.sent)

    async def _runs_ended(self) -> bool:
        events = await self.system.read_on()
        self._missing = invariants.not_received(events, self.sent)
        self._open = invariants.open_runs(events)
        self._held = invariants.still_held(events)
        return not self._missing and not self._open and not self._held

    async def _slots_free(self) -> bool:
        self._busy = invariants.slots_in_use(await self.system.read_on())
        return not self._busy

    async def _nothing_left(self) -> bool:
        """What was heard is logged by then, so that it may have led to more."""
        self._left = invariants.left_over(await self.system.queues())
        return await self._runs_ended() and not self._left

    def stuck(self) -> str:
        """Which runs have not ended, and what happened in them."""
        lines = [*self._missing, *self._held]
        lines.append(f"{len(self._open)} runs have not ended")
        for run_id in list(self._open)[:STUCK_SHOWN_MAX]:
            lines.append(f"run {run_id}")
            lines += [_line(event) for event in self.system.history.events if event.stream_id == run_id]
        return "\n".join(lines)

    async def check(self, *, is_all_said: bool = True, endings: Mapping[str, str] = ENDINGS) -> None:
        """Every invariant; `is_all_said` is not asked where NATS lost what it held. `endings`: see `invariants`."""
        system = self.system
        events = await system.read_on()
        known = system.history
        found = [
            *invariants.accepted_once(events, self.sent),
            *invariants.one_run_per_firing(events),
            *invariants.decided_once(events, self.sent, TRIGGERS),
            *invariants.still_held(events),
            *invariants.consumed_once(events),
            *invariants.endings_decided(events, UPSTREAMS),
            *invariants.contiguous(events, known.position, known.versions),
            *invariants.ends_or_waits(events),
            *invariants.ended_as_expected(events, endings),
            *invariants.accepted_results(events, POLICIES),
            *invariants.slots_are_kept(events, LIMITS),
        ]
        # a timer that an earlier case set may come due at any moment: then it is on its way, and its owner takes it
        await system.until(self._nothing_left, QUIET_WITHIN_S, lambda: "\n".join([*self._left, self.stuck()]))
        if is_all_said:
            found += invariants.said(events, await system.said(self._first_said))
        found += await invariants.chain_is_whole(system.reader_dsn)
        found += await invariants.read_models_are_fresh(system.log, system.service_dsn)
        assert not found, "\n".join(found) + "\n" + system.tails()


def _line(event: StoredEvent) -> str:
    body = decode(event.type, event.data)
    told = {name: str(value)[:80] for name, value in msgspec.structs.asdict(body).items() if name != "variables"}
    shown = ("node_id", "instance", "attempt", "delivery", "worker", "purpose", "reason")
    kept = {name: value for name, value in told.items() if name in shown}
    return f"  {event.position} v{event.version} {event.recorded_at:%H:%M:%S.%f} {event.type} {kept}"

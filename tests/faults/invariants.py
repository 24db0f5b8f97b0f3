"""The promise in code form: what must hold after every fault, each rule a function that lists its violations.

The numbers are those of the promise (I1 to I12). The functions are pure where the rule is about the log; two ask the
system itself to prove it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from flowforge.events import (
    RUN_ENDINGS,
    EventReceived,
    MessageQuarantined,
    NodeQueued,
    QueueLeft,
    RunAdmitted,
    RunRequested,
    SlotAwaited,
    SlotFreed,
    SlotTaken,
    TimerFired,
    TimerSet,
    TriggerDecided,
    WorkflowTriggered,
    decode,
)

from infra.eventlog import PostgresEventLog, StoredEvent
from infra.eventlog.verify import verify as verify_log
from services.projections.rebuild import verify as verify_read_models
from tests.faults.system import Queue

ATTEMPT_ENDINGS = frozenset({"NodeCompleted", "NodeFailed", "NodeRetried", "NodeCancelled"})
RESULTS = frozenset({"NodeCompleted", "NodeFailed", "NodeRetried"})
Fact = TypeVar("Fact")
Attempt = tuple[UUID, str, str, int]


class Sent(msgspec.Struct):
    """What senders sent, and were told."""

    accepted: dict[tuple[str, str], tuple[str, int]] = {}
    """(source, id) of each event that was acknowledged: its type, and the number in its data."""
    requested: dict[str, set[str]] = {}
    """Idempotency key, which is the run's label: every run id that was answered to it."""
    saved: list[str] = []


class Trigger(msgspec.Struct, frozen=True):
    """The trigger of an event type; `is_half`: it fires for even numbers only."""

    workflow_id: str
    trigger_id: str
    is_half: bool = False

    def fires(self, number: int) -> bool:
        return not self.is_half or number % 2 == 0


class _Attempted(msgspec.Struct):
    """What the events of an attempt have in common."""

    node_id: str
    instance: str = ""
    attempt: int = 1


_attempted = msgspec.json.Decoder(_Attempted)


def _of(events: Iterable[StoredEvent], kind: type[Fact]) -> list[tuple[StoredEvent, Fact]]:
    return [(event, cast("Fact", decode(event.type, event.data))) for event in events if event.type == kind.__name__]


# --- I1: accepted is logged, once -------------------------------------------------------------------------------------


def not_received(events: Sequence[StoredEvent], sent: Sent) -> list[str]:
    """Accepted events and answered runs that are not in the log (yet)."""
    received = {(fact.source, fact.id) for _, fact in _of(events, EventReceived)}
    runs = {str(fact.run_id) for _, fact in _of(events, WorkflowTriggered)}
    lost = [f"I1: the accepted event {each[1]} is not in the log" for each in sent.accepted if each not in received]
    for key, answered in sent.requested.items():
        lost += [f"I1: run {run} was answered to {key} and is not in the log" for run in answered - runs]
    return lost


def accepted_once(events: Sequence[StoredEvent], sent: Sent) -> list[str]:
    """I1: every accepted event, requested run and saved workflow is in the log, none of them twice."""
    found = not_received(events, sent)
    received = Counter((fact.source, fact.id) for _, fact in _of(events, EventReceived))
    found += [f"I1: event {name[1]} of {name[0]} is logged {n} times" for name, n in received.items() if n > 1]
    requested = Counter(fact.labels.get("key", "") for _, fact in _of(events, RunRequested))
    found += [f"I1: the request {key} is logged {n} times" for key, n in requested.items() if n > 1]
    found += [
        f"I1: the same request {key} was answered with different runs: {sorted(runs)}"
        for key, runs in sent.requested.items()
        if len(runs) > 1
    ]
    saved = Counter(
        msgspec.json.decode(event.data)["workflow_id"] for event in events if event.type == "WorkflowCreated"
    )
    found += [
        f"I1: workflow {name} was saved and is logged {saved[name]} times" for name in sent.saved if saved[name] != 1
    ]
    return found


def one_run_per_firing(events: Sequence[StoredEvent]) -> list[str]:
    """I1: a trigger starts one run for a cause."""
    firings = Counter(
        (fact.workflow_id, fact.trigger.id, fact.cause.event_id) for _, fact in _of(events, WorkflowTriggered)
    )
    return [f"I1: {n} runs of {name[0]} for one cause {name[2]}" for name, n in firings.items() if n > 1]


# --- I2, I3: order ----------------------------------------------------------------------------------------------------


async def chain_is_whole(dsn: str) -> list[str]:
    """I2: positions without gaps, the chain of hashes recomputed."""
    report = await verify_log(dsn)
    return [
        f"I2: {each.kind} at {each.first_position} to {each.last_position}: {each.message}" for each in report.problems
    ]


def contiguous(events: Sequence[StoredEvent], after_position: int, versions_before: Mapping[UUID, int]) -> list[str]:
    """I2 and I3: positions and the versions of each stream go on by one."""
    found: list[str] = []
    versions = dict(versions_before)
    for expected, event in enumerate(events, after_position + 1):
        if event.position != expected:
            found.append(f"I2: position {event.position} stands where {expected} is due")
            break
    for event in events:
        due = versions.get(event.stream_id, 0) + 1
        if event.version != due:
            found.append(f"I3: stream {event.stream_id} has version {event.version} where {due} is due")
        versions[event.stream_id] = event.version
    return found


# --- I4: read models --------------------------------------------------------------------------------------------------


async def read_models_are_fresh(log: PostgresEventLog, dsn: str) -> list[str]:
    """I4: what readers see is what the log says, byte for byte."""
    found = (await verify_read_models(log, dsn)).difference
    if found is None:
        return []
    where = f"{found.table} {found.key} {found.column}"
    return [f"I4: {where}: the live row says {found.live}, a fresh one {found.fresh}"]


# --- I5, I6: runs and attempts ----------------------------------------------------------------------------------------


def open_runs(events: Sequence[StoredEvent]) -> dict[UUID, WorkflowTriggered]:
    """Runs that were triggered and have not ended."""
    ended = {event.stream_id for event in events if event.type in RUN_ENDINGS}
    return {event.stream_id: fact for event, fact in _of(events, WorkflowTriggered) if event.stream_id not in ended}


def ends_or_waits(events: Sequence[StoredEvent]) -> list[str]:
    """I5: a run has ended, or a job of it is out, or a timer of it is set."""
    fired = {fact.timer_id for _, fact in _of(events, TimerFired)}
    alive = {event.stream_id for event, fact in _of(events, TimerSet) if fact.timer_id not in fired}
    alive |= {attempt[0] for attempt in _queued(events) - _ended(events)}
    return [
        f"I5: run {run_id} of {fact.workflow_id} has not ended, and neither a job nor a timer would go on with it"
        for run_id, fact in open_runs(events).items()
        if run_id not in alive
    ]


def ended_as_expected(events: Sequence[StoredEvent], endings: Mapping[str, str]) -> list[str]:
    """A fault of ours is no failure of the run: each ends as its workflow says, completed unless `endings` says so."""
    workflows = {event.stream_id: fact.workflow_id for event, fact in _of(events, WorkflowTriggered)}
    return [
        f"run {event.stream_id} of {workflows[event.stream_id]} ended with {event.type}: {event.data.decode()[:500]}"
        for event in events
        if event.type in RUN_ENDINGS
        and event.stream_id in workflows
        and event.type != endings.get(workflows[event.stream_id], "RunCompleted")
    ]


def accepted_results(events: Sequence[StoredEvent], policies: Mapping[tuple[str, str], int]) -> list[str]:
    """I6: one accepted result per attempt, no more attempts than allowed, and what was queued is answered."""
    workflows = {event.stream_id: fact.workflow_id for event, fact in _of(events, WorkflowTriggered)}
    results = Counter(_attempt(event) for event in events if event.type in RESULTS)
    found = [f"I6: {n} results of {_words(attempt)} were accepted" for attempt, n in results.items() if n > 1]
    queued = Counter(_attempt(event) for event, _ in _of(events, NodeQueued))
    found += [f"I6: {_words(attempt)} was queued {n} times" for attempt, n in queued.items() if n > 1]
    for attempt in queued:
        allowed = policies.get((workflows.get(attempt[0], ""), attempt[1]), 1)
        if attempt[3] > allowed:
            found.append(f"I6: {_words(attempt)} is more than the {allowed} attempts allowed")
    ended = {event.stream_id for event in events if event.type in RUN_ENDINGS}
    found += [
        f"I6: {_words(attempt)} was queued and never answered, though its run ended"
        for attempt in queued.keys() - _ended(events)
        if attempt[0] in ended
    ]
    return found


def _queued(events: Sequence[StoredEvent]) -> set[Attempt]:
    return {_attempt(event) for event, _ in _of(events, NodeQueued)}


def _ended(events: Sequence[StoredEvent]) -> set[Attempt]:
    """Attempts with an ending; a retry names the attempt to come."""
    return {_attempt(event) for event in events if event.type in ATTEMPT_ENDINGS}


def _attempt(event: StoredEvent) -> Attempt:
    named = _attempted.decode(event.data)
    number = named.attempt - 1 if event.type == "NodeRetried" else named.attempt
    return (event.stream_id, named.node_id, named.instance, number)


def _words(attempt: Attempt) -> str:
    run_id, node_id, instance, number = attempt
    return f"attempt {number} of {node_id}{f'[{instance}]' if instance else ''} in run {run_id}"


# --- I8: decisions ----------------------------------------------------------------------------------------------------


def decided_once(events: Sequence[StoredEvent], sent: Sent, triggers: Mapping[str, Trigger]) -> list[str]:
    """I8: one final decision per trigger and cause, the right one, for every event that was accepted."""
    final: dict[tuple[str, str, str, str], list[str]] = {}
    for _, fired in _of(events, WorkflowTriggered):
        if fired.waits is not None:
            continue  # held; another decision follows
        key = (fired.workflow_id, fired.trigger.id, fired.cause.source, fired.cause.id)
        final.setdefault(key, []).append("fired")
    for _, fact in _of(events, TriggerDecided):
        if fact.decision != "held":
            key = (fact.workflow_id, fact.trigger_id, fact.cause.source, fact.cause.id)
            final.setdefault(key, []).append(fact.decision)
    found = [
        f"I8: trigger {key[0]}/{key[1]} decided {len(made)} times about {key[3]}: {', '.join(made)}"
        for key, made in final.items()
        if len(made) > 1
    ]
    for (source, name), (kind, number) in sent.accepted.items():
        trigger = triggers.get(kind)
        if trigger is None:
            continue
        due = "fired" if trigger.fires(number) else "not_matched"
        made = final.get((trigger.workflow_id, trigger.trigger_id, source, name), [])
        if due not in made:
            found.append(f"I8: {trigger.workflow_id} should have decided '{due}' about {name}, and decided {made}")
    return found


def still_held(events: Sequence[StoredEvent]) -> list[str]:
    """I8: what a trigger holds and has not decided (yet)."""
    held: dict[tuple[str, str, UUID], str] = {}
    for event in events:
        if event.type == TriggerDecided.__name__:
            fact = cast("TriggerDecided", decode(event.type, event.data))
            key = (fact.workflow_id, fact.trigger_id, fact.cause.event_id)
            if fact.decision == "held":
                held[key] = f"I8: trigger {key[0]}/{key[1]} still holds {fact.cause.id} ({fact.reason})"
            else:
                held.pop(key, None)
        elif event.type == WorkflowTriggered.__name__:
            run = cast("WorkflowTriggered", decode(event.type, event.data))
            held.pop((run.workflow_id, run.trigger.id, run.cause.event_id), None)
    return list(held.values())


def consumed_once(events: Sequence[StoredEvent]) -> list[str]:
    """I8: no trigger uses a cause for two runs, and every cause that a run used is told to have fired it."""
    uses = Counter(
        (fact.workflow_id, fact.trigger.id, event_id)
        for _, fact in _of(events, WorkflowTriggered)
        for event_id in fact.consumed
    )
    found = [f"I8: trigger {name[0]}/{name[1]} used {name[2]} for {n} runs" for name, n in uses.items() if n > 1]
    fired = {
        (fact.workflow_id, fact.trigger_id, fact.cause.event_id)
        for _, fact in _of(events, TriggerDecided)
        if fact.decision == "fired"
    }
    fired |= {(fact.workflow_id, fact.trigger.id, fact.cause.event_id) for _, fact in _of(events, WorkflowTriggered)}
    return found + [f"I8: {name[0]}/{name[1]} used {name[2]}, and nothing says so" for name in uses.keys() - fired]


def endings_decided(events: Sequence[StoredEvent], upstreams: Mapping[str, Trigger]) -> list[str]:
    """I8: the end of a run is decided by the trigger that waits for the workflow's runs; that of a shadow run by none."""
    begun = _of(events, WorkflowTriggered)
    workflows = {event.stream_id: fact.workflow_id for event, fact in begun if not fact.is_shadow}
    shadows = {event.stream_id for event, fact in begun if fact.is_shadow}
    decided = {
        (fact.workflow_id, fact.trigger_id, fact.cause.event_id)
        for _, fact in _of(events, TriggerDecided)
        if fact.decision != "held"
    }
    decided |= {(fact.workflow_id, fact.trigger.id, fact.cause.event_id) for _, fact in _of(events, WorkflowTriggered)}
    found = [
        f"I8: the shadow run {fact.cause.stream_id} is the cause of run {fact.run_id}"
        for _, fact in begun
        if fact.cause.stream_id in shadows
    ]
    for event in events:
        trigger = upstreams.get(workflows.get(event.stream_id, "")) if event.type in RUN_ENDINGS else None
        if trigger is not None and (trigger.workflow_id, trigger.trigger_id, event.event_id) not in decided:
            found.append(f"I8: {trigger.workflow_id} has not decided about the end of run {event.stream_id}")
    return found


# --- slots ------------------------------------------------------------------------------------------------------------


def slots_are_kept(events: Sequence[StoredEvent], limits: Mapping[str, int]) -> list[str]:
    """Never more runs of a workflow hold slots than its limit, and whoever ended holds none and waits for none.

    The case began with all slots free, and every run in it has ended.
    """
    found: list[str] = []
    held: dict[UUID, str] = {}
    waiting: set[UUID] = set()
    for event in (event for event in events if event.stream_type == "slot"):
        match decode(event.type, event.data):
            case SlotTaken() | RunAdmitted() as fact:
                waiting.discard(fact.run_id)
                if fact.run_id in held:
                    found.append(f"slots: run {fact.run_id} got two slots")
                held[fact.run_id] = fact.workflow_id
                count = sum(workflow_id == fact.workflow_id for workflow_id in held.values())
                if count > limits[fact.workflow_id]:
                    found.append(f"slots: {count} runs of {fact.workflow_id} hold slots at position {event.position}")
            case SlotAwaited() as fact:
                waiting.add(fact.run_id)
            case SlotFreed() | QueueLeft() as fact:
                held.pop(fact.run_id, None)
                waiting.discard(fact.run_id)
            case _:
                pass
    began = {event.stream_id: event.position for event in events if event.type == "RunStarted"}
    admitted = {fact.run_id: event.position for event, fact in _of(events, RunAdmitted)}
    found += [
        f"slots: run {run_id} waits and began at {began[run_id]}"
        for run_id in {event.stream_id for event, fact in _of(events, WorkflowTriggered) if fact.waits is not None}
        if run_id in began and began[run_id] < admitted.get(run_id, 2**63)
    ]
    found += [f"slots: run {run_id} of {name} has ended and holds a slot" for run_id, name in held.items()]
    return found + [f"slots: run {run_id} has ended and waits for a slot" for run_id in waiting]


def slots_in_use(events: Sequence[StoredEvent]) -> set[UUID]:
    """Runs that hold a slot or wait for one."""
    busy: set[UUID] = set()
    for event in (event for event in events if event.stream_type == "slot"):
        match decode(event.type, event.data):
            case SlotTaken() | SlotAwaited() as fact:
                busy.add(fact.run_id)
            case SlotFreed() | QueueLeft() as fact:
                busy.discard(fact.run_id)
            case _:
                pass
    return busy


# --- I9, I10: NATS ----------------------------------------------------------------------------------------------------


def left_over(queues: Sequence[Queue]) -> list[str]:
    """I9: nothing lies on NATS with nobody to take it."""
    found: list[str] = []
    for queue in queues:
        name = f"{queue.stream}/{queue.durable}" if queue.durable else queue.stream
        if queue.waiting:
            found.append(f"I9: {queue.waiting} messages are left on {name}")
        if not queue.is_pulled:
            found.append(f"I9: nobody pulls from {name}")
    return found


def said(events: Sequence[StoredEvent], ids: Collection[str]) -> list[str]:
    """What was logged of runs was said."""
    silent = [event for event in events if _is_of_runs(event) and str(event.event_id) not in ids]
    return [f"{event.type} at position {event.position} was logged and never said" for event in silent]


def _is_of_runs(event: StoredEvent) -> bool:
    return event.stream_type == "run" or event.type in {"RunAdmitted", "RunDisplaced"}


def quarantined(events: Sequence[StoredEvent], expected: Mapping[str, str]) -> list[str]:
    """I10: for each subject of `expected`, a message was put aside with a cause that contains those words."""
    facts = [fact for _, fact in _of(events, MessageQuarantined)]
    found: list[str] = []
    for subject, words in expected.items():
        causes = [fact.reason for fact in facts if fact.subject == subject]
        if not any(words in cause for cause in causes):
            found.append(f"I10: nothing was quarantined on {subject} because of '{words}'; causes there: {causes}")
    return found

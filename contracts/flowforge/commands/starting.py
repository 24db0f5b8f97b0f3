"""Orders to triggers and scheduler: runs asked for, causes handed in, decisions tried out and explained."""

from datetime import datetime

import msgspec

from flowforge.command import Command
from flowforge.events import NULL, ForkedFrom
from flowforge.raw import ABSENT


class RequestRun(Command, kw_only=True, frozen=True):
    """To triggers: execute, or with `trigger_id` fire that trigger by hand. Answers `{run_id, position}`.

    `override_running`: start beyond the limit of the workflow's `concurrency`. `from_node`: only that node and what lies
    below it runs, with `input_data` as its input. The run halts before each of `breakpoints`.
    """

    workflow_id: str
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    version: int | None = None
    labels: dict[str, str] = {}
    priority: int = 0
    timeout_ms: int | None = None
    trigger_id: str | None = None
    override_running: bool = False
    from_node: str | None = None
    breakpoints: list[str] = []
    fork: ForkedFrom | None = None


class ForkRun(Command, kw_only=True, frozen=True):
    """To triggers: a new run from a past moment of another, `position` or `at`, or as that stands now. Answers
    `{run_id, position}`.

    What is left out is as it was: `input_data`, `version` (`is_newest`: the newest one), `labels`, `priority`,
    `breakpoints`; `variables` lie over those of the run. `node_outputs` are the outputs of nodes that are not to run, `rerun`
    are nodes that are to run anew. `is_shadow`: nothing is done outside; what came of it in the other run is taken instead.
    """

    run_id: str
    position: int | None = None
    at: datetime | None = None
    input_data: msgspec.Raw = ABSENT
    variables: dict[str, msgspec.Raw] = {}
    node_outputs: dict[str, msgspec.Raw] = {}
    rerun: list[str] = []
    version: int | None = None
    is_newest: bool = False
    labels: dict[str, str] | None = None
    priority: int | None = None
    breakpoints: list[str] | None = None
    override_running: bool = False
    is_shadow: bool = False


class TryTrigger(Command, kw_only=True, frozen=True):
    """To triggers: what this trigger would answer to this CloudEvent; stores nothing.

    Answers `{decision, reason, detail, input?}`. With `workflow_id` the workflow's status, variables and schema count.
    """

    trigger: msgspec.Raw
    event: msgspec.Raw
    workflow_id: str | None = None


class ExplainDecision(Command, kw_only=True, frozen=True):
    """To triggers: what a trigger answered to the event logged at `position`, evaluated anew; stores nothing.

    Answers `{decision: {trigger_version, decision, reason, detail} | null}`; null where the event does not concern it.
    """

    workflow_id: str
    trigger_id: str
    position: int


class RehearseTrigger(Command, kw_only=True, frozen=True):
    """To triggers: what this trigger would have answered to the events received in [since, until); stores nothing.

    Answers `{evaluated, would_fire, did_fire, items, next_position}`, at most `limit` items, newest first, below the
    position `before`.
    """

    trigger: msgspec.Raw
    workflow_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    before: int | None = None


class CheckUpstreams(Command, kw_only=True, frozen=True):
    """To triggers: what is to be said of a workflow's dependency triggers, or of these `upstreams`, and who depends on it.

    Answers `{warnings, dependents}`; stores nothing.
    """

    workflow_id: str
    upstreams: list[str] | None = None


class ReceiveEvents(Command, kw_only=True, frozen=True):
    """To triggers: CloudEvents that came by HTTP. Answers `{items, position}`.

    An item is `{id, source, event_id, position, duplicate, differs}`. What `differs` is a duplicate that says something
    else than the event that was logged first, which counts.
    """

    events: list[msgspec.Raw]


class ReceiveWebhook(Command, kw_only=True, frozen=True):
    """To triggers: a delivery whose signature was verified. Answers as for one event.

    `delivery_id` is its sender's name for it: the same one again is answered as the first and changes nothing.
    """

    workflow_id: str
    trigger_id: str
    delivery_id: str
    data: msgspec.Raw = NULL
    subject: str | None = None


class CountRejections(Command, kw_only=True, frozen=True):
    """To triggers: deliveries to one trigger that were turned away since the last count, by reason."""

    workflow_id: str
    trigger_id: str
    reasons: dict[str, int]


class BackfillSchedule(Command, kw_only=True, frozen=True):
    """To scheduler: fire the nominal times of a schedule in [since, until) that have not fired; `repeat` the others too.

    With `dry_run` nothing is logged. Answers what the times are, and how many of them fire: see README, "On a schedule".
    """

    workflow_id: str
    trigger_id: str
    since: datetime
    until: datetime | None = None
    repeat: bool = False
    dry_run: bool = False

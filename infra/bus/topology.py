"""Every stream and every internal consumer of JetStream, declared and verified in this one place.

`declare` may be called at any time, by the supervisor only: it creates what is missing, updates what may be updated, and
raises `TopologyMismatch` for what differs in a way that NATS cannot change. Consumers of jobs come and go with job
types; their shape is `flowforge.jobs.job_consumer_config`.
"""

from dataclasses import dataclass, replace

from flowforge.events import RUN_ENDINGS, ChildCancelRequested, ChildRunRequested, JobEnded, RunRetryRequested
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    ObjectStoreConfig,
    PersistMode,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BucketNotFoundError, NotFoundError

from infra.bus.stranded import free, free_all

RUNS_KEPT_S = 3600
DUPLICATE_WINDOW_S = 20
ACK_WAIT_S = 5
ACK_PENDING_MAX = 20_000
GIB = 1024**3
BLOBS_KEPT_S = 7 * 86_400


RUNS_DECIDED_ON = (
    "WorkflowTriggered",
    "RunAdmitted",
    "RunDisplaced",
    "ChildRunEnded",
    "ChildRunRefused",
    "ChildCancelRequested",
    "RetryRefused",
)
RUNS_HEARD_BY_TRIGGERS = (
    JobEnded.__name__,
    ChildRunRequested.__name__,
    ChildCancelRequested.__name__,
    RunRetryRequested.__name__,
)
"""Besides endings."""
REPORTS_DECIDED = ("JobStarted", "JobProgressed", "JobCompleted", "JobFailed")


class TopologyMismatch(RuntimeError):
    """A stream exists with another shape than declared, and NATS cannot change it in place."""


@dataclass(frozen=True)
class Hearing:
    """One durable consumer of one service: what it hears of one stream."""

    stream: str
    durable: str
    subjects: tuple[str, ...]
    ack_wait_s: float = ACK_WAIT_S


def streams(subjects: Subjects, replicas: int = 1) -> list[StreamConfig]:
    """The streams of a namespace. The inbox is on disk before it is acknowledged; the others only repeat the log.

    Each has a limit in bytes, which bounds disk and, as every run has subjects of its own, the server's memory: the runs
    stream keeps an hour, or about five million events if those come first.
    """
    ns = subjects.namespace

    def stream(
        name: str,
        filters: list[str],
        retention: RetentionPolicy,
        *,
        gib: float = 1,
        max_age_s: float = 0,
        durable: bool = False,
    ) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=filters,
            retention=retention,
            storage=StorageType.FILE,
            max_age=max_age_s,
            max_bytes=int(gib * GIB),
            discard=DiscardPolicy.NEW if retention is RetentionPolicy.WORK_QUEUE else DiscardPolicy.OLD,
            duplicate_window=DUPLICATE_WINDOW_S,
            num_replicas=replicas,
            persist_mode=None if durable or replicas > 1 else PersistMode.ASYNC,
            allow_direct=True,
        )

    queue, limits = RetentionPolicy.WORK_QUEUE, RetentionPolicy.LIMITS
    advisory = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{subjects.jobs_stream}.>"
    return [
        stream(subjects.inbox_stream, [f"{ns}.inbox.>"], queue, gib=4, durable=True),
        stream(subjects.runs_stream, [f"{ns}.runs.>"], limits, gib=2, max_age_s=RUNS_KEPT_S),
        stream(
            subjects.workflows_stream,
            [f"{ns}.workflows.>", f"{ns}.templates.>", f"{ns}.prompts.>"],
            limits,
            gib=0.25,
            max_age_s=RUNS_KEPT_S,
        ),
        stream(subjects.jobs_stream, [f"{ns}.jobs.>"], queue, gib=4),
        # only what somebody takes: another report would lie there for ever
        stream(
            subjects.reports_stream, [f"{ns}.reports.*.*.{kind}" for kind in (*REPORTS_DECIDED, "JobLogged")], queue
        ),
        stream(subjects.timers_stream, [f"{ns}.timers.>"], queue, gib=0.25),
        stream(subjects.advisories_stream, [advisory], queue, gib=0.0625),
    ]


def hearings(subjects: Subjects) -> dict[str, list[Hearing]]:
    """Who hears what: service → its durable consumers."""
    ns = subjects.namespace
    reports = tuple(f"{ns}.reports.*.*.{kind}" for kind in REPORTS_DECIDED)
    causes = sorted({*RUN_ENDINGS, *RUNS_HEARD_BY_TRIGGERS})
    advisory = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{subjects.jobs_stream}.>"
    return {
        "triggers": [
            Hearing(subjects.inbox_stream, "triggers", (f"{ns}.inbox.>",)),
            Hearing(subjects.timers_stream, "triggers", (f"{ns}.timers.schedules.>", f"{ns}.timers.triggers.>")),
            Hearing(subjects.runs_stream, "triggers", tuple(f"{ns}.runs.*.*.{kind}" for kind in causes)),
            Hearing(subjects.workflows_stream, "triggers", (f"{ns}.workflows.>",)),
        ],
        "execution": [
            Hearing(subjects.runs_stream, "execution", tuple(f"{ns}.runs.*.*.{kind}" for kind in RUNS_DECIDED_ON)),
            Hearing(subjects.reports_stream, "execution", reports),
            Hearing(subjects.timers_stream, "execution", (f"{ns}.timers.runs.>",)),
            Hearing(subjects.advisories_stream, "execution", (advisory,)),
        ],
        "scheduler": [
            Hearing(subjects.runs_stream, "scheduler", (f"{ns}.runs.*.*.TimerSet",)),
            Hearing(subjects.workflows_stream, "scheduler", (f"{ns}.workflows.>",)),
            Hearing(subjects.timers_stream, "scheduler", (f"{ns}.timers.set.>",)),
        ],
        "projections": [Hearing(subjects.reports_stream, "projections", (f"{ns}.reports.*.*.JobLogged",))],
    }


def consumer_config(hearing: Hearing) -> ConsumerConfig:
    """Explicit acknowledgement and no delivery limit: poison messages are quarantined by the shell, never hidden."""
    config = ConsumerConfig(
        durable_name=hearing.durable,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=hearing.ack_wait_s,
        max_deliver=-1,
        max_ack_pending=ACK_PENDING_MAX,
    )
    if len(hearing.subjects) == 1:
        return replace(config, filter_subject=hearing.subjects[0])
    return replace(config, filter_subjects=list(hearing.subjects))


async def declare(client: Client, namespace: str, replicas: int = 1) -> None:
    """Make the streams, the consumers and the blob bucket of `namespace` be as written here."""
    jetstream = client.jetstream(timeout=10)
    subjects = Subjects(namespace)
    for wanted in streams(subjects, replicas):
        await _declare_stream(jetstream, wanted)
    every = [hearing for service_hearings in hearings(subjects).values() for hearing in service_hearings]
    for hearing in every:  # first: on a work queue, the filter of a new one may overlap what an old one had
        await _remove_if_changed(jetstream, hearing)
    for hearing in every:
        await _declare_consumer(jetstream, hearing)
    for declared in streams(subjects, replicas):
        if declared.retention is RetentionPolicy.WORK_QUEUE:
            await free_all(jetstream, str(declared.name))
    try:
        await jetstream.object_store(subjects.blobs_bucket)
    except (BucketNotFoundError, NotFoundError):
        await jetstream.create_object_store(
            subjects.blobs_bucket, config=ObjectStoreConfig(bucket=subjects.blobs_bucket, ttl=BLOBS_KEPT_S)
        )


async def _declare_stream(jetstream: JetStreamContext, wanted: StreamConfig) -> None:
    assert wanted.name is not None
    try:
        existing = (await jetstream.stream_info(wanted.name)).config
    except NotFoundError:
        await jetstream.add_stream(wanted)
        return
    if existing.retention != wanted.retention or existing.storage != wanted.storage:
        raise TopologyMismatch(
            f"stream {wanted.name} exists with retention {existing.retention} and storage {existing.storage}; "
            f"wanted {wanted.retention} and {wanted.storage}. Remove it, or choose another FLOWFORGE_NAMESPACE."
        )
    changed = [
        field
        for field in ("subjects", "max_age", "max_bytes", "discard", "duplicate_window", "num_replicas")
        if getattr(existing, field) != getattr(wanted, field)
    ]
    if changed:
        await jetstream.update_stream(replace(wanted, persist_mode=existing.persist_mode))


async def _declare_consumer(jetstream: JetStreamContext, hearing: Hearing) -> None:
    try:
        info = await jetstream.consumer_info(hearing.stream, hearing.durable)
    except NotFoundError:
        await jetstream.add_consumer(hearing.stream, consumer_config(hearing))
        return
    await free(jetstream, await jetstream.stream_info(hearing.stream), info)


async def _remove_if_changed(jetstream: JetStreamContext, hearing: Hearing) -> None:
    wanted = consumer_config(hearing)
    try:
        existing = (await jetstream.consumer_info(hearing.stream, hearing.durable)).config
    except NotFoundError:
        return
    fields = ("filter_subject", "filter_subjects", "ack_wait", "max_deliver", "max_ack_pending")
    if any((getattr(existing, field) or None) != (getattr(wanted, field) or None) for field in fields):
        await jetstream.delete_consumer(hearing.stream, hearing.durable)

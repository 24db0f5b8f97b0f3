"""Out of NATS, and off its disks: what a stream only forgets stays in its files until the server writes them anew."""

import contextlib
from collections.abc import Iterable, Iterator
from uuid import UUID

from flowforge.subjects import Subjects
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ObjectNotFoundError

PULL_TIMEOUT_S = 2.0
FILLER_BYTES = 900_000
FILLER_COUNT = 10
"""Together more than one file of a stream takes (8 MB)."""
_FILLER = ("erasure", "filler")
"""Queue and type of jobs that nobody asks for."""


def run_subjects(subjects: Subjects, runs: Iterable[UUID]) -> Iterator[str]:
    """What the bus says of these runs."""
    return (f"{subjects.namespace}.runs.*.{run}.>" for run in runs)


async def erase_messages(stream: JetStreamContext, subjects: Subjects, runs: Iterable[UUID]) -> int:
    """Remove what the stream of runs still has of them, overwriting it on disk. How many messages."""
    removed = 0
    for subject in run_subjects(subjects, runs):
        removed += await _overwrite(stream, subjects.runs_stream, subject)
    return removed


async def erase_blobs(stream: JetStreamContext, subjects: Subjects, blobs: Iterable[str]) -> None:
    """Remove them from the object store as well, overwriting their pieces on disk."""
    store = await stream.object_store(subjects.blobs_bucket)
    for name in blobs:
        with contextlib.suppress(NotFoundError, ObjectNotFoundError):
            pieces = f"$O.{subjects.blobs_bucket}.C.{(await store.get_info(name)).nuid}"
            await _overwrite(stream, f"OBJ_{subjects.blobs_bucket}", pieces)
            await store.delete(name)


async def close_file_of_jobs(stream: JetStreamContext, subjects: Subjects) -> None:
    """Have the server leave the file that it writes jobs to. Jobs that workers took are in it as bytes for as long as one
    waits there that nobody takes; of a file that is full the server writes anew, within some minutes, what is not taken.

    Other streams of work empty themselves, and an empty file is removed at once.
    """
    if not (await stream.stream_info(subjects.jobs_stream)).state.messages:
        return
    filler = subjects.job(*_FILLER)
    try:
        for _ in range(FILLER_COUNT):
            await stream.publish(filler, bytes(FILLER_BYTES), stream=subjects.jobs_stream)
    finally:
        await stream.purge_stream(subjects.jobs_stream, subject=filler)


async def _overwrite(stream: JetStreamContext, name: str, subject: str) -> int:
    """Remove the messages of this subject one by one, which overwrites them. How many there were."""
    removed = 0
    for sequence in await _sequences(stream, name, subject):
        removed += await stream.delete_msg(name, sequence)
    return removed


async def _sequences(stream: JetStreamContext, name: str, subject: str) -> list[int]:
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, headers_only=True, inactive_threshold=30
    )
    try:
        found = await stream.pull_subscribe(subject, stream=name, config=config)
    except NotFoundError:
        return []
    sequences: list[int] = []
    try:
        pending = (await found.consumer_info()).num_pending or 0
        while len(sequences) < pending:
            messages = await found.fetch(min(256, pending - len(sequences)), timeout=PULL_TIMEOUT_S)
            sequences += [message.metadata.sequence.stream for message in messages]
    finally:
        await found.unsubscribe()
    return sequences

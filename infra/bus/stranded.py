"""Messages that a work queue holds and its consumer has passed: nobody would ever deliver them.

A stream that acknowledges before it writes forgets what it did last when nats-server is killed: messages that it removed
as acknowledged are back, or its last ones are gone and their numbers given out again. Its consumers write their place by
themselves, and may remember more (seen with nats-server 2.15: `persist_mode: async`, kill -9). What was told because of
such messages may be lost as well, so they count as not handled: the consumer is made anew and delivers them once more.
"""

import contextlib
import logging
from dataclasses import replace

from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, DeliverPolicy, RetentionPolicy, StreamInfo
from nats.js.errors import NotFoundError

CONSUMERS_PAGE_COUNT = 256
LOOKED_BACK_COUNT = 5_000
"""On a stream that keeps what was handled, so many messages are delivered once more; the log gives what came before."""
_log = logging.getLogger(__name__)


async def free_all(jetstream: JetStreamContext, queue: str, passed: dict[str, int] | None = None) -> None:
    """Look at every consumer of a work queue, see `free`. Raises NatsError when JetStream does not answer."""
    for consumer in await _consumers(jetstream, queue):
        await free(jetstream, await jetstream.stream_info(queue), consumer, passed)


async def free(
    jetstream: JetStreamContext, info: StreamInfo, consumer: ConsumerInfo, passed: dict[str, int] | None = None
) -> None:
    """Make the consumer anew if it stands ahead of its stream (`info`, asked for later), or has passed messages of it.

    With `passed`, kept by the caller, a message must have been passed at two looks in a row: a job that was handed out
    too often lies so for a moment.
    """
    is_ahead = consumer.delivered is not None and consumer.delivered.stream_seq > info.state.last_seq
    sequence = await _first_passed(jetstream, info, consumer)
    is_new = passed is not None and passed.get(consumer.name) != sequence
    if passed is not None:
        passed[consumer.name] = sequence
    if is_ahead or (sequence and not is_new):
        _log.warning("consumer %s of %s stands ahead of it, and is made anew", consumer.name, info.config.name)
        await make_anew(jetstream, info, consumer.name, consumer.config)


async def make_anew(jetstream: JetStreamContext, info: StreamInfo, name: str, config: ConsumerConfig) -> None:
    """The same consumer, at the beginning of what may not have been handled."""
    stream = str(info.config.name)
    with contextlib.suppress(NotFoundError):
        await jetstream.delete_consumer(stream, name)
    if info.config.retention == RetentionPolicy.WORK_QUEUE:
        config = replace(config, deliver_policy=DeliverPolicy.ALL, opt_start_seq=None)
    else:
        first = max(1, info.state.last_seq - LOOKED_BACK_COUNT)
        config = replace(config, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first)
    await jetstream.add_consumer(stream, config)


async def _first_passed(jetstream: JetStreamContext, info: StreamInfo, consumer: ConsumerInfo) -> int:
    """A work queue holds what is not acknowledged, so nothing of it may lie where all is; the first that does, or 0."""
    if info.config.retention != RetentionPolicy.WORK_QUEUE or not info.state.messages or not consumer.ack_floor:
        return 0
    config = consumer.config
    for subject in config.filter_subjects or [config.filter_subject or ">"]:
        with contextlib.suppress(NotFoundError):
            first = await jetstream.get_msg(str(info.config.name), seq=1, subject=subject, next=True)
            if first.seq and first.seq <= consumer.ack_floor.stream_seq:
                return first.seq
    return 0


async def _consumers(jetstream: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    found: list[ConsumerInfo] = []
    while True:
        page = await jetstream.consumers_info(stream, len(found))
        found += page
        if len(page) < CONSUMERS_PAGE_COUNT:
            return found

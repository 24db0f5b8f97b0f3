"""Events of external systems: from the inbox, by HTTP, and deliveries to webhooks."""

from collections.abc import Hashable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from flowforge.commands import ReceiveWebhook
from flowforge.definition import WebhookTrigger
from flowforge.events import EventReceived
from flowforge.identity import identity_key

from infra.bus import Aside, Message, Work
from infra.eventlog import StoredEvent
from services.triggers.answers import Logged, differs, events_answer
from services.triggers.cause import ReceivedCause, content, received
from services.triggers.decide import Decided, decide_received
from services.triggers.definitions import Definitions
from services.triggers.handlers.underway import Open, Underway, with_everything
from services.triggers.index import Rule
from services.triggers.job_occasions import JobOccasions
from services.triggers.known import KnownCause
from services.triggers.occasions import Occasions
from services.triggers.reading import Arrival, arrivals_of, command_of
from services.triggers.recalling import Recalled


class Arrivals:
    """Decides about them. The messages of one key bring the same events: one from the inbox, or those of one command."""

    def __init__(
        self,
        underway: Underway,
        definitions: Definitions,
        recalled: Recalled,
        jobs: JobOccasions,
        occasions: Occasions,
    ) -> None:
        self._underway = underway
        self._definitions = definitions
        self._recalled = recalled
        self._jobs = jobs
        self._occasions = occasions

    def webhook(self, workflow_id: str, trigger_id: str) -> Rule | None:
        """The webhook trigger of that name, if there is one."""
        rule = self._definitions.index.rule((workflow_id, trigger_id))
        return rule if rule is not None and isinstance(rule.trigger, WebhookTrigger) else None

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """What is new is decided and logged; what is known is answered, or put aside where it says something else."""
        known = self._underway.known.get(key, {})
        arrivals: dict[bytes, Arrival] = {}
        for arrival in (arrival for message in messages for arrival in arrivals_of(message)):
            if arrival.identity not in known:
                arrivals.setdefault(arrival.identity, arrival)
        if not arrivals:
            answer = self._answer(key, messages, {})
            aside = [one for message in messages for one in _aside_if_different(message, known)]
            return msgspec.structs.replace(self._underway.done(key, messages, answer), aside=aside)
        recorded_at = self._underway.instant(arrivals)
        fired: set[bytes] = set()
        work = self._underway.work(
            key,
            messages,
            {identity: self._decide_one(arrival, recorded_at, fired) for identity, arrival in arrivals.items()},
            recorded_at,
        )
        work.later = _repeated(messages)
        return work

    def _decide_one(self, arrival: Arrival, recorded_at: datetime, fired: set[bytes]) -> Decided:
        """`fired`: the workflows that jobs reported before in the same group have started."""
        cause = ReceivedCause(arrival.event, arrival.body, recorded_at, arrival.addressee)
        if arrival.addressee is None:
            rules = self._definitions.index.candidates(cause)
            job, watchers = with_everything(lambda: self._jobs.reported(cause, fired)) or (None, ())
        else:
            rule = self.webhook(*arrival.addressee)
            rules, job, watchers = [] if rule is None else [rule], None, ()
        deciding = self._occasions.deciding(recorded_at)
        decided = with_everything(lambda: decide_received(deciding, rules, cause, job, watchers))
        if decided.remembered:
            self._recalled.keep(cause)
        return decided

    def answer_logged(
        self, key: Hashable, messages: Sequence[Message], opened: Open, events: Sequence[StoredEvent]
    ) -> bytes:
        """To the commands that brought them, once they are in the log."""
        tried_at = self._underway.tried_at
        tried_at[key] = tried_at.get(key, frozenset()) | {opened.recorded_at}
        firsts = {event.stream_id: event for event in events if event.version == 1}
        return self._answer(
            key,
            messages,
            {identity: _place(firsts[one.stream_id], one) for identity, one in opened.decided.items() if identity},
        )

    def _answer(self, key: Hashable, messages: Sequence[Message], new: dict[bytes, Logged]) -> bytes:
        if messages[0].origin != "command":
            return b""
        before = {
            identity: Logged(known.event_id, known.position, known.recorded_at, _received(known))
            for identity, known in self._underway.known.get(key, {}).items()
        }
        return events_answer(
            arrivals_of(messages[0]),
            before | new,
            self._underway.tried_at.get(key, frozenset()),
            is_one=isinstance(command_of(messages[0]), ReceiveWebhook),
        )


def _place(stored: StoredEvent, decided: Decided) -> Logged:
    assert isinstance(decided.first, EventReceived)
    return Logged(stored.event_id, stored.position, stored.recorded_at, decided.first)


def _received(known: KnownCause) -> EventReceived:
    assert isinstance(known.fact, EventReceived)
    return known.fact


def _repeated(messages: Sequence[Message]) -> list[Message]:
    """Those of one event's messages that say something else than the first: they are looked at once it is logged.
    Senders of commands are told in their answers."""
    first, *others = messages
    if first.origin == "command" or not others:
        return []
    [counts] = arrivals_of(first)
    fact = received(counts.event, counts.body)
    return [message for message in others if any(differs(fact, again) for again in arrivals_of(message))]


def _aside_if_different(message: Message, known: dict[bytes, KnownCause]) -> list[Aside]:
    """A message that tells an event anew with other content, to be put aside: its sender hears of nothing."""
    if message.origin == "command":
        return []
    [again] = arrivals_of(message)
    before = known[again.identity]
    if not differs(_received(before), again):
        return []
    event = again.event
    reason = (
        f"an event with the id '{event.id}' of the source '{event.source}' came before with other content: position"
        f" {before.position}, event {before.event_id}. The first one counts, and this one has started nothing; to have it"
        " count, publish it with an id of its own"
    )
    said = sha256(content(received(event, again.body))).hexdigest()
    return [Aside(message, reason, identity_key("differing", event.source, event.id, said))]

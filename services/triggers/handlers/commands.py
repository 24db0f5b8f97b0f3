"""What people and the gateway ask for: runs by hand, counts of what was turned away, questions, events and deliveries."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime

from flowforge.commands import CountRejections, ForkRun, ReceiveEvents, ReceiveWebhook, RequestRun
from flowforge.refusals import Refusal, not_found

from infra.bus import LoadAgain, Message, Work
from infra.eventlog import StoredEvent
from services.triggers.answers import FIRED, count_answer, refusal_answer, run_answer
from services.triggers.decide import Decided, Deciding
from services.triggers.definitions import Definitions
from services.triggers.forking import Forking
from services.triggers.handlers.arrivals import Arrivals
from services.triggers.handlers.underway import Open, Underway
from services.triggers.known import KnownCause
from services.triggers.occasions import Occasions
from services.triggers.questions import Questions
from services.triggers.reading import Question, command_identity, command_of
from services.triggers.requests import count_rejections, decide_request
from services.triggers.verdict import Unsettled


class Commands:
    """Decides about them. The messages of one key are the same command."""

    def __init__(
        self,
        underway: Underway,
        definitions: Definitions,
        questions: Questions,
        arrivals: Arrivals,
        occasions: Occasions,
        forking: Forking,
        clock: Callable[[], datetime],
    ) -> None:
        self._underway = underway
        self._definitions = definitions
        self._questions = questions
        self._arrivals = arrivals
        self._occasions = occasions
        self._forking = forking
        self._forks: dict[Hashable, RequestRun | Refusal] = {}
        """What is asked for by forks that are being decided."""
        self._clock = clock
        self._has_looked = False

    # --- load -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The messages of one `load` come now: one look for newer definitions does for all of them."""
        self._has_looked = False

    async def _look(self) -> None:
        if not self._has_looked:
            await self._definitions.look()
            self._has_looked = True

    async def load(self, key: Hashable, message: Message) -> None:
        """Definitions as new as the answer needs them. May raise `Unavailable`."""
        command = command_of(message)
        if isinstance(command, Question):
            await self._look()
            await self._questions.prepare(key, message, command, self._definitions.index)
        if isinstance(command, ReceiveWebhook) and self._is_unknown(command):
            await self._look()
        if isinstance(command, ForkRun):
            asked = self._forks[key] = await self._forking.asked(command)
            if isinstance(asked, Refusal):
                self._underway.doubt(key)  # granted before, it gets the same answer again
            else:
                await self._load_run(key, asked)
        if isinstance(command, RequestRun):
            await self._load_run(key, command)

    async def _load_run(self, key: Hashable, command: RequestRun) -> None:
        await self._load_version(command)
        if not isinstance(self._request(command, self._clock()), Refusal):
            if self._may_overlap(command):
                await self._look()
                self._underway.doubt(key)
            return
        # a refusal is not appended, so nobody else tells that it was made on old definitions
        await self._look()
        await self._load_version(command)
        if isinstance(self._request(command, self._clock()), Refusal):
            self._underway.doubt(key)  # refused now; but if it was granted before, it gets the same answer again

    async def _load_version(self, command: RequestRun) -> None:
        await self._definitions.load_version(command.workflow_id, command.version)
        if _names_places(command):
            await self._definitions.load_places(command.workflow_id, command.version)

    def _may_overlap(self, command: RequestRun) -> bool:
        """Whether it may be refused for what else runs; such a refusal is not appended either."""
        found = self._definitions.find(command.workflow_id, command.version)
        concurrency = None if isinstance(found, Refusal) else found[0].version.definition.settings.concurrency
        return concurrency is not None and not command.override_running

    def _is_unknown(self, command: ReceiveWebhook) -> bool:
        return self._arrivals.webhook(command.workflow_id, command.trigger_id) is None

    # --- decide ---------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """The group to log, or the answer to give where there is nothing to log."""
        command = command_of(messages[0])
        match command:
            case Refusal():
                return self._underway.done(key, messages, refusal_answer(command))
            case RequestRun():
                return self._run(key, command, messages)
            case ForkRun():
                return self._fork(key, command, messages)
            case CountRejections():
                return self._count(key, command, messages)
            case ReceiveWebhook() if self._is_unknown(command):
                refusal = not_found(f"webhook of '{command.workflow_id}'", command.trigger_id)
                return self._underway.done(key, messages, refusal_answer(refusal))
            case ReceiveWebhook() | ReceiveEvents():
                return self._arrivals.decide(key, messages)
            case _:
                return Work(answers=self._questions.answers(key, messages))

    def _fork(self, key: Hashable, command: ForkRun, messages: Sequence[Message]) -> Work:
        asked = self._forks.pop(key, None)
        if asked is None:
            raise LoadAgain(f"what the fork {command.command_id} begins with is not in memory")
        if not isinstance(asked, Refusal):
            return self._run(key, asked, messages)
        before = self._before(key, command)
        if before is not None and before.run is not None:
            return self._underway.done(key, messages, run_answer(before.run, before.run_position))
        return self._underway.done(key, messages, refusal_answer(asked))

    def _run(self, key: Hashable, command: RequestRun, messages: Sequence[Message]) -> Work:
        before = self._before(key, command)
        if before is not None and before.run is not None:
            return self._underway.done(key, messages, run_answer(before.run, before.run_position))
        recorded_at = self._clock()
        try:
            decided = self._request(command, recorded_at, self._occasions.deciding(recorded_at))
        except Unsettled:
            return Work(later=list(messages))
        if isinstance(decided, Refusal):
            return self._underway.done(key, messages, refusal_answer(decided))
        return self._underway.work(key, messages, {command_identity(command.command_id): decided}, recorded_at)

    def _request(
        self, command: RequestRun, recorded_at: datetime, deciding: Deciding | None = None
    ) -> Decided | Refusal:
        found = self._definitions.find(command.workflow_id, command.version)
        if isinstance(found, Refusal):
            return found
        versions = self._definitions.index.workflows[command.workflow_id].trigger_versions
        places = None
        if _names_places(command):
            places = self._definitions.places(command.workflow_id, command.version)
            if places is None:
                raise LoadAgain(f"the nodes of '{command.workflow_id}' are not in memory")
        return decide_request(*found, command, recorded_at, versions, deciding, places)

    def _count(self, key: Hashable, command: CountRejections, messages: Sequence[Message]) -> Work:
        before = self._before(key, command)
        if before is not None:
            return self._underway.done(key, messages, count_answer(before.position))
        recorded_at = self._clock()
        decided = count_rejections(command, recorded_at)
        return self._underway.work(key, messages, {command_identity(command.command_id): decided}, recorded_at)

    def _before(self, key: Hashable, command: RequestRun | ForkRun | CountRejections) -> KnownCause | None:
        """What the log knows of it."""
        return self._underway.known.get(key, {}).get(command_identity(command.command_id))

    # --- afterwards -----------------------------------------------------------------------------------------------

    def refused(self, key: Hashable) -> None:
        """What was loaded for it is not used: it is loaded anew, or never asked again."""
        self._forks.pop(key, None)
        self._questions.forget(key)

    def answer_logged(
        self, key: Hashable, messages: Sequence[Message], opened: Open, events: Sequence[StoredEvent]
    ) -> bytes:
        """What was asked for is in the log."""
        match command_of(messages[0]):
            case RequestRun() | ForkRun():
                [decided] = opened.decided.values()
                position = next(event.position for event in events if event.type == FIRED)
                return run_answer(decided.runs[0], position)
            case CountRejections():
                return count_answer(events[-1].position)
            case _:
                return self._arrivals.answer_logged(key, messages, opened, events)


def _names_places(command: RequestRun) -> bool:
    """Whether it says where the run begins or halts, or what becomes of which nodes."""
    return command.from_node is not None or bool(command.breakpoints) or command.fork is not None

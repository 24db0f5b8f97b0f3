"""Commands that change one workflow."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.commands import SetTriggerConfigs
from flowforge.definition import readable
from flowforge.refusals import Refusal, unavailable

from infra.bus import Message, Work
from infra.eventlog import EventLog, StoredEvent
from services.catalog.answers import Saved, append_of, cause_of, rejected, saved_answer
from services.catalog.decide import NOTHING_BESIDE, Beside, Command, Decided, decide
from services.catalog.handlers.reading import command_of
from services.catalog.handlers.stream import Loaded, event_of, folded, further, stream_of
from services.catalog.settings import followers_max
from services.catalog.state import evolve
from services.catalog.validation import check

_Outcomes = dict[UUID, Decided | Refusal]
"""By cause."""


class Workflows:
    """The part of catalog that has to do with one workflow at a time."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._beside = NOTHING_BESIDE
        self._loaded: dict[str, Loaded] = {}
        self._outcomes: dict[str, _Outcomes] = {}
        self._pending: dict[str, tuple[Message, Decided]] = {}

    async def load(self, workflow_ids: Collection[str]) -> None:
        """Read the streams of these."""
        streams = {stream_of(name): name for name in workflow_ids}
        if streams:
            for stream_id, events in (await self._log.read_streams(list(streams))).items():
                self._loaded[streams[stream_id]] = folded(events)

    def newest(self, workflow_id: str) -> msgspec.Raw | None:
        """The definition that commands of this turn may change."""
        definitions = self._loaded[workflow_id].state.definitions
        return definitions[-1] if definitions else None

    def foresee(self, commands: Mapping[str, Sequence[Command]], beside: Beside) -> list[Decided]:
        """What follows from commands that come together, by workflow: what they want kept and made must be there before.

        `decide` acts on what is decided here, so that each definition is read once. Of one workflow nothing is foreseen
        after the first command that changes it.
        """
        self._beside = beside
        for workflow_id, given in commands.items():
            self._outcomes[workflow_id] = self._foreseen(self._loaded[workflow_id], given)
        found = [outcome for name in commands for outcome in self._outcomes[name].values()]
        return [outcome for outcome in found if isinstance(outcome, Decided)]

    def _foreseen(self, loaded: Loaded, commands: Sequence[Command]) -> _Outcomes:
        outcomes: _Outcomes = {}
        for command in commands:
            cause = cause_of(command.command_id)
            if cause in loaded.past:
                continue
            outcomes[cause] = outcome = decide(loaded.state, command, self._beside)
            if isinstance(outcome, Decided) and outcome.events:
                break
        return outcomes

    def decide(self, workflow_id: str, messages: Sequence[Message]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        work = Work()
        for at, message in enumerate(messages):
            if self._decide_one(workflow_id, message, work):
                followers = messages[at + 1 :]
                work.later = list(followers[:followers_max])
                busy = rejected(unavailable(f"many changes of the workflow '{workflow_id}' at once; try again"))
                work.answers += [(follower, busy) for follower in followers[followers_max:]]
                return work
        self.refused(workflow_id)
        return work

    def _decide_one(self, workflow_id: str, message: Message, work: Work) -> bool:
        """Whether the command leads to an append; all else is answered at once."""
        command, loaded = cast("Command", command_of(message)), self._loaded[workflow_id]
        cause = cause_of(command.command_id)
        if (saved := loaded.past.get(cause)) is not None:
            work.answers.append((message, self._again(workflow_id, command, loaded.state.definitions, saved)))
            return False
        outcome = self._outcomes[workflow_id][cause]
        if isinstance(outcome, Refusal):
            work.answers.append((message, rejected(outcome)))
            return False
        if not outcome.events:
            set_by = _set_by(command, loaded.state.definition)
            work.answers.append((message, saved_answer(workflow_id, loaded.place, outcome.warnings, set_by)))
            return False
        streams = [further(workflow_id, loaded, outcome.events)]
        work.append = append_of(streams, message, command, self._clock(), changes_definitions=True)
        self._pending[workflow_id] = (message, outcome)
        return True

    def _again(self, workflow_id: str, command: Command, definitions: Sequence[msgspec.Raw], saved: Saved) -> bytes:
        """The answer to a command that was carried out before."""
        definition = definitions[saved.version - 1]
        warnings = check(msgspec.json.decode(definition), self._beside.known).report.warnings
        return saved_answer(workflow_id, saved, warnings, _set_by(command, definition))

    def logged(self, workflow_id: str, work: Work, events: Sequence[StoredEvent]) -> None:
        """Answer the command."""
        message, outcome = self._pending[workflow_id]
        state = self._loaded[workflow_id].state
        self.refused(workflow_id)
        for stored in events:
            state = evolve(state, event_of(stored))
        saved, set_by = Saved(state.version, events[0].position), _set_by(command_of(message), state.definition)
        work.answers.append((message, saved_answer(workflow_id, saved, outcome.warnings, set_by)))

    def refused(self, workflow_id: str) -> None:
        """What is in memory is read anew at the next `load`."""
        for kept in (self._loaded, self._outcomes, self._pending):
            kept.pop(workflow_id, None)

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        for kept in (self._loaded, self._outcomes, self._pending):
            kept.clear()


def _set_by(command: object, definition: msgspec.Raw) -> dict[str, Any]:
    """What a command that sets a part of the definition is told of it."""
    if not isinstance(command, SetTriggerConfigs):
        return {}
    return {"trigger_configs": readable(msgspec.json.decode(definition))["trigger_configs"]}

"""A log that carries out what it is asked for, and does not say so."""

from collections.abc import Sequence
from typing import Any

from infra.eventlog import Answer, Append, EventLog, Unavailable


class AnswersLost:
    """The log, which carries out every append, and whose answers are lost from one with such an event on."""

    def __init__(self, log: EventLog, event_type: str, count: int = 1) -> None:
        self.left_count = count
        self._log = log
        self._event_type = event_type
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        answers = await self._log.append(groups)
        types = {event.type for group in groups for stream in group.streams for event in stream.events}
        self._has_begun = self._has_begun or self._event_type in types
        if self._has_begun and self.left_count > 0:
            self.left_count -= 1
            raise Unavailable("the answer was lost")
        return answers

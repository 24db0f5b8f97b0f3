"""Templates as the shell runs them: things saved as versions (`services.catalog.versioned`), and those ready-made."""

from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from flowforge.commands import DeleteTemplate, ListTemplates, SaveTemplate
from flowforge.events import TemplateEvent, TemplateSaved, decode
from flowforge.identity import lasting_stream, named_stream
from flowforge.refusals import Refusal
from flowforge.subjects import Subjects

from infra.eventlog import EventLog
from services.catalog.answers import accepted
from services.catalog.decided import Decided
from services.catalog.state import State as WorkflowState
from services.catalog.state import evolve as evolve_workflow
from services.catalog.state import initial as no_workflow
from services.catalog.templates.decide import decide
from services.catalog.templates.ready_made import ready_made
from services.catalog.templates.template import State, Template, evolve, initial
from services.catalog.versioned import Kind, Saying, Versioned


class Templates:
    """The part of catalog that has to do with templates; `changes` are commands about one's own."""

    def __init__(self, log: EventLog, namespace: str, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._sources: dict[str, WorkflowState] = {}
        kind = Kind(
            word="template",
            commands=(SaveTemplate, DeleteTemplate),
            id_of=attrgetter("template_id"),
            stream=_stream,
            initial=initial,
            evolve=evolve,
            decide=self._decided,
            saying=Saying(frozenset({"TemplateSaved", "TemplateDeleted"}), Subjects(namespace).template, _head),
        )
        self.changes = Versioned(kind, log, namespace, clock)

    async def load(self, keys: Collection[Hashable], commands: Sequence[object]) -> None:
        """The streams of these templates, and of the workflows that they are taken from."""
        await self.changes.load(keys)
        self._sources.clear()
        for command in commands:
            if isinstance(command, SaveTemplate) and command.workflow_id is not None:
                self._sources[command.workflow_id] = await self._workflow(command.workflow_id)

    async def find(self, template_id: str) -> Template | None:
        """A template by its id, ready-made or one's own."""
        if template_id in ready_made():
            return ready_made()[template_id]
        return (await self.changes.state(template_id)).template

    def forget_all(self) -> None:
        """Nothing is kept between turns."""
        self.changes.forget_all()
        self._sources.clear()

    async def _workflow(self, workflow_id: str) -> WorkflowState:
        state = no_workflow
        for stored in await self._log.read_stream(named_stream("workflow", workflow_id)):
            state = evolve_workflow(state, cast("Any", decode(stored.type, stored.data)))
        return state

    def _decided(self, state: State, command: SaveTemplate | DeleteTemplate) -> Decided[TemplateEvent] | Refusal:
        source = self._sources.get(getattr(command, "workflow_id", None) or "", no_workflow)
        return decide(state, command, source, command.template_id in ready_made())


def listed(command: ListTemplates) -> bytes:
    """The answer with the ready-made templates, or the one that is asked for."""
    wanted = [one for one in ready_made().values() if command.template_id in (None, one.id)]
    return accepted({"items": [one.shown() for one in wanted]})


def _stream(template_id: str) -> UUID:
    return lasting_stream("template", template_id)


def _head(event: TemplateSaved) -> dict[str, Any]:
    return {"template_id": event.template_id, "template_version": event.template_version, "name": event.name}

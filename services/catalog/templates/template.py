"""What a template is, and what its stream tells of one. Pure."""

from typing import Any, Literal, assert_never

import msgspec
from flowforge.events import NULL, TemplateDeleted, TemplateEvent, TemplateSaved


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A definition to make workflows of; `version` is 0 for a ready-made one."""

    id: str
    name: str
    description: str = ""
    category: str = ""
    source: Literal["own", "builtin"] = "own"
    version: int = 0
    definition: msgspec.Raw = NULL

    def shown(self) -> dict[str, Any]:
        """As it is read over HTTP. `parameters` are the variables of its definition, whose defaults may be replaced."""
        document: dict[str, Any] = msgspec.json.decode(self.definition)
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "source": self.source,
            "version": self.version,
            "parameters": document.get("variables", []),
            "definition": document,
        }


class State(msgspec.Struct, frozen=True):
    """`version` counts its saves; no template: there is none, or it was deleted."""

    version: int = 0
    template: Template | None = None


initial = State()


def evolve(state: State, event: TemplateEvent) -> State:
    """The state after the event."""
    match event:
        case TemplateSaved():
            return State(
                event.template_version,
                Template(
                    id=event.template_id,
                    name=event.name,
                    description=event.description,
                    category=event.category,
                    version=event.template_version,
                    definition=event.definition,
                ),
            )
        case TemplateDeleted():
            return State(state.version, None)
        case _:
            assert_never(event)

"""Other workflows and stored prompts that a definition names: whether they are there, and come back to this one."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import msgspec
from flowforge.definition import ChildNode, PromptNode

from services.catalog.validation.draft import Draft
from services.catalog.validation.report import Findings

_FIELDS: tuple[tuple[str, Literal["workflow", "prompt"]], ...] = (("workflow_id", "workflow"), ("prompt_id", "prompt"))


class Name(NamedTuple):
    """What a definition names beside itself."""

    kind: Literal["workflow", "prompt"]
    id: str


class PromptVersions(msgspec.Struct, frozen=True):
    """How many versions of a stored prompt there are; a deleted one is found only by those who name a version."""

    count: int
    is_offered: bool


class Known(msgspec.Struct, frozen=True):
    """What there is of other things, by id; of one that is missing here nothing is known."""

    workflows: Mapping[str, bool] = MappingProxyType({})
    prompts: Mapping[str, PromptVersions] = MappingProxyType({})


NOTHING_KNOWN = Known()


def check_named(draft: Draft, known: Known, findings: Findings) -> None:
    """That they exist, as far as is known, and that no workflow starts itself."""
    for name, path, nodes in _named_workflows(draft):
        if name == draft.head.id:
            what = "its runs start runs of itself" if nodes else "a failure of its failure handler starts it again"
            findings.warning(
                "STARTS_ITSELF", path, f"'{name}' is this workflow: {what}, until the chain is cut (DEPTH_EXCEEDED)",
                "make sure that there is a way out, such as a condition before it" if nodes else "name another workflow",
                nodes,
            )  # fmt: skip
        elif known.workflows.get(name) is False:
            message = f"there is no workflow '{name}' yet; until there is, starting it fails"
            findings.warning("UNKNOWN_WORKFLOW", path, message, "save that workflow, or correct the name", nodes)
    for placed in draft.nodes():
        node = placed.item
        there = known.prompts.get(node.prompt_id or "") if isinstance(node, PromptNode) else None
        if there is not None and (fault := _fault_of_prompt(cast("PromptNode", node), there)):
            field, message, mend = fault
            findings.warning("UNKNOWN_PROMPT", placed.path(field), message, mend, [node.id])


def _named_workflows(draft: Draft) -> Iterator[tuple[str, str, list[str]]]:
    """Id, place and node of each workflow that is started as a child or on failure."""
    for placed in draft.nodes():
        if isinstance(placed.item, ChildNode):
            yield placed.item.workflow_id, placed.path("workflow_id"), [placed.item.id]
    if draft.head.settings.on_failure is not None:
        yield draft.head.settings.on_failure.workflow_id, "$.settings.on_failure.workflow_id", []


def _fault_of_prompt(node: PromptNode, there: PromptVersions) -> tuple[str, str, str] | None:
    """The field that names what is not there, why, and what to do."""
    name, version = node.prompt_id, node.prompt_version
    if not there.count:
        message = f"there is no stored prompt '{name}' yet; until there is, the node fails"
        return "prompt_id", message, "save that prompt, or correct the name"
    if version is None:
        message = f"the stored prompt '{name}' was deleted; until it is saved again, the node fails"
        return None if there.is_offered else ("prompt_id", message, "save it again, or name one of its versions")
    if version > there.count:
        message = f"the stored prompt '{name}' has no version {version} yet, its newest is {there.count}"
        return "prompt_version", message, "name a version that there is, or leave prompt_version out: the newest"
    return None


def names_in(document: object, count_max: int) -> list[Name]:
    """What a document may name, found without reading it as a definition; at most `count_max`."""
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    found: dict[Name, None] = {}
    stack: list[Any] = [fields.get("nodes"), fields.get("settings")]
    while stack and len(found) < count_max:
        value = stack.pop()
        if isinstance(value, dict):
            part = cast("dict[str, Any]", value)
            for field, kind in _FIELDS:
                if isinstance(name := part.get(field), str):
                    found[Name(kind, name)] = None
            stack += [part[key] for key in ("config", "body", "nodes", "on_failure") if key in part]
        elif isinstance(value, list):
            stack += cast("list[Any]", value)
    return list(found)

"""Workflows: stream type `workflow`, written by catalog."""

import msgspec

from flowforge.events.event import Event


class WorkflowCreated(Event, kw_only=True, frozen=True):
    """Version 1 of a workflow; `definition` is the whole document. `template_id`: the template that it was made of."""

    workflow_id: str
    workflow_version: int
    definition: msgspec.Raw
    template_id: str | None = None


class WorkflowUpdated(Event, kw_only=True, frozen=True):
    """A further version; `rolled_back_to` names the version it repeats, where it repeats one."""

    workflow_id: str
    workflow_version: int
    definition: msgspec.Raw
    rolled_back_to: int | None = None


class WorkflowArchived(Event, kw_only=True, frozen=True):
    """The workflow starts no more runs; its runs and history stay. A later update with another status revives it."""

    workflow_id: str

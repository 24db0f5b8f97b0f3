"""Templates of one's own: stream type `template`, written by catalog. Ready-made ones come with the code, not the log."""

import msgspec

from flowforge.events.event import Event


class TemplateSaved(Event, kw_only=True, frozen=True):
    """A version of a template; `definition` is the whole document that workflows are made of.

    `workflow_id` and `workflow_version` are those that it was taken from, where it was taken from one.
    """

    template_id: str
    template_version: int
    name: str
    description: str = ""
    category: str = ""
    definition: msgspec.Raw
    workflow_id: str | None = None
    workflow_version: int | None = None


class TemplateDeleted(Event, kw_only=True, frozen=True):
    """No more workflows are made of it; those that were stay. Saving it again brings it back."""

    template_id: str

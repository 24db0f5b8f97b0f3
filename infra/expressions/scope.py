"""Which names an expression may use, by the place where it stands (interface.md 1.4)."""

from enum import Enum

_RUN_NAMES = ("input", "variables", "nodes", "run", "event", "events")
_NODE_NAMES = (*_RUN_NAMES, "item", "index", "previous", "now")


WORKER_NAMES = frozenset({"secrets", "callback"})
"""What only the worker knows."""


class Scope(Enum):
    """The value is the visible names, in the order in which they are told."""

    FILTER = ("event", "now")
    TRIGGER_INPUT = ("event", "events", "now")
    NODE = _NODE_NAMES
    EDGE = NODE
    NODE_OUTPUT = (*_NODE_NAMES, "output")
    """A node's `output_mapping`."""
    NODE_WITH_SECRETS = (*_NODE_NAMES, "secrets", "callback")
    """Fields of `webhook`, `sql`, `prompt_execution` and `script.env`; render with `Template.render_for_worker`.

    `callback.url` is where the answer of a webhook that waits for one is to be sent; other nodes have none.
    """
    SECRETS = ("secrets", "callback")
    """What `render_for_worker` left for the worker: nothing but these."""
    RUN_OUTPUT = (*_RUN_NAMES, "now")
    RUN_START = ("input", "variables", "run", "event", "events", "now")
    """Fields that are read before any node runs, as `concurrency.key`."""
    CORRELATE = ("run",)
    SUBSCRIPTION = ("event", "run")
    """The condition of a subscription."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.value

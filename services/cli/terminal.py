"""A terminal that others' texts cannot command: names, log lines and errors come from whoever wrote them."""

import re
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# what a terminal takes for an order: `ESC [ … letter`, `ESC ] … BEL` (or until `ESC \`), `ESC letter`
_ORDERS = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[@-Z\\^_]"
)
_SIGNS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str, sign: str = "\ufffd") -> str:
    """The text without colours and other orders to a terminal; `sign` where another control character stood, or one that
    turns the direction of reading."""
    return text if text.isprintable() else _SIGNS.sub(sign, _ORDERS.sub("", text))


class Terminal(Console):
    """Rich's, with all texts harmless; its own colours and movements are no texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does it, piece by piece."""
        return self._harmless(super().render(renderable, options))

    def _harmless(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        sign = "\ufffd" if self.encoding.lower().startswith("utf") else "?"
        for text, style, control in segments:
            yield Segment(text if control else harmless(text, sign), style, control)

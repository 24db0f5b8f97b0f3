"""The picture as Mermaid text, which GitHub, GitLab, notebooks and many documents draw.

Source: Mermaid's flowchart syntax; in a quoted text only the quote and `#` (which begins a character's name) mean anything.
"""

from flowforge.diagram import Arrow, Box, Diagram
from flowforge.diagram.colours import look

_LINES = {"plain": "-->", "failure": "-.->", "completion": "-.->"}


def mermaid(diagram: Diagram) -> str:
    """A flowchart, with the colours that the SVG has."""
    names = {box.id: f"n{number}" for number, box in enumerate(diagram.boxes)}
    lines = ["flowchart LR"]
    lines += [f"    {names[box.id]}{_shape(box)}" for box in diagram.boxes]
    lines += [f"    {names[arrow.source]} {_line(arrow)} {names[arrow.target]}" for arrow in diagram.arrows]
    for status in dict.fromkeys(box.status for box in diagram.boxes):
        if status is not None:
            colours = look(status)
            lines.append(f"    classDef {status} fill:{colours.fill},stroke:{colours.border},color:{colours.text}")
    if diagram.note:
        lines.append(f"    more[{_quoted(diagram.note)}]")
    return "\n".join(lines) + "\n"


def _shape(box: Box) -> str:
    text = _quoted(box.label, box.detail)
    return f"[{text}]" + (f":::{box.status}" if box.status is not None else "")


def _line(arrow: Arrow) -> str:
    return _LINES[arrow.kind] + (f"|{_quoted(arrow.label)}|" if arrow.label else "")


def _quoted(*lines: str) -> str:
    return '"' + "<br/>".join(_escaped(line) for line in lines if line) + '"'


def _escaped(text: str) -> str:
    for character, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(character, name)
    return text

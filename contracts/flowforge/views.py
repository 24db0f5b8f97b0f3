"""Answers of the server that show themselves: dictionaries as they came, with a picture beside.

A notebook draws what has `_repr_svg_`; the text and the JSON of these are those of any dictionary.
"""

from typing import Any

from flowforge import diagram
from flowforge.diagram.mermaid import mermaid
from flowforge.diagram.svg import svg


class Run(dict[str, Any]):
    """A run as the server answers it (interface.md, section 3, "Shapes")."""

    def to_svg(self) -> str:
        """Its graph as an SVG document, each node in the colour of its status."""
        return svg(diagram.of_run(self))

    def to_mermaid(self) -> str:
        """Its graph as a Mermaid flowchart."""
        return mermaid(diagram.of_run(self))

    def _repr_svg_(self) -> str:
        return self.to_svg()


class SavedWorkflow(dict[str, Any]):
    """One version of a workflow as the server answers it: the definition's fields, `version`, who made it and when."""

    def to_svg(self) -> str:
        """Its graph as an SVG document."""
        return svg(diagram.of_definition(self))

    def to_mermaid(self) -> str:
        """Its graph as a Mermaid flowchart."""
        return mermaid(diagram.of_definition(self))

    def _repr_svg_(self) -> str:
        return self.to_svg()

"""What validation answers."""

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import Literal

import msgspec

from services.catalog.settings import (
    findings_shown_max,
    ids_shown_max,
    message_chars_max,
    nodes_shown_max,
    words_compared_max,
)

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: `path` is a JSON path into the document as its author wrote it."""

    type: str
    nodes: list[str]
    path: str
    message: str
    severity: Severity
    suggested_resolution: str


class Report(msgspec.Struct, kw_only=True):
    """Everything found. A cycle is the list of its nodes in order, the first one not repeated."""

    is_valid: bool
    errors: list[Finding] = []
    warnings: list[Finding] = []
    circular_dependencies: list[list[str]] = []
    unreachable_nodes: list[str] = []
    orphaned_nodes: list[str] = []


class Findings:
    """Collects findings, and becomes a report."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.cycles: list[list[str]] = []
        self.unreachable: list[str] = []
        self.orphaned: list[str] = []
        self._comparisons_left = words_compared_max

    def error(self, kind: str, path: str, message: str, mend: str, nodes: Iterable[str] = ()) -> None:
        """A reason why the workflow is refused."""
        self._add("error", kind, path, message, mend, nodes)

    def warning(self, kind: str, path: str, message: str, mend: str, nodes: Iterable[str] = ()) -> None:
        """Something that its author probably did not mean."""
        self._add("warning", kind, path, message, mend, nodes)

    def did_you_mean(self, word: str, known: Iterable[str], otherwise: str) -> str:
        """A suggestion: the known word that is nearest to `word`, or else `otherwise`."""
        words = list(islice(known, self._comparisons_left))
        self._comparisons_left -= len(words)
        close = difflib.get_close_matches(word, words, n=1)
        return f"did you mean `{close[0]}`?" if close else otherwise

    def _add(self, severity: Severity, kind: str, path: str, message: str, mend: str, nodes: Iterable[str]) -> None:
        names = list(nodes)[:nodes_shown_max]
        self.found.append(
            Finding(
                type=kind,
                nodes=names,
                path=_cut(path),
                message=_cut(message),
                severity=severity,
                suggested_resolution=_cut(mend),
            )
        )

    def report(self) -> Report:
        """All of it; lists that nobody could read to their end are cut, and say so."""
        errors = [finding for finding in self.found if finding.severity == "error"]
        warnings = [finding for finding in self.found if finding.severity == "warning"]
        return Report(
            is_valid=not errors,
            errors=_shown(errors),
            warnings=_shown(warnings),
            circular_dependencies=_cut_cycles(self.cycles),
            unreachable_nodes=self.unreachable[:ids_shown_max],
            orphaned_nodes=self.orphaned[:ids_shown_max],
        )


def _cut(text: str) -> str:
    return text if len(text) <= message_chars_max else f"{text[: message_chars_max - 1]}…"


def _cut_cycles(cycles: list[list[str]]) -> list[list[str]]:
    """As many as fit, the first one in any case."""
    shown: list[list[str]] = []
    left = ids_shown_max
    for cycle in cycles:
        if left <= 0:
            break
        shown.append(cycle[:left])
        left -= len(cycle)
    return shown


def _shown(findings: list[Finding]) -> list[Finding]:
    """The first of them, and how many more there are."""
    if len(findings) <= findings_shown_max:
        return findings
    rest = findings[findings_shown_max:]
    more = Finding(
        type="MORE",
        nodes=[],
        path="$",
        message=f"{len(rest)} more of these are not shown",
        severity=rest[0].severity,
        suggested_resolution="mend those shown, then validate again",
    )
    return [*findings[:findings_shown_max], more]

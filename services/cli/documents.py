"""Definition files: reading them, and saying where in them a fault stands."""

import copy
import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml
from flowforge import definition
from flowforge.errors import DefinitionInvalid
from rich.text import Text

from services.cli.glyphs import Glyphs
from services.cli.output import EXIT_USAGE, STDIN, Failure

SUFFIXES = frozenset({".json", ".yaml", ".yml"})
FRAME_LINES_BEFORE = 2
FRAME_CELLS_MAX = 120
"""Of a longer line, the part around the spot is shown."""
ROUNDS_MAX = 50
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING_FIELD = re.compile(r"missing required field `(?P<field>[^`]*)`")
_DID_YOU_MEAN = re.compile(r"did you mean `(?P<word>[^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_DOCUMENT_START = re.compile(r"^---(?:\s|$)")
_MARK = re.compile(r"line (\d+), column (\d+)")


class Finding(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One thing wrong with a document; line and column count from 1 in its file."""

    file: str
    message: str
    path: str = "$"
    severity: str = "error"
    suggested_resolution: str = ""
    type: str = ""
    line: int | None = None
    column: int | None = None
    width: int = 1
    nodes: list[str] = []


class Document(msgspec.Struct, kw_only=True):
    """One document of a file. `text` has the file's line numbers: what stands before it is blank."""

    file: str
    text: str
    data: Any = None
    findings: list[Finding] = []

    @property
    def id(self) -> str:
        identifier = cast("dict[str, Any]", self.data).get("id") if isinstance(self.data, dict) else None
        return identifier if isinstance(identifier, str) else ""

    @property
    def has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def read(paths: list[str]) -> list[Document]:
    """Every document in the files and folders named (`-` is stdin), each checked as far as one can without a server."""
    documents = [_checked(name, text) for path in paths for name, whole in _files(path) for text in _split(name, whole)]
    if not documents:
        raise Failure(f"no definition in {', '.join(paths)}", "name a .json, .yaml or .yml file", status=EXIT_USAGE)
    return documents


def _files(path: str) -> Iterator[tuple[str, str]]:
    if path == STDIN:
        yield "<stdin>", sys.stdin.read()
        return
    root = Path(path)
    if not root.exists():
        raise Failure(f"there is no file {path}", _nearby(root), status=EXIT_USAGE)
    found = sorted(file for file in root.rglob("*") if _is_definition(file, root)) if root.is_dir() else [root]
    if not found:
        raise Failure(f"the folder {path} holds no .json, .yaml or .yml file", status=EXIT_USAGE)
    for file in found:
        try:
            yield str(file), file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else "it is no UTF-8 text"
            raise Failure(f"cannot read {file}: {reason}", status=EXIT_USAGE) from fault


def _is_definition(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.is_file() and file.suffix.lower() in SUFFIXES and not hidden


def _nearby(missing: Path) -> str:
    parent = missing.parent
    names = [file.name for file in parent.iterdir() if file.suffix.lower() in SUFFIXES] if parent.is_dir() else []
    close = difflib.get_close_matches(missing.name, names, n=1)
    return f"did you mean {parent / close[0]}?" if close else ""


def _split(name: str, whole: str) -> Iterator[str]:
    """The documents of a YAML stream, each with the blank lines in front that keep its line numbers."""
    if name.lower().endswith(".json"):
        yield whole
        return
    lines = whole.splitlines(keepends=True)
    starts = [0, *(index + 1 for index, line in enumerate(lines) if _DOCUMENT_START.match(line))]
    for start, end in zip(starts, [*(start - 1 for start in starts[1:]), len(lines)], strict=True):
        body = lines[start:end]
        if any(line.strip() and not line.lstrip().startswith("#") for line in body) or len(starts) == 1:
            yield "\n" * start + "".join(body)


def _checked(file: str, text: str) -> Document:
    document = Document(file=file, text=text)
    try:
        document.data = definition.from_text(text)
    except DefinitionInvalid as fault:
        document.findings.append(_syntax_finding(file, text, fault))
        return document
    document.findings += [
        finding(document, fault.path, fault.message, suggested_resolution=fault.suggested_resolution)
        for fault in _all_faults(document.data)
    ]
    document.findings.sort(key=lambda found: (found.line or 0, found.column or 0))
    return document


def _all_faults(data: Any) -> list[definition.Fault]:
    """Every fault, not only the first of each node: what was found wrong is left out and the rest looked at again."""
    rest, found, left_out = copy.deepcopy(data), dict[tuple[str, str], definition.Fault](), set[str]()
    for _ in range(ROUNDS_MAX):
        _, faults = definition.parse(rest)
        new = [fault for fault in faults if (fault.path, fault.message) not in found and not _is_ours(fault, left_out)]
        found |= {(fault.path, fault.message): fault for fault in new}
        removed = [path for path in map(_faulty_path, new) if _leave_out(rest, path)]
        left_out.update(removed)
        if not removed:
            break
    suggested = {f"{_parent(path)}.{word}" for path, word in _suggestions(found.values())}
    return [fault for fault in found.values() if not _is_ours(fault, suggested)]


def _suggestions(faults: Iterable[definition.Fault]) -> Iterator[tuple[str, str]]:
    for fault in faults:
        if suggestion := _DID_YOU_MEAN.search(fault.suggested_resolution):
            yield _faulty_path(fault), suggestion["word"]


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _is_ours(fault: definition.Fault, left_out: set[str]) -> bool:
    """Whether it misses what was only misspelt, or left out here."""
    missing = _MISSING_FIELD.search(fault.message)
    return missing is not None and f"{fault.path}.{missing['field']}" in left_out


def _faulty_path(fault: definition.Fault) -> str:
    unknown = _UNKNOWN_FIELD.search(fault.message)
    return f"{fault.path}.{unknown['field']}" if unknown else fault.path


def _leave_out(data: Any, path: str) -> bool:
    """Remove one field; false where the path names no field, so that nothing is left to look at again."""
    *parents, last = [name or int(index) for name, index in _STEP.findall(path)] or [""]
    for step in parents:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return False
    for fields in (data, data.get("config") if isinstance(data, dict) else None):
        if isinstance(fields, dict) and last in fields:
            del fields[last]
            return True
    return False


def _syntax_finding(file: str, text: str, fault: DefinitionInvalid) -> Finding:
    """Where the text stops being JSON or YAML; of what looks like JSON, in JSON's words."""
    if text.lstrip().startswith(("{", "[")):
        try:
            json.loads(text)
        except json.JSONDecodeError as broken:
            message = f"this is no valid JSON: {broken.msg[:1].lower()}{broken.msg[1:]}"
            return Finding(file=file, message=message, line=broken.lineno, column=broken.colno, type="syntax")
        except RecursionError:
            return Finding(file=file, message="this is nested too deeply", type="syntax")
    mark = _MARK.search(fault.path)
    line, column = (int(mark[1]), int(mark[2])) if mark else (None, None)
    return Finding(file=file, message=fault.message, line=line, column=column, type="syntax")


def finding(document: Document, path: str, message: str, **fields: Any) -> Finding:
    """A finding at a JSON path of the document, with its place in the file."""
    found = Finding(file=document.file, path=path, message=message, **fields)
    unknown = _UNKNOWN_FIELD.search(message)
    name = unknown["field"] if unknown else ""
    if name and not path.endswith(f".{name}"):
        found.path = f"{path}.{name}"
    try:
        place = definition.locate(document.text, found.path)
    except (yaml.YAMLError, ValueError, RecursionError):
        return found
    if place is not None:
        found.line, found.column = place
        found.width = _mark_key(document.text, found, name) if name else _word_width(document.text, place)
    return found


def _mark_key(text: str, found: Finding, name: str) -> int:
    """Moves the place from a field's value back to its name; answers how wide the name is."""
    key = re.compile(rf"""(?:^|[\s,{{])(?P<key>["']?{re.escape(name)}["']?)\s*:""")
    lines = text.splitlines()
    last = cast("int", found.line) - 1
    for index in range(last, -1, -1):
        before = lines[index][: found.column] if index == last and found.column else lines[index]
        hits = list(key.finditer(before + (":" if index == last else "")))
        if hits:
            found.line, found.column = index + 1, hits[-1].start("key") + 1
            return len(hits[-1]["key"])
    return 1


def _word_width(text: str, place: tuple[int, int]) -> int:
    lines = text.splitlines()
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    word = re.match(r"""[{\[]|"[^"]*"|'[^']*'|[^\s,\]}]+""", line[place[1] - 1 :])
    return len(word[0].rstrip(":")) or 1 if word else 1


def frame(document: Document, found: Finding, glyphs: Glyphs) -> Text:
    """The finding with the lines of the file around it and a mark under the spot."""
    sign = glyphs.state(found.severity)
    style = "bold red" if found.severity == "error" else "bold yellow"
    text = Text.assemble(sign, " ", (found.severity, style), ": ", (found.message, "bold"), "\n")
    lines = document.text.splitlines()
    place = f"{found.file}:{found.line}:{found.column}" if found.line else found.file
    digits = len(str(found.line or 0))
    rail = "│" if glyphs.unicode else "|"
    text.append(" " * (digits + 2) + ("┌ " if glyphs.unicode else "> "), "bright_black").append(place, "cyan")
    if found.path != "$":
        text.append(f"  {found.path}", "dim")
    if found.line and found.line <= len(lines):
        first = max(found.line - FRAME_LINES_BEFORE, 1)
        while first < found.line and not lines[first - 1].strip():
            first += 1
        from_cell = (
            max((found.column or 1) - FRAME_CELLS_MAX // 2, 0) if len(lines[found.line - 1]) > FRAME_CELLS_MAX else 0
        )
        for number in range(first, found.line + 1):
            text.append(f"\n {number:>{digits}} {rail} ", "bright_black")
            shown = lines[number - 1].replace("\t", " ")[from_cell : from_cell + FRAME_CELLS_MAX]
            text.append(shown, "" if number == found.line else "dim")
        indent = " " * ((found.column or 1) - 1 - from_cell)
        text.append(f"\n {'':>{digits}} {rail} ", "bright_black").append(indent + "^" * max(found.width, 1), style)
    if found.suggested_resolution:
        text.append(f"\n {'':>{digits}} = ", "bright_black").append(found.suggested_resolution, "green")
    return text

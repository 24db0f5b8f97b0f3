"""What reaches the terminal: results on stdout as words or as JSON, everything else on stderr."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from services.cli.glyphs import glyphs_for
from services.cli.terminal import Terminal

WIDTH_OF_PIPES = 200
STDIN = "@-"
"""A lone `-` among the words: the parser would take it for an option."""
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class Failure(Exception):
    """Ends a command: what went wrong, what to do next, and the exit status. `details` are lines or findings."""

    def __init__(
        self,
        message: str,
        next_step: str = "",
        *,
        status: int = EXIT_FAILED,
        details: Sequence[RenderableType] = (),
        problem: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.status = status
        self.details = list(details)
        self.problem = problem


class Output:
    """Where a command speaks. With `as_json`, stdout carries JSON documents, one per line, and nothing else."""

    def __init__(self, as_json: bool = False, stdout: Console | None = None, stderr: Console | None = None) -> None:
        self.as_json = as_json
        self.out = stdout or Terminal(highlight=False, emoji=False, markup=False, width=_width_where_nobody_looks())
        self.err = stderr or Terminal(stderr=True, highlight=False, emoji=False, markup=False)
        self.glyphs = glyphs_for(self.out)

    @property
    def is_terminal(self) -> bool:
        """A person looks at stdout and sees lines move."""
        return self.out.is_terminal and not self.out.is_dumb_terminal and not self.as_json

    def json(self, value: Any) -> None:
        """One JSON document on a line of its own; nothing without `--json`."""
        if self.as_json:
            sys.stdout.buffer.write(msgspec.json.encode(value, enc_hook=str) + b"\n")
            sys.stdout.buffer.flush()

    def say(self, *parts: RenderableType) -> None:
        """A result in words; nothing with `--json`."""
        if not self.as_json:
            for part in parts:
                self.out.print(part, soft_wrap=isinstance(part, (str, Text)) and not self.out.is_terminal)

    def whole(self, text: str) -> None:
        """A result that is copied from here: in one piece, however narrow the terminal."""
        if not self.as_json:
            self.out.print(Text(text, "bold"), soft_wrap=True)

    def note(self, *parts: RenderableType) -> None:
        """Something beside the result, on stderr."""
        for part in parts:
            self.err.print(part, soft_wrap=isinstance(part, (str, Text)) and not self.err.is_terminal)

    @contextlib.contextmanager
    def progress(self, what: str) -> Generator[Callable[[int, int], None]]:
        """A bar on stderr while something long goes on, told how far of how far it is; gone afterwards."""
        if not self.err.is_terminal or self.as_json:
            yield lambda *_: None
            return
        from rich.progress import (  # noqa: PLC0415  it takes longer to import than most commands take to run
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", style="dim"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def state(self, status: str, *rest: str | Text | tuple[str, str]) -> Text:
        """A line that begins with the sign of a state."""
        return Text.assemble(self.glyphs.state(status), " ", *rest)

    def failure(self, failure: Failure) -> None:
        """The error on stderr: cause, details, next step."""
        if self.as_json:
            document = {"error": failure.message, "next": failure.next_step, **(failure.problem or {})}
            sys.stderr.write(msgspec.json.encode(document, enc_hook=str).decode() + "\n")
            return
        glyphs = glyphs_for(self.err)
        self.note(Text.assemble(glyphs.state("error"), " ", (failure.message, "bold")))
        for detail in failure.details:
            self.note(detail)
        if failure.next_step:
            self.note(Text(f"  {failure.next_step}", "cyan"))


def _width_where_nobody_looks() -> int | None:
    """Of a pipe or file, wide enough to cut nothing short; None: the terminal's own, or COLUMNS."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_PIPES


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A calm table: headings dim, no lines."""
    numbers = set(right)
    grid = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for name in columns:
        grid.add_column(name, justify="right" if name in numbers else "left", overflow="fold", no_wrap=name in numbers)
    return grid

"""`flowforge`: the commands, and the edge where every error becomes a sentence and an exit status.

Commands are named by import string and loaded when they are used, so that `--help` shows at once.
"""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import asyncio
import difflib
import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter, UnknownCommandError
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from services.cli.output import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    STDIN,
    Failure,
    Output,
)

_NO_BOX = Box("    \n" * 8)
_FORMATTER = DefaultFormatter(panel_spec=PanelSpec(box=_NO_BOX, padding=(0, 0, 0, 2), title_align="left"))
_DEFINITIONS = Group("Definitions", sort_key=1, help_formatter=_FORMATTER)
_RUNS = Group("Runs", sort_key=2, help_formatter=_FORMATTER)
_EVENTS = Group("Events and decisions", sort_key=3, help_formatter=_FORMATTER)
_SYSTEM = Group("The system", sort_key=4, help_formatter=_FORMATTER)
_EVERYWHERE = Group("Everywhere", sort_key=9, help_formatter=_FORMATTER)
_HERE = Group("Options", sort_key=5, help_formatter=_FORMATTER)

_COMMANDS: tuple[tuple[str, str, Group, str], ...] = (
    ("apply", "definitions:apply", _DEFINITIONS, "Create or update workflows from JSON or YAML files."),
    ("validate", "definitions:validate", _DEFINITIONS, "Say what is wrong with a definition, and where."),
    ("workflows", "definitions:workflows", _DEFINITIONS, "List the workflows."),
    ("graph", "graph:graph", _DEFINITIONS, "Draw a workflow or a run, as Mermaid text or an SVG file."),
    ("templates", "templates:app", _DEFINITIONS, "Ready-made and own definitions, to make workflows of."),
    ("prompts", "prompts:app", _DEFINITIONS, "Stored, versioned prompts for language models."),
    ("run", "runs:run", _RUNS, "Start a run of a workflow; with --watch, show it until its end."),
    ("watch", "runs:watch", _RUNS, "Show a run live until its end."),
    ("runs", "operations:app", _RUNS, "List runs; pause, resume, step, retry, change, cancel them."),
    ("logs", "runs:logs", _RUNS, "Show what the jobs of a run wrote."),
    ("why", "runs:why", _RUNS, "Show why a run started, back to the first event."),
    ("lineage", "lineage:lineage", _RUNS, "What led to a run, and what came of it."),
    ("stats", "statistics:stats", _RUNS, "What became of runs, and how long they took."),
    ("state", "past:state", _RUNS, "Show a run as it was at a past moment."),
    ("fork", "past:fork", _RUNS, "Go on from a past moment in a new run."),
    ("diff", "past:diff", _RUNS, "What differs between two runs, such as a run and its fork."),
    ("cancel", "runs:cancel", _RUNS, "End a run."),
    ("nodes", "nodes:app", _RUNS, "Complete, fail or skip a node by hand."),
    ("approvals", "approvals:app", _RUNS, "See what waits for a person; approve or reject."),
    ("events", "events:app", _EVENTS, "Publish events; show what happened in a run."),
    ("triggers", "triggers:app", _EVENTS, "Try triggers, and see what they decided."),
    ("decisions", "triggers:decisions", _EVENTS, "Why a trigger fired, or why not."),
    ("secrets", "secrets:app", _DEFINITIONS, "Set, list and delete the secrets that workflows name."),
    ("subscriptions", "subscriptions:app", _EVENTS, "Have run events posted to an address; see what was delivered."),
    ("dead-letters", "dead_letters:app", _EVENTS, "Messages that could not be handled; once more."),
    ("up", "system:up", _SYSTEM, "Run everything on this machine."),
    ("login", "login:login", _SYSTEM, "Make a one-time link that logs you in to the console."),
    ("users", "users:app", _SYSTEM, "Who may ask, and with which role."),
    ("keys", "keys:app", _SYSTEM, "Keys for programs; several for each user."),
    ("prepare", "prepare:app", _SYSTEM, "Credentials, tables and streams of a deployment on your own servers."),
    ("worker", "system:worker", _SYSTEM, "Serve job types of your own: MODULE:worker."),
    ("rebuild", "system:rebuild", _SYSTEM, "Build the read models anew from the log."),
    ("erase", "erasing:erase", _SYSTEM, "Erase what a person left in runs and events, for good."),
    ("verify", "system:verify", _SYSTEM, "Check the log's hash chain, and the read models against it."),
    ("archive", "keeping:archive", _SYSTEM, "Move runs that ended long ago from the log into compressed files."),
    ("restore", "keeping:restore", _SYSTEM, "Put an archive back into the log; or make a new home of a backup."),
    ("backup", "keeping:backup", _SYSTEM, "Write everything into one file while it runs; or check such a file."),
    ("audit", "audit:audit", _SYSTEM, "Who did what, when."),
    ("doctor", "doctor:doctor", _SYSTEM, "What is reachable, what is not, and what to do."),
)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"flowforge {version('flowforge')}"
    except PackageNotFoundError:
        return "flowforge (not installed)"


def build() -> App:
    """The whole command line; nothing of a command is imported yet."""
    app = App(
        name="flowforge",
        help="Workflows that events start, with every decision on record.",
        version=_version,
        group_parameters=_HERE,
        group_arguments=_HERE,
        help_formatter=_FORMATTER,
        help_format="plaintext",
    )
    for order, (name, path, group, text) in enumerate(_COMMANDS):
        app.command(f"services.cli.commands.{path}", name=name, group=group, help=text, sort_key=order)
    for flag in (*app.help_flags, *app.version_flags):
        app[flag].group = (_EVERYWHERE,)
    app.meta.default(_launcher(app))
    return app


def _launcher(app: App) -> Any:
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        json: Annotated[bool, Parameter(negative=(), show_default=False, group=_EVERYWHERE)] = False,
        home: Annotated[Path | None, Parameter(group=_EVERYWHERE)] = None,
        url: Annotated[str | None, Parameter(group=_EVERYWHERE)] = None,
        key: Annotated[str | None, Parameter(group=_EVERYWHERE)] = None,
    ) -> Any:
        """Workflows that events start, with every decision on record.

        Parameters
        ----------
        json
            Write JSON (one document, or one per line) to stdout, and nothing else.
        home
            Folder of the installation, else FLOWFORGE_HOME, else .flowforge.
        url
            Address of the server, else FLOWFORGE_URL, else what `flowforge up` wrote.
        key
            Key to show, else FLOWFORGE_KEY, else what `flowforge up` wrote.
        """
        command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
        if "session" in ignored:
            from services.cli.connect import Session

            bound.arguments["session"] = Session(output=Output(json), home=home, url=url, key=key)
        return command(*bound.args, **bound.kwargs)

    return launch


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: never returns, never shows a stack trace."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """One command from its words to its exit status."""
    output = Output("--json" in arguments)
    try:
        words = [STDIN if word == "-" else word for word in arguments]
        result = build().meta(words, exit_on_error=False, print_error=False, result_action="return_value")
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        sys.stdout.flush()
    except CycloptsError as wrong:
        output.failure(_usage(wrong))
        return EXIT_USAGE
    except Failure as failure:
        output.failure(failure)
        return failure.status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as fault:  # noqa: BLE001  the edge: a bug is told in one line, its trace kept in a file
        failure = _unexpected(fault)
        output.failure(failure)
        return failure.status
    return result if isinstance(result, int) else EXIT_OK


def _usage(wrong: CycloptsError) -> Failure:
    if isinstance(wrong, UnknownCommandError) and not wrong.command_chain:
        # not in the words of cyclopts, which imports every command for them
        word = (wrong.unused_tokens or [""])[0]
        close = difflib.get_close_matches(word, [name for name, *_ in _COMMANDS], n=2)
        step = f"did you mean: flowforge {' or '.join(close)}" if close else "see: flowforge --help"
        return Failure(f"there is no command '{word}'", step, status=EXIT_USAGE)
    message = str(wrong).strip() or "this command line makes no sense"
    command = " ".join(["flowforge", *(wrong.command_chain or ())])
    return Failure(message[:1].lower() + message[1:], f"see: {command} --help", status=EXIT_USAGE)


def _unexpected(fault: Exception) -> Failure:
    """A known kind of error that no command expected, or a bug."""
    from flowforge.errors import FlowForgeError, Unreachable

    if isinstance(fault, Unreachable):
        return Failure(str(fault), status=EXIT_UNREACHABLE)
    if isinstance(fault, FlowForgeError):
        return Failure(str(fault))
    with tempfile.NamedTemporaryFile("w", prefix="flowforge-", suffix=".txt", delete=False) as file:
        traceback.print_exception(fault, file=file)
    what = f"{type(fault).__name__}: {fault}".splitlines()[0][:200]
    return Failure(f"this is a bug in flowforge: {what}", f"please report it with {file.name}", status=EXIT_FAILED)


if __name__ == "__main__":
    main()

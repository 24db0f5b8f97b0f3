"""Which server, with which key: options, then the environment, then what `flowforge up` wrote under FLOWFORGE_HOME."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import contextlib
import difflib
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from flowforge import home as installation
from flowforge.errors import Refused, Unreachable
from rich.text import Text

from services.cli.output import EXIT_UNREACHABLE, EXIT_USAGE, STDIN, Failure, Output

if TYPE_CHECKING:
    from flowforge.client import Client

KNOWN_MAX = 1_000
DEFAULT_URL = "http://127.0.0.1:8080"
NO_ANSWER = "no answer from"
START_IT = "start it with: flowforge up"


class Session(msgspec.Struct, kw_only=True):
    """What every command gets: where it speaks, and the options that stand everywhere."""

    output: Output
    home: Path | None = None
    url: str | None = None
    key: str | None = None

    @property
    def folder(self) -> Path:
        return installation.home_folder(self.home)

    @property
    def address(self) -> str:
        """The server's address: `--url`, FLOWFORGE_URL, endpoints.json, or this machine's default port."""
        given = self.url or os.environ.get("FLOWFORGE_URL")
        if given:
            return (given if "://" in given else f"http://{given}").rstrip("/")
        written = installation.endpoints(self.folder).http
        port = os.environ.get("FLOWFORGE_HTTP_PORT", "0")
        return written or (f"http://127.0.0.1:{port}" if port.isdigit() and port != "0" else DEFAULT_URL)

    @property
    def secret(self) -> str | None:
        """The key: `--key`, FLOWFORGE_KEY, or admin.key."""
        if given := self.key or os.environ.get("FLOWFORGE_KEY"):
            return given
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self.folder / "admin.key").read_text().strip() or None
        return None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncGenerator["Client", None]:
        """A client of the server, whose refusals become failures that name the next step."""
        from flowforge.client import Client

        try:
            async with Client(url=self.address, key=self.secret, home=self.folder) as client:
                yield client
        except Unreachable as fault:
            raise self.unreachable(fault) from fault
        except Refused as refused:
            raise self.refused(refused) from refused

    def unreachable(self, fault: Unreachable) -> Failure:
        """No server answered, or only what stands in front of one."""
        if not str(fault).startswith(NO_ANSWER):
            return Failure(str(fault), "see what is not up: flowforge doctor", status=EXIT_UNREACHABLE)
        named = self.url or os.environ.get("FLOWFORGE_URL")
        step = "check --url or FLOWFORGE_URL, and that the server runs" if named else START_IT
        return Failure(f"no FlowForge answers at {self.address}", step, status=EXIT_UNREACHABLE)

    def refused(self, refused: Refused) -> Failure:
        """The server said no: why, and what to do."""
        problem = refused.problem
        step = ""
        if refused.status == 401:
            return Failure(self._key_message(), self._key_step(), problem=problem)
        if refused.status == 403:
            step = "ask an administrator for a key with another role"
        elif refused.status in {502, 503}:
            step = "see which service is down: flowforge doctor"
        return Failure(str(refused), step, details=_findings(problem), problem=problem)

    def _key_message(self) -> str:
        where = "--key" if self.key else "FLOWFORGE_KEY" if os.environ.get("FLOWFORGE_KEY") else ""
        if where:
            return f"the server does not know the key given by {where}"
        if self.secret:
            return f"the server does not know the key in {self.folder / 'admin.key'}"
        return "the server asks for a key, and none was found"

    def _key_step(self) -> str:
        return f"a key is looked for in --key, FLOWFORGE_KEY and {self.folder / 'admin.key'} (FLOWFORGE_HOME or --home)"


def _findings(problem: dict[str, Any]) -> list[Text]:
    """The `errors` of a problem document, one line each."""
    lines: list[Text] = []
    for entry in problem.get("errors") or []:
        if not isinstance(entry, dict):
            lines.append(Text(f"  {entry}"))
            continue
        line = Text.assemble("  ", (str(entry.get("path") or entry.get("pointer") or ""), "cyan"))
        line.append(f"  {entry.get('message') or entry.get('detail') or ''}")
        if resolution := entry.get("suggested_resolution"):
            line.append(f"  ({resolution})", "green")
        lines.append(line)
    return lines


async def no_workflow(client: "Client", workflow: str, refused: Refused) -> Failure:
    """After a 404: which workflows there are instead; of one that is there, what the server says."""
    known = [str(item["id"]) for item in (await client.list_workflows(limit=KNOWN_MAX))["items"]]
    if workflow in known:
        return Failure(str(refused), problem=refused.problem)
    step = nearest(workflow, known) or "add one with: flowforge apply -f FILE"
    return Failure(f"there is no workflow {workflow}", step, problem=refused.problem)


def no_run(run: str, refused: Refused) -> Failure:
    """After a 404: where the runs are listed."""
    return Failure(f"there is no run {run}", "see the latest with: flowforge runs", problem=refused.problem)


def nearest(name: str, known: list[str]) -> str:
    """The next step after a name that is not known."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return f"known: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}" if known else ""


def json_argument(option: str, text: str | None) -> Any:
    """The JSON in an option: the text itself, a file (`@path`) or stdin (`-`). Raises a usage Failure."""
    if text is None:
        return None
    whole, source = _argument_text(option, text)
    try:
        return msgspec.json.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        hint = f"""quote it for the shell: {option} '{{"name": "value"}}'""" if text == whole else ""
        raise Failure(f"{option}: {source} is no valid JSON: {_spot(whole, fault)}", hint, status=EXIT_USAGE) from fault


def _argument_text(option: str, text: str) -> tuple[str, str]:
    if text == STDIN:
        return sys.stdin.read(), "what came on stdin"
    if not text.startswith("@"):
        return text, "the text"
    try:
        return Path(text[1:]).read_text(), text[1:]
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no UTF-8 text"
        raise Failure(f"{option}: cannot read {text[1:]}: {reason}", status=EXIT_USAGE) from fault


def _spot(text: str, fault: Exception) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as broken:
        return f"{broken.msg} at line {broken.lineno}, column {broken.colno}"
    except RecursionError:
        return "it is nested too deeply"
    return str(fault)

"""What `flowforge up` says: to a person in a few lines, to a program in one line of JSON."""

import contextlib
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infra.embedded.addresses import each_url
from infra.embedded.home import Endpoints, Home
from infra.http.sessions import LoginLink


class Announcer(Protocol):
    """Is told what a person at the terminal wants to know."""

    def is_up(self, home: Home, endpoints: Endpoints, took_s: float, login: LoginLink | None = None) -> None: ...
    def found_stale(self, pids: list[int]) -> None: ...
    def died(self, name: str, how: str) -> None: ...
    def could_not_start(self, name: str, error: Exception) -> None: ...
    def came_back(self, name: str, after_s: float) -> None: ...
    def stopping(self) -> None: ...
    def stopped(self, took_s: float) -> None: ...


class _Terminal(Console):
    """One at which nobody may be left: the library's own then ends the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class PersonAnnouncer:
    """Short lines on the terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Terminal(highlight=False)

    def _say(self, what: RenderableType, *, in_one_piece: bool = False) -> None:
        with contextlib.suppress(OSError):  # nobody may be listening any more; the work goes on
            self._console.print(what, soft_wrap=in_one_piece)

    def is_up(self, home: Home, endpoints: Endpoints, took_s: float, login: LoginLink | None = None) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_row("  http", Text(endpoints.http, style="link " + endpoints.http))
        table.add_row("  nats", _without_login(endpoints.nats))
        table.add_row("  database", _without_login(endpoints.database))
        table.add_row("  home", f"{_short(home.folder)}  [dim](logins in endpoints.json, admin.key, logs/)[/]")
        self._say(f"[bold green]FlowForge is up[/] [dim]({took_s:.1f} s)[/]")
        self._say(table)
        if login is not None:
            link = Text.assemble("  console   ", (login.url, "bold link " + login.url))
            self._say(link, in_one_piece=True)
            self._say("            [dim](it logs you in, once, within an hour; `flowforge login` makes another)[/]")
        self._say("[dim]Ctrl-C stops everything.[/]")

    def found_stale(self, pids: list[int]) -> None:
        self._say(f"[yellow]ended {len(pids)} processes that an earlier start had left[/]")

    def died(self, name: str, how: str) -> None:
        self._say(f"[red]{name} died[/] ({how}), starting it again")

    def could_not_start(self, name: str, error: Exception) -> None:
        self._say(f"[red]{name}[/] could not start: {escape(str(error))}")

    def came_back(self, name: str, after_s: float) -> None:
        self._say(f"[green]{name} is back[/] after {after_s:.2f} s")

    def stopping(self) -> None:
        self._say("[dim]stopping …[/]")

    def stopped(self, took_s: float) -> None:
        self._say(f"FlowForge has stopped [dim]({took_s:.1f} s)[/]")


class JsonAnnouncer(PersonAnnouncer):
    """One line of JSON on stdout once everything is up; what happens later goes to stderr, in words."""

    def __init__(self) -> None:
        super().__init__(_Terminal(stderr=True, highlight=False))

    def is_up(self, home: Home, endpoints: Endpoints, took_s: float, login: LoginLink | None = None) -> None:
        facts = {
            "http": endpoints.http,
            "nats": _without_login(endpoints.nats),
            "database": _without_login(endpoints.database),
            "home": str(home.folder),
            "endpoints": str(home.endpoints_file),
            "login_url": None if login is None else login.url,
            "login_expires_at": None if login is None else login.expires_at,
            "started_in_ms": round(took_s * 1000),
        }
        print(msgspec.json.encode(facts).decode(), flush=True)


def _without_login(urls: str) -> str:
    parts = map(urlsplit, each_url(urls))
    return ",".join(part._replace(netloc=part.netloc.rpartition("@")[2]).geturl() for part in parts)


def _short(folder: Path) -> str:
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)

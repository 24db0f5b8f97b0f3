"""What a stranger has in hand: the addresses and the key that `up` wrote, HTTP, plain nats-py and the command line."""

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, cast

import httpx
import msgspec
import nats
from nats.aio.client import Client as NatsClient

from tests.integration.cli.command import COMMAND_S_MAX, ROOT, Ended, environment

ENDED = {"RunCompleted", "RunFailed", "RunCancelled", "RunPartiallyCompleted"}
ERROR_FIELDS = {"code", "message", "affected_nodes", "dependency_chain", "suggested_resolution"}
ANSWER_S_MAX = 20.0
Object = dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """One server-sent event."""

    id: int
    event: str
    data: Object


class Stranger:
    """Knows nothing but the home of a running FlowForge and its public page."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.endpoints: Object = json.loads((home / "endpoints.json").read_text())
        self.key = (home / "admin.key").read_text().strip()
        self.http = self.client(f"Bearer {self.key}")
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def client(self, authorization: str | None = None) -> httpx.Client:
        headers = {} if authorization is None else {"Authorization": authorization}
        return httpx.Client(base_url=self.endpoints["http"], headers=headers, timeout=ANSWER_S_MAX)

    def get(self, path: str, **parameters: Any) -> Any:
        """What is read once the read model has everything that this stranger has written."""
        answer = self.http.get(path, params={"after": self._position, **parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        answer = self.http.request(method, path, json=body, headers=headers)
        self.notice(answer)
        return answer

    def notice(self, answer: httpx.Response) -> None:
        """Remember the position of a write that was made."""
        told = answer.json() if answer.is_success and answer.content else None
        if isinstance(told, dict):
            self._position = max(self._position, cast("Object", told).get("position", 0))

    def save(self, definition: Object) -> Object:
        """The answer to a new definition."""
        answer = self.send("POST", "/api/workflows", definition)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def execute(self, workflow_id: str, **body: Any) -> str:
        """The id of a run just started by hand."""
        answer = self.send("POST", f"/api/workflows/{workflow_id}/execute", body)
        assert answer.status_code == 202, answer.text
        return answer.json()["run_id"]

    def run(self, definition: Object, **body: Any) -> Object:
        """Save, start, and read the run once it ended."""
        self.save(definition)
        return self.ended(self.execute(definition["id"], **body))

    def ended(self, run_id: str) -> Object:
        """The run as read once it ended."""
        last = next(message for message in self.follow(run_id) if message.event in ENDED)
        return self.get(f"/api/runs/{run_id}", after=last.id)

    def follow(self, run_id: str, last_event_id: int | None = None) -> Iterator[Message]:
        """The run's own stream, for as long as the caller reads it."""
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        yield from self.listen(f"/api/runs/{run_id}/stream", **headers)

    def listen(self, path: str, **headers: str) -> Iterator[Message]:
        with self.http.stream("GET", path, headers={"Accept": "text/event-stream", **headers}) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield from _messages(answer.iter_lines())

    def history(self, run_id: str) -> list[Object]:
        """All events of the run, oldest first."""
        return list(self.all(f"/api/runs/{run_id}/events", limit=1000))

    def all(self, path: str, **parameters: Any) -> Iterator[Object]:
        """Every item of a list, page after page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **parameters, **cursor)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def cli(self, *words: str, stdin: str = "", cwd: Path = ROOT) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words],
            input=stdin, capture_output=True, text=True, cwd=cwd, env=environment(self.home), check=False,
            timeout=COMMAND_S_MAX,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    @asynccontextmanager
    async def nats(self, login: str = "nats") -> AsyncGenerator[NatsClient]:
        """A plain connection with the login of an external system (`nats`) or of a worker (`worker_nats`)."""
        connection = await nats.connect(self.endpoints[login], error_cb=_quiet)
        try:
            yield connection
        finally:
            await connection.close()


async def _quiet(_: Exception) -> None:
    """Refusals are looked at where they are expected."""


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = fields.get(name, "") + value.removeprefix(" ")
        elif fields:
            yield Message(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def fresh(name: str) -> str:
    """A slug that no other test uses."""
    return f"{name}-{secrets.token_hex(4)}"


def workflow(*nodes: Object, name: str = "w", **fields: Any) -> Object:
    """A definition of these nodes with an id of its own."""
    slug = fresh(name)
    return {"id": slug, "name": slug, "nodes": list(nodes), **fields}


def transform(node_id: str, **fields: Any) -> Object:
    expressions = fields.pop("expressions", {"value": "${1}"})
    return {"id": node_id, "type": "data_transform", "expressions": expressions, **fields}


def bash(node_id: str, source: str, **fields: Any) -> Object:
    return {"id": node_id, "type": "script", "language": "bash", "source": source, **fields}


def python(node_id: str, source: str, **fields: Any) -> Object:
    return {"id": node_id, "type": "script", "language": "python", "source": source, **fields}


def edge(source: str, target: str, **fields: Any) -> Object:
    return {"source_node_id": source, "target_node_id": target, **fields}


def node_runs(run: Object) -> dict[str, Object]:
    return {row["node_id"]: row for row in run["node_runs"]}


def statuses(run: Object) -> dict[str, str]:
    return {row["node_id"]: row["status"] for row in run["node_runs"]}


def reasons(run: Object) -> dict[str, str]:
    """Of each node that was skipped, why."""
    return {row["node_id"]: row["skip_reason"] for row in run["node_runs"] if row["status"] == "skipped"}


def error_of(run: Object, node_id: str) -> Object:
    """The error of a node that failed, checked to have all that errors have."""
    error = node_runs(run)[node_id]["error"]
    assert error is not None, run
    assert error.keys() >= ERROR_FIELDS
    return error


def problem(answer: httpx.Response, *statuses: int) -> Object:
    """The problem document of a refusal, checked to be one."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    told = answer.json()
    assert {"type", "title", "status", "detail", "errors"} <= told.keys()
    assert told["status"] == answer.status_code
    assert told["title"]
    assert isinstance(told["errors"], list)
    assert "Traceback" not in answer.text
    return told

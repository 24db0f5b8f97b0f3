"""A FlowForge of these tests' own whose traces go to a file and to a collector, and whose services log as JSON."""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from infra.embedded.cluster import Cluster
from tests.e2e.server import Server
from tests.e2e.stranger import Stranger

WAIT_S_MAX = 20.0


class Span(msgspec.Struct, frozen=True):
    """A span as the trace file has it."""

    service: str
    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    began_ns: int
    ended_ns: int
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    status: dict[str, Any]


class Collector:
    """Takes OTLP over HTTP, as any collector does."""

    def __init__(self) -> None:
        self.names: list[str] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.names += [span.name for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    listening = Collector()
    yield listening
    listening.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def traced(server_home: Path, collector: Collector) -> AsyncIterator[Cluster]:
    """The whole system, traced."""
    env = {
        "FLOWFORGE_TRACE_FILE": str(server_home / "traces.jsonl"),
        "FLOWFORGE_WEBHOOK_ALLOW": "127.0.0.0/8",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with Cluster(server_home / "traced", env=env) as whole:
        yield whole


@pytest.fixture(scope="session")
def stranger(traced: Cluster) -> Iterator[Stranger]:
    with Stranger(traced.home.folder) as somebody:
        yield somebody


Spans = Callable[[str, Callable[[list[Span]], bool]], list[Span]]


@pytest.fixture(scope="session")
def spans(traced: Cluster, server_home: Path) -> Spans:
    """The spans of a trace, once they are what is waited for."""

    def until(trace_id: str, are_there: Callable[[list[Span]], bool]) -> list[Span]:
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            found = [span for span in _read(server_home / "traces.jsonl") if trace_id in {span.trace_id, ""}]
            if are_there(found):
                return found
            assert time.monotonic() < deadline, [(span.service, span.name) for span in found]

    return until


def _read(file: Path) -> Iterator[Span]:
    """Of whole lines: the last one may be half written."""
    for line in file.read_text().rpartition("\n")[0].splitlines() if file.exists() else ():
        for resource in json.loads(line)["resourceSpans"]:
            named = _plain(resource["resource"]["attributes"])
            for span in resource["scopeSpans"][0]["spans"]:
                yield Span(
                    named["service.name"], span["traceId"], span["spanId"], span["parentSpanId"], span["name"],
                    span["kind"], int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]),
                    [(link["traceId"], link["spanId"]) for link in span["links"]], _plain(span["attributes"]),
                    span["status"],
                )  # fmt: skip


def _plain(attributes: list[Any]) -> dict[str, Any]:
    return {one["key"]: _value(one["value"]) for one in attributes}


def _value(value: dict[str, Any]) -> Any:
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"]["values"]]
    return next(int(each) if kind == "intValue" else each for kind, each in value.items())


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server that answers with what it was asked."""
    with Server.serving() as answering:
        yield answering

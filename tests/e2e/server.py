"""A web server of a stranger's, on this machine."""

import contextlib
import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Object = dict[str, Any]
Answering = Callable[[Object], tuple[int, Any]]


class Server:
    """Runs in a thread: what it was asked, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[Object] = []
        self.answer: Answering = lambda asked: (200, asked)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = {"path": self.path, "headers": headers, "body": body.decode()}
                server.asked.append(asked)
                status, said = server.answer(asked)
                told = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
                """Nobody reads it."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    @classmethod
    @contextlib.contextmanager
    def serving(cls) -> Generator[Self]:
        """At work until the block ends."""
        server = cls()
        thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.http.shutdown()
            thread.join()
            server.http.server_close()

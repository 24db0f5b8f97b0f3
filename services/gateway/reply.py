"""An answer as it is sent, kept and sent again."""

from typing import Any

import msgspec
from litestar import Response

from infra.http.problems import MEDIA_TYPE, Problem

JSON = "application/json"


class Reply(msgspec.Struct, frozen=True):
    """`body` is JSON text."""

    status: int
    body: msgspec.Raw
    headers: dict[str, str] = {}
    media_type: str = JSON

    def response(self, **headers: str) -> Response[bytes]:
        """As an HTTP response, with further headers."""
        return Response(
            bytes(self.body), status_code=self.status, headers={**self.headers, **headers}, media_type=self.media_type
        )


def of(status: int, content: Any, **headers: str) -> Reply:
    """The reply with this JSON content."""
    return Reply(status, msgspec.Raw(msgspec.json.encode(content)), headers)


def of_problem(problem: Problem) -> Reply:
    """A refusal as a reply, so that it can be kept."""
    body = msgspec.Raw(msgspec.json.encode(problem.document()))
    return Reply(problem.status, body, problem.headers, MEDIA_TYPE)

"""What can go wrong, in the words of the public face (interface.md, section 9).

`RunError` is data: it travels in events and read models. The exceptions are for callers of this package:

    FlowForgeError
    ├── DefinitionInvalid     the text is no workflow definition; says where and why
    ├── Refused               the server understood and refused; carries the problem document
    │   ├── Unauthorized      401: no key, or one that it does not know
    │   ├── Forbidden         403: the key's role may not do that
    │   ├── Missing           404, 410: there is no such thing
    │   ├── Conflict          409, 412: not in this state, or changed by somebody else
    │   ├── TooLarge          413
    │   ├── Invalid           400, 422: what was sent makes no sense; `errors` says where and why
    │   └── TooMany           429: asked too often
    ├── Unreachable           no answer from the HTTP address or NATS
    └── JobError              raised by a job handler to fail its attempt with a code of its own
"""

from enum import StrEnum
from typing import Any, cast

import msgspec

from flowforge.raw import ABSENT


class ErrorCode(StrEnum):
    """Why a node or run failed; a job may fail with codes of its own beside these."""

    CIRCULAR_DEPENDENCY = "CIRCULAR_DEPENDENCY"
    MISSING_DEPENDENCY = "MISSING_DEPENDENCY"
    EXECUTION_TIMEOUT = "EXECUTION_TIMEOUT"
    NODE_EXECUTION_FAILED = "NODE_EXECUTION_FAILED"
    INVALID_FLOW_STATE = "INVALID_FLOW_STATE"
    CONCURRENT_EXECUTION_CONFLICT = "CONCURRENT_EXECUTION_CONFLICT"
    EXPRESSION_ERROR = "EXPRESSION_ERROR"
    LOOP_LIMIT_EXCEEDED = "LOOP_LIMIT_EXCEEDED"
    INPUT_INVALID = "INPUT_INVALID"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    JOB_TIMEOUT = "JOB_TIMEOUT"
    WORKER_LOST = "WORKER_LOST"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    HTTP_ERROR = "HTTP_ERROR"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"
    DEPTH_EXCEEDED = "DEPTH_EXCEEDED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    CANCELLED = "CANCELLED"


class RunError(msgspec.Struct, frozen=True, omit_defaults=True):
    """The error of a node or run: `dependency_chain` leads from a first node of the run to the one that failed."""

    code: str
    message: str
    affected_nodes: list[str] = []
    dependency_chain: list[str] = []
    suggested_resolution: str = ""
    retryable: bool = True
    details: msgspec.Raw = ABSENT


class FlowForgeError(Exception):
    """Anything this package raises on purpose."""


class DefinitionInvalid(FlowForgeError):
    """A text that is no workflow definition. `path` is a JSON path such as `$.nodes[2].type`."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(f"{message} (at {path})")
        self.message = message
        self.path = path


class Refused(FlowForgeError):
    """The server understood the request and refused it; `problem` is the RFC 9457 document."""

    def __init__(self, problem: dict[str, object]) -> None:
        detail = problem.get("detail") or problem.get("title") or "refused"
        super().__init__(str(detail))
        self.problem = problem
        self.status = int(str(problem.get("status", 400)))

    @property
    def code(self) -> str:
        """What kind of refusal, such as `INVALID_FLOW_STATE`; empty where the server names none."""
        return str(self.problem.get("code") or "")

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Every single thing that is wrong, with its path and how to mend it."""
        found = self.problem.get("errors")
        return cast("list[dict[str, Any]]", found) if isinstance(found, list) else []


class Unauthorized(Refused):
    """There was no key, or the server does not know it (401)."""


class Forbidden(Refused):
    """The role of the key may not do that (403)."""


class Missing(Refused):
    """There is no such thing (404), or no longer (410)."""


class Conflict(Refused):
    """Not possible in this state, or somebody else changed it meanwhile (409, 412)."""


class TooLarge(Refused):
    """More than the server takes (413)."""


class Invalid(Refused):
    """What was sent makes no sense (400, 422); `errors` says where and why."""


class TooMany(Refused):
    """Asked more often than is allowed (429)."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: Missing,
    409: Conflict,
    410: Missing,
    412: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooMany,
}


def refusal(problem: dict[str, object]) -> Refused:
    """The exception for a problem document, by its status."""
    return _BY_STATUS.get(int(str(problem.get("status", 400))), Refused)(problem)


class Unreachable(FlowForgeError):
    """Nothing answered at the address; the message names it and what to try."""


class JobError(FlowForgeError):
    """Raise it in a job handler to fail the attempt with `code`; `retryable=False` forgoes the retry policy.

    `details` is JSON data that stays with the error.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = ErrorCode.NODE_EXECUTION_FAILED,
        retryable: bool = True,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = str(code)
        self.retryable = retryable
        self.details = details

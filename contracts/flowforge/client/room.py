"""What the parts of `Client` have in common: one server to ask, and the header that makes a write harmless to repeat."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from flowforge import definition
from flowforge.asking import Asking
from flowforge.identity import new_uuid

RunId = str | UUID
Moment = str | int | datetime
"""A past moment: a position of the log, or a time (RFC 3339)."""
Definition = definition.Workflow | Mapping[str, Any] | str | bytes
"""A workflow: the type, plain data, or a JSON or YAML text."""


class Room:
    """One subject of the client. Reads see all that this client has written; writes carry an Idempotency-Key."""

    def _asking(self) -> Asking:
        raise NotImplementedError

    async def _read(self, path: str, **query: Any) -> Any:
        return await self._asking().read(path, **query)

    async def _write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        expected_version: int | None = None,
    ) -> dict[str, Any]:
        """One write, carried out once however often it is sent; with `expected_version` only on top of that."""
        headers = idempotent(key)
        if expected_version is not None:
            headers["If-Match"] = f'"{expected_version}"'
        return await self._asking().write(method, path, body, headers)


def idempotent(key: str | None = None) -> dict[str, str]:
    """The header under which a request is carried out once."""
    return {"Idempotency-Key": key or str(new_uuid())}


def moment(at: Moment | None) -> str | int | None:
    """As a parameter."""
    return at.isoformat() if isinstance(at, datetime) else at


def document(workflow: Definition) -> dict[str, Any]:
    """The definition as plain data. Raises DefinitionInvalid for a text that is neither JSON nor YAML."""
    if isinstance(workflow, definition.Workflow):
        return definition.document(workflow)
    if isinstance(workflow, str | bytes):
        read: Any = definition.from_text(workflow)
        return read
    return dict(workflow)

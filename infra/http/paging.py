"""Keyset paging: a cursor says where the last page ended, opaque to clients and checked when it comes back.

A cursor holds the sort key of the last item and is bound to a scope: the list, its filters and the incarnation of the
log. One that was altered, belongs to another list or to another log is refused instead of skipping rows silently.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from litestar.params import Parameter

from infra.http.problems import Problem, bad_request

LIMIT_DEFAULT = 50
LIMIT_MAX = 1000
_DIGEST_BYTES = 8
_CURSOR_LENGTH_MAX = 2000

Item = TypeVar("Item")
Limit = Annotated[int, Parameter(ge=1, le=LIMIT_MAX, description="items per page")]
CursorText = Annotated[str | None, Parameter(query="cursor", description="`next_cursor` of the page before")]


class Page(msgspec.Struct, Generic[Item]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: str | None = None


class Cursors:
    """Writes and reads the cursors of one list. `scope`: whatever must be the same when the cursor comes back."""

    def __init__(self, *scope: object) -> None:
        self._scope = msgspec.json.encode([str(part) for part in scope])

    def write(self, key: Sequence[Any]) -> str:
        """The cursor that continues after the item with sort key `key` (JSON values)."""
        body = msgspec.json.encode(list(key))
        return base64.urlsafe_b64encode(self._digest(body) + body).rstrip(b"=").decode()

    def read(self, cursor: str | None, *kinds: type) -> list[Any] | None:
        """The sort key in `cursor`, its parts of these types; None for the first page. Raises a 400 `Problem`."""
        if cursor is None:
            return None
        if len(cursor) > _CURSOR_LENGTH_MAX:
            raise _refused()
        try:
            raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError) as fault:
            raise _refused() from fault
        digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if digest != self._digest(body):
            raise _refused()
        try:
            return list(cast("tuple[Any, ...]", msgspec.json.decode(body, type=tuple[kinds])))  # type: ignore[valid-type]
        except msgspec.DecodeError as fault:  # of a version that sorted this list otherwise
            raise _refused() from fault

    def page(self, items: Sequence[Item], limit: int, keys: Sequence[Sequence[Any]]) -> Page[Item]:
        """The page of at most `limit` of these items: one more was asked for, to know whether there is a next page."""
        if len(items) <= limit:
            return Page(list(items))
        return Page(list(items[:limit]), self.write(keys[limit - 1]))

    def _digest(self, body: bytes) -> bytes:
        return blake2b(self._scope + body, digest_size=_DIGEST_BYTES).digest()


def _refused() -> Problem:
    return bad_request("query.cursor", "this cursor belongs to another list, other filters or another log; start anew")

"""Payloads too large to travel: kept by their SHA-256 in JetStream's object store, referred to as `{"$blob", "size"}`.

What is written here is an ordinary object (ADR-20 of nats-architecture-and-design), named by its hash, so that any NATS
client can read it. It is read chunk by chunk through direct gets, which need no consumer.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, cast

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from flowforge import home
from flowforge.errors import FlowForgeError
from flowforge.reports import OUTPUT_INLINE_BYTES_MAX, BlobRef

SERVER_TIMEOUT_S = 30.0
_MARK = b'"$blob"'
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Fetch = Callable[[str], Awaitable[bytes | None]]


async def from_server(name: str) -> bytes | None:
    """The blob as the server of the installation has it, where its address and key are found; None otherwise.

    The log keeps large payloads too: they outlive the object store.
    """
    import httpx  # noqa: PLC0415 - rarely needed, and slow to import

    url, key = home.endpoints().http, home.admin_key()
    if not url:
        return None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=SERVER_TIMEOUT_S, trust_env=False) as http:
            response = await http.get(f"{url}/api/blobs/{name}", headers=headers)
    except httpx.HTTPError:
        return None
    return response.content if response.is_success else None


class BlobMissing(FlowForgeError):
    """A payload that was referred to is not in the object store."""


class Blobs:
    """The blobs of one namespace. `elsewhere` is asked for what the object store does not have."""

    def __init__(self, jetstream: JetStreamContext, bucket: str, elsewhere: Fetch | None = None) -> None:
        self._jetstream = jetstream
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._elsewhere = elsewhere

    async def put(self, data: bytes) -> BlobRef:
        """Keep the bytes; twice the same are kept once."""
        name = sha256(data).hexdigest()
        store = ObjectStore(self._bucket, self._stream, self._jetstream)
        try:
            await store.get_info(name)
        except NotFoundError:
            await store.put(name, data)
        return BlobRef(hash=name, size=len(data))

    async def get(self, name: str) -> bytes:
        """The bytes with that hash. Raises `BlobMissing`."""
        for ask in (self._stored, self._elsewhere):
            data = None if ask is None else await ask(name)
            if data is not None and sha256(data).hexdigest() == name:
                return data
        raise BlobMissing(f"the payload {name} is not in the object store {self._bucket}")

    async def inline(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The JSON with every reference in it replaced by what it refers to. Raises `BlobMissing`."""
        if _MARK not in bytes(raw):
            return raw
        value = _decode(raw)
        if (name := _referred(value)) is not None:
            return msgspec.Raw(await self.get(name))
        return msgspec.Raw(_encode(await self._resolved(value)))

    async def outline(self, data: bytes) -> msgspec.Raw:
        """The JSON itself, or a reference to it where it is larger than travels inline."""
        if len(data) <= OUTPUT_INLINE_BYTES_MAX:
            return msgspec.Raw(data)
        return msgspec.Raw(_encode(await self.put(data)))

    async def _stored(self, name: str) -> bytes | None:
        try:
            info = await ObjectStore(self._bucket, self._stream, self._jetstream).get_info(name)
            chunks: list[bytes] = []
            sequence = 1
            for _ in range(info.chunks or 0):
                chunk = await self._jetstream.get_msg(
                    self._stream, seq=sequence, subject=f"$O.{self._bucket}.C.{info.nuid}", direct=True, next=True
                )
                chunks.append(chunk.data or b"")
                sequence = (chunk.seq or sequence) + 1
        except NotFoundError:
            return None
        return b"".join(chunks)

    async def _resolved(self, value: Any) -> Any:
        if (name := _referred(value)) is not None:
            return msgspec.Raw(await self.get(name))
        if isinstance(value, dict):
            return {key: await self._resolved(item) for key, item in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [await self._resolved(item) for item in cast("list[Any]", value)]
        return value


def _referred(value: Any) -> str | None:
    """The hash, where the value is a reference and nothing else."""
    if isinstance(value, dict) and value.keys() == {"$blob", "size"}:
        name = cast("dict[str, Any]", value)["$blob"]
        return name if isinstance(name, str) else None
    return None

"""The file of an archive: gzip, which any tool opens, and JSON lines, which any tool reads.

    header                        {"format": "flowforge-archive", "format_version": 1, "incarnation", "number", …}
    blobs, each a member          {"blob": "<sha256>", "data": "<base64>"}
    events in order of position   {"position", "stream_type", …}: members of up to BLOCK_EVENTS_COUNT lines
    footer                        {"streams", "events_count", "content_hash", "blocks": [{"at", "size", …}], …}
    end                           an empty member, whose extra field says where the footer begins

A gzip file is a row of members, each compressed alone: `zcat` gives all lines, and a reader that knows where a member
begins needs no other. Written as a draft, on disk and proven before it gets its name.
"""

import base64
import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar
from uuid import UUID

import msgspec

from infra.archive.record import Record

FORMAT, FORMAT_VERSION = "flowforge-archive", 1
BLOCK_EVENTS_COUNT = 1_000
_COMPRESSION = 6
_END_BEGINS = bytes.fromhex("1f8b0804 00000000 00ff 0c00") + b"FF" + bytes.fromhex("0800")
"""An empty gzip member (RFC 1952) whose header has one extra field: `FF`, of 8 bytes."""
_END_ENDS = bytes.fromhex("0300 00000000 00000000")
_OFFSET = struct.Struct("<Q")
_END_SIZE = len(_END_BEGINS) + _OFFSET.size + len(_END_ENDS)


class ArchiveDamaged(Exception):
    """The file is not what was written, or is none of ours; the message names the file and the first wrong place."""


class Header(msgspec.Struct, frozen=True):
    """What the file says of itself before anything else."""

    format: Literal["flowforge-archive"]
    format_version: int
    incarnation: UUID
    number: int
    file: str


class Block(msgspec.Struct, frozen=True, gc=False):
    """Where a member is in the file, and which events are in it."""

    at: int
    size: int
    events_count: int
    first_position: int
    last_position: int


class ArchivedStream(msgspec.Struct, frozen=True, gc=False):
    """A stream of the file: its newest version, and where in the log it began and ended."""

    stream_id: UUID
    version: int
    first_position: int
    last_position: int


class Footer(msgspec.Struct, frozen=True):
    """What is in the file. `content_hash` is of the events' headers: the same after payloads were erased."""

    events_count: int
    first_position: int
    last_position: int
    content_hash: str
    streams: list[ArchivedStream]
    blocks: list[Block]
    blobs: dict[str, tuple[int, int]]
    """Where each blob's member is, and how long it is."""


class _KeptBlob(msgspec.Struct):
    blob: str
    data: str


_T = TypeVar("_T")
_encode = msgspec.json.encode
_header = msgspec.json.Decoder(Header)
_footer = msgspec.json.Decoder(Footer)
_kept_blob = msgspec.json.Decoder(_KeptBlob)
_records = msgspec.json.Decoder(Record)


def write(path: Path, header: Header, blobs: Iterable[tuple[str, bytes]], records: Iterable[Record]) -> Footer:
    """Write the whole file to `path`, on disk when this returns and ours alone. `records` come in order of position.

    What is there under that name, of a writer that was killed or still goes on, is not written into.
    """
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        writer = _Writer(out.write)
        writer.member(_encode(header) + b"\n")
        for name, data in blobs:
            writer.blob(name, data)
        block: list[Record] = []
        for record in records:
            block.append(record)
            if len(block) == BLOCK_EVENTS_COUNT:
                writer.block(block)
                block = []
        if block:
            writer.block(block)
        footer = writer.footer()
        footer_at = writer.at
        writer.member(_encode(footer) + b"\n")
        out.write(_end(footer_at))
        out.flush()
        os.fsync(out.fileno())
    return footer


class _Writer:
    """Members one after the other, and what the footer has to say of them."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.at = 0
        self._write = write
        self._blocks: list[Block] = []
        self._blobs: dict[str, tuple[int, int]] = {}
        self._streams: dict[UUID, tuple[int, int, int]] = {}
        self._content = hashlib.sha256()

    def member(self, content: bytes) -> int:
        """Its length in the file."""
        compressed = gzip.compress(content, _COMPRESSION, mtime=0)
        self._write(compressed)
        self.at += len(compressed)
        return len(compressed)

    def blob(self, name: str, data: bytes) -> None:
        at = self.at
        kept = _KeptBlob(name, base64.b64encode(data).decode())
        self._blobs[name] = (at, self.member(_encode(kept) + b"\n"))

    def block(self, records: Sequence[Record]) -> None:
        at = self.at
        for record in records:
            self._content.update(record.header)
            first = self._streams.get(record.stream_id, (0, record.position, 0))[1]
            self._streams[record.stream_id] = (record.version, first, record.position)
        size = self.member(b"".join(_encode(record) + b"\n" for record in records))
        self._blocks.append(Block(at, size, len(records), records[0].position, records[-1].position))

    def footer(self) -> Footer:
        return Footer(
            events_count=sum(block.events_count for block in self._blocks),
            first_position=self._blocks[0].first_position,
            last_position=self._blocks[-1].last_position,
            content_hash=self._content.hexdigest(),
            streams=[ArchivedStream(stream_id, *stream) for stream_id, stream in self._streams.items()],
            blocks=self._blocks,
            blobs=self._blobs,
        )


def _end(footer_at: int) -> bytes:
    return _END_BEGINS + _OFFSET.pack(footer_at) + _END_ENDS


class ArchiveFile:
    """A file that is there. Every method may raise `ArchiveDamaged`, and OSError where it cannot be read."""

    def __init__(self, path: Path, header: Header, footer: Footer) -> None:
        self.path, self.header, self.footer = path, header, footer

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file, its two ends read. Raises FileNotFoundError."""
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(size - _END_SIZE, 0))
            end = file.read()
            if not (end.startswith(_END_BEGINS) and end.endswith(_END_ENDS) and len(end) == _END_SIZE):
                raise ArchiveDamaged(f"{path.name}: its end is missing: it is cut off, or no archive of FlowForge")
            (footer_at,) = _OFFSET.unpack_from(end, len(_END_BEGINS))
            file.seek(0)
            header = cls._decoded(path, "header", 0, _first_member(path, file.read(64 * 1024)), _header)
            if header.format_version > FORMAT_VERSION:
                raise ArchiveDamaged(
                    f"{path.name} has format version {header.format_version}, this code knows {FORMAT_VERSION}: "
                    "use the newer FlowForge"
                )
            file.seek(footer_at)
            member = file.read(size - _END_SIZE - footer_at)
        return cls(path, header, cls._decoded(path, "footer", footer_at, _content(path, footer_at, member), _footer))

    @staticmethod
    def _decoded(path: Path, what: str, at: int, content: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
        try:
            return decoder.decode(content)
        except msgspec.DecodeError as fault:
            raise ArchiveDamaged(f"{path.name}: its {what} at byte {at:,} cannot be read: {fault}") from fault

    def block(self, block: Block) -> list[Record]:
        """The events of one block, in order of position."""
        lines = _content(self.path, block.at, self._read(block.at, block.size)).splitlines()
        try:
            records = [_records.decode(line) for line in lines]
        except msgspec.DecodeError as fault:
            raise self._damaged(block, str(fault)) from fault
        ends = (len(records), records[0].position, records[-1].position) if records else (0, 0, 0)
        if ends != (block.events_count, block.first_position, block.last_position):
            raise self._damaged(block, "it has other events than the footer says")
        return records

    def blob(self, name: str) -> bytes | None:
        """A blob that the file has."""
        place = self.footer.blobs.get(name)
        if place is None:
            return None
        at, size = place
        kept = self._decoded(self.path, "blob", at, _content(self.path, at, self._read(at, size)), _kept_blob)
        try:
            data = base64.b64decode(kept.data)
        except ValueError as fault:
            raise ArchiveDamaged(f"{self.path.name}: the blob at byte {at:,} cannot be read: {fault}") from fault
        if hashlib.sha256(data).hexdigest() != name:
            raise ArchiveDamaged(f"{self.path.name}: the blob at byte {at:,} is not {name}")
        return data

    def records(self) -> Iterator[Record]:
        """All events, in order of position, proven to be those that the footer means. The last step may raise."""
        content = hashlib.sha256()
        for block in self.footer.blocks:
            for record in self.block(block):
                content.update(record.header)
                yield record
        if content.hexdigest() != self.footer.content_hash:
            raise ArchiveDamaged(f"{self.path.name}: its events are not those that were archived")

    def check(self, sha256: bytes | None = None) -> None:
        """Read all of it; with `sha256`, as the database knows the file, it is that very file."""
        for _ in self.records():
            pass
        for name in self.footer.blobs:
            self.blob(name)
        if sha256 is not None and digest_of(self.path) != sha256:
            raise ArchiveDamaged(
                f"{self.path.name} is whole, but is not the file that was archived: its SHA-256 differs"
            )

    def _read(self, at: int, size: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def _damaged(self, block: Block, why: str) -> ArchiveDamaged:
        where = f"positions {block.first_position:,} to {block.last_position:,} (byte {block.at:,})"
        return ArchiveDamaged(f"{self.path.name}: {where}: {why}")


def digest_of(path: Path) -> bytes:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _content(path: Path, at: int, member: bytes) -> bytes:
    try:
        return gzip.decompress(member)
    except (OSError, EOFError, zlib.error) as fault:
        raise ArchiveDamaged(f"{path.name}: damaged at byte {at:,}: {fault}") from fault


def _first_member(path: Path, beginning: bytes) -> bytes:
    """The content of the member that a file begins with."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(beginning)
    except zlib.error as fault:
        raise ArchiveDamaged(f"{path.name}: damaged at byte 0, or no archive of FlowForge: {fault}") from fault

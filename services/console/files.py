"""The built files, read once: what a path names is looked up here, and never in the file system."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from services.console.settings import files_bytes_max

INDEX = "/index.html"
HASHED = "/assets/"
"""The build names what lies there by its content: it never changes."""
_COMPRESSED = {".br": "br", ".gz": "gzip"}
"""In the order in which they are preferred."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
}
OTHER_TYPE = "application/octet-stream"


class TooLarge(RuntimeError):
    """The folder holds more than is kept in memory."""


class File(msgspec.Struct, frozen=True):
    """One file, as it is sent: its body by content coding, "" for none."""

    media_type: str
    etag: str
    is_hashed: bool
    bodies: Mapping[str, bytes]

    @property
    def plain(self) -> bytes:
        return self.bodies[""]


def read_files(folder: Path) -> dict[str, File]:
    """Every file below the folder by its path, `/index.html`; none where there is no folder. Raises TooLarge."""
    found: dict[str, bytes] = {}
    size_bytes = 0
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            size_bytes += path.stat().st_size
            if size_bytes > files_bytes_max:
                raise TooLarge(f"{folder} holds more than {files_bytes_max // 1024**2} MiB: build the console anew")
            found["/" + path.relative_to(folder).as_posix()] = path.read_bytes()
    return {path: _file(path, found) for path in found if not _is_variant(path, found)}


def _is_variant(path: str, found: Mapping[str, bytes]) -> bool:
    return any(path.endswith(suffix) and path.removesuffix(suffix) in found for suffix in _COMPRESSED)


def _file(path: str, found: Mapping[str, bytes]) -> File:
    bodies = {coding: found[path + suffix] for suffix, coding in _COMPRESSED.items() if path + suffix in found}
    return File(
        media_type=_TYPES.get(Path(path).suffix, OTHER_TYPE),
        etag=f'"{hashlib.sha256(found[path]).hexdigest()[:32]}"',
        is_hashed=path.startswith(HASHED),
        bodies={**bodies, "": found[path]},
    )

"""The application of the console's pages; `infra.embedded.front` hosts it beside reads and writes.

No key is needed: the files hold nothing that is not in the source. Every view's address is answered with the same page,
which then reads what it shows under the session of whoever looks.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from infra.http.etags import is_known
from infra.http.plain_page import HTML, SAFETY, new_nonce, plain_page
from infra.settings import Settings
from services.console.files import INDEX, File, read_files
from services.console.settings import assets_kept_s

DIST = Path(__file__).parent / "dist"
NONCE_PLACE = b"__CSP_NONCE__"
"""In index.html, where the nonce of the answer goes."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_NOT_BUILT = (
    "The console is not built here",
    ("FlowForge runs, but the files of its page are missing. `make setup` builds them (it needs Node.js); then start it again.",
     "Everything else works: see `flowforge --help`, and the HTTP interface described at `/schema`."),
)  # fmt: skip
_NO_VIEW = frozenset(
    {".js", ".css", ".map", ".svg", ".png", ".ico", ".json", ".woff2", ".webmanifest", ".txt", ".wasm"}
)
"""An address that ends so names a file, and no view."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Answer(msgspec.Struct, frozen=True):
    """As it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def create_app(settings: Settings, folder: Path = DIST) -> App:  # noqa: ARG001  as every application
    """The ASGI application of the files in `folder`, which are read now. Raises TooLarge."""
    files = read_files(folder)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = answer_to(files, scope["path"], given)
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    return app


def answer_to(files: Mapping[str, File], path: str, given: Mapping[str, str]) -> Answer:
    """What a request for `path` is answered, with these headers in small letters."""
    if INDEX not in files:
        body, headers = plain_page(*_NOT_BUILT)
        return Answer(503, body, {**headers, "Content-Type": HTML, "Retry-After": "60"})
    file = files.get(path)
    if file is not None and path != INDEX:
        return _file(file, given)
    if Path(path).suffix in _NO_VIEW:
        text = b"there is no such file; an older page may ask for it: load the page anew\n"
        return Answer(404, text, {**SAFETY, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"})
    return _index(files[INDEX], given)


def _index(index: File, given: Mapping[str, str]) -> Answer:
    """The page with a nonce of its own. A 304 leaves the policy out, lest it replace that of the page which is kept."""
    headers = {**SAFETY, "Cache-Control": "no-cache", "ETag": index.etag, "Vary": "Accept"}
    if is_known(index.etag, given.get("if-none-match")):
        return Answer(304, b"", headers)
    nonce = new_nonce()
    headers |= {"Content-Type": index.media_type, "Content-Security-Policy": _POLICY.format(nonce=nonce)}
    return Answer(200, index.plain.replace(NONCE_PLACE, nonce.encode()), headers)


def _file(file: File, given: Mapping[str, str]) -> Answer:
    kept = f"public, max-age={assets_kept_s}, immutable" if file.is_hashed else "no-cache"
    headers = {**SAFETY, "Cache-Control": kept, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if is_known(file.etag, given.get("if-none-match")):
        return Answer(304, b"", headers)
    coding = next(each for each in file.bodies if not each or _takes(given.get("accept-encoding", ""), each))
    headers |= {"Content-Type": file.media_type} | ({"Content-Encoding": coding} if coding else {})
    return Answer(200, file.bodies[coding], headers)


def _takes(accepted: str, coding: str) -> bool:
    """Whether an Accept-Encoding names the coding, other than with a weight of zero."""
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == coding:
            return weight.replace(" ", "").removeprefix("q=").strip("0.") != "" or not weight
    return False


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return

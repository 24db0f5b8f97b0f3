"""One HTTP call that may not go everywhere: every hop is looked at, connects to the address that was looked at, and ends.

The connection is made to the address itself; the name of the host travels in `Host` and in TLS, where it is checked.
Nothing is kept open between two calls: a connection to one host is never another's. Redirects are followed here, hop by
hop, as RFC 9110 (15.4) and browsers do; to another origin goes nothing that was meant for the first.
"""

import asyncio
import ssl
import zlib
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from infra.calls.limits import call_connect_s, redirects_max, response_bytes_max
from infra.calls.targets import Targets

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_limits = httpx.Limits(max_keepalive_connections=0)


class Unusable(ValueError):
    """The request as it was asked for is none; asking again changes nothing."""


class Misled(Exception):
    """A redirect leads on where this call does not follow."""


class Unreached(Exception):
    """There was no whole answer; another try may get one."""


class TooLarge(Exception):
    """The answer is larger than it may be."""


class Request(msgspec.Struct):
    """What is to be sent. Names of headers are in lower case; `own` are those that every hop gets, whatever its origin."""

    method: str
    url: str
    headers: dict[str, str]
    own: dict[str, str] = {}
    content: bytes | None = None
    stays: bool = False
    """Whether another origin is out of the question, for what the request says to the first."""
    cuts: bool = False
    """Whether an answer that is too large is read as far as it may be, and no fault: its status says all."""


class Answer(msgspec.Struct):
    """What came back; `url` is where from, without what is secret in addresses by custom."""

    status: int
    headers: dict[str, str]
    content: bytes
    url: str
    method: str

    @property
    def reason(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class Calls:
    """Makes calls to where `targets` lets them go."""

    def __init__(self, targets: Targets, answer_bytes_max: int = response_bytes_max) -> None:
        self._targets = targets
        self._answer_bytes_max = answer_bytes_max

    async def send(self, request: Request, is_expected: Callable[[int], bool]) -> Answer:
        """The answer at the end of all redirects; one that `is_expected` is the end too.

        Raises Unusable, Misled, Unreached, TooLarge, and TargetRefused for a hop that leads where no call may go.
        """
        url, hops = _read_url(request.url), 0
        while True:
            answer, location = await self._hop(request, url)
            if location is None or is_expected(answer.status):
                return answer
            hops += 1
            if hops > redirects_max:
                raise Misled(f"{answer.url} redirects further: at most {redirects_max} redirects are followed")
            try:
                following = _read_url(location, url)
            except Unusable as fault:
                raise Misled(f"{answer.url} redirects to where nothing can be called: {fault}") from fault
            request = _redirected(request, answer, url, following)
            url = following

    async def _hop(self, request: Request, url: httpx.URL) -> tuple[Answer, str | None]:
        try:
            addresses = await self._targets.addresses(url.raw_host.decode(), _port(url))
        except OSError as fault:
            raise Unreached(f"'{url.host}' cannot be resolved: {fault.strerror or fault}") from fault
        async with httpx.AsyncClient(
            verify=_tls(), trust_env=False, limits=_limits, timeout=httpx.Timeout(None, connect=call_connect_s)
        ) as client:
            for place, address in enumerate(addresses, 1):
                try:
                    return await _asked(client, request, url, address, self._answer_bytes_max)
                except (httpx.ConnectError, httpx.ConnectTimeout) as fault:
                    if place == len(addresses):
                        raise Unreached(f"{shown(url)} cannot be connected to: {_said(fault)}") from fault
                except httpx.LocalProtocolError as fault:
                    raise Unusable(f"this is no request that can be sent: {_said(fault)}") from fault
                except httpx.TransportError as fault:
                    raise Unreached(f"{shown(url)} did not answer to the end: {_said(fault)}") from fault
        raise Unreached(f"{shown(url)} has no address")


async def _asked(
    client: httpx.AsyncClient, request: Request, url: httpx.URL, address: str, bytes_max: int
) -> tuple[Answer, str | None]:
    """One request to one address, its answer read to the end, and where it redirects to."""
    made = client.build_request(
        request.method,
        url.copy_with(host=address),
        headers={
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "FlowForge",
            **request.own,
            **request.headers,
            "host": url.netloc.decode(),
        },
        content=request.content,
        extensions={"sni_hostname": url.raw_host.decode()},
    )
    response = await client.send(made, stream=True)
    try:
        content = await _read(response, url, bytes_max, cuts=request.cuts)
    finally:
        await response.aclose()
    headers = {name.lower(): value for name, value in response.headers.items()}
    location = headers.get("location") if response.status_code in _REDIRECTS else None
    return Answer(response.status_code, headers, content, shown(url), request.method), location


async def _read(response: httpx.Response, url: httpx.URL, bytes_max: int, *, cuts: bool) -> bytes:
    """The body; one that was compressed although we asked for none is taken apart within the same limit."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        parts.append(chunk)
        if size > bytes_max:
            if cuts:
                break
            raise TooLarge(_too_large(url, bytes_max))
    body = b"".join(parts)
    if response.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    inflating = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflating.decompress(body, bytes_max + 1)
    except zlib.error as fault:
        raise Unreached(f"{shown(url)} answered with what cannot be decompressed: {fault}") from fault
    if len(plain) > bytes_max and not cuts:
        raise TooLarge(_too_large(url, bytes_max))
    return plain


def _redirected(request: Request, answer: Answer, before: httpx.URL, after: httpx.URL) -> Request:
    """The request of the next hop."""
    method, content, headers = request.method, request.content, request.headers
    if (answer.status == 303 and method != "HEAD") or (answer.status in (301, 302) and method == "POST"):
        method, content = "GET", None
        headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
    if _origin(before) != _origin(after):
        if request.stays or content is not None:
            raise Misled(
                f"{answer.url} redirects to {shown(after)}, another origin, to which this request is not sent on: "
                "call the address there"
            )
        headers = {}
    return Request(method, str(after), headers, request.own, content, request.stays, request.cuts)


def _read_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Raises Unusable for what is no address of http or https."""
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, TypeError, ValueError) as fault:
        raise Unusable(f"this is no address: {fault}") from fault
    if url.scheme not in ("http", "https") or not url.host:
        raise Unusable(f"'{url.scheme}:' cannot be called: an address begins with https:// or http://")
    return url


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, _port(url)


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def shown(url: httpx.URL) -> str:
    """The address without login, query and fragment, where secrets are by custom."""
    return f"{url.scheme}://{url.netloc.decode()}{url.path}"


def _said(fault: Exception) -> str:
    return str(fault) or type(fault).__name__


def _too_large(url: httpx.URL, bytes_max: int) -> str:
    most = f"{bytes_max // 1024**2} MiB" if bytes_max >= 1024**2 else f"{bytes_max // 1024} KiB"
    return f"the answer of {shown(url)} has more than {most}, which is the limit"


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()


async def within(seconds: float, call: Any) -> Answer:
    """The call's answer, if it comes in time. Raises Unreached."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as fault:
        raise Unreached(
            f"there was no whole answer within {seconds:g} s; a timeout_ms of the node gives it more time"
        ) from fault

"""Beginning a session of the console with a one-time link, and ending one.

The cookie is `SameSite=Strict`: a browser that follows a link of another site does not send it along, nor to where the
answer redirects. The page there needs none, and what it asks for itself is of this site.
"""

import re

from litestar import MediaType, Response, delete, get
from litestar.datastructures import Cookie

from infra.http.authentication import PUBLIC, VIEWER, forget_known
from infra.http.described import READS_ONLY
from infra.http.origins import scheme_of
from infra.http.plain_page import plain_page
from infra.http.problems import not_found
from infra.http.sessions import COOKIE, SESSION_S_MAX, TOKEN_CHARS_MAX, session_of
from services.gateway.answers import SESSION_ENDED, SessionEnded
from services.gateway.body import AnyRequest
from services.gateway.context import gateway
from services.gateway.settings import next_address_chars_max

_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this host, in printable ASCII without a backslash, which some browsers take for a slash."""
_HOW = (
    "On the machine where FlowForge runs, type `flowforge login`, and open the address that it prints. "
    "It works once, within an hour."
)


@get("/login", opt=PUBLIC, include_in_schema=False)
async def log_in(request: AnyRequest, token: str = "", next: str = "/") -> Response[bytes]:  # noqa: A002  its name in addresses
    """303 to `next`, a path on this host, with the session's cookie; a page that says what to do where the link is no good."""
    session = await gateway(request).sessions.begin(token) if 0 < len(token) <= TOKEN_CHARS_MAX else None
    if session is None:
        return _page(*(_NO_LINK if not token else _BAD_LINK))
    headers = {"Location": _safe(next), "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(
        b"",
        status_code=303,
        headers=headers,
        media_type=MediaType.HTML,
        cookies=[_cookie(request, session, SESSION_S_MAX)],
    )


@delete("/", opt=VIEWER | READS_ONLY | SESSION_ENDED, status_code=200, summary="Log out")
async def end_session(request: AnyRequest) -> Response[SessionEnded]:
    """200 `{user}`: the session is no more, and its cookie is taken back. 404 for a request that came with a key."""
    session = session_of(request.headers)
    if request.user.auth != "session" or session is None:
        raise not_found("session", "of this request")
    await gateway(request).sessions.end(session)
    forget_known()
    return Response(SessionEnded(request.user.name), cookies=[_cookie(request, "", 0)])


_NO_LINK = ("Log in", ("You are not logged in here, and this address carries no login link.", _HOW))
_BAD_LINK = (
    "This link works no more",
    ("A login link works once, and for an hour: this one was used, or is too old.", _HOW),
)


def _page(title: str, paragraphs: tuple[str, ...]) -> Response[bytes]:
    body, headers = plain_page(title, paragraphs)
    return Response(body, status_code=401, headers=headers, media_type=MediaType.HTML)


def _safe(address: str) -> str:
    return address if len(address) <= next_address_chars_max and _LOCAL.fullmatch(address) else "/"


def _cookie(request: AnyRequest, value: str, max_age_s: int) -> Cookie:
    is_secure = scheme_of(request.headers, request.url.scheme) == "https"
    return Cookie(COOKIE, path="/", value=value, max_age=max_age_s, httponly=True, samesite="strict", secure=is_secure)

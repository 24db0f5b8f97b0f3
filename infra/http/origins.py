"""Which page sent a request: what other sites make a browser send is no wish of the person before it.

A browser tells the page's site in `Origin` with every write, and in `Sec-Fetch-Site` with every request (Fetch standard;
OWASP Cross-Site Request Forgery Prevention, "verifying origin").
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from infra.http.problems import Problem
from infra.settings import is_loopback

_LOCAL_SUFFIX = ".localhost"
"""RFC 6761, 6.3: such names are always this machine."""


def check_same_origin(headers: Mapping[str, str]) -> None:
    """Raises a 403 `Problem` for a request that no page of this host has sent."""
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site") != "same-origin":
            raise _refused(
                "with a session's cookie, a write must say by Origin or Sec-Fetch-Site that a page of this host sends it; "
                "programs use a key: `Authorization: Bearer <key>`"
            )
    elif not _is_of_host(origin, headers):
        raise _refused(
            f"a page of {origin[:100]} may not do this with your session: only pages of this host may, which was asked as "
            f"'{headers.get('host', '')[:100]}'; is that the name of a server behind a proxy, let the proxy pass `Host` on"
        )


def check_local(headers: Mapping[str, str]) -> None:
    """The same where everybody is let in: a foreign page is refused, and a foreign name that leads here (DNS rebinding)."""
    host = headers.get("host", "")
    if not _is_local(host):
        raise _refused(
            f"authentication is off, so this is answered at 127.0.0.1 and localhost only, not at '{host[:100]}'; "
            "use one of these names, or set FLOWFORGE_AUTH=on"
        )
    origin = headers.get("origin")
    if origin is not None and not _is_of_host(origin, headers):
        raise _refused(
            f"a page of {origin[:100]} may not ask here: authentication is off, and only pages of this host may"
        )


def scheme_of(headers: Mapping[str, str], own: str) -> str:
    """By which scheme the client asked: what the proxy in front says, else `own`, that of the connection."""
    return "https" if headers.get("x-forwarded-proto", own).split(",")[0].strip().lower() == "https" else "http"


def _is_of_host(origin: str, headers: Mapping[str, str]) -> bool:
    """Nor is a page without encryption where we are asked with it: somebody in between may have written that one."""
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    if page.scheme != "https" and scheme_of(headers, page.scheme) == "https":
        return False
    return page.netloc.lower() == headers.get("host", "").lower() != ""


def _is_local(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(_LOCAL_SUFFIX)


def _refused(detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, detail, code="FOREIGN_ORIGIN")

"""A small page in plain words, for whoever looks at an address with a browser before there is a console to show it."""

import secrets
from collections.abc import Mapping, Sequence
from html import escape

NONCE_BYTES = 18
HTML = "text/html; charset=utf-8"
SAFETY: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of every page: it is what it says that it is, tells no other site where one comes from, and shares no window with it."""
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 36rem; margin: 15vh auto; padding: 0 1.5rem; }
code { font-family: ui-monospace, monospace; padding: .1em .3em; border-radius: .3em; background: rgb(128 128 128 / .2); }
"""


def new_nonce() -> str:
    """For the style or the script of one answer."""
    return secrets.token_urlsafe(NONCE_BYTES)


def plain_page(title: str, paragraphs: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """The page and its headers. What stands between backticks is shown as something to type."""
    nonce = new_nonce()
    body = "\n".join(f"<p>{_marked(text)}</p>" for text in paragraphs)
    page = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)} · FlowForge</title>\n'
        f'<style nonce="{nonce}">{_STYLE}</style>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</html>\n'
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.encode(), {**SAFETY, "Content-Security-Policy": policy, "Cache-Control": "no-store"}


def _marked(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))

"""ETags (RFC 9110, 8.8): the version of what is read, and 304 for who has it already.

The ETag of a saved thing is its version, `"3"`, which `If-Match` of a write may name. Where what is read changes without a new
version, the tag says how it stands as well, `"3.archived"`, and names the same version.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from litestar import Response
from litestar.params import Parameter

IfNoneMatch = Annotated[
    str | None,
    Parameter(header="If-None-Match", description="ETags of what you have; where it is one of them the answer is 304"),
]
_TAG = re.compile(r'(?:W/)?(?:"([0-9]{1,9})(?:\.[a-z0-9]{1,32})?"|([0-9]{1,9}))', re.ASCII)
Content = TypeVar("Content")


def tag_of(version: int, state: str = "") -> str:
    """The ETag of a thing at this version. `state`, small letters and digits: how it stands, where that is told, too."""
    return f'"{version}.{state}"' if state else f'"{version}"'


def version_of(tag: str) -> int | None:
    """The version that an ETag names, quoted or not; None for what is none."""
    match = _TAG.fullmatch(tag.strip())
    return int(match[1] or match[2]) if match else None


def is_known(tag: str, if_none_match: str | None) -> bool:
    """Whether the client has it: compared weakly, as RFC 9110 wants it for `If-None-Match`."""
    if if_none_match is None:
        return False
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in given or tag in given


def tagged(
    content: Content, tag: str, if_none_match: str | None, headers: Mapping[str, str] | None = None, **options: Any
) -> Response[Content]:
    """The answer with its ETag; 304 without content where the client has it. `options` are those of a response."""
    told = {**(headers or {}), "ETag": tag}
    if is_known(tag, if_none_match):
        return Response(cast("Content", None), status_code=304, headers=told)
    return Response(content, headers=told, **options)

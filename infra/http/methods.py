"""Which methods an address knows, whichever of the two applications carries them out.

Each application routes its own methods only: to the one that writes, `PUT /api/runs` is an unknown address. The description
of the interface knows all of them, so both can answer 405 with the whole list.
"""

import re
from functools import cache
from importlib.resources import files

import msgspec
from litestar import Response

READ = frozenset({"GET"})
OLDER_PATHS = {
    "/workflows": "/api/workflows",
    "/api/workflow-executions": "/api/runs",
    "/api/workflow-templates": "/api/templates",
}
"""Names that addresses had, and the names that they have now."""
_UNDESCRIBED = {"/schema": READ, "/schema/openapi.json": READ, "/asyncapi": READ, "/login": READ}
_PART = re.compile(r"\\\{[^/]+?\\\}")


class _Described(msgspec.Struct):
    paths: dict[str, dict[str, msgspec.Raw]]


def methods_of(path: str) -> list[str]:
    """The methods of this address, `HEAD` and `OPTIONS` among them; none for an unknown one."""
    newer = newer_path(path).rstrip("/")
    known = _described().get(newer, _UNDESCRIBED.get(newer, frozenset()))
    if not known:
        known = next((methods for pattern, methods in _patterns() if pattern.fullmatch(newer)), known)
    if not known:
        return []
    return sorted(known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set()))


def newer_path(path: str) -> str:
    """The address under the name that it has now."""
    for old, new in OLDER_PATHS.items():
        if path == old or path.startswith(f"{old}/"):
            return new + path.removeprefix(old)
    return path


def options(path: str) -> Response[None]:
    """The answer to `OPTIONS`, which needs no key: it tells what 405 tells."""
    return Response(None, status_code=204, headers={"Allow": ", ".join(methods_of(path))})


@cache
def _described() -> dict[str, frozenset[str]]:
    text = files("flowforge.documents").joinpath("openapi.json").read_bytes()
    paths = msgspec.json.decode(text, type=_Described).paths
    return {path: frozenset(method.upper() for method in item) for path, item in paths.items()}


@cache
def _patterns() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    return [(re.compile(_PART.sub("[^/]+", re.escape(path))), methods) for path, methods in _described().items()]

"""The interfaces as documents, generated from the code and kept in the contracts."""

from importlib.resources import files

from litestar import Response, Router, get

from infra.http.authentication import VIEWER

_DOCUMENTS = files("flowforge.documents")


@get(["/schema", "/schema/openapi.json"], opt=VIEWER, include_in_schema=False)
async def read_openapi() -> Response[bytes]:
    """HTTP, reads and writes, as OpenAPI 3.1."""
    return Response(_DOCUMENTS.joinpath("openapi.json").read_bytes(), media_type="application/vnd.oai.openapi+json")


@get("/asyncapi", opt=VIEWER, include_in_schema=False)
async def read_asyncapi() -> Response[bytes]:
    """NATS, as AsyncAPI 3."""
    return Response(_DOCUMENTS.joinpath("asyncapi.json").read_bytes(), media_type="application/vnd.aai.asyncapi+json")


def routers() -> list[Router]:
    """At the addresses where such documents are looked for."""
    return [Router("/", route_handlers=[read_openapi, read_asyncapi])]

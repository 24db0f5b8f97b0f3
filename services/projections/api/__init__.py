"""The HTTP reads: every GET of interface.md, section 3, that there is something to answer for."""

import logging
from typing import Any

import asyncpg
from litestar import Litestar, Request, Response, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from infra.http.authentication import PUBLIC, VIEWER, Authentication, KeyRing
from infra.http.observed import Observed
from infra.http.problems import bad_request, exception_handlers, unavailable
from infra.http.queries import only_known_queries
from infra.settings import Settings
from services.projections.api import (
    activity,
    all_triggers,
    approvals,
    breakers,
    documents,
    health,
    live,
    people,
    prometheus,
    prompts,
    received,
    retention,
    runs,
    session,
    statistics,
    subscriptions,
    system,
    templates,
    upcoming,
    workflow_activity,
    workflows,
)
from services.projections.api.reads import Reads
from services.projections.settings import ReadSettings

AFTER = "after"
_log = logging.getLogger(__name__)
_POSITION_DIGITS_MAX = 18


def create_app(settings: Settings, limits: ReadSettings | None = None) -> Litestar:
    """The application. Its lifespan opens and closes everything it needs."""
    reads = Reads(settings, limits or ReadSettings())

    async def provide_reads() -> Reads:
        return reads

    async def read_own_writes(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Guard: `?after=<position>` waits until the read models have it; without it they get a moment to catch up."""
        given = connection.query_params.get(AFTER)
        if given is not None:
            await reads.wait_for(_position(given))
        elif handler.opt.items() & PUBLIC.items() == set():
            await reads.catch_up()

    return Litestar(
        route_handlers=[
            *workflows.routers(),
            *workflow_activity.routers(),
            *upcoming.routers(),
            *runs.routers(live.stream_run),
            *approvals.routers(),
            *breakers.routers(),
            *activity.routers(),
            *received.routers(),
            *all_triggers.routers(),
            *live.routers(),
            *templates.routers(),
            *prompts.routers(),
            *subscriptions.routers(),
            *session.routers(),
            *people.routers(),
            *health.routers(),
            *prometheus.routers(),
            *statistics.routers(),
            *system.routers(),
            *retention.routers(),
            *documents.routers(),
        ],
        lifespan=[reads.lifespan],
        middleware=[
            Observed(lambda: reads.tracing, begins=False),
            Authentication(KeyRing(reads.holder), KeyRing(reads.session_holder), is_on=settings.auth_is_on),
        ],
        guards=[only_known_queries, read_own_writes],
        dependencies={"reads": Provide(provide_reads)},
        exception_handlers={
            **exception_handlers,
            asyncpg.UndefinedTableError: _not_built_yet,
            asyncpg.DataError: _not_a_value,
        },
        opt={"also_queries": (AFTER,)},
        openapi_config=_openapi(),
        logging_config=None,
    )


def _position(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= _POSITION_DIGITS_MAX):
        raise bad_request("query.after", "a position is a whole number")
    return int(given)


def _not_built_yet(_: Request[Any, Any, Any], __: Exception) -> Response[bytes]:
    return unavailable("the read models are not built yet: the projections service has not started").response()


def _not_a_value(_: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    """Nothing is written here, so what Postgres cannot take is what was asked for: character zero, the year 10000."""
    _log.info("a value of a request was refused: %s", fault)
    return bad_request("query", "a value is out of range").response()


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="FlowForge: reads",
        version="1",
        description=(
            "Every read takes `?after=<position>`: it is answered once the read models have what was logged there, "
            "so that you see what you have just written. A read without it waits a moment for what is logged already, "
            "and answers with what there is."
        ),
        openapi_router=Router("/schema/reads", route_handlers=[], opt=VIEWER),
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        use_handler_docstrings=True,
    )

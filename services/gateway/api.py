"""The application of all writes; `infra.embedded.front` hosts it beside the reads."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from flowforge.envelope import now
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from infra.http.authentication import VIEWER, Authentication, KeyRing, Lookup, Principal, key_holder
from infra.http.observed import Observed
from infra.http.problems import exception_handlers, unavailable
from infra.http.queries import only_known_queries
from infra.secrets import NoKey, PostgresSecrets, SecretKey, find_key
from infra.secrets.tokens import CallbackTokens
from infra.settings import Settings
from infra.telemetry import start_tracing
from services.gateway.commanding import Services, connect
from services.gateway.context import Gateway
from services.gateway.routes import (
    APPROVALS,
    CALLBACKS,
    DEAD_LETTERS,
    EVENTS,
    HEALTH,
    PROMPTS,
    RUNS,
    SECRETS,
    SUBSCRIPTIONS,
    TEMPLATES,
    TRIGGERS,
    WEBHOOKS,
    WORKFLOWS,
)
from services.gateway.settings import body_bytes_max
from services.gateway.store import Store, open_log, open_pool
from services.gateway.webhooks import Webhooks


def create_app(settings: Settings) -> Litestar:
    """The ASGI application; it connects in its lifespan, waiting for servers that are not there yet."""
    keys = _Keys()
    tracing = start_tracing("gateway", settings.namespace)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        assert settings.database_url
        pool, client = await asyncio.gather(open_pool(settings.database_url), connect(settings))
        store = Store(pool)
        keys.lookup = partial(key_holder, pool)
        services = Services(client, settings.namespace)
        await services.start()
        log, key = await open_log(settings.database_url), _key(settings)
        secrets = None if key is None else PostgresSecrets(settings.database_url, key)
        webhooks = Webhooks(log, secrets, now)
        app.state.gateway = Gateway(services, store, webhooks, secrets, None if key is None else CallbackTokens(key))
        background = [
            asyncio.create_task(store.sweep()),
            asyncio.create_task(webhooks.rejections.tell(services.ask)),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await client.close()
            await log.close()
            if secrets is not None:
                await secrets.close()
            await pool.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.end)

    return Litestar(
        [*_routers("/api/workflows", "/workflows", WORKFLOWS), *_routers("/api/runs", "/api/workflow-executions", RUNS),
         *_routers("/api/templates", "/api/workflow-templates", TEMPLATES),
         Router("/health", route_handlers=HEALTH, include_in_schema=False),
         Router("/api/events", route_handlers=EVENTS), Router("/api/triggers", route_handlers=TRIGGERS),
         Router("/api/webhooks", route_handlers=WEBHOOKS), Router("/api/callbacks", route_handlers=CALLBACKS),
         Router("/api/secrets", route_handlers=SECRETS), Router("/api/approvals", route_handlers=APPROVALS),
         Router("/api/dead-letters", route_handlers=DEAD_LETTERS), Router("/api/prompts", route_handlers=PROMPTS),
         Router("/api/subscriptions", route_handlers=SUBSCRIPTIONS)],
        lifespan=[lifespan],
        middleware=[Observed(lambda: tracing, begins=True), Authentication(KeyRing(keys.holder), is_on=settings.auth_is_on)],
        guards=[only_known_queries],
        exception_handlers=exception_handlers,
        logging_config=None,
        request_max_body_size=body_bytes_max,
        openapi_config=OpenAPIConfig(
            "FlowForge: writes", "1", openapi_router=Router("/schema/writes", route_handlers=[], opt=VIEWER),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])], use_handler_docstrings=True,
        ),
    )  # fmt: skip


def _routers(path: str, older_path: str, handlers: Sequence[HTTPRouteHandler]) -> list[Router]:
    """The same routes under their older path name as well."""
    older = Router(older_path, route_handlers=handlers, include_in_schema=False)
    return [Router(path, route_handlers=handlers), older]


def _key(settings: Settings) -> SecretKey | None:
    """None where there is no key: then no webhook is verified, no secret set and no callback taken. Raises WrongKey."""
    try:
        return find_key(settings)
    except NoKey:
        return None


class _Keys:
    """The look-up of keys, once the database is there."""

    def __init__(self) -> None:
        self.lookup: Lookup | None = None

    async def holder(self, digest: bytes) -> Principal | None:
        if self.lookup is None:
            raise unavailable("not started yet")
        return await self.lookup(digest)

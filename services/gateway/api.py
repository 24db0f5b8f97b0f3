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

from infra.http.authentication import (
    VIEWER,
    Authentication,
    KeyRing,
    Lookup,
    Principal,
    key_holder,
    session_holder,
)
from infra.http.methods import OLDER_PATHS
from infra.http.observed import Observed
from infra.http.problems import exception_handlers, unavailable
from infra.http.queries import only_known_queries
from infra.secrets import NoKey, PostgresSecrets, SecretKey, find_key
from infra.secrets.tokens import CallbackTokens
from infra.settings import Settings
from infra.telemetry import start_tracing
from services.gateway.commanding import Services, connect
from services.gateway.context import Gateway
from services.gateway.people import People
from services.gateway.routes import (
    APPROVALS,
    CALLBACKS,
    DEAD_LETTERS,
    EVENTS,
    HEALTH,
    LOGIN,
    PEOPLE,
    PROMPTS,
    RUNS,
    SECRETS,
    SESSION,
    SUBSCRIPTIONS,
    TEMPLATES,
    TRIGGERS,
    WEBHOOKS,
    WORKFLOWS,
)
from services.gateway.sessions import Sessions
from services.gateway.settings import body_bytes_max
from services.gateway.store import Store, open_log, open_pool
from services.gateway.webhooks import Webhooks

_ROUTES: dict[str, list[HTTPRouteHandler]] = {
    "workflows": WORKFLOWS,
    "runs": RUNS,
    "templates": TEMPLATES,
    "events": EVENTS,
    "triggers": TRIGGERS,
    "webhooks": WEBHOOKS,
    "callbacks": CALLBACKS,
    "secrets": SECRETS,
    "approvals": APPROVALS,
    "dead-letters": DEAD_LETTERS,
    "prompts": PROMPTS,
    "subscriptions": SUBSCRIPTIONS,
    "session": SESSION,
    "users": PEOPLE,
}


def create_app(settings: Settings) -> Litestar:
    """The ASGI application; it connects in its lifespan, waiting for servers that are not there yet."""
    keys, sessions = _Keys(), _Keys()
    tracing = start_tracing("gateway", settings.namespace)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        assert settings.database_url
        pool, client = await asyncio.gather(open_pool(settings.database_url), connect(settings))
        store = Store(pool)
        keys.lookup, sessions.lookup = partial(key_holder, pool), partial(session_holder, pool)
        services = Services(client, settings.namespace)
        await services.start()
        log, key = await open_log(settings.database_url), _key(settings)
        secrets = None if key is None else PostgresSecrets(settings.database_url, key)
        webhooks = Webhooks(log, secrets, now)
        tokens = None if key is None else CallbackTokens(key)
        people = People(pool, log)
        await people.begin()
        app.state.gateway = Gateway(
            services, store, webhooks, secrets, tokens, Sessions(pool), people, settings.public_url
        )
        background = [
            asyncio.create_task(store.sweep()),
            asyncio.create_task(people.keep_up()),
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
        [Router("/health", route_handlers=HEALTH, include_in_schema=False), *LOGIN,
         *(router for name, handlers in _ROUTES.items() for router in _routers(name, handlers))],
        lifespan=[lifespan],
        middleware=[
            Observed(lambda: tracing, begins=True),
            Authentication(KeyRing(keys.holder), KeyRing(sessions.holder), is_on=settings.auth_is_on),
        ],
        guards=[only_known_queries],
        exception_handlers=exception_handlers,
        logging_config=None,
        request_max_body_size=body_bytes_max,
        openapi_config=OpenAPIConfig(
            "FlowForge: writes", "1", openapi_router=Router("/schema/writes", route_handlers=[], opt=VIEWER),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])], use_handler_docstrings=True,
        ),
    )  # fmt: skip


def _routers(name: str, handlers: Sequence[HTTPRouteHandler]) -> list[Router]:
    """The routes below `/api/<name>`, and the same under their older path name where they have one."""
    path = f"/api/{name}"
    older = [old for old, new in OLDER_PATHS.items() if new == path]
    return [
        Router(path, route_handlers=handlers, tags=[name]),
        *(Router(old, route_handlers=handlers, include_in_schema=False) for old in older),
    ]


def _key(settings: Settings) -> SecretKey | None:
    """None where there is no key: then no webhook is verified, no secret set and no callback taken. Raises WrongKey."""
    try:
        return find_key(settings)
    except NoKey:
        return None


class _Keys:
    """The look-up of keys, or of sessions, once the database is there."""

    def __init__(self) -> None:
        self.lookup: Lookup | None = None

    async def holder(self, digest: bytes) -> Principal | None:
        if self.lookup is None:
            raise unavailable("not started yet")
        return await self.lookup(digest)

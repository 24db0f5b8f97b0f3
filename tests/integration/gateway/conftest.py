"""Gateway before the real services, on real NATS and Postgres; HTTP without a socket."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
import pytest

from infra.bus.process import Build, service_app
from infra.bus.topology import declare
from infra.embedded.front import lifespan
from infra.secrets import new_key_text
from infra.settings import Settings, load_settings
from services.catalog import wiring as catalog_wiring
from services.execution import wiring as execution_wiring
from services.gateway.api import create_app
from services.scheduler import wiring as scheduler_wiring
from services.triggers import wiring as triggers_wiring
from tests.integration.application import application_of

ROLES = ("viewer", "operator", "editor", "admin")
READY_TIMEOUT_S = 20
SECRETS_KEY = new_key_text()
Start = Callable[..., AbstractAsyncContextManager[Any]]


def start_service(name: str, environment: dict[str, str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The process of a service, and the descriptor on which it says that it is ready."""
    ready, told = os.pipe()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{name}"],
            env={**os.environ, **environment, "FLOWFORGE_READY_FD": str(told)},
            pass_fds=(told,),
            stdout=output,
            stderr=output,
        )
    os.close(told)
    return process, ready


async def until_ready(process: subprocess.Popen[bytes], ready: int, log: Path) -> None:
    said = await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), READY_TIMEOUT_S)
    os.close(ready)
    assert said == b"1", f"ended with {process.poll()} before it was ready, see {log}"


@pytest.fixture
def environment(service_dsn: str, nats_url: str, namespace: str, tmp_path: Path) -> dict[str, str]:
    return {
        "FLOWFORGE_DATABASE_URL": service_dsn,
        "FLOWFORGE_NATS_URL": nats_url,
        "FLOWFORGE_NAMESPACE": namespace,
        "FLOWFORGE_HOME": str(tmp_path / "home"),
        "FLOWFORGE_SECRETS_KEY": SECRETS_KEY,
    }


@pytest.fixture
async def streams(nats_url: str, namespace: str) -> AsyncGenerator[None]:
    """The streams of the namespace; their room is given back in the end."""
    connection = await nats.connect(nats_url)
    try:
        await declare(connection, namespace)
        yield
        jetstream = connection.jetstream()
        for stream in await jetstream.streams_info():
            if stream.config.name is not None and namespace.upper() in stream.config.name.upper():
                await jetstream.delete_stream(stream.config.name)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def running(name: str, environment: dict[str, str], folder: Path) -> AsyncGenerator[subprocess.Popen[bytes]]:
    """The service's process, from ready to stopped."""
    log = folder / f"{name}.log"
    process, ready = start_service(name, environment, log)
    try:
        await until_ready(process, ready, log)
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextlib.asynccontextmanager
async def here(name: str, build: Build, settings: Settings) -> AsyncGenerator[None]:
    """The whole service in this process, which is ready in a tenth of the time; who kills one starts a process."""
    app = service_app(settings, name, build)
    async with app.lifespan_context():
        await app.start()
        try:
            yield
        finally:
            await app.stop()


@pytest.fixture
def service_settings(environment: dict[str, str]) -> Settings:
    """As a process reads them."""
    return load_settings(environment)


@pytest.fixture
async def catalog(streams: None, service_settings: Settings) -> AsyncGenerator[None]:
    async with here("catalog", catalog_wiring.build, service_settings):
        yield


@pytest.fixture
async def triggers(streams: None, service_settings: Settings) -> AsyncGenerator[None]:
    async with here("triggers", triggers_wiring.build, service_settings):
        yield


@pytest.fixture
async def execution(streams: None, service_settings: Settings) -> AsyncGenerator[None]:
    async with here("execution", execution_wiring.build, service_settings):
        yield


@pytest.fixture
async def scheduler(streams: None, service_settings: Settings) -> AsyncGenerator[None]:
    async with here("scheduler", scheduler_wiring.build, service_settings):
        yield


@pytest.fixture
def start(streams: None, environment: dict[str, str], tmp_path: Path) -> Start:
    """Start a service when the test says so, with further variables in its environment."""
    return lambda name, **further: running(name, environment | further, tmp_path)


@pytest.fixture
async def keys(postgres_dsn: str) -> dict[str, str]:
    """A key for each role; its holder has the role's name."""
    connection = await asyncpg.connect(postgres_dsn)
    for role in ROLES:
        digest = hashlib.sha256(f"key-of-{role}".encode()).digest()
        await connection.execute("insert into gateway.keys (hash, name, role) values ($1, $2, $2)", digest, role)
    await connection.close()
    return {role: f"key-of-{role}" for role in ROLES}


@pytest.fixture(autouse=True)
def no_wait_for_advice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service is not there that advises on a save, nobody waits a second for it."""
    if not {"triggers", "start"} & set(request.fixturenames):
        monkeypatch.setattr("services.gateway.context.advice_wait_s", 0.01)


@pytest.fixture
async def http(
    service_dsn: str, nats_url: str, namespace: str, keys: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    """The gateway as an administrator sees it."""
    settings = Settings(database_url=service_dsn, nats_url=nats_url, namespace=namespace, secrets_key=SECRETS_KEY)
    app = application_of(create_app, settings)
    async with lifespan(app):  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {keys['admin']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://flowforge", headers=headers) as asking:
            yield asking

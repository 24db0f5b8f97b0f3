"""A deployment's processes, with the commands and environments of the compose file, on servers that were there before."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import yaml
from flowforge import Client, ScriptNode, WorkflowBuilder

from infra.deploy.credentials import Servers, make
from infra.deploy.processes import READY_FILE, SECRETS_FOLDER
from infra.embedded import nats
from infra.embedded.ports import free_port
from infra.embedded.process import spawn
from tests.conftest import Server

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "infra" / "deploy"
COMPOSE = cast("dict[str, Any]", yaml.safe_load((DEPLOY / "compose.yaml").read_text()))
NAMESPACE = "deployed"
WAIT_S = 60.0
SCRIPT = 'import json, os; json.dump({"n": 42}, open(os.environ["FLOWFORGE_OUTPUT"], "w"))'


class Deployment:
    """What the compose file describes, as processes of this machine."""

    def __init__(self, folder: Path, credentials: Path, webhook_deny: str) -> None:
        self.folder, self.credentials = folder, credentials
        self.ports = {"reads": free_port(), "writes": free_port(), "front": free_port()}
        self._deny = webhook_deny
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """As in the compose file, but for what stands for places: folders, ports, names of hosts."""
        told: dict[str, str] = dict(COMPOSE["services"][name]["environment"])
        assert all(isinstance(value, str) for value in told.values())
        told = {key: value.replace(SECRETS_FOLDER, str(self.credentials)) for key, value in told.items()}
        told = {key: value for key, value in told.items() if not value.startswith("${")}
        told |= {
            "FLOWFORGE_HOME": str(self.folder / name),
            "FLOWFORGE_NAMESPACE": NAMESPACE,
            "FLOWFORGE_WEBHOOK_DENY": self._deny,
        }
        told["FLOWFORGE_READY_FILE"] = str(self.ready_file(name))
        if "FLOWFORGE_HTTP_PORT" in told:
            told |= {"FLOWFORGE_HTTP_PORT": str(self.ports[name]), "FLOWFORGE_HTTP_HOST": "127.0.0.1"}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **told}

    def ready_file(self, name: str) -> Path:
        return self.folder / f"{name}-{Path(READY_FILE).name}"

    def start(self, name: str) -> None:
        command: list[str] = COMPOSE["services"][name]["command"]
        assert command[0] == "python"
        log = self.folder / f"{name}.log"
        self._running[name] = spawn(
            [sys.executable, *command[1:]], env=self.environment(name), log=log, cwd=self.folder
        )

    def prepare(self) -> str:
        """What the container `prepare` does; what it said."""
        command: list[str] = COMPOSE["services"]["prepare"]["command"]
        assert command[0] == "flowforge"
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *command[1:], "--credentials", str(self.credentials)],
            env=self.environment("prepare"), cwd=self.folder, capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_front(self) -> str:
        """nginx, where it is installed, with the file that compose and the chart mount; its address, or the writes'."""
        nginx = shutil.which("nginx")
        if nginx is None:
            return ""
        text = (DEPLOY / "chart" / "files" / "front.conf.template").read_text()
        for side in ("reads", "writes"):
            text = text.replace(f"${{{side.upper()}}}", f"127.0.0.1:{self.ports[side]}")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{self.ports['front']}").replace(
            "/tmp/", f"{self.folder}/"
        )
        conf = self.folder / "nginx.conf"
        conf.write_text(f"pid {self.folder}/nginx.pid; error_log stderr; daemon off; events {{}}\nhttp {{\n{text}}}\n")
        command = [nginx, "-p", str(self.folder), "-c", str(conf)]
        self._running["front"] = spawn(command, env={"PATH": os.environ["PATH"]}, log=self.folder / "front.log")
        return f"http://127.0.0.1:{self.ports['front']}"

    def end(self, name: str) -> None:
        self._running[name].send_signal(signal.SIGTERM)
        self._running[name].wait(WAIT_S)

    def stop(self) -> list[int]:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait(WAIT_S) for process in self._running.values()]

    def said(self) -> str:
        return "\n".join(f"{log.name}:\n{log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log")))


@pytest.fixture
def external_nats(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A nats-server with exactly the nats.conf of the credentials, but for its store: its port, the credentials."""
    port, credentials = free_port(), tmp_path / "credentials"
    make(credentials, Servers(nats=f"127.0.0.1:{port}", namespace=NAMESPACE))
    conf = (
        (credentials / "nats.conf")
        .read_text()
        .replace("0.0.0.0", "127.0.0.1")
        .replace('"/data"', f'"{tmp_path}/store"')
    )
    (tmp_path / "nats.conf").write_text(conf)
    program = nats.NatsFolder(tmp_path).server_command()[0]
    process = spawn([program, "--config", str(tmp_path / "nats.conf")], env={}, log=tmp_path / "nats-server.log")
    yield port, credentials
    process.kill()
    process.wait()


@pytest.fixture
async def deployment(
    postgres_server: Server, external_nats: tuple[int, Path], tmp_path: Path
) -> AsyncIterator[Deployment]:
    port, credentials = external_nats
    owner_url = postgres_server.url.rpartition("/")[0] + f"/{NAMESPACE}"
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute(f"create database {NAMESPACE}")
    for name in ("database-owner-url", "database-password", "database-url", "database-reader-url"):
        (credentials / name).unlink()
    make(credentials, Servers(nats=f"127.0.0.1:{port}", owner_url=owner_url, namespace=NAMESPACE))
    folder = tmp_path / "deployed"
    folder.mkdir()
    deployed = Deployment(folder, credentials, f"{urlsplit(owner_url).netloc.rpartition('@')[2]},127.0.0.1:{port}")
    try:
        yield deployed
    finally:
        deployed.stop()
        await connection.execute(f"drop database if exists {NAMESPACE} with (force)")
        await connection.execute(f"drop role if exists {NAMESPACE}_service, {NAMESPACE}_reader")
        await connection.close()


async def test_a_workflow_runs_on_a_deployment(deployment: Deployment) -> None:
    assert "Postgres and NATS are ready" in deployment.prepare()
    assert "0 schema files applied" in deployment.prepare(), "it may be done again"
    missing: list[str] = []
    names = [name for name in COMPOSE["services"] if name not in {"postgres", "nats", "prepare", "front"}]
    for name in names:
        deployment.start(name)
    try:
        async with asyncio.timeout(WAIT_S):
            while missing := [name for name in names if not deployment.ready_file(name).exists()]:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not ready: {missing}\n{deployment.said()}")
    front = deployment.start_front()
    key = (deployment.credentials / "admin-key").read_text().strip()
    async with contextlib.AsyncExitStack() as stack:
        writes = await stack.enter_async_context(Client(front or f"http://127.0.0.1:{deployment.ports['writes']}", key))
        reads = await stack.enter_async_context(Client(front or f"http://127.0.0.1:{deployment.ports['reads']}", key))
        await until_there(reads)
        flow = WorkflowBuilder("deployed")
        flow.add(ScriptNode(id="answer", language="python", source=SCRIPT))
        await writes.create_workflow(flow.build())
        run = await reads.wait(await writes.execute("deployed"), timeout_s=WAIT_S)
        assert (run["status"], run["output_data"]) == ("completed", {"n": 42}), deployment.said()
        assert (await writes.health())["status"] == "ok"
    if front:
        assert_no_token_is_told(deployment, front, key)


def assert_no_token_is_told(deployment: Deployment, front: str, key: str) -> None:
    """In the log of the nginx in front, neither of requests nor of errors."""

    def ask(client: httpx.Client) -> list[int]:
        asked = (client.get("/login", params={"token": "t0ken-1"}), client.post("/api/callbacks/t0ken-2", json={}))
        return [answer.status_code for answer in asked]

    with httpx.Client(base_url=front, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_S) as client:
        link = client.post("/api/users/admin/login-links").json()["url"]
        assert client.get(link.removeprefix(front)).status_code == 303
        assert client.get("/", headers={"Accept": "text/html"}).headers["content-type"].startswith("text/html")
        assert ask(client) == [401, 404]
        deployment.end("writes")
        assert ask(client) == [502, 502]
    said = (deployment.folder / "front.log").read_text()
    assert '"GET /login" 303' in said
    assert '"GET /login" 502' in said
    assert "t0ken" not in said
    assert "token=" not in said


async def until_there(client: Client) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(Exception):
                if (await client.health())["status"] == "ok":
                    return
            await asyncio.sleep(0.05)

"""The floor: the cheapest possible loop of the same job, run on servers of its own with the same settings as ours."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.embedded import nats as embedded_nats
from infra.embedded import postgres as embedded_postgres
from infra.embedded.account import unprivileged
from infra.embedded.ports import free_port
from infra.embedded.process import spawn

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
START_WAIT_S = 30.0


@dataclass(frozen=True)
class FloorServers:
    """Where the floor's own servers are."""

    script: Path
    nats_url: str
    postgres_url: str

    async def measure(self, runs: int) -> dict[str, float]:
        """Runs per second, and p50 latency in milliseconds."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(self.script), self.nats_url, self.postgres_url, str(runs), stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"the floor ended with status {process.returncode}")
        found = json.loads(output.splitlines()[-1])
        return {
            "runs_per_s": found["runs_per_s"],
            "p50_ms": found["latency_ms"]["p50"],
            "p95_ms": found["latency_ms"]["p95"],
        }


@asynccontextmanager
async def floor_servers(home: Path, script: Path) -> AsyncGenerator[FloorServers]:
    """A nats-server and a Postgres, started as `up` starts its own."""
    await asyncio.to_thread(home.mkdir, parents=True)
    log, password = home / "servers.log", secrets.token_hex(16)
    folder = embedded_nats.NatsFolder(home / "nats")
    nats_port, postgres_port = free_port(), free_port()
    folder.write_config(nats_port, dict.fromkeys(embedded_nats.USERS, password), "flowforge")
    text = folder.config_file.read_text()
    # the floor makes streams of its own names: one login without limits
    everything = '{"user": "floor", "password": "%s"},\n' % password  # noqa: UP031
    folder.config_file.write_text(
        text.replace("users = [", "users = [\n    " + everything, 1).replace(
            "users: [", "users: [\n    " + everything, 1
        )
    )
    nats = spawn(folder.server_command(), env=ENVIRONMENT, log=log, cwd=folder.folder)
    cluster = embedded_postgres.PostgresFolder(home / "postgres", unprivileged())
    cluster.make_ready_for_account()
    password_file = cluster.write_password_file(password)
    initdb = spawn(
        cluster.initdb_command(password_file), env=ENVIRONMENT, log=log, account=cluster.account, cwd=cluster.folder
    )
    await asyncio.to_thread(initdb.wait)
    postgres = spawn(
        cluster.server_command(postgres_port), env=ENVIRONMENT, log=log, account=cluster.account, cwd=cluster.folder
    )
    try:
        async with asyncio.timeout(START_WAIT_S):
            while not (cluster.is_ready(postgres.pid) and embedded_nats.is_ready(nats_port)):
                await asyncio.sleep(0.02)
        yield FloorServers(
            script,
            embedded_nats.login_url(nats_port, "floor", password),
            embedded_postgres.login_url(postgres_port, embedded_postgres.OWNER, password, "postgres"),
        )
    finally:
        for process in (nats, postgres):
            process.terminate()
            await asyncio.to_thread(process.wait)

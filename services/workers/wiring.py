"""The built-in workers put together: two SDK workers per queue (what runs here, what waits for others), their handlers,
failpoints, signals."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import uvloop
from flowforge.errors import FlowForgeError
from flowforge.worker import Worker

from infra.calls import Calls, Targets
from infra.embedded.readiness import say_ready
from infra.failpoints import failpoint
from infra.settings import SettingsError
from infra.telemetry import start_tracing
from infra.telemetry.jobs import JobSpans
from infra.telemetry.logs import write_logs
from services.workers import settings
from services.workers.confinement import Confinement
from services.workers.prompts import PromptRunner
from services.workers.script import ScriptRunner
from services.workers.secrets import SecretsOverNats
from services.workers.settings import WorkersSettings
from services.workers.sql import SqlRunner
from services.workers.strays import Strays
from services.workers.webhook import WebhookCaller
from services.workers.workspace import remove_left

FAILPOINTS = ("workers.before_report", "workers.after_report")


def workers(configured: WorkersSettings, strays: Strays, secrets: SecretsOverNats) -> list[Worker]:
    """Per queue one that serves `script`, and one for calls, many of which wait at once."""
    confinement = Confinement(
        configured.isolation,
        hidden=configured.common.home,
        shared=configured.script_paths,
        search_path=os.environ.get("PATH", os.defpath),
    )
    runner = ScriptRunner(secrets, confinement, configured.script_paths, strays, configured.defaults)
    targets = Targets(configured.common.webhook_allow, configured.own_servers)
    caller = WebhookCaller(Calls(targets), secrets)
    queries = SqlRunner(secrets)
    prompts = PromptRunner(secrets, targets)
    served: list[Worker] = []
    for queue in configured.queues:
        scripts = _worker(configured, queue, "", configured.concurrency, configured.memory_mb)
        scripts.job(settings.JOB_TYPE)(runner.run)
        calls = _worker(configured, queue, "-calls", configured.calls_concurrency)
        calls.job(settings.WEBHOOK)(caller.run)
        calls.job(settings.SQL)(queries.run)
        calls.job(settings.PROMPT)(prompts.run)
        served += [scripts, calls]
    return served


def _worker(
    configured: WorkersSettings, queue: str, suffix: str, concurrency: int, memory_mb: int | None = None
) -> Worker:
    host = socket.gethostname().partition(".")[0]
    return Worker(
        queue,
        concurrency=concurrency,
        memory_mb=memory_mb,
        name=f"builtin-{host}-{os.getpid()}{suffix}",
        nats_url=configured.common.nats_url,
        namespace=configured.common.namespace,
        stop_grace_s=settings.stop_grace_s,
        passed=lambda point: failpoint(f"workers.{point}"),
    )


async def serve(configured: WorkersSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    strays = Strays()
    strays.adopt()
    clearing = asyncio.create_task(asyncio.to_thread(remove_left))
    secrets = SecretsOverNats(configured.common.nats_url, configured.common.namespace)
    served = workers(configured, strays, secrets)
    tracing = start_tracing("workers", configured.common.namespace)
    if tracing is not None:
        for worker in served:
            worker.tracer = JobSpans(tracing)

    def stop() -> None:
        for worker in served:
            worker.stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop)
    telling = asyncio.create_task(_tell_when_ready(served))
    try:
        await asyncio.gather(*(worker.run() for worker in served))
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        await secrets.close()
        await clearing
        if tracing is not None:
            await asyncio.to_thread(tracing.end)


async def _tell_when_ready(served: list[Worker]) -> None:
    for worker in served:
        await worker.is_ready.wait()
    say_ready()


def main() -> None:
    try:
        configured = settings.load()
    except SettingsError as fault:
        sys.exit(str(fault))
    write_logs("workers", configured.common)
    try:
        uvloop.run(serve(configured))
    except FlowForgeError as fault:
        sys.exit(str(fault))

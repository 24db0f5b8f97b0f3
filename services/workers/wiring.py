"""The built-in worker put together: one SDK worker per queue, the script handler, failpoints, signals."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

import uvloop
from flowforge.errors import FlowForgeError
from flowforge.worker import Worker

from infra.embedded.readiness import say_ready
from infra.failpoints import failpoint
from infra.settings import SettingsError
from services.workers import settings
from services.workers.confinement import Confinement
from services.workers.script import ScriptRunner
from services.workers.settings import WorkersSettings
from services.workers.strays import Strays

FAILPOINTS = ("workers.before_report", "workers.after_report")


def workers(configured: WorkersSettings, strays: Strays) -> list[Worker]:
    """One worker per queue, each serving `script`."""
    confinement = Confinement(
        configured.isolation,
        hidden=configured.common.home,
        shared=configured.script_paths,
        search_path=os.environ.get("PATH", os.defpath),
    )
    runner = ScriptRunner(confinement, configured.script_paths, strays, configured.defaults)
    host = socket.gethostname().partition(".")[0]
    served: list[Worker] = []
    for queue in configured.queues:
        worker = Worker(
            queue,
            concurrency=configured.concurrency,
            name=f"builtin-{host}-{os.getpid()}",
            nats_url=configured.common.nats_url,
            namespace=configured.common.namespace,
            memory_mb=configured.memory_mb,
            stop_grace_s=settings.stop_grace_s,
            passed=lambda point: failpoint(f"workers.{point}"),
        )
        worker.job(settings.JOB_TYPE)(runner.run)
        served.append(worker)
    return served


async def serve(configured: WorkersSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    strays = Strays()
    strays.adopt()
    served = workers(configured, strays)

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


async def _tell_when_ready(served: list[Worker]) -> None:
    for worker in served:
        await worker.is_ready.wait()
    say_ready()


def main() -> None:
    try:
        configured = settings.load()
    except SettingsError as fault:
        sys.exit(str(fault))
    logging.basicConfig(
        level=configured.common.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        uvloop.run(serve(configured))
    except FlowForgeError as fault:
        sys.exit(str(fault))

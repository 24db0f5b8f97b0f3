"""Serving job types: the Python side of interface.md, sections 4 and 5.

worker = Worker(queue="default")

@worker.job("extract")
async def extract(job: Job) -> dict: ...

worker.run_forever()          # or: python -m flowforge.worker module:worker
"""

import asyncio
import contextlib
import importlib
import inspect
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flowforge import home
from flowforge.errors import FlowForgeError
from flowforge.performing import Handler, HandlerFunction
from flowforge.room import Offer
from flowforge.serving import Options, Serving
from flowforge.tracing import JobTracer

STOP_GRACE_S = 30.0
JOB_TYPE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
H = TypeVar("H", bound=HandlerFunction)
_log = logging.getLogger("flowforge.worker")


def _nothing(_name: str) -> None:
    return


class Worker:
    """Serves the job types of one queue.

    `concurrency` is how many handlers run at once, over all job types. `slots` (as many, where not given) and `memory_mb`
    (without end) are what those jobs may claim together in their `resources`: one for which there is no room waits, and
    one for which there never is goes to another worker. `nats_url` is found by itself beside a running
    `flowforge up` (FLOWFORGE_NATS_URL, else FLOWFORGE_HOME/endpoints.json). On stop, running jobs get `stop_grace_s`
    seconds; those that do not end are handed back for another worker. `passed` is told at `before_report` and
    `after_report` of each job, for tests of failure.
    """

    def __init__(
        self,
        queue: str = "default",
        *,
        concurrency: int = 100,
        slots: int | None = None,
        memory_mb: int | None = None,
        name: str | None = None,
        nats_url: str | None = None,
        namespace: str | None = None,
        stop_grace_s: float = STOP_GRACE_S,
        passed: Callable[[str], None] = _nothing,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        if slots is not None and slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}: every job takes one")
        if memory_mb is not None and memory_mb < 0:
            raise ValueError(f"memory_mb must be at least 0, not {memory_mb}; leave it away to offer what there is")
        self.queue = queue
        self.name = name or f"{socket.gethostname().partition('.')[0]}-{os.getpid()}"
        self.is_ready = asyncio.Event()
        """Set once the worker takes jobs of every type it serves."""
        self.tracer: JobTracer | None = None
        """Records a span per job, where one is given (see `flowforge.tracing`)."""
        self._offer = Offer(concurrency, concurrency if slots is None else slots, memory_mb)
        self._nats_url = nats_url
        self._namespace = namespace
        self._stop_grace_s = stop_grace_s
        self._passed = passed
        self._handlers: dict[str, Handler] = {}
        self._stop = asyncio.Event()
        self._stuck_threads_count = 0

    def job(self, job_type: str) -> Callable[[H], H]:
        """Serve `job_type` with the function below: `async def`, or `def` (called in a thread).

        It takes a `Job` and returns JSON data: what `json` takes, and dataclasses, msgspec structs, datetimes. An
        exception fails the attempt; `JobError` names the code and whether a retry makes sense.
        """
        if not JOB_TYPE_PATTERN.fullmatch(job_type):
            raise ValueError(f"'{job_type}' is no job type: use letters, digits, `_`, `-` and `.`, at most 63")
        if job_type in self._handlers:
            raise ValueError(f"the job type '{job_type}' has a handler already")

        def serve(function: H) -> H:
            is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
                getattr(function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
            )
            self._handlers[job_type] = Handler(job_type, function, is_async)
            return function

        return serve

    @property
    def job_types(self) -> list[str]:
        return list(self._handlers)

    async def run(self) -> None:
        """Serve until `stop` is called. Raises `Unreachable` when no address is known or NATS turns the worker away."""
        if not self._handlers:
            raise ValueError("the worker serves nothing: add handlers with @worker.job(...)")
        options = Options(
            queue=self.queue,
            offer=self._offer,
            name=self.name,
            nats_url=self._nats_url,
            namespace=home.namespace(self._namespace),
            stop_grace_s=self._stop_grace_s,
            passed=self._passed,
            tracer=self.tracer,
        )
        serving = Serving(options, self._handlers, self.is_ready.set)
        _log.info("worker %s serves %s on queue %s", self.name, ", ".join(self._handlers), self.queue)
        try:
            await serving.serve(self._stop)
        finally:
            self._stuck_threads_count = serving.stuck_threads_count
            self._stop.clear()
            self.is_ready.clear()

    def stop(self) -> None:
        """End in order: take no more jobs, let running ones end, hand back the rest."""
        self._stop.set()

    def run_forever(self) -> None:
        """Serve until SIGTERM or Ctrl-C, on uvloop where it is installed."""
        _run(self._run_until_signal())
        if self._stuck_threads_count:
            _log.warning("%d handlers in threads did not end and are left behind", self._stuck_threads_count)
            logging.shutdown()
            os._exit(0)  # the interpreter would wait for those threads

    async def _run_until_signal(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self.stop)
        await self.run()


def _run(main: Any) -> None:
    try:
        import uvloop  # pyright: ignore[reportMissingImports]  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def load_worker(reference: str) -> Worker:
    """The worker named `module:attribute`. Raises `FlowForgeError` that says what is wrong with the name."""
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise FlowForgeError(f"'{reference}' is not MODULE:WORKER, such as `jobs:worker`")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as fault:
        if fault.name is None or not module_name.startswith(fault.name):
            raise
        raise FlowForgeError(f"there is no module '{module_name}' here or on PYTHONPATH") from fault
    worker = getattr(module, attribute, None)
    if not isinstance(worker, Worker):
        raise FlowForgeError(f"'{attribute}' of module '{module_name}' is no Worker")
    return worker


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m flowforge.worker MODULE:WORKER`; the exit status is 0 only after an orderly end."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        sys.stderr.write("usage: python -m flowforge.worker MODULE:WORKER\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        load_worker(given[0]).run_forever()
    except FlowForgeError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    # the module that is loaded imports `flowforge.worker`, not this `__main__`: its Worker is the one to compare with
    from flowforge.worker import main as _main

    sys.exit(_main())

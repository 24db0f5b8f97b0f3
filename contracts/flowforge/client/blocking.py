"""The client for scripts and notebooks: each call waits for its answer.

The work is done by the asynchronous client, on an event loop in a thread of its own, so that it is at home inside a
running loop too, as notebooks have one. A test holds the two against each other: what is new there is one line here.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from flowforge.asking import ANSWER_TIMEOUT_S, PATIENCE_S
from flowforge.client.connection import Connection
from flowforge.client.library import Library
from flowforge.client.operating import Operating
from flowforge.client.people import People
from flowforge.client.runs import Runs
from flowforge.client.subscriptions import Subscriptions
from flowforge.client.system import System
from flowforge.client.triggers import Triggers
from flowforge.client.workflows import Workflows

if TYPE_CHECKING:
    from flowforge.client import Client

CANCEL_WAIT_S = 2.0
"""How long a call that was interrupted may take to end."""
THREAD_NAME = "flowforge-client"
P = ParamSpec("P")
R = TypeVar("R")


class _LoopThread:
    """An event loop in a daemon thread; it begins with the first call and ends with `stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def result(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """What it answers or raises. Ctrl-C, here, cancels it there, and waits until it has ended."""
        ended = threading.Event()

        async def until_ended() -> R:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(until_ended(), self._running())
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(CANCEL_WAIT_S)
            raise

    def stop(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CANCEL_WAIT_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name=THREAD_NAME, daemon=True)
                self._thread.start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


class Waited(Generic[P, R]):
    """A method of the asynchronous client, whose caller waits for the answer; parameters and answer stay typed."""

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, client: None, owner: type["SyncClient"]) -> Self: ...

    @overload
    def __get__(self, client: "SyncClient", owner: type["SyncClient"]) -> Callable[P, R]: ...

    def __get__(self, client: "SyncClient | None", owner: type["SyncClient"]) -> "Self | Callable[P, R]":
        if client is None:
            return self

        @functools.wraps(self._method)
        def wait(*args: P.args, **kwargs: P.kwargs) -> R:
            return client.thread.result(self._method(client.client, *args, **kwargs))

        return wait


class Told(Generic[P, R]):
    """A method that tells one thing after another: an ordinary iterator, which ends what it began when it is closed."""

    def __init__(self, method: Callable[Concatenate[Any, P], AsyncGenerator[R]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, client: None, owner: type["SyncClient"]) -> Self: ...

    @overload
    def __get__(self, client: "SyncClient", owner: type["SyncClient"]) -> Callable[P, Iterator[R]]: ...

    def __get__(self, client: "SyncClient | None", owner: type["SyncClient"]) -> "Self | Callable[P, Iterator[R]]":
        if client is None:
            return self

        @functools.wraps(self._method)
        def tell(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
            return _told(client.thread, self._method(client.client, *args, **kwargs))

        return tell


def _told(thread: _LoopThread, source: AsyncGenerator[R]) -> Generator[R]:
    async def following() -> tuple[R] | None:
        async for item in source:
            return (item,)
        return None

    try:
        while (found := thread.result(following())) is not None:
            yield found[0]
    finally:
        thread.result(_close(source))


async def _close(source: AsyncGenerator[Any]) -> None:
    await source.aclose()


class SyncClient:
    """`Client` for programs without `async`: the same methods, arguments, answers and errors.

    with SyncClient() as client:
        run = client.wait(client.execute("daily-report"))
        for event in client.events(run["run_id"]):
            print(event["type"])
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        nats_url: str | None = None,
        home: str | Path | None = None,
        *,
        namespace: str | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        from flowforge.client import Client  # noqa: PLC0415  which names this class as what `with Client()` gives

        self.client: Client = Client(
            url, key, nats_url, home, namespace=namespace, timeout_s=timeout_s, patience_s=patience_s
        )
        """The asynchronous client that does the work."""
        self.thread = _LoopThread()

    @classmethod
    def around(cls, client: "Client") -> Self:
        """The same client, for programs without `async`."""
        made = cls.__new__(cls)
        made.client, made.thread = client, _LoopThread()
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened; the client may be used again afterwards."""
        self.thread.result(self.client.close())
        self.thread.stop()

    @property
    def position(self) -> int:
        """Of the last write that was answered, or event that was seen; reads show at least this."""
        return self.client.position

    def each(self, page: Callable[P, dict[str, Any]], *args: P.args, **filters: P.kwargs) -> Iterator[dict[str, Any]]:
        """Every item of a list that answers in pages: `for run in client.each(client.runs, status="failed")`."""
        while True:
            answer = page(*args, **filters)
            yield from answer["items"]
            if answer.get("next_cursor") is None:
                return
            filters["cursor"] = answer["next_cursor"]

    publish = Waited(Connection.publish)

    create_workflow = Waited(Workflows.create_workflow)
    save_workflow = Waited(Workflows.save_workflow)
    get_workflow = Waited(Workflows.get_workflow)
    list_workflows = Waited(Workflows.list_workflows)
    archive_workflow = Waited(Workflows.archive_workflow)
    validate = Waited(Workflows.validate)
    workflow_versions = Waited(Workflows.workflow_versions)
    workflow_diff = Waited(Workflows.workflow_diff)
    roll_back = Waited(Workflows.roll_back)
    graph = Waited(Workflows.graph)
    active = Waited(Workflows.active)
    workflow_activity = Waited(Workflows.workflow_activity)
    workflow_stats = Waited(Workflows.workflow_stats)

    execute = Waited(Runs.execute)
    run = Waited(Runs.run)
    state = Waited(Runs.state)
    run_diff = Waited(Runs.run_diff)
    runs = Waited(Runs.runs)
    events = Told(Runs.events)
    jobs = Waited(Runs.jobs)
    logs = Waited(Runs.logs)
    metrics = Waited(Runs.metrics)
    causes = Waited(Runs.causes)
    effects = Waited(Runs.effects)
    timeline = Waited(Runs.timeline)
    follow = Told(Runs.follow)
    follow_all = Told(Runs.follow_all)
    wait = Waited(Runs.wait)

    cancel = Waited(Operating.cancel)
    pause = Waited(Operating.pause)
    resume = Waited(Operating.resume)
    step = Waited(Operating.step)
    retry = Waited(Operating.retry)
    fork = Waited(Operating.fork)
    change_run = Waited(Operating.change_run)
    bulk = Waited(Operating.bulk)
    node = Waited(Operating.node)
    complete_node = Waited(Operating.complete_node)
    fail_node = Waited(Operating.fail_node)
    skip_node = Waited(Operating.skip_node)
    approvals = Waited(Operating.approvals)
    approval = Waited(Operating.approval)
    decide = Waited(Operating.decide)
    dead_letters = Waited(Operating.dead_letters)
    retry_dead_letter = Waited(Operating.retry_dead_letter)

    subscribe = Waited(Subscriptions.subscribe)
    subscriptions = Waited(Subscriptions.subscriptions)
    subscription = Waited(Subscriptions.subscription)
    deliveries = Waited(Subscriptions.deliveries)
    change_subscription = Waited(Subscriptions.change_subscription)
    pause_subscription = Waited(Subscriptions.pause_subscription)
    resume_subscription = Waited(Subscriptions.resume_subscription)
    replay_subscription = Waited(Subscriptions.replay_subscription)
    test_subscription = Waited(Subscriptions.test_subscription)
    delete_subscription = Waited(Subscriptions.delete_subscription)

    triggers = Waited(Triggers.triggers)
    add_trigger = Waited(Triggers.add_trigger)
    change_trigger = Waited(Triggers.change_trigger)
    remove_trigger = Waited(Triggers.remove_trigger)
    change_triggers = Waited(Triggers.change_triggers)
    fire = Waited(Triggers.fire)
    backfill = Waited(Triggers.backfill)
    decisions = Waited(Triggers.decisions)
    trigger_stats = Waited(Triggers.trigger_stats)
    upcoming = Waited(Triggers.upcoming)
    due = Waited(Triggers.due)
    all_triggers = Waited(Triggers.all_triggers)
    trigger_blueprints = Waited(Triggers.trigger_blueprints)
    set_trigger_configs = Waited(Triggers.set_trigger_configs)
    try_trigger = Waited(Triggers.try_trigger)
    what_if = Waited(Triggers.what_if)

    list_templates = Waited(Library.list_templates)
    get_template = Waited(Library.get_template)
    save_template = Waited(Library.save_template)
    update_template = Waited(Library.update_template)
    delete_template = Waited(Library.delete_template)
    instantiate = Waited(Library.instantiate)
    list_prompts = Waited(Library.list_prompts)
    get_prompt = Waited(Library.get_prompt)
    prompt_versions = Waited(Library.prompt_versions)
    save_prompt = Waited(Library.save_prompt)
    delete_prompt = Waited(Library.delete_prompt)
    secrets = Waited(Library.secrets)
    set_secret = Waited(Library.set_secret)
    delete_secret = Waited(Library.delete_secret)

    session = Waited(People.session)
    users = Waited(People.users)
    user = Waited(People.user)
    add_user = Waited(People.add_user)
    change_user = Waited(People.change_user)
    remove_user = Waited(People.remove_user)
    keys = Waited(People.keys)
    create_key = Waited(People.create_key)
    revoke_key = Waited(People.revoke_key)
    login_link = Waited(People.login_link)

    health = Waited(System.health)
    stats = Waited(System.stats)
    system = Waited(System.system)
    audit = Waited(System.audit)
    received_events = Waited(System.received_events)
    received_event = Waited(System.received_event)
    event_decisions = Waited(System.event_decisions)
    breakers = Waited(System.breakers)
    archives = Waited(System.archives)
    retention = Waited(System.retention)
    blob = Waited(System.blob)

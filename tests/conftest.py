"""Real servers for every test: one Postgres and one nats-server per test process, a database and a namespace per test.

They are started when first asked for, live in a folder of their own, and die with the test process. Only here, in
contrast to `flowforge up`, Postgres runs with fsync off: tests kill processes, never the machine.
"""

import asyncio
import contextlib
import gc
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from infra.embedded import nats as embedded_nats
from infra.embedded import postgres as embedded_postgres
from infra.embedded.account import make_traversable, unprivileged
from infra.embedded.cluster import Cluster
from infra.embedded.ports import free_port
from infra.embedded.process import children_of, send, spawn
from infra.eventlog.migrate import migrate
from tests.alone import machine_held

EXAMPLES_DATA = Path(__file__).parent.parent / "contracts" / "examples" / "data"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10
MEMORY = Path("/dev/shm")
HOMES = "flowforge-test-"
IN_MEMORY_FREE_BYTES_MIN = 12 * 1024**3
"""A test process takes up to 2 GiB there, and as much for its servers."""
SERVICE_LOGIN = "flowforge_service"
READER_LOGIN = "flowforge_reader"
# A shell starts what it puts in the background with Ctrl-C ignored, and so would be all that tests press Ctrl-C on.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How fast examples are made says something about the machine, and nothing about the code.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
MINIMAL_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Server(msgspec.Struct, frozen=True):
    """A running server of the test process; `url` has the login that may do everything."""

    port: int
    password: str
    url: str
    process: subprocess.Popen[bytes]
    folder: Path


def _in_memory() -> Path | None:
    """Where files are made fastest, if there is plenty of room: every test has a database of its own, of 500 files, and two
    processes that make them stand in each other's way on a disk. What a test process that was killed left there goes."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    for left in MEMORY.glob(f"{HOMES}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(HOMES).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    free = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
    return MEMORY if free >= IN_MEMORY_FREE_BYTES_MIN else None


@contextlib.contextmanager
def _folder(place: Path | None) -> Generator[Path]:
    """Outside pytest's own, since another account must pass through it."""
    home = Path(tempfile.mkdtemp(prefix=f"{HOMES}{os.getpid()}-", dir=place))
    make_traversable(home / "any")
    yield home
    # Removing databases just written takes seconds on some disks; nobody need wait for it.
    subprocess.Popen(["rm", "-rf", "--", str(home)], start_new_session=True).returncode = 0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Each test of several processes holds the machine, with others or alone."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    shared_folder = Path(str(item.config.getoption("basetemp"))).parent
    with machine_held(shared_folder, is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: the collector of garbage does not go through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """For whole installations: on a disk, as they are."""
    with _folder(None) as home:
        yield home


@pytest.fixture(scope="session")
def quick_home() -> Iterator[Path]:
    """For the servers that tests share."""
    with _folder(_in_memory()) as home:
        yield home


@pytest.fixture(scope="session")
def postgres_server(quick_home: Path) -> Iterator[Server]:
    """A real embedded Postgres of this test process, its owner's login in `url`, database `postgres`."""
    password, port, log = secrets.token_hex(16), free_port(), quick_home / "postgres.log"
    cluster = embedded_postgres.PostgresFolder(quick_home / "postgres", unprivileged())
    cluster.make_ready_for_account()
    password_file = cluster.write_password_file(password)
    initdb = cluster.initdb_command(password_file)
    process = spawn(initdb, env=MINIMAL_ENVIRONMENT, log=log, account=cluster.account, cwd=cluster.folder)
    assert process.wait(START_TIMEOUT_S) == 0, log.read_text()
    password_file.unlink()
    process = spawn(
        cluster.server_command(port, {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
        env=MINIMAL_ENVIRONMENT,
        log=log,
        account=cluster.account,
        death_signal=embedded_postgres.DEATH_SIGNAL,
        cwd=cluster.folder,
    )
    _wait_for(lambda: cluster.is_ready(process.pid), process, log)
    url = embedded_postgres.login_url(port, embedded_postgres.OWNER, password, "postgres")
    yield Server(port, password, url, process, cluster.folder)
    process.send_signal(signal.SIGQUIT)
    _reap(process)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """The name of a database that holds everything the migrations make, to be copied."""
    return asyncio.run(_make_template(postgres_server))


async def _make_template(server: Server) -> str:
    name = "template_flowforge"
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"create database {name}")
    await connection.close()
    owner_dsn = server.url.rpartition("/")[0] + f"/{name}"
    await migrate(owner_dsn, service_password=server.password, reader_password=server.password, namespace="flowforge")
    return name


@pytest.fixture
async def postgres_dsn(postgres_server: Server, postgres_template: str) -> AsyncIterator[str]:
    """The owner's URL of a fresh, migrated database; `flowforge_service` and `flowforge_reader` have its password."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_server.url)
    try:
        await connection.execute(f"create database {name} template {postgres_template} strategy file_copy")
        yield postgres_server.url.rpartition("/")[0] + f"/{name}"
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


@pytest.fixture
def service_dsn(postgres_dsn: str) -> str:
    """The same database as `postgres_dsn`, with the login that services have."""
    return postgres_dsn.replace(f"//{embedded_postgres.OWNER}:", f"//{SERVICE_LOGIN}:")


@pytest.fixture
def reader_dsn(postgres_dsn: str) -> str:
    """The same database as `postgres_dsn`, with the login of a reader."""
    return postgres_dsn.replace(f"//{embedded_postgres.OWNER}:", f"//{READER_LOGIN}:")


StartNats = Callable[[Path], contextlib.AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def start_nats() -> StartNats:
    """Starts another nats-server in a folder, for tests that need one to themselves."""
    return _running_nats


@contextlib.contextmanager
def _running_nats(home: Path) -> Generator[Server]:
    password, port, log = secrets.token_hex(16), free_port(), home / "nats.log"
    folder = embedded_nats.NatsFolder(home / "nats")
    folder.write_config(port, dict.fromkeys(embedded_nats.USERS, password), "flowforge")
    process = spawn(folder.server_command(), env=MINIMAL_ENVIRONMENT, log=log, cwd=folder.folder)
    _wait_for(lambda: embedded_nats.is_ready(port), process, log)
    url = embedded_nats.login_url(port, embedded_nats.SUPERVISOR, password)
    yield Server(port, password, url, process, folder.folder)
    process.kill()
    _reap(process)


@pytest.fixture(scope="session")
def nats_server(quick_home: Path) -> Iterator[Server]:
    """A real nats-server of this test process; `url` has the supervisor's login."""
    with _running_nats(quick_home) as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: Server) -> str:
    return nats_server.url


@pytest.fixture
def namespace() -> str:
    """A namespace no other test uses, so that tests share the nats-server and nothing on it."""
    return f"t{secrets.token_hex(6)}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The whole system of this test process, every service as its own process; started when first asked for.

    Its webhook nodes may call servers of the tests, which are on this machine; its scripts may use the folders of
    tests, and the data of the examples.
    """
    shared = (tmp_path_factory.getbasetemp(), EXAMPLES_DATA)
    env = {
        "FLOWFORGE_WEBHOOK_ALLOW": "127.0.0.0/8",
        "FLOWFORGE_SCRIPT_PATHS": os.pathsep.join(map(str, shared)),
        "FLOWFORGE_SUBSCRIPTION_WAITS_S": "0.2,0.3,0.4",
    }
    async with Cluster(server_home / "cluster", env=env) as whole:
        yield whole


def _wait_for(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        assert process.poll() is None, f"it ended while it started:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready after {START_TIMEOUT_S} s:\n{log.read_text()}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        for pid in (*children_of(process.pid), process.pid):
            send(pid, signal.SIGKILL)
        process.wait()

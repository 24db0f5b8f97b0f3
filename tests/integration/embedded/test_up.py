"""`up` on real processes: small services instead of FlowForge's own, everything else as it is."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats
import pytest

from infra.embedded import postgres
from infra.embedded.account import unprivileged
from infra.embedded.cluster import Cluster, ClusterError
from infra.embedded.nats import NatsFolder, is_ready
from infra.embedded.ports import free_port
from infra.embedded.process import children_of, is_alive, parent_of
from infra.embedded.services import Service
from infra.embedded.stale import SUPERVISED

READY = "from infra.embedded.readiness import say_ready\nimport os, signal, sys, time\nsay_ready()\n"
LIVES = READY + "signal.pause()"
IGNORES_SIGTERM = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
DIES = READY + "sys.exit(3)"
HAS_A_CHILD = "import subprocess, sys\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n" + LIVES
TELLS_ENVIRONMENT = "import json, os\nprint(json.dumps(dict(os.environ)), flush=True)\n" + LIVES
WAIT_S = 10.0


def service(name: str, source: str = LIVES, *, has_database: bool = True) -> Service:
    return Service(name, (sys.executable, "-c", source), has_database)


async def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        await asyncio.sleep(0.01)


def marked(home: Path) -> list[int]:
    """Every living process that carries the mark of `home`, as a stranger would find them."""
    mark = f"{SUPERVISED}={home}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() and is_alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
async def cluster(server_home: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    one = Cluster(server_home / tmp_path.name, services=[service("one"), service("two")])
    async with one:
        yield one


async def test_everything_is_up_and_says_where(cluster: Cluster) -> None:
    assert sorted(cluster.names()) == ["nats", "one", "postgres", "two"]
    home = cluster.home
    assert home.endpoints_file.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(home.endpoints_file.read_text())) == {"http", "nats", "database", "event_log", "worker_nats"}
    assert cluster.admin_key.startswith("ffk_")
    assert home.admin_key_file.stat().st_mode & 0o777 == 0o600
    for url in (cluster.endpoints.nats, cluster.endpoints.worker_nats):
        await (await nats.connect(url)).close()
    assert "FlowForge is up" in cluster.said()
    assert "external:" not in cluster.said(), "no password on the terminal"


async def test_a_reader_of_the_log_may_read_it_and_no_more(cluster: Cluster) -> None:
    endpoints = cluster.endpoints
    connection = await asyncpg.connect(endpoints.database)
    try:
        assert await connection.fetchval(f"select count(*) from {endpoints.event_log}") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"delete from {endpoints.event_log}")
    finally:
        await connection.close()


async def test_commits_are_durable(cluster: Cluster) -> None:
    connection = await asyncpg.connect(cluster.endpoints.database)
    try:
        shown = {name: await connection.fetchval(f"show {name}") for name in ("fsync", "synchronous_commit")}
        shown |= {name: await connection.fetchval(f"show {name}") for name in ("full_page_writes", "data_checksums")}
        assert set(shown.values()) == {"on"}, shown
    finally:
        await connection.close()
    assert "sync_interval: always" in (cluster.home.nats / "nats.conf").read_text()


@pytest.mark.alone
async def test_a_service_that_dies_is_back_within_a_second(cluster: Cluster) -> None:
    began_at = time.monotonic()
    killed = cluster.kill("one")
    await cluster.wait_ready("one", after=killed)
    assert time.monotonic() - began_at < 1
    assert cluster.starts("one") == 2
    assert cluster.starts("two") == 1
    await until(lambda: "one is back" in cluster.said(), "the return is told")
    assert "one died (SIGKILL)" in cluster.said()


@pytest.mark.parametrize("name", ["postgres", "nats"])
async def test_a_server_that_dies_is_back_on_the_same_port(cluster: Cluster, name: str) -> None:
    before = cluster.endpoints
    await cluster.restart(name)
    assert cluster.endpoints == before
    await (await asyncpg.connect(before.database)).close()
    await (await nats.connect(before.nats)).close()


async def test_a_nats_that_lost_its_folder_has_its_streams_again(cluster: Cluster) -> None:
    pid = cluster.pid("nats")
    shutil.rmtree(cluster.home.nats)
    cluster.kill("nats")
    await cluster.wait_ready("nats", after=pid)
    connection = await nats.connect(cluster.endpoints.nats)
    assert (await connection.jetstream().publish("flowforge.inbox.x", b"{}")).stream == "INBOX"
    await connection.close()


async def test_one_backend_killed_does_not_stop_the_database(cluster: Cluster) -> None:
    postmaster = cluster.pid("postgres")
    victim = await asyncpg.connect(cluster.endpoints.database)
    os.kill(await victim.fetchval("select pg_backend_pid()"), signal.SIGKILL)
    with pytest.raises((asyncpg.PostgresConnectionError, OSError, asyncpg.InterfaceError)):
        await victim.fetchval("select 1")
    await cluster.wait_ready("postgres")

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(cluster.endpoints.database)
        except (asyncpg.PostgresError, OSError):
            return False
        await connection.close()
        return True

    deadline = time.monotonic() + WAIT_S
    while not await answers():
        assert time.monotonic() < deadline
    assert cluster.pid("postgres") == postmaster


async def test_what_cannot_be_started_is_told_and_tried_again(server_home: Path) -> None:
    program = server_home / "later"
    cluster = Cluster(server_home / "absent", services=[Service("late", (str(program),))])
    starting = asyncio.create_task(cluster.start())
    try:
        await until(lambda: "late could not start" in cluster.said(), "it is told")
        source = f"#!{sys.executable}\nimport sys; sys.path[:0] = {sys.path!r}\n{LIVES}"
        program.touch(0o755)
        program.write_text(source)
        await starting
    finally:
        await cluster.stop()


async def test_a_home_may_have_any_name(server_home: Path) -> None:
    async with Cluster(server_home / 'a "home" of $mine, größer', services=[service("one")]) as cluster:
        assert (cluster.home.nats / "store" / "jetstream").is_dir()


async def test_what_dies_again_and_again_is_started_for_ever_at_most_two_seconds_apart(server_home: Path) -> None:
    async with Cluster(server_home / "dies", services=[service("dies", DIES), service("lives")]) as cluster:
        began_at = time.monotonic()
        await until(lambda: cluster.starts("dies") >= 5, "five starts")
        assert time.monotonic() - began_at < 5
        lives = cluster.pid("lives")
        await until(lambda: cluster.starts("dies") >= 7, "two more")
        assert cluster.pid("lives") == lives
        assert "dies died (exit status 3)" in cluster.said()


async def test_stopping_ends_everything_within_ten_seconds_even_what_does_not_want_to(server_home: Path) -> None:
    home = server_home / "stops"
    services = [service("polite"), service("stubborn", IGNORES_SIGTERM), service("parent", HAS_A_CHILD)]
    async with Cluster(home, services=services) as cluster:
        assert len(marked(home)) >= 6
        began_at = time.monotonic()
        assert await cluster.stop() == 0
    assert time.monotonic() - began_at < 10
    assert marked(home) == []
    assert not cluster.home.endpoints_file.exists()


async def test_the_children_of_a_service_that_was_killed_go_with_it(server_home: Path) -> None:
    async with Cluster(server_home / "orphans", services=[service("parent", HAS_A_CHILD)]) as cluster:
        [child] = children_of(cluster.pid("parent"))
        await cluster.restart("parent")
        assert not is_alive(child)


@pytest.mark.alone
async def test_a_killed_supervisor_leaves_nothing_and_the_next_start_works(server_home: Path) -> None:
    home = server_home / "killed"
    cluster = Cluster(home, services=[service("one"), service("two")])
    async with cluster:
        before = [cluster.pid(name) for name in cluster.names()]
        backends = children_of(cluster.pid("postgres"))
        await cluster.kill_supervisor()
        await until(lambda: not any(map(is_alive, [*before, *backends])), "every child is gone")
        began_at = time.monotonic()
        await cluster.start()
        assert time.monotonic() - began_at < 5
        assert not set(before) & {cluster.pid(name) for name in cluster.names()}


def left_behind(home: Path, command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """A process that carries the mark of `home`, and nobody looks after."""
    environment = {SUPERVISED: str(home), "PATH": os.environ["PATH"]}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, **options)


async def test_stale_processes_of_an_earlier_crash_are_ended(server_home: Path) -> None:
    """A service's child that outlived everything, and a whole Postgres on the same folder."""
    home, account = server_home / "stale", unprivileged()
    cluster = Cluster(home, services=[service("one")])
    await cluster.start()
    await cluster.stop()
    folder = postgres.PostgresFolder(home / "postgres", account)
    another = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    server = left_behind(server_home, folder.server_command(free_port()), cwd=folder.folder, **another)
    left, elsewhere = left_behind(home, ["sleep", "1000"]), left_behind(server_home, ["sleep", "1000"])
    try:
        await until(lambda: folder.is_ready(server.pid), "the stale Postgres runs")
        async with cluster:
            assert left.wait(1) == -signal.SIGKILL
            assert server.wait(1) is not None
            assert "that an earlier start had left" in cluster.said()
            assert elsewhere.poll() is None
    finally:
        for process in (left, elsewhere, server):
            process.kill()
            process.wait()


async def test_a_second_up_is_refused_with_the_process_that_runs(cluster: Cluster) -> None:
    second = Cluster(cluster.home.folder, services=[])
    with pytest.raises(ClusterError, match=rf"already up in .* \(process {cluster.supervisor_pid}\)"):
        await second.start()
    await cluster.wait_ready()
    assert cluster.home.endpoints_file.exists()


@pytest.mark.parametrize("setting", ["FLOWFORGE_HTTP_PORT", "FLOWFORGE_NATS_PORT"])
async def test_a_port_that_is_taken_is_told_with_its_setting(server_home: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"Port {port} on 127\.0\.0\.1 is taken.*{setting}"):
            await Cluster(server_home / setting, services=[], env={setting: str(port)}).start()


async def test_a_draft_of_a_database_that_was_never_finished_is_made_anew(server_home: Path) -> None:
    home = server_home / "draft"
    (home / "postgres.new" / "base").mkdir(parents=True)
    async with Cluster(home, services=[]) as cluster:
        assert not (home / "postgres.new").exists()
        await (await asyncpg.connect(cluster.endpoints.database)).close()


async def test_servers_named_by_settings_are_used_and_none_is_started(
    server_home: Path, postgres_dsn: str, nats_url: str, namespace: str
) -> None:
    env = {"FLOWFORGE_DATABASE_URL": postgres_dsn, "FLOWFORGE_NATS_URL": nats_url, "FLOWFORGE_NAMESPACE": namespace}
    async with Cluster(server_home / "external", services=[service("one")], env=env) as cluster:
        assert cluster.names() == ["one"]
        assert not cluster.home.postgres.exists()
        assert not cluster.home.nats.exists()
        assert cluster.endpoints.nats == nats_url


@pytest.mark.parametrize(
    ("setting", "url"),
    [("FLOWFORGE_NATS_URL", "nats://127.0.0.1:1"), ("FLOWFORGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")],
)
async def test_a_server_that_does_not_answer_is_told_with_its_setting(
    server_home: Path, setting: str, url: str
) -> None:
    home = server_home / f"silent-{setting}"
    with pytest.raises(ClusterError, match=rf"of {setting} cannot be used: .*Connect call failed"):
        await Cluster(home, services=[], env={setting: url}).start()
    assert marked(home) == []


async def test_a_nats_that_keeps_no_streams_is_told_with_what_it_lacks(server_home: Path) -> None:
    folder, port = server_home / "without-jetstream", free_port()
    folder.mkdir()
    program = NatsFolder(folder).server_command()[0]
    process = subprocess.Popen([program, "--addr", "127.0.0.1", "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        await until(lambda: is_ready(port), "it listens")
        url = f"nats://127.0.0.1:{port}"
        with pytest.raises(ClusterError, match=r"FLOWFORGE_NATS_URL holds no streams[\s\S]*JetStream must be enabled"):
            await Cluster(folder / "home", services=[], env={"FLOWFORGE_NATS_URL": url}).start()
    finally:
        process.kill()
        process.wait()


async def test_every_service_gets_its_own_login_and_workers_no_database(server_home: Path) -> None:
    services = [
        service("execution", TELLS_ENVIRONMENT),
        service("workers", TELLS_ENVIRONMENT, has_database=False),
    ]
    async with Cluster(server_home / "logins", services=services, env={"FLOWFORGE_FAILPOINTS": "x=die"}) as cluster:
        told = {each.name: json.loads(cluster.home.log(each.name).read_text()) for each in services}
    for name, environment in told.items():
        assert environment["FLOWFORGE_NATS_URL"].startswith(f"nats://{name}:")
        assert environment["FLOWFORGE_NATS_INBOX_PREFIX"] == f"_INBOX_{name}"
        assert environment["FLOWFORGE_SUPERVISED"] == environment["FLOWFORGE_HOME"] == str(cluster.home.folder)
        assert environment["FLOWFORGE_FAILPOINTS"] == "x=die"
        assert int(environment["FLOWFORGE_HTTP_PORT"]) > 0
    assert told["execution"]["FLOWFORGE_DATABASE_URL"].startswith("postgresql://flowforge_service:")
    assert "FLOWFORGE_DATABASE_URL" not in told["workers"]


async def test_one_line_of_json_is_the_whole_output_for_a_program(server_home: Path) -> None:
    file = server_home / "none.json"
    file.write_bytes(msgspec.json.encode([]))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.embedded.supervisor", "--json", "--services", str(file)),
        env={
            **os.environ,
            "FLOWFORGE_HOME": str(server_home / "json"),
            "FLOWFORGE_HTTP_PORT": "0",
            "FLOWFORGE_NATS_PORT": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    facts = json.loads(await process.stdout.readline())
    assert facts["home"] == str(server_home / "json")
    assert facts["http"].startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    rest, told = await process.communicate()
    assert (rest, process.returncode) == (b"", 0)
    assert b"stopped" in told


def status_of(pid: int, field: str) -> list[str]:
    """What /proc says of a process in the lines named like `field`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [word for line in lines if field in line.partition(":")[0] for word in line.split()[1:]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand Postgres to another account")
async def test_as_root_postgres_runs_as_somebody_else(cluster: Cluster) -> None:
    uids = status_of(cluster.pid("postgres"), "Uid")
    assert "0" not in uids
    assert parent_of(cluster.pid("postgres")) == cluster.supervisor_pid


async def test_the_supervisor_does_nothing_while_nothing_happens(cluster: Cluster) -> None:
    def switches() -> int:
        return sum(int(count) for count in status_of(cluster.supervisor_pid, "ctxt_switches"))

    await until(lambda: cluster.names() != [], "it is up")
    before = switches()
    await asyncio.sleep(1)  # what does not happen has no condition to wait for
    assert switches() - before < 5

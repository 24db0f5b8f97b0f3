"""The servers under the services: killed, emptied, cut off, and `up` itself killed; nothing answered is lost."""

import asyncio
import random
import signal

import asyncpg
import pytest

from infra.embedded.process import children_of, send
from tests.faults.system import SUBJECTS, System
from tests.faults.workload import Load

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

ROUNDS = 4
KILLS_COUNT = 6
LOST_JOBS_WITHIN_S = 30.0
"""A job lost with NATS is handed out again after a lease and some seconds."""


async def _half_way(system: System, load: Load) -> None:
    await system.until(lambda: len(load.sent.accepted) >= 8, 30, "the load is under way")


async def _under_load(system: System, load: Load) -> asyncio.Task[None]:
    await load.begin()
    sending = asyncio.create_task(load.send(ROUNDS))
    await _half_way(system, load)
    return sending


async def test_nats_killed_under_load(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    for _ in range(2):
        await system.cluster.restart("nats")
    await sending
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def test_nats_killed_and_its_folder_deleted(system: System):
    """Its streams are declared anew and its jobs handed out again; what was only acknowledged by it, and is not in the
    log, is gone with it: the senders of this case are told so by sending again."""
    load = Load(system)
    sending = await _under_load(system, load)
    await sending
    await system.until(load.is_received, 30, "what was sent is logged")
    await system.kill_nats_and_delete_its_store()
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def test_nats_emptied_while_jobs_are_out(system: System):
    load = Load(system)
    await load.begin()
    for _ in range(5):
        await load.publish("faults.long", {"ms": 1500})
    await system.until(lambda: system.has_logged("NodeStarted", 5), 30, "the jobs are running")
    await system.kill_nats_and_delete_its_store()
    await load.send()
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def test_a_job_whose_report_was_lost_with_nats_is_done_again(system: System):
    """The worker knows that it ended the job, the queue that it was acknowledged; the log knows nothing of either."""
    load = Load(system)
    await load.begin()
    await load.publish("faults.long", {"ms": 800})
    await system.until(lambda: system.has_logged("NodeStarted"), 20, "the job runs")
    execution = system.cluster.kill("execution", signal.SIGSTOP)
    await system.until(lambda: _is_empty(system, SUBJECTS.jobs_stream), 20, "the worker has ended the job")
    assert not await _is_empty(system, SUBJECTS.reports_stream)
    await system.kill_nats_and_delete_its_store()
    send(execution, signal.SIGKILL)  # what was sent to it is not read any more
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def _is_empty(system: System, stream: str) -> bool:
    return (await system.nats.jetstream(timeout=2).stream_info(stream)).state.messages == 0


@pytest.mark.parametrize("seed", range(3))
async def test_nats_killed_again_and_again_at_any_moment(system: System, seed: int):
    """Its streams acknowledge before they write: each kill may take back what was told to workers and by them."""
    chance = random.Random(seed)
    load = Load(system)
    sending = await _under_load(system, load)
    for _ in range(KILLS_COUNT):
        await asyncio.sleep(chance.random() * 0.7)  # the moment of the fault
        await system.cluster.restart("nats")
    await sending
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


@pytest.mark.parametrize("seed", range(3))
async def test_anything_killed_at_any_moment(system: System, seed: int):
    """Services, servers and workers, one after the other, while all of them are needed."""
    chance = random.Random(seed)
    load = Load(system)
    sending = await _under_load(system, load)
    for _ in range(KILLS_COUNT):
        await asyncio.sleep(chance.random() * 0.3)  # the moment of the fault
        await system.cluster.restart(chance.choice(system.cluster.names()))
    await sending
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def test_postgres_killed_under_load(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    pid = system.cluster.kill("postgres")
    await system.cluster.wait_ready("postgres", after=pid)
    await sending
    await load.quiet()
    await load.check()


async def test_postgres_shut_down_at_once_under_load(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    pid = system.cluster.kill("postgres", signal.SIGQUIT)
    await system.cluster.wait_ready("postgres", after=pid)
    await sending
    await load.quiet()
    await load.check()


async def test_one_backend_of_postgres_killed_takes_all_sessions_with_it(system: System):
    """Postgres ends every session when one is killed, and recovers."""
    load = Load(system)
    sending = await _under_load(system, load)
    postmaster = system.cluster.pid("postgres")
    connection = await asyncpg.connect(system.owner_dsn)
    victim = await connection.fetchval("select pid from pg_stat_activity where application_name = 'flowforge' limit 1")
    assert victim in children_of(postmaster)
    send(victim, signal.SIGKILL)
    connection.terminate()
    await sending
    await load.quiet()
    await load.check()
    assert system.cluster.pid("postgres") == postmaster


async def test_every_session_is_ended_under_load(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    for _ in range(3):
        connection = await asyncpg.connect(system.owner_dsn)
        ended = await connection.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        assert ended
        await connection.close()
    await sending
    await load.quiet()
    await load.check()


async def test_both_servers_killed_at_once(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    pids = {name: system.cluster.kill(name) for name in ("postgres", "nats")}
    for name, pid in pids.items():
        await system.cluster.wait_ready(name, after=pid)
    await sending
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


async def test_postgres_stopped_for_longer_than_a_turn_waits(system: System):
    """SIGSTOP: connections stay open and nobody answers."""
    load = Load(system)
    sending = await _under_load(system, load)
    backends = [system.cluster.pid("postgres"), *children_of(system.cluster.pid("postgres"))]
    for pid in backends:
        send(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(4)  # the fault itself
    finally:
        for pid in backends:
            send(pid, signal.SIGCONT)
    await sending
    await load.quiet()
    await load.check()


async def test_up_killed_and_started_again_on_the_same_home(system: System):
    load = Load(system)
    sending = await _under_load(system, load)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    processes = {name: system.cluster.pid(name) for name in system.cluster.names()}
    await system.kill_up_and_start_again()
    assert not {system.cluster.pid(name) for name in system.cluster.names()} & set(processes.values())
    await load.send()
    await load.quiet(LOST_JOBS_WITHIN_S)
    await load.check(is_all_said=False)


@pytest.mark.parametrize(
    ("stream", "durable"),
    [
        (SUBJECTS.inbox_stream, "triggers"),
        (SUBJECTS.reports_stream, "execution"),
        (SUBJECTS.timers_stream, "execution"),
        (SUBJECTS.runs_stream, "scheduler"),
        (SUBJECTS.reports_stream, "projections"),
        (SUBJECTS.jobs_stream, "default--step"),
    ],
)
async def test_a_consumer_deleted_under_its_service_is_made_again(system: System, stream: str, durable: str):
    load = Load(system)
    await load.begin()
    assert await system.nats.jetstream().delete_consumer(stream, durable)
    await load.send()
    await load.quiet()
    await load.check()

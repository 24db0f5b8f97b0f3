"""`flowforge up`: real servers and every service as a process of its own, kept alive until we are told to stop.

The order: lock the home, end what an earlier crash left, start NATS and Postgres side by side, migrate, declare the
streams, start the services, wait until each is ready, say where things are. The end is the same backwards, within
`STOP_TIMEOUT_S`. What dies in between is started again. If we are killed ourselves, the kernel ends our children.

Run it from the main thread of a process of its own: it reaps every child of the process.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Generator, Sequence
from pathlib import Path

import msgspec

from infra.embedded import logs, nats, postgres
from infra.embedded.account import Account, unprivileged
from infra.embedded.addresses import Addresses
from infra.embedded.announce import Announcer, JsonAnnouncer, PersonAnnouncer
from infra.embedded.home import Home, Processes, UpError, write_private
from infra.embedded.keeper import Keeper
from infra.embedded.ports import LOOPBACK, free_port, is_free
from infra.embedded.preparation import (
    admit_administrator,
    check_secrets_key,
    create_database,
    declare_streams,
    link_for_administrator,
    prepare_tables,
)
from infra.embedded.process import exit_words, spawn
from infra.embedded.readiness import READY_FD
from infra.embedded.reaper import Reaper
from infra.embedded.services import Service, default_services
from infra.embedded.stale import StillThereError, end_stale
from infra.http.sessions import LoginLink
from infra.secrets import SecretKey, WrongKey, find_key
from infra.settings import Settings, SettingsError, load_settings

START_TIMEOUT_S = 60.0
SERVICE_GRACE_S = 4.0
NATS_GRACE_S = 1.5
POSTGRES_GRACE_S = 3.0
STOP_TIMEOUT_S = 10.0
LOG_CHECK_INTERVAL_S = 60.0
RETRY_INTERVAL_S = 0.25


async def up(
    settings: Settings,
    *,
    services: Sequence[Service] | None = None,
    announcer: Announcer | None = None,
    as_json: bool = False,
) -> None:
    """Run everything on this machine until SIGINT, SIGTERM or SIGHUP. Raises UpError when it cannot start."""
    announcer = announcer or (JsonAnnouncer() if as_json else PersonAnnouncer())
    home, account = Home(settings.home), None if settings.database_url else unprivileged()
    home.make(account)
    with home.locked():
        supervisor = Supervisor(
            settings, home, account, default_services() if services is None else services, announcer
        )
        await supervisor.run()


class Supervisor:
    """One `up`, from its start to its end."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        account: Account | None,
        services: Sequence[Service],
        announcer: Announcer,
    ) -> None:
        self._settings, self._home, self._services, self._announcer = settings, home, services, announcer
        self._cluster = postgres.PostgresFolder(home.postgres, account)
        self._nats = nats.NatsFolder(home.nats)
        self._reaper = Reaper()
        self._keepers: dict[str, Keeper] = {}
        self._is_up = False
        self._began_at = time.monotonic()

    async def run(self) -> None:
        stop = asyncio.Event()
        with self._reaper.reaping(), _stopped_by_signals(stop):
            running = asyncio.create_task(self._start_all())
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    await running
                    await self._cap_logs_until(stopping)
            finally:
                running.cancel()
                stopping.cancel()
                await asyncio.wait([running, stopping])
                await self._stop_all()

    # --- start

    async def _start_all(self) -> None:
        self._credentials = self._home.credentials()
        try:
            stale = await end_stale(self._home.folder, self._cluster)
        except StillThereError as error:
            raise UpError(str(error)) from None
        if stale:
            self._announcer.found_stale(stale)
        self._addresses = self._take_addresses()
        await _both(self._prepare_database(), self._prepare_bus())
        self._home.admin_key()
        for service in self._services:
            self._add(self._service_keeper(service))
        await self._wait_until_ready()
        await admit_administrator(self._addresses.database("owner"), self._home.admin_key())
        self._tell_where(await self._login_link())

    async def _login_link(self) -> LoginLink | None:
        """For whoever reads what we print; none is needed where authentication is off."""
        if not self._settings.auth_is_on:
            return None
        address = self._settings.public_url or self._addresses.endpoints().http
        return await link_for_administrator(self._addresses.database("owner"), address)

    def _take_addresses(self) -> Addresses:
        settings = self._settings
        http_port = _port(settings.http_port, settings.http_host, "FLOWFORGE_HTTP_PORT")
        nats_port = _port(settings.nats_port, LOOPBACK, "FLOWFORGE_NATS_PORT") if settings.nats_url is None else 0
        ports = {"http_port": http_port, "nats_port": nats_port, "postgres_port": free_port()}
        return Addresses(settings, self._home, self._credentials, **ports)

    async def _prepare_database(self) -> None:
        if self._settings.database_url is None:
            await self._initialise_postgres()
            keeper = self._add(self._postgres_keeper())
            await self._ready_or_dead(keeper)
            await create_database(self._addresses.database("owner", "postgres"), postgres.DATABASE)
        await prepare_tables(self._settings, self._addresses, self._credentials)
        await check_secrets_key(self._addresses.database("owner"), self._secrets_key())

    def _secrets_key(self) -> SecretKey:
        """The key that secrets are sealed with; without one in the settings, that of this home, made at the first start."""
        if self._settings.secrets_key is None:
            self._home.make_secrets_key()
        try:
            return find_key(self._settings)
        except WrongKey as error:
            raise UpError(str(error)) from None

    async def _initialise_postgres(self) -> None:
        """initdb beside the final place, then one rename: a folder that is there is whole."""
        if self._cluster.folder.exists():
            self._cluster.make_ready_for_account()
            return
        draft = postgres.PostgresFolder(self._home.folder / "postgres.new", self._cluster.account)
        draft.remove()
        draft.make_ready_for_account()
        password_file = draft.write_password_file(self._credentials.postgres["owner"])
        try:
            log = self._home.log("initdb")
            logs.rotate(log)
            status = await self._reaper.watch(
                spawn(
                    draft.initdb_command(password_file),
                    env=self._addresses.server_environment(),
                    log=log,
                    account=draft.account,
                    cwd=draft.folder,
                )
            )
        finally:
            password_file.unlink()
        if status != 0:
            raise UpError(f"Postgres could not be prepared ({exit_words(status)}):\n{logs.tail(log)}")
        draft.folder.rename(self._cluster.folder)

    async def _prepare_bus(self) -> None:
        if self._settings.nats_url is None:
            keeper = self._add(self._nats_keeper())
            await self._ready_or_dead(keeper)
        await declare_streams(self._addresses.bus(nats.SUPERVISOR), self._settings.namespace)

    async def _declare_streams_again(self) -> None:
        """After a restart of NATS: its folder may have been emptied. Goes on until it worked."""
        while True:
            try:
                return await declare_streams(self._addresses.bus(nats.SUPERVISOR), self._settings.namespace)
            except Exception as error:  # noqa: BLE001  whatever it is: it is told, and tried again
                self._announcer.could_not_start("streams", error)
                await asyncio.sleep(RETRY_INTERVAL_S)

    async def _wait_until_ready(self) -> None:
        waiting = {asyncio.create_task(keeper.ready.wait()): keeper for keeper in self._keepers.values()}
        _, late = await asyncio.wait(waiting, timeout=START_TIMEOUT_S)
        for task in late:
            task.cancel()
        if late:
            names = sorted(waiting[task].name for task in late)
            log = self._home.log(names[0])
            raise UpError(f"not ready after {START_TIMEOUT_S:.0f} s: {', '.join(names)}\n{log}:\n{logs.tail(log)}")

    async def _ready_or_dead(self, keeper: Keeper) -> None:
        """Wait for a server at our own start, where a death is not something to wait out."""
        ready, died = asyncio.create_task(keeper.ready.wait()), asyncio.create_task(keeper.first_death.wait())
        try:
            await asyncio.wait([ready, died], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not keeper.ready.is_set():
                raise UpError(f"{keeper.name} does not start:\n{logs.tail(self._home.log(keeper.name))}")
        finally:
            ready.cancel()
            died.cancel()

    def _tell_where(self, login: LoginLink | None) -> None:
        endpoints = self._addresses.endpoints()
        write_private(self._home.endpoints_file, msgspec.json.format(msgspec.json.encode(endpoints)) + b"\n")
        self._announcer.is_up(self._home, endpoints, time.monotonic() - self._began_at, login)
        self._is_up = True
        self._write_processes()

    # --- what is kept alive

    def _add(self, keeper: Keeper) -> Keeper:
        logs.rotate(self._home.log(keeper.name))
        self._keepers[keeper.name] = keeper
        keeper.changed = self._write_processes
        keeper.died = lambda status: self._announcer.died(keeper.name, exit_words(status))
        keeper.could_not_start = lambda error: self._announcer.could_not_start(keeper.name, error)
        keeper.came_back = lambda after_s: self._announcer.came_back(keeper.name, after_s)
        keeper.start()
        return keeper

    def _postgres_keeper(self) -> Keeper:
        return Keeper(
            "postgres",
            self._reaper,
            lambda _ready: spawn(
                self._cluster.server_command(self._addresses.postgres_port),
                env=self._addresses.server_environment(),
                log=self._home.log("postgres"),
                account=self._cluster.account,
                death_signal=postgres.DEATH_SIGNAL,
                cwd=self._cluster.folder,
            ),
            probe=self._cluster.is_ready,
            stop_signal=postgres.STOP_SIGNAL,
            stop_grace_s=POSTGRES_GRACE_S,
        )

    def _nats_keeper(self) -> Keeper:
        def launch(_ready: int) -> subprocess.Popen[bytes]:
            self._nats.write_config(self._addresses.nats_port, self._credentials.nats, self._settings.namespace)
            return spawn(
                self._nats.server_command(),
                env=self._addresses.server_environment(),
                log=self._home.log("nats"),
                death_signal=nats.DEATH_SIGNAL,
                cwd=self._nats.folder,
            )

        return Keeper(
            "nats",
            self._reaper,
            launch,
            probe=lambda _pid: nats.is_ready(self._addresses.nats_port),
            when_back=self._declare_streams_again,
            stop_grace_s=NATS_GRACE_S,
        )

    def _service_keeper(self, service: Service) -> Keeper:
        def launch(ready: int) -> subprocess.Popen[bytes]:
            return spawn(
                service.command,
                env={**self._addresses.service_environment(service), READY_FD: str(ready)},
                log=self._home.log(service.name),
                pass_fds=(ready,),
            )

        return Keeper(service.name, self._reaper, launch, stop_grace_s=SERVICE_GRACE_S)

    # --- while it runs, and the end

    def _write_processes(self) -> None:
        states = {name: keeper.state for name, keeper in self._keepers.items()}
        document = msgspec.json.encode(Processes(os.getpid(), self._is_up, states))
        draft = self._home.processes_file.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not end the keeping
            draft.write_bytes(document)
            draft.replace(self._home.processes_file)

    async def _cap_logs_until(self, stopping: asyncio.Task[bool]) -> None:
        while not stopping.done():
            await asyncio.wait([stopping], timeout=LOG_CHECK_INTERVAL_S)
            for name in self._keepers:
                logs.cap(self._home.log(name))

    async def _stop_all(self) -> None:
        began_at = time.monotonic()
        self._announcer.stopping()
        self._is_up = False
        self._home.endpoints_file.unlink(missing_ok=True)
        servers = [self._keepers.pop(name) for name in ("nats", "postgres") if name in self._keepers]
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
        await self._reaper.end_orphans()
        for keeper in servers:
            await keeper.stop()
        await self._reaper.end_all()
        self._home.processes_file.unlink(missing_ok=True)
        self._announcer.stopped(time.monotonic() - began_at)


def _port(wanted: int, host: str, setting: str) -> int:
    if wanted == 0:
        return free_port(host)
    try:
        if is_free(wanted, host):
            return wanted
    except OSError as error:
        raise UpError(f"Nothing can listen on {host}: {error.strerror}. Choose another FLOWFORGE_HTTP_HOST.") from None
    raise UpError(f"Port {wanted} on {host} is taken. Choose another one with {setting} (0 takes a free one).")


async def _both(first: Coroutine[None, None, None], second: Coroutine[None, None, None]) -> None:
    """Side by side; the first error ends the other and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(first)
            group.create_task(second)
    except* UpError as errors:
        raise errors.exceptions[0] from None


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def main() -> int:
    """`python -m infra.embedded.supervisor`: `up` with the services of a file, for tests and tools."""
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.supervisor", description=up.__doc__)
    parser.add_argument("--services", type=Path, help="JSON file: the services to keep instead of FlowForge's own")
    parser.add_argument("--json", action="store_true", help="say where things are in one line of JSON")
    arguments = parser.parse_args()
    services = None
    if arguments.services is not None:
        services = msgspec.json.decode(arguments.services.read_bytes(), type=tuple[Service, ...])
    try:
        asyncio.run(up(load_settings(), services=services, as_json=arguments.json))
    except (UpError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

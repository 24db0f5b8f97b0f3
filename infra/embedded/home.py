"""FLOWFORGE_HOME: what lies where, the lock of the one `up` that may use it, and files that are ours alone."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Generator
from pathlib import Path

import msgspec
from flowforge.people import KEY_PREFIX

from infra.embedded import nats
from infra.embedded.account import Account
from infra.secrets.key import KEY_FILE, new_key_text

SECRET_BYTES = 24
DATABASE_ROLES = ("owner", "service", "reader")
_HOME_MODE = 0o700
_HOME_MODE_SHARED = 0o711  # the account of Postgres passes through


class UpError(RuntimeError):
    """FlowForge cannot start, or not go on, here; the message says why and what to do."""


class Credentials(msgspec.Struct):
    """Passwords, made at the first start: of Postgres by role (owner, service, reader), of NATS by login name."""

    postgres: dict[str, str] = {}
    nats: dict[str, str] = {}


class Endpoints(msgspec.Struct, frozen=True):
    """endpoints.json: where things are, with logins (interface.md, section 7)."""

    http: str
    nats: str
    database: str
    event_log: str
    worker_nats: str


class ProcessState(msgspec.Struct, frozen=True):
    """One kept process: its id while it runs, how often it was started, whether it is ready."""

    pid: int | None
    starts: int
    is_ready: bool


class Processes(msgspec.Struct, frozen=True):
    """processes.json: what the running `up` keeps alive."""

    supervisor: int
    is_up: bool
    processes: dict[str, ProcessState]


class Home:
    """The paths below one FLOWFORGE_HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.postgres = self.folder / "postgres"
        self.nats = self.folder / "nats"
        self.lock_file = self.folder / "up.lock"
        self.credentials_file = self.folder / "credentials.json"
        self.endpoints_file = self.folder / "endpoints.json"
        self.admin_key_file = self.folder / "admin.key"
        self.secrets_key_file = self.folder / KEY_FILE
        self.processes_file = self.folder / "processes.json"

    def make(self, account: Account | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(_HOME_MODE if account is None else _HOME_MODE_SHARED)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Be the only `up` of this home. Raises UpError when another one runs, with its process id."""
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise UpError(
                    f"FlowForge is already up in {self.folder} (process {pid}). "
                    "Stop that one first, or choose another folder with FLOWFORGE_HOME."
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(handle)

    def credentials(self) -> Credentials:
        """The passwords of this home; those that are missing are made now."""
        try:
            known = msgspec.json.decode(self.credentials_file.read_bytes(), type=Credentials)
        except FileNotFoundError:
            if self.postgres.exists():
                raise UpError(f"{self.credentials_file} is missing, but {self.postgres} is not: restore it.") from None
            known = Credentials()
        except msgspec.DecodeError as error:
            raise UpError(f"{self.credentials_file} cannot be read: {error}") from None
        for role in DATABASE_ROLES:
            known.postgres.setdefault(role, secrets.token_hex(SECRET_BYTES))
        for login in nats.USERS:
            known.nats.setdefault(login, secrets.token_hex(SECRET_BYTES))
        write_private(self.credentials_file, msgspec.json.format(msgspec.json.encode(known)))
        return known

    def admin_key(self) -> str:
        """The key of the administrator, made once."""
        with contextlib.suppress(FileNotFoundError):
            if key := self.admin_key_file.read_text().strip():
                return key
        key = KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        write_private(self.admin_key_file, key.encode() + b"\n")
        return key

    def make_secrets_key(self) -> None:
        """The key that secrets are sealed with, made once."""
        if not self.secrets_key_file.exists():
            write_private(self.secrets_key_file, new_key_text().encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only we may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

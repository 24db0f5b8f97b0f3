"""What an installation tells of itself: the files that `flowforge up` writes under FLOWFORGE_HOME, and the environment.

`endpoints.json` holds addresses with logins, `admin.key` the key of its first user; both are readable by their owner
only. What is given explicitly wins over the environment, the environment over the files.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from flowforge.errors import Unreachable
from flowforge.subjects import DEFAULT_NAMESPACE

DEFAULT_HOME = ".flowforge"
DEFAULT_INBOX_PREFIX = "_INBOX"


class Endpoints(msgspec.Struct):
    """`FLOWFORGE_HOME/endpoints.json`; `nats` has the login of an external system, `worker_nats` that of a worker."""

    http: str = ""
    nats: str = ""
    worker_nats: str = ""
    database: str = ""
    event_log: str = ""


def home_folder(home: str | Path | None = None) -> Path:
    """The folder of the installation: given, FLOWFORGE_HOME, or `.flowforge` here."""
    return Path(home or os.environ.get("FLOWFORGE_HOME") or DEFAULT_HOME).expanduser()


def endpoints(home: str | Path | None = None) -> Endpoints:
    """What is written there; all empty when nothing runs there. Raises `Unreachable` for a file that makes no sense."""
    path = home_folder(home) / "endpoints.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Endpoints)
    except OSError:
        return Endpoints()
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Unreachable(f"{path} cannot be read ({fault}): start `flowforge up` anew, it writes the file") from fault


def admin_key(home: str | Path | None = None) -> str | None:
    """The key of the installation's first user, if it is ours to read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (home_folder(home) / "admin.key").read_text().strip() or None
    return None


def worker_nats_url(given: str | None = None) -> str:
    """The NATS login of a worker. Raises `Unreachable` when no address is known."""
    if url := given or os.environ.get("FLOWFORGE_NATS_URL"):
        return url
    known = endpoints()
    if not (url := known.worker_nats or known.nats):
        raise Unreachable(
            f"no address of NATS is known: start `flowforge up` (it writes {home_folder()}/endpoints.json), "
            "set FLOWFORGE_HOME to where it runs, or set FLOWFORGE_NATS_URL"
        )
    return url


def namespace(given: str | None = None) -> str:
    """The namespace of the installation's subjects: given, FLOWFORGE_NAMESPACE, or the default."""
    return given or os.environ.get("FLOWFORGE_NAMESPACE") or DEFAULT_NAMESPACE


def inbox_prefix() -> str:
    """The prefix of the reply subjects that this process may listen on."""
    return os.environ.get("FLOWFORGE_NATS_INBOX_PREFIX") or DEFAULT_INBOX_PREFIX


def without_password(url: str) -> str:
    """An address that may be shown: the login's password left out, and a token, which NATS takes in place of a login."""
    scheme, separator, rest = url.rpartition("://")
    login, at, address = rest.rpartition("@")
    name, colon, _ = login.partition(":")
    is_token = bool(at) and not colon and not scheme.startswith("postgres")
    return f"{scheme}{separator}{'***' if is_token else name}{at}{address}"

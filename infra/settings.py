"""Where FlowForge runs and what it connects to: `FLOWFORGE_*` and `flowforge.toml` as one strict value.

The environment wins over the file; the file is looked for in FLOWFORGE_HOME, then in the working folder. What holds a
secret may be named by `<VARIABLE>_FILE` instead, a file that holds it, as containers are given theirs. A key that nobody
knows or a value that makes no sense is refused with the name under which it was given. What a service limits
for itself stands in its own `settings.py`.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from flowforge.home import without_password
from flowforge.subjects import DEFAULT_NAMESPACE

PREFIX = "FLOWFORGE_"
FILE_NAME = "flowforge.toml"
_POOL = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PORT_MAX = 65_535


class SettingsError(ValueError):
    """A setting was refused; the message names it and says what is expected."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every process of one installation agrees on."""

    home: Path = Path(".flowforge")
    """Absolute once loaded; everything durable of an embedded installation is below it."""
    database_url: str | None = None
    """None: `up` starts a Postgres of its own."""
    nats_url: str | None = None
    """None: `up` starts a nats-server of its own."""
    nats_inbox_prefix: str = "_INBOX"
    """Prefix of the reply subjects this process listens on; `up` gives every service one of its own."""
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    """0: a free one."""
    nats_port: int = 4222
    """Of the embedded nats-server; 0: a free one."""
    namespace: str = DEFAULT_NAMESPACE
    auth: Literal["on", "off"] = "on"
    script_paths: tuple[Path, ...] = ()
    """Folders that scripts may use besides their own."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] | None = None
    """None: for people at a terminal, else one JSON object per line."""
    public_url: str | None = None
    """Under which address other systems reach the HTTP server; None: this machine's."""
    webhook_allow: tuple[str, ...] = ()
    """Targets of `webhook` nodes and of subscriptions beyond the public internet: networks, addresses, names of hosts,
    each with or without a port."""
    webhook_deny: tuple[str, ...] = ()
    """Addresses of FlowForge's own servers, `host:port`, which neither of them reaches."""
    pools: dict[str, int] = {}
    """How many jobs of the nodes that name a pool may be under way at once, in all workflows together."""
    queue_limits: dict[str, int] = {}
    """The same for the jobs of a queue."""
    max_concurrent_jobs: int | None = None
    """The same for all jobs."""
    user_max_concurrent_jobs: int | None = None
    """The same for the jobs of the runs that one user caused."""
    cache_kept_ms: int | None = None
    """For how long an output may be used again under its node's `cache_key`; None: for ever."""
    archive_dir: Path | None = None
    """Where archives of runs are; None: `archives` in `home`. Every service that reads history reads them there."""
    retention_runs_days: int | None = None
    """So many days after they ended, runs move from the log into archives; None: they stay."""
    retention_log_lines_days: int | None = None
    """For how long lines that jobs wrote are kept; None: 30."""
    retention_decisions_days: int | None = None
    """For how long the read models list decisions of triggers, and events that came in; None: for ever, as the log."""
    secrets_key: str | None = None
    """What secrets are sealed with, 32 bytes in base64; None: `secrets.key` in `home`, which `up` makes."""

    @property
    def auth_is_on(self) -> bool:
        return self.auth == "on"

    @property
    def archive_folder(self) -> Path:
        return self.archive_dir or self.home / "archives"

    @property
    def own_servers(self) -> tuple[str, ...]:
        """FlowForge's own addresses, `host:port`, to which no call goes that somebody else may choose."""
        host = f"[{self.http_host}]" if ":" in self.http_host else self.http_host
        return (*self.webhook_deny, f"{host}:{self.http_port}")

    @property
    def callbacks_url(self) -> str:
        """The address of the HTTP server, for those who are to call back."""
        return (self.public_url or f"http://127.0.0.1:{self.http_port}").rstrip("/")


_NAMES = tuple(Settings.__struct_fields__)
_NUMBERS = frozenset(
    {
        "http_port",
        "nats_port",
        "max_concurrent_jobs",
        "user_max_concurrent_jobs",
        "cache_kept_ms",
        "retention_runs_days",
        "retention_log_lines_days",
        "retention_decisions_days",
    }
)
_COUNTS_BY_NAME = frozenset({"pools", "queue_limits"})
IN_FILES = ("database_url", "nats_url", "secrets_key")
"""Settings with a login or a key in them."""
FILE_VARIABLES = frozenset(f"{PREFIX}{name.upper()}_FILE" for name in IN_FILES)
_FILE_BYTES_MAX = 64 * 1024


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    given = {name: environ[key] for name in _NAMES if environ.get(key := PREFIX + name.upper())}
    given |= {name: text for name in IN_FILES if (text := given_as_file(name, environ)) is not None}
    home = Path(given.get("home", ".flowforge")).expanduser()
    filed = _read_file(home)
    values = {name: _parsed(name, text, f"{PREFIX}{name.upper()}") for name, text in given.items()}
    origins = dict.fromkeys(filed, FILE_NAME) | {name: f"{PREFIX}{name.upper()}" for name in given}
    settings = _converted({**filed, **values}, origins)
    settings = msgspec.structs.replace(
        settings,
        home=settings.home.expanduser().absolute(),
        archive_dir=None if settings.archive_dir is None else settings.archive_dir.expanduser().absolute(),
        script_paths=tuple(path.expanduser().absolute() for path in settings.script_paths),
    )
    _check(settings, origins)
    return settings


def given_as_file(name: str, environ: Mapping[str, str]) -> str | None:
    """What stands in the file that `FLOWFORGE_<NAME>_FILE` names; None where it names none. Raises SettingsError."""
    variable = f"{PREFIX}{name.upper()}"
    path = environ.get(f"{variable}_FILE")
    if not path:
        return None
    if environ.get(variable):
        raise SettingsError(f"{variable} and {variable}_FILE are both given: keep one of them")
    try:
        with Path(path).open() as file:
            text = file.read(_FILE_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{variable}_FILE: {path} cannot be read: {reason}") from None
    if not text:
        raise SettingsError(f"{variable}_FILE: {path} is empty: write the value of {variable} into it")
    return text


def _read_file(home: Path) -> dict[str, object]:
    path = next((path for path in (home / FILE_NAME, Path(FILE_NAME)) if path.is_file()), None)
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    unknown = sorted(values.keys() - set(_NAMES))
    if unknown:
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(_NAMES)}")
    return values


def _parsed(name: str, text: str, origin: str) -> object:
    """What an environment variable means, before its type is checked."""
    if name in _COUNTS_BY_NAME:
        return _counts(text, origin)
    if name in _NUMBERS:
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{origin}: {text!r} is not a number") from None
    if name == "auth" and text not in ("on", "off"):
        raise SettingsError(f"{origin}: {text!r} is neither 'on' nor 'off'")
    if name == "script_paths":
        return [part for part in text.split(os.pathsep) if part]
    if name in ("webhook_allow", "webhook_deny"):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _counts(text: str, origin: str) -> dict[str, int]:
    """`gpu=2,db=10`"""
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = (each.strip() for each in part.partition("="))
        if not name or not count.isascii() or not count.isdigit():
            raise SettingsError(f"{origin}: {part!r} is not a name with a number, as in gpu=2,db=10")
        if name in found:
            raise SettingsError(f"{origin}: {name!r} is given twice")
        found[name] = int(count)
    return found


def _converted(values: dict[str, object], origins: Mapping[str, str]) -> Settings:
    try:
        return msgspec.convert(values, Settings, dec_hook=_path)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        name = re.split(r"[`.\[]", where)[0]
        given = f", not {values[name]!r}" if name in values else ""
        raise SettingsError(f"{_called(name, origins)}: {message}{given}") from None


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("Expected a path")


def _called(name: str, origins: Mapping[str, str]) -> str:
    origin = origins.get(name, name)
    return f"{FILE_NAME}: {name}" if origin == FILE_NAME else origin


def _check(settings: Settings, origins: Mapping[str, str]) -> None:
    for name, is_good, expected in _RULES:
        if not is_good(settings):
            shown = str(getattr(settings, name))
            shown = without_password(shown) if name in IN_FILES else shown
            raise SettingsError(f"{_called(name, origins)}: {shown} is refused: {expected}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_POSITIVE = "expected 1 or more; leave it out for no limit"
_DAYS = "expected a number of days, 1 or more; leave it out to keep everything"


def _is_positive(count: int | None) -> bool:
    return count is None or count > 0


def _is_url(text: str | None, schemes: tuple[str, ...]) -> bool:
    if text is None:
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc or parts.query)


def _is_apart(path: Path, home: Path) -> bool:
    """Neither is inside the other: a script must not reach keys and credentials."""
    path, home = path.resolve(), home.resolve()
    return not path.is_relative_to(home) and not home.is_relative_to(path)


_RULES: tuple[tuple[str, Callable[[Settings], bool], str], ...] = (
    ("http_port", lambda s: 0 <= s.http_port <= _PORT_MAX, f"a port is 0 (a free one) to {_PORT_MAX}"),
    ("nats_port", lambda s: 0 <= s.nats_port <= _PORT_MAX, f"a port is 0 (a free one) to {_PORT_MAX}"),
    ("namespace", lambda s: bool(_NAMESPACE.fullmatch(s.namespace)), f"a namespace matches {_NAMESPACE.pattern}"),
    ("database_url", lambda s: _is_url(s.database_url, ("postgresql", "postgres")), "expected postgresql://…"),
    ("public_url", lambda s: _is_url(s.public_url, ("http", "https")), "expected http://… or https://…"),
    ("nats_url", lambda s: _is_url(s.nats_url, ("nats", "tls", "ws", "wss")), "expected nats://… or tls://…"),
    (
        "pools",
        lambda s: all(_POOL.fullmatch(name) and name != "jobs" and count > 0 for name, count in s.pools.items()),
        f"a pool's name matches {_POOL.pattern} and is not 'jobs', its limit is 1 or more",
    ),
    (
        "queue_limits",
        lambda s: all(name and count > 0 for name, count in s.queue_limits.items()),
        "the limit of a queue is 1 or more",
    ),
    ("max_concurrent_jobs", lambda s: _is_positive(s.max_concurrent_jobs), _POSITIVE),
    ("user_max_concurrent_jobs", lambda s: _is_positive(s.user_max_concurrent_jobs), _POSITIVE),
    ("cache_kept_ms", lambda s: _is_positive(s.cache_kept_ms), _POSITIVE),
    ("retention_runs_days", lambda s: _is_positive(s.retention_runs_days), _DAYS),
    ("retention_log_lines_days", lambda s: _is_positive(s.retention_log_lines_days), _DAYS),
    ("retention_decisions_days", lambda s: _is_positive(s.retention_decisions_days), _DAYS),
    (
        "auth",
        lambda s: s.auth_is_on or is_loopback(s.http_host),
        f"off is accepted only while everything listens on loopback ({PREFIX}HTTP_HOST is not)",
    ),
    (
        "script_paths",
        lambda s: all(_is_apart(path, s.home) for path in s.script_paths),
        f"scripts may not use {PREFIX}HOME, nor a folder around or below it",
    ),
)

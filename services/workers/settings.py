"""Every limit of the built-in workers, with its unit."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from flowforge.reports import OUTPUT_BYTES_MAX

from infra.settings import Settings, SettingsError, load_settings
from services.workers.targets import read_entry

JOB_TYPE = "script"
WEBHOOK = "webhook"
SQL = "sql"
PROMPT = "prompt_execution"


output_bytes_max = OUTPUT_BYTES_MAX
"""Of the JSON that a script writes to FLOWFORGE_OUTPUT."""

file_bytes_max = 4 * 1024**3
"""Of any one file that a script writes (RLIMIT_FSIZE)."""

terminate_wait_s = 3.0
"""Between SIGTERM and SIGKILL, for a script that was cancelled or ran out of time."""

stopped_wait_s = 1.5
"""The same when the worker itself must end, which has little time."""

stop_grace_s = 0.5
"""How long running scripts may go on when the worker ends; then another worker gets them."""

drain_wait_s = 2.0
"""How long what a script has written is still read after it ended."""

read_bytes_max = 64 * 1024
"""Of a script's output in one go."""

line_bytes_max = 64 * 1024
"""A longer line of output is cut here while it is read."""

stderr_lines_shown = 10
stderr_chars_shown = 2_000
"""How much of stderr stands in the message of a script that failed."""


call_s_default = 60.0
"""For a call whose node has no `timeout_ms`."""

call_connect_s = 10.0
redirects_max = 5

response_bytes_max = 16 * 1024 * 1024
"""Of the answer to a call."""

body_chars_shown = 300
"""Of an unexpected answer's body in the error's message."""

body_chars_kept = 2_000
"""The same in the error's details."""

secrets_tries_max = 10
secrets_retry_wait_s = 0.5
secrets_answer_wait_s = 2.0
secrets_connect_wait_s = 2
"""How long a job waits for its secrets: about as long as a restart of catalog or NATS takes."""

prompt_s_default = 600.0
"""How long a model may answer where its node has no `timeout_ms`."""

sql_connect_wait_s = 10.0
sql_s_default = 60.0
"""How long a query may take where its node has no `timeout_ms`."""


class WorkersSettings(msgspec.Struct, frozen=True):
    """What an installation chooses. `FLOWFORGE_SCRIPT_QUEUES` (comma separated) are the queues of all built-in job
    types, `FLOWFORGE_SCRIPT_CONCURRENCY` and `FLOWFORGE_CALL_CONCURRENCY` how much of each runs at once."""

    common: Settings
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 8
    """Scripts at once, per queue."""
    calls_concurrency: int = 100
    """Calls at once, per queue."""

    @property
    def script_paths(self) -> tuple[Path, ...]:
        """Folders that scripts may use besides their own."""
        return self.common.script_paths

    @property
    def own_servers(self) -> tuple[str, ...]:
        """FlowForge's own addresses, `host:port`, to which no call goes."""
        host = self.common.http_host
        return (*self.common.webhook_deny, f"{f'[{host}]' if ':' in host else host}:{self.common.http_port}")


def load(environ: Mapping[str, str] | None = None) -> WorkersSettings:
    """The settings in force. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    queues = [name.strip() for name in environ.get("FLOWFORGE_SCRIPT_QUEUES", "default").split(",")]
    if not all(queues):
        raise SettingsError("FLOWFORGE_SCRIPT_QUEUES: expected names of queues, separated by commas")
    scripts = _concurrency(environ, "FLOWFORGE_SCRIPT_CONCURRENCY", max(8, 2 * (os.cpu_count() or 1)))
    calls = _concurrency(environ, "FLOWFORGE_CALL_CONCURRENCY", 100)
    common = load_settings(environ)
    _check_targets("FLOWFORGE_WEBHOOK_ALLOW", common.webhook_allow)
    _check_targets("FLOWFORGE_WEBHOOK_DENY", common.webhook_deny)
    return WorkersSettings(common, tuple(dict.fromkeys(queues)), scripts, calls)


def _concurrency(environ: Mapping[str, str], name: str, otherwise: int) -> int:
    given = environ.get(name) or str(otherwise)
    if not given.isdigit() or not 1 <= int(given) <= 1000:
        raise SettingsError(f"{name}: {given!r} is refused: expected 1 to 1000")
    return int(given)


def _check_targets(name: str, entries: Iterable[str]) -> None:
    for text in entries:
        try:
            read_entry(text)
        except ValueError as fault:
            raise SettingsError(f"{name}: {fault}; expected such as 10.0.0.0/8, 127.0.0.1:9000, *.internal") from None

"""Every limit of the built-in workers, with its unit."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from flowforge.reports import OUTPUT_BYTES_MAX

from infra.calls import read_entry
from infra.settings import Settings, SettingsError, load_settings

JOB_TYPE = "script"
WEBHOOK = "webhook"
MB_MAX = 16_777_216
SQL = "sql"
PROMPT = "prompt_execution"

output_bytes_max = OUTPUT_BYTES_MAX
"""Of the JSON that a script writes to FLOWFORGE_OUTPUT."""

file_mb_max = 4 * 1024
"""Of any one file that a script writes, where neither its node nor the installation says otherwise."""

open_files_max = 4_096
"""Of one process of a script."""

processes_max = 1_000
"""Of one script at once."""

cpu_grace_s = 5
"""Between the signal that says so and the end, for a process that used up its processor time."""

memory_unused_bytes_max = 256 * 1024**2
"""How much more than it may use a process may ask for (RLIMIT_DATA): stacks of threads, arenas."""

memory_floor_slack_bytes = 8 * 1024**2
"""By how much a script must exceed this process for its peak, as the kernel counts it, to be its own."""

watch_first_s = 0.01
"""After the start of a script, until its memory is first looked at."""

watch_every_s = 0.2

watch_share_max = 0.03
"""Of a core, for looking."""

watch_forgets_s = 30.0
"""What was known of processes when it was last looked so long ago: numbers of processes are used again."""

reap_wait_s = 1.0
reap_pause_s = 0.002
"""For what was killed to be gone."""

bubblewrap_trial_s = 5.0
container_query_s = 10.0
"""For a question to the container engine."""

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
sql_close_wait_s = 2.0
"""For the end of a query that was given up, and of its connection."""

sql_s_default = 60.0
"""How long a query may take where its node has no `timeout_ms`."""


class ScriptDefaults(msgspec.Struct, frozen=True):
    """What a script may take whose node does not say: `FLOWFORGE_SCRIPT_MAX_MEMORY_MB`, `FLOWFORGE_SCRIPT_MAX_FILE_MB`."""

    max_memory_mb: int | None = None
    """None: what there is."""
    max_file_mb: int = file_mb_max


class WorkersSettings(msgspec.Struct, frozen=True):
    """What an installation chooses. `FLOWFORGE_SCRIPT_QUEUES` (comma separated) are the queues of all built-in job
    types, `FLOWFORGE_SCRIPT_CONCURRENCY` and `FLOWFORGE_CALL_CONCURRENCY` how much of each runs at once."""

    common: Settings
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 8
    """Scripts at once, per queue; also the slots that it offers."""
    calls_concurrency: int = 100
    """Calls at once, per queue."""
    isolation: Literal["confined", "trusted", "required"] = "confined"
    """`FLOWFORGE_SCRIPT_ISOLATION`: how scripts are kept apart from the machine's files."""
    defaults: ScriptDefaults = ScriptDefaults()
    memory_mb: int | None = None
    """`FLOWFORGE_SCRIPT_MEMORY_MB`: what all scripts of a queue may claim together (`resources`); None: no end."""

    @property
    def script_paths(self) -> tuple[Path, ...]:
        """Folders that scripts may use besides their own."""
        return self.common.script_paths

    @property
    def own_servers(self) -> tuple[str, ...]:
        """FlowForge's own addresses, `host:port`, to which no call goes."""
        return self.common.own_servers


def load(environ: Mapping[str, str] | None = None) -> WorkersSettings:
    """The settings in force. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    queues = [name.strip() for name in environ.get("FLOWFORGE_SCRIPT_QUEUES", "default").split(",")]
    if not all(queues):
        raise SettingsError("FLOWFORGE_SCRIPT_QUEUES: expected names of queues, separated by commas")
    scripts = _number(environ, "FLOWFORGE_SCRIPT_CONCURRENCY", 1, 1000) or max(8, 2 * (os.cpu_count() or 1))
    calls = _number(environ, "FLOWFORGE_CALL_CONCURRENCY", 1, 1000) or 100
    common = load_settings(environ)
    _check_targets("FLOWFORGE_WEBHOOK_ALLOW", common.webhook_allow)
    _check_targets("FLOWFORGE_WEBHOOK_DENY", common.webhook_deny)
    defaults = ScriptDefaults(
        _number(environ, "FLOWFORGE_SCRIPT_MAX_MEMORY_MB", 16, MB_MAX),
        _number(environ, "FLOWFORGE_SCRIPT_MAX_FILE_MB", 1, MB_MAX) or file_mb_max,
    )
    memory_mb = _number(environ, "FLOWFORGE_SCRIPT_MEMORY_MB", 1, MB_MAX)
    return WorkersSettings(
        common, tuple(dict.fromkeys(queues)), scripts, calls, _isolation(environ), defaults, memory_mb
    )


def _isolation(environ: Mapping[str, str]) -> Literal["confined", "trusted", "required"]:
    match environ.get("FLOWFORGE_SCRIPT_ISOLATION") or "confined":
        case "confined" | "trusted" | "required" as known:
            return known
        case given:
            raise SettingsError(
                f"FLOWFORGE_SCRIPT_ISOLATION: {given!r} is refused: expected confined (what this machine can), required "
                "(refuse scripts where it cannot) or trusted (not at all)"
            )


def _number(environ: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    """None: not given."""
    given = environ.get(name)
    if not given:
        return None
    if not given.isdigit() or not least <= int(given) <= most:
        raise SettingsError(f"{name}: {given!r} is refused: expected {least} to {most}")
    return int(given)


def _check_targets(name: str, entries: Iterable[str]) -> None:
    for text in entries:
        try:
            read_entry(text)
        except ValueError as fault:
            raise SettingsError(f"{name}: {fault}; expected such as 10.0.0.0/8, 127.0.0.1:9000, *.internal") from None

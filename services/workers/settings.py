"""Every limit of the built-in worker, with its unit."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from flowforge.reports import OUTPUT_BYTES_MAX

from infra.settings import Settings, SettingsError, load_settings

JOB_TYPE = "script"

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


class WorkersSettings(msgspec.Struct, frozen=True):
    """What an installation chooses. `FLOWFORGE_SCRIPT_QUEUES` (comma separated), `FLOWFORGE_SCRIPT_CONCURRENCY`."""

    common: Settings
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 8
    """Scripts at once, per queue."""

    @property
    def script_paths(self) -> tuple[Path, ...]:
        """Folders that scripts may use besides their own."""
        return self.common.script_paths


def load(environ: Mapping[str, str] | None = None) -> WorkersSettings:
    """The settings in force. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    queues = [name.strip() for name in environ.get("FLOWFORGE_SCRIPT_QUEUES", "default").split(",")]
    given = environ.get("FLOWFORGE_SCRIPT_CONCURRENCY") or str(max(8, 2 * (os.cpu_count() or 1)))
    if not all(queues):
        raise SettingsError("FLOWFORGE_SCRIPT_QUEUES: expected names of queues, separated by commas")
    if not given.isdigit() or not 1 <= int(given) <= 1000:
        raise SettingsError(f"FLOWFORGE_SCRIPT_CONCURRENCY: {given!r} is refused: expected 1 to 1000")
    return WorkersSettings(load_settings(environ), tuple(dict.fromkeys(queues)), int(given))

"""Why a script failed, in words: its status, its last words, and which limit it met."""

import signal

import msgspec
from flowforge.errors import JobError

from services.workers import container, settings
from services.workers.confinement import Limits

_NO_MEMORY = ("MemoryError", "Cannot allocate memory", "cannot allocate", "out of memory", "bad_alloc", "OutOfMemory")
_TOO_LARGE = ("File too large", "File size limit exceeded", "EFBIG")
_NOT_ALLOWED = ("Permission denied", "PermissionError", "EACCES")
_SHELL_SIGNAL = 128


class Ending(msgspec.Struct, frozen=True):
    """How a script ended: `status` is negative for the signal that ended it, `excess` what it took too much of."""

    status: int
    stderr: str
    limits: Limits
    excess: str | None = None
    is_confined: bool = False
    engine: str | None = None

    def error(self) -> JobError | None:
        """None: it did well."""
        if self.excess is not None:
            return JobError(self.excess + self._said())
        if self.status == 0:
            return None
        if self.engine is not None and self.status == container.ENGINE_FAILED:
            return JobError(f"{self.engine} could not run the script's container{self._said()}")
        hint = self._hint()
        return JobError(f"the script {self._how()}{f' ({hint})' if hint else ''}{self._said()}")

    def _how(self) -> str:
        if self.status > 0:
            return f"failed with exit status {self.status}"
        return f"was ended by {_signal_name(-self.status)}"

    def _hint(self) -> str | None:
        """Which limit it may have met, as far as its status and its last words tell."""
        most, largest = self.limits.memory_bytes, self.limits.file_bytes
        if largest is not None and (self._was(signal.SIGXFSZ) or self._says(_TOO_LARGE)):
            return f"a file may have at most {largest // 1024**2} MB: max_file_mb"
        if most is not None and (self._says(_NO_MEMORY) or (self.engine is not None and self._was(signal.SIGKILL))):
            return f"it may take at most {most // 1024**2} MB of memory: max_memory_mb"
        if self._was(signal.SIGXCPU):
            return "it used more processor time than its timeout allows"
        if self.is_confined and self._says(_NOT_ALLOWED):
            return "scripts reach their own folder, $HOME, and those of FLOWFORGE_SCRIPT_PATHS"
        return None

    def _was(self, number: signal.Signals) -> bool:
        """Whether this signal ended it, or a command of the shell that it is."""
        return self.status in (-number, _SHELL_SIGNAL + number)

    def _says(self, words: tuple[str, ...]) -> bool:
        return any(word in self.stderr for word in words)

    def _said(self) -> str:
        said = self.stderr[-settings.stderr_chars_shown :].strip()
        return f": {said}" if said else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""A script's private folder: its source, its input, the output it writes; gone when the script is."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
from flowforge.errors import ErrorCode, JobError

from services.workers import settings

INPUT_NAME = "input.json"
OUTPUT_NAME = "output.json"
PREFIX = "flowforge-job-"


class Workspace:
    """One folder, readable by us only; also the script's working folder and its HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.input_file = folder / INPUT_NAME
        self.output_file = folder / OUTPUT_NAME

    def write(self, name: str, text: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text)
        return path

    def output(self) -> msgspec.Raw:
        """The JSON that the script wrote, null where it wrote none. Raises JobError."""
        try:
            handle = os.open(self.output_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return msgspec.Raw(b"null")
        except OSError as fault:
            raise _invalid(f"cannot be read: {fault.strerror}") from fault
        try:
            _check_file(os.fstat(handle))
            with os.fdopen(handle, "rb", closefd=False) as file:
                return _checked(file.read(settings.output_bytes_max + 1))
        finally:
            os.close(handle)


def _check_file(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _invalid("is no ordinary file")
    if found.st_size > settings.output_bytes_max:
        raise JobError(
            f"the script wrote {found.st_size} bytes to FLOWFORGE_OUTPUT, at most {settings.output_bytes_max} are allowed",
            code=ErrorCode.PAYLOAD_TOO_LARGE,
            retryable=False,
        )


def _checked(text: bytes) -> msgspec.Raw:
    if not text.strip():
        raise _invalid("is empty; leave the file away for null")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _invalid(f"is not JSON: {fault}") from fault
    except RecursionError as fault:
        raise _invalid("is nested too deeply") from fault
    return msgspec.Raw(text)


def _invalid(reason: str) -> JobError:
    return JobError(
        f"what the script wrote to FLOWFORGE_OUTPUT {reason}", code=ErrorCode.OUTPUT_INVALID, retryable=False
    )


@contextlib.asynccontextmanager
async def workspace() -> AsyncGenerator[Workspace]:
    """A fresh folder for one script, removed afterwards with whatever the script has put there."""
    folder, lock = _made()
    try:
        yield Workspace(folder)
    finally:
        await asyncio.to_thread(_remove, folder)
        os.close(lock)


def remove_left() -> None:
    """Remove the folders of workers that were killed; whoever lives holds a lock on each of its own."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _open(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _made() -> tuple[Path, int]:
    """A folder and the lock on it; another one where somebody took it for left before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = _open(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for path, _, _ in os.walk(folder):  # a folder that its script made unreadable
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)

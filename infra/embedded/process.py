"""Starting processes that cannot outlive this one.

Every child asks the kernel for a signal at the death of its parent (prctl(2), PR_SET_PDEATHSIG), after it has taken the
account it runs as, since a change of account clears the request. The kernel means the *thread* that started it: only
the main thread may.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.embedded.account import Account

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with(parent: int, death_signal: int) -> Callable[[], None]:
    def in_child() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return in_child


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log`; it gets `death_signal` when we die."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_die_with(os.getpid(), death_signal),  # noqa: PLW1509  we fork from the main thread only
        )
    finally:
        os.close(output)


def exit_words(status: int) -> str:
    """A child's return code in words: `exit status 3`, or `SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def parent_of(pid: int) -> int | None:
    """The parent of `pid`, None for one that is gone or only waits to be reaped."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[1])


def stat_fields(pid: int) -> list[str] | None:
    """What /proc/…/stat says of a process after its name, from its state on (proc(5)); None for one that is gone.

    Names are any bytes, as whoever runs a program likes.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split() or None
    except OSError:
        return None


def environment_of(pid: int) -> list[bytes]:
    """The entries that a process began with; none of one that is gone or not ours."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def children_of(pid: int) -> list[int]:
    return [child for child in all_pids() if parent_of(child) == pid]


def is_alive(pid: int) -> bool:
    return parent_of(pid) is not None


def send(pid: int, which: signal.Signals) -> None:
    """Signal `pid`, if it still is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, which)

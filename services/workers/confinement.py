"""How scripts are kept apart from the machine: which layers there are, and what a script does before it begins.

The layers are of this machine and its settings, found out once; a job tells which were there.
"""

import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from flowforge.errors import JobError

from services.workers import landlock, reachable, settings

Isolation = Literal["confined", "trusted", "required"]
PROCESS_LAYERS = (
    "own_process_group", "dies_with_worker", "no_new_privileges", "resource_limits", "clean_environment", "own_folder",
    "closed_descriptors",
)  # fmt: skip
CONTAINER_LAYERS = ("clean_environment", "own_folder", "container")
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_KEPT_CAPABILITIES = {0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 5: "KILL", 6: "SETGID", 7: "SETUID",
                      10: "NET_BIND_SERVICE"}  # fmt: skip
_SETPCAP = 8
_CAPABILITIES_MAX = 64
_libc = ctypes.CDLL(None, use_errno=True)


class Limits(msgspec.Struct, frozen=True):
    """What one script may take. The memory is that of all its processes together."""

    memory_bytes: int | None = None
    file_bytes: int | None = None
    cpu_s: int | None = None
    """Of each of its processes."""


class Inside(msgspec.Struct, frozen=True):
    """What is done in the script's process before it becomes the script."""

    limits: Limits
    ruleset: int | None = None
    drops_capabilities: bool = False
    gains_no_privileges: bool = True

    def enter(self, parent: int) -> None:
        """To be called between fork and exec; what it raises keeps the script from beginning."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if self.gains_no_privileges:
            _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for which, most in _rlimits(self.limits):
            _limit(which, most)
        if self.ruleset is not None:
            landlock.restrict(self.ruleset)
        if self.drops_capabilities:
            _drop_capabilities()
        if os.getppid() != parent:  # it died before we asked to die with it
            os._exit(1)


class Started(msgspec.Struct, frozen=True):
    """How to start a script: its command, perhaps inside another, and what its process does first."""

    command: list[str]
    inside: Inside


class Confinement:
    """The confinement of one worker's scripts: to their own folder, `shared` ones, and what programs need to run.

    Nothing in `hidden` is ever reached by a confined script.
    """

    def __init__(self, isolation: Isolation, *, hidden: Path, shared: Sequence[Path], search_path: str) -> None:
        self._isolation = isolation
        self._hidden = hidden
        self._shared = tuple(shared)
        self._search_path = search_path
        self._abi = landlock.abi() if isolation != "trusted" else 0
        self._bubblewrap = None if isolation == "trusted" or self._abi else _bubblewrap()
        self._drops_capabilities = isolation != "trusted" and self._bubblewrap is None and _may_drop_capabilities()
        self._readable: tuple[Path, ...] | None = None

    @property
    def layers(self) -> list[str]:
        """Which layers keep a script apart."""
        files = ["landlock_files"] * (self._abi > 0) + ["bubblewrap"] * (self._bubblewrap is not None)
        ports = ["landlock_ports"] * landlock.restricts_ports(self._abi)
        signals = ["landlock_signals"] * landlock.restricts_signals(self._abi)
        return [*PROCESS_LAYERS, *["fewer_capabilities"] * self._drops_capabilities, *files, *ports, *signals]

    @property
    def has_files(self) -> bool:
        """Whether scripts are kept to their files."""
        return self._abi > 0 or self._bubblewrap is not None

    def check(self) -> None:
        """Raises JobError where confinement is required and cannot be had."""
        if self._isolation == "required" and not self.has_files:
            raise JobError(
                "scripts must be confined here (FLOWFORGE_SCRIPT_ISOLATION=required), and this worker's machine has "
                "neither Landlock nor a bubblewrap that works: use a kernel with Landlock (5.13 or newer), install "
                "`bwrap`, or set FLOWFORGE_SCRIPT_ISOLATION=confined",
                retryable=False,
            )

    @contextlib.contextmanager
    def around(self, command: list[str], folder: Path, limits: Limits) -> Generator[Started]:
        """How to start the script of this folder, within the block. Raises OSError when the kernel refuses."""
        if self._bubblewrap is not None:
            wrapped = bubblewrapped(self._bubblewrap, command, folder, self._visible(), self._shared)
            yield Started(wrapped, Inside(limits))
        elif self._abi:
            rules = landlock.Ruleset(self._abi)
            try:
                rules.allow_reading(self._visible())
                rules.allow_everything((folder, *self._shared, *reachable.devices()))
                yield Started(command, Inside(limits, rules.handle, self._drops_capabilities))
            finally:
                rules.close()
        else:
            yield Started(command, Inside(limits, None, self._drops_capabilities))

    def _visible(self) -> tuple[Path, ...]:
        if self._readable is None:
            self._readable = reachable.readable(self._hidden, self._search_path)
        return self._readable


def bubblewrapped(
    program: str, command: Sequence[str], folder: Path, readable: Sequence[Path], writable: Sequence[Path]
) -> list[str]:
    """The command inside bubblewrap (bwrap(1)): an empty file system but for these, and process numbers of its own."""
    wrapped = [program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        wrapped += [word for name in _KEPT_CAPABILITIES.values() for word in ("--cap-add", f"CAP_{name}")]
    wrapped += ["--tmpfs", "/tmp"]  # noqa: S108 - the name of a folder inside
    for path in readable:
        wrapped += ["--ro-bind-try", str(path), str(path)]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if (link := Path("/", name)).is_symlink():
            wrapped += ["--symlink", str(link.readlink()), str(link)]
    wrapped += ["--proc", "/proc", "--dev", "/dev"]
    for path in reachable.accelerators():
        wrapped += ["--dev-bind", str(path), str(path)]
    for path in (folder, *writable):
        wrapped += ["--bind", str(path), str(path)]
    return [*wrapped, "--chdir", str(folder), "--", *command]


def _bubblewrap() -> str | None:
    """bwrap, where it is installed and may do its work: that depends on the kernel's settings."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    trial = [program, "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, check=False, timeout=settings.bubblewrap_trial_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


def _rlimits(limits: Limits) -> list[tuple[int, int]]:
    most = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, settings.open_files_max)]
    if limits.file_bytes is not None:
        most.append((resource.RLIMIT_FSIZE, limits.file_bytes))
    if limits.memory_bytes is not None:
        # what is counted here is asked for, not used: programs ask for more than they use
        most.append((resource.RLIMIT_DATA, limits.memory_bytes + settings.memory_unused_bytes_max))
    if limits.cpu_s is not None:
        most.append((resource.RLIMIT_CPU, limits.cpu_s))
    return most


def _limit(which: int, most: int) -> None:
    """A lower limit that is in force already stays. Processor time: first a signal that says so, then the end."""
    _, hard = resource.getrlimit(which)
    above = most + settings.cpu_grace_s if which == resource.RLIMIT_CPU else most
    known = above if hard == resource.RLIM_INFINITY else min(above, hard)
    resource.setrlimit(which, (min(most, known), known))


def _may_drop_capabilities() -> bool:
    """Whether we are root with the capability to give up others (capabilities(7))."""
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return os.geteuid() == 0 and effective is not None and bool(int(effective[1], 16) >> _SETPCAP & 1)


def _drop_capabilities() -> None:
    """Of what root may do, keep what concerns files and ports: an exec gives no more than the bounding set has."""
    for number in range(_CAPABILITIES_MAX):
        if number not in _KEPT_CAPABILITIES and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            return  # there are no more

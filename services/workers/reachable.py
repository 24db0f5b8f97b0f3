"""Which files a confined script may see besides its own: what a program needs to run, and no one's secrets."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import flowforge

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/snap", "/nix/store", "/gnu/store",
    "/run/current-system", "/var/lib/ca-certificates", "/proc", "/sys/devices", "/sys/class", "/sys/bus",
    "/sys/fs/cgroup",
)  # fmt: skip
CONFIGURATION = "/etc"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm")
ACCELERATORS = ("nvidia*", "dri", "kfd", "accel")
INSTALLATION = ("lib", "lib64", "libexec", "shims", "plugins", "versions", "version", "installs")
"""What stands beside the `bin` of a program that is installed in a folder of its own, and of programs that choose among
versions (pyenv, asdf, mise)."""
_READ_BY_ALL = stat.S_IROTH
_LISTED_BY_ALL = stat.S_IROTH | stat.S_IXOTH


def readable(hidden: Path, search_path: str) -> tuple[Path, ...]:
    """System folders, this Python, what is installed along `search_path`, and of /etc what everybody may read.

    Never `hidden`, nor anything in it. Only what exists; for what comes later this is to be asked anew.
    """
    python = [sys.prefix, sys.base_prefix, str(Path(flowforge.__file__).parent.parent)]
    wanted = [path for root in (*SYSTEM, *python, *_installed(search_path)) for path in without(Path(root), hidden)]
    return (*_outermost(wanted), *map(Path, open_to_all(CONFIGURATION)))


def devices() -> tuple[Path, ...]:
    """What is no file but harmless, shared memory, and what computes: to be read and written."""
    return (*(Path("/dev") / name for name in DEVICES), *accelerators())


def accelerators() -> list[Path]:
    """The devices that compute."""
    return [path for pattern in ACCELERATORS for path in Path("/dev").glob(pattern)]


def without(folder: Path, hidden: Path) -> Iterator[Path]:
    """`folder`, or what is in it if `hidden` is somewhere inside; nothing of what is hidden."""
    folder, hidden = folder.resolve(), hidden.resolve()
    if not folder.exists() or folder.is_relative_to(hidden):
        return
    if not hidden.is_relative_to(folder):
        yield folder
        return
    with contextlib.suppress(OSError):
        for entry in sorted(folder.iterdir()):
            if not entry.is_symlink():
                yield from without(entry, hidden)


def open_to_all(folder: str) -> list[str]:
    """`folder` if every user may read all of it, else what in it every user may read, in as few paths as there are."""
    parts = list[str]()
    is_whole = True
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                below = _open_below(entry)
                is_whole = is_whole and below == [entry.path]
                parts += below
    except OSError:
        return []
    return [folder] if is_whole else parts


def _open_below(entry: os.DirEntry[str]) -> list[str]:
    try:
        mode = entry.stat().st_mode
    except OSError:  # a link to nothing
        return [entry.path]
    wanted = _LISTED_BY_ALL if stat.S_ISDIR(mode) else _READ_BY_ALL
    if mode & wanted != wanted:
        return []
    return open_to_all(entry.path) if entry.is_dir(follow_symlinks=False) else [entry.path]


def _installed(search_path: str) -> Iterator[str]:
    for name in search_path.split(os.pathsep):
        if name.startswith("/") and name != "/":
            yield name
            yield from (str(Path(name).parent / beside) for beside in INSTALLATION)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that are in others."""
    kept = list[Path]()
    for path in sorted(set(paths)):  # a folder comes before what is in it
        if not kept or not path.is_relative_to(kept[-1]):
            kept.append(path)
    return kept

"""The unprivileged account that Postgres demands when we are root."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import msgspec

ACCOUNT_NAME = "flowforge"
FALLBACK_NAME = "nobody"
_TRAVERSE = stat.S_IXGRP | stat.S_IXOTH
_READ = stat.S_IRGRP | stat.S_IROTH


class Account(msgspec.Struct, frozen=True):
    """A system account by its numbers."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account to run Postgres as: None (our own) unless we are root.

    As root it is a system account of our own, created once; where accounts cannot be created it is `nobody`.
    """
    if os.geteuid() != 0:
        return None
    return _find(ACCOUNT_NAME) or _create(ACCOUNT_NAME) or _find(FALLBACK_NAME)


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> Account | None:
    useradd = shutil.which("useradd")
    if useradd is None:
        return None
    command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    return _find(name)  # also when somebody else created it in the meantime


def make_traversable(path: Path) -> None:
    """Let every account pass through the folders above `path` (not list them)."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if mode & _TRAVERSE != _TRAVERSE:
            folder.chmod(mode | _TRAVERSE)


def make_readable(folder: Path) -> None:
    """Let every account read what is below `folder`, as an installation under a strict umask does not."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | _READ | (_TRAVERSE if path.is_dir() or mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)


def own_tree(folder: Path, account: Account) -> None:
    """Hand `folder` and all below it to `account`, unless it has it already."""
    if folder.stat().st_uid == account.uid:
        return
    for path in (*folder.rglob("*"), folder):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)

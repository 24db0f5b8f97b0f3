"""Landlock: a process gives up, for itself and all it starts, what a ruleset does not allow (landlock(7)).

Three system calls, bound here; kernels differ in what they can forbid, which their ABI version tells. Whatever this
kernel cannot forbid stays allowed.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_BIND_TCP = 1 << 0
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1
_ABI_REFER, _ABI_TRUNCATE, _ABI_TCP, _ABI_IOCTL, _ABI_SCOPES = 2, 3, 4, 5, 6
_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortAttr(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def abi() -> int:
    """The version this kernel speaks; 0 where it has no Landlock, or has it switched off."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError:
        return 0


def restricts_ports(version: int) -> bool:
    """Whether listening on TCP ports can be forbidden."""
    return version >= _ABI_TCP


def restricts_signals(version: int) -> bool:
    """Whether signals and abstract sockets can be kept inside."""
    return version >= _ABI_SCOPES


class Ruleset:
    """What a process may still do once it has restricted itself; nothing, before `allow`.

    It listens on no TCP port but those that the kernel chooses, and sends no signals to processes outside. Raises
    OSError when the kernel refuses. To be closed.
    """

    def __init__(self, version: int) -> None:
        self._rights = _rights(version)
        attr = _RulesetAttr(self._rights)
        size = ctypes.sizeof(ctypes.c_uint64)
        if restricts_ports(version):
            attr.net, size = _BIND_TCP, 2 * size
        if restricts_signals(version):
            attr.scoped, size = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS, ctypes.sizeof(attr)
        self.handle = _call(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))
        if restricts_ports(version):
            self._add(_RULE_NET_PORT, _PortAttr(_BIND_TCP, 0))

    def allow_reading(self, paths: Iterable[Path]) -> None:
        """These files, and folders with all below them, may be read and executed; what is not there is passed over."""
        for path in paths:
            self._allow(path, _READ)

    def allow_everything(self, paths: Iterable[Path]) -> None:
        """These may be changed as well."""
        for path in paths:
            self._allow(path, self._rights)

    def close(self) -> None:
        os.close(self.handle)

    def _allow(self, path: Path, rights: int) -> None:
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            is_folder = stat.S_ISDIR(os.fstat(parent).st_mode)
            allowed = rights if is_folder else rights & _FILE_RIGHTS
            self._add(_RULE_PATH_BENEATH, _PathAttr(allowed & self._rights, parent))
        finally:
            os.close(parent)

    def _add(self, kind: int, rule: ctypes.Structure) -> None:
        _call(_ADD_RULE, ctypes.c_int(self.handle), ctypes.c_int(kind), ctypes.byref(rule), ctypes.c_uint32(0))


def restrict(handle: int) -> None:
    """This process and all it starts may do no more than the ruleset allows, for good. Needs no_new_privs."""
    _call(_RESTRICT_SELF, ctypes.c_int(handle), ctypes.c_uint32(0))


def _rights(version: int) -> int:
    rights = _FIRST_RIGHTS
    for since, right in ((_ABI_REFER, _REFER), (_ABI_TRUNCATE, _TRUNCATE), (_ABI_IOCTL, _IOCTL_DEV)):
        rights |= right if version >= since else 0
    return rights


def _call(number: int, *arguments: object) -> int:
    answer: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        fault = ctypes.get_errno()
        raise OSError(fault, f"Landlock: {os.strerror(fault)}")
    return answer

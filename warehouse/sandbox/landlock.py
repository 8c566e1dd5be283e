"""Keep this process from writing files, by Linux's Landlock, which restricts even root."""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

# numbers of system calls, the same on every architecture that Python has wheels for
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_BENEATH = 1  # the kind of rule for a folder or file
_NO_NEW_PRIVILEGES = 38  # of prctl
_SIGNALS = 2  # a scope: no signals to processes outside

# rights in a folder, and the version of the kernel's interface that introduced them
_WRITE_FILE = 1 << 1
_OWN_FILES = _WRITE_FILE | 1 << 5 | 1 << 8  # write, remove and make a regular file
_WRITING = _OWN_FILES | 1 << 4 | sum(1 << bit for bit in (6, 7, 9, 10, 11, 12))  # and folders, links, devices, sockets
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_REFER_SINCE, _TRUNCATE_SINCE, _SCOPES_SINCE = 2, 3, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what _pack_ implies; later versions of Python require it
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def forbid_writing(folders: Iterable[Path] = ()) -> bool:
    """Let this process and its children write only in these folders, and to files that are already open.

    Threads that already run are not restricted. Return False if the system cannot do it.
    """
    version = _read_abi_version()
    if version < 1:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    truncate = _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    refer = _REFER if version >= _REFER_SINCE else 0
    rules = _Ruleset(_WRITING | refer | truncate, 0, _SIGNALS if version >= _SCOPES_SINCE else 0)
    # earlier kernels know a shorter structure, and accept a longer one if the rest of it is zero
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if ruleset < 0:
        return False
    try:
        allowed = [(folder, _OWN_FILES | truncate) for folder in folders]
        for path, rights in [*allowed, (Path(os.devnull), _WRITE_FILE | truncate)]:
            _add_rule(libc, ruleset, path, rights)
        return not (
            libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0))
        )
    finally:
        os.close(ruleset)


def _read_abi_version() -> int:
    """Return the version of the kernel's interface; below 1 if it has none."""
    if sys.platform != "linux":
        return 0
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))


def _add_rule(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(rights, descriptor)
        if libc.syscall(_ADD_RULE, ruleset, _BENEATH, ctypes.byref(rule), 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)

"""Swap two folders atomically, so that readers always find one of them."""

import ctypes
import os
import sys
from pathlib import Path

_AT_FDCWD = -100  # paths are absolute
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def swap_folders(one: Path, other: Path) -> bool:
    """Swap two folders of one disk; return False if the system or the disk cannot do it atomically."""
    paths = [os.fsencode(path.absolute()) for path in (one, other)]
    try:
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*paths, ctypes.c_uint(_EXCHANGE)) == 0)
        return bool(system.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_EXCHANGE)) == 0)
    except (AttributeError, OSError, TypeError):  # no such call here
        return False

"""Two folders change places in one step, so that a reader meets one of them at any moment."""

import ctypes
import os
import sys
from pathlib import Path

_AT_FDCWD = -100  # paths are as they stand: absolute
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def swap_folders(one: Path, other: Path) -> bool:
    """Let two folders of one disk change places; False where the system or the disk cannot do it in one step."""
    paths = [os.fsencode(path.absolute()) for path in (one, other)]
    try:
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*paths, ctypes.c_uint(_EXCHANGE)) == 0)
        return bool(system.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_EXCHANGE)) == 0)
    except (AttributeError, OSError, TypeError):  # no such call here
        return False

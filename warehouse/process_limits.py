"""Limits of this process: its memory, and its end when its parent ends."""

import os
import sys
import threading
import time
from contextlib import nullcontext, suppress

_LOOK_S = 1.0


def limit_memory(most_bytes: int) -> None:
    """Limit the memory of this process, and prevent core files. Only Linux is sure to enforce it."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows
        return
    for kind, amount in ((resource.RLIMIT_DATA, most_bytes), (resource.RLIMIT_CORE, 0)):
        highest = resource.getrlimit(kind)[1]
        lower = amount if highest == resource.RLIM_INFINITY else min(amount, highest)
        with nullcontext() if sys.platform == "linux" else suppress(OSError, ValueError):
            resource.setrlimit(kind, (lower, lower))


def end_with_parent(parent: int) -> None:
    """End this process when its parent ends. `parent` is the parent's id; the parent may have ended already."""
    threading.Thread(target=_wait_for_end, args=(parent,), name="lifeline", daemon=True).start()


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)

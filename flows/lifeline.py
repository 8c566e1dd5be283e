"""Processes that end soon after the one that started them, however that ended."""

import os
import threading
import time

SERVED_BY = "ROOFLINES_SERVED_BY"  # id of the process of `rooflines serve`, for the runs that it starts
_LOOK_S = 1.0


def end_with_server() -> None:
    """End this process with `rooflines serve`, if that started it."""
    served_by = os.environ.get(SERVED_BY, "")
    if served_by == str(os.getppid()):
        end_with(int(served_by))


def end_with(parent: int) -> None:
    """End this process when its parent is gone; call it with the parent's id, which it may have lost already."""
    threading.Thread(target=_wait, args=(parent,), name="lifeline", daemon=True).start()


def _wait(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)

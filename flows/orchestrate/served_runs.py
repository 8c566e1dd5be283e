"""Runs that `rooflines serve` starts end soon after it, however it ends."""

import os

from warehouse.process_limits import end_with_parent

SERVED_BY = "ROOFLINES_SERVED_BY"  # process id of `rooflines serve`, for the runs that it starts


def end_with_server() -> None:
    """End this process with `rooflines serve`, if that started it."""
    served_by = os.environ.get(SERVED_BY, "")
    if served_by == str(os.getppid()):
        end_with_parent(int(served_by))

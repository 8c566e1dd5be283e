"""Limits that the system keeps for a process, as far as it has them."""

import sys
from contextlib import nullcontext, suppress


def limit_memory(most_bytes: int) -> None:
    """Limit the memory that this process takes, and let a crash leave no file; only Linux promises to keep to it."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows
        return
    for kind, amount in ((resource.RLIMIT_DATA, most_bytes), (resource.RLIMIT_CORE, 0)):
        highest = resource.getrlimit(kind)[1]
        lower = amount if highest == resource.RLIM_INFINITY else min(amount, highest)
        with nullcontext() if sys.platform == "linux" else suppress(OSError, ValueError):
            resource.setrlimit(kind, (lower, lower))

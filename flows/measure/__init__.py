"""Timing kernels on this machine, and fitting roofs to the times."""

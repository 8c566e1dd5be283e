"""Kernels timed on this machine, and roofs fitted to their times."""

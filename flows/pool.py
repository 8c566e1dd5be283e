"""Processes that draw charts beside each other. Altair and the renderer are loaded in them alone."""

import os
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import cache
from pathlib import Path

import polars as pl
from loky import ProcessPoolExecutor, cpu_count

from charts.gallery import ChartEntry

_MOST_PROCESSES = 8
_IDLE_S = 60


def start() -> None:
    """Start the processes, which takes a while, and would do so at the first chart."""
    _processes().submit(_load_renderer)


def submit_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> Future[None]:
    """Have the files of a chart written, as `flows.draw.write_chart` does."""
    try:
        return _processes().submit(_write_chart, entry, frame, files)
    except BrokenExecutor:  # one was killed since
        _processes.cache_clear()
        return _processes().submit(_write_chart, entry, frame, files)


@cache
def _processes() -> Executor:
    """Return the processes, one a core: the renderer keeps to one thread. They end when idle for a while."""
    # where a run is cut off, loky's tracker frees what was left, but would say so after the command has ended
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    count = min(cpu_count(), _MOST_PROCESSES)
    executor: Executor = ProcessPoolExecutor(max_workers=count, timeout=_IDLE_S, initializer=_load_renderer)
    return executor


def _load_renderer() -> None:
    from flows.draw import warm_up  # noqa: PLC0415

    warm_up()


def _write_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> None:
    from flows.draw import write_chart  # noqa: PLC0415

    write_chart(entry, frame, files)

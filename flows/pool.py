"""Processes that draw charts beside each other. Altair and the renderer are loaded in them alone."""

import os
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import polars as pl
from loky import ProcessPoolExecutor, cpu_count
from platformdirs import user_cache_path

from charts.gallery import ChartEntry
from flows.lifeline import end_with

RENDERER = version("vl-convert-python")
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


def submit_bundle(file: Path) -> Future[None]:
    """Have the script written that shows charts in a browser."""
    return _processes().submit(_write_bundle, file)


@cache
def _processes() -> Executor:
    """Return the processes, one a core: the renderer keeps to one thread. They end when idle for a while."""
    # where a run is cut off, loky's tracker frees what was left, but would say so after the command has ended
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    count = min(cpu_count(), _MOST_PROCESSES)
    executor: Executor = ProcessPoolExecutor(count, timeout=_IDLE_S, initializer=_begin, initargs=(os.getpid(),))
    return executor


def _begin(parent: int) -> None:
    """Begin as a process that draws: it would outlive a parent that was killed until it was idle for a while."""
    end_with(parent)
    _load_renderer()


def _load_renderer() -> None:
    from flows.draw import warm_up  # noqa: PLC0415

    warm_up()


def _write_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> None:
    from flows.draw import write_chart  # noqa: PLC0415

    write_chart(entry, frame, files)


def _write_bundle(file: Path) -> None:
    """Write Vega, Vega-Lite and vega-embed as one script. Making it takes seconds: it is kept in the user's cache."""
    import vl_convert  # noqa: PLC0415

    cached = user_cache_path("rooflines") / f"vega-{RENDERER}.js"
    try:
        script = cached.read_bytes()
    except OSError:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
        with suppress(OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            partial = cached.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(script)
            partial.replace(cached)
    file.write_bytes(script)

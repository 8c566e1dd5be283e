"""Processes that draw charts in parallel. Only they load Altair and the renderer."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import polars as pl
from loky import ProcessPoolExecutor, cpu_count
from platformdirs import user_cache_path

from charts.gallery import ChartEntry
from warehouse.errors import RunError, one_line
from warehouse.files.atomic import write_file
from warehouse.process_limits import end_with_parent, limit_memory

RENDERER = version("vl-convert-python")
_MOST_PROCESSES = 8
_MOST_BYTES = 4 * 2**30  # the memory of one process; a chart takes a tenth of it
_IDLE_S = 60
_MOST_DRAWING_S = 120.0  # if no drawing finishes in this time, the processes hang

Submit = Callable[[], "Future[None]"]


class Drawings:
    """Drawings that are made in parallel; each succeeds or fails on its own.

    Leaving the context cancels the drawings that have not begun, and waits for the others.
    """

    def __init__(self) -> None:
        self._submits: dict[str, Submit] = {}
        self._futures: dict[Future[None], str] = {}

    def __enter__(self) -> "Drawings":
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._futures:
            future.cancel()
        wait(self._futures, timeout=_MOST_DRAWING_S)

    def submit(self, name: str, submit: Submit) -> None:
        """Begin a drawing."""
        self._submits[name] = submit
        self._futures[submit()] = name

    def finish(
        self, progress: Callable[[str], None], finished: Callable[[str], None] = lambda _: None
    ) -> dict[str, BaseException]:
        """Wait for all drawings, call `finished` with the name of each, and return the errors of those that failed.

        If a process dies, or no drawing finishes for a long time, the drawings without a result are repeated one at a
        time, so that only the one at fault fails.
        """
        failed: dict[str, BaseException] = {}
        for name in self._collect(failed, progress, finished):
            self._futures = {self._submits[name](): name}
            if self._collect(failed, progress, finished):
                failed[name] = RunError("its drawing took too long, or ended the process that draws")
        return failed

    def _collect(
        self, failed: dict[str, BaseException], progress: Callable[[str], None], finished: Callable[[str], None]
    ) -> list[str]:
        """Wait for the submitted drawings; return the names of those without a result."""
        lost: list[str] = []
        count, waiting = len(self._submits), set(self._futures)
        while waiting:
            done, waiting = wait(waiting, timeout=_MOST_DRAWING_S, return_when=FIRST_COMPLETED)
            if not done:
                _end_processes()
                return lost + [self._futures[future] for future in waiting]
            for future in done:
                name, error = self._futures[future], future.exception()
                if isinstance(error, BrokenExecutor):
                    lost.append(name)
                elif error is not None:
                    failed[name] = error
                else:
                    finished(name)
                    progress(f"drawn {name} ({len(self._futures) - len(waiting)} of {count})")
        return lost


def start() -> None:
    """Start the processes ahead of time; otherwise the first chart would wait for them."""
    _start_executor().submit(_load_renderer)


def submit_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> Future[None]:
    """Write the files of a chart in another process, as `flows.site.render.write_chart` does."""
    return _submit(_write_chart, entry, frame, files)


def submit_bundle(file: Path) -> Future[None]:
    """Write the script that shows charts in a browser, in another process."""
    return _submit(_write_bundle, file)


def _submit(function: Callable[..., None], *arguments: object) -> Future[None]:
    try:
        future: Future[None] = _start_executor().submit(function, *arguments)
    except BrokenExecutor:  # a process was killed meanwhile
        _start_executor.cache_clear()
        future = _start_executor().submit(function, *arguments)
    return future


def _end_processes() -> None:
    """Kill the processes; the next drawing starts new ones."""
    _start_executor().shutdown(wait=False, kill_workers=True)
    _start_executor.cache_clear()


@cache
def _start_executor() -> ProcessPoolExecutor:
    """Start one process per core, because the renderer uses one thread; idle ones end after a while."""
    # after an interrupted run, loky's tracker frees what is left, and would warn about it after the command has ended
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    count = min(cpu_count(), _MOST_PROCESSES)
    alone = {"POLARS_MAX_THREADS": "1"}  # there is a process per core, and the frames of charts are small
    return ProcessPoolExecutor(count, timeout=_IDLE_S, initializer=_prepare_process, initargs=(os.getpid(),), env=alone)


def _prepare_process(parent: int) -> None:
    """Prepare a new process: it ends with its parent, which idle processes would outlive, and its memory is limited."""
    end_with_parent(parent)
    limit_memory(_MOST_BYTES)
    _load_renderer()


def _load_renderer() -> None:
    from flows.site.render import warm_up  # noqa: PLC0415

    warm_up()


def _write_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> None:
    from flows.site.render import write_chart  # noqa: PLC0415

    try:
        write_chart(entry, frame, files)
    except (OSError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # Rust panics too, which cannot be unpickled
        raise RunError(f"{type(error).__name__}: {one_line(error)}") from None


def load_bundle() -> bytes:
    """Return Vega, Vega-Lite and vega-embed as one script, kept in the user's cache: it takes seconds to make."""
    import vl_convert  # noqa: PLC0415

    cached = user_cache_path("rooflines") / f"vega-{RENDERER}.js"
    try:
        script = cached.read_bytes()
    except OSError:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
        with suppress(OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            write_file(cached, script)
    return script


def _write_bundle(file: Path) -> None:
    file.write_bytes(load_bundle())

"""Processes that draw charts beside each other. Altair and the renderer are loaded in them alone."""

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
_MOST_BYTES = 4 * 2**30  # of memory that drawing takes; a chart takes a tenth of it
_IDLE_S = 60
_MOST_DRAWING_S = 120.0  # without any drawing that ends

Submit = Callable[[], "Future[None]"]


class Drawings:
    """Drawings that are made beside each other, of which each ends well or badly on its own.

    As a context, what is left of them ends with it.
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
        """Have something drawn."""
        self._submits[name] = submit
        self._futures[submit()] = name

    def finish(self, progress: Callable[[str], None]) -> dict[str, BaseException]:
        """Wait for all drawings, and return by name why some failed.

        Where a process ended, or no drawing did for long, those without a result are made once more, one at a time:
        so each but the one at fault gets its own.
        """
        failed: dict[str, BaseException] = {}
        for name in self._collect(failed, progress):
            self._futures = {self._submits[name](): name}
            if self._collect(failed, progress):
                failed[name] = RunError("its drawing ended the process that drew, or took too long")
        return failed

    def _collect(self, failed: dict[str, BaseException], progress: Callable[[str], None]) -> list[str]:
        """Wait for the drawings at hand; return those of which nothing is known."""
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
                    progress(f"drawn {name} ({len(self._futures) - len(waiting)} of {count})")
        return lost


def start() -> None:
    """Start the processes, which takes a while, and would do so at the first chart."""
    _start_executor().submit(_load_renderer)


def submit_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> Future[None]:
    """Have the files of a chart written, as `flows.site.render.write_chart` does."""
    return _submit(_write_chart, entry, frame, files)


def submit_bundle(file: Path) -> Future[None]:
    """Have the script written that shows charts in a browser."""
    return _submit(_write_bundle, file)


def _submit(function: Callable[..., None], *arguments: object) -> Future[None]:
    try:
        future: Future[None] = _start_executor().submit(function, *arguments)
    except BrokenExecutor:  # one was killed since
        _start_executor.cache_clear()
        future = _start_executor().submit(function, *arguments)
    return future


def _end_processes() -> None:
    """End the processes, whatever they do; the next drawing starts others."""
    _start_executor().shutdown(wait=False, kill_workers=True)
    _start_executor.cache_clear()


@cache
def _start_executor() -> ProcessPoolExecutor:
    """Return the processes, one a core: the renderer keeps to one thread. They end when idle for a while."""
    # where a run is cut off, loky's tracker frees what was left, but would say so after the command has ended
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    count = min(cpu_count(), _MOST_PROCESSES)
    return ProcessPoolExecutor(count, timeout=_IDLE_S, initializer=_prepare_process, initargs=(os.getpid(),))


def _prepare_process(parent: int) -> None:
    """Begin as a process that draws: it would outlive a parent that was killed until it was idle for a while."""
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
    except BaseException as error:  # Rust's panics too, which no other process could read
        raise RunError(f"{type(error).__name__}: {one_line(error)}") from None


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
            write_file(cached, script)
    file.write_bytes(script)

"""The parts of a sweep on the workers of a Dask scheduler, which import this and need no Prefect."""

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from distributed import Client, Future, wait

from flows.sweep.grid import Part
from flows.sweep.parts import Runner
from warehouse.errors import InputError, RunError, one_line
from warehouse.files.bucket import Location
from warehouse.sweeps.registry import PartFile
from warehouse.version import computing_code

_CONNECT_S = 10
_PATIENCE_S = 30  # without any worker
_AHEAD = 256  # parts that the scheduler knows of at once; it need not hold all of a large sweep
_RETRIES = 2  # of a part whose worker could not write it

Work = Callable[[Part], PartFile]
T = TypeVar("T")


def dask_runner(address: str, folder: Location) -> Runner:
    """Return what has parts worked on by the workers of a scheduler, which all see the folder.

    A part whose worker dies goes to another one.
    """

    def run(work: Work, parts: Sequence[Part]) -> Iterator[PartFile]:
        with _connect(address) as client, _put_mark_beside(folder) as mark:
            _refuse_unfit_workers(client, address, mark)
            yield from _work_on_parts(client, work, parts)

    return run


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    """Connect to a scheduler.

    Raises
    ------
    InputError
        There is none at the address.
    ConnectionError
        It ended before we left.
    """
    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they would say is said in one line below
    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        expected = "a Dask scheduler that runs, as tcp://10.0.0.5:8786"
        raise InputError(f"--address: {address}: {one_line(error)}; expected {expected}") from None
    try:
        yield client
    except Exception as error:
        is_told = isinstance(error, OSError | RunError | InputError) or client.status == "running"
        if is_told and not _is_lost(error):
            raise
        raise ConnectionError(f"the Dask scheduler at {address} is gone") from None
    finally:
        client.close(timeout=1)


def _is_lost(error: Exception) -> bool:
    return "CommClosed" in type(error).__name__ or "Cancelled" in type(error).__name__


@contextmanager
def _put_mark_beside(folder: Location) -> Iterator[Location]:
    """Put a file into the folder for as long as the workers need it to show that they see the same folder."""
    mark = folder / f"{secrets.token_hex(8)}.partial"
    _put_mark(mark)
    try:
        yield mark
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _put_mark(mark: Location) -> None:
    if isinstance(mark, Path):
        mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_bytes(b"a sweep is being written here")


def _refuse_unfit_workers(client: Client, address: str, mark: Location) -> None:
    """Refuse workers that would write other figures, or to another place.

    Raises
    ------
    InputError
        There is no worker, or one lacks the package, has another version of it, or does not see the folder.
    """
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError:
        raise InputError(f"--address: {address}: no worker; expected one within {_PATIENCE_S} s") from None
    found = client.run(_what_is_here, mark, on_error="return")
    for worker, here in found.items():
        if type(here).__name__ == "CommClosedError":  # it has just gone
            continue
        if isinstance(here, Exception):
            expected = "this version of rooflines" if _is_import(here) else f"one that can read {mark.parent}"
            raise InputError(f"worker {worker}: {one_line(here)}; expected {expected}")
        code, sees_mark = here
        _refuse_other_code(worker, code)
        if not sees_mark:
            raise InputError(f"--out: worker {worker} does not see this folder; expected one of shared storage")


def _what_is_here(mark: Location) -> tuple[str, bool]:
    """Return on a worker which code computes, and whether it sees a file."""
    return computing_code(), mark.is_file()


def _refuse_other_code(worker: str, code: str, expected: str | None = None) -> None:
    if code != (expected or computing_code()):
        raise InputError(f"worker {worker}: other versions of rooflines or polars; expected those of this machine")


def _work_on_parts(client: Client, work: Work, parts: Sequence[Part]) -> Iterator[PartFile]:
    """Yield what comes of every part, with as many of them on their way as keep the workers busy."""
    waiting, pending = iter(parts), set[Future[PartFile]]()
    run = secrets.token_hex(4)
    # a task, not data: where its worker dies, the scheduler has another one hold it
    shared = client.submit(_hand_on, work, key=f"sweep-{run}", pure=False)
    submit = partial(client.submit, _work_here, shared, computing_code(), retries=_RETRIES, pure=False)
    numbered = enumerate(waiting)
    try:
        while True:
            pending |= {submit(part, key=f"part-{run}-{n}") for n, part in islice(numbered, _AHEAD - len(pending))}
            if not pending:
                return
            done = _ask_patiently(client, partial(_first_done, pending))
            pending -= done
            for future in done:
                yield _fetch_result(client, future)
    finally:
        client.cancel([*pending, shared])


def _first_done(pending: set[Future[PartFile]], timeout_s: float) -> set[Future[PartFile]]:
    """Wait until a part is done, and return those that are."""
    return set(wait(pending, timeout=timeout_s, return_when="FIRST_COMPLETED").done)


def _ask_patiently(client: Client, ask: Callable[[float], T]) -> T:
    """Ask for something that workers bring about, for as long as there are any.

    Raises
    ------
    ConnectionError
        No worker is left.
    """
    while True:
        try:
            return ask(_PATIENCE_S)
        except TimeoutError:
            if not client.scheduler_info()["workers"]:
                raise ConnectionError("no worker is left") from None


def _is_import(error: BaseException) -> bool:
    """Whether a worker lacks the package; Dask may pass on such an error as text."""
    return isinstance(error, ImportError) or "ModuleNotFoundError" in str(error)


def _hand_on(work: Work) -> Work:
    return work


def _work_here(work: Work, code: str, part: Part) -> PartFile:
    """Work on a part on a worker, which may have come after the others were looked at."""
    from distributed import get_worker  # noqa: PLC0415

    _refuse_other_code(get_worker().address, computing_code(), code)
    return work(part)


def _fetch_result(client: Client, future: Future[PartFile]) -> PartFile:
    """Return what came of a part, which is worked on once more where its worker died with the result."""

    def ask(timeout_s: float) -> PartFile:
        wait(future, timeout=timeout_s)
        if (error := future.exception(timeout=timeout_s)) is None:
            result: PartFile = future.result(timeout=timeout_s)
            return result
        if _is_import(error):
            raise InputError(f"a worker: {one_line(error)}; expected this version of rooflines")
        if type(error).__name__ == "KilledWorker":
            hint = "with fewer --rows-per-part it takes less memory"
            raise RunError(f"a part ended several workers, one after another; {hint}")
        raise ConnectionError(one_line(error)) if isinstance(error, TimeoutError) else error  # or it is taken for ours

    return _ask_patiently(client, ask)

"""Write the parts of a sweep on the workers of a Dask scheduler; workers import this module, and not Prefect."""

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
_PATIENCE_S = 30  # without a worker
_AHEAD = 256  # parts submitted at once: the scheduler need not hold all of a large sweep
_RETRIES = 2  # retries of a part that a worker could not write

Work = Callable[[Part], PartFile]
T = TypeVar("T")


def dask_runner(address: str, folder: Location) -> Runner:
    """Return a runner that writes parts on the workers of a scheduler, which all must see the folder.

    If a worker dies, another one takes over its part.
    """

    def run(work: Work, parts: Sequence[Part]) -> Iterator[PartFile]:
        with _connect(address) as client, _hold_mark(folder) as mark:
            _refuse_unfit_workers(client, address, mark)
            yield from _work_on_parts(client, work, parts)

    return run


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    """Connect to a scheduler.

    Raises
    ------
    InputError
        There is no scheduler at the address.
    ConnectionError
        The scheduler ended meanwhile.
    """
    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # one line below reports the same
    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        expected = "a running Dask scheduler, e.g. tcp://10.0.0.5:8786"
        raise InputError(f"--address: {address}: {one_line(error)}; expected {expected}") from None
    try:
        yield client
    except Exception as error:
        is_explained = isinstance(error, OSError | RunError | InputError) or client.status == "running"
        if is_explained and not _is_connection_loss(error):
            raise
        raise ConnectionError(f"the Dask scheduler at {address} is gone") from None
    finally:
        client.close(timeout=1)


def _is_connection_loss(error: Exception) -> bool:
    return "CommClosed" in type(error).__name__ or "Cancelled" in type(error).__name__


@contextmanager
def _hold_mark(folder: Location) -> Iterator[Location]:
    """Keep a file in the folder, by which workers show that they see the same folder."""
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
    """Refuse workers that would compute other figures, or write elsewhere.

    Raises
    ------
    InputError
        There is no worker, or a worker lacks the package, has another version of it, or does not see the folder.
    """
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError:
        raise InputError(f"--address: {address}: no worker; expected one within {_PATIENCE_S} s") from None
    found = client.run(_inspect_worker, mark, on_error="return")
    for worker, here in found.items():
        if type(here).__name__ == "CommClosedError":  # it has just ended
            continue
        if isinstance(here, Exception):
            expected = "this version of rooflines" if _is_missing_package(here) else f"one that can read {mark.parent}"
            raise InputError(f"worker {worker}: {one_line(here)}; expected {expected}")
        code, sees_mark = here
        _refuse_other_code(worker, code)
        if not sees_mark:
            raise InputError(f"--out: worker {worker} does not see this folder; expected one on shared storage")


def _inspect_worker(mark: Location) -> tuple[str, bool]:
    """Return, on a worker, the digest of the computing code and whether a file is visible."""
    return computing_code(), mark.is_file()


def _refuse_other_code(worker: str, code: str, expected: str | None = None) -> None:
    if code != (expected or computing_code()):
        raise InputError(f"worker {worker}: other versions of rooflines or polars; expected those of this machine")


def _work_on_parts(client: Client, work: Work, parts: Sequence[Part]) -> Iterator[PartFile]:
    """Yield the result of every part, with enough parts in flight to keep the workers busy."""
    waiting, pending = iter(parts), set[Future[PartFile]]()
    run = secrets.token_hex(4)
    # a task, not data: if its worker dies, the scheduler moves it to another one
    shared = client.submit(_pass_through, work, key=f"sweep-{run}", pure=False)
    submit = partial(client.submit, _write_part_on_worker, shared, computing_code(), retries=_RETRIES, pure=False)
    numbered = enumerate(waiting)
    try:
        while True:
            pending |= {submit(part, key=f"part-{run}-{n}") for n, part in islice(numbered, _AHEAD - len(pending))}
            if not pending:
                return
            done = _wait_while_workers_live(client, partial(_wait_for_any, pending))
            pending -= done
            for future in done:
                yield _fetch_result(client, future)
    finally:
        client.cancel([*pending, shared])


def _wait_for_any(pending: set[Future[PartFile]], timeout_s: float) -> set[Future[PartFile]]:
    """Wait until a part is done, and return all that are."""
    return set(wait(pending, timeout=timeout_s, return_when="FIRST_COMPLETED").done)


def _wait_while_workers_live(client: Client, ask: Callable[[float], T]) -> T:
    """Wait for something that workers do, as long as there are workers.

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


def _is_missing_package(error: BaseException) -> bool:
    """Whether a worker lacks the package; Dask may deliver such an error as text."""
    return isinstance(error, ImportError) or "ModuleNotFoundError" in str(error)


def _pass_through(work: Work) -> Work:
    return work


def _write_part_on_worker(work: Work, code: str, part: Part) -> PartFile:
    """Write a part on a worker, which may have joined after the others were checked."""
    from distributed import get_worker  # noqa: PLC0415

    _refuse_other_code(get_worker().address, computing_code(), code)
    return work(part)


def _fetch_result(client: Client, future: Future[PartFile]) -> PartFile:
    """Return the result of a part; if its worker died with the result, the part is written again."""

    def ask(timeout_s: float) -> PartFile:
        wait(future, timeout=timeout_s)
        if (error := future.exception(timeout=timeout_s)) is None:
            result: PartFile = future.result(timeout=timeout_s)
            return result
        if _is_missing_package(error):
            raise InputError(f"a worker: {one_line(error)}; expected this version of rooflines")
        if type(error).__name__ == "KilledWorker":
            hint = "fewer --rows-per-part take less memory"
            raise RunError(f"a part ended several workers, one after another; {hint}")
        if isinstance(error, TimeoutError):  # it would pass for one of ours
            raise ConnectionError(one_line(error))
        raise error

    return _wait_while_workers_live(client, ask)

"""A request for a sweep, in the words of the command, and the grid that it spans."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from flows.intensity.conventions import CONVENTIONS
from flows.intensity.terms import PHASES, SHARING
from flows.sweep.devices import DeviceRequest, KnownDevices, make_devices
from flows.sweep.grid import ROWS_PER_PART, Grid, Inputs
from warehouse.errors import InputError
from warehouse.files.bucket import Location
from warehouse.names import choose_names
from warehouse.sweeps.registry import MadeUpDevice

_MOST_VALUES = 1_000_000
_MOST_WAYS = 1_024  # to share; their ops are listed before the sweep is cut into parts

_RANGE = re.compile(r"(?P<first>[0-9]{1,12})(?::(?P<last>[0-9]{1,12}):(?P<times>x?)(?P<step>[0-9]{1,12}))?")

# option -> the largest value, as in workloads
_MOST = {
    "--tensor-parallel": 64, "--batch": 10**6, "--sequence": 10**8, "--candidates": 10**5, "--expert-parallel": 1024,
    "--pipeline-parallel": 1024, "--data-parallel": 1024, "--query": 10**8,
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request for a sweep, in the words of the command."""

    name: str
    models: Sequence[str] = ()
    conventions: Sequence[str] = ("engine",)
    phases: Sequence[str] = ()
    precisions: Sequence[str] = ()
    tensor_parallel: str = "1"
    batch: str = "1:256:x2"
    sequence: str = "128:32768:x2"
    candidates: str | None = None
    rows_per_part: int = ROWS_PER_PART
    out: Location | None = None
    query: str | None = None
    expert_parallel: str = "1"
    pipeline_parallel: str = "1"
    data_parallel: str = "1"
    devices: DeviceRequest | None = None


def parse_range(option: str, text: str) -> list[int]:
    """Return the numbers in a range, sorted and without duplicates.

    Parameters
    ----------
    option
        The option, e.g. --batch.
    text
        Numbers and ranges separated by commas: 1,2,4 or 1:64:1 (steps) or 1:512:x2 (factors).

    Raises
    ------
    InputError
        The text is not a range, or a number is out of bounds.
    """
    expected = f"numbers from 1 to {_MOST[option]}, e.g. 1,2,4 or 1:64:1 (steps of 1) or 1:512:x2 (times 2)"
    found: set[int] = set()
    for piece in map(str.strip, text.split(",")):
        match = _RANGE.fullmatch(piece)
        if not match:
            raise InputError(f"{option}: {text}: expected {expected}")
        first, last, step = (int(match[name] or match["first"]) for name in ("first", "last", "step"))
        is_range, times = match["last"] is not None, match["times"] == "x"
        if is_range and (first > last or step < 1 + times):
            raise InputError(f"{option}: {piece}: expected {expected}, the smaller number first")
        if not 1 <= first <= last <= _MOST[option]:
            raise InputError(f"{option}: {piece}: expected {expected}")
        if is_range and not times and (last - first) // step >= _MOST_VALUES:
            raise InputError(f"{option}: {piece}: expected at most {_MOST_VALUES} numbers")
        found.update(_powers(first, last, step) if times else range(first, last + 1, step))
    return sorted(found)


def _powers(first: int, last: int, factor: int) -> Iterator[int]:
    while first <= last:
        yield first
        first *= factor


def make_grid(request: Request, inputs: Inputs) -> Grid:
    """Return the grid that a request spans.

    Raises
    ------
    InputError
        A name is unknown, or a range is not valid.
    """
    phases = request.phases or ["prefill", "decode", *(["speculative"] if request.candidates is not None else [])]
    grid = Grid(
        models=choose_names("--model", request.models, inputs.layers["model_id"].unique(maintain_order=True).to_list()),
        conventions=choose_names("--convention", request.conventions, list(CONVENTIONS)),
        phases=choose_names("--phase", phases, PHASES),
        precisions=request.precisions
        and choose_names("--precision", request.precisions, inputs.precisions["precision_id"].to_list()),
        published=inputs.published,
        tensor_parallel=parse_range("--tensor-parallel", request.tensor_parallel),
        batch_size=parse_range("--batch", request.batch),
        sequence_length=parse_range("--sequence", request.sequence),
        candidates=parse_range("--candidates", request.candidates) if request.candidates is not None else [],
        queries=parse_range("--query", request.query) if request.query is not None else [],
        expert_parallel=parse_range("--expert-parallel", request.expert_parallel),
        pipeline_parallel=parse_range("--pipeline-parallel", request.pipeline_parallel),
        data_parallel=parse_range("--data-parallel", request.data_parallel),
        has_shapes=request.devices is not None,
    )
    _refuse_missing_queries(grid, request)
    ways = prod(len(getattr(grid, name)) for name in SHARING)
    if ways > _MOST_WAYS:
        given = ", ".join(f"--{name.replace('_', '-')} {getattr(request, name)}" for name in SHARING)
        raise InputError(f"{given}: {ways} ways to share; expected at most {_MOST_WAYS}")
    return grid


def list_devices(request: Request, inputs: Inputs, grid: Grid, known: KnownDevices) -> list[MadeUpDevice]:
    """Return the made-up devices of a request; none if it asks for none.

    Raises
    ------
    InputError
        The devices cannot be made up, or cannot run the sweep.
    """
    if request.devices is None:
        return []
    used = list(dict.fromkeys(name for model_id in grid.models for name in grid.list_precisions(model_id)))
    columns = ["precision_id", "compute_dtype"]
    computed = [*inputs.precisions.select(columns).rows(), *inputs.precision_parts.select(columns).drop_nulls().rows()]
    dtypes = {name: {dtype for precision_id, dtype in computed if precision_id == name} for name in used}
    is_shared = any(max(way) > 1 for way in grid.ways().iter_rows())
    return make_devices(request.devices, known, dtypes, is_shared=is_shared)


def _refuse_missing_queries(grid: Grid, request: Request) -> None:
    if "speculative" not in grid.phases and grid.candidates:
        raise InputError(f"--candidates: {request.candidates}: expected with the phase speculative")
    if "speculative" in grid.phases and not grid.candidates:
        raise InputError("--candidates: missing; expected numbers with the phase speculative")
    if grid.queries and {"prefill", "mixed"}.isdisjoint(grid.phases):
        raise InputError(f"--query: {request.query}: expected with the phase prefill or mixed")
    if "mixed" in grid.phases and not grid.queries:
        raise InputError("--query: missing; expected numbers with the phase mixed")
    if grid.queries and grid.queries[0] > grid.sequence_length[-1]:
        raise InputError(f"--query: {request.query}: expected at most the longest --sequence: {request.sequence}")

"""Run a sweep: plan its parts, write them, and register all of them in one commit, so that readers see them."""

import errno
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import polars as pl

from flows.intensity.shapes import join_layers
from flows.sweep.devices import KnownDevices
from flows.sweep.grid import Grid, Inputs, Part, count_rows_and_parts, cut_into_parts
from flows.sweep.parts import Runner, find_parts, part_path, run_in_threads, write_part
from flows.sweep.request import Request, list_devices, make_grid
from warehouse.errors import InputError, RunError, one_line
from warehouse.files.bucket import Location
from warehouse.home import Home, refuse_unnameable
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_column, fetch_rows
from warehouse.snapshot import open_snapshot, refuse_earlier_version
from warehouse.sql_values import quote_name
from warehouse.sweeps import registry as sweeps
from warehouse.sweeps.registry import MadeUpDevice, PartFile, Sweep
from warehouse.version import code_version

BYTES_PER_ROW = 5  # about, in a file

_MOST_ROWS_PER_PART = 20_000_000  # each thread has one in memory
_MOST_PARTS = 100_000  # 400 billion rows at the default size


@dataclass(frozen=True)
class Summary:
    """What a sweep did, or would do."""

    row_count: int
    part_count: int
    parts_before: int
    size_bytes: int
    folder: Location
    device_count: int = 0  # made-up devices


@dataclass(frozen=True, eq=False)
class Plan:
    """A sweep before its parts are written."""

    request: Request
    inputs: Inputs
    grid: Grid
    parts: Sequence[Part]
    parts_before: int
    shown: str  # the folder, as core.sweep names it
    folder: Location
    devices: Sequence[MadeUpDevice] = ()

    @property
    def row_count(self) -> int:
        """Rows of all parts."""
        return sum(part.row_count for part in self.parts)


def read_published_inputs(home: Home) -> Inputs:
    """Return what costs are computed from, as the published snapshot has it.

    Raises
    ------
    InputError
        There is no snapshot, or it was made by an earlier version.
    """
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        tables = ("model", "layer_group", "precision", "elementwise", "precision_part")
        frames = (read_frame(connection, f"from {quote_name('core', table)} order by all") for table in tables)
        model, layer_group, *others = frames
    published = model.drop_nulls("published_precision").select("model_id", "published_precision").rows()
    return Inputs(join_layers(model, layer_group), *others, published=dict(published))


def read_known_devices(home: Home) -> KnownDevices:
    """Return the devices of the published snapshot.

    Raises
    ------
    InputError
        There is no snapshot.
    """
    with open_snapshot(home.snapshot) as connection:
        names = fetch_column(connection, "select hardware_id from core.hardware order by all")
        ceilings = fetch_rows(connection, "select distinct hardware_id, kind, name from core.ceiling order by all")
        runnable = fetch_rows(connection, "from core.runnable_precision order by all")
    dtypes, precisions = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for hardware_id, kind, name in ceilings:
        if kind == "compute":
            dtypes[hardware_id].append(name)
    for hardware_id, precision_id in runnable:
        precisions[hardware_id].append(precision_id)
    linked = {hardware_id for hardware_id, _, name in ceilings if name == "interconnect"}
    return KnownDevices(names, dtypes, linked, precisions)


def plan_sweep(home: Home, request: Request) -> Plan:
    """Return the parts that a request asks for, and where they go.

    Raises
    ------
    InputError
        The request cannot be met, or its folder cannot be listed.
    """
    sweeps.refuse_bad_name("--name", request.name)
    if not 1 <= request.rows_per_part <= _MOST_ROWS_PER_PART:
        raise InputError(f"--rows-per-part: {request.rows_per_part}: expected 1 to {_MOST_ROWS_PER_PART}")
    home.refuse_unusable_path()
    if isinstance(request.out, Path):
        refuse_unnameable("--out", request.out)
    inputs = read_published_inputs(home)
    grid = make_grid(request, inputs)
    devices = list_devices(request, inputs, grid, read_known_devices(home)) if request.devices else []
    _refuse_too_large(inputs, grid, request.rows_per_part)
    parts = cut_into_parts(inputs, grid, request.rows_per_part)
    if not parts:
        _refuse_sharing(request)
    shown, folder = sweeps.sweep_folder(home, request.name, request.out)
    present = find_parts(folder, (part_path(inputs, grid, part) for part in parts))
    return Plan(request, inputs, grid, parts, len(present), shown, folder, devices)


def _refuse_sharing(request: Request) -> NoReturn:
    further = [request.expert_parallel, request.pipeline_parallel, request.data_parallel]
    if further == ["1", "1", "1"]:
        raise InputError(f"--tensor-parallel: {request.tensor_parallel}: no model's heads divide evenly; expected 1")
    raise InputError(
        f"--expert-parallel {further[0]}, --pipeline-parallel {further[1]}: no model is shared so; expected at most its"
        " experts, in a multiple of --tensor-parallel that divides --tensor-parallel × --data-parallel, and its layers"
    )


def _refuse_too_large(inputs: Inputs, grid: Grid, rows_per_part: int) -> None:
    rows, parts = count_rows_and_parts(inputs, grid, rows_per_part)
    if parts > _MOST_PARTS:
        raise InputError(
            f"sweep: {rows:,} rows in about {parts:,} parts of --rows-per-part {rows_per_part}; expected at most"
            f" {_MOST_PARTS:,} parts: fewer models, shorter ranges or larger parts"
        )


def run_sweep(
    home: Home,
    request: Request,
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    runner: Runner = run_in_threads,
) -> Summary:
    """Compute the op costs of a grid into Parquet files, and register them for readers.

    Existing files are kept. Readers see nothing before all files exist.

    Raises
    ------
    InputError
        The request cannot be met, or its folder cannot be written.
    RunError
        The disk is full, or another run holds the home.
    """
    plan = plan_sweep(home, request)
    if dry_run:
        size = plan.row_count * BYTES_PER_ROW
        return Summary(plan.row_count, len(plan.parts), plan.parts_before, size, plan.folder, len(plan.devices))
    files = write_parts(plan, runner, progress)
    progress("registering the parts")
    return register_sweep(home, plan, files)


def register_sweep(home: Home, plan: Plan, files: Sequence[PartFile]) -> Summary:
    """Register the parts of a sweep in one commit, whichever machine wrote them.

    Raises
    ------
    RunError
        A part is missing, or another run holds the home.
    """
    request, grid, asked = plan.request, plan.grid, plan.request.devices
    missing = {file.path for file in files} - find_parts(plan.folder, (file.path for file in files))
    if missing or len({file.path for file in files}) != len(plan.parts):
        raise RunError(
            f"{plan.folder}: {len(missing)} of {len(plan.parts)} parts are gone; run the same command again to resume"
        )
    registered = Sweep(
        sweep_id=request.name,
        folder=plan.shown,
        row_count=plan.row_count,
        models=grid.models,
        conventions=grid.conventions,
        phases=grid.phases,
        precisions=list(dict.fromkeys(name for model_id in grid.models for name in grid.list_precisions(model_id))),
        tensor_parallel_range=request.tensor_parallel,
        batch_range=request.batch,
        sequence_range=request.sequence,
        candidate_range=request.candidates,
        query_range=request.query,
        expert_parallel_range=request.expert_parallel,
        pipeline_parallel_range=request.pipeline_parallel,
        data_parallel_range=request.data_parallel,
        device_like=asked.like if asked else None,
        bandwidth_range=asked.bandwidth if asked else None,
        memory_range=asked.memory if asked else None,
        link_range=asked.link if asked else None,
        peak_ranges=list(asked.peaks) or None if asked else None,
        code_version=code_version(),
        created_at=datetime.now(UTC),
    )
    sweeps.register_sweep(home, registered, files, plan.devices)
    size = sum(file.size_bytes for file in files)
    return Summary(plan.row_count, len(plan.parts), plan.parts_before, size, plan.folder, len(plan.devices))


def write_parts(plan: Plan, runner: Runner, progress: Callable[[str], None]) -> list[PartFile]:
    """Write every part.

    Raises
    ------
    InputError
        The folder cannot be written.
    RunError
        The disk is full, or the workers are gone.
    """
    work, folder, parts = partial(write_part, plan.inputs, plan.grid, plan.folder), plan.folder, plan.parts
    files: list[PartFile] = []
    rows = 0
    try:
        for file in runner(work, parts):
            files.append(file)
            rows += file.row_count
            progress(f"part {len(files)} of {len(parts)}, {rows:,} rows")
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise InputError(f"--out: {folder}: {one_line(error)}; expected a folder that can be written") from None
        kept = f"{len(files)} of {len(parts)} parts are finished; run the same command again to resume"
        raise RunError(f"{folder}: {one_line(error)}; {kept}") from None
    return files

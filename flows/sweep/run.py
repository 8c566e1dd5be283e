"""Large grids: op costs of any ranges as Parquet files.

A plan is a list of parts that depend on nothing but themselves. A part's file is named by a digest of
all that it is computed from, so it does not matter who makes it, when, or how often; one commit lets
readers see all of them.
"""

import errno
import hashlib
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import polars as pl

from flows.intensity.conventions import CONVENTIONS
from flows.intensity.grid import PHASES, fixed_ops, grid_costs
from warehouse import sweeps
from warehouse.bucket import BucketPath, Location
from warehouse.durable import sync_file
from warehouse.errors import InputError, RunError, one_line
from warehouse.home import Home, refuse_unnameable
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot, refuse_earlier_version
from warehouse.staged_frames import is_whole
from warehouse.sweeps import PartFile, Sweep
from warehouse.version import code_version, computing_code

ROWS_PER_PART = 4_000_000
BYTES_PER_ROW = 5  # about, in a file
_MOST_ROWS_PER_PART = 20_000_000  # of which each thread has one in memory
_MOST_VALUES = 1_000_000
_FORMAT: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
_NAME_IN_FILE = "rooflines.part"  # a key of the metadata: the name of the file, which says what its rows depend on
_THREADS = 2  # one computes while another writes; each of them uses every core
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RANGE = re.compile(r"(?P<first>[0-9]{1,12})(?::(?P<last>[0-9]{1,12}):(?P<times>x?)(?P<step>[0-9]{1,12}))?")

# option -> the most that a number of it can be, as in workloads
_MOST = {"--tensor-parallel": 8, "--batch": 10**6, "--sequence": 10**8, "--candidates": 10**5}
_DEGREES = (1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What costs are computed from: rows of core.model, core.precision and core.elementwise."""

    models: pl.DataFrame
    precisions: pl.DataFrame
    elementwise: pl.DataFrame


@dataclass(frozen=True)
class Grid:
    """The settings of a sweep: every combination, in each phase."""

    models: Sequence[str]
    conventions: Sequence[str]
    phases: Sequence[str]
    precisions: Sequence[str]
    tensor_parallel: Sequence[int]
    batch_size: Sequence[int]
    sequence_length: Sequence[int]
    candidates: Sequence[int] = ()

    def axes(self, phase: str) -> dict[str, Sequence[int]]:
        """Return the numbers that a phase is computed at, by column; the last one changes fastest."""
        axes = {"batch_size": self.batch_size, "sequence_length": self.sequence_length}
        return {"query_length": self.candidates, **axes} if phase == "speculative" else axes

    def size(self, phase: str) -> int:
        """Return how many settings a phase has, for each model, convention, precision and number of devices."""
        return prod(map(len, self.axes(phase).values()))

    def settings(self, phase: str, start: int, stop: int) -> pl.DataFrame:
        """Return a row a setting of a phase, from one place in their order to another."""
        place = pl.int_range(start, stop, eager=True)
        columns: dict[str, pl.Series] = {}
        for name, numbers in reversed(self.axes(phase).items()):
            columns[name] = pl.Series(numbers, dtype=pl.Int64).gather(place % len(numbers))
            place //= len(numbers)
        if phase != "speculative":
            decoded = pl.repeat(1, stop - start, dtype=pl.Int64, eager=True)
            columns["query_length"] = columns["sequence_length"] if phase == "prefill" else decoded
        return pl.DataFrame(columns)


@dataclass(frozen=True)
class Piece:
    """Settings of one phase, from one place to another, at one precision on one number of devices."""

    precision_id: str
    phase: str
    tensor_parallel: int
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """What one file holds."""

    model_id: str
    convention: str
    pieces: Sequence[Piece]
    row_count: int


@dataclass(frozen=True)
class Summary:
    """What a sweep did, or would do."""

    row_count: int
    part_count: int
    parts_before: int
    size_bytes: int
    folder: Location


@dataclass(frozen=True)
class Request:
    """What a sweep is asked for, in the words of its command."""

    name: str
    models: Sequence[str] = ()
    conventions: Sequence[str] = ("engine",)
    phases: Sequence[str] = ()
    precisions: Sequence[str] = ("fp16",)
    tensor_parallel: str = "1"
    batch: str = "1:256:x2"
    sequence: str = "128:32768:x2"
    candidates: str | None = None
    rows_per_part: int = ROWS_PER_PART
    out: Location | None = None


@dataclass(frozen=True, eq=False)
class Planned:
    """A sweep before its parts are written."""

    request: Request
    inputs: Inputs
    grid: Grid
    parts: Sequence[Part]
    parts_before: int
    shown: str  # the folder, as core.sweep names it
    folder: Location

    @property
    def row_count(self) -> int:
        """Rows of all parts."""
        return sum(part.row_count for part in self.parts)


# Applies a function to every part, in any order and anywhere, and yields each result.
Runner = Callable[[Callable[[Part], PartFile], Sequence[Part]], Iterator[PartFile]]


def numbers(option: str, text: str) -> list[int]:
    """Return the numbers that an option names, each once, in order.

    Parameters
    ----------
    option
        The option, as --batch.
    text
        Numbers and ranges with commas between them: 1,2,4 or 1:64:1 (steps) or 1:512:x2 (factors).

    Raises
    ------
    InputError
        The text says something else, or a number is out of range.
    """
    expected = f"numbers from 1 to {_MOST[option]}, as 1,2,4 or 1:64:1 (steps of 1) or 1:512:x2 (times 2)"
    found: set[int] = set()
    for piece in map(str.strip, text.split(",")):
        match = _RANGE.fullmatch(piece)
        if not match:
            raise InputError(f"{option}: {text}: expected {expected}")
        first, last, step = (int(match[name] or match["first"]) for name in ("first", "last", "step"))
        is_range, times = match["last"] is not None, match["times"] == "x"
        if is_range and (first > last or step < 1 + times):
            raise InputError(f"{option}: {piece}: expected {expected}, the first number the smaller one")
        if not 1 <= first <= last <= _MOST[option]:
            raise InputError(f"{option}: {piece}: expected {expected}")
        if is_range and not times and (last - first) // step >= _MOST_VALUES:
            raise InputError(f"{option}: {piece}: expected at most {_MOST_VALUES} numbers")
        found.update(_powers(first, last, step) if times else range(first, last + 1, step))
    if option == "--tensor-parallel" and not found <= set(_DEGREES):
        raise InputError(f"{option}: {text}: expected some of {', '.join(map(str, _DEGREES))}")
    return sorted(found)


def _powers(first: int, last: int, factor: int) -> Iterator[int]:
    while first <= last:
        yield first
        first *= factor


def published_inputs(home: Home) -> Inputs:
    """Return what the published snapshot computes costs from.

    Raises
    ------
    InputError
        There is no snapshot, or an earlier version made it.
    """
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        tables = ("model", "precision", "elementwise")
        return Inputs(*(read_frame(connection, f"from core.{table} order by 1") for table in tables))


def chosen(option: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names that an option gives, in the order of the known ones; all where it gives none.

    Raises
    ------
    InputError
        A name is not known.
    """
    given = {name.strip() for text in names for name in text.split(",")}
    if unknown := sorted(given - set(known)):
        raise InputError(f"{option}: {unknown[0]}: expected one of {', '.join(known)}")
    return [name for name in known if name in given or not given]


def plan(inputs: Inputs, grid: Grid, rows_per_part: int = ROWS_PER_PART) -> list[Part]:
    """Return the parts of a sweep, none of more rows than asked for, unless one setting has more."""
    ops = _fixed_ops(inputs, grid).group_by("model_id", "convention", "phase", "tensor_parallel").len()
    counts = {tuple(key): count for *key, count in ops.iter_rows()}
    parts: list[Part] = []
    for model_id, convention in product(grid.models, grid.conventions):
        blocks = [
            (Piece(precision_id, phase, degree, 0, grid.size(phase)), counts[model_id, convention, phase, degree])
            for precision_id, phase, degree in product(grid.precisions, grid.phases, grid.tensor_parallel)
            if (model_id, convention, phase, degree) in counts
        ]
        parts += _packed(model_id, convention, blocks, rows_per_part)
    return parts


def _packed(model_id: str, convention: str, blocks: Iterable[tuple[Piece, int]], rows_per_part: int) -> Iterator[Part]:
    """Yield parts of blocks, each with the number of its ops, cut where a part is full."""
    pieces: list[Piece] = []
    rows = 0
    for block, ops in blocks:
        start = block.start
        while start < block.stop:
            fits = (rows_per_part - rows) // ops
            if fits < 1 and pieces:
                yield Part(model_id, convention, tuple(pieces), rows)
                pieces, rows = [], 0
                continue
            stop = min(block.stop, start + max(fits, 1))
            pieces.append(Piece(block.precision_id, block.phase, block.tensor_parallel, start, stop))
            rows, start = rows + (stop - start) * ops, stop
    if pieces:
        yield Part(model_id, convention, tuple(pieces), rows)


def _fixed_ops(inputs: Inputs, grid: Grid) -> pl.DataFrame:
    models = inputs.models.filter(pl.col("model_id").is_in(list(grid.models)))
    return fixed_ops(models, grid.conventions, grid.phases, grid.tensor_parallel)


def path_of(inputs: Inputs, grid: Grid, part: Part) -> str:
    """Return the file of a part inside the sweep's folder, named by all that its rows depend on."""
    precision_ids = [piece.precision_id for piece in part.pieces]
    used = {
        "models": inputs.models.filter(model_id=part.model_id).drop("source_id").to_dicts(),
        "precisions": inputs.precisions.filter(pl.col("precision_id").is_in(precision_ids))
        .drop("source_id")
        .to_dicts(),
        "elementwise": inputs.elementwise.drop("source_id").to_dicts(),
    }
    phases = {piece.phase for piece in part.pieces}
    axes = {phase: {name: list(axis) for name, axis in grid.axes(phase).items()} for phase in phases}
    text = json.dumps([asdict(part), axes, used, computing_code()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"model_id={part.model_id}/convention={part.convention}/{digest[:32]}.parquet"


def rows_of(inputs: Inputs, grid: Grid, part: Part) -> Iterator[pl.DataFrame]:
    """Yield the rows of a part, a frame a piece."""
    model = inputs.models.filter(model_id=part.model_id)
    ops = _ops_of(inputs, part.model_id, part.convention, tuple(grid.phases), tuple(grid.tensor_parallel))
    precisions, counts = _by(inputs.precisions, "precision_id"), _by(inputs.elementwise, "kind")
    precision_ids = pl.Enum(sorted(precisions))
    for piece in part.pieces:
        settings = grid.settings(piece.phase, piece.start, piece.stop)
        yield grid_costs(
            ops[piece.phase, piece.tensor_parallel],
            model,
            precisions[piece.precision_id],
            counts,
            settings.with_columns(precision_id=pl.lit(piece.precision_id, precision_ids)),
        )


@lru_cache(maxsize=16)
def _ops_of(
    inputs: Inputs, model_id: str, convention: str, phases: tuple[str, ...], degrees: tuple[int, ...]
) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Return the ops of a model by phase and number of devices: parts that follow each other share them."""
    ops = fixed_ops(inputs.models.filter(model_id=model_id), [convention], phases, degrees)
    return ops.partition_by("phase", "tensor_parallel", as_dict=True)


def write_part(inputs: Inputs, grid: Grid, folder: Location, part: Part) -> PartFile:
    """Write the file of a part, unless it is there and holds that, and return what is registered of it."""
    path = path_of(inputs, grid, part)
    target = folder / path
    size = _size_of_part(target)
    if size is None:
        rows = pl.concat(rows_of(inputs, grid, part))
        size = _write_on_disk(rows, target) if isinstance(target, Path) else _write_at_once(rows, target)
    return PartFile(path, part.row_count, size)


def _size_of_part(file: Location) -> int | None:
    """Return the size of a file; none where it is not there, or not what its name says. A bucket's are not read."""
    if isinstance(file, Path):
        return file.stat().st_size if is_part(file) else None
    return file.size()


def is_part(file: Path) -> bool:
    """Whether a file is there and whole, and was written as the part that its name says."""
    try:
        return is_whole(file) and pl.read_parquet_metadata(file).get(_NAME_IN_FILE) == file.name
    except (OSError, pl.exceptions.PolarsError):
        return False


def _write_on_disk(rows: pl.DataFrame, target: Path) -> int:
    """Write a file beside its place, and put it there when it is whole; return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{secrets.token_hex(4)}.partial")
    try:
        rows.write_parquet(unfinished, metadata={_NAME_IN_FILE: target.name}, **_FORMAT)
        sync_file(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def _write_at_once(rows: pl.DataFrame, target: BucketPath) -> int:
    """Write a file into a bucket, where none is seen before all of it has arrived; return its size."""
    content = io.BytesIO()
    rows.write_parquet(content, **_FORMAT)
    target.write_bytes(content.getbuffer())
    return content.getbuffer().nbytes


def in_threads(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> Iterator[PartFile]:
    """Work on several parts at once on this machine; where it is interrupted, those begun are finished."""
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done in as_completed([pool.submit(work, part) for part in parts]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def grid_of(request: Request, inputs: Inputs) -> Grid:
    """Return the grid that a request spans.

    Raises
    ------
    InputError
        A name is not known, a range is no range, or a number is out of range.
    """
    phases = request.phases or [phase for phase in PHASES if phase != "speculative" or request.candidates]
    grid = Grid(
        models=chosen("--model", request.models, inputs.models["model_id"].to_list()),
        conventions=chosen("--convention", request.conventions, list(CONVENTIONS)),
        phases=chosen("--phase", phases, PHASES),
        precisions=chosen("--precision", request.precisions, inputs.precisions["precision_id"].to_list()),
        tensor_parallel=numbers("--tensor-parallel", request.tensor_parallel),
        batch_size=numbers("--batch", request.batch),
        sequence_length=numbers("--sequence", request.sequence),
        candidates=numbers("--candidates", request.candidates) if request.candidates else [],
    )
    if "speculative" in grid.phases and not grid.candidates:
        raise InputError("--candidates: none; expected numbers beside the phase speculative")
    return grid


def planned(home: Home, request: Request) -> Planned:
    """Return what a request asks for as parts, and where they go.

    Raises
    ------
    InputError
        The request cannot be met, or its folder cannot be looked into.
    """
    if not _NAME.fullmatch(request.name):
        raise InputError(f"--name: {request.name}: expected small letters, digits, points, dashes and underscores")
    if not 1 <= request.rows_per_part <= _MOST_ROWS_PER_PART:
        raise InputError(f"--rows-per-part: {request.rows_per_part}: expected 1 to {_MOST_ROWS_PER_PART}")
    home.refuse_unusable_path()
    if isinstance(request.out, Path):
        refuse_unnameable("--out", request.out)
    inputs = published_inputs(home)
    grid = grid_of(request, inputs)
    parts = plan(inputs, grid, request.rows_per_part)
    if not parts:
        raise InputError(f"--tensor-parallel: {request.tensor_parallel}: no model's heads come out even; expected 1")
    shown, folder = sweeps.folder_of(home, request.name, request.out)
    present = present_parts(folder, (path_of(inputs, grid, part) for part in parts))
    return Planned(request, inputs, grid, parts, len(present), shown, folder)


def present_parts(folder: Location, paths: Iterable[str]) -> set[str]:
    """Return those of some files that are there and hold what their names say.

    Raises
    ------
    InputError
        The bucket cannot be looked into.
    """
    if isinstance(folder, Path):
        return {path for path in paths if is_part(folder / path)}
    try:
        return set(paths) & folder.sizes().keys()
    except OSError as error:
        expected = "a bucket that can be written, its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise InputError(f"--out: {one_line(error)}; expected {expected}") from None


def sweep(
    home: Home,
    request: Request,
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    runner: Runner = in_threads,
) -> Summary:
    """Compute the op costs of a grid into Parquet files, and let readers see them.

    Files that are there already are kept. Nothing is seen before all are there.

    Raises
    ------
    InputError
        The request cannot be met, or its folder cannot be written.
    RunError
        The disk is full, or another run holds the home.
    """
    plan = planned(home, request)
    if dry_run:
        size = plan.row_count * BYTES_PER_ROW
        return Summary(plan.row_count, len(plan.parts), plan.parts_before, size, plan.folder)
    files = written(plan, runner, progress)
    progress("registering the parts")
    return register(home, plan, files)


def register(home: Home, plan: Planned, files: Sequence[PartFile]) -> Summary:
    """Let readers see the parts of a sweep: the one commit, whoever wrote them.

    Raises
    ------
    RunError
        A part is not there, or another run holds the home.
    """
    request, grid = plan.request, plan.grid
    missing = {file.path for file in files} - present_parts(plan.folder, (file.path for file in files))
    if missing or len({file.path for file in files}) != len(plan.parts):
        raise RunError(f"{plan.folder}: {len(missing)} of {len(plan.parts)} parts are gone; the same command goes on")
    registered = Sweep(
        sweep_id=request.name,
        folder=plan.shown,
        row_count=plan.row_count,
        models=grid.models,
        conventions=grid.conventions,
        phases=grid.phases,
        precisions=grid.precisions,
        tensor_parallel_range=request.tensor_parallel,
        batch_range=request.batch,
        sequence_range=request.sequence,
        candidate_range=request.candidates,
        code_version=code_version(),
        created_at=datetime.now(UTC),
    )
    sweeps.register(home, registered, files)
    size = sum(file.size_bytes for file in files)
    return Summary(plan.row_count, len(plan.parts), plan.parts_before, size, plan.folder)


def written(plan: Planned, runner: Runner, progress: Callable[[str], None]) -> list[PartFile]:
    """Have every part written.

    Raises
    ------
    InputError
        The folder cannot be written.
    RunError
        The disk is full, or who writes is gone.
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
        kept = f"{len(files)} of {len(parts)} parts are there, and the same command goes on from them"
        raise RunError(f"{folder}: {one_line(error)}; {kept}") from None
    return files


def _by(frame: pl.DataFrame, key: str) -> Mapping[str, Mapping[str, Any]]:
    return {row[key]: row for row in frame.iter_rows(named=True)}

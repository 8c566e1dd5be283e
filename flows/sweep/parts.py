"""Parts as Parquet files, each named by a digest of all that its rows are computed from.

So it does not matter which machine writes a part, when, or how often.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from flows.sweep.grid import Grid, Inputs, Part, compute_rows
from warehouse.errors import InputError, one_line
from warehouse.files.atomic import write_atomically
from warehouse.files.bucket import BucketPath, Location
from warehouse.staged_frames import is_whole
from warehouse.sweeps.registry import PartFile
from warehouse.version import computing_code

_FORMAT: dict[str, Any] = {"compression": "zstd", "compression_level": 1}

_NAME_IN_FILE = "rooflines.part"  # metadata key: the file's name, which identifies what its rows depend on

_THREADS = 2  # one computes while the other writes; each uses every core

# applies a function to every part, in any order and on any machine, and yields each result
Runner = Callable[[Callable[[Part], PartFile], Sequence[Part]], Iterator[PartFile]]


def part_path(inputs: Inputs, grid: Grid, part: Part) -> str:
    """Return the path of a part inside the sweep's folder: a digest of everything that its rows depend on."""
    axes = _axes_text(grid, frozenset(piece.phase for piece in part.pieces))
    used = _inputs_text(inputs, part.model_id, frozenset(piece.precision_id for piece in part.pieces))
    shapes = _to_json(grid.has_shapes)
    text = f"[{_to_json(asdict(part))}, {axes}, {used}, {shapes}, {_to_json(computing_code())}]"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"model_id={part.model_id}/convention={part.convention}/{digest[:32]}.parquet"


@lru_cache(maxsize=16)
def _axes_text(grid: Grid, phases: frozenset[str]) -> str:
    """Return the axes of a grid as JSON; up to a million numbers, which all its parts share."""
    return _to_json({phase: {name: list(axis) for name, axis in grid.axes(phase).items()} for phase in phases})


@lru_cache(maxsize=16)
def _inputs_text(inputs: Inputs, model_id: str, precision_ids: frozenset[str]) -> str:
    """Return the inputs of a model's parts as JSON."""
    used = {
        "layers": inputs.layers.filter(model_id=model_id),
        "precisions": inputs.precisions.filter(pl.col("precision_id").is_in(list(precision_ids))),
        "elementwise": inputs.elementwise,
        "precision_parts": inputs.precision_parts.filter(pl.col("precision_id").is_in(list(precision_ids))),
    }
    return _to_json({name: rows.drop("source_id", strict=False).to_dicts() for name, rows in used.items()})


def _to_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def write_part(inputs: Inputs, grid: Grid, folder: Location, part: Part) -> PartFile:
    """Write the file of a part, unless it exists and is whole, and return what is registered."""
    path = part_path(inputs, grid, part)
    target = folder / path
    size = _part_size(target)
    if size is None:
        rows = pl.concat(compute_rows(inputs, grid, part))
        size = _write_to_disk(rows, target) if isinstance(target, Path) else _write_to_bucket(rows, target)
    return PartFile(path, part.row_count, size)


def _part_size(file: Location) -> int | None:
    """Return the size of a part's file; None if it is missing or not whole. Files in a bucket are not read."""
    if isinstance(file, Path):
        return file.stat().st_size if is_whole_part(file) else None
    return file.size()


def is_whole_part(file: Path) -> bool:
    """Whether a file exists, is whole, and was written under this name."""
    try:
        return is_whole(file) and pl.read_parquet_metadata(file).get(_NAME_IN_FILE) == file.name
    except (OSError, pl.exceptions.PolarsError):
        return False


def _write_to_disk(rows: pl.DataFrame, target: Path) -> int:
    """Write a file atomically; return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(target, sync=True) as partial:
        rows.write_parquet(partial, metadata={_NAME_IN_FILE: target.name}, **_FORMAT)
    return target.stat().st_size


def _write_to_bucket(rows: pl.DataFrame, target: BucketPath) -> int:
    """Upload a file to a bucket, where it appears only when complete; return its size."""
    content = io.BytesIO()
    rows.write_parquet(content, **_FORMAT)
    target.write_bytes(content.getbuffer())
    return content.getbuffer().nbytes


def run_in_threads(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> Iterator[PartFile]:
    """Work on several parts at once on this machine; if one fails, parts that were begun are finished."""
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done in as_completed([pool.submit(work, part) for part in parts]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def find_parts(folder: Location, paths: Iterable[str]) -> set[str]:
    """Return the paths whose files exist and are whole.

    Raises
    ------
    InputError
        The bucket cannot be listed.
    """
    if isinstance(folder, Path):
        return {path for path in paths if is_whole_part(folder / path)}
    try:
        return set(paths) & folder.list_sizes().keys()
    except OSError as error:
        expected = "a bucket that can be written, its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise InputError(f"--out: {one_line(error)}; expected {expected}") from None

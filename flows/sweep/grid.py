"""The rows of a grid: every combination of its settings, cut into parts that are independent of each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, prod
from typing import Any

import polars as pl

from flows.intensity.grid import GRID, fixed_ops, grid_costs
from flows.intensity.shapes import list_ways
from flows.intensity.terms import SHARING

ROWS_PER_PART = 4_000_000
PRECISION = "fp16"  # of a model whose config does not say which one it is published in


@dataclass(frozen=True, eq=False)
class Inputs:
    """What costs are computed from: the result of `join_layers`, and rows of three tables of core."""

    layers: pl.DataFrame
    precisions: pl.DataFrame
    elementwise: pl.DataFrame
    precision_parts: pl.DataFrame
    published: Mapping[str, str] = field(default_factory=dict, kw_only=True)  # precision by model


@dataclass(frozen=True, eq=False)
class Grid:
    """The settings of a sweep: every combination, in each phase; without precisions, each model in its own."""

    models: Sequence[str]
    conventions: Sequence[str]
    phases: Sequence[str]
    precisions: Sequence[str]
    tensor_parallel: Sequence[int]
    batch_size: Sequence[int]
    sequence_length: Sequence[int]
    candidates: Sequence[int] = ()
    queries: Sequence[int] = ()
    expert_parallel: Sequence[int] = (1,)
    pipeline_parallel: Sequence[int] = (1,)
    data_parallel: Sequence[int] = (1,)
    published: Mapping[str, str] = field(default_factory=dict)
    has_shapes: bool = False  # rows have the dimensions that expected times depend on

    def list_precisions(self, model_id: str) -> Sequence[str]:
        """Return the precisions of a model: those asked for, or else the one that it is published in."""
        return self.precisions or [self.published.get(model_id, PRECISION)]

    def ways(self) -> pl.DataFrame:
        """Return every combination of ways to share."""
        return list_ways(**{name: getattr(self, name) for name in SHARING})

    def axes(self, phase: str) -> dict[str, Sequence[int]]:
        """Return the values of a phase by column; the last column changes fastest.

        In place of the lengths of prompts that come in chunks, the last column is `pair`, numbered from 0: each chunk
        of each length that it is not longer than.
        """
        axes = {"batch_size": self.batch_size, "sequence_length": self.sequence_length}
        if self._has_chunks(phase):
            return {"batch_size": self.batch_size, "pair": range(int(self._count_chunks().sum()))}
        return {"query_length": self.candidates, **axes} if phase == "speculative" else axes

    def _has_chunks(self, phase: str) -> bool:
        return phase == "mixed" or (phase == "prefill" and bool(self.queries))

    def _count_chunks(self) -> pl.Series:
        """Return how many of the chunks are not longer than each length."""
        chunks = pl.Series(sorted(self.queries), dtype=pl.Int64)
        return chunks.search_sorted(pl.Series(self.sequence_length, dtype=pl.Int64), "right").cast(pl.Int64)

    def _find_chunks(self, pair: pl.Series) -> dict[str, pl.Series]:
        counts = self._count_chunks()
        ends = counts.cum_sum()
        length = ends.search_sorted(pair, "right")
        chunk = pair - (ends - counts).gather(length)
        return {
            "sequence_length": pl.Series(self.sequence_length, dtype=pl.Int64).gather(length),
            "query_length": pl.Series(sorted(self.queries), dtype=pl.Int64).gather(chunk),
        }

    def size(self, phase: str) -> int:
        """Return the number of settings of a phase, per model, convention, precision and way to share."""
        return prod(map(len, self.axes(phase).values()))

    def settings(self, phase: str, start: int, stop: int) -> pl.DataFrame:
        """Return one row per setting of a phase, from index `start` to `stop`."""
        place = pl.int_range(start, stop, eager=True)
        columns: dict[str, pl.Series] = {}
        for name, numbers in reversed(self.axes(phase).items()):
            columns[name] = pl.Series(numbers, dtype=pl.Int64).gather(place % len(numbers))
            place //= len(numbers)
        if self._has_chunks(phase):
            columns |= self._find_chunks(columns.pop("pair"))
        elif phase != "speculative":
            decoded = pl.repeat(1, stop - start, dtype=pl.Int64, eager=True)
            columns["query_length"] = columns["sequence_length"] if phase == "prefill" else decoded
        return pl.DataFrame(columns).select(GRID)


@dataclass(frozen=True)
class Piece:
    """A slice of the settings of one phase, at one precision and one way to share."""

    precision_id: str
    phase: str
    way: tuple[int, ...]  # as SHARING lists it
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """The contents of one file."""

    model_id: str
    convention: str
    pieces: Sequence[Piece]
    row_count: int


def count_rows_and_parts(inputs: Inputs, grid: Grid, rows_per_part: int = ROWS_PER_PART) -> tuple[int, int]:
    """Return the rows of a sweep, and about how many parts hold them, without cutting it."""
    rows, parts = 0, Fraction()
    for _, _, blocks in _list_blocks(inputs, grid):
        for block, ops in blocks:
            rows += block.stop * ops
            parts += Fraction(block.stop, max(rows_per_part // ops, 1))
    return rows, ceil(parts)


def cut_into_parts(inputs: Inputs, grid: Grid, rows_per_part: int = ROWS_PER_PART) -> list[Part]:
    """Return the parts of a sweep, none of more rows than asked for, unless one setting has more."""
    parts: list[Part] = []
    for model_id, convention, blocks in _list_blocks(inputs, grid):
        parts += _pack(model_id, convention, blocks, rows_per_part)
    return parts


def _list_blocks(inputs: Inputs, grid: Grid) -> Iterator[tuple[str, str, list[tuple[Piece, int]]]]:
    """Yield each model and convention with its uncut pieces, and the number of ops of each."""
    ops = _fixed_ops(inputs, grid).group_by("model_id", "convention", "phase", *SHARING).len()
    counts = {tuple(key): count for *key, count in ops.iter_rows()}
    for model_id, convention in product(grid.models, grid.conventions):
        blocks = [
            (Piece(precision_id, phase, way, 0, grid.size(phase)), counts[model_id, convention, phase, *way])
            for precision_id, phase, way in product(
                grid.list_precisions(model_id), grid.phases, grid.ways().iter_rows()
            )
            if (model_id, convention, phase, *way) in counts
        ]
        yield model_id, convention, blocks


def _pack(model_id: str, convention: str, blocks: Iterable[tuple[Piece, int]], rows_per_part: int) -> Iterator[Part]:
    """Yield parts that hold the blocks in order; a block is split where a part is full."""
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
            pieces.append(Piece(block.precision_id, block.phase, block.way, start, stop))
            rows, start = rows + (stop - start) * ops, stop
    if pieces:
        yield Part(model_id, convention, tuple(pieces), rows)


def _fixed_ops(inputs: Inputs, grid: Grid) -> pl.DataFrame:
    layers = inputs.layers.filter(pl.col("model_id").is_in(list(grid.models)))
    return fixed_ops(layers, grid.conventions, grid.phases, grid.ways())


def compute_rows(inputs: Inputs, grid: Grid, part: Part) -> Iterator[pl.DataFrame]:
    """Yield the rows of a part, one frame per piece."""
    ops = _compute_fixed_ops(inputs, part.model_id, part.convention, tuple(grid.phases), tuple(grid.ways().iter_rows()))
    precisions, counts = _index_rows(inputs.precisions, "precision_id"), _index_rows(inputs.elementwise, "kind")
    precision_ids = pl.Enum(sorted(precisions))
    for piece in part.pieces:
        settings = grid.settings(piece.phase, piece.start, piece.stop)
        yield grid_costs(
            ops[piece.phase, *piece.way],
            precisions[piece.precision_id],
            counts,
            settings.with_columns(precision_id=pl.lit(piece.precision_id, precision_ids)),
            inputs.precision_parts,
            with_shapes=grid.has_shapes,
        )


@lru_cache(maxsize=16)
def _compute_fixed_ops(
    inputs: Inputs, model_id: str, convention: str, phases: tuple[str, ...], ways: tuple[tuple[int, ...], ...]
) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Return the ops of a model by phase and way to share; consecutive parts share them."""
    ops = fixed_ops(
        inputs.layers.filter(model_id=model_id), [convention], phases, pl.DataFrame(ways, schema=SHARING, orient="row")
    )
    return ops.partition_by("phase", *SHARING, as_dict=True)


def _index_rows(frame: pl.DataFrame, key: str) -> Mapping[str, Mapping[str, Any]]:
    return {row[key]: row for row in frame.iter_rows(named=True)}

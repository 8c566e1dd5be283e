"""Costs of large grids, one model at a time: whatever the grid does not change is a number, not a column.

Dimensions and formulas are those of `op_shapes` and `op_costs`; the only columns are settings.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from flows.intensity.conventions import CONVENTIONS
from flows.intensity.costs import BITS, QUANTITIES, cost
from flows.intensity.shapes import can_share
from flows.intensity.terms import PHASES

# The columns of a grid. All else follows from model, convention, phase and number of devices.
GRID = ["batch_size", "sequence_length", "query_length"]

_EVERY_OP = [op for ops in CONVENTIONS.values() for op in ops]
# Names that repeat in every row, stored as numbers.
_NAMES = {
    "phase": pl.Enum(PHASES),
    "op": pl.Enum(list(dict.fromkeys(op.op for op in _EVERY_OP))),
    "op_group": pl.Enum(list(dict.fromkeys(op.op_group for op in _EVERY_OP))),
    "level": pl.Enum(list(dict.fromkeys(op.level for op in _EVERY_OP))),
}


def fixed_ops(
    models: pl.DataFrame, conventions: Sequence[str], phases: Sequence[str], degrees: Sequence[int]
) -> pl.DataFrame:
    """Return one row per op, model, phase and number of devices, with the dimensions that a grid does not change.

    The other dimensions are null. `place` is the position of an op in its convention. If devices cannot share the
    heads of a model evenly, the model has no rows for their number.

    Parameters
    ----------
    models
        Rows of core.model.
    conventions, phases, degrees
        Which ops, in which phases, on how many devices.
    """
    settings = (
        models.join(pl.DataFrame({"phase": list(phases)}), how="cross")
        .join(pl.DataFrame({"tensor_parallel": list(degrees)}, schema={"tensor_parallel": pl.Int64}), how="cross")
        .filter(can_share())
    )
    frames = [
        settings.filter(op.repeat > 0).select(
            "model_id",
            "phase",
            "tensor_parallel",
            convention=pl.lit(convention),
            place=pl.lit(place),
            **{name: pl.lit(None) if _depends_on_grid(of) else of for name, of in op.dimensions().items()},
        )
        for convention in conventions
        for place, op in enumerate(CONVENTIONS[convention])
    ]
    return pl.concat(frames, how="vertical_relaxed").with_columns(pl.col(name).cast(of) for name, of in _NAMES.items())


def grid_costs(
    ops: pl.DataFrame,
    model: pl.DataFrame,
    precision: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, Any]],
    grid: pl.DataFrame,
) -> pl.DataFrame:
    """Return one row per op and setting, op after op: names, setting, and the columns of core.op_cost.

    Parameters
    ----------
    ops
        Rows of `fixed_ops` for one model, convention, phase and number of devices.
    model
        The model's row of core.model.
    precision
        A row of core.precision.
    counts
        Rows of core.elementwise, by kind.
    grid
        Settings: `batch_size`, `sequence_length`, `query_length`.
    """
    rows = ops.to_dicts()
    of_grid = [_grid_dimensions(row["convention"], row["place"]) for row in rows]
    dimensions = {name: of for each in of_grid for name, of in each.values()}
    bits = {name: precision[name] for name in BITS}
    columns = []
    for row, each in zip(rows, of_grid, strict=True):
        numbers = {name: _as_number(row.get(name)) for name in QUANTITIES}
        named = {name: pl.col(column) for name, (column, _) in each.items()}
        columns.append(cost(row["kind"], {**numbers, **named, **counts.get(row["kind"], {}), **bits}).quantities())
    # ops share most of their dimensions: compute each once
    wide = (
        grid.with_columns(_literals(dimensions.values(), {**model.row(0, named=True), **rows[0]}, model))
        .select(of.alias(name) for name, of in dimensions.items())
        .select(
            quantity.alias(f"{i} {name}")
            for i, quantities in enumerate(columns)
            for name, quantity in quantities.items()
            if isinstance(quantity, pl.Expr)
        )
    )

    def stack_column(name: str) -> pl.Series:
        """Return one quantity of all ops, op after op."""
        given = (
            wide[f"{i} {name}"]
            if isinstance(quantities[name], pl.Expr)
            else pl.Series([float(quantities[name])]).new_from_index(0, len(grid))
            for i, quantities in enumerate(columns)
        )
        return pl.concat([each.alias(name) for each in given])

    keys = ops.select(*_NAMES, "tensor_parallel", "repeat").join(grid, how="cross")
    return keys.with_columns(stack_column(name) for name in columns[0])


def _literals(expressions: Iterable[pl.Expr], known: Mapping[str, Any], model: pl.DataFrame) -> list[pl.Expr]:
    """Return the columns that expressions need in addition to the grid, as literals."""
    roots = {root for of in expressions for root in of.meta.root_names()}.difference(GRID)
    return [pl.lit(known[name], model.schema.get(name)).alias(name) for name in sorted(roots)]


@cache
def _grid_dimensions(convention: str, place: int) -> dict[str, tuple[str, pl.Expr]]:
    """Return the dimensions of an op that a grid changes, each with a name that is the same in every op."""
    dimensions = CONVENTIONS[convention][place].dimensions() | {name: pl.col(name) for name in GRID}
    found = {
        name: of.cast(pl.Float64) for name, of in dimensions.items() if name in QUANTITIES and _depends_on_grid(of)
    }
    return {name: (str(of), of) for name, of in found.items()}


def _depends_on_grid(dimension: pl.Expr) -> bool:
    return not set(GRID).isdisjoint(dimension.meta.root_names())


def _as_number(dimension: Any) -> float | None:
    return None if dimension is None else float(dimension)

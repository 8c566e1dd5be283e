"""The tables of ops: the shapes of every model at every setting, and their costs."""

import polars as pl

from flows.intensity.costs import op_costs
from flows.intensity.custom import custom_costs, custom_shapes
from flows.intensity.shapes import add_sharing, join_layers, list_ways, model_shards, op_shapes
from flows.intensity.terms import DEGREES, SHARING
from flows.intensity.weights import weight_memory

INPUTS = ("model", "layer_group", "workload", "precision", "precision_part", "elementwise", "op")
TABLES = ("op_shape", "op_cost", "model_shard", "weight_memory")


def compute_op_tables(
    model: pl.DataFrame,
    layer_group: pl.DataFrame,
    workload: pl.DataFrame,
    precision: pl.DataFrame,
    precision_part: pl.DataFrame,
    elementwise: pl.DataFrame,
    op: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the rows of core.op_shape, core.op_cost, core.model_shard and core.weight_memory.

    Parameters
    ----------
    model, layer_group, workload, precision, precision_part, elementwise
        The rows of these tables of core.
    op
        The user's own ops.
    """
    layers = join_layers(model, layer_group)
    shapes = op_shapes(layers, workload)
    own_shapes = custom_shapes(op, precision["precision_id"].to_list())
    every_shape = pl.concat([shapes.with_columns(pipe=pl.lit("")), own_shapes.select(*shapes.columns, "pipe")])
    ways = _list_sharings(workload)
    costs = [
        op_costs(every_shape, precision, elementwise, precision_part),
        custom_costs(op, own_shapes, precision),
    ]
    return {
        "op_shape": every_shape.drop("precisions"),
        "op_cost": pl.concat(costs),
        "model_shard": model_shards(layers, ways).drop("active", "drafts"),
        "weight_memory": weight_memory(layers, ways, precision, precision_part),
    }


def _list_sharings(workload: pl.DataFrame) -> pl.DataFrame:
    """Return each way to share that a workload asks for, after those of tensor parallelism alone."""
    ways = [list_ways(**lists) for lists in add_sharing(workload).select(SHARING).iter_rows(named=True)]
    return pl.concat([list_ways(tensor_parallel=DEGREES), *ways]).unique(maintain_order=True)

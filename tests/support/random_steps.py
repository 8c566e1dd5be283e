"""Random settings of steps, and their ops and memory as the warehouse has them."""

import random
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from flows.intensity.conventions import CONVENTIONS
from flows.intensity.costs import op_costs
from flows.intensity.shapes import model_shards, op_shapes
from flows.intensity.terms import BYTES, PARTS, SHARING
from flows.intensity.weights import weight_memory
from flows.sweep.grid import Inputs
from warehouse.polars_frames import read_frame
from warehouse.scratch import add_table

# Of candidates: no two as wide as each other, nor as a chain.
_TREES = [[16], [4, 8, 5], [1] * 18, [1, 2, 4, 6, 4, 2]]
_PART_COLUMNS = ["weight_bits", "activation_bits", "compute_dtype", "row_scale_bits"]
# Ops at a roof that takes a second each: what a device holds does not depend on it.
_POINTS = """
create or replace temporary table point as
select 'device' as hardware_id, shape.*, cost.* exclude (shape_id), 1.0 as lower_bound_s, true as is_slowest,
    if(shape.level = 'dram', 'memory', shape.level) as bound
from core.op_shape as shape inner join core.op_cost as cost using (shape_id)
"""
_KEYS = ["hardware_id", "model_id", "convention", "precision_id", "phase", "batch_size", "sequence_length"]
_KEYS += ["query_length", *SHARING]
_OF_POINTS = ["op_group", "op", "flops", "bytes", "activation_bytes", "level", "bound", "lower_bound_s", "repeat"]
_OF_POINTS += ["idle_repeat", "is_slowest"]
_MEMORY = {
    "weights": "weight_memory_bytes", "kv": "kv_memory_bytes", "state": "state_memory_bytes",
    "indexer": "indexer_memory_bytes", "towers": "tower_memory_bytes", "activations": "activation_memory_bytes",
    "total": "memory_bytes",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Steps:
    """Settings as a page asks for them, and for each its ops and memory; a refused setting has none."""

    asked: list[dict[str, Any]]
    ops: dict[int, dict[str, dict[str, Any]]]
    memory: dict[int, dict[str, float]]


def make_settings(inputs: Inputs, seed: int, count: int, most_models: int | None = None) -> list[dict[str, Any]]:
    """Return settings of models of all kinds, with precisions by part, chunks, candidates and every way to share."""
    source = random.Random(seed)
    model_ids = sorted(inputs.layers["model_id"].unique())
    chosen = source.sample(model_ids, most_models or len(model_ids))
    precisions = inputs.precisions["precision_id"].to_list()
    return [_make_setting(source, source.choice(chosen), precisions) for _ in range(count)]


def cover_models(inputs: Inputs) -> list[dict[str, Any]]:
    """Return a prompt and a decode step of each model in every convention, on one device."""
    return [
        {"model": model_id, "convention": convention, "phase": phase, "batch": 3, "sequence": 777, "precision": "bf16"}
        for model_id in sorted(inputs.layers["model_id"].unique())
        for convention in CONVENTIONS
        for phase in ("prefill", "decode")
    ]


def _make_setting(source: random.Random, model_id: str, precisions: list[str]) -> dict[str, Any]:
    phase = source.choice(["prefill", "decode", "speculative", "mixed"])
    sequence = _draw(source, 200_000)
    setting: dict[str, Any] = {
        "model": model_id,
        "convention": source.choice(["engine", "engine", *CONVENTIONS]),
        "phase": phase,
        "batch": _draw(source, 1024),
        "sequence": sequence,
        "precision": source.choice(precisions),
        "tensor_parallel": source.choice([1, 1, 2, 4, 8, source.randint(1, 16)]),
    }
    if phase in ("prefill", "mixed") and source.random() < 0.7:
        setting["query"] = source.randint(1, sequence)
    elif phase == "mixed":
        setting["query"] = 1
    if phase == "speculative":
        setting["query"] = source.randint(1, 12)
        if source.random() < 0.3:
            setting["tree"] = source.choice(_TREES)
            setting["query"] = sum(setting["tree"])
    if source.random() < 0.4:
        setting["data_parallel"] = source.randint(1, 8)
        setting["expert_parallel"] = setting["tensor_parallel"] * source.choice([1, setting["data_parallel"]])
        setting["expert_load"] = source.choice([1, 1.25, source.uniform(1, 3)])
    if source.random() < 0.3:
        setting["pipeline_parallel"] = source.randint(1, 8)
        setting["micro_batches"] = source.randint(1, 12)
    if source.random() < 0.4:
        names = [*precisions, *BYTES]
        setting["parts"] = {part: source.choice(names) for part in source.sample([*PARTS, "kv"], source.randint(1, 4))}
    return setting


def _draw(source: random.Random, most: int) -> int:
    return int(most ** source.random())


def compute_steps(inputs: Inputs, connection: duckdb.DuckDBPyConnection, asked: list[dict[str, Any]]) -> Steps:
    """Compute settings as a run does, each with a precision of its own.

    Parameters
    ----------
    inputs
        What costs are computed from.
    connection
        A scratch database that has the models in core.model; tables of steps are added to it.
    asked
        Result of `make_settings`.
    """
    precisions, parts = _list_precisions(inputs, asked)
    workloads = pl.concat([_make_workload(number, of) for number, of in enumerate(asked)])
    shapes = op_shapes(inputs.layers, workloads).with_columns(pipe=pl.lit(""), is_measured=pl.lit(value=False))
    costs = op_costs(shapes, precisions, inputs.elementwise, parts)
    own = {"op_shape": shapes.drop("precisions"), "op_cost": costs, "precision": precisions}
    own |= _share_models(inputs.layers, workloads, precisions, parts)
    for table, frame in own.items():
        add_table(connection, table, frame)
    connection.execute(_POINTS)
    connection.execute(f"create or replace temporary view points as select {', '.join(_KEYS + _OF_POINTS)} from point")
    connection.execute("create or replace temporary view op_groups as from mart.op_group_times('points')")
    memory = read_frame(connection, "from mart.step_times('op_groups')")
    ops = read_frame(connection, "from point")
    by_number: dict[int, dict[str, dict[str, Any]]] = {}
    for row in ops.iter_rows(named=True):
        of_setting = by_number.setdefault(int(row["precision_id"]), {})
        assert row["op"] not in of_setting
        of_setting[row["op"]] = row
    held = {
        int(row["precision_id"]): {name: row[column] for name, column in _MEMORY.items()}
        for row in memory.iter_rows(named=True)
    }
    return Steps(asked, by_number, held)


def _share_models(
    layers: pl.DataFrame, workloads: pl.DataFrame, precisions: pl.DataFrame, parts: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Return what devices hold of each model, in the ways and precisions that are asked for it."""
    asked = workloads.select(pl.col("models", "precisions", *SHARING).list.first())
    shards, weights = [], []
    for (model_id,), own in asked.partition_by("models", as_dict=True, maintain_order=True).items():
        of_model, ways = layers.filter(model_id=model_id), own.select(SHARING).unique(maintain_order=True)
        used = precisions.join(own, left_on="precision_id", right_on="precisions", how="semi")
        shards.append(model_shards(of_model, ways).drop("active", "drafts"))
        weights.append(weight_memory(of_model, ways, used, parts))
    return {"model_shard": pl.concat(shards), "weight_memory": pl.concat(weights)}


def _make_workload(number: int, asked: dict[str, Any]) -> pl.DataFrame:
    is_speculative, query = asked["phase"] == "speculative", asked.get("query")
    tree = asked.get("tree")
    lists = {
        "phases": [asked["phase"]], "models": [asked["model"]], "batch_sizes": [asked["batch"]],
        "sequence_lengths": [asked["sequence"]], "conventions": [asked["convention"]], "precisions": [str(number)],
        **{name: [asked.get(name, 1)] for name in SHARING},
    }  # fmt: skip
    row = {name: pl.Series([values]) for name, values in lists.items()} | {
        "candidates": pl.Series([[query] if is_speculative and not tree else []], dtype=pl.List(pl.Int64)),
        "query_lengths": pl.Series([[query] if query and not is_speculative else []], dtype=pl.List(pl.Int64)),
        "trees": pl.Series([[tree] if tree else []], dtype=pl.List(pl.List(pl.Int64))),
        "micro_batches": pl.Series([asked.get("micro_batches", 1)]),
        "expert_load": pl.Series([float(asked.get("expert_load", 1))]),
    }
    return pl.DataFrame(row)


def _list_precisions(inputs: Inputs, asked: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a precision for each setting, named after its number, and the parts that it sets apart."""
    known = {row["precision_id"]: row for row in inputs.precisions.iter_rows(named=True)}
    apart = inputs.precision_parts.partition_by("precision_id", as_dict=True)
    rows, parts = [], []
    for number, setting in enumerate(asked):
        row = {**known[setting["precision"]], "precision_id": str(number)}
        own = {}
        if (frame := apart.get((setting["precision"],))) is not None:
            own = {of.pop("part"): of for of in frame.drop("precision_id").to_dicts()}
        shipped = dict(own)
        for part, name in setting.get("parts", {}).items():
            bits = 8 * BYTES[name] if name not in known else 0.0
            of_dtype = {"weight_bits": bits, "activation_bits": bits, "kv_bits": bits, "row_scale_bits": 0.0}
            of = known.get(name, {**of_dtype, "compute_dtype": name})
            if part == "kv":
                row["kv_bits"] = of["kv_bits"]
            else:
                own[part] = {column: of[column] for column in _PART_COLUMNS}
        given = setting.get("parts", {})
        # as a file has it: scores are as attention unless they are named too
        if "attention" in given and "scores" not in given and shipped.get("scores") == shipped.get("attention"):
            own["scores"] = own["attention"]
        rows.append(row)
        parts += [{"precision_id": str(number), "part": part, **of} for part, of in own.items()]
    schema = inputs.precision_parts.schema
    return pl.DataFrame(rows, schema=inputs.precisions.schema), pl.DataFrame(parts, schema=dict(schema))

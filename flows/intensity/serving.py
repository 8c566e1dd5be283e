"""Op shapes and costs of the steps of serving engines: the settings of runs, which no workload asks for."""

import polars as pl

from flows.intensity.costs import op_costs
from flows.intensity.shapes import add_sharing, join_layers, list_ops, model_shards, op_shapes
from flows.intensity.terms import SHARING
from flows.intensity.weights import weight_memory

# what tells the steps of runs apart
STEP = ["model_id", "phase", "batch_size", "sequence_length", "query_length", *SHARING]
_PREFILL_SHARING = {name: f"prefill_{name}" for name in SHARING}


def list_sharings(runs: pl.DataFrame) -> pl.DataFrame:
    """Return each way to share of runs, with the columns of SHARING; dense models share no experts.

    Parameters
    ----------
    runs
        Rows of core.serving_measurement.
    """
    prefill = runs.select(**{name: pl.col(of).fill_null(1) for name, of in _PREFILL_SHARING.items()})
    own = runs.select(pl.col(name).fill_null(1) for name in SHARING)
    return pl.concat([own, prefill]).unique(maintain_order=True)


def hold_runs(
    model: pl.DataFrame,
    layer_group: pl.DataFrame,
    precision: pl.DataFrame,
    precision_part: pl.DataFrame,
    ways: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the rows of core.model_shard and core.weight_memory for some models and ways to share them.

    Parameters
    ----------
    model, layer_group, precision, precision_part
        Rows of these tables of core.
    ways
        Result of `list_sharings`.
    """
    layers = join_layers(model, layer_group)
    return {
        "model_shard": model_shards(layers, ways).drop("active", "drafts"),
        "weight_memory": weight_memory(layers, ways, precision, precision_part),
    }


def list_step_settings(steps: pl.DataFrame) -> pl.DataFrame:
    """Return the steps that runs are made of: one row per run and part, with what tells settings apart.

    Parts are `decode`, the rows that decode alone; `mean` and `chunk`, these beside the prompts' tokens of an average
    step, and of one that holds a chunk; `prefill`, a prompt, or those of the batch. Ops that see decode rows and
    prompts apart are taken from `decode` and `prefill`, so the context of the two mixed steps counts for nothing.

    Parameters
    ----------
    steps
        What the steps of runs hold, by sql/serving/steps.sql.
    """
    one = pl.lit(1, pl.Int64)
    known = steps.filter(pl.col("model_id").is_not_null(), pl.col("precision_id").is_not_null())
    decoding = known.filter(pl.col("running") > 0, pl.col("output_tokens") > 1)
    mixed = decoding.filter(pl.col("step_prompt_tokens") >= 1)
    ids = ["serving_id", "hardware_id", "precision_id", "model_id"]

    def beside(part: str, tokens: pl.Expr) -> pl.DataFrame:
        return mixed.select(
            *ids,
            part=pl.lit(part),
            phase=pl.lit("mixed"),
            batch_size="decode_rows",
            sequence_length=pl.max_horizontal("context_tokens", tokens),
            query_length=tokens,
            **{name: pl.col(name) for name in SHARING},
        )

    decode = decoding.select(
        *ids,
        part=pl.lit("decode"),
        phase=pl.lit("decode"),
        batch_size="decode_rows",
        sequence_length="context_tokens",
        query_length=one,
        **{name: pl.col(name) for name in SHARING},
    )
    prefill = known.select(
        *ids,
        part=pl.lit("prefill"),
        phase=pl.lit("prefill"),
        batch_size=pl.when(pl.col("mode") == "batch").then("requests").otherwise(one),
        sequence_length="prompt_tokens",
        query_length="prompt_tokens",
        **{name: pl.col(of) for name, of in _PREFILL_SHARING.items()},
    )
    parts = [
        decode,
        beside("mean", pl.col("step_prompt_tokens").floor().cast(pl.Int64)),
        beside("chunk", pl.col("chunk_tokens")),
        prefill,
    ]
    return pl.concat(parts, how="vertical_relaxed").drop_nulls(["batch_size", *SHARING])


def serving_ops(
    model: pl.DataFrame,
    layer_group: pl.DataFrame,
    precision: pl.DataFrame,
    precision_part: pl.DataFrame,
    elementwise: pl.DataFrame,
    settings: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the rows of core.op_shape and core.op_cost for the steps of runs, and `apart`, the ops that run apart.

    Parameters
    ----------
    model, layer_group, precision, precision_part, elementwise
        Rows of these tables of core.
    settings
        Result of `list_step_settings`.
    """
    layers = join_layers(model, layer_group)
    shapes = op_shapes(layers, _list_workloads(settings)).with_columns(pipe=pl.lit(""), is_measured=pl.lit(value=False))
    apart = [pl.DataFrame(schema={"model_id": pl.String, "op": pl.String})]
    apart += [
        rows.select("model_id", "op").unique(maintain_order=True)
        for _, op, rows in list_ops(layers, "engine")
        if op.runs_apart
    ]
    return {
        "op_shape": shapes.drop("precisions"),
        "op_cost": op_costs(shapes, precision, elementwise, precision_part),
        "apart": pl.concat([*apart, *(each.with_columns(pl.col("op") + "_prefill") for each in apart)]).unique(
            maintain_order=True
        ),
    }


def _list_workloads(settings: pl.DataFrame) -> pl.DataFrame:
    """Return workloads that ask for the settings, one for each."""
    none = pl.lit([], pl.List(pl.Int64))
    grouped = settings.group_by(STEP, maintain_order=True).agg(pl.col("precision_id").unique(maintain_order=True))
    asked = grouped.select(
        phases=pl.concat_list("phase"),
        models=pl.concat_list("model_id"),
        batch_sizes=pl.concat_list("batch_size"),
        sequence_lengths=pl.concat_list("sequence_length"),
        candidates=none,
        query_lengths=pl.when(pl.col("phase") == "mixed").then(pl.concat_list("query_length")).otherwise(none),
        trees=pl.lit([], pl.List(pl.List(pl.Int64))),
        conventions=pl.lit(["engine"]),
        precisions="precision_id",
        micro_batches="pipeline_parallel",
        expert_load=pl.lit(1.0),
        **{name: pl.concat_list(name) for name in SHARING},
    )
    return add_sharing(asked)

"""Plans of steps to measure: the settings of workloads, for models that a plain decoder can run."""

from collections.abc import Sequence

import polars as pl

from flows.ingest.kinds import read_every_kind, refuse_unknown_names
from flows.ingest.source_file import SourceFile
from flows.intensity.shapes import expand_settings, join_layers, share_evenly
from flows.measure.kernel_plan import choose_rows
from flows.measure.standalone_steps import PLANNED, PRECISIONS
from warehouse.errors import InputError

_LAUNCHES = {"prefill": "eager", "decode": "graph"}
_ACTIVATIONS = ("silu_mul", "gelu_mul")

# What a layer must be like, and what is said of one that is not; a null is no fault.
_EVERY_LAYER: Sequence[tuple[pl.Expr, str]] = (
    (pl.col("recurrence").is_null() & pl.col("num_heads").is_not_null(), "layers without attention"),
    (pl.col("kv_lora_rank").is_null() & pl.col("compression_ratio").is_null(), "latent or compressed attention"),
    (pl.col("value_head_dim") == pl.col("head_dim"), "values of another size than keys"),
    (pl.col("index_heads").is_null(), "sparse attention"),
    (pl.col("attention_chunk").is_null(), "attention in chunks"),
    (~pl.col("has_sinks") & ~pl.col("shares_kv"), "sinks or shared keys"),
    (pl.col("attention_gate_size").fill_null(0) == 0, "a gate of attention"),
    (pl.col("is_rotary") & (pl.col("rope_head_dim") == pl.col("head_dim")), "heads that are not rotated as a whole"),
    (pl.col("qk_norm").is_in(["none", "head"]), "a norm over all heads"),
    ((pl.col("mixer_norms") == 1) & (pl.col("feed_forward_norms") == 1), "more or fewer than two norms a layer"),
    (~pl.col("has_inner_norm") & ~pl.col("has_mlp_norm").fill_null(value=False), "norms within a layer"),
    (pl.col("is_gated") & pl.col("activation_kind").is_in(_ACTIVATIONS), "a feed-forward without a gate"),
    (pl.col("expert_is_gated") & pl.col("expert_activation_kind").is_in(_ACTIVATIONS), "experts without a gate"),
    (pl.col("expert_latent_size").fill_null(0) == 0, "experts of a latent"),
    (pl.col("zero_experts").fill_null(0) == 0, "experts that pass tokens through"),
    (pl.col("per_layer_size").is_null() & pl.col("low_rank").is_null(), "further products in each layer"),
    (pl.col("embedding_size") == pl.col("hidden_size"), "an embedding of another size"),
)
_SIZES = {
    "num_layers": "model_layers", "hidden_size": "hidden_size", "num_heads": "num_heads",
    "num_kv_heads": "num_kv_heads", "head_dim": "head_dim", "intermediate_size": "intermediate_size",
    "num_experts": "num_experts", "experts_per_token": "experts_per_token",
    "expert_intermediate_size": "expert_intermediate_size", "shared_intermediate_size": "shared_intermediate_size",
    "vocab_size": "vocab_size", "norm_kind": "norm_kind",
}  # fmt: skip


def plan_steps(
    sources: Sequence[SourceFile],
    workload_ids: Sequence[str],
    model_ids: Sequence[str] = (),
    precision_ids: Sequence[str] = (),
) -> pl.DataFrame:
    """Return one row per step, with the columns that `flows.measure.standalone_steps` reads.

    Parameters
    ----------
    sources
        The files of the catalog.
    workload_ids
        Workloads whose settings are measured: prefill of whole prompts, and decode, shared by tensor parallelism alone.
    model_ids
        Models to keep; if empty, those of the workloads that the decoder can run.
    precision_ids
        Precisions to keep, of bf16, fp16 and fp8; if empty, those of them that the workloads name.

    Raises
    ------
    InputError
        A name does not exist, the decoder cannot run a model that is named, or nothing is left to measure.
    """
    scanned = read_every_kind(sources)
    refuse_unknown_names(scanned, sources)
    frames = {name: scanned[name].collect() for name in ("workload", "model", "layer_group", "precision")}
    workloads = choose_rows(frames["workload"], "workload", workload_ids)
    models = choose_rows(frames["model"], "model", model_ids)
    precisions = choose_rows(frames["precision"], "precision", precision_ids)["precision_id"].to_list()
    layers = join_layers(models, frames["layer_group"]).filter(~pl.col("is_draft"))
    faults = find_faults(layers)
    for model_id, fault in faults.filter(pl.col("model_id").is_in(model_ids)).iter_rows():
        raise InputError(f"--model: {model_id}: has {fault}; expected a model that a plain decoder can run")
    runnable = layers.join(faults, on="model_id", how="anti", maintain_order="left")
    settings = _list_settings(runnable, workloads, precisions)
    sizes = runnable.select(
        "model_id", "sliding_window", *(pl.col(column).alias(name) for name, column in _SIZES.items()),
        activation_kind=pl.coalesce("activation_kind", "expert_activation_kind"),
        has_qk_norm=pl.when(pl.col("qk_norm") == "head").then(pl.lit("true")).otherwise(pl.lit("false")),
    ).unique("model_id", maintain_order=True)  # fmt: skip
    # a window as long as the context is none
    sees_all = pl.col("sliding_window").is_null() | (pl.col("sliding_window") >= pl.col("sequence_length"))
    planned = settings.join(sizes, on="model_id", maintain_order="left").filter(sees_all)
    if planned.is_empty():
        raise InputError(
            f"measure: no steps to measure; expected a workload with prefill or decode in {', '.join(PRECISIONS)}"
        )
    order = ["num_layers", "model_id", "precision_id", "tensor_parallel", "phase", "batch_size", "sequence_length"]
    return planned.sort(order, maintain_order=True).select(PLANNED)


def find_faults(layers: pl.DataFrame) -> pl.DataFrame:
    """Return model_id and fault of each model that the plain decoder cannot run.

    Parameters
    ----------
    layers
        Result of `flows.intensity.shapes.join_layers`, without draft layers.
    """
    fault = pl.coalesce(
        *(pl.when(~is_good).then(pl.lit(what)) for is_good, what in _EVERY_LAYER),
        pl.when(pl.len().over("model_id") > 1).then(pl.lit("layers of several kinds")),
    )
    return layers.select("model_id", fault=fault).drop_nulls().unique("model_id", keep="first", maintain_order=True)


def _list_settings(layers: pl.DataFrame, workloads: pl.DataFrame, precisions: Sequence[str]) -> pl.DataFrame:
    """Return one row per model, setting and precision that can be measured."""
    model_ids = layers["model_id"].unique(maintain_order=True).to_list()
    asked = expand_settings(workloads, model_ids)
    devices = asked.select("tensor_parallel").unique()["tensor_parallel"].to_list()
    shared = share_evenly(layers, devices).select("model_id", "tensor_parallel").unique()
    is_alone = pl.all_horizontal(pl.col(f"{way}_parallel") == 1 for way in ("expert", "pipeline", "data"))
    is_whole = (pl.col("phase") == "decode") | (pl.col("query_length") == pl.col("sequence_length"))
    return (
        asked.filter(pl.col("model_id").is_in(model_ids), pl.col("phase").is_in([*_LAUNCHES]), is_alone, is_whole)
        .join(shared, on=["model_id", "tensor_parallel"], how="semi", maintain_order="left")
        .explode("precisions")
        .rename({"precisions": "precision_id"})
        .filter(pl.col("precision_id").is_in(precisions), pl.col("precision_id").is_in(PRECISIONS))
        .with_columns(launch=pl.col("phase").replace_strict(_LAUNCHES), fusion=pl.lit("none"))
        .unique(["model_id", "precision_id", "phase", "batch_size", "sequence_length", "tensor_parallel"],
                keep="first", maintain_order=True)
    )  # fmt: skip

"""Op shapes of models at the settings of workloads, and what each device must hold."""

import hashlib
from collections.abc import Sequence

import polars as pl

from flows.intensity.conventions import (
    COMPRESSED_ELEMENTS,
    COMPRESSED_INDEXER_ELEMENTS,
    CONVENTIONS,
    IN_STAGE,
    INDEXER_ELEMENTS,
    KV_ELEMENTS,
    MASKED,
    MIXED,
    RECENT_ELEMENTS,
    SETTING,
    STATE_ELEMENTS,
    Op,
    round_in_stage,
    weights_held,
)
from flows.intensity.terms import SHARING


def join_layers(models: pl.DataFrame, layer_groups: pl.DataFrame) -> pl.DataFrame:
    """Return one row per model and kind of layer, with what the model has once: what the ops depend on.

    Parameters
    ----------
    models, layer_groups
        Rows of core.model and core.layer_group.
    """
    own = [name for name in layer_groups.columns if name != "model_id"]
    once = models.rename({"other_parameters": "model_other_parameters"})
    once = once.drop(*(name for name in own if name in once.columns), "source_id").drop(
        "published_precision", strict=False
    )
    total = layer_groups.filter(~pl.col("is_draft")).group_by("model_id").agg(pl.col("num_layers").sum())
    return layer_groups.join(once, on="model_id", how="inner", maintain_order="left").join(
        total.rename({"num_layers": "model_layers"}), on="model_id", how="left", maintain_order="left"
    )


def model_shards(layers: pl.DataFrame, degrees: Sequence[int] | pl.DataFrame) -> pl.DataFrame:
    """Return one row per model and way to share it, with the columns of core.model_shard.

    A device holds its share of every weight that an op of `engine` splits, and the other weights in full; of the KV
    cache, it holds that of its heads, or the whole latent. Columns are added: `active`, the weights that one token
    passes through, and `drafts`, those of the layers that predict further tokens.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    degrees
        Numbers of devices by tensor parallelism alone, or a row per way to share, with the columns of SHARING.
    """
    (held, once), (active, active_once) = weights_held(), weights_held(only_active=True)
    main = pl.col("is_main")
    bounded = pl.min_horizontal("sliding_window", "attention_chunk")
    kv = KV_ELEMENTS * pl.col("num_layers")
    state_elements = STATE_ELEMENTS * pl.col("num_layers")
    state = state_elements * pl.col("state_bits").fill_null(0) / 8

    def of_stage(held: pl.Expr) -> pl.Expr:
        return round_in_stage(held.filter(main).sum()).cast(pl.Int64)

    return (
        describe_shards(layers, degrees)
        .group_by("model_id", *SHARING, maintain_order=True)
        .agg(
            weights=of_stage(held) + once.first(),
            kv_elements_per_token=of_stage(kv * bounded.is_null()),
            local_kv_elements_per_token=of_stage(kv * bounded.is_not_null()),
            indexer_elements_per_token=of_stage(INDEXER_ELEMENTS * pl.col("num_layers")),
            compressed_elements_per_token=(COMPRESSED_ELEMENTS * pl.col("num_layers") * IN_STAGE).filter(main).sum(),
            compressed_indexer_elements_per_token=(COMPRESSED_INDEXER_ELEMENTS * pl.col("num_layers") * IN_STAGE)
            .filter(main)
            .sum(),
            state_bytes=(state * IN_STAGE).filter(main).sum(),
            recent_elements=of_stage(RECENT_ELEMENTS * pl.col("num_layers")),
            state_elements=of_stage(state_elements),
            active=active.filter(main).sum() + active_once.first(),
            drafts=held.filter(~main).sum(),
        )
    )


def describe_shards(layers: pl.DataFrame, degrees: Sequence[int] | pl.DataFrame) -> pl.DataFrame:
    """Return one row per kind of layer and number of devices that can share its model: what a shard depends on."""
    return (
        share_evenly(layers, degrees)
        .with_columns(phase=pl.lit("prefill"), batch_size=1, query_length=1, sequence_length=1)
        .with_columns(batch_share=1, micro_batches=1, expert_load=1.0)
        .with_columns(is_main=~pl.col("is_draft"))
    )


def add_parameters(models: pl.DataFrame, layer_groups: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of core.model that follow from the layers: numbers of weights and layers, sizes of the first.

    Parameters
    ----------
    models, layer_groups
        The frames of `read_models`.
    """
    main = layer_groups.filter(~pl.col("is_draft"))

    def first(*names: str, of: str) -> list[pl.Expr]:
        return [pl.col(name).filter(pl.col(of).is_not_null()).first() for name in names]

    sizes = main.group_by("model_id", maintain_order=True).agg(
        pl.col("num_layers").sum(),
        *first("num_heads", "num_kv_heads", "head_dim", "value_head_dim", "rope_head_dim", of="num_heads"),
        *first("q_lora_rank", "kv_lora_rank", of="kv_lora_rank"),
        *first("intermediate_size", of="intermediate_size"),
        *first(
            "num_experts", "experts_per_token", "expert_intermediate_size", "shared_intermediate_size", of="num_experts"
        ),
        pl.min_horizontal("sliding_window", "attention_chunk").max().alias("sliding_window"),
        num_moe_layers=pl.col("num_layers").filter(pl.col("num_experts").is_not_null()).sum(),
        num_local_layers=pl.col("num_layers")
        .filter(pl.col("sliding_window").is_not_null() | pl.col("attention_chunk").is_not_null())
        .sum(),
        num_recurrent_layers=pl.col("num_layers").filter(pl.col("recurrence").is_not_null()).sum(),
    )
    layers = join_layers(models.with_columns(source_id=pl.lit(None)), layer_groups)
    whole = model_shards(layers, [1]).select(
        "model_id", parameters="weights", active_parameters="active", mtp_parameters="drafts"
    )
    return (
        models.join(sizes, on="model_id", how="left", maintain_order="left")
        .join(whole, on="model_id", how="left", maintain_order="left")
        .with_columns(
            intermediate_size=pl.coalesce("intermediate_size", "expert_intermediate_size"),
            mtp_parameters=pl.when("states_mtp").then("mtp_parameters"),
        )
        .drop("states_mtp")
    )


def share_evenly(layers: pl.DataFrame, degrees: Sequence[int] | pl.DataFrame) -> pl.DataFrame:
    """Return a row per layer row and way to share that every layer of the model can be shared in.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    degrees
        Numbers of devices by tensor parallelism alone, or a row per way to share, with the columns of SHARING.
    """
    ways = degrees if isinstance(degrees, pl.DataFrame) else list_ways(tensor_parallel=degrees)
    # few columns: a sweep has thousands of ways
    sizes = layers.select("model_id", "num_heads", "state_heads", "num_experts", "model_layers").unique(
        maintain_order=True
    )
    spread = sizes.join(ways.select(SHARING), how="cross", maintain_order="left_right")
    shared = spread.filter(can_share().all().over("model_id", *SHARING) & _can_spread()).select("model_id", *SHARING)
    return layers.join(shared.unique(maintain_order=True), on="model_id", how="inner", maintain_order="left_right")


def list_ways(**lists: Sequence[int]) -> pl.DataFrame:
    """Return a row per combination of ways to share, with the columns of SHARING; those not given are 1."""
    ways = pl.DataFrame([{name: list(lists.get(name, [1])) for name in SHARING}])
    for name in SHARING:
        ways = ways.explode(name)
    return ways.cast(pl.Int64)


def can_share() -> pl.Expr:
    """Return whether devices can share a layer: their number must divide its heads."""
    heads = (pl.col(name) % pl.col("tensor_parallel") == 0 for name in ("num_heads", "state_heads"))
    return pl.all_horizontal(*(each.fill_null(value=True) for each in heads))


def _can_spread() -> pl.Expr:
    """Return whether the model has as many experts and layers as devices; whole experts need all of a group."""
    spread, devices, replicas, stages = (
        pl.col(f"{name}_parallel") for name in ("expert", "tensor", "data", "pipeline")
    )
    experts, layers = (pl.col(name).max().over("model_id").fill_null(0) for name in ("num_experts", "model_layers"))
    is_group = (spread % devices == 0) & (devices * replicas % spread == 0)
    return ((spread == 1) | (is_group & (spread <= experts))) & ((stages == 1) | (stages <= layers))


def list_ops(layers: pl.DataFrame, convention: str) -> list[tuple[int, Op, pl.DataFrame]]:
    """Return the ops of a convention with their places, and a row per model and kind of layer that an op differs in.

    Ops that no layer has are left out, except for the first: its empty frame has the columns. The rows have the columns
    that the op depends on, the number of layers, and its name `op`: layers that do not differ in an op are one row; if
    a model has several, all but the first have the name of their mixer added.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    convention
        Name of the convention.
    """
    layers = layers.filter(pl.col("is_draft") == (convention == "draft"))
    ops = CONVENTIONS[convention]
    is_used = layers.select(op.of.any().alias(str(place)) for place, op in enumerate(ops)).row(0)
    found = []
    for place, op in enumerate(ops):
        if place and not is_used[place]:
            continue  # of hundreds of ops, a model has some twenty
        of_op = layers.filter(op.of.fill_null(value=False))
        if op.once:
            of_op = of_op.unique("model_id", keep="first", maintain_order=True)
        keys = ["model_id", *op.columns]
        rows = of_op.group_by(keys, maintain_order=True).agg(
            pl.col("num_layers").sum(), pl.col("mixer").first(), pl.col("feed_forward").first()
        )
        number = pl.int_range(pl.len()).over("model_id")
        part = "feed_forward" if op.op_group in ("up/gate/down", "router") else "mixer"
        names = pl.when(number == 0).then(pl.lit(op.name)).otherwise(pl.concat_str(pl.lit(f"{op.name}_"), part))
        rows = rows.with_columns(op=names)
        again = pl.int_range(pl.len()).over("model_id", "op")
        rows = rows.with_columns(
            op=pl.when(again == 0).then("op").otherwise(pl.concat_str("op", pl.lit("_"), again + 1))
        )
        found.append((place, op, rows.drop("mixer", "feed_forward")))
    return found


def op_shapes(layers: pl.DataFrame, workloads: pl.DataFrame) -> pl.DataFrame:
    """Return one row per op, model and setting, with the columns of core.op_shape.

    The column `precisions` is added: the list of precisions that the workloads ask for at the setting. If devices
    cannot share the heads of a model evenly, the model has no rows for their number.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    workloads
        Rows of core.workload, whose lists span the settings.
    """
    model_ids = layers["model_id"].unique(maintain_order=True).to_list()
    settings = expand_settings(workloads, model_ids)
    ways = settings.select(SHARING).unique(maintain_order=True)
    shared = share_evenly(layers, ways).select("model_id", *SHARING).unique()
    settings = settings.join(shared, on=["model_id", *SHARING], how="semi", maintain_order="left")
    conventions = settings["convention"].unique()
    shapes = [
        _list_shapes(op, rows.join(settings.filter(convention=convention), on="model_id", maintain_order="right"))
        for convention in ([name for name in CONVENTIONS if name in conventions] or list(CONVENTIONS)[:1])
        for _, op, rows in list_ops(layers, convention)
    ]
    return add_shape_id(pl.concat(shapes, how="vertical_relaxed"))


def _list_shapes(op: Op, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the shapes of an op at the settings of rows; one that runs apart in a mixed step has two."""
    asked = rows.filter(op.when | (pl.col("phase") == "mixed")).with_columns(pl.struct(SETTING).alias("asked"))
    shapes = []
    for part in split_mixed(op, asked):
        found = part.filter(op.when)
        own = found.select(pl.col("asked").struct.unnest(), "precisions", "op", **op.dimensions)
        shapes.append(own.with_columns(_attend_in_trees(op, found)) if found["tree"].count() else own)
    return pl.concat(shapes, how="vertical_relaxed")


def _attend_in_trees(op: Op, rows: pl.DataFrame) -> pl.Series:
    """Return the tokens that a query attends to on average: a candidate of a tree to its ancestors, as decode would."""
    attended = op.dimensions["attended_tokens"]
    before = pl.col("sequence_length") - pl.col("query_length")
    in_trees = (
        rows.with_row_index("row")
        .filter(pl.col("tree").is_not_null())
        .with_columns(depth=pl.int_ranges(1, pl.col("tree").list.len() + 1))
        .explode("tree", "depth")
        .with_columns(sequence_length=before + pl.col("depth"), query_length=1)
        .select("row", "tree", attended=attended)
        .group_by("row", maintain_order=True)
        .agg(attended=(pl.col("attended") * pl.col("tree")).sum() / pl.col("tree").sum())
    )
    chains = rows.with_columns(attended_tokens=attended).with_row_index("row")
    own = pl.when(pl.col("attended_tokens").is_not_null()).then(pl.coalesce("attended", "attended_tokens"))
    return chains.join(in_trees, on="row", how="left", maintain_order="left").select(attended_tokens=own).to_series()


def split_mixed(op: Op, rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Return rows with the settings that an op sees, and its names: those of a mixed step once for each part of it."""
    if not op.runs_apart:
        return [rows]
    is_mixed = pl.col("phase") == "mixed"
    mixed = rows.filter(is_mixed)
    if mixed.is_empty():
        return [rows]
    return [
        rows.filter(~is_mixed),
        *(
            mixed.with_columns(pl.col("op") + suffix, **{name: pl.lit(of) for name, of in setting.items()})
            for suffix, setting in MIXED.items()
        ),
    ]


def add_sharing(workloads: pl.DataFrame) -> pl.DataFrame:
    """Add what workloads lack of ways to share: one device, one batch at a time, the same load for every expert."""
    one = pl.lit([1], pl.List(pl.Int64))
    absent = dict.fromkeys(SHARING, one) | {"micro_batches": pl.lit(1, pl.Int64), "expert_load": pl.lit(1.0)}
    return workloads.with_columns(value.alias(name) for name, value in absent.items() if name not in workloads.columns)


def _ceil_div(number: pl.Expr, by: pl.Expr) -> pl.Expr:
    return (number + by - 1) // by


# Sequences of a replica and a micro-batch, and how many of these there are: no more than sequences, and only if there
# are stages. The second is computed from the first.
_OF_REPLICA = _ceil_div(pl.col("batch_size"), pl.col("data_parallel"))
_HAS_TURNS = (pl.col("pipeline_parallel") > 1) & (pl.col("phase") != "mixed")
_ASKED_TURNS = pl.when(_HAS_TURNS).then("micro_batches").otherwise(1)
BATCH_SHARE = _ceil_div(_OF_REPLICA, pl.min_horizontal(_ASKED_TURNS, _OF_REPLICA))
MICRO_BATCHES = _ceil_div(_OF_REPLICA, pl.col("batch_share"))

_SETTING_OF_STEP = ["model_id", "phase", "batch_size", "sequence_length", "query_length", *SHARING]


def mark_measured(shapes: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Add `is_measured` to the rows of core.op_shape: whether a step was measured at the setting."""
    found = (
        steps.select(_SETTING_OF_STEP)
        .unique()
        .with_columns(convention=pl.lit("engine"), is_measured=pl.lit(value=True))
    )
    joined = shapes.join(found, on=[*_SETTING_OF_STEP, "convention"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("is_measured").fill_null(value=False))


def list_measured_settings(steps: pl.DataFrame, workloads: pl.DataFrame) -> pl.DataFrame:
    """Return workloads that ask for the settings of measured steps: what was measured is predicted, too.

    Parameters
    ----------
    steps
        Rows of core.step_measurement.
    workloads
        Rows of core.workload, whose columns are returned.
    """
    query = pl.concat_list("query_length")
    is_chunk = (pl.col("phase") == "mixed") | (
        (pl.col("phase") == "prefill") & (pl.col("query_length") < pl.col("sequence_length"))
    )
    none = pl.lit([], pl.List(pl.Int64))
    settings = (
        steps.group_by(_SETTING_OF_STEP, maintain_order=True)
        .agg(precisions=pl.col("precision_id").unique(maintain_order=True))
        .with_columns(
            workload_id=pl.lit("measured"),
            phases=pl.concat_list("phase"),
            models=pl.concat_list("model_id"),
            batch_sizes=pl.concat_list("batch_size"),
            sequence_lengths=pl.concat_list("sequence_length"),
            candidates=pl.when(pl.col("phase") == "speculative").then(query).otherwise(none),
            query_lengths=pl.when(is_chunk).then(query).otherwise(none),
            trees=pl.lit([], pl.List(pl.List(pl.Int64))),
            conventions=pl.lit(["engine"]),
            **{name: pl.concat_list(name) for name in SHARING},
        )
    )
    asked = add_sharing(workloads)
    known = settings.select(column for column in asked.columns if column in settings.columns)
    return pl.concat([asked.clear(), known], how="diagonal_relaxed").with_columns(
        pl.col("micro_batches").fill_null(1), pl.col("expert_load").fill_null(1.0)
    )


def expand_settings(workloads: pl.DataFrame, model_ids: list[str]) -> pl.DataFrame:
    """Return one row per setting that a workload asks for, with the precisions asked for at that setting.

    A query is no longer than its context. The column `tree` is added: how many of the candidates stand at each depth;
    null if they are a chain.
    """
    every_model = pl.lit(model_ids, pl.List(pl.String))
    whole = pl.concat_list("sequence_length")
    widths = pl.col("trees").list.eval(pl.element().list.sum())
    has_queries = pl.col("phase").is_in(["prefill", "mixed"])
    settings = (
        add_sharing(workloads)
        .select(
            pl.coalesce("models", every_model).alias("model_id"),
            pl.col("conventions").alias("convention"),
            pl.col("phases").alias("phase"),
            pl.col("batch_sizes").alias("batch_size"),
            pl.col("sequence_lengths").alias("sequence_length"),
            pl.concat_list("candidates", widths).alias("candidates"),
            pl.when(pl.col("query_lengths").list.len() > 0).then("query_lengths").alias("query_lengths"),
            *SHARING,
            "micro_batches",
            "expert_load",
            "precisions",
        )
        .explode("model_id")
        .explode("convention")
        .explode("phase")
        .explode("batch_size")
        .explode("sequence_length")
        .explode("tensor_parallel")
        .explode("expert_parallel")
        .explode("pipeline_parallel")
        .explode("data_parallel")
        .with_columns(
            query_length=pl.when(has_queries)
            .then(pl.coalesce("query_lengths", whole))
            .when(pl.col("phase") == "decode")
            .then(pl.lit([1], pl.List(pl.Int64)))
            .otherwise("candidates")
        )
        .explode("query_length")
        .filter(~has_queries | (pl.col("query_length") <= pl.col("sequence_length")))
        .group_by(SETTING, maintain_order=True)
        .agg(
            pl.col("precisions").explode().unique(maintain_order=True),
            pl.col("micro_batches", "expert_load").max(),
        )
        .with_columns(batch_share=BATCH_SHARE)
        .with_columns(micro_batches=MICRO_BATCHES)
    )
    return settings.join(
        _list_trees(workloads), on=["convention", "phase", "query_length"], how="left", maintain_order="left"
    ).filter(pl.col("tree").is_null() | (pl.col("query_length") <= pl.col("sequence_length")))


def _list_trees(workloads: pl.DataFrame) -> pl.DataFrame:
    """Return one row per tree, by its number of candidates, and convention whose attention has a mask."""
    trees = workloads.select(tree="trees").explode("tree").drop_nulls().unique(maintain_order=True)
    return trees.select(pl.lit("speculative").alias("phase"), "tree", query_length=pl.col("tree").list.sum()).join(
        pl.DataFrame({"convention": MASKED}), how="cross"
    )


def add_shape_id(shapes: pl.DataFrame) -> pl.DataFrame:
    """Add `shape_id` as the first column: a hash of setting and op that does not depend on library versions."""
    named = ["model_id", "convention", "phase", "op"]
    names = shapes.select(named).unique(maintain_order=True)
    texts = ("\n".join(part or "" for part in row) for row in names.iter_rows())
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
    seeded = shapes.join(
        names.with_columns(shape_id=pl.Series(seeds, dtype=pl.UInt64)),
        on=named,
        how="left",
        maintain_order="left",
        nulls_equal=True,
    )
    identity = pl.col("shape_id")
    for number in ("batch_size", "sequence_length", "query_length", "tensor_parallel"):
        identity = _mix_hash(identity, pl.col(number).fill_null(0).cast(pl.UInt64))
    further = identity
    for number in SHARING[1:]:
        further = _mix_hash(further, pl.col(number).cast(pl.UInt64))
    # ids of shapes that only tensor parallelism shares do not depend on the others
    identity = pl.when(pl.all_horizontal(pl.col(name) == 1 for name in SHARING[1:])).then(identity).otherwise(further)
    ordered = ["shape_id", *(name for name in shapes.columns)]
    return seeded.with_columns(shape_id=(identity // 2).cast(pl.Int64)).select(ordered)


def _mix_hash(state: pl.Expr, number: pl.Expr) -> pl.Expr:
    # One round of a multiply and xor-shift hash, modulo 2^64 (the multiplier is 2^64 / golden ratio).
    product = (state ^ number) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64)
    return product ^ (product // 2**32)

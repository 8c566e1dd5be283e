"""A precision has a default, parts of a model that it sets apart, and weights with their scales."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.model import read_counted_models
from flows.ingest.readers.precision import read_precisions
from flows.intensity.costs import linear, op_costs
from flows.intensity.grid import fixed_ops, grid_costs
from flows.intensity.shapes import join_layers, model_shards
from flows.intensity.terms import PARTS
from flows.intensity.weights import weight_memory, weights_by_part
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES, ELEMENTWISE, MIXTURE, make_model, make_shapes
from warehouse.errors import InputError

SHIPPED_PRECISIONS = read_precisions([make_source(SHIPPED / "precisions.toml", "precision")])
ENTRY = (
    'precision_id = "p"\nweight_bits = 4\nactivation_bits = 16\nkv_bits = 16\ncompute_dtype = "fp16"\norigin = "x"\n'
)


def read_shipped(model_id: str) -> pl.DataFrame:
    frames = read_counted_models([*ARCHITECTURES, make_source(SHIPPED / "models" / f"{model_id}.json", "model")])
    return join_layers(frames["model"], frames["layer_group"])


def read_own(tmp_path: Path, changes: str = "") -> dict[str, pl.DataFrame]:
    path = tmp_path / "precisions.toml"
    path.write_text(f"[[precision]]\n{ENTRY}{changes}", "utf-8")
    return read_precisions([make_source(path, "precision")])


def weigh(layers: pl.DataFrame, frames: dict[str, pl.DataFrame], precision_id: str = "p") -> float:
    """The bytes of weights on one device."""
    found = weight_memory(layers, [1], frames["precision"], frames["precision_part"])
    return float(found.filter(precision_id=precision_id)["weight_bytes"].item())


def cost_ops(
    layers: pl.DataFrame, frames: dict[str, pl.DataFrame], precision_id: str = "p", **setting: Any
) -> pl.DataFrame:
    """Ops of one decoded token with their costs."""
    shapes = make_shapes(layers, "decode", 1, 1024, **setting)
    shapes = shapes.with_columns(precisions=pl.lit([precision_id], pl.List(pl.String)))
    costs = op_costs(shapes, frames["precision"], ELEMENTWISE, frames["precision_part"])
    return shapes.drop("precisions").join(costs, on="shape_id", how="inner")


@pytest.mark.parametrize(
    ("precision_id", "bits", "row_scale"),
    [
        ("mxfp4", 4 + 8 / 32, 0), ("nvfp4", 4 + 8 / 16, 0), ("awq", 4 + (16 + 4) / 128, 0),
        ("gptq", 4 + (16 + 4) / 128, 0), ("fp8-block", 8 + 32 / 128**2, 0), ("int8-channel", 8, 16), ("w4a16", 4, 0),
    ],
)  # fmt: skip
def test_scales_are_in_the_bits_of_a_weight(precision_id: str, bits: float, row_scale: float) -> None:
    row = SHIPPED_PRECISIONS["precision"].row(by_predicate=pl.col("precision_id") == precision_id, named=True)
    assert (row["weight_bits"], row["row_scale_bits"]) == (bits, row_scale)


def test_gpt_oss_weighs_as_published_and_moves_five_gigabytes_a_token() -> None:
    layers = read_shipped("gpt-oss-120b")
    assert weigh(layers, SHIPPED_PRECISIONS, "mxfp4") == 65_248_815_744
    of_step = cost_ops(layers, SHIPPED_PRECISIONS, "mxfp4").select(
        (pl.col("weight_bytes") * pl.col("repeat")).sum(),
        (pl.col("kv_bytes") * pl.col("repeat")).sum(),
        (pl.col("bytes") * pl.col("repeat")).sum(),
    )
    weights, cached, moved = (value / 1e9 for value in of_step.row(0))
    assert weights + cached == pytest.approx(5.04, abs=0.005)
    assert moved == pytest.approx(5.06, abs=0.005)  # with activations


def test_llama_keeps_embedding_and_lm_head_in_16_bits(tmp_path: Path) -> None:
    layers = read_shipped("llama-3.1-8b")
    parts = "vector_bits = 16\n[precision.embedding]\nweight_bits = 16\n[precision.lm_head]\nweight_bits = 16\n"
    assert weigh(layers, read_own(tmp_path, parts)) / 1e9 == pytest.approx(5.59, abs=0.005)
    assert weigh(layers, SHIPPED_PRECISIONS, "awq") / 1e9 == pytest.approx(5.73, abs=0.005)
    assert weigh(layers, SHIPPED_PRECISIONS, "w4a16") == 8_030_261_248 / 2


@pytest.mark.parametrize("model_id", ["gemma-3-1b", "deepseek-v3", "granite-4.0-h-tiny", "qwen1.5-moe-a2.7b", "gpt2"])
def test_parts_add_up_to_the_model(model_id: str) -> None:
    layers = read_shipped(model_id)
    of_parts = weights_by_part(layers, [1, 2]).filter(pl.col("part").fill_null("") != "tower")
    found = of_parts.group_by("tensor_parallel", maintain_order=True).agg(
        weights=pl.col("in_matrices").sum() + pl.col("in_vectors").sum() - pl.col("tied").first()
    )
    assert found.rows() == model_shards(layers, [1, 2]).select("tensor_parallel", "weights").rows()
    assert of_parts.select(pl.col("in_matrices", "in_vectors", "rows").min()).row(0) >= (0, 0, 0)


def test_a_tied_matrix_is_held_twice_if_its_uses_have_other_bits(tmp_path: Path) -> None:
    layers = read_shipped("gemma-3-1b")
    size = layers["vocab_size"][0] * layers["hidden_size"][0]
    one = weigh(layers, read_own(tmp_path))
    both = weigh(layers, read_own(tmp_path, "[precision.embedding]\nweight_bits = 16\n"))
    assert both - one == size * 16 / 8


def test_experts_in_other_bits_change_only_experts(tmp_path: Path) -> None:
    layers = make_model({**MIXTURE, "tie_word_embeddings": False}, "MixtralForCausalLM")
    plain = cost_ops(layers, read_own(tmp_path))
    apart = cost_ops(layers, read_own(tmp_path, '[precision.experts]\nweight_bits = 8\ncompute_dtype = "fp8"\n'))
    changed = plain.join(apart, on="op").filter(pl.col("weight_bytes") != pl.col("weight_bytes_right"))
    assert set(changed["op"]) == {"expert_gate_up_proj", "expert_down_proj"}
    assert changed.select((pl.col("weight_bytes_right") / pl.col("weight_bytes")).unique()).to_series().to_list() == [2]
    assert set(apart.filter(part="experts")["compute_dtype"]) == {"fp8"}
    assert set(apart.filter(pl.col("part") != "experts")["compute_dtype"]) == {"fp16"}


def test_biases_have_vector_bits_and_rows_have_scales() -> None:
    plain, m, k, n = linear(8, 64, 32, weight=1, activation=1, bias=1), 8, 64, 32
    assert plain.weight_bytes == k * n + n
    scaled = linear(m, k, n, weight=1, activation=1, bias=1, vector=2, row_scale=4, matrices=3)
    assert scaled.weight_bytes == 3 * (k * n + 2 * n + 4 * n)
    assert scaled.flops == plain.flops


def test_engines_keep_residuals_norms_and_exchange_in_16_bits() -> None:
    layers = make_model(MIXTURE, "MixtralForCausalLM")
    wide, narrow = (cost_ops(layers, SHIPPED_PRECISIONS, name, t=2) for name in ("fp16", "fp8"))
    both = wide.join(narrow, on="op").filter(pl.col("activation_bytes") == pl.col("activation_bytes_right"))
    kept = {"attn_norm", "mlp_norm", "final_norm", "attn_add", "mlp_add", "attn_all_reduce", "mlp_all_reduce"}
    assert set(both["op"]) == kept


def test_other_conventions_have_every_activation_in_the_bits_of_the_precision() -> None:
    layers = make_model(MIXTURE, "MixtralForCausalLM")
    wide, narrow = (cost_ops(layers, SHIPPED_PRECISIONS, name, convention="llm-viewer") for name in ("fp16", "fp8"))
    halves = wide.join(narrow, on="op").select(pl.col("activation_bytes") / pl.col("activation_bytes_right"))
    assert halves.unique().to_series().to_list() == [2]


def test_a_precision_can_have_its_own_bits_of_state(tmp_path: Path) -> None:
    layers = read_shipped("falcon-h1-0.5b")
    layers_bits = layers["state_bits"].drop_nulls()[0]
    plain, halved = (cost_ops(layers, read_own(tmp_path, f"state_bits = {bits}\n")) for bits in (layers_bits, 8))
    own = plain.join(halved, on="op").filter(pl.col("op") == "recurrence")
    assert own.select(pl.col("state_bytes") / pl.col("state_bytes_right")).item() == layers_bits / 8


def test_products_of_queries_with_keys_are_as_the_attention_around_them_unless_set_apart(tmp_path: Path) -> None:
    attention = '[precision.attention]\ncompute_dtype = "bf16"\n'
    (one,), both = (
        read_own(tmp_path, text)["precision_part"].filter(part="scores")["compute_dtype"].to_list()
        for text in (attention, f'{attention}[precision.scores]\ncompute_dtype = "fp8"\n')
    )
    assert (one, both) == ("bf16", ["fp8"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ("[precision.expert]\nweight_bits = 8\n", "expert: unknown field; expected .*, experts, "),
        ("[precision.experts]\nweights = 8\n", "experts.weights: unknown field; expected weight_bits, "),
        ("experts = 4\n", "experts = 4: expected a table of fields"),
        ("[precision.experts]\nweight_bits = 0\n", "0"),
        ('[precision.experts]\ncompute_dtype = "fp7"\n', "fp7"),
    ],
)
def test_an_unknown_part_or_field_is_refused_by_name(tmp_path: Path, changes: str, named: str) -> None:
    with pytest.raises(InputError, match=named) as refused:
        read_own(tmp_path, changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("spelling", "named"),
    [
        ("{}", r"published_as\[0\] = \{\}"),
        ("{ bits = nan }", r"published_as\[0\]: bits = NaN: expected a word, a number"),
        ('[{ bits = 4 }, { kept = ["expert"] }]', r'published_as\[1\]: kept = \["expert"\]: expected .*experts'),
        ('{ kept = ["mlp"], quantized = ["mlp"] }', "kept = .*: expected either kept or quantized"),
        ('{ dtype = "float16", bits = 4 }', 'dtype = "float16": expected no other condition'),
    ],
)
def test_a_spelling_that_no_config_can_have_is_refused(tmp_path: Path, spelling: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_own(tmp_path, f"published_as = {spelling}\n")


@pytest.mark.parametrize("precision_id", ["nvfp4", "int8-channel", "mxfp4", "fp8"])
def test_a_sweep_has_the_same_costs(precision_id: str) -> None:
    layers = make_model(MIXTURE, "MixtralForCausalLM")
    whole = cost_ops(layers, SHIPPED_PRECISIONS, precision_id)
    row = SHIPPED_PRECISIONS["precision"].row(by_predicate=pl.col("precision_id") == precision_id, named=True)
    counts = {each["kind"]: each for each in ELEMENTWISE.iter_rows(named=True)}
    grid = pl.DataFrame({"batch_size": [1], "sequence_length": [1024], "query_length": [1]})
    ops = fixed_ops(layers, ["engine"], ["decode"], [1])
    swept = grid_costs(ops, row, counts, grid, SHIPPED_PRECISIONS["precision_part"])
    columns = ["op", "flops", "weight_bytes", "activation_bytes", "bytes", "compute_dtype"]
    texts = pl.col("op", "compute_dtype").cast(pl.String)
    assert swept.select(columns).with_columns(texts).sort("op").rows() == whole.select(columns).sort("op").rows()


def test_every_part_of_an_op_can_be_set_apart() -> None:
    shapes = make_shapes(read_shipped("deepseek-v3"), "decode", 1, 128, t=2)
    assert set(shapes["part"]) < set(PARTS)

"""Which ops there are at a setting, and the hash that names them."""

import polars as pl
import pytest

from flows.intensity.shapes import CONVENTIONS, op_shapes, parameters, settings_of, with_shape_id

MODEL = pl.DataFrame(
    {
        "model_id": ["gqa"],
        "hidden_size": [4096],
        "intermediate_size": [14336],
        "num_layers": [32],
        "num_heads": [32],
        "num_kv_heads": [8],
        "head_dim": [128],
        "vocab_size": [128256],
        "tied_embeddings": [False],
    }
)


def workload(**changes: object) -> pl.DataFrame:
    row = {
        "workload_id": "w",
        "phases": ["prefill", "decode", "speculative"],
        "batch_sizes": [2, 4],
        "sequence_lengths": [128, 256],
        "candidates": [16, 32],
        "conventions": ["paper"],
        "precisions": ["fp16"],
        "tensor_parallel": [1],
        "models": None,
        **changes,
    }
    lists = {"models": pl.List(pl.String), "candidates": pl.List(pl.Int64)}
    return pl.DataFrame([row], schema_overrides=lists)


def test_every_combination_of_a_workload_is_a_setting() -> None:
    settings = settings_of(workload(), ["gqa"])
    counts = dict(settings.group_by("phase").len().iter_rows())
    assert counts == {"prefill": 4, "decode": 4, "speculative": 8}
    assert settings.filter(phase="prefill").select((pl.col("query_length") == pl.col("sequence_length")).all()).item()
    assert settings.filter(phase="decode")["query_length"].unique().to_list() == [1]
    assert settings.filter(phase="speculative")["query_length"].unique().sort().to_list() == [16, 32]


def test_workloads_that_overlap_share_settings_and_join_precisions() -> None:
    both = pl.concat([workload(), workload(workload_id="v", precisions=["bf16", "fp16"])])
    settings = settings_of(both, ["gqa"])
    assert len(settings) == len(settings_of(workload(), ["gqa"]))
    assert set(settings["precisions"][0]) == {"fp16", "bf16"}


def test_a_workload_can_name_its_models() -> None:
    assert settings_of(workload(models=["gqa"]), ["gqa", "other"])["model_id"].unique().to_list() == ["gqa"]
    assert set(settings_of(workload(), ["gqa", "other"])["model_id"]) == {"gqa", "other"}


@pytest.mark.parametrize(
    ("op", "phase", "m", "k", "n", "repeat"),
    [
        ("q_proj", "prefill", 2 * 128, 4096, 4096, 32),
        ("k_proj", "decode", 2, 4096, 1024, 32),
        ("v_proj", "speculative", 2 * 16, 4096, 1024, 32),
        ("down_proj", "decode", 2, 14336, 4096, 32),
        ("lm_head", "prefill", 2, 4096, 128256, 1),
        ("lm_head", "speculative", 2 * 16, 4096, 128256, 1),
        ("qk", "decode", 1, 128, 128, 32),
        ("pv", "prefill", 128, 128, 128, 32),
    ],
)
def test_dimensions(op: str, phase: str, m: int, k: int, n: int, repeat: int) -> None:
    shapes = op_shapes(MODEL, workload(batch_sizes=[2], sequence_lengths=[128], candidates=[16]))
    row = shapes.filter(op=op, phase=phase).select("m", "k", "n", "repeat").row(0)
    assert row == (m, k, n, repeat)


def test_attention_keeps_the_heads_of_grouped_queries() -> None:
    shapes = op_shapes(MODEL, workload())
    heads = shapes.filter(op_group="qk/pv").select("heads", "kv_heads", "head_dim").unique()
    assert heads.rows() == [(32, 8, 128)]


def test_products_are_the_same_in_both_conventions() -> None:
    names = {convention: [op.op for op in ops] for convention, ops in CONVENTIONS.items()}
    assert names["llm-viewer"][: len(names["paper"])] == names["paper"]


def test_shape_ids_are_unique_and_stable() -> None:
    shapes = op_shapes(MODEL, workload())
    assert shapes["shape_id"].is_unique().all()
    assert shapes["shape_id"].min() >= 0  # type: ignore[operator]
    one = shapes.filter(op="q_proj", phase="decode", batch_size=2, sequence_length=128)
    assert one["shape_id"].to_list() == [1734257425844877063]
    again = with_shape_id(shapes.drop("shape_id").reverse())
    assert again.sort("shape_id").equals(shapes.sort("shape_id"))


def test_parameters_of_llama_3_8b() -> None:
    """Grattafiori et al. 2024 (arXiv 2407.21783): 8.03 billion."""
    assert MODEL.select(parameters=parameters()).item() == 8_030_261_248
    tied = MODEL.with_columns(tied_embeddings=pl.lit(True))
    assert tied.select(parameters=parameters()).item() == 8_030_261_248 - 128256 * 4096

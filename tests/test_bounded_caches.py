"""What a sequence keeps: windows, chunks and states do not grow with the context, and shares of devices add up."""

from pathlib import Path

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.model import read_counted_models
from flows.intensity.costs import op_costs
from flows.intensity.shapes import join_layers, model_shards
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES, ELEMENTWISE, FP16, make_shapes

RECURRENT = ["mamba-2.8b", "qwen3-next-80b-a3b", "jamba-1.5-mini", "lfm2-1.2b", "falcon-h1-0.5b"]


def read_shipped(model_id: str) -> pl.DataFrame:
    path: Path = SHIPPED / "models" / f"{model_id}.json"
    frames = read_counted_models([*ARCHITECTURES, make_source(path, "model")])
    return join_layers(frames["model"], frames["layer_group"])


def sum_decode(layers: pl.DataFrame, context: int, column: str, kinds: tuple[str, ...] = ()) -> float:
    """Add up a cost of a decode step, of some kinds of ops or of all."""
    shapes = make_shapes(layers, "decode", 2, context)
    rows = shapes.filter(pl.col("op").is_in(kinds)) if kinds else shapes
    costs = rows.select("shape_id", "repeat").join(op_costs(shapes, FP16, ELEMENTWISE), on="shape_id")
    return float((costs[column] * costs["repeat"]).sum())


@pytest.mark.parametrize("model_id", RECURRENT)
def test_a_state_does_not_grow_with_the_context(model_id: str) -> None:
    layers = read_shipped(model_id)
    moved = sum_decode(layers, 128, "state_bytes")
    assert moved > 0
    assert sum_decode(layers, 131_072, "state_bytes") == moved


@pytest.mark.parametrize(
    ("model_id", "op", "bound"),
    [("gemma-3-27b", "attention_local", 1024), ("llama-4-scout", "attention_chunked", 8192)],
)
def test_windows_and_chunks_bound_what_a_step_reads(model_id: str, op: str, bound: int) -> None:
    layers = read_shipped(model_id)
    for column in ("kv_bytes", "flops"):
        whole = sum_decode(layers, bound, column, (op,))
        assert sum_decode(layers, bound // 2, column, (op,)) < whole
        assert sum_decode(layers, 16 * bound, column, (op,)) == whole


@pytest.mark.parametrize("model_id", ["mamba-2.8b", "qwen3-next-80b-a3b", "deepseek-v3.2", "gemma-3-27b"])
def test_what_devices_keep_of_a_sequence_adds_up(model_id: str) -> None:
    one, two = model_shards(read_shipped(model_id), [1, 2]).sort("tensor_parallel").iter_rows(named=True)
    assert 2 * two["state_bytes"] == one["state_bytes"]
    is_latent = model_id == "deepseek-v3.2"  # each device holds the whole latent
    for name in ("kv_elements_per_token", "local_kv_elements_per_token"):
        assert two[name] * (1 if is_latent else 2) == one[name]
    assert one["weights"] <= 2 * two["weights"] <= 1.2 * one["weights"]

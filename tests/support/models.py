"""Models made from a few fields, as rows of core.model and of core.layer_group."""

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.elementwise import read_elementwise
from flows.ingest.readers.model import read_counted_models
from flows.intensity.shapes import join_layers, op_shapes
from tests.support.inputs import make_source

DENSE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 32,
    "vocab_size": 1000,
}
MIXTURE = {**DENSE, "num_local_experts": 8, "num_experts_per_tok": 2}
LATENT = {
    **DENSE,
    "q_lora_rank": 96,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 128,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
}
GEMMA = {**DENSE, "sliding_window": 128, "hidden_activation": "gelu_pytorch_tanh"}
FP16 = pl.DataFrame(
    {
        "precision_id": ["fp16"],
        "weight_bits": [16.0],
        "activation_bits": [16.0],
        "kv_bits": [16.0],
        "compute_dtype": "fp16",
        "vector_bits": [None],
        "row_scale_bits": [0.0],
        "state_bits": [None],
        "residual_bits": [16.0],
    }
)


ARCHITECTURES = [make_source(path, "architecture") for path in sorted((SHIPPED / "architectures").glob("*.toml"))]


def read_model(config: dict[str, Any], architecture: str = "LlamaForCausalLM", name: str = "m") -> pl.DataFrame:
    """The row of core.model of a config of that class."""
    return _read(config, architecture, name)["model"]


def make_model(config: dict[str, Any], architecture: str = "LlamaForCausalLM", name: str = "m") -> pl.DataFrame:
    """The kinds of layers of one model, as a config of that class describes it: what `join_layers` returns."""
    frames = _read(config, architecture, name)
    return join_layers(frames["model"], frames["layer_group"])


def _read(config: dict[str, Any], architecture: str, name: str) -> dict[str, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps({"architectures": [architecture], **config}), encoding="utf-8")
        return read_counted_models([*ARCHITECTURES, make_source(path, "model")])


def make_workload(**changes: object) -> pl.DataFrame:
    """A workload of few settings."""
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
        "query_lengths": [],
        "trees": [],
        **changes,
    }
    numbers = pl.List(pl.Int64)
    lists = {
        "models": pl.List(pl.String), "candidates": numbers, "query_lengths": numbers, "trees": pl.List(numbers)
    }  # fmt: skip
    return pl.DataFrame([row], schema_overrides=lists)


def make_shapes(
    models: pl.DataFrame,
    phase: str,
    b: int,
    s: int,
    *,
    convention: str = "engine",
    t: int = 1,
    q: int = 4,
    chunk: int | None = None,
    tree: list[int] | None = None,
) -> pl.DataFrame:
    """The shapes of a model's ops at one setting: of a whole prompt or a chunk, of a chain of candidates or a tree."""
    lists: dict[str, object] = {
        "phases": [phase],
        "batch_sizes": [b],
        "sequence_lengths": [s],
        "candidates": [] if tree else [q],
    }
    lists |= {"query_lengths": [chunk] if chunk else [], "trees": [tree] if tree else []}
    return op_shapes(models, make_workload(**lists, conventions=[convention], tensor_parallel=[t]))


ELEMENTWISE = read_elementwise([make_source(SHIPPED / "elementwise.toml", "elementwise")])["elementwise"]

"""Attention to compressed keys (DeepSeek-V4), counted by hand: weights, cache, and FLOP of decode and of a prompt."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.model import read_models
from flows.intensity.costs import op_costs
from flows.intensity.grid import fixed_ops, grid_costs
from flows.intensity.shapes import model_shards
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.models import ARCHITECTURES, ELEMENTWISE, FP16, make_model, make_shapes, read_model
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

CLASS = "DeepseekV4ForCausalLM"
FLASH: dict[str, Any] = {
    "hidden_size": 4096, "num_hidden_layers": 43, "num_attention_heads": 64, "vocab_size": 129280,
    "qk_rope_head_dim": 64, "compress_ratios": [0, 0, *[4, 128] * 20, 4, 0],
}  # fmt: skip
PRO: dict[str, Any] = {
    "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128, "vocab_size": 129280,
    "qk_rope_head_dim": 64, "compress_ratios": [128, 128, *[4, 128] * 29, 4, 0], "q_lora_rank": 1536,
    "o_groups": 16, "index_topk": 1024, "moe_intermediate_size": 3072, "n_routed_experts": 384,
}  # fmt: skip
D, H, C, Q = 64, 4, 24, 20  # hidden size, heads, size of a head, rank of queries
WINDOW, BEST = 16, 5
INDEX_HEADS, INDEX_DIM = 3, 8
SMALL: dict[str, Any] = {
    "hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": H, "head_dim": C, "q_lora_rank": Q,
    "vocab_size": 1000, "o_groups": 2, "o_lora_rank": 12, "sliding_window": WINDOW, "index_n_heads": INDEX_HEADS,
    "index_head_dim": INDEX_DIM, "index_topk": BEST, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "moe_intermediate_size": 40, "hc_mult": 2, "num_hash_layers": 0,
    "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 10},
}  # fmt: skip
KINDS = ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"]


def make_layer(kind: str, **changes: Any) -> pl.DataFrame:
    return make_model({**SMALL, "layer_types": [kind], **changes}, CLASS)


@pytest.mark.parametrize(("config", "parameters"), [(FLASH, 284_332_240_471), (PRO, 1_572_997_201_763)])
def test_deepseek_v4_counts_what_its_class_does(config: dict[str, Any], parameters: int) -> None:
    """Counts of transformers 5.24 on the meta device, with the corrections of routers."""
    assert read_model(config, CLASS)["parameters"].item() == parameters


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_a_layer(kind: str) -> None:
    queries = D * Q + Q + Q * H * C
    key = D * C + C
    out = 2 * (H * C // 2) * 12 + 2 * 12 * D
    sinks = H
    compressor = {"sliding_attention": 0, "heavily_compressed_attention": 2 * D * C + 10 * C + C}
    twice, index = 2 * C, 2 * INDEX_DIM
    compressor["compressed_sparse_attention"] = 2 * D * twice + 4 * twice + C
    compressor["compressed_sparse_attention"] += 2 * D * index + 4 * index + INDEX_DIM
    compressor["compressed_sparse_attention"] += Q * INDEX_HEADS * INDEX_DIM + D * INDEX_HEADS
    mixture = 7 * 3 * D * 40 + 6 * D + 6
    streams = 8 * 2 * D + 8 + 3  # of each half of a layer
    layer = queries + key + out + sinks + compressor[kind] + mixture + 2 * streams + 2 * D
    last = 2 * 2 * D + 2 + 1
    assert make_layer(kind)["parameters"].item() == 2 * 1000 * D + D + layer + last


def test_experts_chosen_by_a_table_of_tokens_have_no_correction() -> None:
    chosen, looked_up = (make_layer(KINDS[0], mlp_layer_types=[kind]) for kind in ("moe", "hash_moe"))
    assert chosen["parameters"].item() - looked_up["parameters"].item() == 6


@pytest.mark.parametrize(
    ("kind", "of_token", "of_indexer"), [(KINDS[0], 0, 0), (KINDS[1], C / 4, INDEX_DIM / 4), (KINDS[2], C / 10, 0)]
)
def test_the_cache_grows_by_a_fraction_of_a_key(kind: str, of_token: float, of_indexer: float) -> None:
    shard = model_shards(make_layer(kind), [1]).row(0, named=True)
    assert shard["local_kv_elements_per_token"] == C  # once: it is key and value
    assert shard["kv_elements_per_token"] == shard["indexer_elements_per_token"] == 0
    assert shard["compressed_elements_per_token"] == of_token
    assert shard["compressed_indexer_elements_per_token"] == of_indexer


def cost_of(kind: str, phase: str, s: int, op: str) -> dict[str, Any]:
    shapes = make_shapes(make_layer(kind), phase, 1, s)
    costs = op_costs(shapes, FP16, ELEMENTWISE).join(shapes.select("shape_id", "op"), on="shape_id")
    return costs.row(by_predicate=pl.col("op") == op, named=True)


@pytest.mark.parametrize("s", [3, 9, 103])
@pytest.mark.parametrize(("kind", "ratio", "best"), [(KINDS[0], 0, 0), (KINDS[1], 4, BEST), (KINDS[2], 10, 1000)])
def test_attention_sees_the_window_and_the_compressed_keys(kind: str, ratio: int, best: int, s: int) -> None:
    def count_seen(tokens: int) -> int:
        return min(tokens, WINDOW) + (min(best, tokens // ratio) if ratio else 0)

    decode = cost_of(kind, "decode", s, "attention_compressed")
    assert decode["flops"] == 4 * H * C * count_seen(s)
    assert decode["kv_bytes"] == 2 * C * count_seen(s)
    prompt = cost_of(kind, "prefill", s, "attention_compressed")
    assert prompt["flops"] == pytest.approx(4 * H * C * sum(map(count_seen, range(1, s + 1))))
    assert prompt["kv_bytes"] == 2 * C * (s + (s // ratio if ratio else 0))


@pytest.mark.parametrize("s", [3, 103])
def test_the_indexer_scores_compressed_keys(s: int) -> None:
    """For each head and key, 2 d FLOP of the product and 3 of maximum, weight and sum."""
    each = INDEX_HEADS * (2 * INDEX_DIM + 3)
    decode = cost_of(KINDS[1], "decode", s, "index_scores_compressed")
    assert (decode["flops"], decode["kv_bytes"]) == (each * (s // 4), 2 * INDEX_DIM * (s // 4))
    prompt = cost_of(KINDS[1], "prefill", s, "index_scores_compressed")
    assert prompt["flops"] == pytest.approx(each * sum(token // 4 for token in range(1, s + 1)))


def test_heads_are_projected_group_by_group() -> None:
    first, second = (cost_of(KINDS[0], "decode", 50, op) for op in ("o_a_proj", "o_b_proj"))
    assert (first["flops"], first["weight_bytes"]) == (2 * H * C * 12, 2 * H * C * 12)
    assert (second["flops"], second["weight_bytes"]) == (2 * 24 * D, 2 * 24 * D)


@pytest.mark.parametrize("convention", ["paper", "llm-viewer", "engine"])
@pytest.mark.parametrize("phase", ["prefill", "decode", "speculative"])
def test_a_sweep_counts_the_same(convention: str, phase: str) -> None:
    layers = make_model({**SMALL, "num_hidden_layers": 3, "layer_types": KINDS}, CLASS)
    shapes = make_shapes(layers, phase, 2, 103, convention=convention)
    whole = op_costs(shapes, FP16, ELEMENTWISE).join(shapes.select("shape_id", "op", "query_length"), on="shape_id")
    grid = whole.select(batch_size=2, sequence_length=103, query_length="query_length").unique()
    counts = {row["kind"]: row for row in ELEMENTWISE.drop("origin", "note", "source_id").to_dicts()}
    found = grid_costs(fixed_ops(layers, [convention], [phase], [1]), FP16.row(0, named=True), counts, grid)
    both = whole.join(found.with_columns(pl.col("op").cast(pl.String)), on="op", suffix="_swept")
    assert len(both) == len(whole) == len(found)
    for name in ("flops", "bytes"):
        assert both[name].to_list() == pytest.approx(both[f"{name}_swept"].to_list())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"o_groups": 5}, ["o_groups = 5", "groups that divide 96 columns"]),
        ({"compress_ratios": [8]}, ["compress_ratios", "sliding_attention"]),
        ({"layer_types": ["full_attention"]}, ["full_attention", "expected one of sliding_attention"]),
        ({"num_key_value_heads": 2}, ["num_key_value_heads = 2"]),
        ({"index_n_heads": 0, "layer_types": [KINDS[1]]}, ["index_n_heads = 0", "an indexer of compressed keys"]),
    ],
)
def test_what_the_class_cannot_be_is_refused_by_key(changes: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    path = write_file(tmp_path, "mine.json", json.dumps({"architectures": [CLASS], **SMALL, **changes}))
    assert_refused(lambda: read_models([*ARCHITECTURES, make_source(path, "model")]), names=[str(path), *names])


def test_a_step_holds_the_window_and_the_compressed_keys(tmp_path: Path) -> None:
    """A run of one layer of each kind, also at a context that is shorter than any compressed key takes."""
    shipped = write_small_catalog(tmp_path / "shipped")
    (shipped / "architectures").mkdir(exist_ok=True)
    for name in ("llama.toml", "deepseek_v4.toml"):
        write_file(shipped, f"architectures/{name}", (SHIPPED / "architectures" / name).read_text("utf-8"))
    config = {"architectures": [CLASS], **SMALL, "num_hidden_layers": 3, "layer_types": KINDS}
    write_file(shipped / "models", "small-v4.json", json.dumps(config))
    workload = (shipped / "workloads/small.toml").read_text("utf-8")
    for old, new in (("[128, 1024]", "[3, 1000]"), ('"paper", "llm-viewer"', '"engine"'), ("llama-7b", "small-v4")):
        assert old in workload
        workload = workload.replace(old, new)
    write_file(shipped / "workloads", "small.toml", workload)
    home = Home(tmp_path / "home")
    assert run_without_prefect(home, shipped).status == "succeeded"
    with open_snapshot(home.snapshot) as snapshot:
        found = fetch_rows(
            snapshot,
            "select sequence_length, kv_memory_bytes, indexer_memory_bytes from mart.step_time"
            " where batch_size = 8 and phase = 'decode' and precision_id = 'bf16' order by 1",
        )
    held = [
        (s, 2 * 8 * (3 * C * min(s, WINDOW) + C * s / 4 + C * s / 10), 2 * 8 * INDEX_DIM * s / 4) for s in (3, 1000)
    ]
    assert found == [pytest.approx(each) for each in held]

"""Prompts in chunks, decode beside a chunk, and candidates in chains and trees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.readers.workload import read_workloads, refuse_unknown_names
from flows.intensity.costs import op_costs
from flows.intensity.grid import fixed_ops, grid_costs
from flows.intensity.shapes import expand_settings
from flows.sweep.request import Request, make_grid
from tests.support.files import write_file
from tests.support.inputs import WORKLOAD, assert_refused, make_source
from tests.support.models import ELEMENTWISE, FP16, make_model, make_shapes, make_workload
from tests.support.sweeps import read_shipped_inputs
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

WINDOW, BEST = 160, 50
# a window, compressed keys with an indexer, compressed keys without one
COMPRESSED = make_model(
    {
        "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 24, "q_lora_rank": 20,
        "vocab_size": 1000, "o_groups": 2, "o_lora_rank": 12, "sliding_window": WINDOW, "index_n_heads": 3,
        "index_head_dim": 8, "index_topk": BEST, "n_routed_experts": 6, "num_experts_per_tok": 2,
        "moe_intermediate_size": 40, "hc_mult": 2, "num_hash_layers": 0,
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 10},
        "layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
    },
    "DeepseekV4ForCausalLM",
    "compressed",
)  # fmt: skip
SHIPPED = ["llama-3-8b", "gemma-2-2b", "gpt-oss-20b", "llama-4-scout", "deepseek-v3", "deepseek-v3.2", "gemma-3n-e4b"]


def layers_of(model: str) -> pl.DataFrame:
    return COMPRESSED if model == "compressed" else read_shipped_inputs().layers.filter(model_id=model)


def costs_of(shapes: pl.DataFrame) -> pl.DataFrame:
    rows = shapes.drop("precisions", "sequences")
    return op_costs(shapes, FP16, ELEMENTWISE).join(rows, on="shape_id", maintain_order="left")


def work_of_attention(shapes: pl.DataFrame) -> float:
    costs = costs_of(shapes.filter(pl.col("kind").is_in(["attention", "index_scores"])))
    return float((costs["flops"] * costs["repeat"]).sum())


def test_a_chunk_behind_a_cached_prefix() -> None:
    """512 tokens that end at 8192 see 7936.5 each; lm_head has the last of them only."""
    shapes = make_shapes(layers_of("llama-3-8b"), "prefill", 1, 8192, chunk=512)
    rows = {row["op"]: row for row in costs_of(shapes).to_dicts()}
    attention, head = rows["attention"], rows["lm_head"]
    assert (attention["attended_tokens"], attention["cached_tokens"], attention["m"]) == (7936.5, 8192, 512)
    assert attention["flops"] == 4 * 32 * 512 * 128 * 7936.5
    assert attention["kv_bytes"] == 2 * 2 * 8 * 128 * 8192
    assert (head["m"], head["flops"]) == (1, 2 * 4096 * 128256)  # 1.05 GFLOP
    assert rows["qkv_proj"]["m"] == rows["mlp_add"]["m"] == rows["embedding"]["m"] == 512


@pytest.mark.parametrize("model", [*SHIPPED, "compressed"])
def test_the_chunks_of_a_prompt_attend_as_the_whole_of_it(model: str) -> None:
    layers = layers_of(model)
    ends = [(7000, 7000), (14000, 7000), (20000, 6000)]
    whole = work_of_attention(make_shapes(layers, "prefill", 2, 20000))
    chunks = [make_shapes(layers, "prefill", 2, end, chunk=chunk) for end, chunk in ends]
    assert sum(map(work_of_attention, chunks)) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "op", "count_seen", "reach"),
    [
        ("gemma-2-2b", "attention_local", lambda token: min(token, 4096), 4096 + 299),
        ("gpt-oss-20b", "attention_local", lambda token: min(token, 128), 128 + 299),
        ("llama-4-scout", "attention_chunked", lambda token: (token - 1) % 8192 + 1, 8300),
        ("deepseek-v3.2", "attention_sparse", lambda token: min(token, 2048), 8300),
        ("deepseek-v3.2", "index_scores", lambda token: token, 8300),
        ("compressed", "index_scores_compressed", lambda token: token // 4, 8300 // 4),
        ("compressed", "attention_compressed", lambda token: min(token, WINDOW), WINDOW + 299),
        (
            "compressed",
            "attention_compressed_compressed_sparse_attention",
            lambda token: min(token, WINDOW) + min(token // 4, BEST),
            WINDOW + 299 + 8300 // 4,
        ),
    ],
)
@pytest.mark.parametrize("phase", ["prefill", "speculative"])
def test_a_chunk_and_a_chain_see_exact_sums(
    model: str, op: str, count_seen: Callable[[int], int], reach: int, phase: str
) -> None:
    """The 300 tokens that end at 8300: what each sees on average, and what all of them reach."""
    shapes = make_shapes(layers_of(model), phase, 1, 8300, q=300, chunk=300 if phase == "prefill" else None)
    row = shapes.row(by_predicate=pl.col("op") == op, named=True)
    assert row["attended_tokens"] == pytest.approx(sum(map(count_seen, range(8001, 8301))) / 300, rel=1e-12)
    assert row["cached_tokens"] == reach


def test_what_the_first_of_a_chunk_attends_to_in_its_own_chunk_is_read() -> None:
    late = make_shapes(layers_of("llama-4-scout"), "prefill", 1, 8500, chunk=300).filter(op="attention_chunked")
    assert late["cached_tokens"].item() == 8500 - 8192


def test_scores_in_memory_are_those_of_what_the_queries_reach() -> None:
    shapes = make_shapes(layers_of("gemma-2-2b"), "prefill", 1, 8192, chunk=512, convention="paper")
    sizes = {row["op"]: (row["m"], row["n"]) for row in shapes.filter(kind="qk").to_dicts()}
    assert sizes == {"qk": (512, 8192), "qk_local": (512, 4096 + 511)}


def test_latents_before_a_chunk_are_expanded_again() -> None:
    shapes = make_shapes(layers_of("deepseek-v3"), "prefill", 1, 8192, chunk=512)
    assert shapes.filter(op="kv_b_proj")["m"].unique().to_list() == [8192]


def test_a_later_chunk_reads_the_state_and_writes_it() -> None:
    first, later = (
        make_shapes(layers_of("qwen3-next-80b-a3b"), "prefill", 1, s, chunk=512).filter(op="recurrence")
        for s in (512, 8192)
    )
    assert 2 * first["state_elements"].item() == later["state_elements"].item()
    assert first["chunk_size"].to_list() == later["chunk_size"].to_list() == [64]


@pytest.mark.parametrize("model", ["llama-3-8b", "deepseek-v3.2", "qwen3-next-80b-a3b", "compressed"])
def test_a_mixed_step_is_decode_beside_a_chunk(model: str) -> None:
    """What runs apart costs what it does in both steps; everything else runs once, for all rows."""
    layers = layers_of(model)
    mixed = costs_of(make_shapes(layers, "mixed", 8, 4096, chunk=256))
    decode = costs_of(make_shapes(layers, "decode", 8, 4096))
    chunk = costs_of(make_shapes(layers, "prefill", 1, 4096, chunk=256))
    parts = [
        (decode.filter(pl.col("kind") != "linear"), pl.col("op")),
        (chunk.filter(pl.col("kind") != "linear"), pl.col("op") + "_prefill"),
    ]
    for rows, name in parts:
        apart = rows.filter(pl.col("op_group").is_in(["attention", "recurrence"])).with_columns(op=name)
        both = apart.join(mixed, on="op")
        assert len(both) == len(apart) > 0
        for column in ("flops", "bytes", "m"):
            assert both[column].to_list() == both[f"{column}_right"].to_list()
    heights = dict(mixed.select("op", "m").iter_rows())
    assert (heights["attn_norm"], heights["lm_head"]) == (8 + 256, 8 + 1)
    assert mixed["op"].is_unique().all()
    assert set(mixed["query_length"]) == {256}
    assert set(mixed["batch_size"]) == {8}


TREE = [1, 4, 8, 3]


@pytest.mark.parametrize(
    ("model", "op", "count_seen"),
    [
        ("llama-3-8b", "attention", lambda token: token),
        ("gpt-oss-20b", "attention_local", lambda token: min(token, 128)),
        ("deepseek-v3", "attention", lambda token: token),
        ("compressed", "index_scores_compressed", lambda token: token // 4),
    ],
)
@pytest.mark.parametrize("s", [16, 130, 1000])
def test_a_candidate_of_a_tree_sees_its_ancestors(
    model: str, op: str, count_seen: Callable[[int], int], s: int
) -> None:
    row = make_shapes(layers_of(model), "speculative", 2, s, tree=TREE).row(by_predicate=pl.col("op") == op, named=True)
    before = s - sum(TREE)
    seen = [count_seen(before + depth) for depth, number in enumerate(TREE, 1) for _ in range(number)]
    assert row["attended_tokens"] == pytest.approx(sum(seen) / 16, rel=1e-12)
    assert row["query_length"] == row["m"] == 16


def test_a_tree_without_branches_is_a_chain() -> None:
    chain, tree = (
        make_shapes(layers_of("gpt-oss-20b"), "speculative", 2, 135, **of) for of in ({"q": 8}, {"tree": [1] * 8})
    )
    assert chain.equals(tree)


def test_eager_attention_has_no_mask() -> None:
    tree = make_workload(conventions=["paper", "engine"], phases=["speculative"], candidates=[], trees=[TREE])
    settings = expand_settings(tree, ["m"])
    assert settings.filter(pl.col("tree").is_not_null())["convention"].unique().to_list() == ["engine"]
    shapes = make_shapes(layers_of("llama-3-8b"), "speculative", 1, 128, tree=TREE, convention="engine")
    assert shapes.filter(op="attention")["attended_tokens"].item() < 128


def test_a_chunk_longer_than_the_context_is_left_out() -> None:
    both = make_workload(phases=["prefill", "mixed"], query_lengths=[128, 200])
    settings = expand_settings(both, ["m"]).select("sequence_length", "query_length").unique().sort(pl.all())
    assert settings.rows() == [(128, 128), (256, 128), (256, 200)]


@pytest.mark.parametrize("convention", ["engine", "paper", "llm-viewer"])
@pytest.mark.parametrize("phase", ["prefill", "mixed"])
@pytest.mark.parametrize("model", ["deepseek-v3.2", "qwen3-next-80b-a3b", "compressed"])
def test_a_sweep_counts_the_same(model: str, phase: str, convention: str) -> None:
    layers = layers_of(model)
    whole = costs_of(make_shapes(layers, phase, 2, 700, convention=convention, chunk=300))
    counts = {row["kind"]: row for row in ELEMENTWISE.drop("origin", "note", "source_id").to_dicts()}
    grid = pl.DataFrame({"batch_size": [2], "sequence_length": [700], "query_length": [300]})
    found = grid_costs(fixed_ops(layers, [convention], [phase], [1]), FP16.row(0, named=True), counts, grid)
    both = whole.join(found.with_columns(pl.col("op", "phase").cast(pl.String)), on=["op", "phase"], suffix="_swept")
    assert len(both) == len(whole) == len(found)
    for name in ("flops", "bytes"):
        assert both[name].to_list() == pytest.approx(both[f"{name}_swept"].to_list())


def test_a_sweep_of_chunks_spans_those_that_fit() -> None:
    request = Request(
        "s", models=["llama-7b"], phases=["prefill", "mixed"], batch="1,2", sequence="4,6,9", query="5,7,10"
    )
    grid = make_grid(request, read_shipped_inputs())
    for phase in ("prefill", "mixed"):
        rows = grid.settings(phase, 0, grid.size(phase)).select("batch_size", "sequence_length", "query_length").rows()
        assert rows == [(b, s, q) for b in (1, 2) for s, q in ((6, 5), (9, 5), (9, 7))]
        assert grid.settings(phase, 2, 5).select(pl.col("query_length")).to_series().to_list() == [7, 5, 5]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"phases": ["decode"], "query": "5"}, ["--query: 5", "prefill or mixed"]),
        ({"phases": ["mixed"]}, ["--query: missing", "mixed"]),
        ({"query": "512", "sequence": "128,256"}, ["--query: 512", "at most", "128,256"]),
        ({"query": "x"}, ["--query: x"]),
        ({"query": ""}, ["--query: "]),
        ({"candidates": ""}, ["--candidates: "]),
    ],
)
def test_bad_queries_of_a_sweep(changes: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        make_grid(Request("s", models=["llama-7b"], **changes), read_shipped_inputs())
    assert all(name in str(refused.value) for name in names)


@pytest.mark.parametrize(
    ("phases", "lines", "names"),
    [
        ('"decode"', "query_length = [8]", [": query_length = [8]: expected none without the phase prefill or mixed"]),
        ('"mixed"', "", [": query_length = []: expected some with the phase mixed"]),
        ('"prefill"', "query_length = [512, 600]", [": query_length = [512, 600]: expected at most", "[128]"]),
        ('"prefill"', "query_length = [0]", ["query_length[0]", "0"]),
        ('"speculative"', "trees = [[1, 2]]", [": trees = [[1, 2]]: expected none without", "engine"]),
        (
            '"speculative"',
            'trees = [[1, 2]]\nconventions = ["engine"]\ncandidates = [3]',
            [": trees = [[1, 2]]: expected one mask"],
        ),
        (
            '"speculative"',
            'trees = [[100, 200]]\nconventions = ["engine"]',
            [": trees = [[100, 200]]: expected at most", "[128]"],
        ),
        ('"speculative"', 'trees = [[]]\nconventions = ["engine"]', ["trees[0]"]),
    ],
)
def test_bad_chunks_and_trees(tmp_path: Path, phases: str, lines: str, names: list[str]) -> None:
    text = WORKLOAD.replace('"decode"', phases)
    text = text.replace('conventions = ["paper"]\n', "") if "conventions" in lines else text
    path = write_file(tmp_path, "mine.toml", f"{text}{lines}\n")
    assert_refused(lambda: read_workloads([make_source(path, "workload")]), names=[str(path), *names])


def test_two_workloads_cannot_give_as_many_candidates_two_masks(tmp_path: Path) -> None:
    text = WORKLOAD.replace('["decode"]', '["speculative"]').replace('["paper"]', '["engine"]')
    paths = [
        write_file(tmp_path, f"{name}.toml", text.replace("mine", name) + lines)
        for name, lines in (("tree", "trees = [[1, 2, 1]]\n"), ("chain", "candidates = [4]\n"))
    ]
    sources = [make_source(path, "workload") for path in paths]
    frames = read_workloads(sources)["workload"]
    known = pl.DataFrame({"model_id": ["llama-7b"], "precision_id": ["fp16"]})
    with pytest.raises(InputError) as refused:
        refuse_unknown_names(frames, known, known, sources)
    assert all(name in str(refused.value) for name in ("tree.toml: trees = [1, 2, 1]", "chain.toml", "4 candidates"))


WORKLOAD_OF_EVERY_PHASE = """
workload_id = "small"
name = "Small"
origin = "of a test"
phases = ["prefill", "decode", "speculative", "mixed"]
batch_size = [4]
sequence_length = [64, 1024]
query_length = [256]
candidates = [3]
trees = [[1, 2, 2]]
conventions = ["engine", "llm-viewer"]
precisions = ["fp16"]
models = ["llama-7b"]
"""


def test_a_run_of_every_phase(tmp_path: Path) -> None:
    shipped = write_small_catalog(tmp_path / "shipped")
    write_file(shipped / "workloads", "small.toml", WORKLOAD_OF_EVERY_PHASE)
    home = Home(tmp_path / "home")
    assert run_without_prefect(home, shipped).status == "succeeded"
    with open_snapshot(home.snapshot) as snapshot:
        found = fetch_rows(
            snapshot,
            "select phase, query_length, tokens_per_s * lower_bound_s, kv_memory_bytes from mart.step_time"
            " where sequence_length = 1024 and convention = 'engine' order by all",
        )
        (series,) = fetch_rows(
            snapshot,
            "select list(distinct series order by series), count(distinct op) from mart.roofline_point"
            " where phase = 'mixed' and convention = 'engine' and op like 'attention%'",
        )
        expected = fetch_rows(
            snapshot,
            "select mart.expected_tokens(0.8, 1), mart.expected_tokens(0.8, 5), mart.expected_tokens(1, 5),"
            " mart.expected_tokens(0, 5)",
        )
        nothing = fetch_rows(
            snapshot,
            "select mart.expected_tokens(1.5, 5), mart.expected_tokens(-0.2, 5), mart.largest_batch(80e9, 16e9, 0)",
        )
    a_sequence = 2 * 2 * 32 * 4096 * 1024
    assert found == [
        ("decode", 1, pytest.approx(4), 4 * a_sequence),
        ("mixed", 256, pytest.approx(4 + 256), 5 * a_sequence),
        ("prefill", 256, pytest.approx(4 * 256), 4 * a_sequence),
        ("speculative", 3, pytest.approx(4), 4 * a_sequence),
        ("speculative", 5, pytest.approx(4), 4 * a_sequence),
    ]
    assert series == (["attention mix"], 2)
    # Leviathan et al. 2023 (arXiv 2211.17192), equation 1: 1 + 0.8 + 0.8² + 0.8³ + 0.8⁴
    assert expected == [pytest.approx((1, 3.3616, 5, 1))]
    assert nothing == [(None, None, None)]

"""Work of recurrent mixers, counted by hand from their papers, and what holds for any of them."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.intensity.costs import op_costs, recurrence
from flows.intensity.grid import fixed_ops, grid_costs
from flows.intensity.recurrences import Recurrence, flops_of_token
from flows.intensity.shapes import op_shapes
from tests.support.models import make_workload
from tests.support.sweeps import read_shipped_inputs

# Two heads, one head of keys, N = 4, P = 8: 64 numbers of state.
SIZE = Recurrence(2, 1, 4, 8)
CHUNKED = ("mamba-2", "gated-delta", "lightning", "kda", "rwkv-7")
# A model of each kind: mamba-1 and experts, gated delta rule, DSA, chunks, windows of several kinds, MLA.
KINDS = ["jamba", "qwen3-next", "deepseek-v3.2", "llama-4", "gemma-4", "deepseek-v3"]


@pytest.mark.parametrize(
    ("rule", "flops"),
    [
        ("mamba-1", 7 * 64 + 3 * 16),
        ("mamba-2", 5 * 64 + 3 * 16),
        ("gated-delta", 7 * 64 + 2 * 16),
        ("lightning", 5 * 64),
        ("kda", 7 * 64 + 2 * 16),
        ("rg-lru", 9 * 64),
        ("rwkv-7", 9 * 64),
    ],
)
def test_a_token_by_itself(rule: str, flops: int) -> None:
    assert flops_of_token(rule, SIZE, None) == flops


@pytest.mark.parametrize(
    ("rule", "flops"),
    [
        # a chunk of 3 tokens: 2 are seen on average with itself, 1 before it; the state passes once in 3 tokens
        ("mamba-2", 1 * 2 * 4 * 2 + 2 * (2 * (1 + 16) + 4 * 32 + 3 * 8) + 2 * 2 * 32 / 3),
        ("lightning", 2 * (2 * (8 + 1 + 16) + 2 * 4 + 4 * 32) + 2 * 2 * 32 / 3),
        ("gated-delta", 8 * 3 + 2 * (2 + 2) + 2 * 3 * 12 + 2 * (2 * 16 + 6 * 32 + 8) + 2 * 2 * 32 / 3),
        ("kda", 2 * (16 + 8 * 3 + 1) + 2 * 3 * 12 + 2 * (2 * 16 + 6 * 32 + 8) + 2 * 2 * 32 / 3),
        ("rwkv-7", 2 * (20 + 16 * 3) + 2 * 2 * 20 + 2 * (2 * 32 + 8 * 32) + 2 * 2 * 32 / 3),
    ],
)
def test_a_token_of_a_chunk(rule: str, flops: float) -> None:
    assert flops_of_token(rule, SIZE, 3) == pytest.approx(flops, rel=1e-12)


@pytest.mark.parametrize("rule", ["mamba-1", "rg-lru"])
def test_a_rule_without_a_matrix_form_is_scanned(rule: str) -> None:
    assert flops_of_token(rule, SIZE, 64) == flops_of_token(rule, SIZE, None)


@pytest.mark.parametrize("rule", CHUNKED)
def test_a_chunk_of_one_token_is_about_a_step(rule: str) -> None:
    size = Recurrence(16, 16, 128, 128)
    assert 1 < flops_of_token(rule, size, 1) / flops_of_token(rule, size, None) < 1.3


@pytest.mark.parametrize(
    ("rule", "elements"),
    [
        ("mamba-1", 16 + 16 + 16 + 4 + 4),
        ("mamba-2", 16 + 16 + 4 + 4 + 2),
        ("gated-delta", 16 + 16 + 4 + 4 + 2 + 2),
        ("lightning", 16 + 16 + 4 + 4),
        ("kda", 16 + 16 + 4 + 4 + 8 + 2),
        ("rg-lru", 16 * 4),
        ("rwkv-7", 16 + 16 + 4 + 4 + 3 * 8),
    ],
)
def test_what_a_token_reads_and_writes(rule: str, elements: int) -> None:
    found = recurrence(rule, 3, 1, SIZE, chunk=None, moved=2 * 4 * 64, activation=2)
    assert found.activation_bytes == 3 * 2 * elements
    assert found.state_bytes == 2 * 4 * 64


@pytest.mark.parametrize("rule", CHUNKED)
def test_numbers_and_columns_give_the_same(rule: str) -> None:
    frame = pl.DataFrame({"chunk": [None, 1.0, 64.0]})
    columns = frame.select(flops=flops_of_token(rule, SIZE, pl.col("chunk")))["flops"].to_list()
    numbers = [flops_of_token(rule, SIZE, chunk) for chunk in (None, 1.0, 64.0)]
    assert columns == pytest.approx(numbers, rel=1e-12)


def _model_of(kind: str) -> pl.DataFrame:
    layers = read_shipped_inputs().layers
    names = sorted(name for name in layers["model_id"].unique() if name.startswith(kind))
    assert names, kind
    return layers.filter(model_id=names[0])


def _shapes(layers: pl.DataFrame, phase: str, sequence: int, degrees: tuple[int, ...] = (1,)) -> pl.DataFrame:
    workload = make_workload(
        phases=[phase], batch_sizes=[2], sequence_lengths=[sequence], conventions=["engine"], tensor_parallel=degrees
    )
    return op_shapes(layers, workload).filter(op_group="recurrence")


def _costs(shapes: pl.DataFrame) -> pl.DataFrame:
    inputs = read_shipped_inputs()
    costs = op_costs(shapes, inputs.precisions, inputs.elementwise)
    return costs.join(shapes, on="shape_id", maintain_order="left")


def test_the_state_does_not_grow_with_the_context() -> None:
    layers = _model_of("qwen3-next")
    short, long = (_costs(_shapes(layers, "decode", sequence)) for sequence in (128, 131_072))
    columns = ["op", "flops", "state_bytes", "activation_bytes"]
    assert short.select(columns).equals(long.select(columns))
    assert (short["state_bytes"] > 0).all()


def test_a_step_reads_the_state_and_writes_it_in_its_own_bits() -> None:
    """Qwen3-Next: 32 heads of 128 x 128 in fp32, for two sequences; a prompt writes it once."""
    layers = _model_of("qwen3-next")
    step, prompt = (_costs(_shapes(layers, phase, 256)).filter(op="recurrence") for phase in ("decode", "prefill"))
    assert step["state_bytes"].to_list() == [2 * 2 * 4 * 32 * 128 * 128]
    assert prompt["state_bytes"].to_list() == [2 * 4 * 32 * 128 * 128]


def test_shares_of_devices_sum_to_the_whole() -> None:
    costs = _costs(_shapes(_model_of("qwen3-next"), "decode", 256, (1, 4))).filter(op="recurrence")
    whole, share = (costs.filter(tensor_parallel=t) for t in (1, 4))
    for name in ("flops", "state_bytes", "activation_bytes"):
        assert 4 * share[name][0] == whole[name][0]


def test_a_prompt_shorter_than_a_chunk_is_one_chunk() -> None:
    layers = _model_of("qwen3-next")
    chunks = [
        _shapes(layers, "prefill", sequence).filter(op="recurrence")["chunk_size"].item() for sequence in (8, 256)
    ]
    assert chunks == [8, 64]


@pytest.mark.parametrize("kind", KINDS)
@given(batch=st.integers(1, 300), sequence=st.integers(1, 300_000), phase=st.sampled_from(["prefill", "decode"]))
@settings(max_examples=4, deadline=None)
def test_a_grid_costs_what_its_ops_cost(kind: str, batch: int, sequence: int, phase: str) -> None:
    inputs, layers = read_shipped_inputs(), _model_of(kind)
    workload = make_workload(
        phases=[phase], batch_sizes=[batch], sequence_lengths=[sequence], conventions=["engine"], tensor_parallel=[1]
    )
    shapes = op_shapes(layers, workload)
    precision = inputs.precisions.filter(precision_id="fp16")
    whole = op_costs(shapes, precision, inputs.elementwise).join(shapes, on="shape_id")
    ops = fixed_ops(layers, ["engine"], [phase], [1])
    grid = shapes.select("batch_size", "sequence_length", "query_length").unique()
    counts = {
        row["kind"]: {name: value for name, value in row.items() if name.endswith("_per_element")}
        for row in inputs.elementwise.to_dicts()
    }
    swept = grid_costs(ops, precision.to_dicts()[0], counts, grid).with_columns(pl.col("op").cast(pl.String))
    columns = ["op", "flops", "weight_bytes", "activation_bytes", "kv_bytes", "state_bytes", "bytes"]
    assert swept.select(columns).sort("op").equals(whole.select(columns).sort("op"))


def test_a_draft_of_deepseek_v3() -> None:
    """DeepSeek-V3 (arXiv 2412.19437), section 2.2: M projects two vectors of 7168 to one; 256 experts of 2048, 8 met.

    One token of one sequence: 2 FLOP of each weight that it passes through.
    """
    layers = _model_of("deepseek-v3")
    workload = make_workload(
        phases=["decode"], batch_sizes=[1], sequence_lengths=[64], conventions=["draft"], tensor_parallel=[1]
    )
    shapes = op_shapes(layers, workload)
    costs = dict(_costs(shapes).select("op", "flops").iter_rows())
    assert costs["draft_in_proj"] == 2 * 2 * 7168 * 7168
    assert costs["expert_gate_up_proj"] == 2 * 8 * 7168 * 2 * 2048
    assert costs["expert_down_proj"] == 2 * 8 * 2048 * 7168
    assert costs["o_proj"] == 2 * 128 * 128 * 7168
    assert costs["attention"] == 2 * 128 * (512 + 64 + 512) * 64
    assert costs["lm_head"] == 2 * 7168 * 129_280
    assert set(shapes["repeat"]) == {1}


def test_a_model_without_drafts_has_no_ops_of_them() -> None:
    assert not len(op_shapes(_model_of("llama-7b"), make_workload(conventions=["draft"])))

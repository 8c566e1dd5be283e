"""How experts, stages and replicas share a model: the shares of all devices are the whole, and what is sent."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.readers.workload import read_workloads, refuse_unshared
from flows.intensity.costs import op_costs
from flows.intensity.grid import fixed_ops
from flows.intensity.shapes import list_ways, model_shards, op_shapes
from flows.sweep.request import Request, make_grid
from tests.support.files import write_file
from tests.support.inputs import WORKLOAD, make_source
from tests.support.models import DENSE, ELEMENTWISE, FP16, LATENT, make_model, make_workload
from tests.support.sweeps import read_shipped_inputs
from warehouse.errors import InputError

MIXTURE = make_model({**LATENT, "vocab_size": 1024}, "DeepseekV3ForCausalLM")
SINGLE = ("micro_batches", "expert_load")
EXPERTS = ["expert_gate_up_proj", "expert_down_proj"]


def compute(phase: str = "decode", *, batch: int = 64, model: pl.DataFrame = MIXTURE, **lists: Any) -> pl.DataFrame:
    """The ops of an engine with their costs, by default in a decode step of 64 sequences."""
    ways = {name: value if name in SINGLE else [value] for name, value in lists.items()}
    setting = {"phases": [phase], "batch_sizes": [batch], "sequence_lengths": [256], "conventions": ["engine"]}
    shapes = op_shapes(model, make_workload(**setting, **ways))
    return shapes.drop("precisions").join(op_costs(shapes, FP16, ELEMENTWISE), on="shape_id")


def add_up(ops: pl.DataFrame, quantity: str = "flops", *names: str) -> float:
    """What one device does in a step, in the ops of these names."""
    chosen = ops.filter(pl.col("op").is_in(names)) if names else ops
    return float(chosen.select((pl.col(quantity) * pl.col("repeat")).sum()).item())


def test_a_stage_holds_whole_layers_to_the_element() -> None:
    """14 of 40 layers are 0.35 of them, which is no binary fraction."""
    stages = list(range(2, 12))
    for layers in (7, 33, 40, 48, 80):
        of = model_shards(
            make_model({**DENSE, "num_hidden_layers": layers}),
            list_ways(pipeline_parallel=stages, tensor_parallel=[1, 4]),
        )
        held = of.select("tensor_parallel", "pipeline_parallel", "kv_elements_per_token").rows()
        assert held == [(t, count, 2 * 8 // t * 32 * -(-layers // count)) for t, count, _ in held]


@pytest.mark.parametrize(
    ("t", "d", "p"), [(1, 4, 4), (2, 1, 2), (2, 4, 8), (2, 4, 2)], ids=["replicas", "server", "all", "servers"]
)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_the_shares_of_spread_experts_are_the_whole(phase: str, t: int, d: int, p: int) -> None:
    whole = compute(phase)
    shared = compute(phase, tensor_parallel=t, data_parallel=d, expert_parallel=p)
    devices = t * d
    for names in (EXPERTS, ["shared_gate_up_proj", "shared_down_proj"], ["attention"], ["expert_sum"]):
        assert add_up(shared, "flops", *names) * devices == pytest.approx(add_up(whole, "flops", *names))
    # a group of p devices reads each expert once that its rows meet
    met = shared.filter(op=EXPERTS[0])["matrices"][0] * p
    rows = (256 if phase == "prefill" else 1) * 64 // d * (p // t)
    assert met == pytest.approx(16 * (1 - (1 - 4 / 16) ** rows))


def test_a_token_is_sent_once_to_each_other_device_that_holds_one_of_its_experts() -> None:
    shared = compute(data_parallel=4, expert_parallel=4)
    copies = 3 * (1 - (3 / 4) ** 4)
    for op in ("expert_dispatch", "expert_combine"):
        assert shared.filter(op=op).select("bytes", "level").row(0) == (
            pytest.approx(2 * 256 * 64 / 4 * copies),
            "interconnect",
        )
    assert shared.filter(kind="all_reduce").is_empty()
    assert "expert_all_gather" not in shared["op"].to_list()


def test_only_dense_layers_reduce_what_spread_experts_do_not() -> None:
    shared = compute(tensor_parallel=2, expert_parallel=2)
    assert shared.filter(op="mlp_all_reduce")["repeat"].to_list() == [1]
    assert shared.filter(op="attn_all_reduce")["repeat"].to_list() == [4]
    # each device has the results of its half of the tokens, and gets the other half
    assert shared.filter(op="expert_all_gather").select("repeat", "bytes").row(0) == (3, 2 * 256 * 64 / 2)


def test_a_load_factor_is_the_rows_of_the_busiest_device() -> None:
    even, uneven = (compute(data_parallel=4, expert_parallel=4, expert_load=load) for load in (1.0, 1.5))
    assert add_up(uneven, "flops", *EXPERTS) == pytest.approx(1.5 * add_up(even, "flops", *EXPERTS))
    assert add_up(uneven, "bytes", "expert_dispatch") == pytest.approx(1.5 * add_up(even, "bytes", "expert_dispatch"))


def test_without_spread_experts_replicas_are_whole_models_with_a_part_of_the_batch() -> None:
    columns = ["op", "m", "k", "n", "matrices", "repeat", "flops", "bytes"]
    assert compute(data_parallel=4).select(columns).equals(compute(batch=16).select(columns))
    assert compute(batch=6, data_parallel=4).filter(op="attention")["sequences"].to_list() == [2]  # the largest part


def test_stages_of_one_batch_take_as_long_as_one_device_and_send_between_them() -> None:
    whole, staged = compute(), compute(pipeline_parallel=4)
    ops = staged.filter(pl.col("kind") != "send").with_columns(repeat=pl.col("repeat") + pl.col("idle_repeat"))
    assert add_up(ops) == add_up(whole)
    send = staged.filter(op="stage_send")
    assert send.select("repeat", "idle_repeat", "bytes").row(0) == (1, 2, 2 * 256 * 64)


def test_a_sweep_says_how_long_a_stage_waits() -> None:
    fixed = fixed_ops(MIXTURE, ["engine"], ["decode"], list_ways(pipeline_parallel=[4]))
    swept, asked = (
        ops.select(pl.col("op").cast(pl.String), "repeat", "idle_repeat").sort("op").rows()
        for ops in (fixed, compute(pipeline_parallel=4))
    )
    assert swept == asked


def test_a_sweep_of_too_many_ways_is_refused_before_they_are_listed() -> None:
    with pytest.raises(InputError, match=r"--expert-parallel 1:1024:1, .*: 1073741824 ways to share; expected at most"):
        make_grid(
            Request(
                "s",
                expert_parallel="1:1024:1",
                pipeline_parallel="1:1024:1",
                data_parallel="1:1024:1",
                models=["llama-7b"],
            ),
            read_shipped_inputs(),
        )


def test_lm_head_of_few_micro_batches_runs_while_the_next_is_on_its_way() -> None:
    dense = make_model({**DENSE, "vocab_size": 1024})
    staged = compute(model=dense, pipeline_parallel=4, micro_batches=3)
    head = staged.filter(op="lm_head").select("repeat", "idle_repeat").row(0)
    assert head == (3, -2)  # 4 layers take 3 turns and wait for 1; a token takes 4 layers and lm_head


@pytest.mark.parametrize(("phase", "idle"), [("prefill", 2), ("decode", 0)])
def test_micro_batches_fill_a_pipeline(phase: str, idle: int) -> None:
    dense = make_model({**DENSE, "vocab_size": 1024})
    staged = compute(phase, model=dense, pipeline_parallel=2, micro_batches=4)
    product = staged.filter(op="o_proj").select("m", "repeat", "idle_repeat").row(0)
    assert product == (
        16 * (256 if phase == "prefill" else 1),
        4 * 2,
        idle,
    )  # 4 layers in 2 stages; (4 + 2 - 1) turns of 2 layers in prefill
    assert add_up(staged, "flops", "o_proj") * 2 == add_up(compute(phase, model=dense), "flops", "o_proj")


def test_a_device_holds_its_experts_its_stage_and_all_of_what_is_replicated() -> None:
    ways = list_ways(expert_parallel=[1, 4], pipeline_parallel=[1, 4], data_parallel=[1, 4])
    held = {tuple(way): weights for *way, weights in model_shards(MIXTURE, ways).select(
        "expert_parallel", "pipeline_parallel", "data_parallel", "weights"
    ).iter_rows()}  # fmt: skip
    whole, experts = held[1, 1, 1], 3 * 16 * 3 * 256 * 128
    assert set(held) == {(1, 1, 1), (1, 4, 1), (1, 1, 4), (1, 4, 4), (4, 1, 4), (4, 4, 4)}
    assert held[1, 1, 4] == whole
    assert held[4, 1, 4] == whole - experts * 3 // 4
    once = 2 * 1024 * 256 + 256  # embedding, lm_head and the last norm; a stage has only one of the first two
    assert held[1, 4, 1] == (whole - once) / 4 + once - 1024 * 256


def test_key_value_heads_are_replicated_if_there_are_fewer_than_devices() -> None:
    model = make_model({**DENSE, "num_key_value_heads": 2})
    heads = [compute(model=model, tensor_parallel=t).filter(op="attention")["kv_heads"][0] for t in (1, 2, 4, 8)]
    assert heads == [2, 1, 1, 1]


@pytest.mark.parametrize(
    "ways",
    [
        {"expert_parallel": 4},  # one device
        {"expert_parallel": 4, "tensor_parallel": 8},  # half of an expert
        {"expert_parallel": 32, "data_parallel": 32},  # 16 experts
        {"pipeline_parallel": 5},  # 4 layers
    ],
)
def test_ways_that_a_model_cannot_be_shared_in_have_no_rows(ways: dict[str, Any]) -> None:
    assert compute(**ways).is_empty()
    assert model_shards(MIXTURE, list_ways(**{name: [value] for name, value in ways.items()})).is_empty()
    assert compute(model=make_model(DENSE), data_parallel=4, expert_parallel=4).is_empty()


@pytest.mark.parametrize(
    "line",
    [
        "pipeline_parallel = [5]",
        "expert_parallel = [32]\ndata_parallel = [32]",
        'models = ["m"]\npipeline_parallel = [9]',
    ],
)
def test_a_workload_that_no_model_can_be_shared_for_is_refused(line: str, tmp_path: Path) -> None:
    source = make_source(write_file(tmp_path, "mine.toml", f"{WORKLOAD}{line}\n"), "workload")
    workloads = read_workloads([source])["workload"]
    with pytest.raises(InputError, match=r"mine.toml: \w+_parallel = \[\d+\]: no model can be shared so; expected"):
        refuse_unshared(workloads, MIXTURE, [source])


def test_a_workload_of_which_some_rows_remain_is_not_refused(tmp_path: Path) -> None:
    source = make_source(write_file(tmp_path, "mine.toml", f"{WORKLOAD}pipeline_parallel = [2, 5]\n"), "workload")
    refuse_unshared(read_workloads([source])["workload"], MIXTURE, [source])

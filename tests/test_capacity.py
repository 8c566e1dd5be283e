"""mart.capacity against a search, batch by batch, and the memory of a step."""

from functools import cache
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.catalog import list_sources
from flows.ingest.kinds import read_kind
from flows.intensity.costs import op_costs
from flows.intensity.shapes import join_layers, op_shapes
from tests.support.models import ELEMENTWISE, make_workload
from warehouse.home import Home

MODELS = ["llama-3.1-8b", "llama-3.1-70b", "gpt-oss-20b", "qwen3-30b-a3b", "deepseek-v2-lite", "gemma-2-9b"]
DEVICES = ["h100-sxm", "b200", "mi300x", "a100-80gb-sxm", "l40s", "tpu-v5e"]
PRECISIONS = ["bf16", "fp8", "w4a16"]
SHARES = [1, 8]
CONTEXTS = [1024, 8192]
LARGEST = 800
STEP = ["hardware_id", "model_id", "precision_id", "tensor_parallel", "sequence_length"]
NO_OTHER_SHARING = "expert_parallel = 1 and pipeline_parallel = 1 and data_parallel = 1"


def ask(connection: duckdb.DuckDBPyConnection, columns: list[str], rest: str) -> list[dict[str, Any]]:
    rows = connection.execute(f"select {', '.join(columns)} {rest}").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


@cache
def search(home: Home, model_id: str) -> pl.DataFrame:
    """Return seconds by what bounds an op, of every step of a model up to the largest batch, on every device."""
    sources = list_sources(home)
    frames, formats = read_kind("model", sources), read_kind("precision", sources)
    layers = join_layers(frames["model"].collect(), frames["layer_group"].collect()).filter(model_id=model_id)
    sizes = {"batch_sizes": list(range(1, LARGEST + 1)), "sequence_lengths": CONTEXTS, "candidates": [1]}
    asked = {"phases": ["decode"], "conventions": ["engine"], "precisions": PRECISIONS, "tensor_parallel": SHARES}
    shapes = op_shapes(layers, make_workload(**sizes, **asked))
    parts = formats["precision_part"].collect()
    return shapes.join(op_costs(shapes, formats["precision"].collect(), ELEMENTWISE, parts), on="shape_id")


def find_first(costs: pl.DataFrame, roofs: pl.DataFrame) -> tuple[int | None, dict[str, int | None]]:
    """Return the first batch whose step is compute-bound, and the first for each op in DRAM."""
    t = pl.col("tensor_parallel")
    is_added = (pl.col("kind") == "all_reduce") & pl.col("reduces_in_switch").fill_null(value=False)
    moved = pl.when(is_added).then(pl.col("bytes") * t / (2 * (t - 1))).otherwise("bytes") / pl.col("bandwidth")
    computed = pl.col("flops") / pl.col("peak")
    timed = costs.join(roofs, on=["compute_dtype", "level"]).with_columns(
        seconds=pl.max_horizontal(moved, computed) * pl.col("repeat"),
        bound=pl.when(computed >= moved).then(pl.lit("compute")).otherwise("level"),
    )
    of_step = timed.group_by("batch_size").agg(
        **{name: pl.col("seconds").filter(bound=name).sum() for name in ("compute", "dram", "interconnect")}
    )
    is_bound = (pl.col("compute") > pl.col("dram")) & (pl.col("compute") >= pl.col("interconnect"))
    firsts = timed.filter(level="dram").group_by("op").agg(pl.col("batch_size").filter(bound="compute").min())
    found = of_step.filter(is_bound)["batch_size"].min()
    return None if found is None else int(str(found)), dict(firsts.iter_rows())


def test_compute_bound_batches_are_those_of_a_search(snapshot: duckdb.DuckDBPyConnection, finished: Home) -> None:
    """200 rows: at one sequence fewer the bound of the step is another."""
    columns = ["hardware_id", "dtype", "level", "peak_flops_per_s", "bandwidth_bytes_per_s", "reduces_in_switch"]
    of_kernels = "from mart.kernel_roof where is_default and kernel_pipe = '' and kernel_accumulator = ''"
    names = {"dtype": "compute_dtype", "peak_flops_per_s": "peak", "bandwidth_bytes_per_s": "bandwidth"}
    roofs = pl.DataFrame(ask(snapshot, columns, of_kernels), infer_schema_length=None).rename(names)
    rows = ask(
        snapshot,
        [*STEP, "compute_bound_batch", "compute_bound_batch_by_op"],
        f"from mart.capacity where model_id in {tuple(MODELS)} and hardware_id in {tuple(DEVICES)}"
        f" and sequence_length in {tuple(CONTEXTS)} and tensor_parallel in {tuple(SHARES)}"
        f" and precision_id in {tuple(PRECISIONS)} and {NO_OTHER_SHARING} order by all",
    )
    luck = Random(16)
    bound = [row for row in rows if row["compute_bound_batch"]]
    never = [row for row in rows if not row["compute_bound_batch"]]
    drawn = luck.sample(bound, min(len(bound), 100))
    assert len(drawn) >= 20
    for row in drawn + luck.sample(never, 200 - len(drawn)):
        keys = {name: row[name] for name in ("precision_id", "tensor_parallel", "sequence_length")}
        costs = search(finished, row["model_id"]).filter(**keys)
        first, firsts = find_first(costs, roofs.filter(hardware_id=row["hardware_id"]))
        given = row["compute_bound_batch"]
        assert (given if given is not None and given <= LARGEST else None) == first, row
        batches = row["compute_bound_batch_by_op"].items()
        by_op = {op: batch if batch and batch <= LARGEST else None for op, batch in batches}
        assert by_op == firsts, row


def test_one_sequence_more_than_the_largest_batch_does_not_fit(snapshot: duckdb.DuckDBPyConnection) -> None:
    """200 rows, against the memory of a step of one sequence."""
    keys = [*STEP, "expert_parallel", "pipeline_parallel"]
    step = "select * from mart.step_time where convention = 'engine' and phase = 'decode' and data_parallel = 1"
    names = f"model_id in {tuple(MODELS)} and hardware_id in {tuple(DEVICES)}"
    parts = ["weight_memory_bytes", "tower_memory_bytes", "kv_memory_bytes", "indexer_memory_bytes"]
    parts += ["state_memory_bytes", "step.device_memory_bytes", "largest_batch", "step.memory_bytes"]
    rows = ask(
        snapshot,
        parts,
        f"from ({step} and {names} and batch_size = 1) as step"
        f" inner join (from mart.capacity where {names} and data_parallel = 1) as capacity using ({', '.join(keys)})"
        f" order by {', '.join(keys)}",
    )
    drawn = Random(16).sample(rows, 200)
    assert len({row["largest_batch"] for row in drawn}) > 20
    for row in drawn:
        weights, towers, kv, indexer, state, device, batch, one = row.values()
        assert weights + towers + kv + indexer + state == one
        sequence = kv + indexer + state
        assert batch == 0 or weights + towers + batch * sequence <= device
        assert weights + towers + (batch + 1) * sequence > device


def test_a_share_may_be_left_free(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Llama 3.1 8B in bf16 on an H100: 2**27 bytes of cache a sequence of 1024, beside 16.06 GB of weights."""
    (found,) = ask(
        snapshot,
        [
            "largest_batch",
            "mart.largest_batch(device_memory_bytes, fixed_memory_bytes, sequence_memory_bytes, free_share := 0.1)",
            "mart.fits_in_memory(72e9, device_memory_bytes, free_share := 0.1)",
            "mart.fits_in_memory(72.1e9, device_memory_bytes, free_share := 0.1)",
            "sequence_activation_bytes",
        ],
        "from mart.capacity where hardware_id = 'h100-sxm' and model_id = 'llama-3.1-8b' and precision_id = 'bf16'"
        " and sequence_length = 1024 and tensor_parallel = 1",
    )
    weights = 2 * 8_030_261_248
    logits = 2 * (4096 + 128_256)
    most, fewer = ((free * 80_000_000_000 // 10 - weights) // 2**27 for free in (10, 9))
    assert list(found.values()) == [most, fewer, True, False, logits + 2 * 4096]


@pytest.mark.parametrize(("phase", "rows", "most"), [("prefill", 8 * 8192, 3 * 14_336), ("decode", 8, 4096 + 128_256)])
def test_activations_peak_in_the_feed_forward_or_the_logits(
    phase: str, rows: int, most: int, snapshot: duckdb.DuckDBPyConnection
) -> None:
    """Gate, up and their product of a prompt, or the logits of a step, beside the residual stream."""
    (found,) = ask(
        snapshot,
        ["activation_memory_bytes", "device_memory_bytes"],
        "from mart.step_time where hardware_id = 'h100-sxm' and model_id = 'llama-3.1-8b' and precision_id = 'bf16'"
        f" and convention = 'engine' and phase = '{phase}' and batch_size = 8 and sequence_length = 8192"
        " and query_length in (1, 8192) and tensor_parallel = 1",
    )
    assert list(found.values()) == [2 * rows * (most + 4096), 80e9]

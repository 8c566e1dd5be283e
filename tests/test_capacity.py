"""mart.capacity against a search, sequence by sequence, and the memory of a step."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED, list_sources
from flows.ingest.kinds import read_kind
from flows.intensity.costs import op_costs
from flows.intensity.shapes import join_layers, op_shapes
from flows.intensity.terms import SHARING
from tests.support.models import ELEMENTWISE, make_workload
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

# dense, with windows, with spread experts, with latents, with state
MODELS = ["llama-3.1-8b", "gemma-2-9b", "gpt-oss-20b", "deepseek-v2-lite", "qwen3-next-80b-a3b"]
DEVICES = ["h100-sxm", "b200", "mi300x", "a100-80gb-sxm", "l40s"]
PRECISIONS = ["bf16", "fp8", "w4a16", "mxfp4", "fp8-kv8"]
CONTEXTS = [1024, 8192]
STAGES, LOAD = 4, 1.25
LARGEST = 500  # sequences at once that are searched
STEP = ["hardware_id", "model_id", "precision_id", *SHARING, "sequence_length"]
WORKLOAD = f"""
workload_id = "shared"
name = "Shared in every way"
origin = "a test"
phases = ["decode"]
batch_size = [64, 512]
sequence_length = {CONTEXTS}
conventions = ["engine"]
precisions = {PRECISIONS}
tensor_parallel = [1, 8]
expert_parallel = [1, 8]
pipeline_parallel = [1, {STAGES}]
data_parallel = [1, 8]
micro_batches = {STAGES}
expert_load = {LOAD}
"""


def ask(connection: duckdb.DuckDBPyConnection, columns: list[str], rest: str) -> list[dict[str, Any]]:
    rows = connection.execute(f"select {', '.join(columns)} {rest}").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home of few models and devices that share them in every way, and its catalog."""
    folder = tmp_path_factory.mktemp("shared")
    shipped = folder / "catalog"
    shutil.copytree(SHIPPED / "architectures", shipped / "architectures")
    files = ["precisions.toml", "elementwise.toml"]
    files += [f"models/{name}.json" for name in MODELS] + [f"hardware/{name}.toml" for name in DEVICES]
    for name in files:
        (shipped / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(SHIPPED / name, shipped / name)
    (shipped / "workloads").mkdir()
    (shipped / "workloads" / "shared.toml").write_text(WORKLOAD, "utf-8")
    home = Home(folder / "home")
    assert run_without_prefect(home, shipped).status == "succeeded"
    return home, shipped


@pytest.fixture(scope="module")
def capacity(shared: tuple[Home, Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_snapshot(shared[0].snapshot) as connection:
        yield connection


def count_others(row: dict[str, Any]) -> int:
    """Return the batches that are computed beside one of a replica: those of other replicas, and of other stages."""
    return int(row["data_parallel"] * (STAGES if row["pipeline_parallel"] > 1 else 1))


@cache
def search(home: Home, shipped: Path, model_id: str, t: int, e: int, p: int, d: int) -> pl.DataFrame:
    """Return the ops of every step of a model up to the most sequences at once, with their costs.

    A replica and micro-batch has one sequence more with the first batch that cannot be spread as evenly.
    """
    sources = list_sources(home, None, shipped)
    frames, formats = read_kind("model", sources), read_kind("precision", sources)
    layers = join_layers(frames["model"].collect(), frames["layer_group"].collect()).filter(model_id=model_id)
    others = count_others({"data_parallel": d, "pipeline_parallel": p})
    batches = [others * share + 1 for share in range(LARGEST)]
    ways = dict(zip(SHARING, ([t], [e], [p], [d]), strict=True))
    sizes = {"batch_sizes": batches, "sequence_lengths": CONTEXTS, "candidates": [1]}
    asked = {"phases": ["decode"], "conventions": ["engine"], "precisions": PRECISIONS, "expert_load": LOAD}
    shapes = op_shapes(layers, make_workload(**sizes, **asked, **ways, micro_batches=STAGES))
    parts = formats["precision_part"].collect()
    costs = op_costs(shapes, formats["precision"].collect(), ELEMENTWISE, parts)
    return shapes.drop("precisions").join(costs, on="shape_id")


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


def test_compute_bound_batches_are_those_of_a_search(
    shared: tuple[Home, Path], capacity: duckdb.DuckDBPyConnection
) -> None:
    """200 rows of all ways to share: with one sequence fewer the bound of the step is another."""
    columns = ["hardware_id", "dtype", "level", "peak_flops_per_s", "bandwidth_bytes_per_s", "reduces_in_switch"]
    of_kernels = "from mart.kernel_roof where is_default and kernel_pipe = '' and kernel_accumulator = ''"
    names = {"dtype": "compute_dtype", "peak_flops_per_s": "peak", "bandwidth_bytes_per_s": "bandwidth"}
    roofs = pl.DataFrame(ask(capacity, columns, of_kernels), infer_schema_length=None).rename(names)
    rows = ask(capacity, [*STEP, "compute_bound_batch", "compute_bound_batch_by_op"], "from mart.capacity order by all")
    luck = Random(16)
    bound = [row for row in rows if row["compute_bound_batch"]]
    drawn = luck.sample(bound, min(len(bound), 100))
    assert len(drawn) >= 20
    drawn += luck.sample(rows, 200 - len(drawn))
    assert {tuple(row[name] > 1 for name in SHARING) for row in drawn} == {
        tuple(row[name] > 1 for name in SHARING) for row in rows
    }
    for row in drawn:
        keys = {name: row[name] for name in ("precision_id", "sequence_length")}
        costs = search(*shared, row["model_id"], *(row[name] for name in SHARING)).filter(**keys)
        first, firsts = find_first(costs, roofs.filter(hardware_id=row["hardware_id"]))
        most = count_others(row) * LARGEST
        given = row["compute_bound_batch"]
        assert (given if given is not None and given <= most else None) == first, row
        batches = row["compute_bound_batch_by_op"].items()
        assert {op: batch if batch and batch <= most else None for op, batch in batches} == firsts, row


def test_crossovers_of_busy_experts_agree_with_capacity(capacity: duckdb.DuckDBPyConnection) -> None:
    """They count rows before those of each device and micro-batch are rounded."""
    keys = [name for name in STEP if name != "sequence_length"]
    rows = ask(
        capacity,
        [*keys, "critical_tokens", "compute_bound_batch_by_op['expert_down_proj']"],
        f"from mart.crossover inner join mart.capacity using ({', '.join(keys)})"
        " where op = 'expert_down_proj' and convention = 'engine' and sequence_length = 1024",
    )
    assert sum(row["critical_tokens"] is not None and row["expert_parallel"] > 1 for row in rows) > 100
    for row in rows:
        tokens, batch = row["critical_tokens"], row["compute_bound_batch_by_op['expert_down_proj']"]
        assert (tokens is None) == (batch is None), row
        assert tokens is None or abs(tokens - batch) <= 2 * count_others(row), row


def test_one_sequence_more_than_the_largest_batch_does_not_fit(
    shared: tuple[Home, Path], capacity: duckdb.DuckDBPyConnection
) -> None:
    """Rows of all ways to share: mart.step_time computes those batches, in a home that asks for them."""
    rows = ask(capacity, [*STEP, "largest_batch"], "from mart.capacity where largest_batch > 0 order by all")
    drawn = Random(16).sample(rows, 40)
    asked = "workload_id = 'w{}'\nname = 'w'\norigin = 'a test'\nphases = ['decode']\nconventions = ['engine']\n"
    home, catalog = Home(shared[0].path.parent / "larger"), shared[0].path.parent / "larger catalog"
    shutil.copytree(shared[1], catalog)
    for place, row in enumerate(drawn):
        ways = "".join(f"{name} = [{row[name]}]\n" for name in (*SHARING, "sequence_length"))
        batches = [row["largest_batch"], row["largest_batch"] + 1]
        which = f"models = ['{row['model_id']}']\nprecisions = ['{row['precision_id']}']\nbatch_size = {batches}\n"
        (catalog / "workloads" / f"w{place}.toml").write_text(asked.format(place) + ways + which, "utf-8")
    assert run_without_prefect(home, catalog).status == "succeeded"
    with open_snapshot(home.snapshot) as connection:
        for row in drawn:
            keys = " and ".join(f"{name} = {row[name]!r}" for name in STEP)
            fits = f"from mart.step_time where {keys} and batch_size >= {row['largest_batch']}"
            steps = ask(connection, ["batch_size", "fits_in_memory"], f"{fits} order by 1")
            found = [step["fits_in_memory"] for step in steps if step["batch_size"] <= row["largest_batch"] + 1]
            assert found == [True, False], row


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

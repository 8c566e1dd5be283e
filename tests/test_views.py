"""Views over the shipped catalog: whole steps, crossovers, roofs by level, conflicts."""

from functools import cache

import duckdb
import polars as pl
import pytest

from flows.ingest.catalog import list_sources
from flows.ingest.kinds import read_kind
from flows.intensity.costs import op_costs
from flows.intensity.shapes import join_layers
from tests.support.models import ELEMENTWISE, FP16, make_shapes
from warehouse.home import Home


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    return connection.execute(sql, parameters or None).fetchall()


STEP = (
    "hardware_id = 'h100-sxm' and model_id = 'llama-3-70b' and convention = 'engine' and precision_id = 'fp8'"
    " and phase = 'decode' and batch_size = 8 and sequence_length = 8192 and tensor_parallel = 4"
)


def test_a_step_is_the_sum_of_its_ops(snapshot: duckdb.DuckDBPyConnection) -> None:
    (of_ops,) = rows(
        snapshot,
        "select sum(flops * repeat), sum(bytes * repeat) filter (level = 'dram'),"
        " sum(bytes * repeat) filter (level = 'interconnect'), sum(lower_bound_s * repeat), count(*)"
        f" from mart.roofline_point where {STEP}",
    )
    (of_step,) = rows(
        snapshot,
        "select flops, bytes, interconnect_bytes, lower_bound_s, memory_s + compute_s + interconnect_s, tokens_per_s,"
        f" dominant_op_group, bound, fits_in_memory from mart.step_time where {STEP}",
    )
    assert of_step[:4] == pytest.approx(of_ops[:4], rel=1e-12)
    assert of_step[4] == pytest.approx(of_step[3], rel=1e-12)
    assert of_step[5] == pytest.approx(8 / float(str(of_step[3])), rel=1e-12)
    assert of_step[6:] == ("up/gate/down", "memory", True)


def test_memory_of_llama_2_7b(snapshot: duckdb.DuckDBPyConnection) -> None:
    """6,738,415,616 weights of 2 bytes, and 2 * 32 layers * 4096 elements of 2 bytes a token."""
    (found,) = rows(
        snapshot,
        "select weight_memory_bytes, kv_memory_bytes, fits_in_memory from mart.step_time where hardware_id = 'a40'"
        " and model_id = 'llama-7b' and convention = 'paper' and precision_id = 'fp16' and phase = 'decode'"
        " and batch_size = 8 and sequence_length = 1024",
    )
    assert found == (2 * 6_738_415_616, 8 * 1024 * 2 * 32 * 4096 * 2, True)


def test_what_does_not_fit_is_flagged(snapshot: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        snapshot,
        "select tensor_parallel, fits_in_memory from mart.step_time where hardware_id = 'h100-sxm'"
        " and model_id = 'llama-3-70b' and convention = 'engine' and precision_id = 'bf16' and phase = 'decode'"
        " and batch_size = 1 and sequence_length = 1024 order by 1",
    )
    assert found == [(1, False), (2, True), (4, True), (8, True)]


def test_a_window_bounds_the_cache(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Mistral 7B v0.1 holds no more than its 4096 tokens."""
    found = rows(
        snapshot,
        "select sequence_length, kv_memory_bytes from mart.step_time where hardware_id = 'a40'"
        " and model_id = 'mistral-7b-v0.1' and convention = 'engine' and precision_id = 'fp16' and phase = 'decode'"
        " and batch_size = 1 and tensor_parallel = 1 order by 1",
    )
    token = 2 * 32 * 8 * 128 * 2
    assert found == [(1024, 1024 * token), (8192, 4096 * token)]


def test_sharing_needs_an_interconnect(snapshot: duckdb.DuckDBPyConnection) -> None:
    lonely = rows(
        snapshot,
        "select hardware_id from core.hardware anti join (select hardware_id from core.ceiling"
        " where name = 'interconnect') using (hardware_id)",
    )
    assert lonely
    shared = rows(
        snapshot,
        "select distinct hardware_id from mart.step_time where model_id = 'llama-7b' and convention = 'engine'"
        " and tensor_parallel = 2 and precision_id = 'bf16' and phase = 'decode'",
    )
    assert not set(lonely) & set(shared)
    assert ("h100-sxm",) in shared


@pytest.mark.parametrize(
    ("hardware_id", "algorithm", "times_sent", "bandwidth"),
    [("h100-sxm", "switch", 1, 450e9), ("mi300x", "ring", 2 * 3 / 4, None), ("gb200", "switch", 1, 900e9)],
)
def test_an_all_reduce_stands_on_the_interconnect(
    hardware_id: str, algorithm: str, times_sent: float, bandwidth: float | None, snapshot: duckdb.DuckDBPyConnection
) -> None:
    """A ring sends 2 (t - 1) / t of the bytes, and a switch that adds has each sent once."""
    (found,) = rows(
        snapshot,
        "select level, bound, algorithm, bytes, activation_bytes, intensity_flops_per_byte * bytes / flops,"
        " lower_bound_s, bandwidth_bytes_per_s from mart.roofline_point"
        f" where {STEP.replace('h100-sxm', hardware_id)} and op = 'mlp_all_reduce'",
    )
    sent = times_sent * 8 * 8192 * 2  # engines exchange 16 bits
    assert found[:3] == ("interconnect", "interconnect", algorithm)
    assert found[3:6] == pytest.approx((sent, sent, 1))
    assert found[6] == pytest.approx(sent / float(str(found[7])))
    assert bandwidth is None or found[7] == bandwidth


def test_only_an_all_reduce_has_an_algorithm(snapshot: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        snapshot,
        f"select distinct kind = 'all_reduce', algorithm from mart.roofline_point where {STEP} order by all",
    )
    assert found == [(False, None), (True, "switch")]


@pytest.mark.parametrize(("hardware_id", "dtype"), [("a40", "fp8"), ("v100-sxm", "bf16"), ("h100-sxm", "fp4")])
def test_a_device_without_a_dtype_has_no_roof_and_no_points(
    hardware_id: str, dtype: str, snapshot: duckdb.DuckDBPyConnection
) -> None:
    assert rows(snapshot, "select * from mart.roof where hardware_id = ? and dtype = ?", hardware_id, dtype) == []
    points = "select 1 from mart.roofline_point where hardware_id = ? and dtype = ? limit 1"
    assert rows(snapshot, points, hardware_id, dtype) == []
    assert rows(snapshot, "select 1 from core.precision where compute_dtype = ?", dtype)


@cache
def models(home: Home) -> pl.DataFrame:
    frames = read_kind("model", list_sources(home))
    return join_layers(frames["model"].collect(), frames["layer_group"].collect())


@pytest.mark.parametrize(
    "model_id", ["llama-3-8b", "mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v2-lite", "gemma-2-9b", "gpt2", "falcon-7b"]
)
@pytest.mark.parametrize("hardware_id", ["h100-sxm", "mi250x"])
def test_a_crossover_is_the_first_compute_bound_batch(
    model_id: str, hardware_id: str, snapshot: duckdb.DuckDBPyConnection, finished: Home
) -> None:
    """Against a search: compute-bound at that many tokens, memory-bound at one fewer."""
    found = rows(
        snapshot,
        "select op, critical_tokens, ridge_flops_per_byte from mart.crossover where hardware_id = ? and model_id = ?"
        " and convention = 'engine' and precision_id = 'fp16' and tensor_parallel = 1",
        hardware_id,
        model_id,
    )
    one = models(finished).filter(model_id=model_id)

    @cache
    def intensities(batch: int) -> dict[str, float]:
        shapes = make_shapes(one, "decode", batch, 1024)
        costs = shapes.select("op", "shape_id").join(op_costs(shapes, FP16, ELEMENTWISE), on="shape_id", validate="1:1")
        return dict(costs.select("op", "intensity_flops_per_byte").iter_rows())

    assert any(critical is not None for _, critical, _ in found)
    for op, critical, ridge in found:
        tokens = [10**7] if critical is None else [int(str(critical)), int(str(critical)) - 1]
        for batch in filter(None, tokens):
            is_compute_bound = intensities(batch)[str(op)] >= float(str(ridge)) * (1 - 1e-12)
            assert is_compute_bound == (batch == critical), (op, batch)


def test_where_documents_disagree(snapshot: duckdb.DuckDBPyConnection) -> None:
    (found,) = rows(
        snapshot,
        "select lowest, highest, default_value, round(spread, 4), values_given, origins"
        " from mart.spec_conflict where hardware_id = 'b200' and name = 'dram'",
    )
    assert found[:5] == (7700e9, 8000e9, 8000e9, 0.039, 2)
    assert "8e+12 (datasheet: " in str(found[5])
    conflicts = rows(snapshot, "select hardware_id, name from mart.spec_conflict")
    assert {("a6000", "fp16"), ("gaudi3", "bf16"), ("rtx-4090", "fp16"), ("h100-sxm", "fp8")} <= set(conflicts)
    assert ("a40", "bf16") not in conflicts


def test_the_first_origin_of_a_basis_makes_its_roof(snapshot: duckdb.DuckDBPyConnection) -> None:
    (found,) = rows(
        snapshot,
        "select bandwidth_bytes_per_s from mart.roof where hardware_id = 'b200' and dtype = 'fp16' and is_default",
    )
    assert found == (8000e9,)


def test_roofs_of_other_levels(snapshot: duckdb.DuckDBPyConnection) -> None:
    levels = rows(
        snapshot,
        "select level, bandwidth_bytes_per_s from mart.roof_by_level where hardware_id = 'h100-sxm' and dtype = 'fp16'"
        " and is_default order by 1",
    )
    found = {str(level): float(str(value)) for level, value in levels}
    assert found["dram"] == 3350e9
    assert found["interconnect"] == 450e9
    assert found["l2"] > 3350e9


def test_the_catalog_is_as_large_as_it_says(snapshot: duckdb.DuckDBPyConnection) -> None:
    (counts,) = rows(
        snapshot,
        "select (select count(*) from core.hardware), (select count(*) from core.model),"
        " (select count(*) from core.precision), (select count(*) from core.op_cost)",
    )
    devices, models, precisions, costs = map(int, map(str, counts))
    assert devices >= 35
    assert models >= 20
    assert precisions >= 12
    assert costs < 10_000_000
    named = ["fp32", "tf32", "fp16", "bf16", "fp8", "int8", "w8a8", "w4a16", "w4a8", "fp4", "fp8-kv8", "fp16-kv8"]
    present = pl.DataFrame(snapshot.sql("select precision_id from core.precision"))["precision_id"].to_list()
    assert set(named) <= set(present)

"""Calibrated roofs: fitted to what they made, held out honestly, the same in SQL."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.calibration import read_calibrations, transfer_to_relatives
from flows.intensity.calibration import (
    PARAMETERS,
    Kernels,
    calibrate_dispatch,
    calibrate_kernels,
    calibrate_measurements,
    fit_form,
    predict_held_out_steps,
    predict_s,
)
from flows.measure.calibrate import calibrate_home, format_calibrations
from tests.benchmark_predictions import main as print_errors
from tests.support.files import ROOT, write_file
from tests.support.inputs import PROFILE, assert_refused, make_source
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.sql_files import load_sql

PEAK, BANDWIDTH = 150e12, 700e9
PLAIN = {"compute_efficiency": 0.8, "bandwidth_efficiency": 0.75, "overhead_s": 4e-6, "blend": 1.6}
TILED = {**PLAIN, "tile_limit": 20.0, "wave_exponent": 0.5, "partial_wave_exponent": 0.3, "tile_blend": 12.0}
SUSTAINED = {**TILED, "sustained_exponent": 0.08}
STREAMED = {**SUSTAINED, "tile_overhead_s": 2e-7, "stream_limit": 0.1, "stream_exponent": 0.5}
FLUSHED = {**STREAMED, "cached_bytes": 4e7, "cached_cost": 1.6}


def kernels(shapes: list[tuple[int, int, int]], units: float = 84) -> Kernels:
    m, k, n = np.array(shapes, dtype=float).T
    memory = 2 * (m * k + k * n + m * n) / BANDWIDTH
    return Kernels(2 * m * k * n / PEAK, memory, m, n, np.ones(len(m)), units, memory * BANDWIDTH)


GRID = [
    (m, k, n) for m in (1, 8, 64, 100, 256, 700, 2048, 8192) for k in (1024, 4096, 11008) for n in (1024, 4096, 12288)
]


FORMS = {"plain": PLAIN, "tiles": TILED, "sustained": SUSTAINED, "streams, flushed": FLUSHED}


@pytest.mark.parametrize(("form", "truth"), FORMS.items(), ids=FORMS)
def test_a_fit_finds_what_made_the_times(form: str, truth: dict[str, float]) -> None:
    found = fit_form(kernels(GRID), predict_s(kernels(GRID), truth), form)
    assert predict_s(kernels(GRID), found) == pytest.approx(predict_s(kernels(GRID), truth), rel=0.02)
    assert found["overhead_s"] == pytest.approx(truth["overhead_s"], rel=0.1)


def test_what_fills_the_cache_is_written_back_first() -> None:
    """Half of the additional time if the bytes are as many as the cache holds, none if they are far more."""
    full = {**PLAIN, "overhead_s": 0.0, "blend": 64.0, "cached_bytes": 4e7, "cached_cost": 1.6}
    moved = np.array([1e3, 4e7, 4e12])
    nothing = np.full(3, np.nan)
    one = Kernels(np.zeros(3), moved / BANDWIDTH, nothing, nothing, np.ones(3), 84, moved)
    assert predict_s(one, full) / (moved / BANDWIDTH / 0.75) == pytest.approx([1.6, 1.3, 1.0], rel=1e-4)


def test_a_block_of_queries_works_through_the_context() -> None:
    """Attention to a prompt of few heads takes as long as its last block of queries."""
    context = np.array([1024.0, 2048, 4096])
    nothing = np.full(3, np.nan)
    one = Kernels(context * 1e-9, context * 1e-10, nothing, nothing, np.ones(3), 84, context, context)
    found = predict_s(one, {**PLAIN, "overhead_s": 0.0, "blend": 64.0, "serial_s": 9e-9})
    assert found == pytest.approx(9e-9 * context)


STEPS = pl.DataFrame(
    {
        "hardware_id": "d", "is_dense": True, "tensor_parallel": [1, 1, 1, 1, 1, 1, 4, 4],
        "launch": ["graph"] * 2 + ["eager"] * 6, "kernels": [100, 300, 100, 300, 100, 300, 100, 300],
        "device_s": [1e-3, 2e-3, 4e-2, 5e-2, 1e-4, 2e-4, 1e-4, 2e-4], "source_id": "s",
    }
)  # fmt: skip


def test_steps_say_what_they_take_beside_their_kernels() -> None:
    """Long steps show the gap between kernels, short ones what the host needs, several devices a busier host."""
    kernels, device = STEPS["kernels"], STEPS["device_s"]
    per_kernel = pl.Series([3e-7] * 2 + [2e-6] * 2 + [0.0] * 4)
    started = pl.Series([0.0] * 4 + [14e-6] * 2 + [38e-6] * 2)
    times = [max(d + g * k, s * k) for d, g, s, k in zip(device, per_kernel, started, kernels, strict=True)]
    steps = STEPS.with_columns(latency_s=pl.Series(times))
    mixture = steps.with_columns(is_dense=pl.lit(value=False), latency_s=pl.col("latency_s") * 5)
    found = calibrate_dispatch(pl.concat([steps, mixture])).select("op_kind", "launch", "overhead_s", "n_points").rows()
    assert {row[:2]: pytest.approx(row[2], rel=1e-6) for row in found} == {
        ("gap", "graph"): 3e-7, ("gap", "eager"): 2e-6, ("dispatch", "eager"): 14e-6,
        ("dispatch_shared", "eager"): 38e-6,
    }  # fmt: skip
    assert [row[3] for row in found] == [2, 4, 4, 2]


def test_a_held_out_step_takes_what_steps_of_other_models_take() -> None:
    steps = STEPS.with_columns(latency_s=pl.col("device_s") + pl.col("kernels") * 1e-6)
    slower = STEPS.with_columns(latency_s=pl.col("device_s") + pl.col("kernels") * 3e-6)
    two = pl.concat([steps.with_columns(model_id=pl.lit("a")), slower.with_columns(model_id=pl.lit("b"))])
    graph = predict_held_out_steps(two).filter(launch="graph")
    per_kernel = (graph["held_out_s"] - graph["device_s"]) / graph["kernels"]
    assert per_kernel.to_list() == pytest.approx([3e-6, 3e-6, 1e-6, 1e-6])
    with_mixture = pl.concat(
        [two, two.filter(model_id="b").with_columns(is_dense=pl.lit(value=False), model_id=pl.lit("c"))]
    )
    of_a = predict_held_out_steps(with_mixture).filter(model_id="a")
    assert of_a["held_out_s"].to_list() == predict_held_out_steps(two).filter(model_id="a")["held_out_s"].to_list()


def test_outliers_disturb_a_fit_little() -> None:
    times = predict_s(kernels(GRID), PLAIN)
    times[::10] *= 3
    found = fit_form(kernels(GRID), times, "plain")
    assert found["compute_efficiency"] == pytest.approx(0.8, rel=0.05)
    assert found["bandwidth_efficiency"] == pytest.approx(0.75, rel=0.05)


@settings(max_examples=100, deadline=None)
@given(m=st.integers(1, 100_000), k=st.integers(16, 50_000), n=st.integers(16, 200_000), which=st.integers(0, 2))
def test_a_prediction_is_never_above_its_ceilings(m: int, k: int, n: int, which: int) -> None:
    one = kernels([(m, k, n)])
    (found,) = predict_s(one, (PLAIN, TILED, SUSTAINED)[which])
    assert np.isfinite(found)
    assert found >= max(one.compute_s[0], one.memory_s[0])


def make_frame(times: np.ndarray, models: list[str]) -> pl.DataFrame:
    m, k, n = (list(column) for column in zip(*GRID, strict=True))
    return pl.DataFrame(
        {
            "hardware_id": "d", "kind": "linear", "dtype": "fp16", "launch": "eager", "pipe": "tensor",
            "model_id": models, "op": "gemm", "is_elementwise": False, "serial_steps": 0,
            "rows": m, "k": k, "n": n, "matrices": 1.0, "flops": [2.0 * a * b * c for a, b, c in GRID],
            "bytes": [2.0 * (a * b + b * c + a * c) for a, b, c in GRID], "latency_s": times,
            "peak_flops_per_s": PEAK, "bandwidth_bytes_per_s": BANDWIDTH, "multiprocessors": 84, "source_id": "s",
        }
    )  # fmt: skip


def test_the_form_is_the_one_that_predicts_what_is_held_out() -> None:
    models = [f"m{i % 3}" for i in range(len(GRID))]
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, len(GRID)))
    plain = calibrate_measurements(make_frame(predict_s(kernels(GRID), PLAIN) * noise, models)).row(0, named=True)
    tiled = calibrate_measurements(make_frame(predict_s(kernels(GRID), TILED) * noise, models)).row(0, named=True)
    assert plain["n_points"] == len(GRID)
    assert tiled["tile_limit"] is not None
    for found in (plain, tiled):
        assert found["fit_mape"] < 0.03
        assert found["holdout_mape"] < 0.06
    alone = calibrate_measurements(
        make_frame(predict_s(kernels(GRID), TILED), ["m"] * len(GRID)).with_columns(k=1, n=1)
    )
    assert alone["holdout_mape"].to_list() == [None]
    assert calibrate_measurements(make_frame(predict_s(kernels(GRID), TILED), models).head(5)).is_empty()


def test_a_file_of_calibrations_reads_as_it_was_written(tmp_path: Path) -> None:
    models = [f"m{i % 3}" for i in range(len(GRID))]
    rows = calibrate_measurements(make_frame(predict_s(kernels(GRID), TILED), models)).with_columns(origin=pl.lit("me"))
    path = write_file(tmp_path, "calibrations.toml", format_calibrations(rows))
    again = read_calibrations([make_source(path, "calibration")])["fitted"]
    assert again["pipe"].to_list() == ["tensor"] * len(rows)
    for name in PARAMETERS:
        assert again[name].null_count() == rows[name].null_count()
        assert again[name].drop_nulls().to_list() == pytest.approx(rows[name].drop_nulls().to_list(), rel=1e-5)
    bad = write_file(tmp_path, "calibrations.toml", format_calibrations(rows).replace("blend = ", "blend = -", 1))
    assert_refused(lambda: read_calibrations([make_source(bad, "calibration")]), names=["blend", "greater"])


def test_relatives_lend_what_a_device_lacks(tmp_path: Path) -> None:
    models = [f"m{i % 3}" for i in range(len(GRID))]
    one = calibrate_measurements(make_frame(predict_s(kernels(GRID), PLAIN), models)).with_columns(origin=pl.lit("me"))
    path = write_file(tmp_path, "calibrations.toml", format_calibrations(one))
    mine = read_calibrations([make_source(path, "calibration")])["fitted"]
    fitted = pl.concat([mine, mine.with_columns(hardware_id=pl.lit("e"), op_kind=pl.lit("qk"))])
    named = [("x", "d", 1), ("x", "e", 2), ("d", "e", 1)]
    relatives = pl.DataFrame(named, schema=["hardware_id", "relative", "place"], orient="row")
    found = transfer_to_relatives(fitted, relatives).select("hardware_id", "op_kind", "transferred_from").rows()
    assert set(found) == {
        ("d", "linear", None), ("e", "qk", None), ("x", "linear", "d"), ("x", "qk", "e"), ("d", "qk", "e"),
    }  # fmt: skip


@pytest.mark.parametrize("hardware_id", ["h100-sxm", "a100-80gb-sxm", "a6000"])
def test_sql_predicts_what_python_does(hardware_id: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    """The view and the function are one formula: on products of dense models and of mixtures, whole and shared."""
    points = read_frame(
        snapshot,
        "select point.*, shape.m / shape.matrices as rows, shape.n, shape.matrices, roof.peak_flops_per_s,"
        " roof.bandwidth_bytes_per_s, hardware.multiprocessors from mart.predicted_point as point"
        " inner join core.op_shape as shape using (shape_id) inner join mart.roof as roof using (hardware_id, dtype)"
        " inner join core.hardware as hardware using (hardware_id)"
        f" where hardware_id = '{hardware_id}' and roof.is_default and point.kind = 'linear' and precision_id = 'fp16'"
        " and point.phase = 'prefill' and shape_id % 3 = 0"
        " and point.model_id in ('llama-3-8b', 'mixtral-8x7b', 'deepseek-v2-lite')",
    )
    (parameters,) = read_frame(
        snapshot,
        f"select * from core.calibration where hardware_id = '{hardware_id}' and op_kind = 'linear' and dtype = 'fp16'"
        " and launch = 'eager'",
    ).to_dicts()
    given = Kernels(
        (points["flops"] / points["peak_flops_per_s"]).to_numpy(),
        (points["bytes"] / points["bandwidth_bytes_per_s"]).to_numpy(),
        points["rows"].to_numpy(),
        points["n"].cast(pl.Float64).to_numpy(),
        points["matrices"].to_numpy(),
        float(points["multiprocessors"][0]),
        points["bytes"].to_numpy(),
    )
    assert len(points) > 50
    assert points["predicted_s"].to_numpy() == pytest.approx(predict_s(given, parameters), rel=1e-9)


def test_errors_of_predictions_are_those_of_the_fit(snapshot: duckdb.DuckDBPyConnection) -> None:
    rows = snapshot.sql(
        "select error.hardware_id, calibration.op_kind, error.dtype, error.launch, avg(abs(relative_error)),"
        " any_value(fit_mape)"
        " from mart.prediction_error as error inner join core.measurement as kernel using (measurement_id)"
        " inner join core.calibration as calibration on error.hardware_id = calibration.hardware_id"
        " and error.dtype = calibration.dtype and error.launch = calibration.launch and calibration.op_kind ="
        " mart.calibrated_kind(kernel.kind, kernel.op, kernel.matrices, kernel.kv_heads, kernel.head_dim)"
        " where error.op_group <> 'ceiling' and calibration.fitted_kind = calibration.op_kind"
        " and calibration.fitted_dtype = calibration.dtype and calibration.fitted_launch = calibration.launch"
        " and calibration.transferred_from is null group by all"
    ).fetchall()
    assert len(rows) >= 16
    for *_, found, fitted in rows:
        assert found == pytest.approx(fitted, rel=0.05)


def test_the_benchmark_of_predictions_prints_how_far_they_are_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Times that are a tenth above what the shipped calibration of the A40 expects, of a model and of its own."""
    calibrated = tomllib.loads((SHIPPED / "calibrations.toml").read_text("utf-8"))["calibration"]
    (a40,) = (dict.fromkeys(PARAMETERS) | each for each in calibrated if each["hardware_id"] == "a40")
    tokens, width = np.array([1.0, 100, 4096]), 4096
    layers = {"attn_pre_proj": 3 * width, "attn_post_proj": width, "mlp_up_proj": 2 * width, "mlp_down_proj": width}
    profile = pl.DataFrame({"num_tokens": tokens.astype(int), "num_tensor_parallel_workers": 1, "use_gated_mlp": True})
    profile = profile.with_columns(n_head=32, n_kv_head=32, n_embd=width, n_expanded_embd=width)
    for layer, n in layers.items():
        memory = 2 * (tokens * width + width * n + tokens * n) / 696e9
        one = Kernels(2 * tokens * width * n / 149.7e12, memory, tokens, np.full(3, float(n)), np.ones(3), 84)
        times = pl.Series(predict_s(one, a40) * 1e3 * 1.1)
        profile = profile.with_columns(**{f"time_stats.{layer}.{name}": times for name in ("median", "min", "std")})
    for name in ("a40/llama-2-7b-mlp.csv", "a40/owner/Other-hf/mlp.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        profile.write_csv(tmp_path / name)
    print_errors(tmp_path)
    own, other = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert own[:7] == ["a40", "llama-2-7b", "linear", "12", "9.1%", "this", "profile;"]
    assert other[:6] == ["a40", "other", "linear", "12", "9.1%", "Vidur's"]
    print_errors(tmp_path / "none")
    assert capsys.readouterr().out == f"no profiles in {tmp_path / 'none'}: nothing to compare with\n"


def test_shipped_calibrations(snapshot: duckdb.DuckDBPyConnection) -> None:
    rows = snapshot.sql(
        "select hardware_id, op_kind, dtype, fit_mape, holdout_mape, transferred_from from core.calibration"
        " where launch = 'eager'"
    ).fetchall()
    found = {row[:3]: row[3:] for row in rows}
    for device, greatest in (("a40", 0.072), ("a100-80gb-sxm", 0.06)):
        fitted, held_out, transferred = found[device, "linear", "fp16"]
        assert fitted < held_out < greatest
        assert transferred is None
    assert found["a6000", "linear", "fp16"][2] == "a40"
    assert found["h100-sxm", "attention", "bf16"][1] < 0.07
    for device in ("h100-sxm", "h200-sxm"):
        for dtype in ("fp16", "bf16", "fp8"):
            assert found[device, "linear", dtype][1] < 0.06


def test_a_device_without_measurements_is_predicted_by_its_relative(snapshot: duckdb.DuckDBPyConnection) -> None:
    """The seeds' prose on the A6000: products level off at 100 to 120 TFLOP/s."""
    (row,) = snapshot.sql(
        "select max(predicted_flops_per_s) / 1e12, any_value(transferred_from), max(roof_fraction)"
        " from mart.predicted_point where hardware_id = 'a6000' and model_id = 'llama-7b' and convention = 'paper'"
        " and precision_id = 'fp16' and phase = 'prefill' and op_group in ('qkv mlp', 'up/gate/down')"
    ).fetchall()
    assert 100 < row[0] < 125
    assert row[1] == "a40"
    assert row[2] < 1


def test_a_step_in_fp16_takes_as_long_as_in_bf16(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Products in fp16 were timed eagerly alone: in graphs those in bf16 stand in."""
    rows = snapshot.sql(
        "select predicted_s from mart.predicted_step where hardware_id = 'h100-sxm' and model_id = 'llama-3-8b'"
        " and convention = 'engine' and phase = 'decode' and batch_size = 8 and sequence_length = 1024"
        " and tensor_parallel = 1 and launch = 'graph' and fusion = 'none' and precision_id in ('fp16', 'bf16')"
    ).fetchall()
    assert len(rows) == 2
    assert rows[0][0] == pytest.approx(rows[1][0], rel=1e-3)


def test_shipped_calibrations_are_those_of_the_shipped_measurements(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Fitted again, attention of the H100 comes out as it ships."""
    measured = read_frame(snapshot, load_sql("calibration/measured"))
    again = calibrate_measurements(measured.filter(hardware_id="h100-sxm", kind="attention")).row(0, named=True)
    shipped = read_frame(
        snapshot,
        "select * from core.calibration where hardware_id = 'h100-sxm' and op_kind = 'attention'"
        " and launch = 'eager' and dtype = 'bf16'",
    ).row(0, named=True)
    for name in ("compute_efficiency", "bandwidth_efficiency", "overhead_s", "blend", "fit_mape", "holdout_mape"):
        assert again[name] == pytest.approx(shipped[name], rel=1e-3), name


@pytest.mark.parametrize(("hardware_id", "decode_end"), [("a6000", 700e9), ("a40", 700e9 * 696 / 768)])
def test_attention_of_the_published_charts_begins_and_ends_where_they_do(
    hardware_id: str, decode_end: float, snapshot: duckdb.DuckDBPyConnection
) -> None:
    """The seeds' prose on the A6000: qk/pv ar from 40 to 700 GFLOP/s, qk/pv init from 4 to 60 TFLOP/s."""
    rows = snapshot.sql(
        "select phase, min(predicted_flops_per_s), max(predicted_flops_per_s), list(distinct launch),"
        " any_value(transferred_from) from mart.predicted_point"
        f" where hardware_id = '{hardware_id}' and model_id = 'llama-7b' and convention = 'paper'"
        " and precision_id = 'fp16' and tensor_parallel = 1 and op_group = 'qk/pv'"
        " and phase in ('decode', 'prefill') group by phase order by phase"
    ).fetchall()
    transferred = None if hardware_id == "a6000" else "a6000"
    assert [row[3:] for row in rows] == [(["eager"], transferred)] * 2
    (_, *decode, _, _), (_, *prefill, _, _) = rows
    assert decode == pytest.approx([40e9, decode_end], rel=0.1)
    assert prefill == pytest.approx([4e12, 60e12], rel=0.1)


def test_calibrating_a_home(tmp_path: Path) -> None:
    """Products of a small home, the kernels of Llama 7B that were timed on an H100 and its copies, are fitted."""
    shipped = write_small_catalog(tmp_path / "shipped")
    shutil.copyfile(SHIPPED / "hardware" / "h100-sxm.toml", shipped / "hardware" / "h100-sxm.toml")
    kernels = pl.read_csv(SHIPPED / "measurements" / "h100-sxm-2026-11-22.csv", infer_schema_length=None)
    (shipped / "measurements").mkdir()
    kernels.filter(pl.col("model_id").fill_null("").is_in(["", "llama-7b"])).write_csv(
        shipped / "measurements" / "kernels.csv"
    )
    home = Home(tmp_path / "home")
    run_without_prefect(home, shipped)
    path, rows = calibrate_home(home)
    assert path == home.catalog / "calibrations.toml"
    assert {"linear", "qk", "pv"} <= set(rows["op_kind"])
    assert (
        read_calibrations([make_source(path, "calibration")])["fitted"]["n_points"].to_list()
        == rows["n_points"].to_list()
    )


def test_calibrating_without_its_extra_says_what_to_install(
    finished: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert run_command(["calibrate", "--home", str(finished.path)]) == 2
    said = "rooflines: calibrate: expected the extra calibrate: pip install 'rooflines[calibrate]'\n"
    assert capsys.readouterr().err == said
    assert not (finished.catalog / "calibrations.toml").exists()


def test_only_a_fit_needs_scipy() -> None:
    script = "import sys; from flows.measure import calibrate; from flows.orchestrate import refresh\n"
    script += "sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


def test_nothing_to_calibrate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rooflines run"):
        calibrate_home(Home(tmp_path))


@pytest.mark.skipif(not PROFILE.exists(), reason="no public profiles beside the checkout")
def test_a_public_profile_is_fitted_as_well_as_published() -> None:
    """The plain form on the A40's products of Llama-2 7B: 0.80 of the peak, 0.79 of the bandwidth."""
    from flows.ingest.profiles.vidur import read_vidur  # noqa: PLC0415

    rows = read_vidur(make_source(PROFILE, "measurement"), "a40", "llama-2-7b")
    m, k, n = (rows[name].cast(pl.Float64).to_numpy() for name in "mkn")
    given = Kernels(2 * m * k * n / 149.7e12, 2 * (m * k + k * n + m * n) / 696e9, m, n, np.ones(len(m)), 84)
    found = fit_form(given, rows["latency_s"].to_numpy(), "plain")
    assert round(found["compute_efficiency"], 2) == 0.80
    assert round(found["bandwidth_efficiency"], 2) == 0.79
    assert round(found["overhead_s"] * 1e6, 1) == 2.5


@pytest.mark.skipif(not PROFILE.exists(), reason="no public profiles beside the checkout")
def test_weights_of_one_model_are_held_out_by_their_shape() -> None:
    """The products of one model with tiles, on the A40: no weight is predicted by a fit to itself."""
    from flows.ingest.profiles.vidur import read_vidur  # noqa: PLC0415

    rows = read_vidur(make_source(PROFILE, "measurement"), "a40", "llama-2-7b")
    shipped = tomllib.loads((SHIPPED / "calibrations.toml").read_text("utf-8"))["calibration"]
    (a40,) = (each for each in shipped if each["hardware_id"] == "a40")
    m, k, n = (rows[name].cast(pl.Float64).to_numpy() for name in "mkn")
    given = Kernels(2 * m * k * n / 149.7e12, 2 * (m * k + k * n + m * n) / 696e9, m, n, np.ones(len(m)), 84)
    labels = rows.select(pl.format("{} {}", "k", "n"))["k"].to_list()
    found = calibrate_kernels(given, rows["latency_s"].to_numpy(), labels, ["plain", "tile_times"])
    assert len(set(labels)) == 16
    assert found["tile_overhead_s"] == pytest.approx(a40["tile_overhead_s"], rel=0.05)
    assert found["holdout_mape"] == pytest.approx(a40["holdout_mape"], abs=0.001)
    assert found["fit_mape"] == pytest.approx(a40["fit_mape"], abs=0.001)

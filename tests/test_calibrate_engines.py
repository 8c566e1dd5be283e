"""Times of the hosts of engines are fitted to the runs of one model, tried on those of others, and drawn."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from charts.engines import draw_engines
from flows.ingest.readers.engine_setting import read_engine_settings
from flows.measure.calibrate_engines import find_least_error, fit_hosts, format_engines
from tests.support.files import write_file
from tests.support.inputs import make_source

ENGINES = pl.DataFrame(
    {
        "engine": ["vllm"], "hardware_id": [""], "memory_share": [0.9], "memory_share_origin": ["documentation"],
        "token_budget": [8192], "token_budget_origin": ["documentation"],
    }
)  # fmt: skip


def list_runs(model_id: str, host_s: float, number: int, engine: str = "vllm") -> pl.DataFrame:
    """Return runs whose steps take `host_s` longer than the device does."""
    device = [0.004 + 0.001 * place for place in range(number)]
    return pl.DataFrame(
        {
            "engine": engine, "hardware_id": "h100-sxm", "model_id": model_id,
            "tpot_s": [each + host_s for each in device], "device_s": device, "source": "a test",
        }
    )  # fmt: skip


def test_the_time_of_a_host_is_found_on_one_model_and_tried_on_others() -> None:
    (row,) = fit_hosts(pl.concat([list_runs("a", 0.002, 8), list_runs("b", 0.002, 3)])).to_dicts()
    assert row["host_s"] == pytest.approx(0.002)
    assert (row["model_id"], row["n_runs"]) == ("a", 8)
    assert row["fit_error"] == pytest.approx(0, abs=1e-9)
    assert row["holdout_error"] == pytest.approx(0, abs=1e-9)


def test_a_time_that_does_not_help_other_models_is_none() -> None:
    (row,) = fit_hosts(pl.concat([list_runs("a", 0.002, 8), list_runs("b", 0.0, 3)])).to_dicts()
    assert row["host_s"] == 0
    assert row["holdout_error"] == 0
    # 0.002 of 0.006 to 0.013 seconds: the median of the eight shares
    assert row["fit_error"] == pytest.approx((0.002 / 0.009 + 0.002 / 0.010) / 2, rel=1e-5)


def test_too_few_runs_are_not_fitted_and_a_host_is_never_negative() -> None:
    assert fit_hosts(list_runs("a", 0.002, 4)).is_empty()
    assert find_least_error(list_runs("a", -0.001, 8)) == 0


def test_runs_of_another_model_change_the_digits() -> None:
    runs = [list_runs("a", 0.002, 8), list_runs("b", 0.0031, 6)]
    both, without = (fit_hosts(pl.concat(each))["host_s"].item() for each in (runs, runs[1:]))
    assert both == pytest.approx(0.002)
    assert without == pytest.approx(0.0031)


def test_what_is_fitted_is_what_the_next_run_reads(tmp_path: Path) -> None:
    fitted = fit_hosts(pl.concat([list_runs("a", 0.002, 8), list_runs("a", 0.001, 8, engine="other")]))
    path = write_file(tmp_path, "engines.toml", format_engines(ENGINES, fitted))
    assert [entry["engine"] for entry in tomllib.loads(path.read_text())["engine"]] == ["other", "vllm"]
    rows = read_engine_settings([make_source(path, "engine_setting")])["engine"]
    found = rows.sort("engine", "hardware_id")
    assert found.select("engine", "hardware_id", "memory_share", "token_budget", "host_s").rows() == [
        ("other", "", 1.0, None, 0.0), ("other", "h100-sxm", 1.0, None, 0.001),
        ("vllm", "", 0.9, 8192, 0.0), ("vllm", "h100-sxm", 0.9, 8192, 0.002),
    ]  # fmt: skip


def test_the_chart_has_a_row_per_device_engine_and_tensor_parallelism() -> None:
    row = {
        "hardware_id": "h100-sxm", "hardware": "H100 SXM", "engine": "vllm", "tensor_parallel": 1, "runs": 9,
        "models": 2,
        "low_share": 0.4, "median_share": 0.6, "high_share": 0.8, "above": 2, "median_error": 0.1,
    }  # fmt: skip
    few = {**row, "tensor_parallel": 8, "runs": 1, "median_share": 0.9, "above": 0}
    spec = draw_engines(pl.DataFrame([row, few])).to_dict()
    assert "vllm on 1 x H100 SXM comes closest to its bound, 60% in the median" in spec["title"]["text"]
    assert "10 runs" in spec["title"]["subtitle"][0]
    assert "2 more above the bound" in spec["title"]["subtitle"][-1]
    rows = spec["data"]["values"]
    assert [each["row"] for each in rows] == ["1 x H100 SXM, vllm", "8 x H100 SXM, vllm"]
    assert [each["number"] for each in rows] == ["9 runs", "1 run"]

"""Made-up devices: they live in a sweep, and follow the formulas of the real ones."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli.app import run_command
from flows.site.what_if import build_what_if
from flows.sweep.devices import DeviceRequest, KnownDevices, make_devices, parse_values
from flows.sweep.request import Request
from flows.sweep.run import run_sweep
from tests.support.charts import validate
from tests.support.sweeps import query_snapshot
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.snapshot import open_snapshot
from warehouse.sweeps.registry import MadeUpDevice, remove_sweep

KEY = (
    "hardware_id, model_id, convention, precision_id, phase, batch_size, sequence_length, query_length,"
    " tensor_parallel, expert_parallel, pipeline_parallel, data_parallel"
)
KNOWN = KnownDevices(
    ["l4", "h100-sxm"],
    {"l4": ["bf16", "fp8"], "h100-sxm": ["bf16", "fp8"]},
    {"h100-sxm"},
    {"l4": ["bf16", "fp8"], "h100-sxm": ["bf16", "fp8"]},
)
PRECISIONS = {"bf16": {"bf16"}}


@pytest.fixture(scope="module")
def made_up(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with a sweep of devices like the H100: one with its own bandwidth and peak, others with half of each."""
    home = Home(tmp_path_factory.mktemp("made up"))
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    roof = "from mart.roof where hardware_id = 'h100-sxm' and dtype = 'bf16' and is_default"
    ((bandwidth, peak),) = query_snapshot(home, f"select bandwidth_bytes_per_s, peak_flops_per_s {roof}")
    assert isinstance(bandwidth, float)
    assert isinstance(peak, float)
    devices = DeviceRequest("h100-sxm", f"{bandwidth / 2!r},{bandwidth!r}", peaks=[f"bf16={peak / 2!r},{peak!r}"])
    run_sweep(
        home, Request("made-up", ["llama-3-8b"], precisions=["bf16"], batch="1,8", sequence="8192", devices=devices)
    )
    yield home
    remove_sweep(home, "made-up")
    assert query_snapshot(home, "select count(*) from core.sweep_device") == [(0,)]


@pytest.mark.parametrize(
    ("view", "least", "rate"),
    [("step_time", "lower_bound_s", "tokens_per_s"), ("predicted_step", "predicted_s", "expected_tokens_per_s")],
)
@pytest.mark.parametrize("device", ["device_number = 0", "bandwidth_bytes_per_s = 3.35e12 and device_number = 4"])
def test_a_made_up_device_with_real_values_has_the_real_figures(
    device: str, view: str, least: str, rate: str, made_up: Home
) -> None:
    chosen = "is_default_launch and fusion = 'engine'" if view == "predicted_step" else "fits_in_memory"
    rows = query_snapshot(
        made_up,
        f"""
        select step.{least}, real.{least}, step.{rate}, real.tokens_per_s
        from mart.sweep_step as step inner join (
            from mart.{view}
            where hardware_id = 'h100-sxm' and model_id = 'llama-3-8b' and precision_id = 'bf16'
        ) as real using ({KEY})
        where step.{device} and {chosen.replace("fits", "real.fits")}
        """,
    )
    assert len(rows) >= 2
    for least_s, real_s, tokens_per_s, real_per_s in rows:
        assert least_s == pytest.approx(real_s, rel=1e-12)  # the order of a sum changes its last bit
        assert tokens_per_s == pytest.approx(real_per_s, rel=1e-12)


def test_half_of_the_bandwidth_doubles_the_time_of_memory_bound_steps(made_up: Home) -> None:
    rows = query_snapshot(
        made_up,
        "select max(lower_bound_s) / min(lower_bound_s), string_agg(distinct bound) from mart.sweep_step"
        " where is_made_up and phase = 'decode' and compute_s = 0 group by batch_size, peak_flops_per_s",
    )
    assert rows == [(pytest.approx(2), "memory")] * 4


def test_made_up_devices_live_in_their_sweep_alone(made_up: Home, finished: Home) -> None:
    for sql in ("select hardware_id from core.hardware order by all", "select count(*) from core.ceiling"):
        assert query_snapshot(made_up, sql) == query_snapshot(finished, sql)
    asked = "select device_like, bandwidth_range, peak_ranges, memory_range, link_range, device_count from mart.sweep"
    assert query_snapshot(made_up, asked) == [
        ("h100-sxm", "1675000000000.0,3350000000000.0", ["bf16=494700000000000.0,989400000000000.0"], None, None, 4)
    ]
    counted = (
        "select is_made_up, count(*), count(distinct device_number) from mart.sweep_step group by all order by all"
    )
    assert query_snapshot(made_up, counted) == [(False, 4, 1), (True, 16, 4)]


def test_the_dimensions_of_swept_ops_are_those_of_the_warehouse(made_up: Home) -> None:
    compared = ", ".join(f"cost.{name} is distinct from shape.{name}" for name in ("kind", "m", "k", "n", "matrices"))
    ((rows, *others),) = query_snapshot(
        made_up,
        f"""
        select count(*), {", ".join(f"count_if({each})" for each in compared.split(", "))}
        from mart.sweep_cost as cost inner join core.op_shape as shape using (
            model_id, convention, phase, batch_size, sequence_length, query_length, op, tensor_parallel,
            expert_parallel, pipeline_parallel, data_parallel
        )
        """,
    )
    assert isinstance(rows, int)
    assert rows >= 14
    assert others == [0] * 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4e12", [4e12]),
        ("12e12, 4e12,4E12", [4e12, 12e12]),
        ("4e12:7e12:1e12", [4e12, 5e12, 6e12, 7e12]),
        ("0.3e12:0.6e12:0.1e12", [3e11, 4e11, 5e11, 6e11]),
        ("2e12:9e12:x2", [2e12, 4e12, 8e12]),
        ("1e12:2e12:x1.5", [1e12, 1.5e12]),
    ],
)
def test_values_in_ranges(text: str, expected: list[float]) -> None:
    assert parse_values("--bandwidth", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "4e12,,5e12", "0", "-1", "nan", "inf", "4e12:1e12:1e12", "1e12:4e12:0", "1e12:4e12:x1", "1e15", "1",
     "1e12:2e12:1e3", "1e99", "9" * 40, "1e12:2e12:x1.0000001", "²"],
)  # fmt: skip
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--bandwidth: .*expected"):
        parse_values("--bandwidth", text)


def test_every_combination_of_values_is_a_device() -> None:
    request = DeviceRequest("h100-sxm", "1e12,2e12", "80e9", peaks=["bf16=1e15"])
    assert make_devices(request, KNOWN, PRECISIONS, is_shared=False) == [
        MadeUpDevice("h100-sxm", 1e12, 80e9, None, {"bf16": 1e15}),
        MadeUpDevice("h100-sxm", 2e12, 80e9, None, {"bf16": 1e15}),
    ]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (DeviceRequest("b300x"), "--device-like: b300x: expected one of"),
        (DeviceRequest("l4,h100-sxm"), "--device-like: l4,h100-sxm: expected one device"),
        (DeviceRequest("l4", link="1e12"), "--link: 1e12: l4 has no interconnect"),
        (DeviceRequest("h100-sxm", link="1e12"), "--link: 1e12: nothing is shared"),
        (DeviceRequest("l4", peaks=["2e15"]), "--peak: 2e15: expected a dtype and its FLOP/s"),
        (DeviceRequest("l4", peaks=["fp4=2e15"]), "--peak: fp4: l4 has no such peak; expected one of bf16, fp8"),
        (DeviceRequest("l4", peaks=["fp8=2e15"]), "--peak: fp8: no precision of the sweep computes in it"),
        (DeviceRequest("l4", peaks=["bf16=1e15", "bf16=2e15"]), "--peak: bf16: given twice"),
        (DeviceRequest("l4", peaks=["bf16="]), "--peak: empty: expected FLOP/s from"),
        (DeviceRequest("l4", memory="0"), "--memory: 0: expected bytes from"),
        (DeviceRequest("l4", "1e12:50e12:1e12", "1e9:50e9:1e9"), "2,500 devices; expected at most 1,000"),
    ],
)
def test_what_makes_no_device_is_refused_by_name(request_: DeviceRequest, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        make_devices(request_, KNOWN, PRECISIONS, is_shared=False)
    assert expected in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_device_that_cannot_run_a_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"--precision: nvfp4: l4 has no peak .*expected one of bf16, fp8"):
        make_devices(DeviceRequest("l4"), KNOWN, {"nvfp4": {"fp4"}}, is_shared=False)


def test_a_sweep_of_made_up_devices_needs_no_name(
    finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    grid = ["--model", "llama-7b", "--precision", "fp16", "--batch", "1", "--sequence", "128"]
    devices = ["--device-like", "a40", "--bandwidth", "4e11,8e11"]
    assert run_command(["sweep", *devices, *grid, "--home", str(tmp_path)]) == 0
    assert "where sweep_id = 'like-a40'" in capsys.readouterr().out
    assert list((tmp_path / "sweeps" / "like-a40").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--peak", "fp8=1e15"], "--peak: fp8=1e15: expected with --device-like"),
        (["--device-like", "nobody"], "--device-like: nobody: expected a name such as"),
    ],
)
def test_a_wrong_device_is_one_line(
    arguments: list[str], expected: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.snapshot.symlink_to(finished.snapshot)
    assert run_command(["sweep", "--name", "x", *arguments, "--dry-run", "--home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1


def test_the_chart_says_what_it_shows_and_rings_where_another_bound_begins(
    finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    devices = DeviceRequest("b200", "1e12,8e12", peaks=["fp8=2e15:8e15:x2"])
    one = Request("one", ["llama-3-70b"], phases=["prefill"], precisions=["fp8"], batch="1", sequence="8192")
    run_sweep(home, replace(one, devices=devices))
    out = tmp_path / "one.json"
    assert run_command(["chart", "--sweep", "one", "--out", str(out), "--home", str(home.path)]) == 0
    spec = json.loads(out.read_text("utf-8"))
    validate(spec)
    assert spec["title"]["text"].startswith("Llama 3 70B, prefill: at most ")
    assert spec["title"]["text"].endswith(" tokens/s, like B200, 8 TB/s, 8 PFLOP/s")
    rows = spec["data"]["values"]
    assert len(rows) == 6
    assert [row["device"] for row in rows if row["changes"]] == ["like B200, 8 TB/s, 8 PFLOP/s"]
    with open_snapshot(home.snapshot) as connection:
        for name, said in (("nobody", "expected one of one"), ("", "expected one of one")):
            with pytest.raises(InputError, match=rf"--sweep: {name}: no sweep with made-up devices; {said}"):
                build_what_if(connection, name)


def test_a_chart_of_several_settings_is_refused(made_up: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["chart", "--sweep", "made-up", "--home", str(made_up.path)]) == 2
    assert capsys.readouterr().err.endswith("made-up: phase: decode, prefill; expected a sweep of one setting\n")

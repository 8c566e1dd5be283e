"""`rooflines chart` lists what can be drawn, also for devices without fp16 and for one's own."""

from pathlib import Path

import duckdb
import pytest

from charts.gallery import ChartEntry
from flows.cli.app import run_command
from flows.site.chart_rows import is_drawable, query_chart
from flows.site.render import build_spec
from flows.site.snapshot_charts import find_chart, list_drawable_charts, list_snapshot_charts
from tests.support.charts import validate
from tests.support.files import write_tree
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

DEVICE = """
hardware_id = "{name}"
name = "Chip {name}"
short_name = "Chip {name}"
vendor = "us"
architecture = "First"
memory_gb = 256
origin = "plan"
[[compute]]
dtype = "{dtype}"
tflops = 4000
basis = "datasheet"
origin = "plan"
[[bandwidth]]
level = "dram"
gb_per_s = 6000
basis = "datasheet"
origin = "plan"
"""
WORKLOAD = """
workload_id = "mine"
name = "Mine"
origin = "plan"
phases = ["prefill", "decode"]
batch_size = [8]
sequence_length = [1024]
conventions = ["paper"]
precisions = ["fp8", "int8"]
"""
GALLERY = """
[[chart]]
name = "two-{dtype}"
template = "comparison"
dtype = "fp8"
devices = ["chip-x"]

[[chart]]
name = "every-{hardware_id}-{precision_id}"
template = "house"
model_id = "llama-7b"
hardware_id = "*"
precision_id = "fp8"
else_fastest = true
convention = "paper"
batch_size = 8
sequence_length = 1024

[[chart]]
name = "only-{hardware_id}"
template = "house"
model_id = "llama-7b"
hardware_id = "*"
on_site = []
precision_id = "fp8"
convention = "paper"
batch_size = 8
sequence_length = 1024
"""
OWN = {f"catalog/hardware/{name}.toml": DEVICE.format(name=name, dtype=dtype)
       for name, dtype in (("chip-x", "fp8"), ("npu-x", "bf16"), ("fpga", "int8"), ("old", "fp64"))}  # fmt: skip


@pytest.fixture(scope="module")
def with_own_devices(small_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with devices of one dtype each."""
    home = Home(tmp_path_factory.mktemp("own") / "home")
    write_tree(home.path, {**OWN, "catalog/workloads/mine.toml": WORKLOAD, "catalog/gallery.toml": GALLERY})
    run_without_prefect(home, small_shipped)
    return home


def list_names(home: Home, capsys: pytest.CaptureFixture[str], *pattern: str) -> list[str]:
    assert run_command(["chart", *pattern, "--home", str(home.path)]) == 0
    return capsys.readouterr().out.splitlines()


def draw(connection: duckdb.DuckDBPyConnection, entry: ChartEntry) -> dict[str, object] | None:
    """Return the specification of a chart; None if it has nothing to draw."""
    frame = query_chart(connection, entry)
    return build_spec(entry, frame) if is_drawable(frame) else None


def test_every_name_in_the_list_can_be_drawn_and_no_other_chart_of_the_list(
    with_own_devices: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list_names(with_own_devices, capsys)
    assert {"roofline-llama-7b-a40", "device-a40", "device-chip-x", "device-npu-x", "device-fpga"} <= set(names)
    assert "device-old" in names  # nothing was computed in fp64: its roofs alone
    with open_snapshot(with_own_devices.snapshot) as connection:
        listed = [entry for entry in list_snapshot_charts(connection) if entry.is_listed]
        known = {row[0] for row in fetch_rows(connection, "select hardware_id from core.hardware")}
        here = [entry for entry in listed if entry.parameters.get("hardware_id", "a40") in known]
        assert [entry.name for entry in here if draw(connection, entry)] == names


def test_the_words_of_a_gallery_reach_devices_of_one_dtype(
    with_own_devices: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    names = set(list_names(with_own_devices, capsys))
    fallen_back = {"every-chip-x-fp8", "every-npu-x-bf16", "every-fpga-int8", "every-a40-bf16", "every-old-fp8"}
    assert {name for name in names if name.startswith("every-")} == fallen_back
    assert {name for name in names if name.startswith("only-")} == {"only-chip-x"}
    assert "two-fp8" in names


def test_a_name_with_a_star_lists_charts_beyond_the_list(
    with_own_devices: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list_names(with_own_devices, capsys, "roofline-*-chip-x")
    assert names == ["roofline-llama-7b-chip-x"]
    with open_snapshot(with_own_devices.snapshot) as connection:
        spec = draw(connection, find_chart(connection, names[0]))
    assert spec
    validate(spec)


TPUS = ["tpu-v3", "tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x", "gaudi2"]


@pytest.mark.parametrize(
    ("hardware_id", "convention", "precision"),
    [
        *((name, "paper", "bf16") for name in TPUS),
        ("v100-sxm", "paper", "fp16"),
        ("jetson-agx-orin", "paper", "int8"),
        ("epyc-9654", "paper", "fp32"),
        ("h100-sxm", "paper", "fp16"),
    ],
)
def test_a_device_is_drawn_in_its_fastest_precision_if_it_lacks_the_common_one(
    hardware_id: str, convention: str, precision: str, snapshot: duckdb.DuckDBPyConnection
) -> None:
    choice = "select drawn_precision_id from mart.drawn_precision where precision_id = 'fp16'"
    rows = fetch_rows(snapshot, f"{choice} and hardware_id = '{hardware_id}' and convention = '{convention}'")
    assert rows == [(precision,)]
    for name in (f"device-{hardware_id}", f"roofline-llama-13b-{hardware_id}"):
        entry = find_chart(snapshot, name)
        assert entry.parameters["precision_id"] == precision
        assert list_drawable_charts(snapshot, [entry]) == [entry]


def test_a_device_that_lacks_bf16_has_charts_of_steps(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name, precision in (("v100-sxm", "fp16"), ("jetson-agx-orin", "int8"), ("tpu-v5e", "bf16")):
        for chart in ("step-time", "crossover"):
            entry = find_chart(snapshot, f"{chart}-llama-3-8b-{name}")
            assert entry.parameters["precision_id"] == precision
            assert list_drawable_charts(snapshot, [entry]) == [entry]


@pytest.mark.slow
def test_all_listed_charts_of_odd_devices_and_a_sample_of_the_others_are_drawn(home: Home) -> None:
    write_tree(home.path, {**OWN, "catalog/gallery.toml": GALLERY})
    run_without_prefect(home)
    odd = (*TPUS, *(Path(file).stem for file in OWN), "jetson-agx-orin", "v100-sxm", "epyc-9654")
    with open_snapshot(home.snapshot) as connection:
        listed = [entry for entry in list_snapshot_charts(connection) if entry.is_listed]
        chosen = [entry for entry in listed if entry.name.endswith(odd)] + listed[::25]
        drawable = list_drawable_charts(connection, chosen)
        for entry in chosen:
            assert (draw(connection, entry) is not None) == (entry in drawable), entry.name
    assert {"device-chip-x", "device-npu-x", "device-fpga", "step-time-llama-3-8b-chip-x"} <= {
        entry.name for entry in drawable
    }

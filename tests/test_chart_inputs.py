"""What charts are made from: a chart whose inputs did not change is not asked, and is what it would be if it were."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import polars as pl
import pytest

from charts.gallery import ChartEntry
from flows.ingest.catalog import SHIPPED
from flows.site.build import build_site
from flows.site.chart_inputs import ChartInputs
from flows.site.chart_rows import ChartRows, query_chart
from flows.site.site_files import SiteFiles
from flows.site.snapshot_charts import list_devices_read, list_snapshot_charts
from tests.support.drawings import draw_without_ink
from tests.support.other_devices import change_other_devices
from tests.support.whole_runs import ask_for, run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.site_folder.manifest import MANIFEST, read_manifest
from warehouse.snapshot import open_snapshot

CHARTS = """
[[chart]]
name = "mine-{hardware_id}"
template = "house"
model_id = "llama-7b"
hardware_id = ["a40", "a100-80gb-pcie"]
precision_id = "fp16"
convention = "paper"
batch_size = 8
sequence_length = 1024
"""
OWN = """
[[chart]]
name = "own"
template = "house"
precision_id = "fp16"
sql = "select hardware_id, 1 as intensity_flops_per_byte, 1e9 as performance_flops_per_s from core.hardware"
"""
SHOWN = {"mine-a40", "mine-a100-80gb-pcie", "device-a40", "devices-fp16", "roofline-llama-7b-a40", "run-history"}

# devices of charts of every kind that names its devices
NAMED = [
    ("h100-sxm",),
    ("a40",),
    ("a100-80gb-pcie",),
    ("a40", "a6000", "a100-80gb-pcie", "h100-sxm", "h200-sxm", "b200", "mi300x", "l40s", "rtx-4090"),
    ("a100-80gb-sxm", "h100-sxm", "h200-sxm", "b200", "mi300x", "l40s", "rtx-4090"),
]


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shipped = write_small_catalog(tmp_path_factory.mktemp("catalog of two"))
    shutil.copy(SHIPPED / "hardware" / "a100-80gb-pcie.toml", shipped / "hardware")
    return shipped


@pytest.fixture(scope="module")
def shown(two_devices: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a site of a few charts."""
    home = Home(tmp_path_factory.mktemp("shown") / "home")
    home.catalog.mkdir(parents=True)
    (home.catalog / "gallery.toml").write_text(CHARTS, "utf-8")
    assert run_and_list_asked(home, two_devices) >= SHOWN
    return home


def run_and_list_asked(home: Home, shipped: Path) -> set[str]:
    """Run, and return the charts whose queries were asked."""
    with draw_without_ink(), mock.patch.object(ChartRows, "query", autospec=True, side_effect=ChartRows.query) as asked:
        assert run_without_prefect(home, shipped, draws=True).status == "succeeded"
    return {call.args[1].name for call in asked.call_args_list}


def read_files(folder: Path) -> dict[str, Any]:
    """Return the content of each file; that of the manifest without what it keeps of earlier publications."""
    files: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files[MANIFEST] = {key: value for key, value in read_manifest(folder).items() if key != "changes"}
    return files


def assert_as_if_whole(home: Home, tmp_path: Path) -> None:
    """Compare a site with one of the same snapshot that owes nothing to an earlier one."""
    with draw_without_ink():
        build_site(home.snapshot, tmp_path / "whole", tmp_path / "none")
    made, expected = read_files(home.site), read_files(tmp_path / "whole")
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []


def test_a_changed_device_is_asked_for_and_another_is_not(shown: Home, two_devices: Path, tmp_path: Path) -> None:
    device = two_devices / "hardware" / "a40.toml"
    text = device.read_text("utf-8").replace("gb_per_s = 696", "gb_per_s = 700")
    device.write_text(text.replace('"NVIDIA A40"', '"Another name"', 1), "utf-8")
    equal = shown.site / "data" / "core.runnable_precision.parquet"  # loaded anew with equal rows
    linked = equal.stat().st_ino
    asked = run_and_list_asked(shown, two_devices)
    assert "mine-a100-80gb-pcie" not in asked
    assert asked >= SHOWN - {"mine-a100-80gb-pcie"}
    assert equal.stat().st_ino == linked
    assert_as_if_whole(shown, tmp_path)


def measure_kernel(home: Home, _: Path) -> None:
    """Add one measured kernel, of the device that has its own charts."""
    lines = (SHIPPED / "measurements" / "h100-sxm-2026-11-22.csv").read_text("utf-8").splitlines()
    kernel = next(line for line in lines if line.startswith("llama-7b,attn_norm,"))
    (home.catalog / "measurements").mkdir()
    rows = f"{lines[0]}\n{kernel.replace('h100-sxm', 'a40')}\n"
    (home.catalog / "measurements" / "kernels.csv").write_text(rows, "utf-8")


def change_model(_: Home, shipped: Path) -> None:
    file = shipped / "models" / "llama-7b.json"
    file.write_text(file.read_text("utf-8").replace('"vocab_size": 32000', '"vocab_size": 32064'), "utf-8")


def change_gallery(home: Home, _: Path) -> None:
    (home.catalog / "gallery.toml").write_text(CHARTS.replace("batch_size = 8", "batch_size = 1"), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("change", [measure_kernel, change_model, change_gallery])
def test_a_site_after_a_change_is_what_it_would_be_if_every_chart_was_asked_for(
    shown: Home, two_devices: Path, tmp_path: Path, change: Callable[[Home, Path], object]
) -> None:
    change(shown, two_devices)
    run_and_list_asked(shown, two_devices)
    assert_as_if_whole(shown, tmp_path)


@pytest.mark.slow
def test_changed_costs_are_asked_for_on_every_device(shown: Home, two_devices: Path, tmp_path: Path) -> None:
    ask_for(two_devices, 16)
    assert run_and_list_asked(shown, two_devices) >= SHOWN - {"devices-fp16"}  # of ceilings alone
    assert_as_if_whole(shown, tmp_path)


def test_a_chart_depends_on_the_code_that_it_is_made_by(snapshot: duckdb.DuckDBPyConnection) -> None:
    """The SQL of views is code."""
    entry = next(entry for entry in list_snapshot_charts(snapshot) if entry.name == "device-a40")
    digest = ChartInputs(snapshot).digest(entry)
    assert digest == ChartInputs(snapshot).digest(entry) != ""
    with mock.patch("flows.site.chart_inputs.code_version", return_value="with another view"):
        assert ChartInputs(snapshot).digest(entry) != digest


@pytest.mark.slow
@pytest.mark.parametrize("devices", NAMED, ids=" ".join)
def test_a_chart_of_named_devices_reads_no_row_of_another(
    finished: Home, tmp_path: Path, devices: tuple[str, ...]
) -> None:
    changed = tmp_path / "changed.duckdb"
    shutil.copyfile(finished.snapshot, changed)
    change_other_devices(changed, devices)
    with open_snapshot(finished.snapshot, threads=1) as before, open_snapshot(changed, threads=1) as after:
        charts = [entry for entry in list_snapshot_charts(before) if entry.on_site]
        named = [entry for entry in charts if tuple(list_devices_read(entry)) == devices]
        digests = [ChartInputs(connection) for connection in (before, after)]
        assert named
        for entry in named:
            rows = [query_chart(connection, entry) for connection in (before, after)]
            assert rows[0].equals(rows[1]), entry.name
            assert digests[0].digest(entry) == digests[1].digest(entry) != "", entry.name
        others = [
            entry for entry in charts if not list_devices_read(entry) and entry.template in ("ranking", "engines")
        ]
        assert all(digests[0].digest(entry) != digests[1].digest(entry) for entry in others)


def test_every_kind_of_chart_of_named_devices_is_held_to_it(snapshot: duckdb.DuckDBPyConnection) -> None:
    charts = [entry for entry in list_snapshot_charts(snapshot) if entry.on_site]
    kinds: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for entry in charts:
        if devices := list_devices_read(entry):
            kinds.setdefault((entry.template, entry.parameters["marks"]), set()).add(tuple(devices))
    assert [kind for kind, devices in kinds.items() if devices.isdisjoint(NAMED)] == []
    assert set(NAMED) <= set().union(*kinds.values())


def list_alike(snapshot: duckdb.DuckDBPyConnection, *hardware_ids: str) -> list[ChartEntry]:
    """Return charts of one model on several devices."""
    entries = {entry.name: entry for entry in list_snapshot_charts(snapshot)}
    one = entries["device-h100-sxm"]
    setting = {"model_id": "llama-3-8b", "convention": "engine", "batch_size": 8, "sequence_length": 1024}
    return [
        replace(one, name=f"on {id_}", parameters={**one.parameters, **setting, "hardware_id": id_})
        for id_ in hardware_ids
    ]


def test_charts_that_differ_by_their_device_are_asked_for_at_once(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Of these devices, one has a measured ceiling, one no roof of the dtype, and one is not known."""
    alike = list_alike(snapshot, "h100-sxm", "b200", "xeon-6980p", "gaudi2", "nobody", "a40")
    other = replace(alike[0], name="other", parameters={**alike[0].parameters, "batch_size": 1})
    entries = [*alike, other, *list_alike(snapshot, "a10")]
    rows = ChartRows(snapshot, entries)
    with mock.patch("flows.site.chart_rows.read_frame", wraps=read_frame) as asked:
        frames = {entry.name: rows.query(entry) for entry in entries}
    assert len(asked.call_args_list) == 2
    assert {name for name, frame in frames.items() if frame.is_empty()} == {"on nobody"}
    for entry in entries:
        assert frames[entry.name].equals(query_chart(snapshot, entry)), entry.name


def test_charts_are_asked_for_one_by_one_if_memory_is_short(snapshot: duckdb.DuckDBPyConnection) -> None:
    def read_little(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
        if "'h100-sxm', 'b200'" in sql:
            raise duckdb.OutOfMemoryException
        return read_frame(connection, sql)

    entries = list_alike(snapshot, "h100-sxm", "b200")
    rows = ChartRows(snapshot, entries)
    with mock.patch("flows.site.chart_rows.read_frame", side_effect=read_little):
        frames = [rows.query(entry) for entry in entries]
    assert [frame["hardware_id"][0] for frame in frames] == ["h100-sxm", "b200"]


def test_a_chart_that_lacks_a_file_is_made_anew(tmp_path: Path) -> None:
    files = ("charts/mine/index.html", "charts/mine/mine.svg", "assets/rows/mine.js", "assets/thumbnails/mine.svg")
    for place in ("old", "second", "third"):
        for file in files:
            (tmp_path / place / file).parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        (tmp_path / "old" / file).write_text(file, "utf-8")
    first = SiteFiles(tmp_path / "old", tmp_path / "none")
    first.reuse("mine", "what is drawn", [])
    first.note_card("mine", "all", {"name": "mine"})
    first.write_manifest()
    assert SiteFiles(tmp_path / "third", tmp_path / "old").reuse_chart("mine", "other") is None
    assert SiteFiles(tmp_path / "third", tmp_path / "old").reuse_chart("mine", "") is None
    assert SiteFiles(tmp_path / "second", tmp_path / "old").reuse_chart("mine", "all") == {"name": "mine"}
    assert all((tmp_path / "second" / file).read_text("utf-8") == file for file in files)
    (tmp_path / "old" / files[0]).unlink()
    assert SiteFiles(tmp_path / "third", tmp_path / "old").reuse_chart("mine", "all") is None


def test_a_query_of_ones_own_and_the_runs_are_always_asked_for(small_home: Home, small_shipped: Path) -> None:
    small_home.catalog.mkdir(exist_ok=True)
    (small_home.catalog / "gallery.toml").write_text(OWN, "utf-8")
    run_without_prefect(small_home, small_shipped)
    with open_snapshot(small_home.snapshot) as connection:
        inputs = ChartInputs(connection)
        digests = {entry.name: inputs.digest(entry) for entry in list_snapshot_charts(connection)}
    assert {digests["own"], digests["run-history"]} == {""}
    known = [digest for digest in digests.values() if digest]
    assert len(set(known)) == len(known) > len(digests) / 2

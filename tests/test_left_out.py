"""A run is never held up by one chart: what cannot be drawn is left out with its reason, and all else published."""

import os
import time
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.site import drawing_processes as pool
from flows.site.build import read_left_out
from flows.site.drawing_processes import Drawings
from flows.site.page_paths import is_folder_name
from flows.site.snapshot_charts import LeftOut, find_chart, summarize_left_out
from tests.support.files import write_file
from tests.support.processes import is_running
from tests.support.whole_runs import ask_for, finish, run_without_prefect
from warehouse.errors import InputError, RunError
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.site_folder.manifest import read_inputs_digest
from warehouse.snapshot import open_snapshot

FILE = "$ROOFLINES_HOME/catalog/gallery.toml"
POINT = "hardware_id, 'x' as label, 10.0 as intensity_flops_per_byte, 1e12 as performance_flops_per_s"
QUERY = '[[chart]]\nname = "{name}"\ntemplate = "house"\nprecision_id = "fp16"\nsql = """{sql}"""\n'
GRID = """
[[chart]]
name = "{name}"
template = "house"
model_id = "llama-7b"
hardware_id = "a40"
precision_id = "fp16"
convention = "paper"
batch_size = 1
sequence_length = 1024
"""


def query(name: str, sql: str) -> str:
    return QUERY.format(name=name, sql=sql)


GOOD = GRID.format(name="good") + query("good-too", f"select {POINT} from core.hardware")
# what is wrong with a chart, and the reason that is told
BAD = {
    "empty": (query("empty", f"select {POINT} from core.hardware where false"), "no rows; expected"),
    "far-off": (
        query("far-off", f"select {POINT} from core.hardware".replace("1e12", "1e300")),
        "= 1e+300: expected",
    ),
    "two": (
        query("two", f"select {POINT} from core.hardware union all select 'b', 'y', 1, 1"),
        "hardware_id = b: no such device",
    ),
    "broken": (query("broken", "selct 1"), "syntax error"),
    "writes": (query("writes", "drop table core.run"), "expected"),
    "no-column": (query("no-column", "select 1 as a"), "no column hardware_id"),
    "no-point": (query("no-point", f"select {POINT} from core.hardware".replace("1e12", "0")), "no row with"),
    "no-roof": (GRID.format(name="no-roof").replace('"fp16"', '"fp4"'), "no roof of the dtype"),
    "no-setting": (GRID.format(name="no-setting").replace("= 1024", "= 777"), "no points at the setting"),
    "device": (GRID.format(name="device").replace('"a40"', '"a41"'), 'hardware_id = "a41": not in the catalog'),
    "model": (GRID.format(name="model").replace('"llama-7b"', '"llama"'), 'model_id = "llama": not in the catalog'),
    "field": (GRID.format(name="field").replace("batch_size", "batch"), "batch: unknown field"),
    "template": (GRID.format(name="template").replace('"house"', '"hous"'), 'template = "hous": expected accuracy'),
    "con": (GRID.format(name="con"), "expected another name"),
    "x" * 100: (GRID.format(name="x" * 100 + "-{model_id}" * 7), "at most 100 characters"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home" / "catalog").mkdir(parents=True)
    return Home(tmp_path / "home")


def read_history(home: Home) -> list[str]:
    with open_snapshot(home.snapshot) as connection:
        rows = fetch_rows(connection, "select left_out from mart.run_history order by run_number")
    return [left_out for (left_out,) in rows]


def test_a_bad_chart_holds_nothing_up(home: Home, small_shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails = {
        "drawing": finish(ValueError("no ink\nleft")),
        "panic": finish(pl.exceptions.PanicException("index")),
    }
    text = "".join(text for text, _ in BAD.values()) + "".join(GRID.format(name=name) for name in fails)
    write_file(home.catalog, "gallery.toml", text + GOOD)
    summary = run_without_prefect(home, small_shipped, drawings=fails)
    assert summary.site
    assert {path.name for path in (home.site / "charts").iterdir()} == {"good", "good-too", "device-a40"}
    assert summary.site.charts == 3

    reasons = {name: reason for name, (_, reason) in BAD.items()}
    reasons |= {"drawing": "ValueError: no ink left", "panic": "PanicException: index"}
    told_of = {chart.name: chart for chart in summary.left_out}
    assert told_of.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert told_of[name].file == FILE
        assert reason in told_of[name].reason
        assert "\n" not in told_of[name].reason
        assert str(told_of[name]) in read_history(home)[0]
    assert all(f"- left out: {line}\n" in summary.markdown(home) for line in summarize_left_out(summary.left_out))
    published = pl.read_parquet(home.site / "data" / "mart.run_history.parquet")
    assert published["left_out"].to_list() == read_history(home)
    assert read_left_out(home.site) == summary.left_out

    assert run_command(["check", "--home", str(home.path)]) == 0  # the data are right
    said = capsys.readouterr().out
    assert all(f"left out  {chart}\n" in said for chart in summary.left_out)
    with open_snapshot(home.snapshot) as connection, pytest.raises(InputError, match=r"template: chart.*hous"):
        find_chart(connection, "template")


@pytest.mark.slow
def test_a_chart_whose_query_takes_too_long_is_left_out(
    home: Home, small_shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.site.chart_rows._MOST_S", 5)
    endless = f"select {POINT} from core.hardware, range(9999999999) t (i) where hash(i) = 0"
    write_file(home.catalog, "gallery.toml", query("slow", endless) + GOOD)
    (left_out,) = run_without_prefect(home, small_shipped).left_out
    assert left_out.name == "slow"
    assert "longer than 5 s" in left_out.reason


def test_an_unchanged_run_draws_nothing_and_says_what_is_left_out(home: Home, small_shipped: Path) -> None:
    write_file(home.catalog, "gallery.toml", BAD["two"][0] + GOOD)
    first = run_without_prefect(home, small_shipped)
    before = {path: path.stat().st_mtime_ns for path in home.site.rglob("*")}
    again = run_without_prefect(home, small_shipped)
    assert (again.status, again.left_out) == ("unchanged", first.left_out)
    assert len(again.left_out) == 1
    assert f"- left out: {FILE}: two: hardware_id = b: no such device" in again.markdown(home)
    assert {path: path.stat().st_mtime_ns for path in home.site.rglob("*")} == before
    ask_for(small_shipped, 16)
    run_without_prefect(home, small_shipped)
    ask_for(small_shipped, 8)
    assert read_history(home) == [str(first.left_out[0])] * 3


def test_a_chart_that_cannot_be_drawn_any_more_is_not_shown_as_it_was(
    home: Home, small_shipped: Path, tmp_path: Path
) -> None:
    public = tmp_path / "public"
    write_file(home.catalog, "gallery.toml", GOOD)
    run_without_prefect(home, small_shipped, publish_to=public)
    assert (public / "charts" / "good").is_dir()
    write_file(home.catalog, "gallery.toml", GOOD.replace("batch_size = 1", "batch_size = 7"))
    assert [chart.name for chart in run_without_prefect(home, small_shipped, publish_to=public).left_out] == ["good"]
    for site in (home.site, public):
        assert {path.name for path in (site / "charts").iterdir()} == {"good-too", "device-a40"}
    assert read_left_out(public) == read_left_out(home.site) != ()


def test_where_no_chart_can_be_drawn_no_chart_is_at_fault(home: Home, small_shipped: Path) -> None:
    with pytest.raises(RunError, match=r"no chart could be drawn, so nothing was published: .*device-a40: .*no pen"):
        run_without_prefect(home, small_shipped, drawings={"device-a40": finish(ValueError("no pen"))})
    assert not home.snapshot.exists()
    write_file(home.catalog, "gallery.toml", GOOD)
    (left_out,) = run_without_prefect(
        home, small_shipped, drawings={"device-a40": finish(ValueError("no pen"))}
    ).left_out
    assert left_out == ("charts/gallery.toml", "device-a40", "ValueError: no pen")


def test_a_full_disk_is_no_fault_of_a_chart(home: Home, small_shipped: Path) -> None:
    write_file(home.catalog, "gallery.toml", GOOD)
    with pytest.raises(RunError, match="no space on the disk"):
        run_without_prefect(home, small_shipped, drawings={"good": finish(OSError(28, "No space left on device"))})
    assert read_inputs_digest(home.site) is None
    assert not list(home.path.glob(".rooflines-*"))


def test_every_field_works_in_a_name(home: Home, small_shipped: Path) -> None:
    grid = GRID.format(name="{template}-{model_id}-{hardware_id}-{precision_id}-{convention}-{batch_size}-{marks}")
    devices = (
        '[[chart]]\nname = "{dtype}-{devices}"\ntemplate = "comparison"\ndtype = "fp16"\ndevices = ["a40", "a40"]\n'
    )
    paper = """
[[chart]]
name = "p-{op_groups}-{bases}-{reference_flops_per_s}-{reference_label}"
template = "paper"
model_id = "llama-7b"
hardware_id = "a40"
precision_id = "fp16"
convention = "paper"
op_groups = ["qkv mlp", "qk/pv"]
bases = ["datasheet"]
reference_flops_per_s = 100e12
reference_label = "100 TFLOP/s «Ŋ»"
"""
    write_file(home.catalog, "gallery.toml", grid + devices + paper)
    assert run_without_prefect(home, small_shipped).left_out == ()
    assert {path.name for path in (home.site / "charts").iterdir()} == {
        "device-a40", "house-llama-7b-a40-fp16-paper-1-computed", "fp16-a40-a40",
        "p-qkv-mlp-qk-pv-datasheet-100000000000000-100-tflop-s",
    }  # fmt: skip


def test_many_charts_of_one_reason_are_one_line() -> None:
    charts = [LeftOut("f", name, "why") for name in "abcde"] + [LeftOut("f", "z", "other")]
    assert summarize_left_out(charts) == ["f: a, b, c and 2 more: why", "f: z: other"]


@pytest.mark.parametrize(
    "name", ["", "a.", ".a", "-a", "A", "a/b", "con", "nul.x", "com1", "index.html", "x" * 151, "ä"]
)
def test_what_cannot_be_a_folder_everywhere(name: str) -> None:
    assert not is_folder_name(name)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have little of it with drawings that never end; gives what was ended."""
    ended: list[str] = []
    monkeypatch.setattr(pool, "_MOST_DRAWING_S", 0.05)
    monkeypatch.setattr(pool, "_end_processes", lambda: ended.append("processes"))
    return ended


def test_a_drawing_that_never_ends_takes_no_other_with_it(patience: list[str]) -> None:
    stuck: dict[str, list[Future[None]]] = {"slow": [Future(), Future()], "behind it": [Future(), finish()]}
    with Drawings() as drawings:
        for name, futures in stuck.items():
            drawings.submit(name, iter(futures).__next__)
        drawings.submit("quick", finish)
        failed = drawings.finish(lambda _: None)
    assert {name: str(error) for name, error in failed.items()} == {
        "slow": "its drawing took too long, or ended the process that draws"
    }
    assert patience == ["processes"] * 2


def test_a_drawing_that_ends_its_process_takes_no_other_with_it() -> None:
    broken = BrokenExecutor("a worker was killed")
    crashed = {
        "crash": [finish(broken), finish(broken)],
        "behind it": [finish(broken), finish()],
    }
    with Drawings() as drawings:
        for name, futures in crashed.items():
            drawings.submit(name, iter(futures).__next__)
        drawings.submit("bad", lambda: finish(ValueError("bad")))
        failed = drawings.finish(lambda _: None)
    assert failed.keys() == {"crash", "bad"}


@pytest.mark.slow
def test_processes_that_crash_or_hang_are_replaced() -> None:
    with Drawings() as drawings:
        drawings.submit("crash", lambda: pool._submit(os._exit, 3))
        drawings.submit("fine", lambda: pool._submit(print))
        failed = drawings.finish(lambda _: None)
    assert failed.keys() == {"crash"}
    hanging = pool._submit(time.sleep, 600)
    while not hanging.running():
        time.sleep(0.01)
    ended = pool._start_executor()
    pids = list(ended._processes)
    pool._end_processes()
    assert hanging.exception(timeout=120) is not None
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_running(pid) for pid in pids)
    assert pool._start_executor() is not ended

"""The roofline of one profile: its kernels by what they would gain, as a table and as a chart, without a run."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.kinds import PROFILE_KINDS, read_kind
from flows.ingest.lone_profile import read_lone_profile
from flows.site.chart_rows import query_chart
from flows.site.lone_profiles import draw_profile, open_profile, read_kernels
from flows.site.profile_table import list_kernels
from flows.site.snapshot_charts import list_snapshot_charts
from tests.support.files import write_file
from tests.support.inputs import make_source
from warehouse.home import Home
from warehouse.rows import fetch_column

# 989.4 TFLOP/s bf16 and 3.35 TB/s: NVIDIA H100 datasheet, SXM, dense
PEAK, BANDWIDTH = 989.4e12, 3.35e12
TIMES = """\
op,op_group,kind,dtype,flops,bytes,level,latency_us,method
big<gemm>,g,custom,bf16,4.947e11,1e9,dram,1000,by hand
big<gemm>,g,custom,bf16,4.947e11,1.005e9,l2,1000,by hand
norm,g,custom,bf16,1e8,3.35e8,dram,400,by hand
copy,g,custom,bf16,0,3.35e8,dram,200,by hand
no roof,g,custom,int64,1e6,1e6,dram,400,by hand
"""


def read(folder: Path, text: str = TIMES) -> pl.DataFrame:
    path = write_file(folder, "times.csv", text)
    profile = read_lone_profile(Home(folder / "home"), path, hardware_id="h100-sxm")
    with open_profile(profile.tables) as connection:
        return read_kernels(connection)


def test_kernels_with_the_most_headroom_come_first_each_at_the_level_that_holds_it_back(tmp_path: Path) -> None:
    kernels = read(tmp_path)
    assert kernels["op"].to_list() == ["big<gemm>", "norm", "copy", "no roof"]
    assert kernels["time_share"].to_list() == pytest.approx([0.5, 0.2, 0.1, 0.2])
    lower = [4.947e11 / PEAK, 3.35e8 / BANDWIDTH, 3.35e8 / BANDWIDTH]
    expected = [1e-3 - lower[0], 4e-4 - lower[1], 2e-4 - lower[2]]
    assert kernels["headroom_s"].to_list()[:3] == pytest.approx(expected, rel=1e-6)
    assert kernels["headroom_s"][3] is None
    assert kernels["bound"].to_list() == ["compute", "memory", "memory", None]
    assert kernels["launches"].to_list() == [1, 1, 1, 1]


def test_a_kernel_above_its_roof_has_no_headroom(tmp_path: Path) -> None:
    kernels = read(tmp_path, TIMES.replace("dram,400,by hand\ncopy", "dram,50,by hand\ncopy"))
    row = kernels.row(by_predicate=pl.col("op") == "norm", named=True)
    assert (row["headroom_s"], row["is_above_roof"]) == (0, True)
    assert row["likely_cause"] == "part of its bytes came from a cache"


@contextmanager
def open_copy(snapshot: Path, folder: Path, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a snapshot with a profile of two kernels in it, as if it had been ingested."""
    copy = folder / "copy.duckdb"
    shutil.copyfile(snapshot, copy)
    with duckdb.connect(str(copy)) as connection:
        template = "measurement_id, source_id, hardware_id, op, op_group, kind, dtype, flops, bytes, latency_s, repeats"
        for number, repeats in enumerate((3, 1)):
            connection.execute(
                f"insert into core.measurement ({template}, matrices, tensor_parallel, method, pipe, accumulator,"
                " is_ceiling, launch) values (?, ?, 'h100-sxm', ?, 'g', 'custom', 'bf16', 1e12, 1e9, 2e-3, ?,"
                " 1, 1, 'ncu', '', '', false, 'eager')",
                [f"{name}/{number}", f"home/measurement/{name}", f"kernel {number}", repeats],
            )
        connection.execute(
            "insert into core.source by name select * replace (? as source_id) from core.source limit 1",
            [f"home/measurement/{name}"],
        )
        yield connection


def test_every_ingested_profile_has_a_chart_sized_by_time_and_a_table(finished: Home, tmp_path: Path) -> None:
    with open_copy(finished.snapshot, tmp_path, "nsight-h100-sxm-mine") as connection:
        (entry,) = [each for each in list_snapshot_charts(connection) if each.parameters["marks"] == "profile"]
        frame = query_chart(connection, entry)
    assert (entry.name, entry.on_site) == ("profile-nsight-h100-sxm-mine", True)
    kernels = list_kernels(frame)
    assert [(row["kernel"], row["launches"], row["time_share"]) for row in kernels] == [
        ("kernel 0", 3, 0.75),
        ("kernel 1", 1, 0.25),
    ]
    assert kernels[0]["headroom_s"] == pytest.approx(3 * (2e-3 - 1e12 / PEAK))


def test_repeats_of_a_table_of_timings_are_no_launches(finished: Home, tmp_path: Path) -> None:
    with open_copy(finished.snapshot, tmp_path, "vidur-h100-sxm-mine") as connection:
        assert fetch_column(connection, "select distinct launches from mart.profile_kernel") == [1]


def test_the_warehouse_knows_the_kinds_of_profiles(tmp_path: Path) -> None:
    with open_profile({}) as connection:
        ids = [f"home/measurement/{kind}-a40-x" for kind in PROFILE_KINDS]
        found = fetch_column(connection, "select mart.profile_kind(id) from (select unnest(?) as id)", [ids])
        assert found == list(PROFILE_KINDS)
        assert fetch_column(connection, "select mart.profile_kind('home/measurement/mine')") == [None]


def test_the_command_writes_a_page_with_chart_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_file(tmp_path, "times.csv", TIMES), tmp_path / "chart.html"
    given = ["profile", str(path), "--hardware-id", "h100-sxm", "--home", str(tmp_path / "home")]
    assert run_command([*given, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"kernel +time +share +FLOP/s +of roof +bound +headroom", printed)
    assert re.search(r"big<gemm> +1 ms +50\.0% +494\.7 T +50% +compute +500 µs", printed)
    assert "h100-sxm: 4 kernels take 2 ms; headroom of the 3 with a roof 900 µs" in printed
    page = out.read_text("utf-8")
    assert "<td>big&lt;gemm&gt;</td>" in page
    headings = re.findall('<th scope="col"[^>]*>([^<]+)</th>', page)
    assert headings[:8] == [
        "kernel", "time", "share of the time", "launches", "FLOP/s", "share of its roof", "bound by", "headroom",
    ]  # fmt: skip
    description = re.search(r'aria-label="(Roofline[^"]+)"', page)
    assert description
    assert "(at 50% of its roof)" in description[1]
    assert page.count("<script") == page.count("</script>") == 4
    assert not (tmp_path / "home").exists()
    assert run_command([*given, "--format", "json", "--top", "1"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["op"] == "big<gemm>"


def test_the_chart_has_marks_by_share_of_the_time(tmp_path: Path) -> None:
    path, out = write_file(tmp_path, "times.csv", TIMES), tmp_path / "chart.vl.json"
    given = ["profile", str(path), "--hardware-id", "h100-sxm", "--home", str(tmp_path / "home")]
    assert run_command([*given, "--out", str(out)]) == 0
    spec = json.loads(out.read_text("utf-8"))
    assert spec["title"]["text"] == "H100 SXM: 4 kernels take 2 ms; headroom of the 3 with a roof 900 µs"
    assert "Most headroom: big<gemm>, 500 µs (at 50% of its roof)" in " ".join(spec["title"]["subtitle"])
    sized = [layer for layer in spec["layer"] if layer["encoding"].get("size", {}).get("field") == "time_share"]
    assert sized


NSIGHT = """\
"ID","Kernel Name","gpu__time_duration.sum","dram__bytes.sum","sm__sass_thread_inst_executed_op_ffma_pred_on.sum"
"","","ns","byte","inst"
"0","axpy","1000","1000000","1000000"
"""
COUNTED = "peak of bf16,ceiling,custom,bf16,{},1,dram,1e6,by counters x 1586 MHz of sm,true,counter\n"


def count(peak: float) -> str:
    """Return the times above with a row that is a ceiling of counters."""
    head, *rows = TIMES.splitlines()
    kernels = "".join(f"{row},false,\n" for row in rows)
    return f"{head},is_ceiling,ceiling_basis\n{kernels}" + COUNTED.format(peak)


def test_ceilings_of_counters_stand_beside_the_datasheets(tmp_path: Path) -> None:
    path = write_file(tmp_path, "times.csv", count(857e12))
    profile = read_lone_profile(Home(tmp_path / "home"), path, hardware_id="h100-sxm")
    assert profile.counted == ("h100-sxm bf16: 857 TFLOP/s at 1586 MHz",)
    with open_profile(profile.tables) as connection:
        kernels = read_kernels(connection)
        sql = "select value_per_s, is_default from core.ceiling where basis = 'counter'"
        roofs = connection.sql(sql).fetchall()
        spec = json.loads(draw_profile(connection, "times", "h100-sxm", "json"))
    assert (roofs, kernels["op"].to_list()) == ([(857e12, False)], ["big<gemm>", "norm", "copy", "no roof"])
    assert kernels["roof_fraction"][0] == pytest.approx(4.947e14 / PEAK)
    labels = {row.get("label") for row in spec["data"]["values"]}
    assert "bf16 · 989.4 TFLOP/s tensor, measured 794.5, counter 857" in labels


def test_a_ceiling_of_counters_above_the_datasheets_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, home = write_file(tmp_path, "times.csv", count(1.2e15)), tmp_path / "home"
    assert run_command(["ingest", "measurement", str(path), "--hardware-id", "h100-sxm", "--home", str(home)]) == 0
    said = "counter ceiling  h100-sxm bf16: 1200 TFLOP/s at 1586 MHz, above the datasheet's 989.4 TFLOP/s"
    assert said in capsys.readouterr().out
    frames = read_kind("measurement", [make_source(next((home / "catalog/measurements").iterdir()), "measurement")])
    assert frames["measurement"].collect()["op"].to_list() == ["big<gemm>", "big<gemm>", "norm", "copy", "no roof"]


def test_ceilings_that_were_measured_are_those_of_the_homes_snapshot(finished: Home, tmp_path: Path) -> None:
    path = write_file(tmp_path, "times.csv", TIMES)
    by_home = read_lone_profile(finished, path, hardware_id="h100-sxm").tables["ceiling"].filter(basis="measured")
    alone = read_lone_profile(Home(tmp_path / "home"), path, hardware_id="h100-sxm").tables["ceiling"]
    assert len(by_home) > len(alone.filter(basis="measured"))
    with duckdb.connect(str(finished.snapshot), read_only=True) as connection:
        sql = "select count(*) from core.ceiling where hardware_id = 'h100-sxm' and basis = 'measured'"
        assert connection.sql(sql).fetchall() == [(len(by_home),)]
    defaults = [
        set(frame.filter("is_default")["origin"])
        for frame in (alone, read_lone_profile(finished, path, hardware_id="h100-sxm").tables["ceiling"])
    ]
    assert defaults[0] == defaults[1]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (TIMES, ["--out", "chart.pdf"], "--out: chart.pdf: expected a file that ends in .html, .svg, .png or .vl.json"),
        (TIMES, ["--hardware-id", "nothing"], 'hardware_id = "nothing": expected a device of the catalog'),
        (NSIGHT, ["--hardware-id", "nothing"], '--hardware-id: "nothing": expected a device of the catalog'),
        (TIMES, [], "no column hardware_id"),
        (TIMES, ["--hardware-id", "a40", "--top", "-1"], "--top: -1: expected 0 or more"),
        ("name,group,m,k,n\na,b,1,1,1\n", [], "a file of kind ops; expected a profile: vidur"),
        ("a,b\n1,2\n", [], "not recognized"),
        (f"{count(1e12).splitlines()[0]}\n{COUNTED.format(1e12)}", ["--hardware-id", "a40"], "ceilings, no kernels"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], said: str
) -> None:
    path = write_file(tmp_path, "times.csv", text)
    assert run_command(["profile", str(path), *arguments, "--home", str(tmp_path / "home")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_chart_of_a_trace_says_what_share_of_the_time_it_covers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "hardware_id,m,k,n,dtype,us,covered_share,coverage\nh100-sxm,4096,4096,4096,bf16,220,0.02,covers a little\n"
    path, out = write_file(tmp_path, "times.csv", rows), tmp_path / "chart.vl.json"
    assert run_command(["profile", str(path), "--out", str(out), "--home", str(tmp_path / "home")]) == 0
    assert "covers a little" in capsys.readouterr().out
    assert "These kernels are 2.0% of the device's time" in " ".join(
        json.loads(out.read_text("utf-8"))["title"]["subtitle"]
    )

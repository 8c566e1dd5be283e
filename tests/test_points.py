"""Points of rooflines: each on its own roof, coloured by any column, and every row counted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from charts.axes import INTENSITY, PERFORMANCE
from flows.cli.app import run_command
from flows.site.chart_rows import build_own_roofline, query_chart
from flows.site.render import build_spec, render
from flows.site.snapshot_charts import find_chart
from tests.support.charts import list_encodings, select_marks, validate
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

Spec = dict[str, Any]

NODE = """
hardware_id = "our-node"
name = "Our node, 2x 32 cores"
short_name = "Our node"
vendor = "Intel"
architecture = "Ice Lake"
memory_gb = 512
origin = "likwid-bench, HPL"
"""
COMPUTE = '[[compute]]\ndtype = "fp64"\ntflops = {}\nbasis = "measured"\norigin = "{}"\n'
BANDWIDTH = '[[bandwidth]]\nlevel = "{}"\ngb_per_s = {}\nbasis = "measured"\norigin = "{}"\n'
KERNELS = """hardware_id,op,op_group,kind,dtype,level,flops,bytes,latency_s,method
our-node,SpMV CRS,spmv,given,fp64,dram,2.0e9,1.3e10,0.045,likwid-perfctr
our-node,SpMV CRS,spmv,given,fp64,l2,2.0e9,2.6e10,0.045,likwid-perfctr
our-node,stencil 27pt,stencil,given,fp64,dram,5.4e10,3.2e10,0.12,likwid-perfctr
our-node,stencil 27pt,stencil,given,fp64,l1,5.4e10,2.2e11,0.12,likwid-perfctr
our-node,copy,stream,given,fp64,dram,0,3.2e10,0.125,likwid-perfctr
"""
OPS = """name,group,m,k,n,flops,bytes,precision
qkv fwd,fwd,32768,4096,6144,,,bf16
qkv dgrad,bwd,32768,6144,4096,,,bf16
adam,optimizer,,,,96360000000.0,224840000000.0,fp32
fsdp all-gather,comm,,,,0,16060000000.0,bf16
spmv,sparse,,,,2000000,13000000,fp64
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the snapshot of a home with a device, kernels and ops of the user's."""
    home, shipped = Home(tmp_path_factory.mktemp("own")), write_small_catalog(tmp_path_factory.mktemp("shipped"))
    peaks = (
        (3.1, "HPL, AVX-512 FMA"),
        (1.6, "likwid-bench peakflops_avx2_fma"),
        (0.2, "likwid-bench peakflops scalar"),
    )
    levels = (("dram", 320, "STREAM triad"), ("l2", 4200, "likwid-bench load_avx512 L2"))
    text = (
        NODE + "".join(COMPUTE.format(*peak) for peak in peaks) + "".join(BANDWIDTH.format(*level) for level in levels)
    )
    for name, content in (
        ("hardware/our-node.toml", text), ("measurements/hpcm.csv", KERNELS), ("ops/train.csv", OPS),
    ):  # fmt: skip
        (home.catalog / name).parent.mkdir(parents=True, exist_ok=True)
        (home.catalog / name).write_text(content, "utf-8")
    run_without_prefect(home, shipped)
    with open_snapshot(home.snapshot) as connection:
        yield connection


def draw(connection: duckdb.DuckDBPyConnection, sql: str, colour: str | None = None) -> Spec:
    entry, frame = build_own_roofline(connection, sql, "fp16", "test", colour)
    spec = build_spec(entry, frame)
    validate(spec)
    refuse_points_outside(spec)
    return spec


def draw_named(connection: duckdb.DuckDBPyConnection, name: str) -> Spec:
    entry = find_chart(connection, name)
    spec = build_spec(entry, query_chart(connection, entry))
    refuse_points_outside(spec)
    return spec


def refuse_points_outside(spec: Spec) -> None:
    domains = {channel: each["scale"]["domain"] for _, channel, each in list_encodings(spec) if "scale" in each}
    for row in spec["data"]["values"]:
        for channel, field in (("x", INTENSITY), ("y", PERFORMANCE)):
            if field in row:
                low, high = domains[channel]
                assert low * (1 - 1e-9) <= row[field] <= high * (1 + 1e-9), row


def read_legend(spec: Spec) -> tuple[str, list[str]]:
    """Return the title and the entries of the legend of points."""
    return next(
        (str(each["legend"]["title"]), list(each["scale"]["domain"]))
        for _, channel, each in list_encodings(spec)
        if channel == "color" and each.get("legend")
    )


def read_axis_title(spec: Spec, axis: str) -> str:
    axes = (each["axis"] for _, channel, each in list_encodings(spec) if channel == axis and "axis" in each)
    return str(next(axes)["title"])


def values(*rows: str, columns: str = "") -> str:
    names = f"hardware_id, intensity_flops_per_byte, performance_flops_per_s, label{columns}"
    return f"select * from (values {', '.join(f'({row})' for row in rows)}) t({names})"


def test_a_device_shows_all_ceilings_of_one_dtype_each_by_its_origin(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw_named(own, "kernels-our-node")
    assert {row["label"] for row in select_marks(spec, "ceiling label")} == {
        "fp64 · 3.1 TFLOP/s, HPL, AVX-512 FMA",
        "fp64 · 1.6 TFLOP/s, likwid-bench peakflops_avx2_fma",
        "fp64 · 0.2 TFLOP/s, likwid-bench peakflops scalar",
    }
    assert {row["label"] for row in select_marks(spec, "slope label")} == {
        "DRAM 320 GB/s (measured)", "L2 4,200 GB/s (measured)",
    }  # fmt: skip


def test_a_kernel_at_several_levels_stands_on_each_roof_and_the_finding_says_which_binds(
    own: duckdb.DuckDBPyConnection,
) -> None:
    spec = draw_named(own, "kernels-our-node")
    points = {(row["label"], row["level"]): row for row in select_marks(spec, "measured")}
    assert len(points) == 4
    spmv = points["SpMV CRS", "dram"]
    assert spmv[PERFORMANCE] == pytest.approx(44.4e9, rel=2e-3)
    assert spmv["attainable_flops_per_s"] == pytest.approx(49.2e9, rel=2e-3)
    assert spmv["roof_fraction"] == pytest.approx(0.903, abs=5e-4)
    assert points["SpMV CRS", "l2"]["attainable_flops_per_s"] == pytest.approx(4200e9 / 13)
    assert "attainable_flops_per_s" not in points["stencil 27pt", "l1"]  # the device states no bandwidth of L1
    assert spmv["kernel"] == points["SpMV CRS", "l2"]["kernel"]
    assert any(
        layer["mark"]["type"] == "line" and "kernel" in str(layer["encoding"]["detail"]) for layer in spec["layer"]
    )
    assert spec["title"]["text"].endswith("; DRAM binds SpMV CRS")
    assert read_axis_title(spec, "x") == "Operational intensity (FLOP per byte of each level's traffic)"
    lines = " ".join(spec["title"]["subtitle"])
    assert "1 of 5 rows (1 of 0 FLOP)" in lines
    assert "No roof of fp64 L1 is known" in lines
    roofs = {(row["level"], row["vertex"]): row[INTENSITY] for row in select_marks(spec, "roof")}
    assert roofs["dram", 2] == pytest.approx(3.1e12 / 320e9)
    assert roofs["l2", 2] == pytest.approx(3.1e12 / 4200e9)


def test_the_level_can_stand_in_the_label_of_a_query(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(
        own,
        "select hardware_id, op || ' (' || level || ')' as label, bound, intensity_flops_per_byte,"
        " achieved_flops_per_s as performance_flops_per_s from mart.measured_point where hardware_id = 'our-node'",
    )
    points = {(row["label"], row["level"]): row for row in select_marks(spec, "computed")}
    assert set(points) == {(name, level) for name in ("SpMV CRS", "stencil 27pt") for level in ("dram", "l1", "l2")} - {
        ("SpMV CRS", "l1"), ("stencil 27pt", "l2"),
    }  # fmt: skip
    assert not any(row.get("is_above_roof") for row in points.values())
    assert points["SpMV CRS", "l2"]["attainable_flops_per_s"] == pytest.approx(4200e9 / 13)
    assert read_legend(spec)[0] == "level"


def test_copies_have_a_chart_of_their_share_of_the_bandwidth(own: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(own, "copies-our-node")
    spec = build_spec(entry, query_chart(own, entry))
    (copy,) = spec["data"]["values"]
    assert copy["bandwidth_fraction"] == pytest.approx(0.8)
    assert copy["text"] == "256 GB/s, 80.0% of DRAM"
    assert spec["title"]["text"] == "Our node: 1 kernel without arithmetic reaches 80.0% of the bandwidth of DRAM"


def test_each_op_of_a_file_is_on_the_roof_of_its_own_precision(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw_named(own, "ops-train-a40")
    points = {row["label"]: row for row in select_marks(spec, "computed")}
    assert {name: row["dtype"] for name, row in points.items()} == {
        "qkv fwd": "bf16", "qkv dgrad": "bf16", "adam": "fp32", "spmv": "fp64",
    }  # fmt: skip
    assert points["adam"][PERFORMANCE] == pytest.approx(96.36 / 224.84 * 696e9)
    assert {row["dtype"] for row in select_marks(spec, "roof")} == {"bf16", "fp32", "fp64"}
    lines = " ".join(spec["title"]["subtitle"])
    assert "1 of 5 rows (1 of 0 FLOP)" in lines
    assert "Train in bf16, fp32, fp64, computed from shapes" in lines
    lacking = draw_named(own, "ops-train-our-node")
    assert {row["label"] for row in select_marks(lacking, "computed")} == {"spmv"}
    assert any("4 of 5 rows (4 without a roof)" in line for line in lacking["title"]["subtitle"])


@pytest.mark.parametrize(
    ("rows", "drawn", "said"),
    [
        (["'a40', 0.0, 0.0, 'copy'", "'a40', 2.0, 1e12, 'stencil'", "'a40', null, 1e12, 'x'", "'a40', 300.0, 1e14, 'g'",
          "'a40', -1.0, 1e12, 'n'"], 2, "3 of 5 rows (1 negative, 1 null, 1 of 0 FLOP)"),
        (["'a40', 'inf'::double, 1e11, 'i'", "'a40', 1.0, 'nan'::double, 'n'", "'a40', 1.0, 1e11, 'gemm'"], 1,
         "2 of 3 rows (1 infinite, 1 NaN)"),
        (["'a40', 1.0, 1e11, 'gemm'"], 1, ""),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_drawn_are_counted(
    rows: list[str], drawn: int, said: str, own: duckdb.DuckDBPyConnection
) -> None:
    spec = draw(own, values(*rows))
    assert len(select_marks(spec, "computed")) == drawn
    assert said in " ".join(spec["title"]["subtitle"])
    assert ("Not drawn" in " ".join(spec["title"]["subtitle"])) is bool(said)


def test_kernels_of_one_name_are_counted_each(own: duckdb.DuckDBPyConnection) -> None:
    gemms = [f"'a40', {x}.0, {x}e11, 'gemm', 'memory'" for x in (10, 20, 40)]
    spec = draw(own, values(*gemms, "'a40', 1000.0, 1e14, 'other', 'compute'", columns=", bound"))
    assert spec["title"]["text"] == "A40: 4 points, 3 memory-bound, 1 compute-bound (other)"
    assert len(select_marks(spec, "computed")) == 4


@pytest.mark.parametrize(("x", "y"), [(0.004, 1.1e9), (1e-3, 1e9), (1e-8, 1e-2), (1e9, 1e12), (3e5, 1e13)])
def test_the_frame_follows_the_data(x: float, y: float, own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values(f"'a40', {x}, {y}, 'far'", "'a40', 0.25, 1e11, 'axpy'"))
    (roof,) = {row["bandwidth_bytes_per_s"] for row in select_marks(spec, "roof")}
    left = min(select_marks(spec, "roof"), key=lambda row: row[INTENSITY])
    assert left[PERFORMANCE] / left[INTENSITY] == pytest.approx(roof)
    domain = next(each["scale"]["domain"] for _, channel, each in list_encodings(spec) if channel == "x")
    assert left[INTENSITY] == pytest.approx(domain[0])
    assert max(row[INTENSITY] for row in select_marks(spec, "roof")) == pytest.approx(domain[1])


def test_ticks_below_one_are_plain_numbers(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values("'a40', 0.004, 1e9, 'far'"))
    axis = next(each["axis"] for _, channel, each in list_encodings(spec) if channel == "x")
    assert {0.01, 0.1, 1, 100} <= set(axis["values"])
    assert axis["labelExpr"] == "format(datum.value, datum.value < 1 ? '~g' : '~s')"
    assert "format" not in axis


def test_20_000_rows_are_drawn(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(
        own,
        "select 'a40' as hardware_id, power(10, -3 + 6.0 * i / 20000) as intensity_flops_per_byte,"
        " power(10, 9 + 5.0 * i / 20000) as performance_flops_per_s, 'k' || i as label from range(20000) t(i)",
    )
    assert len(select_marks(spec, "computed")) == 20_000
    assert spec["title"]["text"].startswith("A40: 20,000 points, ")
    assert read_legend(spec) == ("bound", ["memory", "compute"])


@pytest.mark.parametrize("phases", [["training", "decode"], ["a", "b", "c", "d", "e", "f", "g", "h"]])
def test_any_phase_has_an_ink_and_an_entry_of_the_legend(phases: list[str], own: duckdb.DuckDBPyConnection) -> None:
    rows = [f"'a40', {10 + i}.0, 1e12, 'x', '{phase}'" for i, phase in enumerate(phases)]
    spec = draw(own, values(*rows, columns=", phase"))
    title, entries = read_legend(spec)
    assert title == "phase"
    assert sorted(entries) == sorted(phases)
    scale = next(
        each["scale"] for _, channel, each in list_encodings(spec) if channel == "color" and each.get("legend")
    )
    assert len(set(scale["range"])) == len(phases)
    assert {row["series"] for row in select_marks(spec, "computed")} == set(phases)


def test_of_many_values_the_most_frequent_have_a_colour(own: duckdb.DuckDBPyConnection) -> None:
    rows = [f"'a40', {10 + i}.0, 1e12, 'x', 'run {min(i, 2 * i - 9, 10)}'" for i in range(30)]
    spec = draw(own, values(*rows, columns=", run"), "run")
    title, entries = read_legend(spec)
    assert (title, len(entries), entries[0], entries[-1]) == ("run", 8, "run 10", "other")
    assert len(select_marks(spec, "computed")) == 30


def test_a_column_that_colours_must_be_there(own: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(InputError, match="no column run"):
        draw(own, values("'a40', 10.0, 1e12, 'x'"), "run")


def test_a_column_of_lists_or_a_precision_that_is_not_known_is_refused(own: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(InputError, match="column run: a list or struct"):
        draw(own, values("'a40', 10.0, 1e12, 'x', ['a']", columns=", run"), "run")
    with pytest.raises(InputError, match="precision = fp99: expected a name such as fp"):
        build_own_roofline(own, values("'a40', 10.0, 1e12, 'x'"), "fp99", "test")


def test_a_name_that_is_its_series_is_said_once(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values("'a40', 10.0, 1e12, 'gemm'", "'a40', 10.0, 1e12, 'stream'"), "label")
    assert "(gemm)" not in str(select_marks(spec, "point label"))


def test_a_pipe_without_a_roof_is_named(own: duckdb.DuckDBPyConnection) -> None:
    kernels = values(
        "'a40', 1.0, 1e11, 'x', 'fp32', 'tensor'", "'a40', 1.0, 1e11, 'y', 'fp32', ''", columns=", dtype, pipe"
    )
    assert "No roof of fp32 tensor is known" in " ".join(draw(own, kernels)["title"]["subtitle"])


def test_points_of_several_devices_are_on_the_roofs_of_all(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values("'a40', 10.0, 1e12, 'x', 'fp16'", "'our-node', 1.0, 1e11, 'y', 'fp64'", columns=", dtype"))
    assert {row["label"] for row in select_marks(spec, "ceiling label")} == {
        "A40 · fp16 149.7 TFLOP/s · 696 GB/s", "Our node · fp64 3.1 TFLOP/s · 320 GB/s",
    }  # fmt: skip
    assert not any(layer["mark"]["type"] == "rect" for layer in spec["layer"])
    assert spec["title"]["text"].startswith("A40, Our node: 2 points")
    alike = draw(own, values("'a40', 10.0, 1e12, 'x', 'fp32'", "'our-node', 1.0, 1e11, 'y', 'fp64'"))
    assert read_legend(alike) == ("device", ["A40", "Our node"])


def test_a_point_above_its_roof_is_ringed_and_its_cause_said(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(
        own,
        values(
            "'a40', 10.0, 2e13, 'cached'",
            "'a40', 1e3, 2e14, 'gemm'",
            "'a40', 1e3, 1e14, 'below'",
            "'a40', 50.0, 1e17, 'far'",
        ),
    )
    above = {row["label"]: row["likely_cause"] for row in select_marks(spec, "computed") if row["is_above_roof"]}
    assert above["cached"] == "part of its bytes came from a cache"
    assert "int8 reaches 299.3 TFLOP/s" in above["gemm"]
    assert above["far"] == "not known"  # a cache lifts nothing above the compute ceiling
    assert set(above) == {"cached", "gemm", "far"}
    assert any("Ringed: 3 of 4 points above the roof" in line for line in spec["title"]["subtitle"])
    assert any(
        layer["transform"][0] == {"filter": "datum.is_above_roof"} for layer in spec["layer"] if "transform" in layer
    )


def test_no_tooltip_or_name_says_what_is_not_known(own: duckdb.DuckDBPyConnection) -> None:
    """Of kernels at several levels one has no roof, and not every point has a phase: nothing is "undefined" or NaN."""
    entry = find_chart(own, "kernels-our-node")
    svg = render(build_spec(entry, query_chart(own, entry)), "svg").decode()
    assert "stencil" in svg
    assert re.findall(r"[^;\"]*(?:undefined|NaN)", svg) == []


def test_integer_kernels_are_counted_in_ops(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values("'a40', 10.0, 1e11, 'sort', 'int32'", columns=", dtype"))
    assert read_axis_title(spec, "y") == "Performance (op/s)"
    assert read_axis_title(spec, "x") == "Operational intensity (op per byte of DRAM traffic)"


def test_a_precision_that_a_device_lacks_gives_way(own: duckdb.DuckDBPyConnection) -> None:
    spec = draw(own, values("'our-node', 1.0, 1e11, 'x'"))
    assert {row["dtype"] for row in select_marks(spec, "roof")} == {"fp64"}


def test_the_gallery_of_a_site_has_the_kernels_of_the_user(own: duckdb.DuckDBPyConnection, finished: Home) -> None:
    assert find_chart(own, "kernels-our-node").on_site
    with open_snapshot(finished.snapshot) as connection, pytest.raises(InputError):
        find_chart(connection, "kernels-h100-sxm")  # what ships is on charts of its own


def test_the_option_colour_chooses_the_column(finished: Home, tmp_path: Path) -> None:
    rows = ["'a40', 10.0, 1e12, 'x', 'r1'", "'a40', 20.0, 1e12, 'y', 'r2'"]
    (tmp_path / "own.sql").write_text(values(*rows, columns=", run"), "utf-8")
    out = tmp_path / "own.svg"
    arguments = ["chart", "--sql", str(tmp_path / "own.sql"), "--colour", "run", "--out", str(out)]
    arguments += ["--home", str(finished.path)]
    assert run_command(arguments) == 0
    assert all(f">{text}<" in out.read_text("utf-8") for text in ("run", "r1", "r2"))


def test_plain_fp64_is_held_against_the_vector_peak(snapshot: duckdb.DuckDBPyConnection) -> None:
    row = "'a100-80gb-sxm', 900.0, 9.2e12, 'dfma', 'fp64', 'vector'"
    spec = draw(snapshot, values(row, columns=", dtype, pipe"))
    (point,) = select_marks(spec, "computed")
    assert point["roof_fraction"] == pytest.approx(0.948, abs=5e-4)

"""Kernels of users keep their dtype, pipe, accumulator and level, and become ceilings only if they are asked to."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED, list_sources
from flows.ingest.kinds import read_kind
from flows.ingest.measured_ceilings import add_measured_ceilings, find_measured_ceilings
from flows.ingest.readers.calibration import read_calibrations
from flows.ingest.readers.measurement import NUMPY_METHOD, TORCH_METHOD, read_measurements
from flows.ingest.source_file import SourceFile
from flows.ingest.user_catalog import add_files
from flows.measure import standalone
from tests.support.commands import ingest
from tests.support.files import write_file
from tests.support.inputs import MLP, assert_refused, make_source
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

NODE = """\
hardware_id = "our-node"
name = "Our node, 2x 32 cores"
short_name = "Our node"
vendor = "Intel"
architecture = "Ice Lake"
memory_gb = 512
origin = "likwid-bench, HPL"
compute = [
    { dtype = "fp64", tflops = 3.1, basis = "measured", origin = "HPL, AVX-512 FMA" },
    { dtype = "fp64", tflops = 1.6, basis = "measured", origin = "likwid-bench peakflops_avx2_fma" },
    { dtype = "fp64", tflops = 0.2, basis = "measured", origin = "likwid-bench peakflops scalar" },
]
bandwidth = [
    { level = "dram", gb_per_s = 320, basis = "measured", origin = "STREAM triad" },
    { level = "l2", gb_per_s = 4200, basis = "measured", origin = "likwid-bench load_avx512 L2" },
]
"""
HPCM = """\
hardware_id,op,op_group,kind,dtype,level,flops,bytes,latency_s,method
our-node,SpMV CRS,spmv,given,fp64,dram,2.0e9,1.3e10,0.045,likwid-perfctr
our-node,SpMV CRS,spmv,given,fp64,l2,2.0e9,2.6e10,0.045,likwid-perfctr
our-node,stencil 27pt,stencil,given,fp64,dram,5.4e10,3.2e10,0.12,likwid-perfctr
our-node,stencil 27pt,stencil,given,fp64,l1,5.4e10,2.2e11,0.12,likwid-perfctr
our-node,sort,sort,given,int32,dram,1e9,1e9,0.01,by hand
our-node,copy,stream,copy,int64,dram,0,1.6e10,0.06,by hand
"""
NO_DEVICE = """\
m,k,n,dtype,latency_s,kind,op,op_group,method,flops,bytes
128,4096,11008,fp16,0.0002688,linear,gemm 128x4096x11008,gemm,cuda-event,11542724608.0,94044160
4096,4096,11008,fp16,0.0025085000000000003,linear,gemm 4096x4096x11008,gemm,cuda-event,369367187456.0,213909504
"""
OPS = {
    "train_ops.csv": (
        "name,group,m,k,n,flops,bytes,precision\nqkv fwd,fwd,32768,4096,6144,,,bf16\n"
        "adam,optimizer,,,,96360000000.0,224840000000.0,fp32\nfsdp all-gather,comm,,,,0,16060000000.0,bf16\n"
    ),
    "fp64_kernels.csv": (
        "name,group,m,k,n,flops,bytes,precision\ncopy,stream,,,,0,2147483648,fp64\n"
        "triad,stream,,,,268435456,3221225472,fp64\nspmv,sparse,,,,2000000,13000000,fp64\n"
    ),
    "shared.csv": (
        "name,flops,bytes,precision,level,devices,repeat,pipe\nall-gather,0,1e9,bf16,interconnect,8,32,\n"
        "spmv,2e9,1.3e10,fp64,dram,,,vector\nspmv,2e9,2.6e10,fp64,l2,,,vector\nspmv,2e9,2.6e10,fp64,nonsense,,,\n"
    ),
}
# kernel, device -> time, bytes and work in the CSV of Nsight Compute
TIME, MOVED, THREADS = "gpu__time_duration.sum", "dram__bytes.sum", "sm__sass_thread_inst_executed_op_{}_pred_on.sum"
PROFILES = {
    ("dfma_loop", "a100-80gb-sxm"): {TIME: "ms,1.0", MOVED: "Mbyte,10", THREADS.format("dfma"): "inst,4600000000"},
    ("gemm_f16acc", "rtx-4090"): {
        TIME: "ms,0.5", MOVED: "Mbyte,100", "sm__ops_path_tensor_src_fp16_dst_fp16.sum": "inst,150000000000",
    },
    ("copy_kernel", "h100-sxm"): {TIME: "us,100", MOVED: "Mbyte,300", THREADS.format("ffma"): "inst,0"},
    ("radix_sort", "a40"): {
        TIME: "us,50", MOVED: "Mbyte,10", THREADS.format("integer"): "inst,5000000", THREADS.format("ffma"): "inst,0",
    },
}  # fmt: skip
HEADER = "hardware_id,op,op_group,kind,dtype,flops,bytes,latency_s,method,pipe,accumulator\n"


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory, small_shipped: Path) -> Path:
    """A small catalog with more devices."""
    folder = tmp_path_factory.mktemp("devices") / "catalog"
    shutil.copytree(small_shipped, folder)
    for device in ("a100-80gb-sxm", "h100-sxm", "rtx-4090"):
        shutil.copyfile(SHIPPED / "hardware" / f"{device}.toml", folder / "hardware" / f"{device}.toml")
    return folder


def write_profile(op: str, metrics: Mapping[str, str]) -> str:
    """Return the CSV of Nsight Compute with one launch of a kernel."""
    header = "ID,Kernel Name,Block Size,Grid Size,CC,Metric Name,Metric Unit,Metric Value"
    launch = f'0,{op},"(128, 1, 1)","(132, 1, 1)",'
    return "\n".join([header, *(f"{launch},{name},{value}" for name, value in metrics.items())])


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory, devices: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader's connection to a home with the kernels of this file."""
    folder = tmp_path_factory.mktemp("kernels")
    home = Home(folder / "home")
    given: list[tuple[str, str, str, dict[str, Any]]] = [
        ("hardware", "node.toml", NODE, {}),
        ("measurement", "hpcm.csv", HPCM, {}),
        ("measurement", "no_device.csv", NO_DEVICE, {"hardware_id": "a40"}),
        *(("ops", name, text, {}) for name, text in OPS.items()),
        *(("nsight", f"{op}.csv", write_profile(op, metrics), {"hardware_id": device})
          for (op, device), metrics in PROFILES.items()),
    ]  # fmt: skip
    for kind, name, text, options in given:
        add_files(home, kind, [str(write_file(folder, name, text))], shipped=devices, **options)
    run_without_prefect(home, devices)
    with open_snapshot(home.snapshot) as connection:
        yield connection


def test_each_level_of_a_kernel_stands_on_its_own_roof(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select op, level, achieved_flops_per_s / 1e9, attainable_flops_per_s / 1e9, roof_fraction"
        " from mart.measured_point where hardware_id = 'our-node' and flops > 0 and dtype = 'fp64' order by all",
    )
    assert [(*row[:2], *(value and round(value, 3) for value in row[2:])) for row in rows] == [
        ("SpMV CRS", "dram", 44.444, 49.231, 0.903),
        ("SpMV CRS", "l2", 44.444, 323.077, 0.138),
        ("stencil 27pt", "dram", 450.0, 540.0, 0.833),
        ("stencil 27pt", "l1", 450.0, None, None),  # the node states no L1: not the roof of its DRAM
    ]


def test_kernels_without_a_peak_and_copies_are_rows_too(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select op, dtype, achieved_flops_per_s, attainable_flops_per_s, round(bandwidth_fraction, 3)"
        " from mart.measured_point where hardware_id = 'our-node' and dtype like 'int%' order by op",
    )
    assert rows[0] == ("copy", "int64", 0, None, 0.833)
    assert rows[1][:4] == ("sort", "int32", 1e11, None)


def test_kernels_of_a_profile_stand_on_the_roof_of_their_units(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select op, dtype, pipe, accumulator, achieved_flops_per_s / 1e12, round(roof_fraction, 3),"
        " round(bandwidth_fraction, 3), is_above_roof from mart.measured_point where software = 'Nsight Compute'"
        " order by op",
    )
    assert (
        rows
        == [
            ("copy_kernel", "fp32", "", "", 0, 0.896, 0.896, False),
            ("dfma_loop", "fp64", "vector", "", pytest.approx(9.2), 0.948, 0.005, False),  # of 9.7, not of 19.5
            (
                "gemm_f16acc",
                "fp16",
                "tensor",
                "fp16",
                pytest.approx(300),
                0.908,
                0.198,
                False,
            ),  # of 330.3, not of 165.2
            ("radix_sort", "int32", "vector", "", pytest.approx(0.1), *rows[3][5:]),
        ]
    )


def test_the_device_of_a_file_without_one_is_given(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select op, round(roof_fraction, 3), is_ceiling from mart.measured_point where op like 'gemm %' order by op",
    )
    assert rows == [("gemm 128x4096x11008", 0.503, False), ("gemm 4096x4096x11008", 0.984, False)]
    assert fetch_rows(kernels, "from core.ceiling where source_id like '%measurement%'") == []


def test_ops_stand_on_the_roof_of_their_precision_and_level(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select model_id, op, dtype, level, tensor_parallel, repeat, round(lower_bound_s * 1e3, 3)"
        " from mart.roofline_point where hardware_id = 'a100-80gb-sxm' and convention = 'custom' order by all",
    )
    assert rows == [
        ("fp64_kernels", "copy", "fp64", "dram", 1, 1, 1.053),
        ("fp64_kernels", "spmv", "fp64", "dram", 1, 1, 0.006),
        ("fp64_kernels", "triad", "fp64", "dram", 1, 1, 1.58),
        ("shared", "all-gather", "bf16", "interconnect", 8, 32, 3.333),
        ("shared", "spmv", "fp64", "dram", 1, 1, 6.376),
        ("shared", "spmv", "fp64", "l2", 1, 1, 3.602),
        ("train_ops", "adam", "fp32", "dram", 1, 1, 110.27),
        ("train_ops", "fsdp all-gather", "bf16", "dram", 1, 1, 7.876),
        ("train_ops", "qkv fwd", "bf16", "dram", 1, 1, 5.286),
    ]
    levels = fetch_rows(
        kernels,
        "select level, round(attainable_flops_per_s / 1e9, 1) from mart.roofline_point"
        " where hardware_id = 'our-node' and model_id = 'shared' order by all",
    )
    assert levels == [("dram", 49.2), ("l2", 323.1)]
    sql = "select pipe, count(*) from core.op_shape where model_id = 'shared' group by all order by all"
    pipes = fetch_rows(kernels, sql)
    assert pipes == [("", 2), ("vector", 2)]


def test_an_op_with_bytes_at_several_levels_runs_once(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels,
        "select ops, flops, bytes, round(lower_bound_s * 1e3, 3) from mart.op_group_time"
        " where hardware_id = 'a100-80gb-sxm' and model_id = 'shared' and tensor_parallel = 1",
    )
    assert rows == [("spmv", 2e9, 1.3e10, 6.376)]


def read_rows(source: SourceFile) -> pl.DataFrame:
    """Return the rows of core.measurement that a file makes."""
    return read_measurements([source])["measurement"].collect()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("l2,2.0e9", "L 2,2.0e9", ["row 2", "level: expected a name such as dram, l2", 'not "L 2"']),
        ("fp64,dram,2", "fp63,dram,2", ["row 1", "dtype: expected one of"]),
        ("method\n", "method,pipe\n", ["row 1", "pipe: expected one of tensor, vector, scalar"]),
        ("method\n", "method,accumulator\n", ["row 1", "accumulator: expected one of"]),
        ("method\n", "method,launch\n", ["row 1", "launch: expected one of eager, graph", 'not "x"']),
        ("method\n", "method,is_ceiling\n", ["row 1", 'is_ceiling = "x"', "true or false"]),
    ],
)
def test_what_a_measurement_may_state(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    text = HPCM.replace(old, new, 1).replace("likwid-perfctr", "likwid-perfctr,x" if "\n" in old else "likwid-perfctr")
    source = make_source(write_file(tmp_path, "mine.csv", text), "measurement")
    assert_refused(lambda: read_rows(source), names=["mine.csv", *names])


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("interconnect,8", "Inter,8", ["row 1", "level: expected a name"]),
        ("interconnect,8", "interconnect,0", ["row 1", "devices: expected 1 to"]),
        ("l2,,,vector", "l2,,,simd", ["row 3", "pipe: expected one of tensor"]),
        ("l2,,,vector", "dram,,,vector", ["row 3", "a second row with this name"]),
    ],
)
def test_what_an_op_may_state(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    path = write_file(tmp_path, "mine.csv", OPS["shared.csv"].replace(old, new, 1))
    assert_refused(lambda: add_files(Home(tmp_path / "home"), "ops", [str(path)]), names=["mine.csv", *names])


def test_a_file_that_names_another_device_or_none_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = write_file(tmp_path, "mine.csv", NO_DEVICE)
    assert_refused(
        lambda: add_files(home, "measurement", [str(path)]),
        names=["mine.csv: no column hardware_id; expected one, or --hardware-id"],
    )
    path = write_file(tmp_path, "mine.csv", HPCM.replace("our-node", "a40").replace("a40,sort", "a6000,sort"))
    assert_refused(
        lambda: add_files(home, "measurement", [str(path)], hardware_id="a40"),
        names=["mine.csv: row 5", 'hardware_id = "a6000"', "expected a40, as --hardware-id says"],
    )
    path = write_file(tmp_path, "mine.csv", HPCM.replace("our-node", "").replace("l1", "l2"))
    (added,) = add_files(home, "measurement", [str(path)], hardware_id="a40")
    assert pl.read_csv(added.path)["hardware_id"].unique().to_list() == ["a40"]


# Ceilings


def write_gemm(folder: Path, **values: object) -> Path:
    """Write a measurement of a GEMM of 110 TFLOP/s on the A40, whose datasheet states 149.7."""
    row = {
        "hardware_id": "a40", "op": "my gemm", "op_group": "custom", "kind": "linear", "dtype": "fp16",
        "flops": "1.1e12", "bytes": "1e9", "latency_s": "0.01", "method": "by hand", "pipe": "", "accumulator": "",
    }  # fmt: skip
    row |= {name: str(value) for name, value in values.items()}
    return write_file(folder, "mine.csv", f"{HEADER}{','.join(row.values())}\n")


def find_ceilings(home: Home) -> list[tuple[Any, ...]]:
    """Return name, pipe, accumulator and value of the ceilings that the measurements of a home make."""
    sources = [source for source in list_sources(home) if source.source_id.startswith("home/measurement")]
    ceilings = read_kind("hardware", list_sources(home))["ceiling"].collect()
    found = find_measured_ceilings(ceilings, read_measurements(sources)["measurement"], sources)
    return found.sort("name").select("name", "pipe", "accumulator", "value_per_s").rows()


def test_kernels_become_ceilings_only_if_they_are_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, path = Home(tmp_path / "home"), write_gemm(tmp_path, pipe="tensor", accumulator="fp32")
    assert ingest(home, "measurement", str(path)) == 0
    assert find_ceilings(home) == []
    assert ingest(home, "measurement", str(path), "--replace", "--as-ceiling") == 0
    assert "measured ceiling  a40 fp16 tensor accumulating in fp32: 110 TFLOP/s\n" in capsys.readouterr().out
    assert find_ceilings(home) == [("fp16", "tensor", "fp32", 1.1e14)]
    assert ingest(home, "measurement", str(path), "--replace") == 0
    assert find_ceilings(home) == []


def test_a_profile_by_vidur_makes_no_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    path = write_file(tmp_path, "mlp.csv", MLP)
    assert ingest(home, "vidur", str(path), "--hardware-id", "a40") == 0
    assert find_ceilings(home) == []
    assert "ceiling" not in capsys.readouterr().out
    assert ingest(home, "vidur", str(path), "--hardware-id", "a40", "--replace", "--as-ceiling") == 0
    assert [row[:3] for row in find_ceilings(home)] == [("fp16", "tensor", "")]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"latency_s": 0.005}, ["fp16 = 220 TFLOP/s", "a40 states 149.7 TFLOP/s", "largest my gemm"]),
        ({"latency_s": 0.005, "pipe": "tensor"}, ["fp16 tensor = 220 TFLOP/s", "149.7 TFLOP/s"]),
        ({"kind": "copy", "flops": 0, "latency_s": 0.001}, ["dram = 1000 GB/s", "states 696 GB/s"]),
    ],
)
def test_a_ceiling_above_the_datasheet_is_refused(
    tmp_path: Path, values: dict[str, object], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    home, path = Home(tmp_path / "home"), write_gemm(tmp_path, **values)
    assert ingest(home, "measurement", str(path), "--as-ceiling") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ["mine.csv: measured ceiling", *names, "at most 5 % more"])
    assert ingest(home, "measurement", str(path)) == 0
    # a file that came into the catalog another way
    (stored,) = (home.catalog / "measurements").iterdir()
    stored.write_text(stored.read_text("utf-8").replace(",custom,", ",ceiling,"), "utf-8")
    assert_refused(lambda: find_ceilings(home), names=["mine.csv", *names])


def test_five_percent_above_the_datasheet_is_within_its_error(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for share, is_taken in ((1.049, True), (1.051, False)):
        path = write_gemm(tmp_path, flops=149.7e10 * share)
        if is_taken:
            add_files(home, "measurement", [str(path)], as_ceiling=True)
        else:
            assert_refused(
                lambda: add_files(home, "measurement", [str(path)], as_ceiling=True, replace=True),  # noqa: B023
                names=["157.33 TFLOP/s"],
            )


def test_only_measurements_become_ceilings(tmp_path: Path) -> None:
    path = write_file(tmp_path, "node.toml", NODE)
    assert_refused(
        lambda: add_files(Home(tmp_path / "home"), "hardware", [str(path)], as_ceiling=True),
        names=["--as-ceiling: not for hardware; expected one of measurement, vidur"],
    )


def test_a_kernel_of_any_kind_shows_the_limit_that_it_is_near(tmp_path: Path) -> None:
    """Left of the ridge the bandwidth of its level, right of it the peak of its pipe."""
    home = Home(tmp_path / "home")
    text = "".join(
        f"a100-80gb-sxm,{op},custom,custom,fp64,{flops},1e9,{latency_s},by hand,{pipe},\n"
        for op, flops, latency_s, pipe in (("axpy", 1.25e8, 6e-4, "vector"), ("loop", 9.2e12, 1, "vector"))
    )
    add_files(home, "measurement", [str(write_file(tmp_path, "mine.csv", HEADER + text))], as_ceiling=True)
    assert find_ceilings(home) == [("dram", "", "", 1e9 / 6e-4), ("fp64", "vector", "", 9.2e12)]


# Files of `rooflines measure`


def test_the_measured_ceilings_that_ship_are_the_same_as_ever() -> None:
    """The fastest of all copies, triads and GEMMs of each file, as versions before the mark found them."""
    sources = list_sources(Home(Path("none")))
    measured = read_kind("measurement", sources)["measurement"]
    ceilings = read_kind("hardware", sources)["ceiling"].collect()
    found = add_measured_ceilings(ceilings, measured, sources).filter(pl.col("source_id").str.contains("measurement"))
    moved = pl.col("kind").is_in(["copy", "triad"])
    fastest = (
        pl.concat(pl.read_csv(path) for path in sorted((SHIPPED / "measurements").glob("*-2026-11-22.csv")))
        .filter(moved | (pl.col("kind") == "linear"), pl.col("flops").is_between(1e9, 1e18) | moved)
        .with_columns(
            name=pl.when(moved).then(pl.lit("dram")).otherwise("dtype"),
            value=pl.when(moved).then("bytes").otherwise("flops") / pl.col("latency_s"),
        )
        .group_by("hardware_id", "name")
        .agg(pl.col("value").max())
        .sort("hardware_id", "name")
    )
    assert found.sort("hardware_id", "name").select("hardware_id", "name", "value_per_s").rows() == fastest.rows()
    of_h100 = {name: value for device, name, value in fastest.rows() if device == "h100-sxm"}
    assert of_h100["fp16"] == pytest.approx(794.3e12, rel=1e-4)
    units = dict(found.filter(hardware_id="h100-sxm").select("name", pl.concat_str("pipe", "accumulator")).iter_rows())
    assert units == {
        "bf16": "tensorfp32", "dram": "", "fp16": "tensorfp32", "fp32": "vector", "fp8": "tensorfp32",
        "int8": "tensorint32", "tf32": "tensorfp32",
    }  # fmt: skip


def test_what_files_of_earlier_versions_leave_out_is_what_measure_states(tmp_path: Path) -> None:
    assert (standalone.TorchCuda.method, standalone.Numpy.method) == (TORCH_METHOD, NUMPY_METHOD)
    backend, out = standalone.Numpy(), tmp_path / "mine.csv"
    plan = [row for row in standalone.plan_ceilings(backend) if row["m"] in {"4194304", "512"}]
    standalone.measure(plan, out, backend, "a40", seconds=0.001)
    stated = read_rows(make_source(out, "measurement"))
    assert stated["is_ceiling"].all()
    pl.read_csv(out).drop("pipe", "accumulator", "is_ceiling").write_csv(out)
    earlier = read_rows(make_source(out, "measurement"))
    assert earlier.equals(stated)
    # resumed, such a file keeps its columns
    more = [{**plan[0], "m": "1024", "bytes": "8192"}]
    assert standalone.measure(more, out, backend, "a40", seconds=0.001)["measured"] == 1
    assert len(read_rows(make_source(out, "measurement"))) == len(plan) + 1


@pytest.mark.parametrize(
    ("kind", "dtype", "cuda", "expected"),
    [
        ("linear", "fp16", "13.0", ("tensor", "fp32")),
        ("attention", "bf16", "13.0", ("tensor", "fp32")),
        ("linear", "int8", "13.0", ("tensor", "int32")),
        ("linear", "fp32", "13.0", ("vector", "")),
        ("softmax", "fp16", "13.0", ("vector", "")),
        ("linear", "fp16", None, ("tensor", "fp32")),
        ("linear", "fp32", None, ("", "")),
    ],
)
def test_torch_runs_products_of_short_dtypes_on_tensor_cores(
    kind: str, dtype: str, cuda: str | None, expected: tuple[str, str], tmp_path: Path
) -> None:
    backend = object.__new__(standalone.TorchCuda)
    backend._torch = type("torch", (), {"version": type("version", (), {"cuda": cuda})})
    backend._has_tensor_cores = True
    assert backend.find_pipe({"kind": kind, "dtype": dtype}) == expected
    text = "hardware_id,op,op_group,kind,dtype,flops,bytes,latency_s,method,software\n"
    text += f'a40,x,x,{kind},{dtype},1,1,1,"{TORCH_METHOD}","torch 2, CUDA {cuda}"\n'
    source = make_source(write_file(tmp_path, "old.csv", text), "measurement")
    assert read_rows(source).select("pipe", "accumulator").row(0) == expected


def test_shipped_calibrations_name_their_pipe() -> None:
    fitted = read_calibrations([make_source(SHIPPED / "calibrations.toml", "calibration")])["fitted"]
    products = {"linear", "grouped_linear", "qk", "pv"} | {kind for kind in fitted["op_kind"] if "attention" in kind}
    # the host's time to start a kernel is of no pipe; the tables of AIConfigurator name none: the default one is meant
    given = fitted.filter(~((pl.col("pipe") == "") & pl.col("origin").str.contains("aiconfigurator-core")))
    assert len(given) > 20
    for kind, pipe in given.select("op_kind", "pipe").unique().rows():
        assert pipe == (
            "" if kind in ("dispatch", "dispatch_shared", "gap") else "tensor" if kind in products else "vector"
        ), kind

"""Nsight Compute's CSV of both layouts, with FLOP, bytes and times that were computed by hand."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.profiles.nsight import COLLECT, counters, read_nsight
from flows.ingest.readers.measurement import COLUMNS, read_measurements
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.errors import InputError

KEYS = ("ID", "Process ID", "Process Name", "Kernel Name", "Block Size", "Grid Size", "Device", "CC")
CHATTER = '==PROF== Connected to process 7 (/tmp/app)\nID, of "my" program, 1,2\n==WARNING== Note: unmodified clocks\n'
OP = "sm__sass_thread_inst_executed_op_{}_pred_on.sum"
CYCLE = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum.per_cycle_elapsed"
TENSOR = "sm__ops_path_tensor_src_{}.sum"
TIME, DRAM, L2, L1 = "gpu__time_duration.sum", "dram__bytes.sum", "lts__t_bytes.sum", "l1tex__t_bytes.sum"
UNITS = {
    TIME: "ns",
    DRAM: "byte",
    L2: "byte",
    L1: "byte",
    "dram__bytes_read.sum": "byte",
    "dram__bytes_write.sum": "byte",
}
FMA = {TIME: "2,000", DRAM: "1,024", OP.format("ffma"): "3,000"}

Launch = tuple[str, Mapping[str, str]]  # kernel and its metrics


def keys(number: int, kernel: str, grid: str = "(132, 1, 1)", cc: str = "9.0") -> list[str]:
    return [str(number), "7", "app", kernel, "(256, 1, 1)", grid, "0", cc]


def text(lines: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
    return out.getvalue()


def long(launches: Sequence[Launch], units: Mapping[str, str] = UNITS, **more: str) -> str:
    header = [*KEYS, "Section Name", "Metric Name", "Metric Unit", "Metric Value"]
    lines = [
        [*keys(number, kernel, **more), "Command line profiler metrics", name, units.get(name, ""), value]
        for number, (kernel, metrics) in enumerate(launches)
        for name, value in metrics.items()
    ]
    return text([header, *lines])


def wide(launches: Sequence[Launch], units: Mapping[str, str] = UNITS, **more: str) -> str:
    names = list(dict.fromkeys(name for _, metrics in launches for name in metrics))
    lines = [
        [*keys(number, kernel, **more), *(metrics.get(name, "") for name in names)]
        for number, (kernel, metrics) in enumerate(launches)
    ]
    return text([[*KEYS, *names], [*[""] * len(KEYS), *(units.get(name, "") for name in names)], *lines])


def read(folder: Path, content: str | bytes, name: str = "mine.csv") -> list[dict[str, Any]]:
    return list(
        read_nsight(make_source(write_file(folder, name, content), "measurement"), "h100-sxm", "gpt2").to_dicts()
    )


@pytest.mark.parametrize("layout", [long, wide])
def test_launches_with_the_same_work_are_one_row_a_level(tmp_path: Path, layout: Any) -> None:
    saxpy = "void saxpy<float, (int)4>(int, T1, const T1 *, T1 *)"
    work = {OP.format("fadd"): "1,000", OP.format("fmul"): "500", OP.format("ffma"): "2,000"}
    launches = [
        (saxpy, {TIME: "3,000", DRAM: "1,008,000", L2: "2,000,000", L1: "4,000", **work}),
        ("gemm(int)", {TIME: "10,000", DRAM: "64", L2: "128", TENSOR.format("bf16_dst_fp32"): "8,192", L1: "0"}),
        (saxpy, {TIME: "1,000", DRAM: "1,000,000", L2: "2,000,000", L1: "4,000", **work}),
        (saxpy, {TIME: "2,000.5", DRAM: "1,004,000", L2: "2,000,000", L1: "4,000", **work}),
    ]
    rows = read(tmp_path, CHATTER + layout(launches))
    assert [(row["op"], row["dtype"], row["level"], row["bytes"]) for row in rows] == [
        ("saxpy", "fp32", "dram", 1.004e6), ("saxpy", "fp32", "l2", 2e6), ("saxpy", "fp32", "l1", 4000),
        ("gemm", "bf16", "dram", 64), ("gemm", "bf16", "l2", 128),
    ]  # fmt: skip
    assert [row["flops"] for row in rows] == [5500] * 3 + [8192] * 2  # 1000 + 500 + 2 * 2000
    assert [row["repeats"] for row in rows] == [3] * 3 + [1] * 2
    assert rows[0]["latency_s"] == pytest.approx((3 + 1 + 2.0005) / 3 * 1e-6)
    assert rows[0]["latency_min_s"] == pytest.approx(1e-6)
    assert rows[0]["latency_std_s"] == pytest.approx(1.0000000417e-6)
    assert rows[3]["latency_std_s"] is None
    method = (
        "Nsight Compute, gpu__time_duration, cache and clock conditions not stated, mean of launches with equal work"
    )
    assert rows[0]["method"] == method
    said = {name: rows[0][name] for name in ("hardware_id", "model_id", "op_group", "kind", "phase", "device_name")}
    assert list(said.values()) == ["h100-sxm", "gpt2", "custom", "custom", None, None]


HMMA = TENSOR.format("fp16_dst_fp32")


@pytest.mark.parametrize(
    ("launches", "points"),
    [
        # a persistent kernel, whose grid is the same for every size: 2 * 4096 * 4096 * K with K = 512, 512 and 16384
        (
            [(34_360, 41_943_040, 2**34), (34_360, 41_943_040, 2**34), (1_099_512, 301_989_888, 2**39)],
            [(2, 499.996), (1, 499.9998)],
        ),
        ([(1000, 10_000, 5 * 10**8), (1000, 10_200, 5 * 10**8)], [(1, 500), (1, 500)]),  # bytes 2 % apart
        ([(1000, 10_000, 5 * 10**8), (3000, 10_050, 5 * 10**8)], [(2, 250)]),  # the sum of FLOP over that of times
        # a long run of launches that are each close to the next
        ([(1000, 10_000 + 90 * i, 5 * 10**8) for i in range(4)], [(2, 500), (1, 500), (1, 500)]),
    ],
)
def test_launches_with_other_work_are_other_points(
    tmp_path: Path, launches: list[tuple[int, int, int]], points: list[tuple[int, float]]
) -> None:
    metrics = [{TIME: str(ns), DRAM: str(bytes_), HMMA: str(flops)} for ns, bytes_, flops in launches]
    rows = read(tmp_path, long([("gemm", each) for each in metrics]))
    found = [(row["repeats"], row["flops"] / row["latency_s"] / 1e12) for row in rows]
    assert found == [(repeats, pytest.approx(rate, rel=1e-6)) for repeats, rate in points]


def test_launches_of_another_grid_or_device_are_another_row(tmp_path: Path) -> None:
    first = long([("k", FMA)])
    for other in (
        long([("k", FMA)], grid="(264, 1, 1)"),
        long([("k", FMA | {TIME: "4,000"})]).replace('"0","9.0"', '"1","9.0"'),
    ):
        rows = read(tmp_path, first + other.replace('"0","7"', '"1","7"').split("\n", 1)[1])
        assert [(row["op"], row["repeats"]) for row in rows] == [("k", 1), ("k", 1)]


def test_a_measurement_file_takes_the_rows(tmp_path: Path) -> None:
    launches = [("copy", {TIME: "5,000", DRAM: "2,048", OP.format("ffma"): "0"}), ("fma", FMA)]
    device = {"device__attribute_display_name": "NVIDIA H100"}
    path = write_file(tmp_path, "mine.csv", wide([(kernel, {**metrics, **device}) for kernel, metrics in launches]))
    rows = read_nsight(make_source(path, "measurement"), "h100-sxm", None)
    assert {name: COLUMNS[name] for name in rows.columns} == dict(rows.schema)
    rows.write_parquet(tmp_path / "rows.parquet")
    again = read_measurements([make_source(tmp_path / "rows.parquet", "measurement")])["measurement"].collect()
    assert again.select("op", "flops", "dtype", "level", "device_name").rows() == [
        ("copy", 0.0, "fp32", "dram", "NVIDIA H100"),
        ("fma", 6000.0, "fp32", "dram", "NVIDIA H100"),
    ]


@pytest.mark.parametrize(
    ("metric", "dtype", "flops"),
    [
        *((OP.format(op), "fp64", 10 * flop) for op, flop in {"dadd": 1, "dmul": 1, "dfma": 2}.items()),
        *((OP.format(op), "fp32", 10 * flop) for op, flop in {"fadd": 1, "fmul": 1, "ffma": 2}.items()),
        *((OP.format(op), "fp32", 10 * flop) for op, flop in {"fadd2": 2, "fmul2": 2, "ffma2": 4}.items()),
        *((OP.format(op), "fp16", 10 * flop) for op, flop in {"hadd": 2, "hmul": 2, "hfma": 4}.items()),
        *((TENSOR.format(name), name, 10) for name in ("fp64", "fp16", "fp8", "int8", "int4")),
        *((TENSOR.format(f"{name}_dst_fp32"), name, 10) for name in ("fp16", "bf16", "tf32", "fp8", "fp4")),
        (TENSOR.format("fp16_bf16_tf32_dst_fp32"), "fp16", 10),
        (TENSOR.format("fp4_fp6_dst_fp16"), "fp6", 10),
        (TENSOR.format("fp4_fp6_fp8_dst_fp32"), "fp8", 10),
        (TENSOR.format("fp8_sparsity_on"), "fp8", 10),
    ],
)
def test_flop_of_every_counter(tmp_path: Path, metric: str, dtype: str, flops: float) -> None:
    row = read(tmp_path, long([("k", {TIME: "1", DRAM: "1", metric: "10"})]))[0]
    assert (row["dtype"], row["flops"]) == (dtype, flops)


@pytest.mark.parametrize(
    ("metrics", "unit", "flops"),
    [
        ({OP.format("dfma"): "10"}, ("fp64", "vector", ""), 20),
        ({TENSOR.format("fp64"): "10"}, ("fp64", "tensor", ""), 10),
        ({TENSOR.format("fp16_dst_fp16"): "10"}, ("fp16", "tensor", "fp16"), 10),
        ({TENSOR.format("fp16_dst_fp32_sparsity_off"): "10"}, ("fp16", "tensor", "fp32"), 10),
        ({TENSOR.format("fp16_dst_fp16"): "10", TENSOR.format("fp16_dst_fp32"): "9"}, ("fp16", "tensor", "fp16"), 19),
        ({TENSOR.format("fp16_dst_fp32"): "10", OP.format("hfma"): "9"}, ("fp16", "vector", ""), 36),
        ({TENSOR.format("fp16_dst_fp32"): "37", OP.format("hfma"): "9"}, ("fp16", "tensor", "fp32"), 37),
        ({OP.format("ffma"): "6", TENSOR.format("fp16"): "7", OP.format("hfma"): "2"}, ("fp32", "vector", ""), 20),
        ({TENSOR.format("bf16_dst_fp32").replace("src", "op_hmma_src"): "10"}, ("bf16", "tensor", "fp32"), 10),
        (
            {f"sm__ops_path_tensor_{op}src_bf16_dst_fp32.sum": "10" for op in ("", "op_hmma_")},
            ("bf16", "tensor", "fp32"),
            10,
        ),
        ({OP.format("ffma"): "1", OP.format("integer"): "900"}, ("fp32", "vector", ""), 2),
        ({OP.format("ffma"): "0", OP.format("integer"): "900"}, ("int32", "vector", ""), 900),
        ({OP.format("ffma"): "0", OP.format("integer"): "0"}, ("fp32", "", ""), 0),
    ],
)  # fmt: skip
def test_the_units_that_do_most_of_the_work(
    tmp_path: Path, metrics: dict[str, str], unit: tuple[str, str, str], flops: float
) -> None:
    row = read(tmp_path, long([("k", {TIME: "1", DRAM: "1", **metrics})]))[0]
    assert (row["dtype"], row["pipe"], row["accumulator"], row["flops"]) == (*unit, flops)


def test_operations_are_counted_once(tmp_path: Path) -> None:
    """A counter of all operations, its halves with and without sparsity, and the same counter of each quarter."""
    metrics = {TENSOR.format("int8"): "100", TENSOR.format("int8_sparsity_on"): "60"}
    metrics |= {TENSOR.format("int8_sparsity_off"): "40", OP.format("ffma"): "8", CYCLE.format("ffma"): "2"}
    metrics |= {"smsp__sass_thread_inst_executed_op_ffma_pred_on.sum": "8", "smsp__cycles_elapsed.avg": "4"}
    metrics |= {"sm__inst_executed_pipe_tensor.sum": "3", TIME: "1", DRAM: "1"}
    row = read(tmp_path, wide([("k", metrics)]))[0]
    assert (row["dtype"], row["flops"]) == ("int8", 100)  # those of CUDA cores have another ceiling


def test_the_metrics_of_roofline_sections(tmp_path: Path) -> None:
    """Instructions by cycle, bytes by second, clocks in GHz."""
    metrics = {
        TIME: "2.5", "dram__bytes.sum.per_second": "0.8", "smsp__cycles_elapsed.avg.per_second": "1.6",
        CYCLE.format("dadd"): "10", CYCLE.format("dmul"): "20.5", CYCLE.format("dfma"): "1,000",
    }  # fmt: skip
    units = {TIME: "us", "dram__bytes.sum.per_second": "Tbyte/s", "smsp__cycles_elapsed.avg.per_second": "Ghz"}
    row = read(tmp_path, wide([("k", metrics)], {**units, CYCLE.format("dfma"): "inst/cycle"}))[0]
    # 2.5 us at 1.6 GHz are 4000 cycles
    assert row["flops"] == pytest.approx(4000 * (10 + 20.5 + 2 * 1000))
    assert (row["dtype"], row["level"], row["bytes"]) == ("fp64", "dram", pytest.approx(2e6))
    assert row["method"].endswith(", tensor cores not counted")


def test_time_of_cycles_and_bytes_of_reads_and_writes(tmp_path: Path) -> None:
    metrics = {
        "sm__cycles_elapsed.avg": "3,000", "sm__cycles_elapsed.avg.per_second": "1.5", CYCLE.format("fadd"): "2",
        "dram__bytes_read.sum": "1.5", "dram__bytes_write.sum": "500",
    }  # fmt: skip
    units = {"sm__cycles_elapsed.avg": "cycle", "sm__cycles_elapsed.avg.per_second": "cycle/nsecond"}
    units |= {"dram__bytes_read.sum": "KB", "dram__bytes_write.sum": "B"}
    row = read(tmp_path, long([("k", metrics)], units))[0]
    assert (row["latency_s"], row["bytes"], row["flops"]) == (pytest.approx(2e-6), 2000, 6000)


@pytest.mark.parametrize(
    ("units", "seconds"),
    [
        (("ns", "nsecond"), 5e-9),
        (("us", "usecond", "\N{MICRO SIGN}s"), 5e-6),
        (("ms", "msecond"), 5e-3),
        (("s", "second"), 5),
    ],
)
def test_units_of_time(tmp_path: Path, units: tuple[str, str], seconds: float) -> None:
    for unit in units:
        row = read(tmp_path, long([("k", FMA | {TIME: "5"})], UNITS | {TIME: unit}))[0]
        assert row["latency_s"] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("unit", "bytes_"), [("byte", 5), ("Kbyte", 5e3), ("Mbyte", 5e6), ("Gbyte", 5e9), ("KB", 5e3), ("GB", 5e9)]
)
def test_units_of_bytes(tmp_path: Path, unit: str, bytes_: float) -> None:
    assert read(tmp_path, long([("k", FMA | {DRAM: "5.0"})], UNITS | {DRAM: unit}))[0]["bytes"] == pytest.approx(bytes_)


def test_units_by_launch(tmp_path: Path) -> None:
    """As `ncu --import` scales each number by itself."""
    first, second = (
        long([("k", FMA)]),
        long([("k", FMA)], UNITS | {DRAM: "Kbyte", TIME: "us"}).replace('"0","7"', '"1","7"'),
    )
    rows = read(tmp_path, first + second.split("\n", 1)[1])
    assert [row["bytes"] for row in rows] == pytest.approx([1024, 1024e3])
    assert [row["latency_s"] for row in rows] == pytest.approx([2e-6, 2e-3])


@pytest.mark.parametrize(
    ("kernel", "op"),
    [
        ("copy(const float4 *, float4 *, int)", "copy"),
        ("void f32<float, 3>(float *, T1)", "f32"),
        ("void <unnamed>::softmax<c10::BFloat16, at::Array<char *, (int)3>>(T2 *, int)", "softmax"),
        ("void at::native::(anonymous namespace)::Cat<at::Opaque<(unsigned int)2>, 4>(T1 *)", "at::native::Cat"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm<(a::b)1>::Params>::run<2>(T1::Params)", "cutlass::Kernel2::run"),
        ("nvjet_sm90_tst_256x128", "nvjet_sm90_tst_256x128"),
        ("k" * 300, "k" * 100),
        ("bell\x07\x1b[31m", "bell[31m"),
        ("<>", "kernel"),
    ],
)  # fmt: skip
def test_names_of_kernels(tmp_path: Path, kernel: str, op: str) -> None:
    assert read(tmp_path, wide([(kernel, FMA)]))[0]["op"] == op


@pytest.mark.parametrize("layout", [long, wide])
def test_what_surrounds_a_table(tmp_path: Path, layout: Any) -> None:
    table = layout([("k", FMA), ("m", FMA)])
    for number, content in enumerate(
        [
            b"\xef\xbb\xbf" + table.encode(),
            table.encode("utf-16"),
            table.replace("\n", "\r\n").encode(),
            b'\xff\xfe latin \xe9, "quoted\n' * 3 + table.encode() + b"==PROF== Disconnected, 1, 2, 3\nbye\n",
            (table + table).encode(),  # the second header has no number
            (table + table.replace('"0","7"', '"2","7"')).encode(),
            table.replace('"2,000"', '"2000.000000"').encode(),
        ]
    ):
        rows = read(tmp_path, content, f"{number}.csv")
        assert [(row["op"], row["flops"], row["bytes"]) for row in rows] == [("k", 6000, 1024), ("m", 6000, 1024)]
        assert [row["latency_s"] for row in rows] == pytest.approx([2e-6, 2e-6])


def test_what_a_device_lacks_is_no_number(tmp_path: Path) -> None:
    lacking = {L2: "n/a", TENSOR.format("fp4_dst_fp32"): "(!) n/a", TENSOR.format("fp8"): ""}
    rows = read(tmp_path, long([("k", FMA | lacking), ("m", FMA | {TIME: "n/a"})]))
    assert [(row["op"], row["level"], row["flops"]) for row in rows] == [("k", "dram", 6000)]
    assert rows[0]["method"].endswith(", tensor cores not counted")


@pytest.mark.parametrize("form", ["gpu__time_duration.avg", "gpu__time_duration.max", "gpu__time_duration", "Duration"])
def test_names_of_the_time(tmp_path: Path, form: str) -> None:
    assert read(tmp_path, long([("k", {DRAM: "1", OP.format("ffma"): "1", form: "10"})], {DRAM: "byte", form: "us"}))[
        0
    ]["latency_s"] == pytest.approx(1e-5)


PATH = "sm__ops_path_tensor_{}.sum"
SUBPIPE = "sm__inst_executed_pipe_tensor_subpipe_hmma_op_hmma.sum"


@pytest.mark.parametrize(
    ("counts", "unit", "flops"),
    [
        ({"op_hmma_src_bf16_dst_fp32_sparsity_off": 10}, ("bf16", "fp32"), 10),
        ({"op_hgmma_src_fp16_sparsity_off": 10, "op_hmma_src_fp16_dst_fp32": 4}, ("fp16", ""), 14),
        ({"src_fp16": 14, "op_hgmma_src_fp16_sparsity_off": 10, "op_hmma_src_fp16_dst_fp32": 4}, ("fp16", ""), 14),
        ({"src_fp16": 10, "src_fp16_dst_fp16": 4, "src_fp16_dst_fp32": 6}, ("fp16", "fp32"), 10),
        ({"op_utcqmma_src_fp4_fp6_fp8_dst_fp32": 10, "src_fp4_fp6_fp8_dst_fp32": 10}, ("fp8", "fp32"), 10),
        ({"op_utcqmma_src_fp8_dst_fp32": 10, "src_fp4_fp6_fp8_dst_fp32": 10}, ("fp8", "fp32"), 10),
        ({"op_utcomma_src_fp4_dst_fp32": 10, "op_utcqmma_src_fp4_fp6_fp8_dst_fp32": 0}, ("fp4", "fp32"), 10),
        ({"src_fp4_fp6_dst_fp32": 10, "src_fp4_fp6_fp8_dst_fp32": 10}, ("fp6", "fp32"), 10),
        ({"op_utchmma_src_bf16_dst_fp32_sparsity_on": 3, "op_utchmma_src_bf16_dst_fp32": 10}, ("bf16", "fp32"), 10),
        ({"op_utcimma_src_int8_dst_int32": 10, "op_imma_src_int8": 5}, ("int8", "int32"), 15),
        ({"op_igmma_src_int8_sparsity_on": 6, "op_igmma_src_int8_sparsity_off": 4, "src_int8": 10}, ("int8", ""), 10),
    ],
)
def test_counters_of_each_family_are_counted_once(
    tmp_path: Path, counts: dict[str, int], unit: tuple[str, str], flops: float
) -> None:
    metrics = {PATH.format(name): str(count) for name, count in counts.items()}
    row = read(tmp_path, long([("k", {TIME: "1", DRAM: "1", SUBPIPE: "7", **metrics})]))[0]
    assert (row["dtype"], row["pipe"], row["accumulator"], row["flops"]) == (unit[0], "tensor", unit[1], flops)


@pytest.mark.parametrize(
    "busy",
    [
        {"sm__inst_executed_pipe_tensor.sum": "20"},
        {SUBPIPE: "20"},
        {"sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active": "41.5"},
        {SUBPIPE: "20", PATH.format("op_hmma_src_bf16_dst_fp32"): "0"},  # as wgmma on Hopper
        {PATH.format("op_utcxmma_src_nvfp2_dst_fp32"): "20", PATH.format("src_fp8"): "5"},
        {PATH.format("op_bmma_src_int1"): "20"},
    ],
)
def test_launches_whose_tensor_work_is_not_known_are_left_out(
    tmp_path: Path, busy: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    both = wide([("gemm", FMA | busy), ("copy", FMA | dict.fromkeys(busy, "0"))])
    row, *others = read(tmp_path, both)
    assert (row["op"], others) == ("copy", [])
    assert row["method"].count("1 of 2 launches left out") == 1
    assert '1 of 2 launches left out, the first "gemm" (ID 0)' in caplog.text
    assert COLLECT in caplog.text


def test_the_load_store_unit_is_not_all_of_l1(tmp_path: Path) -> None:
    """A kernel of wgmma, whose loads bypass the counters of L1, and one of mma.sync, whose loads do not."""
    rate = "derived__l1tex__lsu_writeback_bytes_mem_lgds.sum.per_second"
    l2 = "derived__lts__lts2xbar_bytes.sum.per_second"
    work = {TIME: "1,000", DRAM: "10", HMMA: "99", l2: "2.5"}
    units = UNITS | {l2: "Tbyte", rate: "Tbyte/s"}
    rows = read(tmp_path, wide([("wgmma", work | {rate: "0.01"}), ("mma", work | {rate: "3.5"})], units))
    levels = [(row["op"], row["level"], row["bytes"]) for row in rows if row["level"] != "dram"]
    assert levels == [
        ("wgmma", "l2", pytest.approx(2.5e6)), ("mma", "l2", pytest.approx(2.5e6)), ("mma", "l1", pytest.approx(3.5e6)),
    ]  # fmt: skip
    assert rows[0]["method"].endswith("L1 left out where loads bypass its counters (TMA, asynchronous copies)")


ROOFLINE_SET = {
    TIME: "1,000", DRAM: "64", "sm__cycles_elapsed.avg.per_second": "1.5", "lts__cycles_elapsed.avg.per_second": "1.7",
    "dram__cycles_elapsed.avg.per_second": "2.6", CYCLE.format("ffma"): "10",
}  # fmt: skip
# of an H100, as Nsight Compute 2025.3.1 prints them
PEAKS = {
    "dram__bytes.sum": "1.280000", "derived__lts__lts2xbar_bytes.sum": "5.120000",
    "derived__l1tex__lsu_writeback_bytes_mem_lgds.sum": "16,896",
    "sm__sass_thread_inst_executed_op_ffma_pred_on.sum": "16896.000000",
    "sm__sass_thread_inst_executed_op_dfma_pred_on.sum": "8448.000000",
    "sm__ops_path_tensor_op_hgmma_src_bf16_dst_fp32_sparsity_off.sum": "540,672",
    "sm__ops_path_tensor_op_hgmma_src_bf16_dst_fp32_sparsity_on.sum": "1,081,344",
    "sm__ops_path_tensor_op_hmma_src_bf16_dst_fp32_sparsity_off.sum": "360,448",
    "sm__ops_path_tensor_src_bf16_dst_fp32.sum": "1,081,344", "sm__ops_path_tensor_src_fp64.sum": "33,792",
    "sm__ops_path_tensor_src_int8.sum": "2,162,688", "sm__ops_path_tensor_src_int1.sum": "8,650,752",
}  # fmt: skip
PEAK_UNITS = UNITS | {
    **dict.fromkeys((name for name in ROOFLINE_SET if name.endswith("per_second")), "Ghz"),
    **{f"{name}.peak_sustained": "Kbyte" for name in PEAKS if name.startswith("derived__lts")},
    "dram__bytes.sum.peak_sustained": "Kbyte/cycle",
    "sm__sass_thread_inst_executed_op_ffma_pred_on.sum.peak_sustained": "inst/cycle",
}


def read_ceilings(folder: Path, cc: str = "9.0") -> dict[tuple[str, str, str], float]:
    metrics = ROOFLINE_SET | {f"{name}.peak_sustained": value for name, value in PEAKS.items()}
    slower = metrics | {"sm__cycles_elapsed.avg.per_second": "1.2"}
    rows = read(folder, wide([("k", slower), ("m", metrics)], PEAK_UNITS, cc=cc))
    return {
        (row["dtype"] if row["flops"] else row["level"], row["pipe"], row["accumulator"]): max(
            row["flops"], row["bytes"]
        )
        for row in rows
        if row["ceiling_basis"] == "counter"
    }


def test_peaks_of_counters_are_dense_ceilings_at_the_highest_clock(tmp_path: Path) -> None:
    found = read_ceilings(tmp_path)
    assert found == {
        ("dram", "", ""): pytest.approx(1280 * 2.6e9),
        ("l2", "", ""): pytest.approx(5120 * 1.7e9),
        ("fp32", "vector", ""): pytest.approx(2 * 16896 * 1.5e9),
        ("fp64", "vector", ""): pytest.approx(2 * 8448 * 1.5e9),
        ("fp64", "tensor", ""): pytest.approx(33792 * 1.5e9),
        ("bf16", "tensor", "fp32"): pytest.approx(540672 * 1.5e9),
    }
    # at the boost clocks these are the figures of NVIDIA's H100 datasheet, dense, up to rounding
    assert [round(found[key] / 1.5e9 * clock / 1e12, 1) for key, clock in (
        (("bf16", "tensor", "fp32"), 1.83e9), (("fp32", "vector", ""), 1.98e9), (("fp64", "tensor", ""), 1.98e9)
    )] == [989.4, 66.9, 66.9]  # fmt: skip


def test_a_peak_names_its_counter_its_clock_and_its_device(tmp_path: Path) -> None:
    metrics = ROOFLINE_SET | {"dram__bytes.sum.peak_sustained": "1.28", "device__attribute_display_name": "NVIDIA H100"}
    *_, row = read(tmp_path, wide([("k", metrics)], PEAK_UNITS))
    where = "dram__bytes.sum.peak_sustained x 2600 MHz of dram"
    assert row["method"] == f"counters of Nsight Compute on NVIDIA H100: {where}"


def test_before_ampere_every_peak_of_tensor_cores_is_dense(tmp_path: Path) -> None:
    assert read_ceilings(tmp_path, "7.5")["int8", "tensor", ""] == 2162688 * 1.5e9


def test_a_peak_in_an_unknown_unit_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = ROOFLINE_SET | {"dram__bytes.sum.peak_sustained": "1.28"}
    units = PEAK_UNITS | {"dram__bytes.sum.peak_sustained": "Kbyte/block"}
    assert [row["ceiling_basis"] for row in read(tmp_path, wide([("k", metrics)], units))] == [None]
    assert 'dram__bytes.sum.peak_sustained: unit "Kbyte/block"' in caplog.text
    assert "its ceiling is left out" in caplog.text


def test_peaks_alone_count_no_work(tmp_path: Path) -> None:
    peak = {"sm__ops_path_tensor_src_fp16_sparsity_off.sum.peak_sustained": "540,672"}
    assert_refused(lambda: read(tmp_path, wide([("k", {TIME: "1", DRAM: "1", **peak})])), names=["no metric for FLOP"])


# the first of a kind, by `ncu --query-metrics --chips` of Nsight Compute 2025.3.1
COUNTERS_OF_CHIPS = {
    "ga100": ("8.0", "bf16_dst_fp32 fp16_dst_fp16 fp16_dst_fp32 fp64 int4 int8 tf32_dst_fp32"),
    "ad102": ("8.9", "bf16_dst_fp32 fp16_dst_fp16 fp16_dst_fp32 fp64 fp8 int4 int8 tf32_dst_fp32"),
    "gh100": ("9.0", "bf16_dst_fp32 fp16 fp64 fp8 int8 tf32_dst_fp32"),
    "gb100": (
        "10.0",
        "bf16_dst_fp32 fp16_dst_fp16 fp16_dst_fp32 fp4_dst_fp32 fp4_fp6_fp8_dst_fp16 fp4_fp6_fp8_dst_fp32 fp64 int8"
        " tf32_dst_fp32",
    ),
    "gb202": (
        "12.0",
        "bf16_dst_fp32 fp16_dst_fp16 fp16_dst_fp32 fp4_dst_fp32 fp4_fp6_dst_fp16 fp4_fp6_dst_fp32 fp64 fp8_dst_fp16"
        " fp8_dst_fp32 int8 tf32_dst_fp32",
    ),
}


@pytest.mark.parametrize("chip", COUNTERS_OF_CHIPS)
def test_the_line_to_collect_metrics_counts_all_that_tensor_cores_of_a_chip_do(chip: str) -> None:
    capability, names = COUNTERS_OF_CHIPS[chip]
    wanted = [f"sm__ops_path_tensor_src_{name}.sum" for name in names.split()]
    regexes = re.findall(r"regex:([^,']+)", COLLECT)
    collected = [name for name in wanted if any(re.search(regex, name) for regex in regexes)]
    assert collected == wanted
    assert not any(re.search(regex, wanted[0].replace(".sum", "_realtime.sum")) for regex in regexes)
    found = [each for name in collected if (each := counters.parse_tensor_counter(name.removesuffix(".sum")))]
    since = max((each for each in counters.GENERATIONS if float(each) <= float(capability)), key=float)
    assert counters.covers_everything(found, since)


def test_instructions_of_tensor_cores(tmp_path: Path) -> None:
    metrics = FMA | {"sm__inst_executed_pipe_tensor.sum": "20"}
    row = read(tmp_path, long([("k", metrics)], cc="7.0"))[0]
    assert (row["dtype"], row["flops"]) == ("fp16", 20 * 512)
    names = ["1 of 1 launch left out", '"k" (ID 0)', "tensor cores were busy", COLLECT]
    assert_refused(lambda: read(tmp_path, long([("k", metrics)], cc="8.0")), names=names)
    counted = {TENSOR.format(name): "0" for name in ("fp16_dst_fp32", "bf16_dst_fp32", "tf32_dst_fp32", "int8")}
    assert read(tmp_path, long([("k", metrics | counted)], cc="8.0"))[0]["flops"] == 6000
    assert_refused(
        lambda: read(tmp_path, long([("k", metrics | counted)], cc="8.9")), names=names
    )  # fp8 is not counted
    of_threads = {
        "sm__inst_executed_pipe_tensor_op_hmma_type_hfma2.sum": "20"
    }  # FP16 of threads, e.g. to set registers
    assert read(tmp_path, long([("k", metrics | of_threads)], cc="8.0"))[0]["flops"] == 6000


@pytest.mark.parametrize("layout", [long, wide])
@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ({DRAM: "1", OP.format("ffma"): "1"}, ["time (gpu__time_duration.sum);"]),
        ({TIME: "1", OP.format("ffma"): "1"}, ["bytes (dram__bytes.sum, lts__t_bytes.sum or l1tex__t_bytes.sum);"]),
        ({TIME: "1", DRAM: "1"}, ["FLOP (sm__sass_thread_inst_executed_op_ffma_pred_on.sum"]),
        ({TIME: "1", DRAM: "1", CYCLE.format("ffma") + "x": "1"}, ["FLOP"]),
        ({"sm__throughput.avg": "1"}, ["time", "for bytes", "for FLOP"]),
        ({"dram__bytes_read.sum": "1", TIME: "1", OP.format("ffma"): "1"}, ["bytes"]),
        (FMA | {TIME: "n/a"}, ["time"]),
        (FMA | {DRAM: "0"}, ["no kernel with a time and bytes"]),
        (FMA | {TIME: "0"}, ["no kernel with a time and bytes"]),
    ],
)
def test_missing_metrics(tmp_path: Path, layout: Any, metrics: dict[str, str], names: list[str]) -> None:
    assert_refused(lambda: read(tmp_path, layout([("k", metrics)])), names=["mine.csv", *names, COLLECT])


@pytest.mark.parametrize("layout", [long, wide])
@pytest.mark.parametrize(
    ("metrics", "units", "names"),
    [
        ({DRAM: "12x"}, {}, ["dram__bytes.sum of ID 0", '"12x"', "expected a number"]),
        ({DRAM: "-5"}, {}, ['"-5"']),
        ({DRAM: "331.648"}, {}, ["dram__bytes.sum of ID 0", '"331.648" byte', "expected a whole number"]),
        ({OP.format("ffma"): "194.304"}, {}, ['"194.304"', "expected a whole number"]),
        ({DRAM: "inf"}, {}, ['"inf"']),
        ({TIME: "1,5"}, {}, ['"1,5"']),  # a decimal comma
        ({TIME: "9" * 400}, {}, ["gpu__time_duration.sum"]),
        ({}, {TIME: "hours"}, ["gpu__time_duration.sum", '"hours"', "expected a unit, e.g. ns"]),
        ({}, {TIME: "byte"}, ["gpu__time_duration.sum", '"byte"']),
        ({}, {DRAM: ""}, ["dram__bytes.sum", "Mbyte"]),
        ({}, {DRAM: "byte/s"}, ["dram__bytes.sum", '"byte/s"']),
    ],
)
def test_broken_values(
    tmp_path: Path, layout: Any, metrics: dict[str, str], units: dict[str, str], names: list[str]
) -> None:
    assert_refused(lambda: read(tmp_path, layout([("k", FMA | metrics)], UNITS | units)), names=["mine.csv", *names])


@pytest.mark.parametrize(
    "content",
    [
        "", "\n\n", "a,b\n1,2\n", '{"ID": 1, "Kernel Name": "k"}', b"PAR1\x00\xff" * 99, CHATTER,
        "==WARNING== No kernels were profiled.\n",
    ],
)  # fmt: skip
def test_other_files(tmp_path: Path, content: str | bytes) -> None:
    assert_refused(lambda: read(tmp_path, content), names=["mine.csv", '"ID"', '"Kernel Name"', COLLECT])


@pytest.mark.parametrize(
    "content", ['"ID","Kernel Name"\n', '"ID","Kernel Name"\n"0","k"\n', long([]), wide([("k", {})])]
)  # fmt: skip
def test_tables_without_metrics(tmp_path: Path, content: str) -> None:
    assert_refused(lambda: read(tmp_path, content), names=["mine.csv", "no metric for time", COLLECT])


SUMMARY = '"Process ID","Kernel Name","Metric Name","Metric Unit","Minimum","Maximum","Average"\n'


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("sum.csv", SUMMARY, ["a summary", "run: ncu --import REPORT.ncu-rep --csv --page raw > FILE.csv"]),
        (
            "details.csv",
            long(
                [("k", {"DRAM Frequency": "2.61", "Duration": "12.4", "Memory Throughput": "2.10"})], {"Duration": "us"}
            ),
            ["a details page", "ncu --import REPORT.ncu-rep --csv --page raw", COLLECT],
        ),
        ("my run.ncu-rep", b"NVR\0\1", ["a report", "ncu --import 'my run.ncu-rep' --csv --page raw > 'my run.csv'"]),
    ],
)
def test_files_that_another_command_makes_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | bytes, names: list[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert_refused(lambda: read(tmp_path, content, name), names=[name, *names])


def test_a_report_is_read_where_ncu_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_file(tmp_path, "table.csv", wide([("k", FMA)]))
    ncu = write_file(tmp_path, "ncu", f'#!/bin/sh\n[ "$*" = "--import $2 --csv --page raw" ] && /bin/cat "{table}"\n')
    ncu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [row["op"] for row in read(tmp_path, b"NVR\0", "mine.ncu-rep")] == ["k"]
    ncu.write_text("#!/bin/sh\necho too new >&2; exit 3\n")
    assert_refused(lambda: read(tmp_path, b"NVR\0", "mine.ncu-rep"), names=["mine.ncu-rep", "too new"])


def test_tables_with_other_columns_are_not_one_file(tmp_path: Path) -> None:
    both = wide([("k", FMA)]) + wide([("k", {TIME: "1", L2: "1"})])
    assert_refused(lambda: read(tmp_path, both), names=["mine.csv: line 4", "a table with other columns"])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    gone = make_source(write_file(tmp_path, "mine.csv", ""), "measurement")
    gone.path.unlink()
    assert_refused(lambda: read_nsight(gone, "x", None), names=["mine.csv", "No such file"])
    lacking = long([("k", FMA)]).replace("Metric Value", "Value")
    assert_refused(lambda: read(tmp_path, lacking), names=["mine.csv", 'no column "Metric Value"'])


GOOD = [layout([("void k<1>(int)", FMA), ("copy", {**FMA, L2: "5"})]).encode() for layout in (long, wide)]
PIECES = st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\x00", b"\xff", b"n/a", b"-1", b"1e400", b"Gbyte", b"ID"])


@st.composite
def broken_exports(draw: st.DrawFn) -> bytes:
    """Good files with stretches replaced, or with columns dropped."""
    content = draw(st.sampled_from(GOOD))
    if draw(st.booleans()):
        lines = list(csv.reader(io.StringIO(content.decode())))
        kept = draw(st.sets(st.integers(0, len(lines[0]) - 1)))
        return text([[value for at, value in enumerate(line) if at in kept] for line in lines]).encode()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(PIECES | st.binary(max_size=6)) + content[at + draw(st.integers(0, 12)) :]
    return content


@settings(deadline=None, max_examples=150)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.binary(max_size=200).map(lambda rest: b'"ID","Kernel Name"' + rest)
    | broken_exports()
)
def test_no_file_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write_file(tmp_path_factory.getbasetemp(), "nsight.csv", content)
    said = ""
    try:
        rows = read_nsight(make_source(path, "measurement"), "x", None)
    except InputError as error:
        said, rows = (
            str(error),
            pl.DataFrame(schema={"flops": pl.Float64, "bytes": pl.Float64, "latency_s": pl.Float64}),
        )
    assert len(said.splitlines()) == (1 if rows.is_empty() else 0)
    assert rows.select(pl.col("flops", "bytes", "latency_s").is_finite().all()).row(0) == (True, True, True)
    assert rows.filter(pl.col("bytes") <= 0).is_empty()

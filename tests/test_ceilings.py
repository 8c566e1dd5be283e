"""Every ceiling of a device: its pipe, accumulator, own name and level, and the one that a kernel is compared with."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.device_table import read_device_table
from flows.ingest.readers.hardware import read_hardware
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.migrations import create_tables
from warehouse.rows import fetch_rows, fetch_value
from warehouse.views import create_views

HEAD = """\
hardware_id = "mine"
name = "Mine"
short_name = "Mine"
vendor = "{vendor}"
architecture = "{architecture}"
memory_gb = {memory_gb}
origin = "me"
"""
COMPUTE = '[[compute]]\ndtype = "{dtype}"\ntflops = {tflops}\nbasis = "{basis}"\norigin = "{origin}"\n{more}\n'
BANDWIDTH = '[[bandwidth]]\nlevel = "{level}"\ngb_per_s = {gb_per_s}\nbasis = "datasheet"\norigin = "me"\n{more}\n'


def describe(
    ceilings: list[Mapping[str, Any]], *, vendor: str = "me", architecture: str = "First", memory_gb: float = 48
) -> str:
    parts = [
        (COMPUTE if "dtype" in each else BANDWIDTH).format(**{"basis": "datasheet", "origin": "me", "more": "", **each})
        for each in ceilings
    ]
    return HEAD.format(vendor=vendor, architecture=architecture, memory_gb=memory_gb) + "".join(parts)


DRAM = {"level": "dram", "gb_per_s": 500}
FP16 = {"dtype": "fp16", "tflops": 100}


def read_own(folder: Path, text: str, *shipped: str) -> dict[str, pl.DataFrame]:
    """Read a user's device beside shipped ones."""
    own = make_source(write_file(folder, "mine.toml", text), "hardware")
    others = [make_source(SHIPPED / "hardware" / f"{id_}.toml", "hardware") for id_ in shipped]
    return read_hardware([own, *(replace(each, source_id=f"shipped/hardware/{each.entry_id}") for each in others)])


def test_ceilings_of_one_dtype_differ_in_pipe_accumulator_or_name(tmp_path: Path) -> None:
    kinds = ['pipe = "tensor"\naccumulator = "fp16"', 'pipe = "tensor"', 'pipe = "vector"', 'ceiling_name = "no FMA"']
    frames = read_own(tmp_path, describe([DRAM, *({**FP16, "more": kind} for kind in kinds)]))
    rows = frames["ceiling"].filter(kind="compute").select("pipe", "accumulator", "ceiling_name", "preference")
    assert rows.rows() == [
        ("tensor", "fp16", "", 1),
        ("tensor", "", "", 2),
        ("vector", "", "", 3),
        ("", "", "no FMA", 4),
    ]
    text = describe([DRAM, FP16, {**FP16, "tflops": 50}])
    names = ["compute: fp16 with basis datasheet", "occurs 2 times", "pipe, accumulator or ceiling_name"]
    assert_refused(lambda: read_own(tmp_path, text), names=names)


@pytest.mark.parametrize("level", ["l1", "lds", "l2", "l3", "mcdram", "slc"])
def test_a_bandwidth_may_be_of_any_level(level: str, tmp_path: Path) -> None:
    """ERT, likwid and rocprof measure each level of a hierarchy."""
    text = describe([FP16, DRAM, {"level": level, "gb_per_s": 1200}])
    assert level in read_own(tmp_path, text)["ceiling"]["name"]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"level": "l2", "gb_per_s": 900, "more": "reduces_in_switch = true"}, ["bandwidth l2", "interconnect"]),
        (
            {"level": "l2", "gb_per_s": 900, "more": "switch_devices = 8"},
            ["bandwidth l2", "switch_devices", "interconnect"],
        ),
        ({"level": "L 2", "gb_per_s": 900}, ["level", '"L 2"', "at most 64 lowercase letters"]),
        ({**FP16, "more": 'pipe = "cuda cores"'}, ["pipe", '"cuda cores"', "tensor", "vector", "scalar"]),
        ({**FP16, "more": 'accumulator = "half"'}, ["accumulator", '"half"', "fp32"]),
    ],
)
def test_what_a_ceiling_says_about_itself_is_checked(more: Mapping[str, Any], names: list[str], tmp_path: Path) -> None:
    assert_refused(lambda: read_own(tmp_path, describe([FP16, DRAM, more])), names=["mine.toml", *names])


def test_a_released_day_names_its_source(tmp_path: Path) -> None:
    day = "released = 2022-03-22\n"
    text = describe([FP16, DRAM]).replace('origin = "me"\n', f'origin = "me"\n{day}', 1)
    assert_refused(lambda: read_own(tmp_path, text), names=["released", "released_origin", "together"])
    text = text.replace(day, f'{day}released_origin = "press release"\n')
    assert read_own(tmp_path, text)["hardware"]["released"].dt.to_string().to_list() == ["2022-03-22"]


# --- figures with sparsity, or of both directions of a link -----------------------------------------------------------

H100: dict[str, Any] = {"vendor": "NVIDIA", "architecture": "Hopper", "memory_gb": 80.0}
DRAM_OF_H100 = {"level": "dram", "gb_per_s": 3350}
SPARSE = {"dtype": "bf16", "tflops": 1979}
BOTH_WAYS = {"level": "interconnect", "gb_per_s": 900}
OTHER = {"vendor": "not stated", "architecture": "not stated"}  # known by its memory alone


@pytest.mark.parametrize("who", [{}, OTHER])
@pytest.mark.parametrize(
    ("doubled", "names"),
    [
        (SPARSE, ["compute bf16 = 1979 tflops", "twice the dense peak of h100-sxm", "sparsity", '"dense"']),
        (BOTH_WAYS, ["bandwidth interconnect = 900 gb_per_s", "twice what h100-sxm sends one way", '"one direction"']),
    ],
)
def test_a_doubled_figure_is_questioned(
    doubled: Mapping[str, Any], names: list[str], who: Mapping[str, Any], tmp_path: Path
) -> None:
    text = describe([FP16, DRAM_OF_H100, doubled], **{**H100, **who})
    assert_refused(lambda: read_own(tmp_path, text, "h100-sxm"), names=["mine.toml", *names])


@pytest.mark.parametrize(
    "right",
    [
        {**SPARSE, "more": 'note = "dense: a chip of two dies"'},
        {**BOTH_WAYS, "more": 'note = "one direction of a wider link"'},
        {**SPARSE, "tflops": 989.4},
        {"dtype": "fp64", "tflops": 67},  # twice the plain peak, and the peak of the tensor cores
    ],
)
def test_a_figure_that_is_right_is_taken(right: Mapping[str, Any], tmp_path: Path) -> None:
    read_own(tmp_path, describe([FP16, DRAM_OF_H100, right], **H100), "h100-sxm")


@pytest.mark.parametrize(
    ("twin", "doubled", "who"),
    [
        ("a100-80gb-sxm", {"dtype": "bf16", "tflops": 624}, {"architecture": "Ampere", "memory_gb": 80}),
        ("a100-80gb-sxm", {"dtype": "bf16", "tflops": 624}, {**OTHER, "memory_gb": 80, "name": "A100 of ours"}),
        ("b200", {"dtype": "fp8", "tflops": 9000}, {**OTHER, "name": "NVIDIA B200 192GB", "memory_gb": 192}),
        ("b200", {"level": "interconnect", "gb_per_s": 1800}, {**OTHER, "name": "HGX-B200", "memory_gb": 192}),
    ],
)
def test_a_doubled_figure_is_questioned_beside_a_rival_of_the_same_memory(
    twin: str, doubled: Mapping[str, Any], who: Mapping[str, Any], tmp_path: Path
) -> None:
    """The H100 PCIe has the memory of an A100, and 756 dense TFLOP/s: more than the A100's with sparsity."""
    name = who.get("name", "Mine")
    device = {**H100, **{key: value for key, value in who.items() if key != "name"}}
    text = describe([{**FP16, "tflops": 100}, {"level": "dram", "gb_per_s": 2039}, doubled], **device)
    text = re.sub("^name = .*$", f'name = "{name}"', text, flags=re.MULTILINE)
    assert_refused(lambda: read_own(tmp_path, text, twin, "h100-pcie"), names=["mine.toml", "twice", twin])


def test_a_device_that_resembles_no_other_is_not_questioned(tmp_path: Path) -> None:
    read_own(tmp_path, describe([FP16, DRAM, SPARSE]), "h100-sxm")


def test_two_rates_of_one_dtype_are_no_sparse_peak(tmp_path: Path) -> None:
    """GeForce cards add up fp16 products twice as fast in fp16 as in fp32."""
    rates = [
        {**FP16, "tflops": 165.2, "more": "default = true"},
        {**FP16, "tflops": 330.3, "origin": "fp16 accumulate"},
    ]
    dram = {"level": "dram", "gb_per_s": 1008}
    frames = read_own(tmp_path, describe([*rates, dram], architecture="Ada-like", memory_gb=24), "rtx-4090")
    own = frames["ceiling"].filter(hardware_id="mine", kind="compute")
    assert own.select("value_per_s", "is_default").rows() == [(165.2e12, True), (330.3e12, False)]


def test_a_table_of_devices_has_pipes_and_any_level(tmp_path: Path) -> None:
    text = "hardware_id,memory_gb,bandwidth_gb_per_s,l1_gb_per_s,fp64_vector_tflops,fp64_tensor_tflops,origin\n"
    path = write_file(tmp_path, "table.csv", text + "a,80,2039,19500,9.7,19.5,datasheet\n")
    ((_, toml),) = read_device_table(make_source(path, "hardware"))
    frames = read_hardware([make_source(write_file(tmp_path, "a.toml", toml), "hardware")])
    rows = frames["ceiling"].select("name", "pipe", "value_per_s").rows()
    assert rows == [("fp64", "vector", 9.7e12), ("fp64", "tensor", 19.5e12), ("dram", "", 2039e9), ("l1", "", 19.5e12)]


# --- the roof of a kernel ---------------------------------------------------------------------------------------------

A100 = [
    ("compute", "fp64", 19.5e12, "tensor", "fp64"),
    ("compute", "fp64", 9.7e12, "vector", ""),
    ("compute", "fp32", 19.5e12, "vector", ""),
    ("compute", "tf32", 156e12, "tensor", "fp32"),
    ("compute", "fp16", 165e12, "tensor", "fp32"),
    ("compute", "fp16", 330e12, "tensor", "fp16"),
    ("compute", "fp16", 78e12, "vector", ""),
    ("compute", "bf16", 165e12, "tensor", "fp32"),
    ("compute", "fp8", 660e12, "", ""),
    ("bandwidth", "dram", 2e12, "", ""),
    ("bandwidth", "l2", 7e12, "", ""),
]


@pytest.fixture(scope="module")
def ceilings() -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse in memory with one device that has several ceilings of a dtype."""
    with duckdb.connect() as connection:
        create_tables(connection)
        create_views(connection)
        connection.execute(
            "insert into core.hardware (hardware_id, name, short_name, vendor, architecture, memory_bytes, source_id,"
            " l2_bytes) values ('a100', 'NVIDIA A100', 'A100 SXM', 'NVIDIA', 'Ampere', 80e9, 's', 40e6)"
        )
        connection.execute(
            "insert into core.source values ('s', 'measurement', 'p', repeat('0', 64), 1, 'by hand', null, now())"
        )
        firsts = {name: number for number, (_, name, *_) in reversed(list(enumerate(A100)))}
        for number, (kind, name, value, pipe, accumulator) in enumerate(A100):
            connection.execute(
                "insert into core.ceiling values"
                " ('a100', ?, ?, 'datasheet', 'o', ?, ?, ?, null, 's', ?, ?, '', null, null)",
                [kind, name, value, firsts[name] == number, number + 1, pipe, accumulator],
            )
        yield connection


@pytest.fixture
def kernels(ceilings: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """That warehouse, which forgets what a test writes."""
    ceilings.begin()
    yield ceilings
    ceilings.rollback()


def measure(connection: duckdb.DuckDBPyConnection, name: str, **kernel: Any) -> None:
    fields = {
        "measurement_id": name, "hardware_id": "a100", "op": "kernel", "op_group": "custom", "kind": "given",
        "matrices": 1, "tensor_parallel": 1, "dtype": "fp16", "flops": 1e12, "bytes": 1e9, "latency_s": 1.0,
        "method": "by hand", "source_id": "s", "level": "dram", "pipe": "", "accumulator": "", "is_ceiling": False,
        "launch": "eager", **kernel,
    }  # fmt: skip
    places = ", ".join("?" for _ in fields)
    connection.execute(f"insert into core.measurement ({', '.join(fields)}) values ({places})", list(fields.values()))


@pytest.mark.parametrize(
    ("kernel", "peak"),
    [
        ({"dtype": "fp64"}, 19.5e12),
        ({"dtype": "fp64", "pipe": "vector"}, 9.7e12),
        ({"dtype": "fp64", "pipe": "tensor"}, 19.5e12),
        ({"dtype": "fp16", "pipe": "tensor", "accumulator": "fp16"}, 330e12),
        ({"dtype": "fp16", "accumulator": "fp16"}, 330e12),
        ({"dtype": "fp16", "pipe": "tensor"}, 165e12),
        ({"dtype": "fp8", "pipe": "tensor"}, 660e12),  # the ceiling states no pipe: it holds for every kernel
        ({"dtype": "fp32", "pipe": "tensor"}, None),  # no ceiling of this pipe is known: none is guessed
        ({"dtype": "int32"}, None),
    ],
)
def test_a_kernel_is_compared_with_the_ceiling_that_it_names(
    kernel: Mapping[str, Any], peak: float | None, kernels: duckdb.DuckDBPyConnection
) -> None:
    measure(kernels, "m", **kernel)
    assert fetch_value(kernels, "select peak_flops_per_s from mart.measured_point") == peak


def test_plain_fp64_of_an_a100_is_held_against_its_plain_peak(kernels: duckdb.DuckDBPyConnection) -> None:
    measure(kernels, "m", dtype="fp64", pipe="vector", flops=9.2e12, bytes=1e9)
    assert fetch_value(kernels, "select roof_fraction from mart.measured_point") == pytest.approx(0.948, abs=5e-4)


def test_a_copy_needs_no_peak(kernels: duckdb.DuckDBPyConnection) -> None:
    measure(kernels, "m", dtype="int32", flops=0, bytes=1.8e12)
    row = fetch_rows(kernels, "select bandwidth_fraction, roof_fraction, peak_flops_per_s from mart.measured_point")
    assert row == [(0.9, 0.9, None)]


def test_the_level_that_binds_is_the_one_that_needs_most_time(kernels: duckdb.DuckDBPyConnection) -> None:
    for level, moved in (("dram", 2e9), ("l2", 14e9)):
        measure(kernels, level, op="stencil", dtype="fp32", level=level, bytes=moved, flops=1e9, latency_s=0.004)
    measure(kernels, "alone", op="axpy", dtype="fp32", latency_s=0.005)
    asked = "select op, level, binding_level, roof_fraction from mart.measured_point order by all"
    stencil = [("stencil", "dram", "l2", 0.25), ("stencil", "l2", "l2", 0.5)]
    assert fetch_rows(kernels, asked) == [("axpy", "dram", None, pytest.approx(200 / 19.5)), *stencil]
    # whether a level without a known bandwidth binds cannot be said
    measure(kernels, "l1", op="stencil", dtype="fp32", level="l1", bytes=50e9, flops=1e9, latency_s=0.004)
    assert {row[2] for row in fetch_rows(kernels, asked)} == {None}


def test_no_level_binds_a_kernel_that_is_compute_bound(kernels: duckdb.DuckDBPyConnection) -> None:
    for level, moved in (("dram", 1e6), ("l2", 2e6)):
        measure(kernels, level, op="gemm", dtype="fp32", level=level, bytes=moved, flops=1e12, latency_s=1.0)
    assert fetch_rows(kernels, "select bound, binding_level from mart.measured_point") == [("compute", None)] * 2


COMPUTE_BOUND = {"bytes": 1e6, "latency_s": 1.0}


@pytest.mark.parametrize(
    ("kernel", "cause"),
    [
        ({"flops": 200e12, "accumulator": "fp32"}, "other accumulator: fp16 reaches 330 TFLOP/s"),
        ({"flops": 12e12, "dtype": "fp64", "pipe": "vector"}, "other pipe: tensor reaches 19.5 TFLOP/s"),
        ({"flops": 300e12, "dtype": "bf16"}, "sparse, or wrong dtype: fp16 reaches 330 TFLOP/s"),
        ({"flops": 100e12, "dtype": "fp32"}, "wrong dtype: tf32 reaches 156 TFLOP/s"),
        ({"flops": 1e15, "dtype": "fp32"}, "not known"),
        ({"flops": 300e12, "dtype": "bf16", "device_name": "NVIDIA H200"}, "wrong device: measured on NVIDIA H200"),
        ({"flops": 1e6, "bytes": 1e6, "latency_s": 1e-7}, "cache-resident: its bytes fit the L2 cache"),
        ({"flops": 1e9, "bytes": 1e9, "latency_s": 2e-4}, "part of its bytes came from a cache"),
        ({"flops": 1e9, "bytes": 1e9, "latency_s": 1e-4, "level": "l2"}, "not known"),
        ({"flops": 1e16, "bytes": 1e15, "dtype": "bf16"}, "not known"),  # caches lift nothing above the peak
        ({"flops": 0, "dtype": "int32", "bytes": 1e6, "latency_s": 1e-7}, "cache-resident: its bytes fit the L2 cache"),
        ({"flops": 1e12}, None),
    ],
)
def test_the_cause_of_a_point_above_its_roof_is_found_or_not_known(
    kernel: Mapping[str, Any], cause: str | None, kernels: duckdb.DuckDBPyConnection
) -> None:
    measure(kernels, "m", **{**COMPUTE_BOUND, **kernel})
    rows = fetch_rows(kernels, "select is_above_roof, likely_cause from mart.measured_point")
    assert rows == [(cause is not None, cause)]


def test_mart_roof_shows_the_first_ceiling_of_a_dtype(kernels: duckdb.DuckDBPyConnection) -> None:
    rows = fetch_rows(
        kernels, "select dtype, peak_flops_per_s from mart.roof where dtype in ('fp16', 'fp64') order by 1"
    )
    assert rows == [("fp16", 165e12), ("fp64", 19.5e12)]
    every = "select count(*), count(*) filter (is_main) from mart.roof_by_level where dtype = 'fp16'"
    assert fetch_rows(kernels, every) == [(6, 2)]


def test_a_measured_ceiling_of_another_pipe_is_no_roof_of_mart_roof(kernels: duckdb.DuckDBPyConnection) -> None:
    """One row of a basis is of the default pipe, or there is none: a vector ceiling stands in for no tensor peak."""
    for pipe, value in (("vector", 9.6e12), ("tensor", 18e12)):
        kernels.execute(
            "insert into core.ceiling values"
            " ('a100', 'compute', 'fp64', 'measured', ?, ?, false, 1, null, 's', ?, '', '', null, null)",
            [pipe, value, pipe],
        )
        rows = fetch_rows(kernels, "select peak_flops_per_s from mart.roof where dtype = 'fp64' and basis = 'measured'")
        assert rows == ([] if pipe == "vector" else [(18e12,)])

"""Files of other tools: rocprof-compute, TraceLens, likwid, Advisor, ERT, nccl-tests, nsys."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.kinds import PROFILE_KINDS, recognize_kind
from flows.ingest.lone_profile import read_lone_profile
from flows.ingest.user_catalog import add_files
from flows.site.lone_profiles import open_profile, read_kernels
from tests.support.files import ROOT, write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.other_tools import ADVISOR, ERT, GEMMS, LIKWID, NCCL, PMC, RCCL, ROOFLINE
from warehouse.home import Home

SAMPLES = {
    "likwid": ("mem_dp.csv", LIKWID),
    "advisor": ("survey.csv", ADVISOR),
    "ert": ("ert.sum", ERT),
    "nccl-tests": ("nccl.txt", NCCL),
    "rocprof-compute": ("pmc_perf.csv", PMC),
    "tracelens": ("GEMM.csv", GEMMS),
}


def read(folder: Path, kind: str, text: str, name: str = "") -> list[dict[str, Any]]:
    path = write_file(folder, name or SAMPLES[kind][0], text)
    frame = PROFILE_KINDS[kind].read(make_source(path, "measurement"), "mi300x", None)
    return frame.lazy().collect().to_dicts()


@pytest.mark.parametrize("kind", SAMPLES)
def test_files_of_other_tools_are_recognized_and_ingested(tmp_path: Path, kind: str) -> None:
    name, text = SAMPLES[kind]
    path = write_file(tmp_path, name, text)
    assert recognize_kind(path) == kind
    (added,) = add_files(Home(tmp_path / "home"), kind, [str(path)], hardware_id="h100-sxm")
    assert added.path.name.startswith(f"{kind}-h100-sxm-")


def test_a_region_of_likwid_has_flop_and_traffic(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "likwid", LIKWID)
    # 3200.5 MFLOP/s and 21000 MB/s for 1.25 s
    assert (row["op"], row["dtype"], row["level"]) == ("Compute", "fp64", "dram")
    assert (row["flops"], row["bytes"], row["latency_s"]) == (3200.5e6 * 1.25, 21000e6 * 1.25, 1.25)


def test_rates_of_the_threads_of_likwid_add_up(tmp_path: Path) -> None:
    text = LIKWID.replace("1.25,,,", "1.25,1.5,,").replace("3200.5,,,", "3200.5,1000,,")
    text = text.replace("21000.0,", "21000.0,0")
    (row,) = read(tmp_path, "likwid", text)
    assert (row["flops"], row["bytes"]) == pytest.approx((4200.5e6 * 1.5, 21000e6 * 1.5))


def test_a_loop_of_advisor_has_the_bytes_of_its_loads_and_stores(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "advisor", ADVISOR)
    assert (row["flops"], row["bytes"], row["latency_s"], row["level"]) == (4e9, 26.6e9, 1.25, "l1")
    assert row["op"] == "[loop in stencil at s.c:12]"
    assert read(tmp_path, "advisor", ADVISOR.replace(";", "\t").replace("1.250s", "1250ms"))[0]["flops"] == 4e9


def test_ert_and_rocprof_compute_give_ceilings(tmp_path: Path) -> None:
    found = {row["op"]: (row["flops"], row["bytes"]) for row in read(tmp_path, "ert", ERT)}
    # V100 figures that CSCS's ReFrame checks print
    assert found == {"fp64 peak": (7818.02e9, 1.0), "l1 sweep": (0, 2674.54e9), "dram sweep": (0, 523.62e9)}
    rows = read(tmp_path, "rocprof-compute", ROOFLINE, "roofline.csv")
    assert all(row["is_ceiling"] for row in rows)
    values = {row["op"]: max(row["flops"], row["bytes"]) for row in rows}
    assert values["dram bandwidth"] == 4100.5e9
    assert [values[f"{what} peak"] for what in ("fp16 vector", "fp16 tensor", "int8 tensor")] == [
        150e12,
        900e12,
        1.8e15,
    ]


def test_launches_of_rocprof_compute_have_flop_and_bytes(tmp_path: Path) -> None:
    gemm, copy = read(tmp_path, "rocprof-compute", PMC)
    # 512 FLOP for each MFMA op, 64 x (1 + 2) for an addition and a multiply-add
    assert gemm["flops"] == 512 * 1e9 + 64 * (1e6 + 2 * 2e6)
    assert (gemm["dtype"], gemm["pipe"], gemm["repeats"], gemm["latency_s"]) == ("bf16", "tensor", 2, 1.5e-3)
    # reads: 100 of 128 bytes, 200 of 32, 700 of 64; writes: 300 of 64, 100 of 32
    assert gemm["bytes"] == 100 * 128 + 200 * 32 + 700 * 64 + 300 * 64 + 100 * 32
    assert (copy["op"], copy["flops"]) == ("copy", 0)


@pytest.mark.parametrize(("memory", "line"), [("TCC_EA0", 128), ("TCC_EA", 64)])  # CDNA 3 and 2
def test_launches_of_rocprof_compute_have_the_bytes_of_each_cache(tmp_path: Path, memory: str, line: int) -> None:
    names = ["READ", "WRITE", "ATOMIC_WITH_RET", "ATOMIC_WITHOUT_RET"]
    caches = {f"TCP_TCC_{name}_REQ_sum": count for name, count in zip(names, (1000, 100, 10, 1), strict=True)}
    caches |= {"TCP_TOTAL_CACHE_ACCESSES_sum": 5000, "SQ_LDS_IDX_ACTIVE": 900, "SQ_LDS_BANK_CONFLICT": 400}
    head, first, *_ = PMC.replace("TCC_EA0", memory).splitlines()
    text = f"{head},{','.join(caches)}\n{first},{','.join(map(str, caches.values()))}\n"
    rows = {row["level"]: row for row in read(tmp_path, "rocprof-compute", text)}
    # (ROCm/rocprofiler-compute, utils/roofline_calc.py and gfx942/1600_L1_cache.yaml)
    assert {level: row["bytes"] for level, row in rows.items() if level != "dram"} == {
        "l2": line * 1000 + 64 * 111, "l1": line * 5000, "lds": 128 * 500,
    }  # fmt: skip
    assert {row["flops"] for row in rows.values()} == {512 * 1e9 + 64 * (1e6 + 2 * 2e6)}


def test_gemms_of_tracelens_have_the_bytes_of_both_dtypes(tmp_path: Path) -> None:
    plain, batched = read(tmp_path, "tracelens", GEMMS)
    assert (plain["flops"], plain["bytes"]) == (2 * 4096**3, 3 * 2 * 4096**2)
    assert (plain["dtype"], plain["repeats"], plain["latency_s"]) == ("bf16", 3, 250e-6)
    assert (batched["m"], batched["matrices"], batched["flops"]) == (32 * 128, 32, 32 * 2 * 128 * 64 * 128)
    assert batched["bytes"] == 32 * 2 * (128 * 64 + 64 * 128 + 128 * 128)


def test_a_collective_has_the_bytes_that_a_device_sends_in_a_ring(tmp_path: Path) -> None:
    rows = read(tmp_path, "nccl-tests", NCCL)
    assert [row["op"].rsplit(" ", 3)[-1] for row in rows] == ["place"] * 2
    row = rows[0]
    # busbw = 2 (n - 1) / n x size / time
    assert row["bytes"] == 8589934592 * 2 * 7 / 8
    assert row["bytes"] / row["latency_s"] / 1e9 == pytest.approx(480.27, rel=1e-3)
    assert (row["kind"], row["dtype"], row["tensor_parallel"]) == ("all_reduce", "bf16", 8)
    assert (row["device_name"], row["software"]) == ("NVIDIA H100 80GB HBM3", "nccl-tests 2.17.6")
    gathered = read(tmp_path, "nccl-tests", RCCL)
    assert [row["kind"] for row in gathered] == ["all_gather"]
    assert gathered[0]["bytes"] == 1048576 * 1 / 2


@pytest.mark.parametrize(("program", "kind"), [("broadcast", "broadcast"), ("reduce", "reduce"), ("sendrecv", "send")])
def test_a_root_or_a_pair_moves_all_bytes_through_one_link(tmp_path: Path, program: str, kind: str) -> None:
    """Their bus bandwidth is size / time (nccl-tests, doc/PERFORMANCE.md and src/sendrecv.cu)."""
    path = write_file(tmp_path, "nccl.txt", NCCL.replace("all_reduce", program))
    profile = read_lone_profile(Home(tmp_path / "home"), path, hardware_id="h100-sxm")
    with open_profile(profile.tables) as connection:
        row = read_kernels(connection).filter(pl.col("op").str.ends_with("out of place")).row(0, named=True)
    assert (row["kind"], row["bytes"]) == (kind, 8589934592)
    # 450 GB/s one way: NVIDIA H100 datasheet
    assert row["roof_fraction"] == pytest.approx(8589934592 / 450e9 / 31.3e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("allreduce-h100.txt", "all_reduce"), ("reduceScatter_8.log", "reduce_scatter"), ("run-reduce.txt", "reduce")],
)
def test_the_name_of_a_file_says_which_collective_it_is(tmp_path: Path, name: str, kind: str) -> None:
    text = NCCL.replace("# Collective test starting: all_reduce_perf\n", "")
    assert {row["kind"] for row in read(tmp_path, "nccl-tests", text, name)} == {kind}


def test_an_all_reduce_is_held_against_a_switch_that_adds(tmp_path: Path) -> None:
    path = write_file(tmp_path, "nccl.txt", NCCL)
    profile = read_lone_profile(Home(tmp_path / "home"), path, hardware_id="h100-sxm")
    with open_profile(profile.tables) as connection:
        row = read_kernels(connection).filter(pl.col("op").str.ends_with("out of place")).row(0, named=True)
    # 8.59 GB once through 450 GB/s is 19.1 ms
    assert row["roof_fraction"] == pytest.approx(8589934592 / 450e9 / 31.3e-3, rel=1e-6)
    assert round(row["roof_fraction"], 2) == 0.61
    assert row["bound"] == "interconnect"


@pytest.fixture
def nsys(tmp_path: Path) -> Path:
    path = tmp_path / "report.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("create table StringIds (id integer primary key, value text)")
    columns = 'start integer, "end" integer, deviceId integer, demangledName integer'
    connection.execute(f"create table CUPTI_ACTIVITY_KIND_KERNEL ({columns})")
    connection.executemany("insert into StringIds values (?, ?)", [(1, "gemm<float>"), (2, "norm\nkernel")])
    rows = [(0, 3_000_000, 0, 1), (3_000_000, 6_000_000, 0, 1), (7_000_000, 8_000_000, 0, 2)]
    connection.executemany("insert into CUPTI_ACTIVITY_KIND_KERNEL values (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def test_an_nsys_export_lists_times_and_says_what_it_lacks(nsys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize_kind(nsys) == "nsys"
    home = ["--home", str(nsys.parent / "home")]
    assert run_command(["profile", str(nsys), *home]) == 0
    printed = capsys.readouterr().out
    assert "gemm<float>    6 ms   85.7%          2" in printed
    assert "2 kernels take 7 ms; FLOP and bytes are not in the file: ncu --csv" in printed
    assert run_command(["ingest", "nsys", str(nsys), "--hardware-id", "h100-sxm", *home]) == 2
    assert "2 kernels with times, but without FLOP and bytes" in capsys.readouterr().err
    assert run_command(["profile", str(nsys), "--out", "a.png", *home]) == 2
    assert "so there is no chart" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_sqlite_file_gets_one_line(tmp_path: Path, content: bytes) -> None:
    path = write_file(tmp_path, "report.sqlite", content)
    add = lambda: add_files(Home(tmp_path / "home"), "nsys", [str(path)], hardware_id="a40")  # noqa: E731
    assert_refused(add, names=["report.sqlite", "nsys export --type sqlite"])


@pytest.mark.parametrize(
    ("kind", "old", "new", "names"),
    [
        ("likwid", "DP [MFLOP/s]", "CPI", ["region Compute, group MEM_DP", "no DP or SP [MFLOP/s]", "MEM_SP"]),
        ("likwid", "3200.5", "many", ["DP [MFLOP/s]", '"many"', "expected a number"]),
        ("advisor", "1.250s", "soon", ["line 2", "Self Time", '"soon"', "e.g. 1.25s"]),
        ("advisor", ";Self Memory GB", ";Memory", ["no column Self Memory GB", "--report=survey"]),
        ("ert", "EMP", "PEAK", ["nothing to read", "FP64 GFLOPs EMP"]),
        ("nccl-tests", "bfloat16", "complex", ["line ", 'type = "complex"', "bfloat16"]),
        ("nccl-tests", "all_reduce_perf", "hypercube_perf", ["hypercube_perf", "the output of all_reduce_perf"]),
        ("nccl-tests", "#  Rank", "#  R", ["0 lines of devices"]),
        ("rocprof-compute", "TCC_BUBBLE_sum", "other", ["no column TCC_BUBBLE_sum", "rocprof-compute profile"]),
        ("rocprof-compute", "1000000,2000000", "2000000,1000000", ["row 1", "End_Timestamp", '"1000000"', '"2000000"']),
        ("rocprof-compute", "1000000000,", "minus,", ["row 1", "SQ_INSTS_VALU_MFMA_MOPS_BF16", '"minus"']),
        ("tracelens", "c10::BFloat16', 'c10", "c10::Complex', 'c10", ["param: dtype_A_B", "Complex"]),
        ("tracelens", "param: dtype_A_B", "dtype", ["no column param: dtype_A_B"]),
    ],
)
def test_what_is_missing_gets_one_line(tmp_path: Path, kind: str, old: str, new: str, names: list[str]) -> None:
    name, text = SAMPLES[kind]
    assert old in text
    path = write_file(tmp_path, name, text.replace(old, new))
    assert_refused(
        lambda: PROFILE_KINDS[kind].read(make_source(path, "measurement"), "a40", None).lazy().collect(),
        names=[name, *names],
    )


@pytest.mark.skipif(not (ROOT.parent / "shared" / "cases").is_dir(), reason="the cases are not at hand")
@pytest.mark.parametrize(
    ("name", "kind", "flops"),
    [
        ("likwid_mem_dp.csv", "likwid", 3200.5e6 * 1.25),
        ("advisor_report.csv", "advisor", 4e9),
        ("rocprof_raw_roofline.csv", "rocprof-compute", 0),
    ],
)
def test_cases_are_read(tmp_path: Path, name: str, kind: str, flops: float) -> None:
    path = tmp_path / name
    shutil.copyfile(ROOT.parent / "shared" / "cases" / "foreign" / name, path)
    assert recognize_kind(path) == kind
    assert PROFILE_KINDS[kind].read(make_source(path, "measurement"), "a40", None).lazy().collect()["flops"][0] == flops

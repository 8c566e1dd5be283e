"""Times of one's own: a shape, a dtype and a time in any unit make a measurement."""

import io
from pathlib import Path

import polars as pl
import pytest

from flows.ingest.kinds import recognize_kind
from flows.ingest.readers.measurement import read_measurements
from flows.ingest.user_catalog import add_files
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.home import Home

# 2 m k n, and 2 bytes for each element of m x k, k x n and m x n
FLOPS, BYTES = 2 * 4096**3, 3 * 2 * 4096**2
SHAPE = "4096,4096,4096,bf16"


def read(folder: Path, text: str) -> pl.DataFrame:
    path = write_file(folder, "mine.csv", text)
    return read_measurements([make_source(path, "measurement")])["measurement"].collect()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("latency_s", "2.5e-4"),
        ("time_s", "2.5e-4"),
        ("Time_MS", "0.25"),
        ("latency_us", "250"),
        ("us", "250"),
        ("time_ns", "250000"),
        ("tflops", str(FLOPS / 2.5e-4 / 1e12)),
        ("gflops", str(FLOPS / 2.5e-4 / 1e9)),
    ],
)
def test_a_shape_and_a_time_in_any_unit_are_enough(tmp_path: Path, column: str, value: str) -> None:
    row = read(tmp_path, f"hardware_id,m,k,n,dtype,{column}\na40,{SHAPE},{value}\n").row(0, named=True)
    assert (row["flops"], row["bytes"], row["kind"], row["op"]) == (FLOPS, BYTES, "linear", "gemm 4096x4096x4096")
    assert row["latency_s"] == pytest.approx(2.5e-4)
    assert row["shape_mismatch"] is None


def test_names_that_frameworks_give_dtypes_are_read(tmp_path: Path) -> None:
    rows = read(tmp_path, "hardware_id,m,k,n,dtype,ms\na40,1,2,3,bfloat16,1\na40,1,2,3,half,1\na40,1,2,3,float32,1\n")
    assert rows["dtype"].to_list() == ["bf16", "fp16", "fp32"]


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        ("flops", f"{FLOPS / 2}", "FLOP are 0.5 times those of m, k and n"),
        ("bytes", f"{BYTES * 1.02}", "bytes are 1.02 times those of m, k, n and dtype"),
        ("tflops", "1099.5", "FLOP/s are 2.0 times FLOP / time"),
        ("bytes", f"{BYTES * 1.009}", None),
        ("level,bytes", "l2,1e9", None),
    ],
)
def test_work_that_disagrees_with_its_shape_is_kept_and_flagged(
    tmp_path: Path, columns: str, values: str, said: str | None
) -> None:
    row = read(tmp_path, f"hardware_id,m,k,n,dtype,us,{columns}\na40,{SHAPE},250,{values}\n").row(0, named=True)
    assert row["shape_mismatch"] == (said.replace("2.0", "2") if said else None)
    if "flops" in columns.split(","):
        assert row["flops"] == FLOPS / 2


def test_a_product_of_a_short_dtype_may_write_a_wider_one(tmp_path: Path) -> None:
    text = "hardware_id,m,k,n,dtype,us,bytes\na40,4096,4096,4096,fp8,200,{}\n"
    size = 4096**2
    said = [read(tmp_path, text.format(size * each))["shape_mismatch"][0] for each in (3, 4, 6, 5)]
    assert said == [None, None, None, "bytes are 1.67 times those of m, k, n and dtype"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("m,k,n,dtype,time_sec\n1,1,1,fp16,1\n", ["no column latency_s", "time_ms", "tflops"]),
        ("m,k,n,dtype,ms,us\n1,1,1,fp16,1,1\n", ["columns ms, us", "expected one of them"]),
        ("m,k,n,dtype,ms\n1,1,1,fp16,fast\n", ["row 1", "ms", '"fast"', "expected a number"]),
        ("m,k,n,dtype,ms\n1,1,1,fp16,-1\n", ["row 1", "latency_s: expected 1e-9 to 1e5 seconds, not -0.001"]),
        ("m,k,n,dtype,ms\n1,,1,fp16,1\n", ["row 1", "op: missing"]),
        ("m,k,n,dtype,tflops\n1,1,1,fp16,0\n", ["row 1", "latency_s"]),
        ("k,n,dtype,ms\n1,1,fp16,1\n", ["no column op, op_group", "m, k, n, dtype and a time"]),
    ],
)
def test_a_bad_table_gets_one_line(tmp_path: Path, text: str, names: list[str]) -> None:
    path = write_file(tmp_path, "mine.csv", text)
    add = lambda: add_files(Home(tmp_path), "measurement", [str(path)], hardware_id="a40")  # noqa: E731
    assert_refused(add, names=["mine.csv", *names])


def test_a_table_of_ones_own_is_recognized_and_says_what_is_flagged(tmp_path: Path) -> None:
    path = write_file(tmp_path, "mine.csv", f"m,k,n,dtype,us,flops\n{SHAPE},250,{FLOPS / 2}\n{SHAPE},250,\n")
    assert recognize_kind(path) == "measurement"
    (added,) = add_files(Home(tmp_path / "home"), "measurement", [str(path)], hardware_id="h100-sxm")
    assert added.mismatch == "1 row, e.g. gemm 4096x4096x4096: FLOP are 0.5 times those of m, k and n"
    assert pl.read_csv(io.BytesIO(added.path.read_bytes()))["hardware_id"].to_list() == ["h100-sxm"] * 2

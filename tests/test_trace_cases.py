"""Traces of PyTorch in ../shared/cases/torch-trace, through each door; its README says what each should give."""

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from flows.ingest.incoming import accept_incoming
from flows.ingest.lone_profile import read_lone_profile
from flows.ingest.profiles.torch_profiler import read_torch_profiler
from flows.ingest.user_catalog import add_files
from flows.site.lone_profiles import open_profile, read_kernels
from tests.support.files import ROOT, write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.home import Home

CASES = ROOT.parent / "shared" / "cases" / "torch-trace"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not at hand")

Row = tuple[str, str, float, float, float]  # op, dtype, FLOP, bytes, µs

FLASH = "_scaled_dot_product_flash_attention"
FORWARD = 4 * 16 * 128 * 16384 * (16384 + 1) / 2  # causal: 16 heads of 128, 16384 tokens
SQUARE: Row = ("mm", "bf16", 2 * 4096**3, 3 * 2 * 4096**2, 220)
PRODUCT = 2 * 8192 * 256 * 8192
OPERANDS = 8192 * 256 + 256 * 8192
READ: dict[str, list[Row]] = {
    "causal_flash_fwd_bwd": [
        (FLASH, "bf16", FORWARD, 4 * 2 * 16 * 16384 * 128, 2748.77906944),
        (f"{FLASH}_backward", "bf16", 2.5 * FORWARD, 8 * 2 * 16 * 16384 * 128, 9162.596898133334),
    ],
    "cuda_graph_mostly": [SQUARE],
    "fp8_bf16_output": [
        ("_int_mm", "int8", PRODUCT, OPERANDS + 4 * 8192**2, 120),
        ("_scaled_mm", "fp8", PRODUCT, OPERANDS + 2 * 8192**2, 60),
    ],
    "gqa_sdpa_decode": [(FLASH, "bf16", 5.36870912e8, 134_348_800, 40)],
    "metadata_after_events": [SQUARE],
    "nan_value": [SQUARE],
    "rocm_correlation_only": [SQUARE],
    "unescaped_quotes": [SQUARE],
    "vllm_custom_ops": [
        ("_C::cutlass_scaled_mm", "fp8", 2 * 8 * 4096**2, 8 * 4096 + 4096**2 + 4 * (8 + 4096) + 2 * 8 * 4096, 8)
    ],
    "windows_backslash": [SQUARE],
}
REFUSED = {
    "conv_only": "not covered: aten::cudnn_convolution (sizes not shown) 100.0%",
    "cuda_graph_all": "CUDA graphs 100.0%",
    "metadata_only": "record_shapes=True",
    "no_shapes": "record_shapes=True",
    "old_cpu_functions": "record_shapes=True",
}
ALL = "covers 100.0% of the time on the GPU, 1 of 1 kernels"
COVERAGE = {
    "cuda_graph_mostly": (
        "covers 2.0% of the time on the GPU, 1 of 1,201 kernels; not covered: CUDA graphs 98.0%",
        0.02,
    ),
    "vllm_custom_ops": (
        "covers 34.8% of the time on the GPU, 1 of 3 kernels; not covered: vllm::unified_attention_with_output 52.2%,"
        " _moe_C::topk_softmax 13.0%",
        8 / 23,
    ),
    "nan_value": (f"{ALL}; 1 broken event skipped", 1),
    "unescaped_quotes": (f"{ALL}; 1 broken event skipped", 1),
    "windows_backslash": (f"{ALL}; 1 broken event skipped", 1),
    "rocm_correlation_only": (ALL, 1),
}
BY_EVERY_DOOR = ("causal_flash_fwd_bwd", "cuda_graph_mostly", "fp8_bf16_output")


def list_rows(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    us = pl.col("latency_s") * 1e6
    return rows.select("op", "dtype", "flops", "bytes", us).unique().sort("op").rows()


def approximate(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(*row[:2], *(pytest.approx(number, rel=1e-5) for number in row[2:])) for row in rows]


@pytest.mark.parametrize("name", READ)
def test_a_case_has_its_work_and_time(name: str) -> None:
    rows = read_torch_profiler(make_source(CASES / f"{name}.json", "torch_profiler"), "h100-sxm", None)
    assert list_rows(rows) == approximate(READ[name])
    if name in COVERAGE:
        text, share = COVERAGE[name]
        assert rows.select("coverage", "covered_share").unique().rows() == [(text, pytest.approx(share, abs=1e-4))]


@pytest.mark.parametrize("name", REFUSED)
def test_a_case_that_cannot_be_read_gets_one_line(name: str) -> None:
    source = make_source(CASES / f"{name}.json", "torch_profiler")
    assert_refused(lambda: read_torch_profiler(source, "h100-sxm", None), names=[name, REFUSED[name]])


def test_a_case_without_its_kernels_is_refused_where_its_device_stands_at_the_end(tmp_path: Path) -> None:
    document = json.loads((CASES / "metadata_after_events.json").read_text())
    document["traceEvents"] = [event for event in document["traceEvents"] if event["cat"] != "kernel"]
    source = make_source(write_file(tmp_path, "t.json", json.dumps(document)), "torch_profiler")
    assert_refused(lambda: read_torch_profiler(source, "h100-sxm", None), names=['category "kernel"', "it names a GPU"])


def test_no_case_is_left_out() -> None:
    assert {path.stem for path in CASES.iterdir()} == {*READ, *REFUSED}


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_EVERY_DOOR)
def test_a_case_is_drawn_with_its_coverage(name: str, tmp_path: Path) -> None:
    """As `rooflines profile` does; the device is the one that the trace names."""
    profile = read_lone_profile(Home(tmp_path / "home"), CASES / f"{name}.json")
    with open_profile(profile.tables) as connection:
        kernels = read_kernels(connection)
    assert list_rows(kernels) == approximate(READ[name])
    assert set(kernels["hardware_id"]) == {"h100-sxm"}
    share = COVERAGE[name][1] if name in COVERAGE else 1
    assert kernels["covered_share"].to_list() == pytest.approx([share] * len(kernels), abs=1e-4)


@pytest.mark.slow
def test_cases_come_in_by_either_door(tmp_path: Path) -> None:
    """By `rooflines ingest`, and by the folder `incoming`."""
    given, waiting = Home(tmp_path / "given"), Home(tmp_path / "waiting")
    paths = [CASES / f"{name}.json" for name in BY_EVERY_DOOR]
    add_files(given, "torch-profiler", list(map(str, paths)), hardware_id="h100-sxm")
    incoming = waiting.path / "incoming"
    incoming.mkdir(parents=True)
    for path in paths:
        shutil.copyfile(path, incoming / f"h100-sxm-{path.name}")
        os.utime(incoming / f"h100-sxm-{path.name}", (1, 1))  # nobody is writing it any more
    assert [arrival.kind for arrival in accept_incoming(waiting)] == ["torch-profiler"] * len(paths)
    expected = sorted(row for name in BY_EVERY_DOOR for row in READ[name])
    for home in (given, waiting):
        stored = pl.concat([pl.read_parquet(path) for path in (home.catalog / "measurements").iterdir()])
        assert list_rows(stored) == approximate(expected)

"""Traces of PyTorch's profiler: what becomes of each op, and what is refused."""

import gzip
import json
import subprocess
import sys
import time
import tomllib
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.catalog import SHIPPED
from flows.ingest.profiles.torch_profiler import read_torch_profiler
from flows.ingest.readers.measurement import read_measurements
from flows.ingest.readers.trace_ops import load_trace_ops
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.long_traces import write_long_trace
from tests.support.traces import HEAD, MM, NONE, Event, call, kernel, only, op, read, write_trace
from warehouse.errors import InputError

ELEMENTWISE = SHIPPED / "elementwise.toml"


def test_a_product(tmp_path: Path) -> None:
    events = [
        *(op(*MM, external_id=each, at=10 * each) for each in (1, 2, 3)),
        kernel(1, 3.5),
        kernel(1, 1.0, category="gpu_memset"),
        kernel(1, 0.5, category="gpu_memcpy"),
        kernel(2, 7),
        kernel(3, 6),
        kernel(4, 1000),
        kernel(1, 1000, category="gpu_user_annotation"),
        {"ph": "M", "name": "process_name", "args": {"name": "python"}},
    ]
    path = write_trace(tmp_path, events)
    row = read(path).row(0, named=True)
    assert {name: value for name, value in row.items() if value is not None} == {
        "hardware_id": "a100",
        "device_name": "NVIDIA A100",
        "model_id": "gpt2",
        "op": "mm",
        "op_group": "custom",
        "kind": "linear",
        "m": 64,
        "k": 32,
        "n": 48,
        "matrices": 1,
        "tensor_parallel": 1,
        "dtype": "fp16",
        "pipe": "",
        "flops": 196_608,
        "bytes": 2 * (2048 + 1536 + 3072),
        "latency_s": pytest.approx(6e-6),
        "latency_min_s": pytest.approx(5e-6),
        "latency_std_s": pytest.approx(1e-6),
        "repeats": 3,
        "launch": "eager",
        "covered_share": pytest.approx(18 / 1018),
        "coverage": "covers 1.8% of the time on the GPU, 3 of 4 kernels; not covered: kernels of no op 98.2%",
        "method": "torch profiler, kernel times, median",
        "software": "PyTorch profiler, schemaVersion 1, cuda_runtime_version 12060",
        "origin": "PyTorch profiler trace t.json",
    }
    read(path).write_csv(tmp_path / "mine.csv")
    frames = read_measurements([make_source(tmp_path / "mine.csv", "measurement")])
    assert len(frames["measurement"].lazy().collect()) == 1


@pytest.mark.parametrize(
    ("name", "dims", "said", "sizes", "flops", "elements"),
    [
        ("addmm", [[48], [64, 32], [32, 48], [], []], ["", "", "", "1", "1"], (64, 32, 48, 1), 199_680, 6656 + 48),
        ("addmm", [[64, 48], [64, 32], [32, 48]], [], (64, 32, 48, 1), 199_680, 6656 + 3072),
        ("addmm", [[64, 48], [64, 32], [32, 48]], ["", "", "", "0."], (64, 32, 48, 1), 196_608, 6656),
        ("bmm", [[4, 5, 6], [4, 6, 7]], [], (20, 6, 7, 4), 1680, 120 + 168 + 140),
        ("baddbmm", [[4, 5, 7], [4, 5, 6], [4, 6, 7]], [], (20, 6, 7, 4), 1680 + 140, 428 + 140),
        ("matmul", [[3, 4, 5, 6], [6, 7]], [], (60, 6, 7, 1), 5040, 360 + 42 + 420),
        ("matmul", [[3, 4, 5, 6], [3, 4, 6, 7]], [], (60, 6, 7, 12), 5040, 360 + 504 + 420),
        ("linear", [[2, 5, 6], [7, 6], [7]], [], (10, 6, 7, 1), 840 + 70, 60 + 42 + 70 + 7),
        ("linear", [[2, 5, 6], [7, 6], []], [], (10, 6, 7, 1), 840, 60 + 42 + 70),
        ("mm", [[5, 6], [6, 7], [5, 7]], [], (5, 6, 7, 1), 420, 30 + 42 + 35),
    ],
)
def test_products(
    tmp_path: Path, name: str, dims: object, said: object, sizes: tuple[int, ...], flops: int, elements: int
) -> None:
    row = only(tmp_path, op(f"aten::{name}", dims, said=said), kernel())
    assert (row["m"], row["k"], row["n"], row["matrices"]) == sizes
    assert (row["op"], row["flops"], row["bytes"]) == (name, flops, 2 * elements)


@pytest.mark.parametrize(
    ("name", "given", "said", "dtype", "width", "width_of_result"),
    [
        ("mm", "double", [], "fp64", 8, 8),
        ("mm", "float", [], "fp32", 4, 4),
        ("mm", "c10::BFloat16", ["", ""], "bf16", 2, 2),
        ("mm", "c10::BFloat16", ["", "", "6"], "bf16", 2, 4),
        ("_scaled_mm", "c10::Float8_e4m3fn", [*[""] * 6, "15", "True"], "fp8", 1, 2),
        ("_scaled_mm", "c10::Float8_e4m3fn", [*[""] * 6, "5", ""], "fp8", 1, 2),
        ("_scaled_mm", "c10::Float8_e5m2", [""] * 8, "fp8", 1, 1),
        ("_int_mm", "signed char", [], "int8", 1, 4),
    ],
)
def test_each_operand_has_its_own_width(
    tmp_path: Path, name: str, given: str, said: object, dtype: str, width: int, width_of_result: int
) -> None:
    row = only(tmp_path, op(f"aten::{name}", MM[1], {"Input type": [given, given]}, said=said), kernel())
    assert (row["dtype"], row["bytes"]) == (dtype, width * (64 * 32 + 32 * 48) + width_of_result * 64 * 48)
    assert "result" not in row["method"]


def test_a_width_that_the_trace_does_not_say_is_noted(tmp_path: Path) -> None:
    row = only(tmp_path, op("aten::_scaled_mm", MM[1], {"Input type": ["c10::Float8_e4m3fn"] * 2}), kernel())
    assert row["bytes"] == 64 * 32 + 32 * 48 + 2 * 64 * 48
    assert row["method"].endswith("; result taken as bf16, the trace does not say")


def test_fp4_has_two_elements_in_a_byte(tmp_path: Path) -> None:
    types = ["c10::BFloat16", "unsigned char", "unsigned char", "c10::Float8_e4m3fn", "c10::Float8_e4m3fn", "float"]
    dims = [[64, 48], [64, 16], [48, 16], [128, 4], [128, 4], [1]]
    row = only(tmp_path, op("_C::cutlass_scaled_fp4_mm", dims, {"Input type": types}), kernel())
    assert (row["dtype"], row["m"], row["k"], row["n"], row["flops"]) == ("fp4", 64, 32, 48, 196_608)
    assert row["bytes"] == 64 * 16 + 48 * 16 + 2 * 128 * 4 + 2 * 64 * 48


@pytest.mark.parametrize(
    ("name", "pipe"),
    [
        ("ampere_fp16_s16816gemm_fp16_128x128_ldg8_f2f_stages_32x5_tn", "tensor"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k", "tensor"),
        ("sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize96x128x32_stage4_warpsize2x2x1_tensor16x8x16", "tensor"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNT", "tensor"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128>>", "tensor"),
        ("void gemv2T_kernel_val<int, int, __half>", ""),
        ("ampere_sgemm_128x64_tn", ""),
        ("Cijk_Ailk_Bljk_HHS_BH_MT128x128", ""),
    ],
)
def test_the_name_of_a_kernel_tells_tensor_cores(tmp_path: Path, name: str, pipe: str) -> None:
    row = only(tmp_path, op(*MM), kernel(name=name), kernel(name="splitKreduce_kernel"))
    assert row["pipe"] == pipe


def test_the_name_of_a_kernel_tells_tf32(tmp_path: Path) -> None:
    of_floats = {"Input type": ["float", "float"]}
    events = [op(*MM, of_floats, external_id=each, at=10 * each) for each in (1, 2, 3)]
    names = ["sm80_xmma_gemm_f32f32_f32f32", "sm90_xmma_gemm_f32f32_tf32f32", "cutlass_80_tensorop_s1688gemm_128x64"]
    events += [kernel(place, 10 - place, name) for place, name in enumerate(names, start=1)]
    rows = read(write_trace(tmp_path, events))
    assert rows.select("dtype", "repeats").rows() == [("fp32", 1), ("tf32", 2)]
    assert rows["bytes"].to_list() == [4 * 6656] * 2


def test_kernels_count_for_the_innermost_op(tmp_path: Path) -> None:
    """As PyTorch records a linear layer: aten::linear around aten::addmm, whose id the kernel bears."""
    linear = op("aten::linear", [[2, 32, 32], [48, 32], [48]], external_id=1, at=0, us=50)
    events = [
        linear,
        op("aten::addmm", [[48], [64, 32], [32, 48]], external_id=2, at=20, us=25),
        kernel(2, 4),
    ]
    assert only(tmp_path, *events)["op"] == "addmm"
    # a small kernel of the layer itself is none of its product
    assert only(tmp_path, *events, kernel(1, 0.5))["latency_s"] == pytest.approx(4e-6)
    beside = op("aten::addmm", [[48], [64, 32], [32, 48]], external_id=2, at=51, us=25)
    assert read(write_trace(tmp_path, [linear, beside, kernel(1), kernel(2)]))["op"].to_list() == [
        "linear",
        "addmm",
    ]


ONE, KV = [2, 8, 16, 32], [2, 2, 16, 32]
BY_TOKEN = [2, 16, 8, 32]


@pytest.mark.parametrize(
    ("name", "dims", "said", "seen", "of_keys"),
    [
        ("_scaled_dot_product_flash_attention", [ONE] * 3, ["", "", "", "0.", "True"], 8.5, 8),
        ("_scaled_dot_product_flash_attention", [ONE, KV, KV], ["", "", "", "0.", "False"], 16, 2),
        ("_flash_attention_forward", [BY_TOKEN] * 3, [*[""] * 7, "0.", "True", "False", "", "-1", ""], 8.5, 8),
        ("_scaled_dot_product_efficient_attention", [ONE] * 3, [*[""] * 4, "False", "0.", "True"], 8.5, 8),
        ("_efficient_attention_forward", [BY_TOKEN] * 3, [*[""] * 8, "0.", "1", "False"], 8.5, 8),
        ("_efficient_attention_forward", [BY_TOKEN] * 3, [*[""] * 7, "0.", "1", "False"], 8.5, 8),
        ("_scaled_dot_product_cudnn_attention", [ONE] * 3, [*[""] * 4, "False", "0.", "True"], 8.5, 8),
        ("_scaled_dot_product_cudnn_attention", [ONE] * 3, ["", "", "", "0.", "True", "False", ""], 8.5, 8),
        ("_cudnn_attention_forward", [ONE, KV, KV], [*[""] * 9, "0.", "False"], 16, 2),
        ("_scaled_dot_product_flash_attention_for_cpu", [ONE] * 3, ["", "", "", "0.", "True"], 8.5, 8),
    ],
)
def test_attention(tmp_path: Path, name: str, dims: object, said: object, seen: float, of_keys: int) -> None:
    row = only(tmp_path, op(f"aten::{name}", dims, said=said), kernel())
    assert (row["op"], row["op_group"], row["kind"], row["phase"]) == (name, "attention", "attention", "prefill")
    assert (row["batch_size"], row["query_length"], row["sequence_length"]) == (2, 16, 16)
    assert (row["heads"], row["kv_heads"], row["head_dim"], row["m"], row["k"], row["n"]) == (
        8,
        of_keys,
        32,
        16,
        32,
        16,
    )
    assert row["flops"] == 4 * 2 * 8 * 16 * seen * 32
    assert row["bytes"] == 2 * 2 * 16 * 32 * 2 * (8 + of_keys)
    assert row["method"] == "torch profiler, kernel times, median"


@pytest.mark.parametrize(
    ("name", "order", "tokens", "said", "seen", "phase"),
    [
        ("_scaled_dot_product_flash_attention", (0, 2, 1, 3), (1, 64), [*[""] * 4, "False"], 64, "decode"),
        ("_scaled_dot_product_flash_attention", (0, 2, 1, 3), (4, 64), [*[""] * 4, "True"], 62.5, None),
        ("_scaled_dot_product_flash_attention", (0, 2, 1, 3), (64, 4), [*[""] * 4, "True"], 10 / 64, None),
        ("_efficient_attention_forward", (0, 1, 2, 3), (4, 64), [*[""] * 9, "2"], 62.5, None),
        ("_efficient_attention_forward", (0, 1, 2, 3), (4, 64), [*[""] * 9, "1"], 2.5, None),
        ("_cudnn_attention_forward", (0, 2, 1, 3), (64, 4), [*[""] * 10, "True"], (10 + 240) / 64, None),
    ],
)
def test_queries_of_another_length(
    tmp_path: Path,
    name: str,
    order: tuple[int, ...],
    tokens: tuple[int, int],
    said: object,
    seen: float,
    phase: str | None,
) -> None:
    query, key = ([(1, length, 3, 8)[place] for place in order] for length in tokens)
    row = only(tmp_path, op(f"aten::{name}", [query, key, key], said=said), kernel())
    assert (row["query_length"], row["sequence_length"], row["heads"]) == (*tokens, 3)
    assert (row["phase"], row["flops"]) == (phase, 4 * 3 * tokens[0] * seen * 8)


def test_what_a_trace_does_not_say_of_attention(tmp_path: Path) -> None:
    name = "aten::_scaled_dot_product_efficient_attention"
    row = only(tmp_path, op(name, [ONE] * 3), kernel())
    assert row["method"].endswith("median; taken as not causal, the trace does not say")
    assert row["flops"] == 4 * 2 * 8 * 16 * 16 * 32
    masked = op(name, [ONE, ONE, ONE, [2, 8, 16, 16]], said=[*[""] * 4, "False", "0.", "False"])
    assert only(tmp_path, masked, kernel())["method"].endswith("median; with a mask, counted as if it had none")
    of_values = only(tmp_path, op(name, [ONE, ONE, [2, 8, 16, 64]], said=[*[""] * 4, "False", "0.", "False"]), kernel())
    assert of_values["flops"] == 2 * 2 * 8 * 16 * 16 * (32 + 64)


@pytest.mark.parametrize(
    "left_out",
    [
        op("aten::mm", [[64, 32], [31, 48]]),
        op("aten::mm", [[64, 0], [0, 48]]),
        op("aten::mm", [[64, 32]]),
        op("aten::mm", [[64], [64, 32]]),
        op("aten::mm", []),
        op("aten::mm", None),
        op("aten::mm", [[2**39, 2**39, 8], [8, 8]]),
        op("aten::matmul", [[2, 5, 6], [3, 6, 7]]),
        op("aten::mm", MM[1], {"Input type": ["c10::complex<float>"] * 2}),
        op("aten::mm", MM[1], {"Input type": None}),
        op("aten::mm", MM[1], {"External id": None}),
        op("aten::cumsum", [[64, 32], []]),
        {**op(*MM), "ts": "now"},
        op("aten::_flash_attention_forward", [[99, 8, 32]] * 3),
        op("aten::_flash_attention_forward", [BY_TOKEN] * 3, said=[*[""] * 11, "128", "0"]),
        op("aten::_efficient_attention_forward", [BY_TOKEN, BY_TOKEN, BY_TOKEN, NONE, [3], [3]]),
        op("aten::_cudnn_attention_forward", [ONE, [2, 3, 16, 32], [2, 3, 16, 32]]),
        op("aten::_cudnn_attention_forward", [ONE, ONE, [2, 8, 17, 32]]),
    ],
)
def test_what_cannot_be_counted_is_left_out(tmp_path: Path, left_out: Event) -> None:
    events = [left_out, kernel(1), op("aten::mm", [[5, 6], [6, 7]], external_id=2, at=90), kernel(2)]
    assert only(tmp_path, *events)["m"] == 5


def test_an_id_that_stands_twice_is_of_no_op(tmp_path: Path) -> None:
    lone = op("aten::mm", [[5, 6], [6, 7]], external_id=2, at=90)
    assert only(tmp_path, op(*MM), op(*MM, at=50), kernel(), kernel(), lone, kernel(2))["m"] == 5


def test_forms_of_a_file(tmp_path: Path) -> None:
    events = [kernel(), op(*MM)]
    whole = read(write_trace(tmp_path, events))
    packed = write_file(tmp_path, "t.json.gz", gzip.compress((tmp_path / "t.json").read_bytes()))
    assert read(packed).drop("origin").equals(whole.drop("origin"))
    row = read(write_file(tmp_path, "list.json", json.dumps(events))).row(0, named=True)
    assert (row["device_name"], row["software"], row["latency_s"]) == (None, "PyTorch profiler", pytest.approx(5e-6))


def test_traces_before_pytorch_1_11(tmp_path: Path) -> None:
    old = op(*MM)
    args = {"external id": 1, "Input dims": MM[1], "Input type": ["c10::Half", "c10::Half"]}
    content = {"computeProperties": [{"name": "Tesla V100"}], "traceEvents": [{**old, "cat": "Operator", "args": args}]}
    content["traceEvents"].append({**kernel(), "cat": "Kernel", "args": {"external id": 1}})
    row = read(write_file(tmp_path, "t.json", json.dumps(content))).row(0, named=True)
    assert (row["device_name"], row["m"], row["latency_s"]) == ("Tesla V100", 64, pytest.approx(5e-6))


def test_a_trace_of_a_cpu_has_the_durations_of_ops(tmp_path: Path) -> None:
    around = op("aten::matmul", MM[1], at=0, us=30)
    row = only(tmp_path, around, op(*MM, external_id=2, at=5, us=20), deviceProperties=[])
    assert (row["op"], row["latency_s"], row["device_name"]) == ("mm", pytest.approx(2e-5), None)
    assert row["method"] == "torch profiler, durations of ops on the CPU, median"
    elsewhere = {**op(*MM, external_id=2, at=5, us=20), "tid": 8}
    assert len(read(write_trace(tmp_path, [around, elsewhere], deviceProperties=[]))) == 2


def test_large_numbers_beside_what_is_needed(tmp_path: Path) -> None:
    assert only(tmp_path, op(*MM, {"Addr": 2**64 - 1}), kernel(us=5))["m"] == 64


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("", ['no list "traceEvents"']),
        ("{", ['no list "traceEvents"']),
        (b"\x89PNG\r\n\x1a\n\x00", ['no list "traceEvents"']),
        (b"\x1f\x8b\x08\x00", ["the file is cut short", 'no list "traceEvents"']),
        (gzip.compress(json.dumps([op(*MM)] * 99).encode())[:-20], ["the file is cut short", '"kernel"']),
        (json.dumps([op(*MM), kernel()])[:-5], ["1 broken event skipped, the file is cut short", '"kernel"']),
        ("[" * 100_000, ["1 broken event skipped, the file is cut short"]),
        ('{"a":' * 100_000, ['no list "traceEvents"']),
        (f"[{'9' * 5000}]", ["1 broken event skipped"]),
        ("[1e99999999999999999999]", ['no op with "Input Dims"']),
        ("3", ['no list "traceEvents"']),
        ('{"traceEvents": {}, "hardware_id": "x"}', ['no list "traceEvents"']),
        ("[1, 2]", ['no op with "Input Dims"', "record_shapes=True"]),
        (json.dumps([{**op(*MM), "args": {"External id": 1}}, kernel()]), ['no op with "Input Dims"']),
        (
            json.dumps([{"ph": "X", "name": "fusion.3", "pid": 3, "ts": 1, "dur": 5, "args": {"hlo_op": "fusion.3"}}]),
            ["JAX or XLA", "ingest measurement"],
        ),
        (json.dumps([op("aten::cumsum", [[2, 3]]), kernel()]), ["no op of a known kind", "aten::mm"]),
        (json.dumps({**HEAD, "traceEvents": [op(*MM)]}), ['"kernel"', "ProfilerActivity.CUDA"]),
        (json.dumps({"traceEvents": [op(*MM)], "deviceProperties": HEAD["deviceProperties"]}), ['"kernel"']),
        (json.dumps([op(*MM), kernel(2)]), ['"External id"', "CUDA graphs"]),
        (json.dumps([kernel()]), ["no ops beside the kernels", "ProfilerActivity.CPU"]),
        (json.dumps([call("cudaGraphLaunch", 9), kernel()]), ["its kernels run in CUDA graphs"]),
        (
            json.dumps([op("aten::cudnn_convolution", [ONE, ONE]), kernel()]),
            ["cudnn_convolution (sizes not shown) 100.0%"],
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | bytes, names: list[str]) -> None:
    path = write_file(tmp_path, "t.json", content)
    assert_refused(lambda: read(path), names=[str(path), *names])


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    given = make_source(write_trace(tmp_path, []), "torch_profiler")
    given.path.unlink()
    assert_refused(lambda: read_torch_profiler(given, "a100", None), names=["t.json: cannot be read: No such file"])


BACKWARD = [ONE, ONE, KV, KV, ONE, [2, 8, 16]]


@pytest.mark.parametrize(
    ("name", "dims", "said"),
    [
        ("_scaled_dot_product_flash_attention_backward", BACKWARD, [*[""] * 11, "True"]),
        ("_scaled_dot_product_efficient_attention_backward", [*BACKWARD[:4], [], *BACKWARD[4:]], [*[""] * 11, "True"]),
        ("_scaled_dot_product_cudnn_attention_backward", BACKWARD, [*[""] * 14, "True"]),
    ],
)
def test_the_backward_pass_of_attention_has_two_and_a_half_times_its_work(
    tmp_path: Path, name: str, dims: object, said: object
) -> None:
    """Dao 2023 (arXiv 2307.08691), section 4.1."""
    row = only(tmp_path, op(f"aten::{name}", dims, said=said), kernel())
    assert row["kind"] == "attention_backward"
    assert row["flops"] == 2.5 * 4 * 2 * 8 * 16 * 8.5 * 32
    assert row["bytes"] == 2 * 2 * 2 * 16 * 32 * 2 * (8 + 2)


IMAGES, WEIGHTS, RESULT = [2, 8, 16, 16], [12, 4, 3, 3], [2, 12, 8, 8]
TWO, ONES, NO = "[2, 2]", "[1, 1]", "[0, 0]"


@pytest.mark.parametrize(
    ("name", "dims", "said", "flops", "elements"),
    [
        ("convolution", [IMAGES, WEIGHTS], ["", "", "", TWO, ONES, ONES, "False", NO, "2"], 110_592, 4096 + 432 + 1536),
        ("cudnn_convolution", [IMAGES, WEIGHTS], ["", "", ONES, TWO, ONES, "2"], 110_592, 4096 + 432 + 1536),
        ("conv2d", [IMAGES, WEIGHTS, [12]], ["", "", "", TWO, ONES, ONES, "2"], 112_128, 4096 + 432 + 1536 + 12),
        (
            "convolution",
            [[2, 8, 10, 10], [8, 6, 2, 2]],
            ["", "", "", TWO, NO, ONES, "True", NO, "1"],
            76_800,
            1600 + 192 + 4800,
        ),
        (
            "convolution_backward",
            [RESULT, IMAGES, WEIGHTS],
            [*[""] * 3, "[0]", TWO, ONES, ONES, "False", NO, "2", "[True, True, False]"],
            2 * 110_592,
            2 * 4096 + 2 * 432 + 1536,
        ),
        (
            "convolution_backward",
            [RESULT, IMAGES, WEIGHTS],
            [*[""] * 3, "[12]", TWO, ONES, ONES, "False", NO, "2", "[False, True, True]"],
            110_592 + 1536,
            4096 + 432 + 1536 + 12,
        ),
    ],
)
def test_convolutions(tmp_path: Path, name: str, dims: object, said: object, flops: int, elements: int) -> None:
    """2 FLOP for each output element, input channel of its group and place in the kernel."""
    row = only(tmp_path, op(f"aten::{name}", dims, said=said), kernel())
    assert (row["flops"], row["bytes"]) == (flops, 2 * elements)


@pytest.mark.parametrize(
    ("name", "dims", "said", "flops", "elements"),
    [
        ("aten::_grouped_mm", [[64, 32], [4, 32, 48], [4]], [], 196_608, 2048 + 4 * 1536 + 3072),
        ("aten::_grouped_mm", [[64, 32], [32, 48], [4]], [], 196_608, 2048 + 1536 + 4 * 3072),
        ("aten::mv", [[64, 32], [32]], [], 4096, 2048 + 32 + 64),
        ("aten::dot", [[32], [32]], [], 64, 65),
        ("aten::addbmm", [[5, 7], [4, 5, 6], [4, 6, 7]], [], 1680 + 35, 120 + 168 + 35 + 35),
        ("triton_tem_fused_addmm_relu_0", [[48], [64, 32], [32, 48], [64, 48], []], [], 196_608, 48 + 6656),
        (
            "flash_attn::_flash_attn_varlen_forward",
            [[32, 8, 32], [32, 2, 32], [32, 2, 32], [3], [3], [], []],
            [*[""] * 5, "16", "16", "0.", "1.", "True", "-1", "-1"],
            4 * 2 * 8 * 16 * 8.5 * 32,
            2 * 2 * 16 * 32 * (8 + 2),
        ),
    ],
)
def test_other_ops(tmp_path: Path, name: str, dims: object, said: object, flops: float, elements: int) -> None:
    row = only(tmp_path, op(name, dims, said=said), kernel())
    assert (row["flops"], row["bytes"]) == (flops, 2 * elements)


def test_sequences_of_different_lengths_are_not_counted(tmp_path: Path) -> None:
    dims = [[30, 8, 32], [30, 2, 32], [30, 2, 32], [3], [3], [], []]
    said = [*[""] * 5, "16", "16", "0.", "1.", "True", "-1", "-1"]
    events = [op("flash_attn::_flash_attn_varlen_forward", dims, said=said), kernel(), op(*MM, external_id=2, at=90)]
    row = only(tmp_path, *events, kernel(2))
    assert row["op"] == "mm"
    assert "not covered: flash_attn::_flash_attn_varlen_forward (sizes not shown) 50.0%" in row["coverage"]


def test_kernels_of_an_unknown_op_count_for_the_known_one_around_it(tmp_path: Path) -> None:
    events = [op("aten::linear", [[64, 32], [48, 32]], us=50), op("my::gemm", [], external_id=2, at=10), kernel(2, 4)]
    row = only(tmp_path, *events, kernel(1, 1))
    assert (row["op"], row["latency_s"], row["covered_share"]) == ("linear", pytest.approx(5e-6), 1)


def without_id(correlation: int, us: float, at: float = 200) -> Event:
    event = kernel(us=us)
    return {**event, "ts": at, "args": {"device": 0, "correlation": correlation}}


def test_kernels_are_linked_by_the_call_that_launched_them(tmp_path: Path) -> None:
    with_id = [op(*MM), call("hipExtModuleLaunchKernel", 10, 1), without_id(10, 6)]
    assert only(tmp_path, *with_id)["latency_s"] == pytest.approx(6e-6)
    by_time = [op(*MM), call("cudaLaunchKernel", 10, at=4), without_id(10, 6)]
    assert only(tmp_path, *by_time)["latency_s"] == pytest.approx(6e-6)


def recording(first: int, at: float, dims: object = MM[1]) -> list[Event]:
    """Return the events of a product and a sum that are recorded into a graph."""
    return [
        call("cudaStreamBeginCapture", first, at=at),
        op("aten::mm", dims, external_id=first, at=at + 1),
        call("cudaLaunchKernelExC", first + 1, first, at=at + 2),
        op("aten::cumsum", [[64, 48]], external_id=first + 1, at=at + 20),
        call("cudaLaunchKernel", first + 2, first + 1, at=at + 21),
        call("cudaStreamEndCapture", first + 3, at=at + 40),
    ]


def replay(correlation: int, at: float) -> list[Event]:
    kernels = [without_id(correlation, 3, at + 10), without_id(correlation, 1, at + 20)]
    return [call("cudaGraphLaunch", correlation, at=at), *kernels]


def test_kernels_of_a_graph_have_the_shapes_of_its_recording(tmp_path: Path) -> None:
    row = only(tmp_path, *recording(10, 0), *replay(50, 100), *replay(51, 200))
    assert (row["op"], row["launch"], row["repeats"], row["latency_s"]) == ("mm", "graph", 2, pytest.approx(3e-6))
    assert row["coverage"].startswith(
        "covers 75.0% of the time on the GPU, 2 of 4 kernels; not covered: aten::cumsum 25.0%"
    )


def test_recordings_that_cannot_be_told_apart_are_not_counted(tmp_path: Path) -> None:
    events = [*recording(10, 0), *recording(20, 50, [[5, 6], [6, 7]]), *replay(60, 100)]
    beside = [op("aten::mm", [[2, 3], [3, 4]], external_id=70, at=300), kernel(70, 4)]
    row = only(tmp_path, *events, *beside)
    assert (row["m"], row["launch"], row["covered_share"]) == (2, "eager", 0.5)
    assert "CUDA graphs 50.0%" in row["coverage"]


@pytest.mark.parametrize("pids", [("1", "2", "0", "1"), ("[TP00] 1", "[TP01] 1", "[TP00] 0", "[TP01] 0")])
def test_ranks_are_told_apart(tmp_path: Path, pids: tuple[str, ...]) -> None:
    """Every rank numbers its ops from 1."""
    ops = [{**op(*MM), "pid": pids[0]}, {**op("aten::mm", [[5, 6], [6, 7]]), "pid": pids[1]}]
    kernels = [{**kernel(us=3), "pid": pids[2]}, {**kernel(us=4), "pid": pids[3]}]
    rows = read(write_trace(tmp_path, [*ops, *kernels])).select("rank", "m", pl.col("latency_s").round(9))
    assert rows.rows() == [(0, 64, 3e-6), (1, 5, 4e-6)]


def test_the_rank_of_a_file_is_kept(tmp_path: Path) -> None:
    assert only(tmp_path, op(*MM), kernel(), distributedInfo={"rank": 3, "world_size": 8})["rank"] == 3


FRAME = '{"ph": "X", "cat": "python_function", "name": "f", "ts": 1, "dur": 1, "args": {}}'
GOOD_KERNEL = json.dumps(kernel())


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (FRAME.replace('"f"', '"torch\\cuda\\__init__.py"').replace("\\\\", "\\"), "1 broken event skipped"),
        (FRAME.replace('"f"', '"lib("a", "b")"'), "1 broken event skipped"),
        (FRAME.replace("{}", '{"x": NaN}'), "1 broken event skipped"),
        (FRAME.replace('"f"', '"\n"'), "1 broken event skipped"),
        (FRAME.replace('"f"', '"\xff"'), "1 broken event skipped"),
        (FRAME[:-20], "1 broken event skipped"),
        (f"{FRAME},,{FRAME} {FRAME}", ""),
        (GOOD_KERNEL.replace('"device"', '"occupancy": NaN, "device"'), "1 broken event mended"),
        (GOOD_KERNEL.replace('"gemm"', '"a\\gemm"').replace("\\\\", "\\"), "1 broken event mended"),
        (GOOD_KERNEL.replace('"gemm"', '"ge"mm"'), "1 broken event mended"),
        (GOOD_KERNEL.replace('"gemm"', '"ge\tmm"').replace("\\t", "\t"), "1 broken event mended"),
        (GOOD_KERNEL.replace("100.5", '"100.5"'), ""),
    ],
)
def test_a_broken_event_costs_no_other(tmp_path: Path, broken: str, fault: str) -> None:
    text = f'{{"traceEvents": [{json.dumps(op(*MM))}, {broken}, {GOOD_KERNEL}], "deviceProperties": []}}'
    row = read(write_file(tmp_path, "t.json", text.encode("latin-1"))).row(0, named=True)
    assert row["latency_s"] == pytest.approx(1e-5 if '"kernel"' in broken else 5e-6)
    assert row["coverage"].partition("; ")[2] == fault


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (kernel() | {"dur": float("nan")}, "1 op or kernel of unknown time skipped"),
        (kernel() | {"dur": None}, "1 op or kernel of unknown time skipped"),
        (op(*MM, external_id=2, us=float("nan")), "1 op or kernel of unknown time skipped"),
        (call("cudaLaunchKernel", 5) | {"dur": float("nan")}, "1 broken event mended"),
    ],
)
def test_an_op_or_a_kernel_of_unknown_time_is_skipped_and_not_mended(tmp_path: Path, event: Event, fault: str) -> None:
    row = only(tmp_path, op(*MM), kernel(), event)
    assert row["latency_s"] == pytest.approx(5e-6)
    assert row["coverage"] == f"covers 100.0% of the time on the GPU, 1 of 1 kernels; {fault}"


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("first", "more", "fault"),
    [
        ({}, [{"schemaVersion": 1, "traceEvents": []}], "; 1 more trace in the file ignored"),
        (
            {"traceName": "t"},
            [{"traceEvents": []}, {"x": "y" * 700_000, "traceEvents": []}],
            "; 2 more traces in the file ignored",
        ),
        ({"x": "y" * 1_100_000}, [{"traceEvents": []}], "; 1 more trace in the file ignored"),
        ({"occupancy": float("nan")}, ["text"], "; what stands behind the trace is ignored"),
        ({"x": "y" * 1_100_000}, [], ""),
        ({}, [], ""),
    ],
)
def test_what_stands_behind_a_trace_is_named(
    tmp_path: Path, first: Event, more: list[object], fault: str, is_packed: bool
) -> None:
    documents = [{"traceEvents": [op(*MM), kernel()], **first}, *more]
    text = "\n".join(map(json.dumps, documents)).encode()
    path = write_file(tmp_path, "t.json", gzip.compress(text) if is_packed else text + b"\n")
    row = read(path).row(0, named=True)
    assert row["coverage"] == f"covers 100.0% of the time on the GPU, 1 of 1 kernels{fault}"


def test_a_second_list_of_events_is_named(tmp_path: Path) -> None:
    lists = "\n".join(json.dumps([op(*MM), kernel(us=us)]) for us in (5, 9))
    row = read(write_file(tmp_path, "t.json", lists)).row(0, named=True)
    assert (row["latency_s"], row["coverage"].partition("; ")[2]) == (
        pytest.approx(5e-6),
        "what stands behind the trace is ignored",
    )


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_trace_that_is_cut_short_is_read_to_its_end(tmp_path: Path, is_packed: bool) -> None:
    events = [part for each in range(500) for part in (op(*MM, external_id=each, at=10 * each), kernel(each))]
    text = json.dumps({**HEAD, "traceEvents": events}).encode()
    path = write_file(tmp_path, "t.json", gzip.compress(text)[:-50] if is_packed else text[:-500])
    row = read(path).row(0, named=True)
    assert 300 < row["repeats"] < 500
    assert row["coverage"].endswith("the file is cut short")


def test_ops_of_ones_own_are_counted(tmp_path: Path) -> None:
    table = """
[[op]]
names = ["mine::*gemm"]
formula = "product"
left = 1
right = 2
right_rows = "n"
origin = "me"
[[op]]
names = ["aten::mm"]
formula = "product"
sums_batches = true
origin = "me"
"""
    paths = [SHIPPED / "trace_ops.toml", write_file(tmp_path, "trace_ops.toml", table)]
    known = load_trace_ops([make_source(path, "trace_ops") for path in paths])
    path = write_trace(tmp_path, [op("mine::fast_gemm", [[1], [64, 32], [48, 32]]), kernel()])
    rows = read_torch_profiler(make_source(path, "torch_profiler"), "a100", None, known)
    assert rows.select("op", "flops", "bytes").row(0) == ("mine::fast_gemm", 196_608, 2 * 6656)
    mine = known.find("aten::mm")
    assert mine is not None
    assert mine.sums_batches


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ('formula = "gemm"', ["formula", '"gemm"', "'product'"]),
        ('formula = "product"\nquery = 1', ["query = 1", "a field of product"]),
        ('formula = "product"\nleft = -1', ["left = -1"]),
        ('formula = "product"\nn_from = [1]', ["n_from"]),
        ('formula = "convolution_backward"', ["gradient"]),
        ('formula = "elementwise"\nreads = []', ["written"]),
        ('formula = "uncounted"', ["note", "why the op cannot be counted"]),
        ('formula = "elementwise"\nflops_per_element = -1', ["flops_per_element = -1"]),
        ('formula = "product"\norigin = ""', ["origin"]),
    ],
)
def test_a_bad_table_of_ops_is_refused(tmp_path: Path, entry: str, names: list[str]) -> None:
    origin = "" if "origin" in entry else '\norigin = "me"'
    path = write_file(tmp_path, "trace_ops.toml", f'[[op]]\nnames = ["a"]\n{entry}{origin}\n')
    assert_refused(lambda: load_trace_ops([make_source(path, "trace_ops")]), names=["trace_ops.toml", *names])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=9,
)
SIZES = st.lists(st.lists(st.integers(-1, 9) | st.just(2**39), max_size=4) | JSON, max_size=6)
ARGS = st.fixed_dictionaries(
    {},
    optional={
        "External id": st.integers(0, 3) | JSON,
        "external id": st.integers(0, 3) | JSON,
        "Input Dims": st.sampled_from([MM[1], [[9], *MM[1]], [ONE] * 3, [BY_TOKEN] * 3]) | SIZES | JSON,
        "Input type": st.just(["float"] * 4) | JSON,
        "Concrete Inputs": st.lists(st.sampled_from(["", "True", "0.", "1", "2", "-1"]), max_size=14) | JSON,
    },
)
NAMES = [
    "mm",
    "addmm",
    "bmm",
    "matmul",
    "linear",
    "_flash_attention_forward",
    "_scaled_dot_product_efficient_attention",
]
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "cat": st.sampled_from(["cpu_op", "kernel"]) | JSON,
        "name": st.sampled_from([f"aten::{name}" for name in NAMES]) | JSON,
        "pid": JSON,
        "tid": JSON,
        "ts": st.floats(0, 9) | JSON,
        "dur": st.floats(0, 9) | JSON,
        "args": ARGS | JSON,
    },
)


@settings(deadline=None, max_examples=150)
@given(events=st.lists(EVENT | JSON, max_size=5), head=st.dictionaries(st.sampled_from([*HEAD, "x_version"]), JSON))
def test_whatever_stands_in_the_events(
    tmp_path_factory: pytest.TempPathFactory, events: list[object], head: dict[str, object]
) -> None:
    sound = [op(*MM, external_id=9, at=1000), kernel(9)]
    content = json.dumps({**head, "traceEvents": [*events, *sound]})
    assert_read_or_refused(write_file(tmp_path_factory.getbasetemp(), "events.json", content))


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ 1e-.tnu', max_size=60).map(str.encode))
def test_whatever_stands_in_the_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for start in (b"", b"\x1f\x8b\x08", b'{"traceEvents":[', b'[{"cat":"cpu_op","args":'):
        assert_read_or_refused(write_file(tmp_path_factory.getbasetemp(), "bytes.json", start + content))


def assert_read_or_refused(path: Path) -> None:
    message = ""
    try:
        rows = read(path)
    except InputError as error:
        message = str(error)
    else:
        assert rows.select(
            ((pl.col("flops") > 0) & (pl.col("bytes") > 0) & pl.col("latency_s").is_between(1e-9, 1e5)).all()
        ).item()
        assert not rows.is_empty()
    assert "\n" not in message


def test_a_large_trace_takes_little_memory(tmp_path: Path) -> None:
    stack = {"Python id": 1, "Call stack": "torch/nn/modules/module.py(1773): _call_impl;" * 90}
    other = json.dumps({"ph": "X", "cat": "python_function", "name": "f", "ts": 1, "dur": 1.5, "args": stack})
    path = tmp_path / "large.json"
    with path.open("w") as file:
        file.write(f'{{"deviceProperties": [], "traceEvents": [{other}')
        for each in range(130):
            file.write(f",{other}" * 100)
            file.write(f",{json.dumps(op(*MM, external_id=each, at=10 * each))},{json.dumps(kernel(each))}")
        file.write("]}")
    assert path.stat().st_size > 50_000_000
    given = make_source(path, "torch_profiler")
    start = time.monotonic()
    tracemalloc.start()
    try:
        rows = read_torch_profiler(given, "a100", None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows["repeats"].to_list() == [130]
    assert peak < 4_000_000
    assert time.monotonic() - start < 20


BIG = [4, 8, 16]  # 512 elements


@pytest.mark.parametrize(
    ("name", "dims", "types", "said", "flops", "moved"),
    [
        ("aten::mul", [BIG, BIG], "c10::BFloat16", (), 512, 3 * 1024),
        ("aten::add", [BIG, [16], []], "c10::BFloat16", ("", "", "1"), 512, 2 * 1024 + 32),
        ("aten::add_", [BIG, BIG, []], "float", ("", "", "1"), 512, 3 * 2048),
        ("aten::silu", [BIG], "c10::Half", (), 4 * 512, 2 * 1024),
        ("aten::_softmax", [BIG, [], []], "float", ("", "-1", "False"), 5 * 512, 2 * 2048),
        ("aten::native_layer_norm", [BIG, [], [16], [16], []], "c10::Half", (), 7 * 512, 2 * 1024 + 2 * 32),
        ("aten::sum", [BIG, [], [], []], "c10::Half", ("", "[0, -1]", "False", "6"), 512, 1024 + 8 * 4),
        ("aten::copy_", [BIG, BIG, []], ("float", "c10::Half"), (), 0, 2048 + 1024),
        ("aten::fill_", [BIG, []], "c10::Half", (), 0, 1024),
        ("aten::where", [BIG, BIG, []], ("bool", "float"), (), 0, 512 + 2 * 2048),
        ("aten::silu_backward", [BIG, BIG], "c10::Half", (), 9 * 512, 3 * 1024),
    ],
)
def test_passes_over_tensors(
    tmp_path: Path, name: str, dims: object, types: object, said: object, flops: int, moved: int
) -> None:
    given = {"Input type": [types] * 9 if isinstance(types, str) else list(types)}  # type: ignore[call-overload]
    row = only(tmp_path, op(name, dims, given, said=said), kernel())
    assert (row["kind"], row["flops"], row["bytes"]) == ("pointwise", flops, moved)


@pytest.mark.parametrize(
    "left_out",
    [
        op("aten::mul", [BIG, BIG], {"Input type": ["c10::Half", "float"]}),  # the result is wider than one of them
        op("aten::mul", [BIG, [5]]),
        op("aten::mul", [BIG, BIG], {"Input type": ["long int"] * 2}),
        op("aten::_softmax", [BIG], said=["", "-1", "True"]),
        op("aten::cat", [[BIG, BIG], []], {"Input type": ["TensorList", "Scalar"]}),
    ],
)
def test_passes_that_a_trace_does_not_show_are_left_out(tmp_path: Path, left_out: Event) -> None:
    row = only(tmp_path, left_out, kernel(), op(*MM, external_id=2, at=50), kernel(2))
    assert (row["op"], row["covered_share"]) == ("mm", 0.5)


def test_a_tensor_that_is_expanded_is_read_as_it_is_stored(tmp_path: Path) -> None:
    strides = {"Input Strides": [[0, 0, 0], [128, 16, 1]]}
    assert only(tmp_path, op("aten::mul", [BIG, BIG], strides), kernel())["bytes"] == 2 + 2 * 1024


def test_a_pass_inside_of_a_product_or_a_pass_belongs_to_it(tmp_path: Path) -> None:
    events = [
        *(op(*MM, external_id=1, at=0, us=100), op("aten::copy_", [BIG, BIG], external_id=2, at=10)),
        *(op("aten::matmul", [BIG[1:], [16, 4]], external_id=3, at=200, us=100), op(*MM, external_id=4, at=210)),
        op("aten::copy_", [BIG, BIG], external_id=5, at=230),
        op("aten::_softmax_backward_data", [BIG, BIG], external_id=6, at=400, us=100, said=["", "", "-1", "5"]),
        op("aten::mul", [BIG, BIG], external_id=7, at=410),
    ]
    rows = read(write_trace(tmp_path, [*events, *(kernel(each + 1, us=2**each) for each in range(7))]))
    times = dict(zip(rows["op"].to_list(), (rows["latency_s"] * rows["repeats"] * 1e6).round(3).to_list(), strict=True))
    assert times == {"mm": 1 + 2 + 8, "copy_": 16, "_softmax_backward_data": 32 + 64}
    assert rows["covered_share"][0] == pytest.approx(1 - 4 / 127)  # the kernel of matmul itself


def test_passes_count_as_elementwise_toml_does() -> None:
    ops = load_trace_ops([make_source(SHIPPED / "trace_ops.toml", "trace_ops")])
    counts = {each["kind"]: each["flops_per_element"] for each in tomllib.loads(ELEMENTWISE.read_text())["elementwise"]}
    same = {
        "silu": "silu",
        "gelu": "gelu",
        "_softmax": "softmax",
        "native_layer_norm": "layer_norm",
        "_fused_rms_norm": "rms_norm",
    }
    found = {kind: ops.find(f"aten::{name}") for name, kind in same.items()}
    assert {kind: op and op.flops_per_element for kind, op in found.items()} == {kind: counts[kind] for kind in found}


_PEAK = """
import sys
from pathlib import Path
from flows.ingest.profiles.torch_profiler import read_torch_profiler
from tests.support.inputs import make_source
rows = read_torch_profiler(make_source(Path(sys.argv[1]), "torch_profiler"), "h100-sxm", None)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(rows["repeats"].sum(), rows["coverage"][0].endswith("cut short"), int(status["VmHWM"].split()[0]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_trace_of_four_times_as_many_kernels_takes_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for launches, name in ((80_000, "short.json"), (320_000, "long.json.gz")):
        path = write_long_trace(tmp_path / name, launches, is_cut=True)
        done = subprocess.run([sys.executable, "-c", _PEAK, path], capture_output=True, text=True, check=True)
        kernels, is_cut, peak = done.stdout.split()
        assert (int(kernels), is_cut) == (launches, "True")
        peaks.append(float(peak))
    assert peaks[1] < peaks[0] + 90  # MiB; the tables of all events, kept in memory, would be 270 more

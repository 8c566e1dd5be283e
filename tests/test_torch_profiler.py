"""Traces of PyTorch's profiler: what becomes of each op, and what is refused."""

import gzip
import json
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.profiles.torch_profiler import read_torch_profiler
from flows.ingest.readers.measurement import read_measurements
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.errors import InputError

MM = "aten::mm", [[64, 32], [32, 48]]
HEAD = {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA A100"}], "cuda_runtime_version": 12060}
Event = dict[str, Any]


def op(
    name: str, dims: object, args: Event | None = None, *, external_id: int = 1, at: float = 0, us: float = 9,
    said: object = (),
) -> Event:  # fmt: skip
    given = {"External id": external_id, "Input Dims": dims, "Input type": ["c10::Half"] * 9, "Concrete Inputs": said}
    event = {"ph": "X", "cat": "cpu_op", "name": name, "pid": 7, "tid": 7, "ts": at, "dur": us}
    return {**event, "args": {**given, **(args or {})}}


def kernel(external_id: int = 1, us: float = 5, name: str = "gemm", category: str = "kernel") -> Event:
    args = {"External id": external_id, "device": 0, "stream": 7, "correlation": 99}
    return {"ph": "X", "cat": category, "name": name, "pid": 0, "tid": 7, "ts": 100.5, "dur": us, "args": args}


def write_trace(folder: Path, events: Sequence[object], **head: object) -> Path:
    return write_file(folder, "t.json", json.dumps({**HEAD, **head, "traceEvents": events, "traceName": "t.json"}))


def read(path: Path) -> pl.DataFrame:
    return read_torch_profiler(make_source(path, "torch_profiler"), "a100", "gpt2")


def only(folder: Path, *events: Event, **head: object) -> dict[str, Any]:
    rows = read(write_trace(folder, events, **head))
    assert len(rows) == 1
    return rows.row(0, named=True)


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
    ("name", "given", "dtype", "width"),
    [
        ("mm", "double", "fp64", 8),
        ("mm", "float", "fp32", 4),
        ("mm", "c10::BFloat16", "bf16", 2),
        ("_scaled_mm", "c10::Float8_e4m3fn", "fp8", 1),
        ("_int_mm", "signed char", "int8", 1),
    ],
)
def test_types(tmp_path: Path, name: str, given: str, dtype: str, width: int) -> None:
    row = only(tmp_path, op(f"aten::{name}", MM[1], {"Input type": [given, given]}), kernel())
    assert (row["dtype"], row["bytes"]) == (dtype, width * 6656)


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
NONE: list[int] = []


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
        op("aten::add", [[64, 32], [64, 32]]),
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
        ("", ["broken JSON: parse error: premature EOF; expected a whole trace"]),
        ("{", ["broken JSON"]),
        (b"\x89PNG\r\n\x1a\n\x00", ["broken JSON"]),
        (b"\x1f\x8b\x08\x00", ["broken JSON"]),
        (gzip.compress(json.dumps([op(*MM), kernel()] * 99).encode())[:-20], ["broken JSON"]),
        (json.dumps([op(*MM), kernel()])[:-5], ["broken JSON"]),
        ("[" * 100_000, ["nested too deeply"]),
        ('{"a":' * 100_000, ["nested too deeply"]),
        (f"[{'9' * 5000}]", ["a number with hundreds of digits"]),
        ("[1e99999999999999999999]", ["broken JSON"]),
        ("3", ['no list "traceEvents"']),
        ('{"traceEvents": {}, "hardware_id": "x"}', ['no list "traceEvents"']),
        ("[1, 2]", ['no op with "Input Dims"', "record_shapes=True"]),
        (json.dumps([{**op(*MM), "args": {"External id": 1}}, kernel()]), ['no op with "Input Dims"']),
        (json.dumps([op("aten::add", [[2, 3]]), kernel()]), ["no op of a known kind", "aten::mm"]),
        (json.dumps({**HEAD, "traceEvents": [op(*MM)]}), ['"kernel"', "ProfilerActivity.CUDA"]),
        (json.dumps([op(*MM), kernel(2)]), ['"External id"', "CUDA graphs"]),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | bytes, names: list[str]) -> None:
    path = write_file(tmp_path, "t.json", content)
    assert_refused(lambda: read(path), names=[str(path), *names])


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    given = make_source(write_trace(tmp_path, []), "torch_profiler")
    given.path.unlink()
    assert_refused(lambda: read_torch_profiler(given, "a100", None), names=["t.json: cannot be read: No such file"])


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

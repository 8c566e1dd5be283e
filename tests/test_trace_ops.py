"""Ops of other libraries in traces of PyTorch: their work, worked out by hand from their registered arguments."""

from pathlib import Path

import pytest

from tests.support.inputs import assert_refused
from tests.support.traces import MM, NONE, kernel, only, op, read, write_trace

BF16, FP8, BYTE, FLOAT = "c10::BFloat16", "c10::Float8_e4m3fn", "unsigned char", "float"
Q, KV = [2, 16, 8, 32], [2, 16, 2, 32]  # batch, tokens, heads, head size
ATTENDED = 4 * 2 * 8 * 16 * 8.5 * 32  # causal
MOVED = 2 * 2 * 16 * 32 * (8 + 2)  # queries or results, and keys or values, of 2 bytes
PRODUCT = 2 * 64 * 32 * 48


@pytest.mark.parametrize(
    ("name", "dims", "types", "said", "flops", "moved"),
    [
        (
            "flashattn::_flash_attn_forward",
            [Q, KV, KV, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE],
            [BF16] * 3,
            [*[""] * 3, "0.", "0.1", "True", "-1", "-1", "0.", "", "False"],
            ATTENDED,
            2 * MOVED,
        ),
        (
            "flashattn::_flash_attn_backward",
            [Q, Q, KV, KV, Q, [2, 8, 16], Q, KV, KV],
            [BF16] * 5,
            [*[""] * 9, "0.", "0.1", "True", "-1", "-1", "0.", "", "False"],
            2.5 * ATTENDED,
            4 * MOVED,
        ),
        (
            "aiter::fmha_v3_fwd",
            [Q, KV, KV],
            [BF16] * 3,
            [*[""] * 3, "0.", "0.1", "True", "-1", "0", "True", "False", "1"],
            ATTENDED,
            2 * MOVED,
        ),
        (
            "aiter::mha_bwd",
            [Q, Q, KV, KV, Q, [2, 8, 16]],
            [BF16] * 5,
            [*[""] * 6, "0.", "0.1", "True", "-1", "-1", "False"],
            2.5 * ATTENDED,
            4 * MOVED,
        ),
        (
            "vllm::bmm_fp8",
            [[1, 64, 32], [1, 32, 48], [1], [1]],
            [FP8, FP8, FLOAT, FLOAT],
            ["", "", "", "", "15", "auto"],
            PRODUCT,
            64 * 32 + 32 * 48 + 2 * 4 + 2 * 64 * 48,
        ),
        (
            "vllm::flashinfer_mm_fp4",
            [[64, 16], [16, 48], [128, 4], [4, 128], [1]],
            [BYTE, BYTE, FP8, FP8, FLOAT],
            ["", "", "", "", "", "15", "False", "cutlass"],
            PRODUCT,
            64 * 16 + 16 * 48 + 2 * 512 + 2 * 64 * 48,
        ),
        (
            "torchao::int_matmul",
            [[64, 32], [32, 48]],
            ["signed char"] * 2,
            [],
            PRODUCT,
            64 * 32 + 32 * 48 + 4 * 64 * 48,
        ),
        (
            "torchao::int_scaled_matmul",
            [[64, 32], [32, 48], [64, 1]],
            ["signed char", "signed char", BF16],
            [],
            PRODUCT,
            64 * 32 + 32 * 48 + 2 * 64 + 2 * 64 * 48,
        ),
        (
            "torchao::mx_fp8_bf16",
            [[64, 32], [32, 48], [512], [512]],
            [FP8, FP8, "c10::Float8_e8m0fnu", "c10::Float8_e8m0fnu"],
            [],
            PRODUCT,
            64 * 32 + 32 * 48 + 2 * 512 + 2 * 64 * 48,
        ),
        (
            "torchao::mx_fp4_bf16",
            [[64, 16], [16, 48], [512], [512]],
            [BYTE] * 4,
            [],
            PRODUCT,
            64 * 16 + 16 * 48 + 2 * 512 + 2 * 64 * 48,
        ),
        (
            "aten::native_layer_norm_backward",
            [[64, 32], [64, 32], NONE, [64, 1], [64, 1], [32], [32], NONE],
            [BF16, BF16, "", FLOAT, FLOAT, BF16, BF16, ""],
            ["", "", "[32]", "", "", "", "", "[True, True, True]"],
            13 * 64 * 32,
            3 * 2 * 64 * 32 + 2 * 4 * 64 + 3 * 2 * 32,
        ),
        (
            "aten::embedding",
            [[1000, 32], [2, 8], NONE, NONE, NONE],
            [BF16, "long int"],
            ["", "", "-1", "False", "False"],
            0,
            16 * 8 + 2 * 2 * 16 * 32,
        ),
        (
            "aten::index_select",
            [[4, 1000, 32], NONE, [16]],
            [FLOAT, "Scalar", "int"],
            ["", "-2", ""],
            0,
            16 * 4 + 2 * 4 * 4 * 16 * 32,
        ),
    ],
)
def test_an_op_of_another_library(
    tmp_path: Path, name: str, dims: object, types: list[str], said: object, flops: float, moved: float
) -> None:
    row = only(tmp_path, op(name, dims, {"Input type": types}, said=said), kernel())
    assert (row["op"], row["flops"], row["bytes"]) == (name.removeprefix("aten::"), flops, moved)
    assert "not say" not in row["method"]


@pytest.mark.parametrize(
    ("a", "transposes_a", "b", "transposes_b"),
    [([48, 32], "1", [64, 32], "0"), ([32, 48], "0", [64, 32], "0"), ([32, 48], "0", [32, 64], "1")],
)
@pytest.mark.parametrize(("given", "dtype", "width"), [(BF16, "bf16", 2), (BYTE, "fp8", 1)])
@pytest.mark.parametrize("adds", ["0", "1"])
def test_a_product_of_transformer_engine(
    tmp_path: Path, a: object, transposes_a: str, b: object, transposes_b: str, given: str, dtype: str, width: int,
    adds: str,
) -> None:  # fmt: skip
    """The result of 64 × 48 is of bf16; the weights of the forward pass stand first, with a row for each output."""
    dims = [a, [1], NONE, NONE, NONE, b, [1], NONE, NONE, NONE, [64, 48], *[NONE] * 11]
    said = ["", "", "0", "6", transposes_a, "", "", "0", "6", transposes_b, *[""] * 10, adds, "1"]
    types = {"Input type": [given, FLOAT, *["Scalar"] * 3, given, FLOAT, *["Scalar"] * 3, BF16]}
    row = only(tmp_path, op("tex_ts::te_gemm_ts", dims, types, said=said), kernel())
    assert (row["m"], row["k"], row["n"], row["dtype"]) == (64, 32, 48, dtype)
    assert row["flops"] == PRODUCT + int(adds) * 64 * 48
    assert row["bytes"] == width * (64 * 32 + 32 * 48) + (1 + int(adds)) * 2 * 64 * 48


def test_a_product_whose_transposition_is_not_said_is_left_out(tmp_path: Path) -> None:
    dims = [[32, 32], [1], NONE, NONE, NONE, [32, 32], [1], NONE, NONE, NONE, [32, 32]]
    row = only(tmp_path, op("tex_ts::te_gemm_ts", dims), kernel(), op(*MM, external_id=2, at=50), kernel(2))
    assert "not covered: tex_ts::te_gemm_ts (sizes not shown) 50.0%" in row["coverage"]


@pytest.mark.parametrize("wanted", ["[False, True, True]", "[]", ""])
def test_a_gradient_that_is_not_wanted_leaves_a_pass_out(tmp_path: Path, wanted: str) -> None:
    name, sizes = "aten::native_layer_norm_backward", [64, 32]
    given = op(name, [sizes, sizes, NONE, [64, 1], [64, 1], [32], [32]], said=[*[""] * 7, wanted])
    rows = read(write_trace(tmp_path, [given, kernel(), op(*MM, external_id=2, at=50), kernel(2)]))
    assert rows["op"].to_list() == ["mm"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("vllm::unified_attention", "lengths of sequences not among its inputs"),
        ("aten::_foreach_add_", "lists of tensors without dtypes"),
        ("torchao::rowwise_scaled_linear_cutlass_s8s4", "packed int4"),
    ],
)
def test_an_op_that_cannot_be_counted_says_why(tmp_path: Path, name: str, why: str) -> None:
    path = write_trace(tmp_path, [op(name, [[8, 64]] * 3), kernel()])
    assert_refused(lambda: read(path), names=[f"{name} ({why}) 100.0%"])

"""Traces of PyTorch's profiler (`export_chrome_trace`, with `record_shapes=True`) into measurements.

A trace can have gigabytes of events: they are streamed, and only numbers are kept. A kernel has the external id of the
innermost op that launched it, so the kernels of `aten::linear` belong to `aten::addmm`: the time of an op is the sum
over its own kernels, copies and fills. It ran on tensor cores if the name of one of its kernels says so. If the trace
has no GPU, it is the duration of the op itself. All elements of an op have the width of its first matrix, as in the
plans of `flows.measure.standalone`.
"""

import gzip
import math
import re
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import ijson
import polars as pl

from flows.ingest.profiles.json_stream import CHUNK, open_json
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import attention, linear
from flows.intensity.terms import BYTES, Dtype
from warehouse.errors import InputError, one_line

# Categories of events; the second names are those of PyTorch before 1.11.
_OF_HOST = frozenset({"cpu_op", "Operator"})
_OF_DEVICE = frozenset({"kernel", "Kernel", "gpu_memcpy", "Memcpy", "gpu_memset", "Memset"})
_DTYPES: Mapping[str, Dtype] = {
    "double": "fp64", "float": "fp32", "c10::Half": "fp16", "c10::BFloat16": "bf16", "signed char": "int8",
    "c10::Float8_e4m3fn": "fp8", "c10::Float8_e5m2": "fp8", "c10::Float8_e4m3fnuz": "fp8",
    "c10::Float8_e5m2fnuz": "fp8",
}  # fmt: skip
# Parts of the names of kernels that compute fp32 in tf32.
_TF32 = ("tf32", "s1688gemm")
# Parts of the names of kernels that run on tensor cores: of cuBLAS, CUTLASS and FlashAttention. Others do not tell.
_TENSOR = re.compile(
    "tensorop|tensor[0-9]+x[0-9]+|warpgroup|wgmma|[hsdi](884|1688|16816|16832)(gemm|cudnn)|nvjet|flash_(fwd|bwd)"
)

# GEMM -> positions of its first matrix and of the added tensor among its inputs
_PRODUCTS: dict[str, tuple[int, int | None]] = {
    "aten::mm": (0, None),
    "aten::addmm": (1, 0),
    "aten::bmm": (0, None),
    "aten::baddbmm": (1, 0),
    "aten::matmul": (0, None),
    "aten::linear": (0, 2),
    "aten::_scaled_mm": (0, 4),
    "aten::_int_mm": (0, None),
}
_BETA = 3  # position of the factor of the added tensor


class _Fused(NamedTuple):
    """Where a fused attention op has its inputs."""

    heads_first: bool  # in tensors, heads come before tokens
    causal: tuple[int, ...]  # positions of the kind of mask, in recent versions first
    mask: int | None = None
    windows: slice = slice(0)
    masks: tuple[str, ...] = ("False", "True")  # values of the kind of mask, not causal first
    aligns_ends: bool = False  # with fewer queries than keys, the last query sees all keys


_FUSED = {
    "aten::_scaled_dot_product_flash_attention": _Fused(True, (4,), aligns_ends=True),
    "aten::_flash_attention_forward": _Fused(False, (8,), windows=slice(11, 13), aligns_ends=True),
    "aten::_scaled_dot_product_efficient_attention": _Fused(True, (6,), mask=3),
    "aten::_efficient_attention_forward": _Fused(False, (9, 8), mask=3, windows=slice(13, 14), masks=("0", "1", "2")),
    "aten::_scaled_dot_product_cudnn_attention": _Fused(True, (6, 4), mask=3),
    "aten::_cudnn_attention_forward": _Fused(True, (10,), mask=3),
    "aten::_scaled_dot_product_flash_attention_for_cpu": _Fused(True, (4,), mask=5),
}
_NO_WINDOW = ("", "-1")
_UNKNOWN_MASK = "; taken as not causal, the trace does not say"
_MASKED = "; with a mask, counted as if it had none"
_ALIGNS_ENDS = "2"

_MAX_DIMENSIONS, _MAX_SIZE = 8, 2**40
_MAX_NUMBER = 1e18
_MAX_LENGTH = 400
_TIMES = (1e-9, 1e5)  # seconds


class _Shape(NamedTuple):
    """What distinguishes the rows of a trace, besides the arithmetic of their kernels."""

    op: str
    op_group: str
    kind: str
    dtype: str
    m: int
    k: int
    n: int
    matrices: int = 1
    added: int = 0  # elements that are added to the result of a GEMM
    phase: str | None = None
    batch_size: int | None = None
    sequence_length: int | None = None
    query_length: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    value_dim: int | None = None
    attended: float | None = None
    note: str = ""


_TEXTS = ("op", "op_group", "kind", "dtype", "phase", "note")
_SCHEMA: dict[str, Any] = {
    name: pl.String if name in _TEXTS else pl.Float64 if name == "attended" else pl.Int64 for name in _Shape._fields
}


_DTYPE_OF_CODE = {"q": pl.Int64, "d": pl.Float64, "b": pl.Int8}  # of an array


class _Head(NamedTuple):
    """What a trace has before its events."""

    events: str  # path to the events, in the notation of ijson
    devices: list[str]
    versions: list[str]


def read_torch_profiler(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per distinct op and shape, with the columns of a measurement file.

    Parameters
    ----------
    source
        The trace, JSON or gzipped JSON.
    hardware_id, model_id
        The device and the model, which the file does not name.

    Raises
    ------
    InputError
        The file is not a trace with shapes, or has neither a GEMM nor fused attention.
    """
    path = source.path
    with _refuse_broken(path):
        head = _read_head(path)
        events = _Events()
        with open_json(path) as file:
            for event in ijson.items(file, head.events, buf_size=CHUNK):
                events.add(event)
    if not events.has_sizes:
        raise InputError(f'{path}: no op with "Input Dims"; expected a trace recorded with record_shapes=True')
    if not events.shapes:
        known = ", ".join([*_PRODUCTS, *_FUSED])
        raise InputError(f"{path}: no op of a known kind, shape and dtype; expected one of {known}")
    if head.devices and not events.has_kernels:
        raise InputError(
            f'{path}: no event of category "kernel" although it names a GPU; expected a trace recorded with'
            " ProfilerActivity.CUDA, or without a visible GPU"
        )
    rows = _summarize_shapes(events)
    if rows.is_empty():
        raise InputError(
            f'{path}: no kernel with the "External id" of a GEMM or fused attention; expected ops that run'
            " outside of CUDA graphs, traced with ProfilerActivity.CPU and CUDA"
        )
    clock = "kernel times" if events.has_kernels else "durations of ops on the CPU"
    return rows.with_columns(
        hardware_id=pl.lit(hardware_id),
        device_name=pl.lit(_printable(", ".join(dict.fromkeys(head.devices))) or None, pl.String),
        model_id=pl.lit(model_id, pl.String),
        tensor_parallel=pl.lit(1, pl.Int64),
        method=pl.format("torch profiler, {}, median{}", pl.lit(clock), "note"),
        software=pl.lit(_printable(", ".join(["PyTorch profiler", *head.versions]))),
        origin=pl.lit(_printable(f"PyTorch profiler trace {path.name}")),
        license=pl.lit(None, pl.String),
    ).select(
        "hardware_id", "device_name", "model_id", "op", "op_group", "phase", "kind", "m", "k", "n", "batch_size",
        "sequence_length", "query_length", "heads", "kv_heads", "head_dim", "matrices", "tensor_parallel", "dtype",
        "pipe", "flops", "bytes", "latency_s", "latency_min_s", "latency_std_s", "repeats", "method", "software",
        "origin", "license",
    )  # fmt: skip


@contextmanager
def _refuse_broken(path: Path) -> Iterator[None]:
    """Raise `InputError` for whatever can be wrong with the bytes of a file."""
    broken = (ijson.JSONError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, ArithmeticError, RecursionError)
    try:
        yield
    except broken as error:
        reason = one_line(re.split(r"\n|\\n", str(error))[0].removeprefix("b'"))[:200]
        raise InputError(f"{path}: broken JSON: {reason}; expected a whole trace of PyTorch's profiler") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read_head(path: Path) -> _Head:
    """Return what comes before the events, which are a field of an object, or the whole document."""
    devices: list[str] = []
    versions: dict[str, object] = {}
    with open_json(path) as file:
        for place, token, value in ijson.parse(file, buf_size=CHUNK):
            if token == "start_array" and place in ("", "traceEvents"):
                return _Head(f"{place}.item".removeprefix("."), devices, [f"{k} {v}" for k, v in versions.items()])
            if place in ("deviceProperties.item.name", "computeProperties.item.name") and token == "string":
                devices.append(value)
            if place.endswith(("Version", "_version")) and "." not in place and token in ("string", "number"):
                versions[place] = value
    raise InputError(f'{path}: no list "traceEvents"; expected a trace of PyTorch\'s profiler')


class _Events:
    """The relevant events of a trace, as columns."""

    def __init__(self) -> None:
        self.has_sizes = self.has_kernels = False
        self.shapes: dict[_Shape, int] = {}
        self._threads: dict[str, int] = {}
        self._ops: dict[str, array[Any]] = {name: array("q") for name in ("id", "shape", "thread")}
        self._ops |= {name: array("d") for name in ("start", "us")}
        self._kernels: dict[str, array[Any]] = {"id": array("q"), "us": array("d")}
        self._kernels |= {name: array("b") for name in ("is_tf32", "is_tensor")}

    def add(self, event: object) -> None:
        """Keep the needed numbers of an event."""
        if not isinstance(event, dict):
            return
        category, name, args = event.get("cat"), event.get("name"), event.get("args")
        if not (isinstance(category, str) and isinstance(name, str) and isinstance(args, dict)):
            return
        if category in _OF_DEVICE:
            self._add_kernel(event, name, args)
        elif category in _OF_HOST:
            self.has_sizes = self.has_sizes or bool(_input_dims(args))
            if name in _PRODUCTS or name in _FUSED:
                self._add_op(event, name, args)

    def _add_kernel(self, event: Mapping[str, object], name: str, args: Mapping[str, object]) -> None:
        self.has_kernels = True
        identity, time = _external_id(args), _as_number(event.get("dur"))
        if identity is not None and time is not None:
            is_tf32 = any(part in name for part in _TF32)
            is_tensor = is_tf32 or bool(_TENSOR.search(name))
            for column, value in zip(self._kernels.values(), (identity, time, is_tf32, is_tensor), strict=True):
                column.append(value)

    def _add_op(self, event: Mapping[str, object], name: str, args: Mapping[str, object]) -> None:
        shape = _find_shape(name, args)
        start, time = _as_number(event.get("ts")), _as_number(event.get("dur"))
        if shape is None or start is None or time is None:
            return
        identity = _external_id(args)
        position = self.shapes.setdefault(shape, len(self.shapes))
        thread = self._threads.setdefault(f"{event.get('pid')} {event.get('tid')}", len(self._threads))
        values = (-1 if identity is None else identity, position, thread, start, time)
        for column, value in zip(self._ops.values(), values, strict=True):
            column.append(value)

    def ops(self) -> pl.DataFrame:
        """Return the ops that contain no other op that is counted.

        Ops whose id occurs twice, as in merged traces, are left out: their kernels cannot be assigned.
        """
        following = {name: pl.col(name).shift(-1) for name in ("thread", "start", "us")}
        middle = following["start"] + following["us"] / 2  # ends are rounded
        is_around = (following["thread"] == pl.col("thread")) & (middle < pl.col("start") + pl.col("us"))
        return (
            _make_frame(self._ops)
            .sort("thread", "start", "us", descending=[False, False, True], maintain_order=True)
            .filter(~is_around.fill_null(value=False), pl.col("id").is_unique() | (pl.col("id") < 0))
        )

    def kernels(self) -> pl.DataFrame:
        """Return one row per op that launched kernels, with the time of all of them."""
        names_say = pl.col("is_tf32", "is_tensor").cast(pl.Boolean).any()
        return _make_frame(self._kernels).group_by("id").agg(pl.col("us").sum(), names_say)


def _make_frame(columns: Mapping[str, "array[Any]"]) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(name, column, _DTYPE_OF_CODE[column.typecode]) for name, column in columns.items()])


def _summarize_shapes(events: _Events) -> pl.DataFrame:
    """Return one row per shape and arithmetic, with times and costs."""
    ops = events.ops()
    if events.has_kernels:
        runs = ops.drop("us").join(events.kernels(), on="id")
    else:
        runs = ops.with_columns(is_tf32=pl.lit(value=False), is_tensor=pl.lit(value=False))
    time = pl.col("us") / 1e6
    shapes = pl.DataFrame(list(events.shapes), schema=_SCHEMA, orient="row").with_row_index("shape")
    of_fp32 = [position for shape, position in events.shapes.items() if shape.dtype == "fp32"]
    return (
        runs.filter(time.is_between(*_TIMES))
        .group_by("shape", is_tf32=pl.col("is_tf32") & pl.col("shape").is_in(of_fp32))
        .agg(
            latency_s=time.median(),
            latency_min_s=time.min(),
            latency_std_s=time.std(),
            repeats=pl.len(),
            pipe=pl.when(pl.col("is_tensor").all()).then(pl.lit("tensor")).otherwise(pl.lit("")),
        )
        .join(shapes.cast({"shape": pl.Int64}), on="shape")
        .sort("shape", "is_tf32")
        .with_columns(dtype=pl.when("is_tf32").then(pl.lit("tf32")).otherwise("dtype"))
        .with_columns(pl.col("repeats").cast(pl.Int64), pl.col("matrices").cast(pl.Float64), **_cost_columns())
    )


def _cost_columns() -> dict[str, pl.Expr]:
    width = pl.col("dtype").replace_strict(BYTES, return_dtype=pl.Float64)
    m, k, n, matrices, added, b, q, s, heads, kv_heads, d, value_d, attended = (
        pl.col(name).cast(pl.Float64)
        for name in (
            "m", "k", "n", "matrices", "added", "batch_size", "query_length", "sequence_length", "heads", "kv_heads",
            "head_dim", "value_dim", "attended",
        )
    )  # fmt: skip
    product = linear(m, k, n, weight=width, activation=width, matrices=matrices)
    sizes = {"value_d": value_d, "kv_d": d + value_d, "attended": attended, "cached": s}
    fused = attention(b, q, heads, kv_heads, d, **sizes, activation=width, kv=width)
    sums = pl.when(added > 0).then(m * n).otherwise(0)
    is_product = pl.col("kind") == "linear"
    return {
        "flops": pl.when(is_product).then(product.flops + sums).otherwise(fused.flops),
        "bytes": pl.when(is_product).then(product.bytes + width * added).otherwise(fused.bytes),
    }


def _find_shape(name: str, args: Mapping[str, object]) -> _Shape | None:
    """Return the shape of an op; None if the trace does not show it or the op is of another kind."""
    sizes, types = [_tensor_sizes(each) for each in _input_dims(args)], args.get("Input type")
    position = _PRODUCTS[name][0] if name in _PRODUCTS else 0
    given = types[position] if isinstance(types, list) and position < len(types) else None
    dtype = _DTYPES.get(given) if isinstance(given, str) else None
    if dtype is None:
        return None
    concrete = args.get("Concrete Inputs")
    inputs = concrete if isinstance(concrete, list) else []
    op = name.removeprefix("aten::")
    return _product_shape(op, sizes, dtype, inputs) if name in _PRODUCTS else _attention_shape(op, sizes, dtype, inputs)


def _product_shape(op: str, sizes: Sequence[tuple[int, ...]], dtype: str, inputs: Sequence[object]) -> _Shape | None:
    first, position = _PRODUCTS[f"aten::{op}"]
    left, right = (*sizes[first : first + 2], (), ())[:2]
    if op == "linear":  # its weights have one row per output
        right = right[::-1]
    if not (left[:-1] and right[:-1]) or left[-1] != right[-2] or right[:-2] not in ((), left[:-2]):
        return None
    addend = sizes[position] if position is not None and position < len(sizes) else ()
    is_read = addend and (position != 0 or _text_at(inputs, _BETA) not in ("0", "0."))
    m, matrices, added = math.prod(left[:-1]), math.prod(right[:-2]), math.prod(addend) if is_read else 0
    if max(m, matrices, added) >= _MAX_SIZE:
        return None
    return _Shape(op, "custom", "linear", dtype, m, left[-1], right[-1], matrices, added)


def _attention_shape(op: str, sizes: Sequence[tuple[int, ...]], dtype: str, inputs: Sequence[object]) -> _Shape | None:
    fused = _FUSED[f"aten::{op}"]
    query, key, value = (*sizes[:3], (), (), ())[:3]
    others = [each for position, each in enumerate(sizes[3:], start=3) if position != fused.mask]
    # with other tensors, which tell the sequence of each token, the batch is not rectangular
    if {len(query), len(key), len(value)} != {4} or any(others):
        return None
    if any(each not in _NO_WINDOW for each in inputs[fused.windows]):
        return None
    order = (0, 1, 2, 3) if fused.heads_first else (0, 2, 1, 3)
    (b, heads, q, d), (of_keys, kv_heads, s, key_d), (*of_values, value_d) = (
        tuple(each[position] for position in order) for each in (query, key, value)
    )
    if (of_keys, key_d, [b, kv_heads, s]) != (b, d, of_values) or heads % kv_heads:
        return None
    mask = next((each for position in fused.causal if (each := _text_at(inputs, position)) in fused.masks), None)
    is_causal = mask in fused.masks[1:]
    is_masked = fused.mask is not None and fused.mask < len(sizes) and bool(sizes[fused.mask])
    return _Shape(
        op, "attention", "attention", dtype, m=q, k=d, n=s,
        phase="decode" if q == 1 else "prefill" if q == s else None,
        batch_size=b, sequence_length=s, query_length=q, heads=heads, kv_heads=kv_heads, head_dim=d, value_dim=value_d,
        attended=_mean_attended(q, s, from_end=fused.aligns_ends or mask == _ALIGNS_ENDS) if is_causal else s,
        note=_MASKED if is_masked else "" if mask else _UNKNOWN_MASK,
    )  # fmt: skip


def _mean_attended(q: int, s: int, *, from_end: bool) -> float:
    """Return how many of s tokens each of q queries sees on average under a causal mask."""
    least = min(q, s)
    return (least * s - least * (least - 1) / 2 if from_end else least * (least + 1) / 2 + (q - least) * s) / q


def _input_dims(args: Mapping[str, object]) -> list[object]:
    dims = args.get("Input Dims", args.get("Input dims"))
    return dims if isinstance(dims, list) else []


def _tensor_sizes(dims: object) -> tuple[int, ...]:
    """Return the sizes of a tensor; empty if it is not a tensor, or has no elements."""
    if not isinstance(dims, list) or len(dims) > _MAX_DIMENSIONS:
        return ()
    return tuple(dims) if all(type(size) is int and 0 < size < _MAX_SIZE for size in dims) else ()


def _text_at(inputs: Sequence[object], position: int) -> str | None:
    value = inputs[position] if position < len(inputs) else None
    return value if isinstance(value, str) else None


def _external_id(args: Mapping[str, object]) -> int | None:
    value = args.get("External id", args.get("external id"))
    return value if type(value) is int and 0 <= value < 2**63 else None


def _as_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) and 0 <= value < _MAX_NUMBER else None


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_MAX_LENGTH]

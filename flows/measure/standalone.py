"""Times kernels on any machine: this file runs alone, with Python and PyTorch (or NumPy), and nothing of this project.

Copied to a bare machine, `python standalone.py --plan plan.csv --out FILE --hardware-id ID` runs what `rooflines
measure --plan-only` planned elsewhere, and writes one measurement file. Each row is written as soon as it is measured;
started again, the script resumes after the last one.

A plan is a CSV of kernels: the columns of a measurement up to `bytes`. A time is the median of many executions on
random data. Launched one by one (`eager`), kernels find cold caches: before each, more than the L2 cache is
overwritten. Replayed from a CUDA graph (`graph`), they find what they would in a step: activations may be in the L2
cache, while weights and KV cache take turns among so many copies that they come from memory.
"""

import argparse
import csv
import importlib
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

# Columns of a plan, and columns that are measured: those of core.measurement except its ids.
PLANNED = (
    "model_id", "op", "op_group", "phase", "kind", "m", "k", "n", "batch_size", "sequence_length", "query_length",
    "heads", "kv_heads", "head_dim", "matrices", "tensor_parallel", "dtype", "flops", "bytes",
)  # fmt: skip
MEASURED = (
    "hardware_id", "latency_s", "latency_min_s", "latency_std_s", "repeats", "method", "software", "device_name",
    "measured_at", "pipe", "accumulator", "is_ceiling", "level", "launch",
)  # fmt: skip
COLUMNS = (*PLANNED, *MEASURED)
LAUNCHES = ("eager", "graph")
_CEILING_KINDS = ("copy", "triad", "linear")  # the fastest of them are the measured ceilings
_PRODUCTS = ("linear", "grouped_linear", "qk", "pv", "attention", "latent_attention")
COLLECTIVES = ("all_reduce", "all_gather", "all_to_all")
_SIMPLE = (
    "softmax",
    "norm",
    "rms_norm",
    "layer_norm",
    "residual_add",
    "silu",
    "gelu",
    "multiply",
    "concat",
    "quantize",
)
_COMPILED = ("rope", "silu_mul", "gelu_mul", "add_rms_norm")  # one kernel each: fused by torch.compile
_MOVED = ("copy", "triad", "rope_unfused", "cache_write", "embedding", "gather", "expert_sum", "top_k", "gated-delta")
KINDS = (*_PRODUCTS, *_SIMPLE, *_COMPILED, *_MOVED, *COLLECTIVES)

Row = Mapping[str, str]
Kernel = Callable[[], object]

# as in flows/intensity/terms.py, which a bare machine does not have
_VOLTA = 7  # first compute capability with tensor cores
_TENSOR_DTYPES = ("fp16", "bf16", "fp8", "tf32", "int8")
_BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
RESULT_BYTES = {"fp8": 2, "int8": 4}  # what `_make_product` writes: bf16 and int32
MAX_SECONDS = 3600.0  # for one kernel
_WARM_UPS = 3
_MIN_RUNS, _MAX_RUNS = 5, 50  # timed executions
_MOST_IN_GRAPH = 512  # kernels
_MOST_FLUSHES = 100  # before an execution
_GRAPH_S = 1e-3  # a graph is so long that its own launch does not count
_MEMORY_SHARE = 0.9  # of free memory that a kernel may take


class Backend(Protocol):
    """A library and device that run and time kernels."""

    name: str
    method: str
    device_name: str
    software: str
    dtypes: tuple[str, ...]
    launches: tuple[str, ...]

    def describe_method(self, launch: str) -> str:
        """Return clock and conditions of a measurement."""

    def free_bytes(self) -> int:
        """Return the free memory."""

    def count_copies(self, row: Row) -> int:
        """Return how many copies of what a step reads cold take turns in a graph."""

    def make_kernels(self, row: Row, copies: int) -> Sequence[Kernel]:
        """Return calls that each execute a kernel once; its operands are in memory already.

        Each call has its own copy of what a step reads cold: weights, KV cache, state. They share activations.
        """

    def find_pipe(self, row: Row) -> tuple[str, str]:
        """Return the pipe and the accumulator of a kernel; empty if the library does not tell."""

    def time_kernels(self, kernels: Sequence[Kernel], seconds: float, launch: str) -> list[float]:
        """Return the times of several executions, in seconds."""

    def release_memory(self) -> None:
        """Release the memory of the last kernel."""


class TorchCuda:
    """PyTorch on a CUDA device; times come from CUDA events."""

    name = "torch-cuda"
    method = "cuda-event, cold L2 (flushed before each execution), median, random data"
    graph_method = "cuda-graph of many executions, weights and KV cache cold, median, random data"
    dtypes: tuple[str, ...] = ("fp16", "bf16", "fp32", "tf32", "fp8", "int8")
    launches: tuple[str, ...] = LAUNCHES

    def __init__(self) -> None:
        torch: Any = importlib.import_module("torch")

        if not torch.cuda.is_available():
            raise NoBackendError("torch sees no CUDA device; expected one, or the backend numpy")
        self._torch = torch
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.device_name = str(properties.name)
        self.software = describe_software(torch)
        cache = getattr(properties, "L2_cache_size", 0) or 64 * 2**20
        self._flush = torch.empty(4 * cache, dtype=torch.uint8, device="cuda")
        self._has_tensor_cores = torch.version.cuda is None or properties.major >= _VOLTA
        self._kernels = TorchKernels(torch, "cuda")

    def describe_method(self, launch: str) -> str:
        """Return clock and conditions of a measurement."""
        return self.graph_method if launch == "graph" else self.method

    def free_bytes(self) -> int:
        """Return the free memory."""
        return int(self._torch.cuda.mem_get_info()[0])

    def find_pipe(self, row: Row) -> tuple[str, str]:
        """Return the pipe and the accumulator of a kernel; AMD's matrix cores also take what CUDA cores take."""
        if row["kind"] in _PRODUCTS and row["dtype"] in _TENSOR_DTYPES and self._has_tensor_cores:
            return "tensor", "int32" if row["dtype"] == "int8" else "fp32"
        return ("vector" if self._torch.version.cuda else ""), ""

    def release_memory(self) -> None:
        """Release the memory of the last kernel."""
        self._torch.cuda.empty_cache()

    def count_copies(self, row: Row) -> int:
        """Return how many copies of what a step reads cold take turns in a graph: more than the L2 cache holds."""
        cold = count_cold_bytes(row)
        return min(_MOST_IN_GRAPH, math.ceil(self._flush.numel() / cold)) if cold else 1

    def make_kernels(self, row: Row, copies: int) -> Sequence[Kernel]:
        """Return calls that each execute a kernel once; its operands are in memory already."""
        return self._kernels.make(row, copies)

    def time_kernels(self, kernels: Sequence[Kernel], seconds: float, launch: str) -> list[float]:
        """Return the times of several executions, from events around each, or around a graph of many."""
        for _ in range(_WARM_UPS):
            for kernel in kernels:
                kernel()
        self._torch.cuda.synchronize()
        flushes = self._count_flushes(kernels[0])
        if launch == "graph":
            return self._time_graph(kernels, seconds, min(self._time_runs(kernels[0], 3, flushes)))
        first = self._time_runs(kernels[0], 2, flushes)
        return first + self._time_runs(kernels[0], _count_runs(statistics.median(first), seconds), flushes)

    def _count_flushes(self, kernel: Kernel) -> int:
        """Return how often the cache is overwritten before an execution: until all of it has been queued."""
        start = time.perf_counter()
        kernel()
        queued_s = time.perf_counter() - start
        self._torch.cuda.synchronize()
        (flush_s,) = time_replays(self._torch, self._flush.zero_, 1)
        return 1 + min(_MOST_FLUSHES, int(2 * queued_s / flush_s))

    def _time_runs(self, kernel: Kernel, count: int, flushes: int = 1) -> list[float]:
        torch = self._torch
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for start, end in pairs:
            for _ in range(flushes):
                self._flush.zero_()
            start.record()
            kernel()
            end.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairs]

    def _time_graph(self, kernels: Sequence[Kernel], seconds: float, once: float) -> list[float]:
        """Return times per execution: those of replays of a graph, divided by the kernels in it."""
        turns = math.ceil(_GRAPH_S / once / len(kernels))
        count = len(kernels) * max(1, min(turns, _MOST_IN_GRAPH // len(kernels)))
        with record_graph(self._torch, lambda: [kernels[i % len(kernels)]() for i in range(count)]) as replay:
            first = time_replays(self._torch, replay, 3)[1:]
            found = first + time_replays(self._torch, replay, _count_runs(statistics.median(first), seconds))
        return [each / count for each in found]


@contextmanager
def record_graph(torch: Any, run: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Record what a call starts on the device as a CUDA graph, and yield its replay; its memory is then released."""
    graph = torch.cuda.CUDAGraph()
    # NCCL's own thread may look at events meanwhile
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        kept = run()
    try:
        yield graph.replay
    finally:
        torch.cuda.synchronize()
        del kept
        graph.reset()


def time_replays(torch: Any, run: Callable[[], object], count: int) -> list[float]:
    """Return the times of several executions, one behind the other, from CUDA events."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        run()
        event.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in pairwise(events)]


def count_cold_bytes(row: Row) -> int:
    """Return the bytes of what a step reads cold: weights, KV cache in decode, state; 0 if there is nothing."""
    kind, size = row["kind"], _BYTES[row["dtype"]]
    if kind in {"linear", "grouped_linear"}:
        return int(float(row["matrices"] or 1)) * _parse_int(row, "k") * _parse_int(row, "n") * size
    if kind in {"qk", "pv", "attention", "latent_attention"} and row["phase"] != "prefill":
        b, s, kv_heads, d = (_parse_int(row, name) for name in _CACHE)
        return b * s * kv_heads * d * size * (2 if kind == "attention" else 1)
    if kind == "embedding":
        return _parse_int(row, "m") * _parse_int(row, "n") * size
    if kind == "gated-delta":
        return _parse_int(row, "m") * _parse_int(row, "heads") * _parse_int(row, "k") * _parse_int(row, "n") * 4
    return 0


_CACHE = ("batch_size", "sequence_length", "kv_heads", "head_dim")


class TorchKernels:
    """The kernels of PyTorch: how each kind is executed, and on which operands.

    Parameters
    ----------
    torch
        The library.
    device
        Where the operands are: cuda, or cpu.
    """

    def __init__(self, torch: Any, device: str) -> None:
        self._torch, self._device, self._functional = torch, device, torch.nn.functional
        self._types = {
            "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "tf32": torch.float32,
            "fp8": torch.float8_e4m3fn, "int8": torch.int8,
        }  # fmt: skip
        self._compiled: dict[str, Callable[..., object]] = {}

    def make(self, row: Row, copies: int) -> Sequence[Kernel]:
        """Return calls that each execute a kernel once, on their own copy of what a step reads cold."""
        kind = row["kind"]
        self._torch.backends.cuda.matmul.allow_tf32 = row["dtype"] == "tf32"
        makers: dict[str, Callable[[Row], Callable[[], Kernel]]] = {
            "linear": self._make_product, "grouped_linear": self._make_grouped, "attention": self._make_attention,
            "latent_attention": self._make_latent_attention, "qk": self._make_unfused, "pv": self._make_unfused,
            "copy": self._make_stream, "triad": self._make_stream, "embedding": self._make_embedding,
            "gather": self._make_experts, "expert_sum": self._make_experts, "top_k": self._make_experts,
            "cache_write": self._make_cache_write, "gated-delta": self._make_gated_delta,
            "rope": self._make_rope, "rope_unfused": self._make_rope,
        }  # fmt: skip
        make_copy = makers.get(kind, self._make_elementwise)(row)
        return [make_copy() for _ in range(copies)]

    def _random(self, dtype: str, *shape: int) -> Any:
        torch = self._torch
        if dtype == "int8":
            return torch.randint(-127, 128, shape, dtype=torch.int8, device=self._device)
        if dtype == "fp8":
            out = torch.empty(shape, dtype=torch.float8_e4m3fn, device=self._device)
            step = max(1, 2**28 // max(1, math.prod(shape[1:])))
            for i in range(0, shape[0], step):
                part = torch.randn((min(step, shape[0] - i), *shape[1:]), device=self._device)
                out[i : i + step] = part.to(out.dtype)
            return out
        return torch.randn(shape, dtype=self._types[dtype], device=self._device)

    def _integers(self, most: int, count: int) -> Any:
        return self._torch.randint(0, most, (count,), device=self._device)

    def _make_stream(self, row: Row) -> Callable[[], Kernel]:
        torch = self._torch
        a, b = (self._random(row["dtype"], _parse_int(row, "m")) for _ in range(2))
        out = torch.empty_like(a)
        if row["kind"] == "copy":
            return lambda: lambda: out.copy_(a)
        return lambda: lambda: torch.add(a, b, alpha=0.5, out=out)

    def _make_elementwise(self, row: Row) -> Callable[[], Kernel]:
        """Return kernels over rows of activations; gate and up are halves of wider rows, as a product leaves them."""
        torch, functional, kind, dtype = self._torch, self._functional, row["kind"], row["dtype"]
        m, n = _parse_int(row, "m"), _parse_int(row, "n")
        x, weight = self._random(dtype, m, n), self._random(dtype, n)
        wide = kind in {"silu", "gelu", "multiply", "silu_mul", "gelu_mul"}
        y = self._random(dtype, m, 2 * n if wide else n)
        gate, up = y.chunk(2, -1)
        left, right = x.chunk(2, -1)
        left, right = left.contiguous(), right.contiguous()
        activate = functional.gelu if kind.startswith("gelu") else functional.silu

        def add_norm(x: Any, y: Any) -> object:
            total = x + y
            return total, functional.rms_norm(total, (n,), weight)

        fused = lambda gate, up: activate(gate) * up  # noqa: E731
        kernels: dict[str, Kernel] = {
            "softmax": lambda: functional.softmax(x, dim=-1),
            "rms_norm": lambda: functional.rms_norm(x, (n,), weight),
            "layer_norm": lambda: functional.layer_norm(x, (n,), weight, weight),
            "norm": lambda: functional.layer_norm(x, (n,), weight, weight),
            "residual_add": lambda: x + y,
            "silu": lambda: activate(gate),
            "gelu": lambda: activate(gate),
            "multiply": lambda: x * up,
            "concat": lambda: torch.cat((left, right), -1),
            "quantize": lambda: x.to(torch.float8_e4m3fn),
            "silu_mul": lambda: self._compile(kind, fused)(gate, up),
            "gelu_mul": lambda: self._compile(kind, fused)(gate, up),
            "add_rms_norm": lambda: self._compile(f"{kind} {n}", add_norm)(x, y),
        }
        if kind not in kernels:
            raise NotImplementedError(f"{kind} on one device")
        return lambda: kernels[kind]

    def _compile(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """Return a function as one kernel, compiled at its first call."""
        if name not in self._compiled:
            self._compiled[name] = self._torch.compile(function, dynamic=True)
        return self._compiled[name]

    def _make_rope(self, row: Row) -> Callable[[], Kernel]:
        """Return RoPE over m vectors of n, in one kernel or in those of plain PyTorch: seven."""
        torch, (m, n) = self._torch, (_parse_int(row, name) for name in "mn")
        tokens = math.gcd(m, 2048)
        x = self._random(row["dtype"], tokens, m // tokens, n).transpose(0, 1)  # as a projection leaves them
        cos, sin = (self._random(row["dtype"], tokens, n // 2) for _ in range(2))

        def rotate(x: Any, cos: Any, sin: Any) -> object:
            a, b = x.chunk(2, -1)
            return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

        if row["kind"] == "rope_unfused":
            return lambda: lambda: rotate(x, cos, sin)
        return lambda: lambda: self._compile("rope", rotate)(x, cos, sin)

    def _make_embedding(self, row: Row) -> Callable[[], Kernel]:
        m, n = _parse_int(row, "m"), _parse_int(row, "n")
        table = self._random(row["dtype"], 2**28 // n, n)

        def make_copy() -> Kernel:
            ids = self._integers(len(table), m)
            return lambda: self._functional.embedding(ids, table)

        return make_copy

    def _make_cache_write(self, row: Row) -> Callable[[], Kernel]:
        key = self._random(row["dtype"], _parse_int(row, "m"), 1, _parse_int(row, "n"))
        cache = self._random(row["dtype"], len(key), 64, key.shape[-1])

        def write() -> None:
            cache[:, 32:33] = key

        return lambda: write

    def _make_experts(self, row: Row) -> Callable[[], Kernel]:
        """Return what stands around the products of experts: the choice of k, their rows, and the sum of theirs."""
        torch, kind, dtype = self._torch, row["kind"], row["dtype"]
        m, n, chosen = _parse_int(row, "m"), _parse_int(row, "n"), _parse_int(row, "k")
        if kind == "top_k":
            x = self._random(dtype, m, n)
            return lambda: lambda: torch.topk(self._functional.softmax(x, -1, dtype=torch.float32), chosen)
        if kind == "gather":
            x, places = self._random(dtype, m, n), self._integers(m, m * chosen)
            return lambda: lambda: x[places]
        y, shares = self._random(dtype, m, chosen, n), self._random(dtype, m, 1, chosen)
        return lambda: lambda: torch.bmm(shares, y)

    def _make_product(self, row: Row) -> Callable[[], Kernel]:
        torch, dtype = self._torch, row["dtype"]
        m, k, n = (_parse_int(row, name) for name in "mkn")
        a, one = self._random(dtype, m, k), torch.ones((), device=self._device)
        out = torch.empty((m, n), dtype=torch.bfloat16 if dtype in {"fp8", "int8"} else a.dtype, device=self._device)

        def make_copy() -> Kernel:
            b = self._random(dtype, n, k).t()  # as models store them: one row per output
            if dtype == "fp8":
                return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
            if dtype == "int8":
                return lambda: torch._int_mm(a, b)
            return lambda: torch.mm(a, b, out=out)

        return make_copy

    def _make_grouped(self, row: Row) -> Callable[[], Kernel]:
        """Return the products of several experts as one kernel; rows are spread evenly."""
        torch = self._torch
        m, k, n, matrices = (_parse_int(row, name) for name in ("m", "k", "n", "matrices"))
        a = self._random(row["dtype"], m, k)
        ends = torch.arange(1, matrices + 1, device=self._device, dtype=torch.int64) * m // matrices
        ends = ends.to(torch.int32)
        of_rows, of_columns = (torch.ones(shape, device=self._device) for shape in ((m,), (matrices, n)))

        def make_copy() -> Kernel:
            b = self._random(row["dtype"], matrices, n, k).transpose(-2, -1)
            if row["dtype"] == "fp8":
                options = {"offs": ends, "out_dtype": torch.bfloat16, "use_fast_accum": True}
                return lambda: torch._scaled_grouped_mm(a, b, of_rows, of_columns, **options)
            return lambda: torch._grouped_mm(a, b, offs=ends)

        return make_copy

    def _make_attention(self, row: Row) -> Callable[[], Kernel]:
        dtype, attend = row["dtype"], self._functional.scaled_dot_product_attention
        b, s, kv_heads, d = (_parse_int(row, name) for name in _CACHE)
        q, heads = _parse_int(row, "query_length"), _parse_int(row, "heads")
        query = self._random(dtype, b, heads, q, d)
        options = {"is_causal": row["phase"] == "prefill", "enable_gqa": heads != kv_heads}

        def make_copy() -> Kernel:
            keys, values = (self._random(dtype, b, kv_heads, s, d) for _ in range(2))
            return lambda: attend(query, keys, values, **options)

        return make_copy

    def _make_latent_attention(self, row: Row) -> Callable[[], Kernel]:
        """Return attention of all heads to one latent; its values are the first 8/9 of it, as 512 of 576."""
        torch, dtype = self._torch, row["dtype"]
        b, s, _, d = (_parse_int(row, name) for name in _CACHE)
        query = self._random(dtype, b, _parse_int(row, "heads") * _parse_int(row, "query_length"), d)

        def make_copy() -> Kernel:
            latents = self._random(dtype, b, s, d)
            keys, values = latents.transpose(1, 2), latents[..., : d * 8 // 9]
            return lambda: torch.bmm(self._functional.softmax(torch.bmm(query, keys) * d**-0.5, -1), values)

        return make_copy

    def _make_unfused(self, row: Row) -> Callable[[], Kernel]:
        """Return one product of attention; queries that share keys and values are rows of one GEMM."""
        torch, dtype, is_qk = self._torch, row["dtype"], row["kind"] == "qk"
        b, s, kv_heads, d = (_parse_int(row, name) for name in _CACHE)
        rows = _parse_int(row, "query_length") * _parse_int(row, "heads") // kv_heads
        x = self._random(dtype, b * kv_heads, rows, d if is_qk else s)
        out = torch.empty((b * kv_heads, rows, s if is_qk else d), dtype=x.dtype, device=self._device)

        def make_copy() -> Kernel:
            y = self._random(dtype, b * kv_heads, s, d)
            # keys have one row per token: the GEMM reads them transposed
            other = y.transpose(1, 2) if is_qk else y
            return lambda: torch.bmm(x, other, out=out)

        return make_copy

    def _make_gated_delta(self, row: Row) -> Callable[[], Kernel]:
        """Return one token of the gated delta rule in plain PyTorch; the state is in fp32, as models keep it."""
        torch, (m, heads, k, n) = self._torch, (_parse_int(row, name) for name in ("m", "heads", "k", "n"))
        count = m * heads
        query, key = (self._random("fp32", count, 1, k) for _ in range(2))
        value, gates = self._random("fp32", count, 1, n), torch.rand((2, count, 1, 1), device=self._device)

        def make_copy() -> Kernel:
            state = self._random("fp32", count, k, n)

            def step() -> object:
                state.mul_(gates[0])
                change = (value - torch.bmm(key, state)) * gates[1]
                state.baddbmm_(key.transpose(1, 2), change)
                return torch.bmm(query, state)

            return step

        return make_copy


class Numpy:
    """NumPy on any computer; times come from the clock."""

    name = "numpy"
    method = "wall clock, cold caches (flushed before each execution), median, random data"
    dtypes: tuple[str, ...] = ("fp32", "fp64")
    launches: tuple[str, ...] = ("eager",)

    def __init__(self) -> None:
        numpy: Any = importlib.import_module("numpy")

        self._numpy = numpy
        self.device_name = platform.processor() or platform.machine()
        self.software = f"numpy {numpy.__version__}, Python {platform.python_version()}, {platform.system()}"
        self._flush = numpy.zeros(2**25, dtype=numpy.uint8)
        self._random_numbers = numpy.random.default_rng(0)

    def describe_method(self, launch: str) -> str:
        """Return clock and conditions of a measurement."""
        del launch
        return self.method

    def free_bytes(self) -> int:
        """Return the free memory."""
        try:
            words = Path("/proc/meminfo").read_text("ascii").split()
            return int(words[words.index("MemAvailable:") + 1]) * 2**10  # includes file caches
        except (OSError, ValueError):
            return 2 * 2**30

    def find_pipe(self, row: Row) -> tuple[str, str]:
        """Return nothing: it depends on the processor and on the library below NumPy."""
        del row
        return "", ""

    def release_memory(self) -> None:
        """Release the memory of the last kernel: nothing holds it."""

    def count_copies(self, row: Row) -> int:
        """Return 1: NumPy has no graphs."""
        del row
        return 1

    def time_kernels(self, kernels: Sequence[Kernel], seconds: float, launch: str) -> list[float]:
        """Return the times of several executions, from the clock."""
        del launch
        kernel = kernels[0]
        for _ in range(_WARM_UPS):
            kernel()
        first = self._time_runs(kernel, 2)
        return first + self._time_runs(kernel, _count_runs(statistics.median(first), seconds))

    def _time_runs(self, kernel: Kernel, count: int) -> list[float]:
        times = []
        for _ in range(count):
            self._flush += 1
            start = time.perf_counter()
            kernel()
            times.append(time.perf_counter() - start)
        return times

    def _make_random(self, dtype: str, *shape: int) -> Any:
        numpy = self._numpy
        return self._random_numbers.random(shape, dtype=numpy.float64 if dtype == "fp64" else numpy.float32)

    def make_kernels(self, row: Row, copies: int) -> Sequence[Kernel]:
        """Return a call that executes a kernel once; its operands are in memory already."""
        return [self._make_kernel(row)] * copies

    def _make_kernel(self, row: Row) -> Kernel:
        numpy, dtype, kind = self._numpy, row["dtype"], row["kind"]
        if kind == "linear":
            a, b = (
                self._make_random(dtype, _parse_int(row, "m"), _parse_int(row, "k")),
                self._make_random(dtype, _parse_int(row, "k"), _parse_int(row, "n")),
            )
            out = numpy.empty((a.shape[0], b.shape[1]), a.dtype)
            return lambda: numpy.matmul(a, b, out=out)
        if kind in {"copy", "triad"}:
            a, b = (self._make_random(dtype, _parse_int(row, "m")) for _ in range(2))
            out = numpy.empty_like(a)
            # NumPy can only add two arrays in one pass
            return (lambda: numpy.copyto(out, a)) if kind == "copy" else (lambda: numpy.add(a, b, out=out))
        if kind in {"qk", "pv"}:
            b, q, s, heads, kv_heads, d = (
                _parse_int(row, name)
                for name in ("batch_size", "query_length", "sequence_length", "heads", "kv_heads", "head_dim")
            )
            rows = q * heads // kv_heads
            x = self._make_random(dtype, b * kv_heads, rows, d if kind == "qk" else s)
            y = self._make_random(dtype, b * kv_heads, s, d)
            y = y.transpose(0, 2, 1) if kind == "qk" else y
            return lambda: numpy.matmul(x, y)
        if kind == "residual_add":
            a, b = (self._make_random(dtype, _parse_int(row, "m"), _parse_int(row, "n")) for _ in range(2))
            return lambda: a + b
        if kind in {"softmax", "norm", "layer_norm", "rms_norm"}:
            x = self._make_random(dtype, _parse_int(row, "m"), _parse_int(row, "n"))

            def softmax() -> object:
                powers = numpy.exp(x - x.max(axis=-1, keepdims=True))
                return powers / powers.sum(axis=-1, keepdims=True)

            def norm() -> object:
                centred = x if kind == "rms_norm" else x - x.mean(axis=-1, keepdims=True)
                return centred / numpy.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-6)

            return softmax if kind == "softmax" else norm
        raise NotImplementedError(f"{kind} in numpy")


class NoBackendError(Exception):
    """A backend cannot run here: its library or device is missing."""


def start_backend(name: str) -> Backend:
    """Return a backend that is ready to time kernels.

    Raises
    ------
    NoBackendError
        Its library is not installed, or it finds no device.
    """
    try:
        return BACKENDS[name]()
    except ImportError as error:
        raise NoBackendError(f"{error}; expected it to be installed, or another backend") from None


BACKENDS: Mapping[str, type[TorchCuda | Numpy]] = {"torch-cuda": TorchCuda, "numpy": Numpy}


def plan_ceilings(backend: Backend) -> Iterator[dict[str, str]]:
    """Yield kernels that reach the limits of a device: large copies and triads, and large square GEMMs per dtype."""
    large = backend.name == "torch-cuda"
    none = dict.fromkeys(COLUMNS, "")
    base = {**none, "op_group": "ceiling", "tensor_parallel": "1", "matrices": "1"}
    for count in (2**28, 2**30) if large else (2**22, 2**24):
        for kind, moves in (("copy", 2), ("triad", 3)):
            size = {"op": kind, "kind": kind, "dtype": "fp32", "m": str(count)}
            work = {"flops": str(0 if kind == "copy" else 2 * count), "bytes": str(moves * count * _BYTES["fp32"])}
            yield {**base, **size, **work}
    for dtype in backend.dtypes:
        for side in (4096, 8192, 16384) if large else (512, 1024):
            size = {"op": "product", "kind": "linear", "dtype": dtype, **dict.fromkeys("mkn", str(side))}
            width = 2 * _BYTES[dtype] + RESULT_BYTES.get(dtype, _BYTES[dtype])
            yield {**base, **size, "flops": str(2 * side**3), "bytes": str(side**2 * width)}


def measure(
    plan: Iterable[Row],
    out: Path,
    backend: Backend,
    hardware_id: str,
    *,
    seconds: float = 0.2,
    launches: Sequence[str] = ("eager",),
    writes: bool = True,
    meet: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Time the kernels of a plan that a file does not hold yet, and append a row per kernel and launch to the file.

    Return how many kernels were `measured`, were in the file `before`, were skipped because they need too much memory
    (`too large`), or could not be run (`failed`), e.g. because the backend lacks their dtype.

    Parameters
    ----------
    plan
        Rows with the columns `PLANNED`, numbers as text; a value that does not apply is empty.
    out
        File to append to.
    backend
        Runs the kernels.
    hardware_id
        The device, by its id in the catalog.
    seconds
        Time that a kernel may take, without warm-ups.
    launches
        How kernels are launched: eager, graph or both. What shows a ceiling is launched eagerly.
    writes
        Whether this process writes the file: of those on several devices, one does.
    meet
        Waits for the other processes; called when the file has been read, and before it is written.
    progress
        Called with one line per kernel and launch.

    Raises
    ------
    ValueError
        The file exists and is not a measurement file; it is left unchanged.
    """
    tasks = [(row, launch) for row in plan for launch in _list_launches(row, launches)]
    done, header = _read_before(out, launches)
    counts = dict.fromkeys(("measured", "before", "too large", "failed"), 0)
    meet()
    with append_rows(out, header, writes=writes) as append:
        for number, (row, launch) in enumerate(tasks, start=1):
            if (*_key(row), launch) in done:
                counts["before"] += 1
                continue
            outcome, message, times = _time_row(row, backend, seconds, launch)
            counts[outcome] += 1
            done.add((*_key(row), launch))
            if times:
                timed = _format_times(times, backend, hardware_id)
                append({**{name: row[name] for name in PLANNED}, **timed, **_describe_conditions(row, backend, launch)})
            progress(f"{number}/{len(tasks)} {_describe_kernel(row)} {launch}: {message}")
    return counts


def _read_before(out: Path, launches: Sequence[str]) -> tuple[set[tuple[str, ...]], Sequence[str]]:
    """Return what a file holds already, and its columns."""
    if not out.exists():
        return set(), COLUMNS
    done, header = _read_keys(out), _read_header(out) or COLUMNS
    if "graph" in launches and "launch" not in header:
        raise ValueError("an earlier version wrote it; expected another file, or --launch eager to resume it")
    return done, header


@contextmanager
def append_rows(path: Path, columns: Sequence[str], *, writes: bool = True) -> Iterator[Callable[[Row], None]]:
    """Open a CSV file to append to, and yield what appends a row to it at once.

    A file of an earlier version keeps its columns, and a line that an interruption left unfinished is cut off.

    Parameters
    ----------
    path
        The file.
    columns
        Its columns; other values of a row are left out.
    writes
        Whether anything is written at all.
    """
    if not writes:
        yield lambda _: None
        return
    _cut_unfinished_line(path)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()

        def append(row: Row) -> None:
            writer.writerow(row)
            file.flush()

        yield append


def choose_launches(backend: Backend, asked: str | None, out: Path) -> tuple[str, ...]:
    """Return how kernels are launched: as asked, or in every way that backend and file know.

    Raises
    ------
    ValueError
        The backend cannot do what is asked.
    """
    if asked is None:
        is_earlier = out.is_file() and out.stat().st_size > 0 and "launch" not in _read_header(out)
        return ("eager",) if is_earlier else backend.launches
    chosen = LAUNCHES if asked == "both" else (asked,)
    if not {*chosen} <= {*backend.launches}:
        raise ValueError(f"--launch: {asked}; expected {', '.join(backend.launches)} with the backend {backend.name}")
    return chosen


def _list_launches(row: Row, launches: Sequence[str]) -> Sequence[str]:
    return ("eager",) if row["op_group"] == "ceiling" else launches


def _time_row(row: Row, backend: Backend, seconds: float, launch: str) -> tuple[str, str, list[float]]:
    """Return what became of a kernel, a message about it, and its times if it was measured."""
    for name, known in (("kind", KINDS), ("dtype", backend.dtypes)):
        if row[name] not in known:
            expected = f"expected {', '.join(known)} with the backend {backend.name}"
            return "failed", f"left out, {name} = {row[name][:60]}: {expected}", []
    try:
        copies = backend.count_copies(row) if launch == "graph" else 1
        needed = _needed_bytes(row, copies)
        if needed > _MEMORY_SHARE * backend.free_bytes():
            return "too large", f"left out, needs {needed / 1e9:.1f} GB of memory", []
        times = backend.time_kernels(backend.make_kernels(row, copies), seconds, launch)
    except (RuntimeError, MemoryError, NotImplementedError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        return "failed", f"left out, {type(error).__name__}: {reason}", []
    finally:
        backend.release_memory()
    median = statistics.median(times)
    rate = f"{float(row['flops']) / median / 1e12:.2f} TFLOP/s, {float(row['bytes']) / median / 1e9:.0f} GB/s"
    return "measured", f"{median * 1e6:.1f} us, {rate}", times


def _describe_kernel(row: Row) -> str:
    sizes = [f"{name}={row[name]}" for name in ("m", "k", "n", "batch_size", "sequence_length") if row[name]]
    return " ".join(filter(None, (row["op"], row["phase"], row["dtype"], *sizes)))


def read_plan(path: Path) -> list[dict[str, str]]:
    """Return the rows of a plan.

    Raises
    ------
    ValueError
        The file is not a plan, or has no rows. The message says what it lacks.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lacking = set(PLANNED).difference(next(csv.reader(file), []))
    if lacking:
        raise ValueError(f"{path}: expected a plan with the columns {', '.join(sorted(lacking))}")
    rows = _read_rows(path)
    if not rows:
        raise ValueError(f"{path}: 0 kernels; expected one per row, or no --plan to time only the ceilings")
    return rows


def refuse_bad_seconds(seconds: float) -> None:
    """Raise `ValueError` if no kernel can be timed within a limit."""
    if not 0 < seconds < MAX_SECONDS:
        raise ValueError(f"--seconds: {seconds:g}; expected more than 0, and less than {MAX_SECONDS:g}")


def write_plan(rows: Iterable[Row], path: Path) -> None:
    """Write rows as a plan."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, PLANNED, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _format_times(times: Sequence[float], backend: Backend, hardware_id: str) -> dict[str, str]:
    return {
        "hardware_id": hardware_id,
        "latency_s": f"{statistics.median(times):.6g}",
        "latency_min_s": f"{min(times):.6g}",
        "latency_std_s": f"{statistics.pstdev(times):.3g}",
        "repeats": str(len(times)),
        "software": backend.software,
        "device_name": backend.device_name,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _describe_conditions(row: Row, backend: Backend, launch: str) -> dict[str, str]:
    pipe, accumulator = backend.find_pipe(row)
    return {
        "method": backend.describe_method(launch),
        "pipe": pipe,
        "accumulator": accumulator,
        # what a graph leaves in the cache would show too high a bandwidth
        "is_ceiling": str(row["kind"] in _CEILING_KINDS and launch == "eager").lower(),
        "level": "interconnect" if row["kind"] in COLLECTIVES else "dram",
        "launch": launch,
    }


def _needed_bytes(row: Row, copies: int) -> float:
    """Return the memory of the operands: the bytes that the kernel moves, and for fp8 also those of the conversion."""
    cold = (copies - 1) * count_cold_bytes(row) if copies > 1 else 0
    return (float(row["bytes"]) + cold) * (1.3 if row["dtype"] == "fp8" else 1.02) + 2**28


def _count_runs(first: float, seconds: float) -> int:
    return max(_MIN_RUNS, min(_MAX_RUNS, int(seconds / max(first, 1e-7))))


def _parse_int(row: Row, name: str) -> int:
    return int(row[name])


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row.get(name) or "" for name in PLANNED)


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def _read_keys(path: Path) -> set[tuple[str, ...]]:
    """Return the kernels of a measurement file; raise `ValueError` if it is another file."""
    if not path.is_file():  # reading a pipe could block
        raise ValueError("not a file; expected a measurement file to resume, or none")
    header = _read_header(path)
    if header and not {*PLANNED} <= {*header}:
        raise ValueError("holds something else; expected a measurement file to resume, or none")
    # files of earlier versions hold eager launches alone
    return {(*_key(row), row.get("launch") or "eager") for row in _read_rows(path)}


def _read_header(path: Path) -> list[str]:
    """Return the columns of a file; none if it is empty."""
    with path.open("rb") as file:
        text = file.readline(10_000).decode("utf-8", "replace").strip()
    return text.split(",") if text else []


def _cut_unfinished_line(path: Path) -> None:
    """Cut off the last line if an interruption left it unfinished."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        path.write_bytes(content[:whole])


def describe_software(torch: Any) -> str:
    """Return the versions of PyTorch, CUDA and the driver."""
    return f"torch {torch.__version__}, CUDA {torch.version.cuda}, driver {_find_driver()}"


def _find_driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]
    except (OSError, IndexError, ValueError, subprocess.SubprocessError):
        return "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a plan, from the command line of a bare machine."""
    parser = argparse.ArgumentParser(description="Time kernels on this machine, and write one measurement file.")
    parser.add_argument("--out", type=Path, required=True, help="measurement file to write or to resume")
    parser.add_argument("--plan", type=Path, help="CSV of kernels; without it, only the ceilings are measured")
    parser.add_argument("--hardware-id", required=True, help="the device, by its id in the catalog")
    backends = ", ".join(f"{name} ({', '.join(each.dtypes)})" for name, each in BACKENDS.items())
    help_text = f"what runs the kernels: {backends}; default: %(default)s"
    parser.add_argument("--backend", choices=sorted(BACKENDS), default="torch-cuda", help=help_text)
    parser.add_argument("--seconds", type=float, default=0.2, help="time limit per kernel; default: %(default)s")
    help_text = "eager: one by one; graph: replayed from a CUDA graph; default: both, where the backend has graphs"
    parser.add_argument("--launch", choices=(*LAUNCHES, "both"), help=help_text)
    options = parser.parse_args(arguments)
    try:
        refuse_bad_seconds(options.seconds)
        backend = start_backend(options.backend)
        launches = choose_launches(backend, options.launch, options.out)
        rows = [*plan_ceilings(backend), *(read_plan(options.plan) if options.plan else [])]
        show = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
        times = {"seconds": options.seconds, "launches": launches}
        counts = measure(rows, options.out, backend, options.hardware_id, **times, progress=show)
    except (OSError, ValueError, NoBackendError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"  measurements  {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

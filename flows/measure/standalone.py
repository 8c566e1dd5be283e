"""Times kernels on any machine: this file runs alone, with Python and PyTorch (or NumPy), and nothing of this project.

Copied to a bare machine, `python standalone.py --plan plan.csv --out FILE --hardware-id ID` runs what `rooflines
measure --plan-only` planned elsewhere, and writes one measurement file. Each row is written as soon as it is measured;
started again, the script resumes after the last one.

A plan is a CSV of kernels: the columns of a measurement up to `bytes`. A time is the median of many executions on
random data with cold caches: before each execution, more than the L2 cache is overwritten.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

# Columns of a plan, and columns that are measured: those of core.measurement except its ids.
PLANNED = (
    "model_id", "op", "op_group", "phase", "kind", "m", "k", "n", "batch_size", "sequence_length", "query_length",
    "heads", "kv_heads", "head_dim", "matrices", "tensor_parallel", "dtype", "flops", "bytes",
)  # fmt: skip
MEASURED = (
    "hardware_id", "latency_s", "latency_min_s", "latency_std_s", "repeats", "method", "software", "device_name",
    "measured_at", "pipe", "accumulator", "is_ceiling",
)  # fmt: skip
COLUMNS = (*PLANNED, *MEASURED)
_CEILING_KINDS = ("copy", "triad", "linear")  # the fastest of them are the measured ceilings
_PRODUCTS = ("linear", "qk", "pv", "attention")
KINDS = ("linear", "qk", "pv", "attention", "softmax", "norm", "rms_norm", "layer_norm", "copy", "triad")

Row = Mapping[str, str]
Kernel = Callable[[], object]

# as in flows/intensity/terms.py, which a bare machine does not have
_VOLTA = 7  # first compute capability with tensor cores
_TENSOR_DTYPES = ("fp16", "bf16", "fp8", "tf32", "int8")
_BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
MAX_SECONDS = 3600.0  # for one kernel
_WARM_UPS = 3
_MIN_RUNS, _MAX_RUNS = 5, 50  # timed executions
_MEMORY_SHARE = 0.9  # of free memory that a kernel may take


class Backend(Protocol):
    """A library and device that run and time kernels."""

    name: str
    method: str
    device_name: str
    software: str
    dtypes: tuple[str, ...]

    def free_bytes(self) -> int:
        """Return the free memory."""

    def make_kernel(self, row: Row) -> Kernel:
        """Return a call that executes a kernel once; its operands are in memory already."""

    def find_pipe(self, row: Row) -> tuple[str, str]:
        """Return the pipe and the accumulator of a kernel; empty if the library does not tell."""

    def time_kernel(self, kernel: Kernel, seconds: float) -> list[float]:
        """Return the times of several executions, in seconds."""

    def release_memory(self) -> None:
        """Release the memory of the last kernel."""


class TorchCuda:
    """PyTorch on a CUDA device; times come from CUDA events."""

    name = "torch-cuda"
    method = "cuda-event, cold L2 (flushed before each execution), median, random data"
    dtypes: tuple[str, ...] = ("fp16", "bf16", "fp32", "tf32", "fp8", "int8")

    def __init__(self) -> None:
        torch: Any = importlib.import_module("torch")

        if not torch.cuda.is_available():
            raise NoBackendError("torch sees no CUDA device; expected one, or the backend numpy")
        self._torch = torch
        properties = torch.cuda.get_device_properties(0)
        self.device_name = str(properties.name)
        self.software = f"torch {torch.__version__}, CUDA {torch.version.cuda}, driver {_find_driver()}"
        cache = getattr(properties, "L2_cache_size", 0) or 64 * 2**20
        self._flush = torch.empty(4 * cache, dtype=torch.uint8, device="cuda")
        self._has_tensor_cores = torch.version.cuda is None or properties.major >= _VOLTA
        self._types = {
            "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "tf32": torch.float32,
            "fp8": torch.float8_e4m3fn, "int8": torch.int8,
        }  # fmt: skip

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

    def time_kernel(self, kernel: Kernel, seconds: float) -> list[float]:
        """Return the times of several executions, from events around each."""
        torch = self._torch
        for _ in range(_WARM_UPS):
            kernel()
        torch.cuda.synchronize()
        first = self._time_runs(kernel, 2)
        return first + self._time_runs(kernel, _count_runs(statistics.median(first), seconds))

    def _time_runs(self, kernel: Kernel, count: int) -> list[float]:
        torch = self._torch
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for start, end in pairs:
            self._flush.zero_()  # also keeps the device busy until the kernel is queued
            start.record()
            kernel()
            end.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairs]

    def _make_random(self, dtype: str, *shape: int) -> Any:
        torch = self._torch
        if dtype == "int8":
            return torch.randint(-127, 128, shape, dtype=torch.int8, device="cuda")
        if dtype == "fp8":
            out = torch.empty(shape, dtype=torch.float8_e4m3fn, device="cuda")
            step = max(1, 2**28 // max(1, math.prod(shape[1:])))
            for i in range(0, shape[0], step):
                out[i : i + step] = torch.randn((min(step, shape[0] - i), *shape[1:]), device="cuda").to(out.dtype)
            return out
        return torch.randn(shape, dtype=self._types[dtype], device="cuda")

    def make_kernel(self, row: Row) -> Kernel:
        """Return a call that executes a kernel once; its operands are in memory already."""
        torch, dtype, kind = self._torch, row["dtype"], row["kind"]
        torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
        if kind == "linear":
            return self._make_product(row)
        if kind in {"copy", "triad"}:
            a, b = (self._make_random(dtype, _parse_int(row, "m")) for _ in range(2))
            out = torch.empty_like(a)
            return (lambda: out.copy_(a)) if kind == "copy" else (lambda: torch.add(a, b, alpha=0.5, out=out))
        if kind in {"qk", "pv", "attention"}:
            return self._make_attention(row)
        x = self._make_random(dtype, _parse_int(row, "m"), _parse_int(row, "n"))
        functional = torch.nn.functional
        if kind == "softmax":
            return lambda: functional.softmax(x, dim=-1)
        weight = self._make_random(dtype, _parse_int(row, "n"))
        if kind == "rms_norm":
            return lambda: functional.rms_norm(x, x.shape[-1:], weight)
        return lambda: functional.layer_norm(x, x.shape[-1:], weight, weight)

    def _make_product(self, row: Row) -> Kernel:
        torch, dtype = self._torch, row["dtype"]
        m, k, n = (_parse_int(row, name) for name in "mkn")
        a, weight = (
            self._make_random(dtype, m, k),
            self._make_random(dtype, n, k),
        )  # as models store them: one row per output
        if dtype == "fp8":
            one = torch.ones((), device="cuda")
            b = weight.t()
            return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
        b = weight.t()
        if dtype == "int8":
            return lambda: torch._int_mm(a, b)
        out = torch.empty((m, n), dtype=a.dtype, device="cuda")
        return lambda: torch.mm(a, b, out=out)

    def _make_attention(self, row: Row) -> Kernel:
        torch, dtype, kind = self._torch, row["dtype"], row["kind"]
        b, q, s, heads, kv_heads, d = (
            _parse_int(row, name)
            for name in ("batch_size", "query_length", "sequence_length", "heads", "kv_heads", "head_dim")
        )
        if kind == "attention":
            query = self._make_random(dtype, b, heads, q, d)
            keys, values = (self._make_random(dtype, b, kv_heads, s, d) for _ in range(2))
            attend = torch.nn.functional.scaled_dot_product_attention
            options = {"is_causal": row["phase"] == "prefill", "enable_gqa": heads != kv_heads}
            return lambda: attend(query, keys, values, **options)
        rows = q * heads // kv_heads  # queries that share keys and values are rows of one GEMM
        left, right = ((rows, d), (d, s)) if kind == "qk" else ((rows, s), (s, d))
        # keys have one row per token: the GEMM reads them transposed
        x = self._make_random(dtype, b * kv_heads, *left)
        y = self._make_random(dtype, b * kv_heads, s, d)
        y = y.transpose(1, 2) if kind == "qk" else y
        out = torch.empty((b * kv_heads, left[0], right[1]), dtype=x.dtype, device="cuda")
        return lambda: torch.bmm(x, y, out=out)


class Numpy:
    """NumPy on any computer; times come from the clock."""

    name = "numpy"
    method = "wall clock, cold caches (flushed before each execution), median, random data"
    dtypes: tuple[str, ...] = ("fp32", "fp64")

    def __init__(self) -> None:
        numpy: Any = importlib.import_module("numpy")

        self._numpy = numpy
        self.device_name = platform.processor() or platform.machine()
        self.software = f"numpy {numpy.__version__}, Python {platform.python_version()}, {platform.system()}"
        self._flush = numpy.zeros(2**25, dtype=numpy.uint8)
        self._random_numbers = numpy.random.default_rng(0)

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

    def time_kernel(self, kernel: Kernel, seconds: float) -> list[float]:
        """Return the times of several executions, from the clock."""
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

    def make_kernel(self, row: Row) -> Kernel:
        """Return a call that executes a kernel once; its operands are in memory already."""
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
            yield {**base, **size, "flops": str(2 * side**3), "bytes": str(3 * side**2 * _BYTES[dtype])}


def measure(
    plan: Iterable[Row],
    out: Path,
    backend: Backend,
    hardware_id: str,
    *,
    seconds: float = 0.2,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Time the kernels of a plan that a file does not hold yet, and append one row per kernel to the file.

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
    progress
        Called with one line per kernel.

    Raises
    ------
    ValueError
        The file exists and is not a measurement file; it is left unchanged.
    """
    rows = list(plan)
    done = _read_keys(out) if out.exists() else set()
    counts = dict.fromkeys(("measured", "before", "too large", "failed"), 0)
    _cut_unfinished_line(out)
    with out.open("a", encoding="utf-8", newline="") as file:
        # a file of an earlier version keeps its columns
        writer = csv.DictWriter(file, _read_header(out) or COLUMNS, extrasaction="ignore", lineterminator="\n")
        if not done and file.tell() == 0:
            writer.writeheader()
        for number, row in enumerate(rows, start=1):
            if _key(row) in done:
                counts["before"] += 1
                continue
            outcome, message, times = _time_row(row, backend, seconds)
            counts[outcome] += 1
            if times:
                done.add(_key(row))
                planned = {name: row[name] for name in PLANNED}
                writer.writerow(
                    {**planned, **_format_times(times, backend, hardware_id), **_describe_pipe(row, backend)}
                )
                file.flush()
            progress(f"{number}/{len(rows)} {_describe_kernel(row)}: {message}")
    return counts


def _time_row(row: Row, backend: Backend, seconds: float) -> tuple[str, str, list[float]]:
    """Return what became of a kernel, a message about it, and its times if it was measured."""
    for name, known in (("kind", KINDS), ("dtype", backend.dtypes)):
        if row[name] not in known:
            expected = f"expected {', '.join(known)} with the backend {backend.name}"
            return "failed", f"left out, {name} = {row[name][:60]}: {expected}", []
    needed = _needed_bytes(row)
    if needed > _MEMORY_SHARE * backend.free_bytes():
        return "too large", f"left out, needs {needed / 1e9:.1f} GB of memory", []
    try:
        times = backend.time_kernel(backend.make_kernel(row), seconds)
    except (RuntimeError, MemoryError, NotImplementedError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        return "failed", f"left out, {type(error).__name__}: {reason}", []
    finally:
        backend.release_memory()
    median = statistics.median(times)
    return "measured", f"{median * 1e6:.1f} us, {float(row['flops']) / median / 1e12:.2f} TFLOP/s", times


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
        "method": backend.method,
        "software": backend.software,
        "device_name": backend.device_name,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _describe_pipe(row: Row, backend: Backend) -> dict[str, str]:
    pipe, accumulator = backend.find_pipe(row)
    return {"pipe": pipe, "accumulator": accumulator, "is_ceiling": str(row["kind"] in _CEILING_KINDS).lower()}


def _needed_bytes(row: Row) -> float:
    """Return the memory of the operands: the bytes that the kernel moves, and for fp8 also those of the conversion."""
    return float(row["bytes"]) * (1.3 if row["dtype"] == "fp8" else 1.02) + 2**28


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
    return {_key(row) for row in _read_rows(path)}


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
    options = parser.parse_args(arguments)
    try:
        refuse_bad_seconds(options.seconds)
        backend = start_backend(options.backend)
        rows = [*plan_ceilings(backend), *(read_plan(options.plan) if options.plan else [])]
        show = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
        counts = measure(rows, options.out, backend, options.hardware_id, seconds=options.seconds, progress=show)
    except (OSError, ValueError, NoBackendError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"  measurements  {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

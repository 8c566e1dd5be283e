"""The events of a trace that are needed, as tables of numbers."""

import re
from array import array
from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from flows.ingest.profiles.torch_profiler.event_file import read_text
from flows.ingest.profiles.torch_profiler.op_shapes import OpShape, find_shape, list_input_dims
from flows.ingest.readers.trace_ops import TraceOps
from warehouse.polars_frames import register_frame

# Categories of events; the second names are those of PyTorch before 1.11.
_OF_HOST = frozenset({"cpu_op", "Operator"})
_KERNELS = frozenset({"kernel", "Kernel"})
_OF_DEVICE = _KERNELS | {"gpu_memcpy", "Memcpy", "gpu_memset", "Memset"}
_OF_RUNTIME = re.compile(r"runtime$|_driver$", re.IGNORECASE)
_STARTS_WORK = re.compile(r"launch|memcpy|memset", re.IGNORECASE)
# Parts of the names of kernels that compute fp32 in tf32.
_TF32 = ("tf32", "s1688gemm")
# Parts of the names of kernels that run on tensor cores: of cuBLAS, CUTLASS and FlashAttention. Others do not tell.
_TENSOR = re.compile(
    "tensorop|tensor[0-9]+x[0-9]+|warpgroup|wgmma|[hsdi](884|1688|16816|16832)(gemm|cudnn)|nvjet|flash_(fwd|bwd)"
)
_RANK = re.compile(r"\[([^\]]{1,40})\]|rank\W{0,2}(\d{1,6})", re.IGNORECASE)

NO_ID = -1
# what a call of the runtime does
LAUNCH, GRAPH_LAUNCH, BEGIN_CAPTURE, END_CAPTURE = range(4)
_CALLS = {"graphlaunch": GRAPH_LAUNCH, "streambegincapture": BEGIN_CAPTURE, "streamendcapture": END_CAPTURE}
_CALL = re.compile("|".join(_CALLS), re.IGNORECASE)

_NOT_SHOWN = " (sizes not shown)"
_MAX_NAME = 100  # characters
_MAX_DIGITS = 18  # of a number that is given as text
_MAX_TEXT = 40

_MAX_NUMBER = 1e18
_MAX_NAMES = 20_000
_MAX_CACHED = 20_000
_ROWS = 50_000  # of a table that are kept before they are passed on
_DTYPE_OF_CODE = {"q": pl.Int64, "d": pl.Float64, "b": pl.Int8}  # of an array


class _Table:
    """A table of a database that grows by rows; a few at a time are kept."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, codes: Mapping[str, str]) -> None:
        self._connection, self._name, self._codes = connection, name, {"row_id": "q", **codes}
        self._count = 0
        self._start()
        with register_frame(connection, "given", self._frame()):
            connection.execute(f"create table {name} as from given")

    def __len__(self) -> int:
        return self._count

    def add(self, *values: float) -> None:
        for column, value in zip(self._columns.values(), (self._count, *values), strict=True):
            column.append(value)
        self._count += 1
        if self._count % _ROWS == 0:
            self.flush()

    def flush(self) -> None:
        """Pass on the rows that are kept."""
        with register_frame(self._connection, "given", self._frame()):
            self._connection.execute(f"insert into {self._name} from given")
        self._start()

    def _start(self) -> None:
        self._columns: dict[str, array[Any]] = {name: array(code) for name, code in self._codes.items()}

    def _frame(self) -> pl.DataFrame:
        columns = self._columns.items()
        return pl.DataFrame([pl.Series(name, column, _DTYPE_OF_CODE[column.typecode]) for name, column in columns])


class Events:
    """The relevant events of a trace, which go to the tables `op`, `kernel` and `call` of a database.

    Attributes
    ----------
    has_sizes
        Whether an op has the sizes of its inputs.
    has_device_calls
        Whether the program called the runtime of a device.
    replays_graphs
        Whether it replayed a CUDA graph.
    is_of_xla
        Whether an event is an op of XLA, as JAX traces them.
    shapes
        Shape -> its number.
    names
        Name of an op -> its number.
    processes, devices
        `pid` of an op, or of a kernel -> its number.
    ops, kernels, calls
        Tables of ops, of what ran on devices, and of calls of the runtime.
    """

    def __init__(self, known: TraceOps, connection: duckdb.DuckDBPyConnection) -> None:
        self.has_sizes = self.has_device_calls = self.replays_graphs = self.is_of_xla = False
        self.shapes: dict[OpShape, int] = {}
        self.names: dict[str, int] = {}
        self.processes: dict[str, int] = {}
        self.devices: dict[str, int] = {}
        of_op = {"id": "q", "process": "q", "thread": "q", "start": "d", "us": "d", "shape": "q", "name": "q"}
        self.ops = _Table(connection, "op", of_op | {"is_move": "b"})
        of_kernel = {"id": "q", "correlation": "q", "device": "q", "node": "q", "start": "d", "us": "d"}
        self.kernels = _Table(connection, "kernel", of_kernel | {"is_tf32": "b", "is_tensor": "b", "is_kernel": "b"})
        of_call = {"correlation": "q", "id": "q", "process": "q", "thread": "q", "start": "d", "kind": "q"}
        self.calls = _Table(connection, "call", of_call)
        self._known = known
        self._threads: dict[str, int] = {}
        self._cached: dict[str, OpShape | None] = {}

    @property
    def has_kernels(self) -> bool:
        """Whether anything ran on a device."""
        return len(self.kernels) > 0

    def add(self, event: Mapping[str, object]) -> bool:
        """Keep the needed numbers of an event; return False if it is an op or a kernel whose time is unknown."""
        category, name, args = event.get("cat"), event.get("name"), event.get("args")
        if not (isinstance(category, str) and isinstance(name, str) and isinstance(args, dict)):
            self.is_of_xla = self.is_of_xla or (isinstance(args, dict) and "hlo_op" in args)
            return True
        if category in _OF_DEVICE:
            return self._add_kernel(event, category, name, args)
        if category in _OF_HOST:
            return self._add_op(event, name, args)
        if _OF_RUNTIME.search(category):
            self._add_call(event, name, args)
        return True

    def flush(self) -> None:
        """Pass on what has been read."""
        for table in (self.ops, self.kernels, self.calls):
            table.flush()

    def _add_kernel(self, event: Mapping[str, object], category: str, name: str, args: Mapping[str, object]) -> bool:
        start, time = as_number(event.get("ts")), as_number(event.get("dur"))
        if time is None:
            return False
        is_tf32 = any(part in name for part in _TF32)
        self.kernels.add(
            _as_id(args.get("External id", args.get("external id"))),
            _as_id(args.get("correlation")),
            _number(self.devices, str(event.get("pid"))),
            _as_id(args.get("graph node id")),
            start or 0.0,
            time,
            is_tf32,
            is_tf32 or bool(_TENSOR.search(name)),
            category in _KERNELS,
        )
        return True

    def _add_op(self, event: Mapping[str, object], name: str, args: Mapping[str, object]) -> bool:
        self.has_sizes = self.has_sizes or bool(list_input_dims(args))
        start, time = as_number(event.get("ts")), as_number(event.get("dur"))
        if start is None or time is None:
            return False
        known, shape = self._known.find(name), self._find_shape(name, args)
        suffix = _NOT_SHOWN if shape is None and known else ""
        process, thread = self._place(event)
        self.ops.add(
            _as_id(args.get("External id", args.get("external id"))),
            process,
            thread,
            start,
            time,
            NO_ID if shape is None else self.shapes.setdefault(shape, len(self.shapes)),
            _number(self.names, f"{read_text(name)[:_MAX_NAME]}{suffix}"),
            known is not None and known.formula == "elementwise",
        )
        return True

    def _add_call(self, event: Mapping[str, object], name: str, args: Mapping[str, object]) -> None:
        self.has_device_calls = True
        found = _CALL.search(name)
        if not found and not _STARTS_WORK.search(name):
            return
        call = _CALLS[found[0].lower()] if found else LAUNCH
        self.replays_graphs = self.replays_graphs or call == GRAPH_LAUNCH
        start = as_number(event.get("ts"))
        process, thread = self._place(event)
        self.calls.add(
            _as_id(args.get("correlation")),
            _as_id(args.get("External id", args.get("external id"))),
            process,
            thread,
            start or 0.0,
            call,
        )

    def _place(self, event: Mapping[str, object]) -> tuple[int, int]:
        """Return the numbers of the process and the thread of an event."""
        process = str(event.get("pid"))
        return _number(self.processes, process), _number(self._threads, f"{process} {event.get('tid')}")

    def _find_shape(self, name: str, args: Mapping[str, object]) -> OpShape | None:
        op = self._known.find(name)
        if op is None:
            return None
        # a program runs the same few ops over and over
        key = repr((name, list_input_dims(args), args.get("Input type"), args.get("Concrete Inputs")))
        if key not in self._cached:
            if len(self._cached) >= _MAX_CACHED:
                self._cached.clear()
            self._cached[key] = find_shape(name, op, args)
        return self._cached[key]


def find_rank(place: str) -> str | None:
    """Return the rank that a merged trace writes into the `pid` of an event, e.g. ``[TP01] 7``, if there is one."""
    found = _RANK.search(place)
    return next(filter(None, found.groups())) if found else None


def as_number(value: object) -> float | None:
    """Return a number that is not negative, also if it is given as text; else None."""
    if isinstance(value, str) and len(value) < _MAX_TEXT:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _MAX_NUMBER else None


def _as_id(value: object) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else NO_ID


def _number(numbers: dict[str, int], name: str) -> int:
    """Return the number of a name; beyond a limit, names share one."""
    if name not in numbers and len(numbers) >= _MAX_NAMES:
        return 0
    return numbers.setdefault(name, len(numbers))

"""A trace into the rows of a measurement file."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import warehouse
from flows.ingest.file_head import FileHead
from flows.ingest.profiles.torch_profiler.columns import Events, find_rank
from flows.ingest.profiles.torch_profiler.event_file import EventFile
from flows.ingest.profiles.torch_profiler.links import add_numbers, execute, find_leaves, link_kernels, open_tables
from flows.ingest.profiles.torch_profiler.op_shapes import OpShape
from flows.ingest.readers.trace_ops import TraceOps, load_trace_ops
from flows.ingest.source_file import SourceFile, digest_of_file
from warehouse.errors import InputError
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_column, fetch_count

_MAX_LENGTH = 400
_TIMES_US = (1e-3, 1e11)
_MOST_NAMED = 5  # ops that are named as not covered
_SHARE_SHOWN = 0.0005
_MAX_DIGITS = 9  # of a rank

_TEXTS = ("op", "op_group", "kind", "dtype", "phase", "note")
_NUMBERS = ("flops", "bytes", "matrices")
_SCHEMA: dict[str, Any] = {
    name: pl.String if name in _TEXTS else pl.Float64 if name in _NUMBERS else pl.Int64 for name in OpShape._fields
}
COLUMNS = (
    "hardware_id", "device_name", "model_id", "op", "op_group", "phase", "kind", "m", "k", "n", "batch_size",
    "sequence_length", "query_length", "heads", "kv_heads", "head_dim", "matrices", "tensor_parallel", "dtype", "pipe",
    "flops", "bytes", "latency_s", "latency_min_s", "latency_std_s", "repeats", "method", "software", "origin",
    "license", "launch", "rank", "covered_share", "coverage",
)  # fmt: skip


def read_torch_profiler(
    source: SourceFile, hardware_id: str, model_id: str | None, known: TraceOps | None = None
) -> pl.DataFrame:
    """Return one row per distinct op, shape, launch and rank, with the columns of a measurement file.

    Parameters
    ----------
    source
        The trace, JSON or gzipped JSON.
    hardware_id, model_id
        The device and the model, which the file does not name.
    known
        The ops that are counted; by default those that ship.

    Raises
    ------
    InputError
        The file is not a trace with shapes, or no op in it can be counted.
    """
    path, known = source.path, known or shipped_trace_ops()
    with open_tables(path) as connection:
        events = Events(known, connection)
        with EventFile(path) as file:
            for event in file.events():
                if not events.add(event):
                    file.count_untimed()
        _refuse_without_work(path, file, events)
        events.flush()
        rows, coverage = _summarize(connection, path, file, events, known)
    clock = "kernel times" if events.has_kernels else "durations of ops on the CPU"
    return rows.with_columns(
        hardware_id=pl.lit(hardware_id),
        device_name=pl.lit(_printable(", ".join(dict.fromkeys(file.devices()))) or None, pl.String),
        model_id=pl.lit(model_id, pl.String),
        tensor_parallel=pl.lit(1, pl.Int64),
        method=pl.format("torch profiler, {}, median{}", pl.lit(clock), "note"),
        software=pl.lit(_printable(", ".join(["PyTorch profiler", *file.versions()]))),
        origin=pl.lit(_printable(f"PyTorch profiler trace {path.name}")),
        license=pl.lit(None, pl.String),
        coverage=pl.lit(_printable(coverage) or None, pl.String),
    ).select(COLUMNS)


def prepare(sources: Sequence[SourceFile]) -> Callable[[SourceFile, str, str | None], pl.DataFrame]:
    """Return the converter that knows the ops of a catalog; those that ship if it has no list of them."""
    lists = [source for source in sources if source.kind == "trace_ops"]
    return partial(read_torch_profiler, known=load_trace_ops(lists) if lists else None)


def is_trace(head: FileHead) -> bool:
    """Return whether a file begins like a trace: an object with events, or a list of them."""
    is_of_kineto = head.has_json_key("schemaVersion") and head.has_json_key("deviceProperties")
    return (
        is_of_kineto
        or head.has_json_key("traceEvents")
        or (head.json.lstrip("\ufeff \t\r\n").startswith("[") and head.has_json_key("ph") and head.has_json_key("cat"))
    )


@cache
def shipped_trace_ops() -> TraceOps:
    """Return the ops that ship with rooflines."""
    path = Path(warehouse.__file__).resolve().parent / "catalog" / "trace_ops.toml"
    names = ("shipped/trace_ops/trace_ops", "trace_ops", "trace_ops", path, path.name)
    return load_trace_ops([SourceFile(*names, digest_of_file(path), path.stat().st_size, is_named_after_entry=False)])


def _refuse_without_work(path: Path, file: EventFile, events: Events) -> None:
    """Raise `InputError` if a trace lacks what rows need; what is wrong with the file itself is said as well."""
    names_device = bool(file.devices()) or events.has_device_calls
    fault = f"{file.fault}; " if file.fault else ""
    if not events.has_sizes:
        if events.is_of_xla:
            raise InputError(
                f"{path}: {fault}a trace of JAX or XLA, whose ops have no sizes of operands; expected a trace of"
                ' PyTorch\'s profiler, or a table for "rooflines ingest measurement": m, k, n, dtype and a time'
            )
        if events.replays_graphs and events.has_kernels:
            raise InputError(
                f'{path}: {fault}no op with "Input Dims": its kernels run in CUDA graphs; expected a trace, recorded'
                " with record_shapes=True, that also has the recording of the graphs, or ops outside of them"
            )
        if events.has_kernels and not events.names:
            raise InputError(
                f"{path}: {fault}no ops beside the kernels; expected a trace recorded with ProfilerActivity.CPU and"
                " CUDA and record_shapes=True"
            )
        raise InputError(f'{path}: {fault}no op with "Input Dims"; expected a trace recorded with record_shapes=True')
    if not events.has_kernels and (names_device or file.is_cut):
        why = "it names a GPU" if names_device else "it may have had some"
        raise InputError(
            f'{path}: {fault}no event of category "kernel" although {why}; expected a trace recorded with'
            " ProfilerActivity.CUDA, or without a visible GPU"
        )


def _summarize(
    connection: duckdb.DuckDBPyConnection, path: Path, file: EventFile, events: Events, known: TraceOps
) -> tuple[pl.DataFrame, str]:
    """Return one row per shape, arithmetic, launch and rank, with its times, and what share of the time they cover."""
    bounds = dict(zip(("shortest_us", "longest_us"), _TIMES_US, strict=True))
    share, coverage = None, ""
    if events.has_kernels:
        link_kernels(connection, events)
        of_fp32 = [number for shape, number in events.shapes.items() if shape.dtype == "fp32"]
        execute(connection, "run", {**bounds, "of_fp32": of_fp32})
        share, coverage = _describe_coverage(connection, events)
    else:
        find_leaves(connection)
        execute(connection, "run_of_host", bounds)
    text = "; ".join(filter(None, [coverage, file.fault]))
    if not fetch_count(connection, "select count(*) from run"):
        raise InputError(_explain_nothing(path, text, events, known))
    ranks = _find_ranks(fetch_column(connection, "select distinct process from run order by process"), file, events)
    add_numbers(connection, "process_rank", ranks)
    execute(connection, "times")
    shapes = pl.DataFrame(list(events.shapes), schema=_SCHEMA, orient="row").with_row_index("shape")
    rows = (
        read_frame(connection, "from times order by shape, is_tf32, launch, rank nulls first")
        .join(shapes.cast({"shape": pl.Int64}), on="shape", maintain_order="left")
        .with_columns(
            dtype=pl.when("is_tf32").then(pl.lit("tf32")).otherwise("dtype"),
            covered_share=pl.lit(share, pl.Float64),
        )
    )
    return rows, text


def _find_ranks(processes: Sequence[int], file: EventFile, events: Events) -> dict[str, list[int]]:
    """Return the rank of each process: its own if there are several, else that of the file, if it tells one."""
    if len(processes) <= 1:
        info = file.metadata.get("distributedInfo")
        rank = info.get("rank") if isinstance(info, dict) else None
        if type(rank) is not int or not 0 <= rank < 2**31:
            return {"process": [], "rank": []}
        return {"process": list(processes), "rank": [rank] * len(processes)}
    names = {number: name for name, number in events.processes.items()}
    stated = [find_rank(names[process]) or "" for process in processes]
    digits = ["".join(filter(str.isdecimal, rank)) for rank in stated]
    is_stated = all(digits) and len(set(digits)) == len(digits) and max(map(len, digits)) <= _MAX_DIGITS
    return {
        "process": list(processes),
        "rank": [int(each) for each in digits] if is_stated else list(range(len(processes))),
    }


def _describe_coverage(connection: duckdb.DuckDBPyConnection, events: Events) -> tuple[float, str]:
    """Return which share of the time of the devices the rows cover, and in words also what they do not."""
    execute(connection, "coverage")
    found = read_frame(connection, "from coverage")
    sums = found.select(pl.col("us", "covered_us", "kernels", "covered_kernels").sum()).row(0, named=True)
    total = float(sums["us"] or 0)
    share = min(1.0, float(sums["covered_us"]) / total) if total else 0.0
    text = (
        f"covers {share:.1%} of the time on the GPU, {sums['covered_kernels'] or 0:,.0f} of {sums['kernels'] or 0:,.0f}"
        " kernels"
    )
    schema = {"name": pl.Int64, "op": pl.String}
    names = pl.DataFrame({"name": range(len(events.names)), "op": list(events.names)}, schema)
    of_no_op = pl.when("is_of_graph").then(pl.lit("CUDA graphs")).otherwise(pl.lit("kernels of no op"))
    others = (
        found.filter((pl.col("kernels") > pl.col("covered_kernels")) | (pl.col("us") > pl.col("covered_us")))
        .join(names, on="name", how="left")
        .group_by(what=pl.coalesce("op", of_no_op))
        .agg(share=(pl.col("us") - pl.col("covered_us")).sum() / total)
        .sort("share", "what", descending=[True, False])
    )
    shown = others.filter(pl.col("share") >= _SHARE_SHOWN).head(_MOST_NAMED)
    if total and not shown.is_empty():
        text += f"; not covered: {', '.join(f'{what} {part:.1%}' for what, part in shown.iter_rows())}"
        text += f", {len(others) - len(shown)} others" if len(others) > len(shown) else ""
    return share, text


def _explain_nothing(path: Path, text: str, events: Events, known: TraceOps) -> str:
    """Return why a trace gives no row."""
    where = f"; {text}" if text else ""
    if events.shapes:
        return (
            f'{path}: no kernel with the "External id" or correlation of an op that is counted{where}; expected ops'
            " that run outside of CUDA graphs, or graphs whose recording is in the trace, traced with"
            " ProfilerActivity.CPU and CUDA"
        )
    names = _list_names(known.names)
    return f"{path}: no op of a known kind, shape and dtype{where}; expected one of {names}, or one in trace_ops.toml"


def _list_names(names: Iterable[str]) -> str:
    """Return the names of the most common ops, and how many others there are."""
    shown = ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::_scaled_mm", "aten::convolution",
             "aten::_scaled_dot_product_flash_attention")  # fmt: skip
    others = len(set(names) - set(shown))
    return f"{', '.join(shown)}, {others} others"


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_MAX_LENGTH]

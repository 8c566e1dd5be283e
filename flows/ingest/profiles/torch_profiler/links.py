"""Which op launched each kernel of a trace.

A kernel has the external id of the innermost op that launched it, or the correlation id of the call that did, which
has such an id, or was made while the op ran. A kernel of an op that is not counted belongs to the nearest op around
it that is. Kernels that are replayed from a CUDA graph are in no op: they are matched to what was launched, in the
same order, while the graph was recorded, if the trace shows that.
"""

from collections.abc import Sequence

import polars as pl

from flows.ingest.profiles.torch_profiler.columns import (
    BEGIN_CAPTURE,
    END_CAPTURE,
    GRAPH_LAUNCH,
    LAUNCH,
    Events,
    find_rank,
)

_NO_REPLAY = -1
# How many recordings are compared with a replay.
_MAX_CAPTURES = 1_000
_MAX_DIGITS = 18  # of the number of a device


def link_kernels(events: Events) -> pl.DataFrame:
    """Return one row per kernel, copy and fill.

    Its columns are `us`, `is_tf32`, `is_tensor`, `is_kernel`, and

    - `leaf`: the op that is counted, by its row in `find_leaves`; null if there is none;
    - `name`: number of the name of the innermost op; null if there is none;
    - `process`: number of the process that launched it; null if not known;
    - `replay`: the launch of a CUDA graph that it belongs to, -1 if there is none.
    """
    ops, calls = events.ops.frame(), events.calls.frame()
    leaves = find_leaves(ops)
    of_op = _find_leaf_of_each(ops, leaves)
    kernels = _add_processes(events.kernels.frame().with_row_index("kernel"), ops, calls, events)
    kernels = kernels.with_columns(replay=_replay(kernels, calls))
    by_id = _link_by_id(kernels, of_op)
    by_call = _link_by_call(kernels, calls, of_op, leaves)
    linked = (
        kernels.join(by_id, on="kernel", how="left")
        .join(by_call, on="kernel", how="left", suffix="_of_call")
        .with_columns(
            leaf=pl.coalesce("leaf", "leaf_of_call"),
            name=pl.coalesce("name", "name_of_call"),
            process=pl.coalesce("process", "process_of_op", "process_of_op_of_call"),
        )
    )
    is_replayed = pl.col("replay") != _NO_REPLAY
    alone, replayed = linked.filter(~is_replayed), linked.filter(is_replayed)
    if not replayed.is_empty():
        nothing = {"leaf": pl.lit(None, pl.Int64), "name": pl.lit(None, pl.Int64)}
        replayed = _match_replays(replayed.with_columns(**nothing), calls, kernels, of_op, leaves)
    columns = ["us", "is_tf32", "is_tensor", "is_kernel", "leaf", "name", "process", "replay"]
    return pl.concat([alone.select(columns), replayed.select(columns)])


def find_leaves(ops: pl.DataFrame) -> pl.DataFrame:
    """Return the ops that are counted and contain no other op that is, with their place in the column `leaf`.

    Ops of one process whose id occurs twice, as in merged traces, are left out: their kernels cannot be assigned.
    """
    following = {name: pl.col(name).shift(-1) for name in ("thread", "start", "us")}
    middle = following["start"] + following["us"] / 2  # ends are rounded
    is_around = (following["thread"] == pl.col("thread")) & (middle < pl.col("start") + pl.col("us"))
    # an id is unique among all ops, of which most are not counted
    is_alone = pl.struct("process", "id").is_unique() | (pl.col("id") < 0)
    return (
        ops.with_columns(is_alone=is_alone)
        .filter(pl.col("shape") >= 0)
        .sort("thread", "start", "us", descending=[False, False, True], maintain_order=True)
        .filter(~is_around.fill_null(value=False), "is_alone")
        .drop("is_alone")
        .with_row_index("leaf")
        .cast({"leaf": pl.Int64})
    )


def _find_leaf_of_each(ops: pl.DataFrame, leaves: pl.DataFrame) -> pl.DataFrame:
    """Return ops with the leaf that they are, or are inside of; ops whose id occurs twice in a process are left out."""
    inside = _find_around(ops, leaves)
    return inside.filter((pl.col("id") < 0) | pl.struct("process", "id").is_unique())


def _find_around(places: pl.DataFrame, leaves: pl.DataFrame) -> pl.DataFrame:
    """Add the leaf that was running, on the same thread, at `start` and to the end, if there is an `us`."""
    end = pl.col("start") + pl.col("us")
    around = leaves.select("thread", "start", "leaf", leaf_us=pl.col("us"), leaf_end=end).sort("start")
    found = places.sort("start").join_asof(around, on="start", by="thread", strategy="backward", check_sortedness=False)
    us = pl.col("us") if "us" in places.columns else pl.lit(0.0)
    is_inside = (pl.col("start") + us / 2 <= pl.col("leaf_end")) & (us <= pl.col("leaf_us"))
    return found.with_columns(leaf=pl.when(is_inside).then("leaf")).drop("leaf_us", "leaf_end")


def _link_by_id(kernels: pl.DataFrame, of_op: pl.DataFrame) -> pl.DataFrame:
    """Return `kernel`, `leaf`, `name` and `process_of_op` of the kernels whose external id is that of one op."""
    with_id = of_op.filter(pl.col("id") >= 0).select("id", "leaf", "name", process_of_op="process")
    known = kernels.filter(pl.col("id") >= 0, pl.col("process").is_not_null()).join(
        with_id, left_on=["id", "process"], right_on=["id", "process_of_op"], how="inner", coalesce=False
    )
    others = kernels.filter(pl.col("id") >= 0, pl.col("process").is_null()).join(
        with_id.filter(pl.col("id").is_unique()), on="id", how="inner"
    )
    columns = ["kernel", "leaf", "name", "process_of_op"]
    return pl.concat([known.select(columns), others.select(columns)])


def _link_by_call(
    kernels: pl.DataFrame, calls: pl.DataFrame, of_op: pl.DataFrame, leaves: pl.DataFrame
) -> pl.DataFrame:
    """Return the same of the kernels without an id, by the call that has their correlation id."""
    without = kernels.filter(pl.col("id") < 0, pl.col("correlation") >= 0)
    launches = calls.filter(pl.col("call") == LAUNCH, pl.col("correlation") >= 0)
    launches = launches.filter(pl.struct("process", "correlation").is_unique())
    placed = _place_calls(launches, of_op, leaves).select("correlation", "leaf", "name", process_of_op="process")
    known = without.filter(pl.col("process").is_not_null()).join(
        placed,
        left_on=["correlation", "process"],
        right_on=["correlation", "process_of_op"],
        how="inner",
        coalesce=False,
    )
    others = without.filter(pl.col("process").is_null()).join(
        placed.filter(pl.col("correlation").is_unique()), on="correlation", how="inner"
    )
    columns = ["kernel", "leaf", "name", "process_of_op"]
    return pl.concat([known.select(columns), others.select(columns)])


def _place_calls(calls: pl.DataFrame, of_op: pl.DataFrame, leaves: pl.DataFrame) -> pl.DataFrame:
    """Add `leaf` and `name` of the op that made each call: by its id, else by the time."""
    with_id = of_op.filter(pl.col("id") >= 0).select("id", "process", "leaf", "name")
    by_time = _find_around(calls, leaves).rename({"leaf": "leaf_then"})
    return by_time.join(with_id, on=["id", "process"], how="left", maintain_order="left").with_columns(
        leaf=pl.when(pl.col("id") < 0).then("leaf_then").otherwise("leaf")
    )


def _replay(kernels: pl.DataFrame, calls: pl.DataFrame) -> pl.Series:
    """Return the launch of a CUDA graph that each kernel belongs to: its correlation id, or -1."""
    launches = calls.filter(pl.col("call") == GRAPH_LAUNCH)["correlation"].unique()
    is_node = (pl.col("node") > 0) & (pl.col("correlation") >= 0)
    is_replayed = pl.col("correlation").is_in(launches.to_list()) | is_node
    return kernels.select(pl.when(is_replayed).then("correlation").otherwise(_NO_REPLAY)).to_series()


def _match_replays(
    replayed: pl.DataFrame, calls: pl.DataFrame, kernels: pl.DataFrame, of_op: pl.DataFrame, leaves: pl.DataFrame
) -> pl.DataFrame:
    """Give the kernels of each replay the ops of the recording with as many launches, if there is one such.

    Recordings of as many launches but other shapes are not told apart: then no op is given.
    """
    recorded = _find_recorded(calls, kernels, of_op, leaves)
    if recorded.is_empty():
        return replayed
    by = ["process", "replay"] if replayed["process"].null_count() == 0 else ["replay"]
    # nodes are numbered in the order in which they were recorded
    ordered = replayed.sort(*by, "node", "start", maintain_order=True).with_columns(
        place=pl.int_range(pl.len()).over(by), count=pl.len().over(by)
    )
    shapes = recorded.join(leaves.select("leaf", "shape"), on="leaf", how="left", maintain_order="left")
    captures = (
        shapes.sort("capture", "place")
        .group_by("capture", maintain_order=True)
        .agg(pl.len().alias("count"), pl.col("shape").hash().alias("work"))
        .tail(_MAX_CAPTURES)
    )
    certain = (
        captures.group_by("count", maintain_order=True)
        .agg(pl.col("capture").last(), pl.col("work").n_unique().alias("works"))
        .filter(pl.col("works") == 1)
        .drop("works")
    )
    found = certain.join(recorded, on="capture", maintain_order="left").select("count", "place", "leaf", "name")
    return ordered.drop("leaf", "name").join(found, on=["count", "place"], how="left", maintain_order="left")


def _find_recorded(
    calls: pl.DataFrame, kernels: pl.DataFrame, of_op: pl.DataFrame, leaves: pl.DataFrame
) -> pl.DataFrame:
    """Return the launches that were recorded into graphs: `capture`, `place` in it, `leaf` and `name` of their ops.

    They started no kernel. Those between the same begin and end are of one graph; without these calls, all are.
    """
    started = kernels.filter(pl.col("replay") == _NO_REPLAY)["correlation"].unique()
    launches = calls.filter(pl.col("call") == LAUNCH, ~pl.col("correlation").is_in(started.to_list()))
    bounds = calls.filter(pl.col("call").is_in([BEGIN_CAPTURE, END_CAPTURE])).sort("start")
    if bounds.is_empty():
        inside = launches.with_columns(capture=pl.lit(0, pl.Int64))
    else:
        marks = bounds.with_row_index("capture").select("start", "process", pl.col("capture", "call").cast(pl.Int64))
        inside = (
            launches.sort("start")
            .join_asof(marks, on="start", by="process", strategy="backward", suffix="_before", check_sortedness=False)
            .filter(pl.col("call_before") == BEGIN_CAPTURE)
        )
    placed = _place_calls(inside, of_op, leaves).sort("capture", "start", maintain_order=True)
    return placed.with_columns(place=pl.int_range(pl.len()).over("capture")).select("capture", "place", "leaf", "name")


def _add_processes(kernels: pl.DataFrame, ops: pl.DataFrame, calls: pl.DataFrame, events: Events) -> pl.DataFrame:
    """Add the process that launched each kernel, if the device tells it; else null.

    In a trace of several ranks the same ids occur in several processes. Then a device belongs to the process with the
    same rank in its name, else to the one that alone has ids of its kernels, else the devices and the processes are in
    the same order.
    """
    processes = ops["process"].unique().sort().to_list()
    if len(processes) <= 1:
        only = pl.lit(processes[0] if processes else None, pl.Int64)
        return kernels.with_columns(process=only)
    ids = ops.filter(pl.col("id") >= 0).select("id", "process").unique()
    if ids["id"].is_unique().all():
        return kernels.with_columns(process=pl.lit(None, pl.Int64))
    by_device = _match_devices(kernels, ids, processes, events)
    mapping = pl.DataFrame(
        {"device": list(by_device), "process": list(by_device.values())}, {"device": pl.Int64, "process": pl.Int64}
    )
    return kernels.join(mapping, on="device", how="left", maintain_order="left")


def _match_devices(
    kernels: pl.DataFrame, ids: pl.DataFrame, processes: Sequence[int], events: Events
) -> dict[int, int]:
    ranks = {find_rank(name): number for name, number in events.processes.items() if number in processes}
    names = {number: name for name, number in events.devices.items()}
    devices = sorted(kernels["device"].unique().to_list(), key=lambda device: _natural(names[device]))
    stated = {device: find_rank(names[device]) for device in devices}
    found = {device: ranks[rank] for device, rank in stated.items() if rank is not None and rank in ranks}
    if found:
        return found
    alone = ids.filter(pl.col("id").is_unique())
    votes = kernels.join(alone, on="id").group_by("device", "process").len().sort("len", "process")
    found = dict(zip(votes["device"].to_list(), votes["process"].to_list(), strict=True))
    left = [process for process in processes if process not in found.values()]
    others = [device for device in devices if device not in found]
    if len(left) == len(others):  # processes are numbered in the order of the file
        found |= dict(zip(others, left, strict=True))
    return found


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() and len(name) <= _MAX_DIGITS else (0, name)

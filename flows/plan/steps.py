"""The expected steps of a plan, by the formulas of the warehouse, at settings that its snapshot lacks."""

from collections.abc import Sequence

import duckdb
import polars as pl

from flows.intensity.costs import op_costs
from flows.intensity.request_steps import double, list_request_steps, make_workload
from flows.intensity.shapes import list_ways, model_shards, op_shapes, share_evenly
from flows.intensity.terms import DEGREES, SHARING
from flows.intensity.weights import weight_memory
from flows.plan.request import Request
from flows.sweep.grid import PRECISION, Inputs
from flows.sweep.run import read_published_inputs
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.names import choose_names
from warehouse.polars_frames import read_frame
from warehouse.scratch import add_table, add_view, open_scratch
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_value, write_values

_MOST_REQUESTS = 4096  # at once
_IDS = "select hardware_id from core.hardware order by hardware_id"
_RUNNABLE = "select hardware_id, precision_id from core.runnable_precision"


def compute_steps(home: Home, request: Request) -> tuple[pl.DataFrame, list[str]]:
    """Return the steps of every device that can run a precision, and a line for each device that cannot.

    Columns: hardware_id, precision_id, those of SHARING, role, batch_size, step_s, memory_bytes, send_s (time that keys
    and values take to other devices), covered_share and transferred_from.

    Raises
    ------
    InputError
        There is no snapshot, or it lacks a model, device or precision; or nothing can run.
    """
    inputs = read_published_inputs(home)
    choose_names("--model", [request.model_id], sorted(inputs.layers["model_id"].unique()))
    layers = inputs.layers.filter(model_id=request.model_id)
    with open_snapshot(home.snapshot) as connection:
        known, runnable = read_frame(connection, _IDS), read_frame(connection, _RUNNABLE)
    devices = choose_names("--devices", request.devices, known["hardware_id"].to_list())
    precisions = _choose_precisions(request, inputs)
    can_run = runnable.filter(pl.col("hardware_id").is_in(devices), pl.col("precision_id").is_in(precisions))
    missing = [name for name in devices if name not in can_run["hardware_id"]]
    wanted = " or ".join(precisions)
    if len(missing) == len(devices):
        raise InputError(f"--precision: {wanted}: runs on none of {', '.join(devices)}; expected others")
    left_out = [f"{name} is left out: it cannot run {wanted}" for name in missing]
    ways = _list_ways(layers, request.most_devices)
    where = f"hardware_id in {_in_list(devices)}"
    of_devices = ("hardware", "ceiling", "calibration", "runnable_precision")
    only = {**dict.fromkeys(of_devices, where), "model": f"model_id = {quote_value(request.model_id)}"}
    only["runnable_precision"] += f" and precision_id in {_in_list(precisions)}"
    used = inputs.precisions.filter(pl.col("precision_id").is_in(precisions))
    parts = inputs.precision_parts.filter(pl.col("precision_id").is_in(precisions))
    own = {
        "model_shard": model_shards(layers, ways).drop("active", "drafts"),
        "weight_memory": weight_memory(layers, ways, used, parts),
        "measurement": pl.DataFrame(schema={"pipe": pl.String, "accumulator": pl.String}),  # roofs that kernels state
    }
    with open_scratch(home.snapshot, only, own) as connection:
        settings = _list_settings(connection, request)
        if settings.is_empty():
            return pl.DataFrame(), left_out
        workload = make_workload(settings, request.model_id, precisions, request.profile.tree)
        shapes = op_shapes(layers, workload).with_columns(pipe=pl.lit(""), is_measured=pl.lit(value=False))
        add_table(connection, "op_shape", shapes.drop("precisions"))
        add_table(connection, "op_cost", op_costs(shapes, used, inputs.elementwise, parts))
        add_table(connection, "step_part", settings)
        add_view(connection, "roofline_point")
        return _read_steps(connection, request), left_out


def _choose_precisions(request: Request, inputs: Inputs) -> list[str]:
    known = inputs.precisions["precision_id"].to_list()
    own = inputs.published.get(request.model_id, PRECISION)
    return choose_names("--precision", request.precisions or [own], known)


def _list_ways(layers: pl.DataFrame, most_devices: int) -> pl.DataFrame:
    """Return the ways to share a model that engines offer, with the columns of SHARING.

    Tensor parallelism, for a mixture also with whole experts on each of the devices; or replicas of attention that
    share the experts of a mixture.
    """
    degrees = [degree for degree in DEGREES if degree <= most_devices]
    ways = [list_ways(tensor_parallel=degrees)]
    if layers["num_experts"].count():
        for devices in double(2, most_devices):
            ways.append(list_ways(data_parallel=[devices], expert_parallel=[devices]))
            if devices in degrees:
                ways.append(list_ways(tensor_parallel=[devices], expert_parallel=[devices]))
    return share_evenly(layers, pl.concat(ways)).select(SHARING).unique(maintain_order=True).sort(SHARING)


def _list_settings(connection: duckdb.DuckDBPyConnection, request: Request) -> pl.DataFrame:
    """Return the parts of the steps to compute: of each way to share, batches that double up to what fits."""
    profile = request.profile
    values = {
        "model_id": request.model_id,
        "length": profile.prompt_tokens + profile.output_tokens,
        "free_share": request.free_share,
        "most": _MOST_REQUESTS,
    }
    largest = read_frame(connection, write_values(load_sql("plan/batches"), values))
    steps = [
        list_request_steps(profile, way, list(double(1, min(batch, _MOST_REQUESTS))), request.roles)
        for *way, batch in largest.iter_rows()
        if batch >= 1
    ]
    return pl.concat(steps) if steps else pl.DataFrame()


def _read_steps(connection: duckdb.DuckDBPyConnection, request: Request) -> pl.DataFrame:
    profile = request.profile
    values = {
        "model_id": request.model_id,
        "prompt": profile.prompt_tokens,
        "output": profile.output_tokens,
        "launch": request.launch,
        "free_share": request.free_share,
    }
    return read_frame(connection, write_values(load_sql("plan/steps"), values))


def _in_list(names: Sequence[str]) -> str:
    return f"({', '.join(map(quote_value, names))})"

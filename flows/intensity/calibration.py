"""Calibrated roofs: how far below its roof a device runs, as a few named parameters fitted to measurements.

With the times at the two ceilings, tc = FLOP / peak and tm = bytes / bandwidth, a kernel takes

    t = t0 + ((C tc / ec)^p + (R F tm / em)^p + ts^p)^(1/p)

where ec and em are the shares of peak and bandwidth that are reached, t0 is the launch time, and p blends the times
smoothly. In the plain form, C, R and F are 1, and ts is 0. In the form with tiles, the m x n outputs of a GEMM are cut
into tiles of several sizes T, of which the fast ones count most:

    C = (mean over T of C_T^-b)^(-1/b),   C_T = padding_T * waves_T * (1 + l / size_T) / (1 + l / largest)

padding_T is the number of outputs in whole tiles divided by m n. waves_T, with w = tiles / multiprocessors, is
(ceil(w) / w)^g if w >= 1, else w^-u. size_T = (T_m T_n) / (T_m + T_n) is the intensity that a tile allows, and
`largest` is that of the largest tile.
In the form with sustained load, C is also multiplied by (1 + tc / 1 ms)^s: long GEMMs reach the power limit.
In the form with times of tiles, each tile also takes a fixed time o, C_T = ... + o * waves_T * w / (tc / ec).
In the form with streams, F also is 1 + v (multiprocessors / T)^h with T tiles of 128 x 64: few blocks do not reach the
bandwidth.
In the forms of what is no product, R = r + (1 - r) / (1 + (L / B)^8) for B bytes: what a cache of L bytes holds takes
r of the time of DRAM. In the form of rows, ts is serial time, s for each element of a row, which one block works
through (norms, softmax), and rows / multiprocessors times o stands for C tc / ec.
In the forms of attention, ts is s for each token of the context that the last block of queries works through.
In the form of rings, ts is s for each further device that a collective passes.
In the flushed forms of kernels that the program starts, R = r + (1 - r) / (1 + L / B) with r from 1 to 2: they find a
cache of L bytes full of others' results, which must be written back first.
Cross-validation decides which form a device takes.

The fit minimizes a robust loss of the logarithm of time.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warehouse.errors import InputError

Vector = Any  # a one-dimensional array of float64

# Tiles of outputs that GEMM libraries choose among.
TILES = ((256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (64, 32), (32, 64))
SUSTAINED_S = 1e-3
_LARGEST = max(height * width / (height + width) for height, width in TILES)

_SHARED = ("compute_efficiency", "bandwidth_efficiency", "overhead_s", "blend")
_TILED = ("tile_limit", "wave_exponent", "partial_wave_exponent", "tile_blend")
_STREAMED = ("tile_overhead_s", "stream_limit", "stream_exponent")
PARAMETERS = (*_SHARED, *_TILED, "sustained_exponent", *_STREAMED, "serial_s", "cached_bytes", "cached_cost")
_STARTS = {
    "compute_efficiency": 0.8, "bandwidth_efficiency": 0.8, "overhead_s": 3e-6, "blend": 1.5, "tile_limit": 8.0,
    "wave_exponent": 0.4, "partial_wave_exponent": 0.2, "tile_blend": 8.0, "sustained_exponent": 0.05,
    "tile_overhead_s": 5e-7, "stream_limit": 0.1, "stream_exponent": 0.5, "serial_s": 1e-9, "cached_bytes": 4e7,
    "cached_cost": 0.7,
}  # fmt: skip
_LOWEST, _HIGHEST, _LOWEST_BLEND = 1e-9, 1e3, 0.5
_HIGHEST_OF = {
    **dict.fromkeys(("wave_exponent", "partial_wave_exponent", "sustained_exponent", "stream_exponent"), 4.0),
    "cached_bytes": 2e8,
    "cached_cost": 1.0,
    # with few blocks still less is reached
    "bandwidth_efficiency": 1.0,
}
_STREAM_TILE = (128, 64)
_CACHE_EDGE = 8.0  # how sharply a cache that overflows helps no more
_TILED_STARTS = {"compute_efficiency": 0.85, "bandwidth_efficiency": 0.85, "overhead_s": 4e-6, "blend": 2.0}
_FORMS: Mapping[str, tuple[str, ...]] = {
    "plain": _SHARED,
    "tiles": (*_SHARED, *_TILED),
    "sustained": (*_SHARED, *_TILED, "sustained_exponent"),
    "tile_times": (*_SHARED, *_TILED, "sustained_exponent", "tile_overhead_s"),
    "streams": (*_SHARED, *_TILED, "sustained_exponent", *_STREAMED),
    "uncached": ("bandwidth_efficiency", "overhead_s", "blend"),
    "serial": (*_SHARED, "serial_s"),
    "cached": ("bandwidth_efficiency", "overhead_s", "blend", "cached_bytes", "cached_cost"),
    "rows": (
        "bandwidth_efficiency",
        "overhead_s",
        "blend",
        "cached_bytes",
        "cached_cost",
        "serial_s",
        "tile_overhead_s",
    ),
    "ring": ("bandwidth_efficiency", "overhead_s", "blend", "serial_s"),
}
# for kernels that the program starts; the others find a cache as a step leaves it
_FLUSHED = {
    "streams, flushed": (*_FORMS["streams"], "cached_bytes", "cached_cost"),
    "serial, flushed": (*_FORMS["serial"], "cached_bytes", "cached_cost"),
    "uncached, flushed": _FORMS["cached"],
}
_FLUSHED_START, _FLUSHED_HIGHEST = 1.4, 2.0  # for each byte read, at most one is written back
# what a form does not fit: no product reaches its peak, and times that do not overlap add up
_FIXED = {"compute_efficiency": 1.0, "blend": 1.0}
# kinds whose blocks work through a row, and those that devices take part in
SERIAL_KINDS = ("norm", "rms_norm", "layer_norm", "softmax", "add_rms_norm")
_MOVES = ("embedding", "expert_sum", "gather", "rope_unfused", "top_k", "convolution")
COLLECTIVES = ("all_reduce", "all_gather", "all_to_all", "send")
DISPATCH = "dispatch"  # what the host needs to start a kernel
DISPATCH_SHARED = "dispatch_shared"  # the same of each of several processes
GAP = "gap"  # what the device needs between two kernels of a step
GENERIC = "elementwise"  # one calibration of all element-wise kinds, for those that lack their own
_LOSS_SCALE = 0.03  # errors beyond this share of the time count linearly
_MIN_POINTS = 10
_FOLDS = 5
_ROUNDS = 4  # of a fit of two times, one after the other
_STEEPEST = 64.0  # exponent above which a blend is the largest of its parts


@dataclass(frozen=True)
class Kernels:
    """What a calibration needs to know about kernels: vectors with one entry per kernel."""

    compute_s: Vector  # FLOP / peak
    memory_s: Vector  # bytes / bandwidth
    rows: Vector  # of one matrix; NaN if not a GEMM
    columns: Vector
    matrices: Vector
    multiprocessors: float  # NaN if unknown
    moved_bytes: Vector = float("nan")
    steps: Vector = 0.0  # serial ones: elements of a row, tokens of a context, or further devices

    def select(self, kept: Vector) -> "Kernels":
        """Return some of the kernels."""
        fields = (self.compute_s, self.memory_s, self.rows, self.columns, self.matrices)
        compute, memory, rows, columns, matrices = (each[kept] for each in fields)
        moved, steps = (each if np.ndim(each) == 0 else each[kept] for each in (self.moved_bytes, self.steps))
        return Kernels(compute, memory, rows, columns, matrices, self.multiprocessors, moved, steps)

    @property
    def has_tiles(self) -> bool:
        """Whether the kernels are GEMMs on a device with a known number of multiprocessors."""
        return bool(
            np.isfinite(self.multiprocessors) and np.isfinite(self.rows).all() and np.isfinite(self.columns).all()
        )


def predict_s(kernels: Kernels, parameters: Mapping[str, float | None]) -> Vector:
    """Return the time in seconds that a calibrated roof predicts for each kernel."""
    p = parameters
    compute = kernels.compute_s / _parameter(p, "compute_efficiency")
    if p.get("tile_limit") is not None:
        compute = compute * _tile_cost(kernels, p, compute)
    if p.get("sustained_exponent") is not None:
        compute = compute * (1 + kernels.compute_s / SUSTAINED_S) ** _parameter(p, "sustained_exponent")
    memory = kernels.memory_s / _parameter(p, "bandwidth_efficiency")
    if p.get("stream_limit") is not None:
        blocks = _count_tiles(kernels, *_STREAM_TILE) * kernels.matrices
        reach = (kernels.multiprocessors / blocks) ** _parameter(p, "stream_exponent")
        memory = memory * (1 + _parameter(p, "stream_limit") * reach)
    if p.get("cached_bytes") is not None:
        cost = _parameter(p, "cached_cost")
        edge = 1.0 if cost > 1 else _CACHE_EDGE
        from_memory = 1 / (1 + (_parameter(p, "cached_bytes") / kernels.moved_bytes) ** edge)
        memory = memory * (from_memory + (1 - from_memory) * cost)
    parts = [compute, memory]
    if p.get("serial_s") is not None:
        parts.append(kernels.steps * _parameter(p, "serial_s") + 0 * memory)
    if p.get("tile_overhead_s") is not None and p.get("tile_limit") is None:
        parts[0] = kernels.rows / kernels.multiprocessors * _parameter(p, "tile_overhead_s")
    longer = np.maximum(np.max(parts, axis=0), 1e-30)  # keeps the powers in range
    blend = min(_parameter(p, "blend"), _STEEPEST)
    return _parameter(p, "overhead_s") + longer * sum((part / longer) ** blend for part in parts) ** (1 / blend)


def _parameter(parameters: Mapping[str, float | None], name: str) -> float:
    value = parameters[name]
    return float("nan") if value is None else value


def _count_tiles(kernels: Kernels, height: int, width: int) -> Vector:
    return np.ceil(kernels.rows / height) * np.ceil(kernels.columns / width)


def _tile_cost(kernels: Kernels, parameters: Mapping[str, float | None], reached_s: Vector) -> Vector:
    blend = min(_parameter(parameters, "tile_blend"), _STEEPEST)
    costs = _cost_of_tiles(kernels, parameters, reached_s)
    least = costs.min(axis=0)
    return least * np.mean((costs / least) ** -blend, axis=0) ** (-1 / blend)


def _cost_of_tiles(kernels: Kernels, parameters: Mapping[str, float | None], reached_s: Vector) -> Vector:
    """Return an array with one row per size of a tile, and one column per kernel."""
    height, width = np.array(TILES, dtype=float).T[:, :, None]
    tiles = np.ceil(kernels.rows / height) * np.ceil(kernels.columns / width)
    padding = tiles * height * width / (kernels.rows * kernels.columns)
    waves = tiles * kernels.matrices / kernels.multiprocessors
    full = (np.ceil(waves) / waves) ** _parameter(parameters, "wave_exponent")
    partial = waves ** -_parameter(parameters, "partial_wave_exponent")
    quantized = np.where(waves >= 1, full, partial)
    size = height * width / (height + width)
    limit = _parameter(parameters, "tile_limit")
    cost = padding * quantized * (1 + limit / size) / (1 + limit / _LARGEST)
    overhead_s = parameters.get("tile_overhead_s")
    return cost if overhead_s is None else cost + overhead_s * waves * quantized / reached_s


def fit_form(kernels: Kernels, latency_s: Vector, form: str, most_of_peak: float = _HIGHEST) -> dict[str, float]:
    """Return the parameters of a form that best fit measured times; the share of the peak is at most the given one.

    Raises
    ------
    InputError
        The extra `calibrate` is not installed.
    """
    names = _FORMS.get(form) or _FLUSHED[form]
    starts = {**_STARTS, **(_TILED_STARTS if form != "plain" else {})}
    begin = np.log([starts[name] for name in names])
    measured = np.log(latency_s)

    fixed = {name: value for name, value in _FIXED.items() if name not in names}

    def find_errors(logarithms: Vector) -> Vector:
        parameters = fixed | dict(zip(names, np.exp(logarithms), strict=True))
        return np.log(predict_s(kernels, parameters)) - measured

    highest = [{**_HIGHEST_OF, "compute_efficiency": most_of_peak}.get(name, _HIGHEST) for name in names]
    lowest = [_LOWEST_BLEND if name.endswith("blend") else 1e-13 if name == "serial_s" else _LOWEST for name in names]
    if form in _FLUSHED:
        at = names.index("cached_cost")
        begin[at], lowest[at], highest[at] = np.log(_FLUSHED_START), 1.0, _FLUSHED_HIGHEST
    bounds = (np.log(lowest), np.log(highest))
    found = _least_squares()(find_errors, begin, bounds=bounds, loss="soft_l1", f_scale=_LOSS_SCALE, max_nfev=120)
    return fixed | dict(zip(names, map(float, np.exp(found.x)), strict=True))


def _least_squares() -> Any:
    """Return SciPy's solver. SciPy comes with an extra: it is large, and nothing else needs it."""
    try:
        return importlib.import_module("scipy.optimize").least_squares
    except ImportError:
        raise InputError("calibrate: expected the extra calibrate: pip install 'rooflines[calibrate]'") from None


def mean_error(kernels: Kernels, latency_s: Vector, parameters: Mapping[str, float | None]) -> float:
    """Return the mean absolute error, as a share of the measured time."""
    return float(np.mean(np.abs(predict_s(kernels, parameters) / latency_s - 1)))


def calibrate_kernels(
    kernels: Kernels,
    latency_s: Vector,
    groups: Sequence[str],
    forms: Sequence[str] | None = None,
    most_of_peak: float = _HIGHEST,
) -> dict[str, Any]:
    """Return the parameters of the form that best predicts held-out kernels, and its errors.

    Parameters
    ----------
    kernels, latency_s
        The measured kernels and their times.
    groups
        The group of each kernel; each group is held out once, several of many together. With only one group, nothing is
        held out, and the first form is taken.
    forms
        The forms to choose among; by default those of products if the kernels are some.
    most_of_peak
        Greatest share of the peak.
    """
    if forms is None:
        forms = ["plain", "tiles", "sustained", "tile_times", "streams"]
    if not kernels.has_tiles:
        forms = [form for form in forms if "tile_limit" not in (_FORMS.get(form) or _FLUSHED[form])] or ["plain"]
    names = sorted(set(groups))
    labels = np.asarray([names.index(group) % _FOLDS for group in groups])
    held_out: dict[str, float] = {}
    if len(names) > 1:
        held_out = {form: _cross_validate(form, kernels, latency_s, labels, most_of_peak) for form in forms}
    chosen = min(held_out, key=lambda form: held_out[form]) if held_out else forms[0]
    parameters = fit_form(kernels, latency_s, chosen, most_of_peak)
    return {
        **dict.fromkeys(PARAMETERS),
        **parameters,
        "n_points": len(latency_s),
        "fit_mape": mean_error(kernels, latency_s, parameters),
        "holdout_mape": held_out.get(chosen),
    }


def _cross_validate(form: str, kernels: Kernels, latency_s: Vector, labels: Vector, most_of_peak: float) -> float:
    """Return the mean error of a form for held-out groups, each predicted by a fit to the others."""
    errors = []
    for name in np.unique(labels):
        out = labels == name
        parameters = fit_form(kernels.select(~out), latency_s[~out], form, most_of_peak)
        errors.append(np.abs(predict_s(kernels.select(out), parameters) / latency_s[out] - 1))
    return float(np.mean(np.concatenate(errors)))


def calibrate_measurements(
    measured: pl.DataFrame, product_forms: Sequence[str] = (), most_of_peak: float = _HIGHEST
) -> pl.DataFrame:
    """Return one row per device, kind of op, dtype and launch, with the columns of core.calibration.

    All element-wise kinds together have a row, too.

    Parameters
    ----------
    measured
        One row per measurement: hardware_id, kind, dtype, launch, pipe, model_id, op, k, n, rows (of one matrix),
        matrices, is_elementwise, flops, bytes, serial_steps, latency_s, peak_flops_per_s, bandwidth_bytes_per_s,
        multiprocessors and source_id.
    product_forms
        The forms that products may take; by default all of them.
    most_of_peak
        Greatest share of the peak that a roof reaches.
    """
    together = measured.filter(pl.col("is_elementwise")).with_columns(kind=pl.lit(GENERIC))
    key = ["hardware_id", "kind", "dtype", "launch"]
    rows = []
    for names, each in pl.concat([measured, together]).sort(key).group_by(key, maintain_order=True):
        if len(each) < _MIN_POINTS:
            continue
        ordered = each.sort("flops", "bytes", "latency_s")
        is_product = names[1] in ("linear", "grouped_linear")
        forms = _list_forms(str(names[1]), str(names[3]), is_elementwise=bool(ordered["is_elementwise"].all()))
        forms = list(product_forms) if is_product and product_forms else forms
        kernels = make_kernels(ordered, is_product=is_product)
        found = calibrate_kernels(kernels, ordered["latency_s"].to_numpy(), _group_labels(ordered), forms, most_of_peak)
        pipes = ordered["pipe"].unique()
        named = dict(zip(("hardware_id", "op_kind", "dtype", "launch"), names, strict=True))
        named["pipe"] = pipes.item() if len(pipes) == 1 else ""
        rows.append({**named, **found, "source_id": ordered["source_id"].unique().sort().str.join(", ").item()})
    return pl.DataFrame(rows, infer_schema_length=None)


def _list_forms(kind: str, launch: str, *, is_elementwise: bool) -> list[str]:
    """Return the forms to choose among."""
    if kind in COLLECTIVES:
        return ["ring"]
    if kind in SERIAL_KINDS:
        return ["rows", "cached"]
    if kind.startswith("attention"):
        forms = ["plain", "serial"]
    elif is_elementwise or kind in _MOVES:
        forms = ["uncached", "cached"]
    else:
        forms = ["plain", "tiles", "sustained", "tile_times", "streams"]
    flushed = f"{forms[-1] if forms[-1] != 'cached' else 'uncached'}, flushed"
    return [*forms, flushed] if launch == "eager" else forms


def calibrate_dispatch(steps: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.calibration for what steps take beside their kernels, of each device with measured steps.

    In a graph, the device needs the time `gap` between two kernels. If the program starts them, it needs another one,
    and a step takes at least as long as the host needs to start its kernels: `dispatch`, or `dispatch_shared` if
    several processes share the host. Each is the time that predicts most steps best; busy hosts take longer.

    Parameters
    ----------
    steps
        Measured steps: hardware_id, is_dense, tensor_parallel, launch, latency_s, device_s, kernels and source_id.
        Mixtures of experts are left out: their tokens are spread less evenly than was timed.
    """
    rows = []
    dense = steps.filter("is_dense").sort("hardware_id")
    for (hardware_id,), each in dense.group_by("hardware_id", maintain_order=True):
        times = _fit_times(each)
        for (kind, launch), time_s in times.items():
            fitted = _select_steps(each, kind, launch)
            if len(fitted):
                start_s = 0.0 if launch == "graph" else times[DISPATCH if kind == GAP else kind, launch]
                named = {"hardware_id": hardware_id, "op_kind": kind, "dtype": "bf16", "launch": launch, "pipe": ""}
                one = {"compute_efficiency": 1.0, "bandwidth_efficiency": 1.0, "blend": 1.0, "overhead_s": time_s}
                error = _step_error(fitted, times[GAP, launch], start_s)
                known = {"n_points": len(fitted), "fit_mape": error, "source_id": fitted["source_id"][0]}
                rows.append({**named, **one, **known})
    return pl.DataFrame(rows)


def predict_held_out_steps(steps: pl.DataFrame) -> pl.DataFrame:
    """Add `held_out_s` to measured steps: what is expected if the steps of their own model were not fitted to.

    Parameters
    ----------
    steps
        As `calibrate_dispatch` takes, with model_id.
    """
    parts = []
    for (hardware_id, model_id), each in steps.group_by("hardware_id", "model_id", maintain_order=True):
        others = steps.filter("is_dense", pl.col("hardware_id") == hardware_id, pl.col("model_id") != model_id)
        times = _fit_times(others)
        is_graph, is_alone = pl.col("launch") == "graph", pl.col("tensor_parallel") == 1
        shared_s = times[DISPATCH_SHARED, "eager"] or times[DISPATCH, "eager"]
        gap_s = pl.when(is_graph).then(times[GAP, "graph"]).otherwise(times[GAP, "eager"])
        start_s = pl.when(is_graph).then(0.0).when(is_alone).then(times[DISPATCH, "eager"]).otherwise(shared_s)
        device_s = pl.col("device_s") + gap_s * pl.col("kernels")
        parts.append(each.with_columns(held_out_s=pl.max_horizontal(device_s, start_s * pl.col("kernels"))))
    return pl.concat(parts) if parts else steps.with_columns(held_out_s=pl.lit(None, pl.Float64))


def _fit_times(steps: pl.DataFrame) -> dict[tuple[str, str], float]:
    """Return the time of each kind and launch, fitted to the steps of one device; 0 if there are none."""
    gap_s, start_s = _fit_gap_and_start(_select_steps(steps, GAP, "eager"))
    return {
        (GAP, "graph"): _fit_gap(_select_steps(steps, GAP, "graph"), 0.0),
        (GAP, "eager"): gap_s,
        (DISPATCH, "eager"): start_s,
        (DISPATCH_SHARED, "eager"): _fit_start(_select_steps(steps, DISPATCH_SHARED, "eager"), gap_s),
    }


def _select_steps(steps: pl.DataFrame, kind: str, launch: str) -> pl.DataFrame:
    is_alone = pl.col("tensor_parallel") == 1
    return steps.filter(pl.col("launch") == launch, ~is_alone if kind == DISPATCH_SHARED else is_alone)


def _step_error(steps: pl.DataFrame, gap_s: float, start_s: float) -> float:
    """Return the mean error of steps whose kernels need these times between each other, and to be started."""
    latency, device, kernels = (steps[name].to_numpy() for name in ("latency_s", "device_s", "kernels"))
    return float(np.abs(np.maximum(device + gap_s * kernels, start_s * kernels) / latency - 1).mean())


def _fit_gap(steps: pl.DataFrame, start_s: float) -> float:
    tried = [0.0, *((steps["latency_s"] - steps["device_s"]) / steps["kernels"]).clip(lower_bound=0.0)]
    return min(tried, key=lambda gap_s: _step_error(steps, gap_s, start_s)) if len(steps) else 0.0


def _fit_start(steps: pl.DataFrame, gap_s: float) -> float:
    tried = steps["latency_s"] / steps["kernels"]
    return min(tried, key=lambda start_s: _step_error(steps, gap_s, start_s), default=0.0)


def _fit_gap_and_start(steps: pl.DataFrame) -> tuple[float, float]:
    gap_s = start_s = 0.0
    for _ in range(_ROUNDS):
        start_s = _fit_start(steps, gap_s)
        gap_s = _fit_gap(steps, start_s)
    return gap_s, start_s


def make_kernels(frame: pl.DataFrame, *, is_product: bool) -> Kernels:
    """Return the kernels of a frame such as `calibrate_measurements` takes."""
    units = frame["multiprocessors"][0]
    nothing = np.full(len(frame), np.nan)
    return Kernels(
        compute_s=(frame["flops"] / frame["peak_flops_per_s"]).to_numpy(),
        memory_s=(frame["bytes"] / frame["bandwidth_bytes_per_s"]).to_numpy(),
        rows=frame["rows"].cast(pl.Float64).to_numpy(),
        columns=frame["n"].cast(pl.Float64).to_numpy() if is_product else nothing,
        matrices=frame["matrices"].to_numpy(),
        multiprocessors=float("nan") if units is None else float(units),
        moved_bytes=frame["bytes"].to_numpy().astype(float),
        steps=frame["serial_steps"].to_numpy().astype(float),
    )


def _group_labels(frame: pl.DataFrame) -> list[str]:
    """Return labels of what is held out together: models, or else shapes of weights, or else ops."""
    for column in (pl.col("model_id"), pl.format("{} {}", "k", "n"), pl.col("op")):
        labels = frame.select(column.fill_null("").alias("group"))["group"]
        if labels.n_unique() > 1:
            return labels.to_list()
    return [""] * len(frame)

"""Calibrated roofs: how far below its roof a device runs, as a few named parameters fitted to measurements.

With the times at the two ceilings, tc = FLOP / peak and tm = bytes / bandwidth, a kernel takes

    t = t0 + ((C tc / ec)^p + (tm / em)^p)^(1/p)

where ec and em are the shares of peak and bandwidth that are reached, t0 is the launch time, and p blends the two
smoothly. In the plain form, C is 1. In the form with tiles, the m x n outputs of a GEMM are cut into tiles of several
sizes T, of which the fast ones count most:

    C = (mean over T of C_T^-b)^(-1/b),   C_T = padding_T * waves_T * (1 + l / size_T) / (1 + l / largest)

padding_T is the number of outputs in whole tiles divided by m n. waves_T, with w = tiles / multiprocessors, is
(ceil(w) / w)^g if w >= 1, else w^-u. size_T = (T_m T_n) / (T_m + T_n) is the intensity that a tile allows, and
`largest` is that of the largest tile.
In the form with sustained load, C is also multiplied by (1 + tc / 1 ms)^s: long GEMMs reach the power limit.
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
PARAMETERS = (*_SHARED, *_TILED, "sustained_exponent")
_STARTS = {
    "compute_efficiency": 0.8, "bandwidth_efficiency": 0.8, "overhead_s": 3e-6, "blend": 1.5, "tile_limit": 8.0,
    "wave_exponent": 0.4, "partial_wave_exponent": 0.2, "tile_blend": 8.0, "sustained_exponent": 0.05,
}  # fmt: skip
_LOWEST, _HIGHEST, _LOWEST_BLEND = 1e-9, 1e3, 0.5
_HIGHEST_EXPONENTS = dict.fromkeys(("wave_exponent", "partial_wave_exponent", "sustained_exponent"), 4.0)
_TILED_STARTS = {"compute_efficiency": 0.85, "bandwidth_efficiency": 0.85, "overhead_s": 4e-6, "blend": 2.0}
_FORMS: Mapping[str, tuple[str, ...]] = {
    "plain": _SHARED,
    "tiles": (*_SHARED, *_TILED),
    "sustained": (*_SHARED, *_TILED, "sustained_exponent"),
}
_LOSS_SCALE = 0.03  # errors beyond this share of the time count linearly
_MIN_POINTS = 20
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

    def select(self, kept: Vector) -> "Kernels":
        """Return some of the kernels."""
        fields = (self.compute_s, self.memory_s, self.rows, self.columns, self.matrices)
        compute, memory, rows, columns, matrices = (each[kept] for each in fields)
        return Kernels(compute, memory, rows, columns, matrices, self.multiprocessors)

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
        compute = compute * _tile_cost(kernels, p)
    if p.get("sustained_exponent") is not None:
        compute = compute * (1 + kernels.compute_s / SUSTAINED_S) ** _parameter(p, "sustained_exponent")
    memory = kernels.memory_s / _parameter(p, "bandwidth_efficiency")
    longer = np.maximum(np.maximum(compute, memory), 1e-30)  # keeps the powers in range
    blend = min(_parameter(p, "blend"), _STEEPEST)
    return _parameter(p, "overhead_s") + longer * ((compute / longer) ** blend + (memory / longer) ** blend) ** (
        1 / blend
    )


def _parameter(parameters: Mapping[str, float | None], name: str) -> float:
    value = parameters[name]
    return float("nan") if value is None else value


def _tile_cost(kernels: Kernels, parameters: Mapping[str, float | None]) -> Vector:
    blend = min(_parameter(parameters, "tile_blend"), _STEEPEST)
    costs = np.stack([_cost_of_tile(kernels, parameters, *tile) for tile in TILES])
    least = costs.min(axis=0)
    return least * np.mean((costs / least) ** -blend, axis=0) ** (-1 / blend)


def _cost_of_tile(kernels: Kernels, parameters: Mapping[str, float | None], height: int, width: int) -> Vector:
    tiles = np.ceil(kernels.rows / height) * np.ceil(kernels.columns / width)
    padding = tiles * height * width / (kernels.rows * kernels.columns)
    waves = tiles * kernels.matrices / kernels.multiprocessors
    full = (np.ceil(waves) / waves) ** _parameter(parameters, "wave_exponent")
    partial = waves ** -_parameter(parameters, "partial_wave_exponent")
    size = height * width / (height + width)
    limit = _parameter(parameters, "tile_limit")
    return padding * np.where(waves >= 1, full, partial) * (1 + limit / size) / (1 + limit / _LARGEST)


def fit_form(kernels: Kernels, latency_s: Vector, form: str) -> dict[str, float]:
    """Return the parameters of a form that best fit measured times.

    Raises
    ------
    InputError
        The extra `calibrate` is not installed.
    """
    names = _FORMS[form]
    starts = {**_STARTS, **(_TILED_STARTS if form != "plain" else {})}
    begin = np.log([starts[name] for name in names])
    measured = np.log(latency_s)

    def find_errors(logarithms: Vector) -> Vector:
        parameters = dict(zip(names, np.exp(logarithms), strict=True))
        return np.log(predict_s(kernels, parameters)) - measured

    highest = [_HIGHEST_EXPONENTS.get(name, _HIGHEST) for name in names]
    lowest = [_LOWEST_BLEND if name.endswith("blend") else _LOWEST for name in names]
    bounds = (np.log(lowest), np.log(highest))
    found = _least_squares()(find_errors, begin, bounds=bounds, loss="soft_l1", f_scale=_LOSS_SCALE, max_nfev=400)
    return dict(zip(names, map(float, np.exp(found.x)), strict=True))


def _least_squares() -> Any:
    """Return SciPy's solver. SciPy comes with an extra: it is large, and nothing else needs it."""
    try:
        return importlib.import_module("scipy.optimize").least_squares
    except ImportError:
        raise InputError("calibrate: expected the extra calibrate: pip install 'rooflines[calibrate]'") from None


def mean_error(kernels: Kernels, latency_s: Vector, parameters: Mapping[str, float | None]) -> float:
    """Return the mean absolute error, as a share of the measured time."""
    return float(np.mean(np.abs(predict_s(kernels, parameters) / latency_s - 1)))


def calibrate_kernels(kernels: Kernels, latency_s: Vector, groups: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of the form that best predicts held-out kernels, and its errors.

    Parameters
    ----------
    kernels, latency_s
        The measured kernels and their times.
    groups
        The group of each kernel; each group is held out once. With only one group, nothing is held out, and the plain
        form is taken.
    """
    forms = ["plain", "tiles", "sustained"] if kernels.has_tiles else ["plain"]
    labels = np.asarray(groups)
    names = sorted(set(groups))
    held_out: dict[str, float] = {}
    if len(names) > 1:
        held_out = {form: _cross_validate(form, kernels, latency_s, labels) for form in forms}
    chosen = min(held_out, key=lambda form: held_out[form]) if held_out else "plain"
    parameters = fit_form(kernels, latency_s, chosen)
    return {
        **dict.fromkeys(PARAMETERS),
        **parameters,
        "n_points": len(latency_s),
        "fit_mape": mean_error(kernels, latency_s, parameters),
        "holdout_mape": held_out.get(chosen),
    }


def _cross_validate(form: str, kernels: Kernels, latency_s: Vector, labels: Vector) -> float:
    """Return the mean error of a form for held-out groups, each predicted by a fit to the others."""
    errors = []
    for name in np.unique(labels):
        out = labels == name
        parameters = fit_form(kernels.select(~out), latency_s[~out], form)
        errors.append(np.abs(predict_s(kernels.select(out), parameters) / latency_s[out] - 1))
    return float(np.mean(np.concatenate(errors)))


def calibrate_measurements(measured: pl.DataFrame) -> pl.DataFrame:
    """Return one row per device, kind of op and dtype, with the columns of core.calibration.

    Parameters
    ----------
    measured
        One row per measurement: hardware_id, kind, dtype, pipe, model_id, op, k, n, rows (of one matrix), matrices,
        flops, bytes, latency_s, peak_flops_per_s, bandwidth_bytes_per_s, multiprocessors and source_id.
    """
    rows = []
    for (hardware_id, kind, dtype), each in measured.sort("hardware_id", "kind", "dtype").group_by(
        "hardware_id", "kind", "dtype", maintain_order=True
    ):
        if len(each) < _MIN_POINTS:
            continue
        ordered = each.sort("flops", "bytes", "latency_s")
        kernels = make_kernels(ordered, is_product=kind == "linear")
        found = calibrate_kernels(kernels, ordered["latency_s"].to_numpy(), _group_labels(ordered))
        pipes = ordered["pipe"].unique()
        pipe = pipes.item() if len(pipes) == 1 else ""
        names = {"hardware_id": hardware_id, "op_kind": kind, "dtype": dtype, "pipe": pipe}
        rows.append({**names, **found, "source_id": ordered["source_id"].unique().sort().str.join(", ").item()})
    return pl.DataFrame(rows, infer_schema_length=None)


def make_kernels(frame: pl.DataFrame, *, is_product: bool) -> Kernels:
    """Return the kernels of a frame such as `calibrate_measurements` takes."""
    units = frame["multiprocessors"][0]
    nothing = np.full(len(frame), np.nan)
    return Kernels(
        compute_s=(frame["flops"] / frame["peak_flops_per_s"]).to_numpy(),
        memory_s=(frame["bytes"] / frame["bandwidth_bytes_per_s"]).to_numpy(),
        rows=frame["rows"].cast(pl.Float64).to_numpy() if is_product else nothing,
        columns=frame["n"].cast(pl.Float64).to_numpy() if is_product else nothing,
        matrices=frame["matrices"].to_numpy(),
        multiprocessors=float("nan") if units is None else float(units),
    )


def _group_labels(frame: pl.DataFrame) -> list[str]:
    """Return labels of what is held out together: models, or else ops, or else shapes of weights."""
    for column in (pl.col("model_id"), pl.col("op"), pl.format("{} {}", "k", "n")):
        labels = frame.select(column.fill_null("").alias("group"))["group"]
        if labels.n_unique() > 1:
            return labels.to_list()
    return [""] * len(frame)

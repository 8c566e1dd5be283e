"""The lists of devices and of models: tables to sort, search and filter, with a small roofline in each row."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flows.site.page_paths import page_folder
from flows.site.site_pages import SitePages
from flows.site.site_rows import Row, SiteRows

# heading of each column of sql/site/device_list.sql and model_list.sql
_DEVICE_HEADINGS = {
    "device": "device", "vendor": "vendor", "architecture": "architecture", "released": "year",
    "memory_bytes": "memory", "dram_bytes_per_s": "bandwidth", "fp64_flops_per_s": "fp64",
    "fp32_flops_per_s": "fp32", "half_flops_per_s": "bf16 or fp16", "fp8_flops_per_s": "fp8",
    "fp4_flops_per_s": "fp4", "ridge_flops_per_byte": "ridge, FLOP/byte", "link_bytes_per_s": "link, one way",
    "tdp_w": "power", "flops_per_joule": "half-precision FLOP per joule",
}  # fmt: skip
_MODEL_HEADINGS = {
    "model": "model", "architecture": "architecture", "parameters_billion": "parameters, billion",
    "active_parameters_billion": "active, billion", "weight_bytes": "weights, as published",
    "kv_bytes_per_token": "KV cache a token",
    "max_positions": "longest context", "num_layers": "layers", "hidden_size": "hidden size",
    "num_experts": "experts", "experts_per_token": "experts a token", "vocab_size": "vocabulary",
    "published_precision": "published in",
}  # fmt: skip
_PEAKS = ("half_flops_per_s", "fp32_flops_per_s", "fp8_flops_per_s", "fp4_flops_per_s", "fp64_flops_per_s")

# a sketch shows these decades of intensity (FLOP/byte) and of performance (FLOP/s), in a box of this size
_INTENSITIES, _PERFORMANCES = (-0.5, 4.0), (10.5, 16.7)
_WIDTH, _HEIGHT = 72, 26


@dataclass(frozen=True)
class Sketch:
    """A small roofline: the points of its line, and the marks on it with their class of colour, in pixels."""

    line: str
    marks: tuple[tuple[float, float, str], ...] = ()
    width: int = _WIDTH
    height: int = _HEIGHT


def write_lists(pages: SitePages, rows: SiteRows) -> None:
    """Write the pages that list all devices and all models."""
    devices = rows.frames["device_list"].to_dicts()
    drawn = [_sketch_device(row) for row in devices]
    _write_list(pages, "devices", devices, "hardware_id", _DEVICE_HEADINGS, ("vendor",), drawn)
    models = rows.frames["model_list"].to_dicts()
    marks = rows.group("model_marks", "model_id")
    roof = next((row for row in devices if row["hardware_id"] == "h100-sxm"), None)
    sketches = [_sketch_model(roof, marks.get(row["model_id"], ())) for row in models]
    _write_list(pages, "models", models, "model_id", _MODEL_HEADINGS, ("architecture", "published_precision"), sketches)


def sketch_roof(bandwidth: float, peak: float, marks: Iterable[tuple[float, float, str]] = ()) -> Sketch:
    """Return a small roofline, on logarithmic axes that all sketches share.

    Parameters
    ----------
    bandwidth
        B/s.
    peak
        FLOP/s.
    marks
        Intensity in FLOP/byte, FLOP/s, and class of colour of each mark.
    """
    left, right = (10**exponent for exponent in _INTENSITIES)
    corners = [(left, left * bandwidth), (peak / bandwidth, peak), (right, peak)]
    line = " ".join("{:.1f},{:.1f}".format(*_place(*corner)) for corner in corners)
    return Sketch(line, tuple((*_place(intensity, performance), name) for intensity, performance, name in marks))


def _place(intensity: float, performance: float) -> tuple[float, float]:
    x, y = (
        min(max((math.log10(value) - low) / (high - low), 0), 1)
        for value, (low, high) in ((intensity, _INTENSITIES), (performance, _PERFORMANCES))
    )
    return round(2 + x * (_WIDTH - 4), 1), round(_HEIGHT - 2 - y * (_HEIGHT - 4), 1)


def _sketch_device(device: Row) -> Sketch | None:
    peak = next((device[name] for name in _PEAKS if device[name]), None)
    return sketch_roof(device["dram_bytes_per_s"], peak) if peak and device["dram_bytes_per_s"] else None


def _sketch_model(device: Row | None, marks: Sequence[Row]) -> Sketch | None:
    if device is None or not marks:
        return None
    placed = [(mark["intensity_flops_per_byte"], mark["attainable_flops_per_s"], mark["phase"]) for mark in marks]
    return sketch_roof(device["dram_bytes_per_s"], device["half_flops_per_s"], placed)


def _write_list(
    pages: SitePages,
    folder: str,
    things: Sequence[Row],
    key: str,
    headings: Mapping[str, str],
    filters: Sequence[str],
    sketches: Sequence[Sketch | None],
) -> None:
    choices = {headings[name]: (name, sorted({row[name] for row in things if row[name]})) for name in filters}
    pages.write(
        f"{folder}/index.html", "list.html.j2", title=folder.capitalize(),
        rows=[{name: row[name] for name in headings} for row in things], headings=headings, choices=choices,
        sketches=sketches, link=next(iter(headings)), targets=[f"{page_folder(row[key])}/index.html" for row in things],
    )  # fmt: skip

"""Chart specifications, built once per process for all tests, and what they hold."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import duckdb
import polars as pl

from flows.site.render import build_spec
from flows.site.snapshot_charts import compose_sql, find_chart
from warehouse.polars_frames import read_frame

STEP_CHARTS = ["step-time-llama-3-8b-h100-sxm", "crossover-llama-3-8b-h100-sxm", "throughput-llama-3-8b"]
STEP_CHARTS += ["devices-llama-3-8b-bf16", "run-history"]  # see test_step_charts.py
_drawn: dict[tuple[str, str], tuple[dict[str, Any], pl.DataFrame]] = {}


def draw(snapshot: duckdb.DuckDBPyConnection, name: str) -> tuple[dict[str, Any], pl.DataFrame]:
    """Build a chart's specification, once for all tests that look at it."""
    ((_, _, file),) = snapshot.execute("pragma database_list").fetchall()
    if (file, name) not in _drawn:
        entry = find_chart(snapshot, name)
        frame = read_frame(snapshot, compose_sql(entry))
        _drawn[file, name] = build_spec(entry, frame), frame
    return _drawn[file, name]


def validate(spec: dict[str, Any]) -> None:
    """Check a specification against Vega-Lite's schema, with few rows, since rows take most of the time."""
    alt.LayerChart.from_dict({**spec, "data": {"values": spec["data"]["values"][:20]}}, validate=True)


def choose(spec: dict[str, Any], parameter: str, value: object) -> dict[str, Any]:
    """Return a specification with another value of a parameter."""
    params = [{**each, "value": value} if each["name"] == parameter else each for each in spec["params"]]
    return {**spec, "params": params}


def list_encodings(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for layer in spec["layer"]:
        for channel, value in layer.get("encoding", {}).items():
            for each in value if isinstance(value, list) else [value]:
                yield layer, channel, each


def select_marks(spec: dict[str, Any], layer: str) -> list[dict[str, Any]]:
    return [row for row in spec["data"]["values"] if row["layer"] == layer]


PAPER_CHARTS = [f"roofline-llama-{size}" for size in ("7b-a40", "7b-a6000", "7b-a100-80gb-pcie", "13b-a40", "33b-a40")]
DEVICE_CHARTS = [
    f"device-{name}" for name in ("a40", "a6000", "a100-80gb-pcie", "h100-sxm", "h200-sxm", "b200", "mi300x")
]
MEASURED_CHARTS = ["roofline-llama-7b-h100-sxm", "roofline-llama-7b-h200-sxm"]
MEASUREMENT_CHARTS = ["share-of-roof-h100-sxm", "predicted-times-h100-sxm"]
PREDICTED_CHARTS = ["predicted-llama-7b-a40", "predicted-llama-7b-a6000"]
COMPARED_CHART = "measured-llama-7b-h100-sxm"
OTHER_CHARTS = [
    "devices-fp16",
    "speculative-llama-33b-a100-80gb-pcie",
    *MEASURED_CHARTS,
    *PREDICTED_CHARTS,
    COMPARED_CHART,
]


def select_shown_marks(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points that are shown before anyone chooses others."""
    return [row for row in spec["data"]["values"] if row.get("is_shown")]

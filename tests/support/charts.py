"""Specifications of charts, drawn once for all tests of a process, and what they hold."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import duckdb
import polars as pl

from flows.site.render import build_spec
from flows.site.snapshot_charts import compose_sql, find_chart
from warehouse.polars_frames import read_frame

OF_STEPS = ["step-time-llama-3-8b-h100-sxm", "crossover-llama-3-8b-h100-sxm", "throughput-llama-3-8b"]
OF_STEPS += ["devices-llama-3-8b-bf16", "run-history"]  # see test_step_charts.py
DRAWN: dict[tuple[str, str], tuple[dict[str, Any], pl.DataFrame]] = {}


def draw(snapshot: duckdb.DuckDBPyConnection, name: str) -> tuple[dict[str, Any], pl.DataFrame]:
    """Draw a chart, once for all tests that look at it."""
    ((_, _, file),) = snapshot.execute("pragma database_list").fetchall()
    if (file, name) not in DRAWN:
        entry = find_chart(snapshot, name)
        frame = read_frame(snapshot, compose_sql(entry))
        DRAWN[file, name] = build_spec(entry, frame), frame
    return DRAWN[file, name]


def validate(spec: dict[str, Any]) -> None:
    """Hold a specification against Vega-Lite's schema. Of the rows, which take most of the time, some are enough."""
    alt.LayerChart.from_dict({**spec, "data": {"values": spec["data"]["values"][:20]}}, validate=True)


def list_encodings(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for layer in spec["layer"]:
        for channel, value in layer.get("encoding", {}).items():
            for each in value if isinstance(value, list) else [value]:
                yield layer, channel, each


def select_marks(spec: dict[str, Any], layer: str) -> list[dict[str, Any]]:
    return [row for row in spec["data"]["values"] if row["layer"] == layer]

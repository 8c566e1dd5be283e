"""Charts of the gallery, from a snapshot's views to files."""

import json
import string
from difflib import get_close_matches
from typing import Any

import altair as alt
import duckdb
import polars as pl
import vl_convert
from altair.utils.schemapi import debug_mode

from charts.gallery import TEMPLATES, ChartEntry, list_charts
from warehouse.errors import InputError
from warehouse.frames import read_frame
from warehouse.objects import sql_files, sql_folder
from warehouse.store import literal

SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

# words of the gallery's list that stand for several values, and the query that says for which
_WORDS = {
    "model_id": {"*": "every_model", "op sets": "op_sets"},
    "hardware_id": {"*": "every_device", "own": "own_devices", "measured": "measured_devices"},
}

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def gallery(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show."""
    files = {path.stem: path.read_text("utf-8") for path in sql_files("gallery")}
    known = {
        field: {word: read_frame(connection, files[file]).to_dicts() for word, file in words.items()}
        for field, words in _WORDS.items()
    }
    return list_charts(known)


def find_chart(connection: duckdb.DuckDBPyConnection, name: str) -> ChartEntry:
    """Return the chart of a name, or raise `InputError` with the nearest names."""
    entries = {entry.name: entry for entry in gallery(connection)}
    if name not in entries:
        near = ", ".join(get_close_matches(name, entries, n=3, cutoff=0.3) or sorted(entries)[:3])
        raise InputError(f"chart: {name}: no such chart; expected a name that `rooflines chart` lists, as {near}")
    return entries[name]


def chart_sql(entry: ChartEntry) -> str:
    """Return the query of a chart, its parameters written out."""
    template = string.Template((sql_folder() / "charts" / f"{entry.template}.sql").read_text("utf-8"))
    return template.substitute({name: literal(value) for name, value in entry.parameters.items()})


def is_drawable(frame: pl.DataFrame) -> bool:
    """Whether there is a roof, and points where a chart has any.

    A device may lack the dtype that a chart asks for, and a workload the settings.
    """
    layers = set(frame["layer"])
    if layers == {"measured"}:
        return True
    return bool(layers & {"ridge", "roof"}) and (
        bool(layers & {"computed", "measured", "predicted"}) or "op_group" not in frame.columns
    )


def chart_spec(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    with debug_mode(False):  # tests validate; here it would take most of the time
        chart: Any = TEMPLATES[entry.template](frame)
        values = chart.data.values
        chart.data.values = []  # or else Altair walks through every value of every row
        spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["data"]["values"] = values
    return spec


def render(spec: dict[str, Any], suffix: str) -> bytes:
    """Return a chart as `json` (Vega-Lite), `html`, `svg` or `png`."""
    if suffix == "json":
        return (json.dumps(spec, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    if suffix == "html":
        return vl_convert.vegalite_to_html(spec, vl_version=_VEGA_LITE, bundle=True).encode()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE).encode()
    return svg if suffix == "svg" else as_png(svg)


def chart_files(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, bytes]:
    """Return what is published of a chart by the suffix of its file, but for the PNG that `as_png` makes of the SVG."""
    spec = chart_spec(entry, frame)
    return {
        "vl.json": render(spec, "json"),
        "svg": render(spec, "svg"),
        "csv": frame.write_csv().encode(),
        "sql": chart_sql(entry).encode(),
    }


def as_png(svg: bytes) -> bytes:
    """Return an SVG as PNG, two pixels a unit; another thread may draw meanwhile."""
    return vl_convert.svg_to_png(svg.decode(), scale=2)


def warm_up() -> None:
    """Start the renderer, which takes a while, and would do so at the first chart."""
    vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, vl_version=_VEGA_LITE)

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
from warehouse.objects import sql_folder
from warehouse.store import literal

SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def gallery(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show."""
    known = {
        field: read_frame(connection, f"select {field} from core.{table} order by 1")[field].to_list()
        for field, table in (("model_id", "model"), ("hardware_id", "hardware"))
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
    return bool(layers & {"ridge", "roof"}) and ("computed" in layers or "op_group" not in frame.columns)


def chart_spec(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    with debug_mode(False):  # tests validate; here it would take half of the time
        spec: dict[str, Any] = TEMPLATES[entry.template](frame).to_dict(validate=False)
    return spec


def render(spec: dict[str, Any], suffix: str) -> bytes:
    """Return a chart as `json` (Vega-Lite), `html`, `svg` or `png`."""
    if suffix == "json":
        return (json.dumps(spec, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    if suffix == "html":
        return vl_convert.vegalite_to_html(spec, vl_version=_VEGA_LITE, bundle=True).encode()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE)
    return svg.encode() if suffix == "svg" else _png(svg)


def chart_files(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, bytes]:
    """Return everything that is published of a chart, by the suffix of its file."""
    spec = chart_spec(entry, frame)
    svg = render(spec, "svg")
    contents = (render(spec, "json"), svg, _png(svg.decode()), frame.write_csv().encode(), chart_sql(entry).encode())
    return dict(zip(SUFFIXES, contents, strict=True))


def warm_up() -> None:
    """Start the renderer, which takes a while, and would do so at the first chart."""
    vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, vl_version=_VEGA_LITE)


def _png(svg: str) -> bytes:
    return vl_convert.svg_to_png(svg, scale=2)

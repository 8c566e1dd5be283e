"""The charts that a snapshot can show, and the queries that they are drawn from."""

import string
import textwrap
from difflib import get_close_matches

import duckdb
import polars as pl

from charts.gallery import ChartEntry, list_charts
from warehouse.errors import InputError
from warehouse.frames import read_frame
from warehouse.objects import sql_files, sql_folder
from warehouse.store import literal

# what is published of a chart
SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

# words of the gallery's list that stand for several values, and the query that says for which
_WORDS = {
    "model_id": {"*": "every_model", "op sets": "op_sets"},
    "hardware_id": {"*": "every_device", "own": "own_devices", "measured": "measured_devices"},
}


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
    """Return the query of a chart, its parameters written out.

    Where it asks for `$points`, they are those of the entry's `marks`: computed, measured, predicted or compared.
    """
    folder = sql_folder() / "charts"
    points = string.Template((folder / "marks" / f"{entry.parameters['marks']}.sql").read_text("utf-8"))
    template = string.Template((folder / f"{entry.template}.sql").read_text("utf-8"))
    values = {name: literal(value) for name, value in entry.parameters.items()}
    return template.substitute(values, points=textwrap.indent(points.safe_substitute(values), " " * 4).rstrip())


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

"""The charts that a snapshot can show, and the queries that they are drawn from."""

import json
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import duckdb

from charts.gallery import CHOOSE_MARKS, ChartEntry, list_charts
from warehouse.errors import InputError
from warehouse.names import find_near_names
from warehouse.polars_frames import read_frame
from warehouse.snapshot import refuse_earlier_version
from warehouse.sql_files import load_all_sql, load_sql
from warehouse.sql_values import write_values

SHIPPED_LIST = "charts/gallery.toml"
_SHOWN_NAMES = 3

# the files of a published chart
SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

# words in gallery.toml that stand for several values, and the query in sql/gallery that lists these
_WILDCARDS = {
    "model_id": {"*": "every_model", "op sets": "op_sets"},
    "hardware_id": {"*": "every_device", "own": "own_devices", "measured": "measured_devices"},
}


class LeftOut(NamedTuple):
    """A chart that a site has to leave out: the file that lists it, its name, and the reason."""

    file: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.name}: {self.reason}"


def summarize_left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """Return one line per file and reason, with the names of the charts that were left out."""
    names: dict[tuple[str, str], list[str]] = {}
    for chart in left_out:
        names.setdefault((chart.file, chart.reason), []).append(chart.name)
    return [
        f"{file}: {', '.join(alike[:_SHOWN_NAMES])}"
        f"{f' and {len(alike) - _SHOWN_NAMES} more' if len(alike) > _SHOWN_NAMES else ''}: {reason}"
        for (file, reason), alike in names.items()
    ]


def list_snapshot_charts(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show; raise `InputError` if an earlier version wrote it."""
    refuse_earlier_version(connection)
    files = load_all_sql("gallery")
    expansions = {
        field: {word: read_frame(connection, files[file]).to_dicts() for word, file in words.items()}
        for field, words in _WILDCARDS.items()
    }
    own = [
        {**json.loads(row["entry"]), "name": row["name"], "template": row["template"], "source": row["file"]}
        for row in read_frame(connection, files["own_charts"]).to_dicts()
        if row["fault"] is None
    ]
    return list_charts(expansions, own)


def list_bad_entries(connection: duckdb.DuckDBPyConnection) -> list[LeftOut]:
    """Return the entries of the user's gallery that cannot be used."""
    rows = read_frame(connection, load_sql("gallery/own_charts")).to_dicts()
    return [LeftOut(row["file"], row["name"], row["fault"]) for row in rows if row["fault"] is not None]


def find_chart(connection: duckdb.DuckDBPyConnection, name: str) -> ChartEntry:
    """Return the chart with this name, or raise `InputError` with similar names."""
    entries = {entry.name: entry for entry in list_snapshot_charts(connection)}
    if name not in entries:
        for bad in list_bad_entries(connection):
            if bad.name == name:
                raise InputError(str(bad))
        listed = sorted(entry.name for entry in entries.values() if entry.is_listed)
        near = find_near_names(name, listed)
        raise InputError(f"chart: {name}: no such chart; expected a name that `rooflines chart` lists, e.g. {near}")
    return entries[name]


def choose_marks(entry: ChartEntry, marks: str) -> ChartEntry:
    """Return a chart with another choice of marks.

    Raises
    ------
    InputError
        The chart has no marks to choose from.
    """
    if entry.template not in CHOOSE_MARKS or "sql" in entry.parameters:
        raise InputError(f"--marks: {entry.name} has no marks to choose from; expected a chart in the paper's style")
    return replace(entry, parameters={**entry.parameters, "marks": marks})


def compose_sql(entry: ChartEntry) -> str:
    """Return the query of a chart with its parameters filled in.

    In sql/charts, `{points}` stands for the query in sql/charts/marks that the entry's `marks` names, and `{computed}`
    etc. for the query of that name. A chart with its own query has that one, unchanged.
    """
    if "sql" in entry.parameters:
        return str(entry.parameters["sql"])
    marks = {name: textwrap.indent(sql, " " * 4).rstrip() for name, sql in load_all_sql("charts/marks").items()}
    marks["points"] = marks.get(entry.parameters["marks"], marks["none"])
    return write_values(load_sql(f"charts/{entry.template}", **marks), entry.parameters)

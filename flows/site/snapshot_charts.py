"""The charts that a snapshot can show, and the queries that they are drawn from."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import duckdb

from charts.gallery import ChartEntry, Precisions, list_charts
from warehouse.chart_queries import load_template
from warehouse.errors import InputError
from warehouse.names import find_near_names
from warehouse.polars_frames import read_frame
from warehouse.runs import read_left_out
from warehouse.snapshot import refuse_earlier_version
from warehouse.sql_files import load_all_sql, load_sql
from warehouse.sql_values import OneOf, write_values

SHIPPED_LIST = "charts/gallery.toml"
_SHOWN_NAMES = 3

# the files of a published chart
SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

# templates, and the marks that they draw, whose queries name the devices that they read; the tests hold them to it
_OF_ONE_DEVICE = {"house", "paper", "heat", "speculative", "step_time", "crossover"}
_OF_ITS_DEVICE = {"computed", "predicted", "measured", "compared", "nearest"}
_OF_NAMED_DEVICES = {"comparison", "throughput"}

# words in gallery.toml that stand for several values, and the query in sql/gallery that lists these
_WILDCARDS = {
    "model_id": {"*": "every_model", "op sets": "op_sets"},
    "profile": {"*": "every_profile"},
    "hardware_id": {
        "*": "every_device",
        "own": "own_devices",
        "measured": "measured_devices",
        "own measured": "own_measured_devices",
    },
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
    return [f"{file}: {name_first(alike)}: {reason}" for (file, reason), alike in names.items()]


def name_first(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more


def list_snapshot_charts(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show; raise `InputError` if an earlier version wrote it."""
    refuse_earlier_version(connection)
    files = load_all_sql("gallery")
    expansions = {
        field: {word: read_frame(connection, files[file]).to_dicts() for word, file in words.items()}
        for field, words in _WILDCARDS.items()
    }
    for choice in expansions["profile"]["*"].copy():  # a profile brings its device
        expansions["profile"].setdefault(choice["profile"], []).append(choice)
    own = [
        {**json.loads(row["entry"]), "name": row["name"], "template": row["template"], "source": row["file"]}
        for row in read_frame(connection, files["own_charts"]).to_dicts()
        if row["fault"] is None
    ]
    return list_charts(expansions, own, read_precisions(connection))


def read_precisions(connection: duckdb.DuckDBPyConnection) -> Precisions:
    """Return what the list of charts needs to know about precisions."""
    dtypes = read_frame(connection, load_sql("gallery/every_precision")).rows()
    drawn = read_frame(connection, load_sql("gallery/drawn_precisions")).rows()
    published: dict[tuple[str, str], tuple[str, set[tuple[int, int, int]]]] = {}
    for model_id, convention, precision, *setting in read_frame(
        connection, load_sql("gallery/published_settings")
    ).iter_rows():
        degree, batch, context = setting
        published.setdefault((model_id, convention), (precision, set()))[1].add((degree, batch, context))
    return Precisions(dict(dtypes), {tuple(key): precision for *key, precision in drawn}, published)


def list_drawable_charts(connection: duckdb.DuckDBPyConnection, entries: Sequence[ChartEntry]) -> list[ChartEntry]:
    """Return those charts that have something to draw, without drawing them.

    Of the user's own queries, these are the ones that the last run did not leave out.
    """
    charts = [{"place": place, "template": entry.template, **entry.parameters} for place, entry in enumerate(entries)]
    known = [chart for chart in charts if "sql" not in chart]
    drawable = read_frame(connection, write_values(load_sql("gallery/drawable"), {"entries": json.dumps(known)}))
    left_out = {name for _, name, _ in read_left_out(connection)}
    places = set(drawable["place"]) | {chart["place"] for chart in charts if "sql" in chart}
    return [entry for place, entry in enumerate(entries) if place in places and entry.name not in left_out]


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


def list_devices_read(entry: ChartEntry) -> list[str]:
    """Return the ids of the devices whose rows alone a chart reads; none if it may read those of any device."""
    parameters = entry.parameters
    if entry.template in _OF_NAMED_DEVICES:
        return list(parameters.get("devices") or [])
    is_of_one = entry.template in _OF_ONE_DEVICE and parameters.get("marks") in _OF_ITS_DEVICE
    return [str(parameters["hardware_id"])] if is_of_one and parameters.get("hardware_id") else []


def is_of_one_device(entry: ChartEntry) -> bool:
    """Return whether a chart can be asked for together with those of other devices: computed points on a roofline."""
    return entry.template == "house" and entry.parameters.get("marks") == "computed"


def compose_sql(entry: ChartEntry, hardware_ids: Sequence[str] = ()) -> str:
    """Return the query of a chart with its parameters filled in; a chart with its own query has that one, unchanged.

    Given devices, the query returns the rows of the same chart of each of them; see `is_of_one_device`.
    """
    if "sql" in entry.parameters:
        return str(entry.parameters["sql"])
    several = {"hardware_id": OneOf(hardware_ids)} if hardware_ids else {}
    return write_values(load_template(entry.template, entry.parameters["marks"]), {**entry.parameters, **several})

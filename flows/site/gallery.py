"""The charts that a snapshot can show, and the queries that they are drawn from."""

import json
import string
import tempfile
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import NamedTuple

import duckdb
import polars as pl

from charts.gallery import CHOOSE_MARKS, ChartEntry, list_charts
from warehouse.errors import InputError
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_value
from warehouse.sandbox.question import Question, answer
from warehouse.snapshot import refuse_earlier_version
from warehouse.sql_files import sql_files, sql_folder
from warehouse.sql_values import quote_value

SHIPPED_LIST = "charts/gallery.toml"
_SHOWN_NAMES = 3

# what is published of a chart
SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")

# of a chart's own query
_MOST_S = 60.0
_MOST_POINTS = 100_000
_MOST_BYTES = 2**28

# what a query must say of a point
_OF_A_POINT = ("hardware_id", "intensity_flops_per_byte", "performance_flops_per_s")
# and between what it lies; the fastest machine reaches 1e19 FLOP/s
_RANGES = {"intensity_flops_per_byte": (1e-9, 1e12), "performance_flops_per_s": (1e-3, 1e24)}
_MAY_BE_SAID = ("label", "op", "op_group", "phase", "bound")

# words of the gallery's list that stand for several values, and the query that says for which
_WORDS = {
    "model_id": {"*": "every_model", "op sets": "op_sets"},
    "hardware_id": {"*": "every_device", "own": "own_devices", "measured": "measured_devices"},
}


class LeftOut(NamedTuple):
    """A chart that a site lacks: the file that it stands in, its name, and the reason."""

    file: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.name}: {self.reason}"


def told(left_out: Iterable[LeftOut]) -> list[str]:
    """Return what to say of charts that were left out: a line a file and reason."""
    names: dict[tuple[str, str], list[str]] = {}
    for chart in left_out:
        names.setdefault((chart.file, chart.reason), []).append(chart.name)
    return [
        f"{file}: {', '.join(alike[:_SHOWN_NAMES])}"
        f"{f' and {len(alike) - _SHOWN_NAMES} more' if len(alike) > _SHOWN_NAMES else ''}: {reason}"
        for (file, reason), alike in names.items()
    ]


def gallery(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show, or raise `InputError` where it is of an earlier version."""
    refuse_earlier_version(connection)
    files = {path.stem: path.read_text("utf-8") for path in sql_files("gallery")}
    known = {
        field: {word: read_frame(connection, files[file]).to_dicts() for word, file in words.items()}
        for field, words in _WORDS.items()
    }
    own = [
        {**json.loads(row["entry"]), "name": row["name"], "template": row["template"], "source": row["file"]}
        for row in read_frame(connection, files["own_charts"]).to_dicts()
        if row["fault"] is None
    ]
    return list_charts(known, own)


def bad_entries(connection: duckdb.DuckDBPyConnection) -> list[LeftOut]:
    """Return the entries of users' galleries that cannot be used."""
    rows = read_frame(connection, (sql_folder() / "gallery" / "own_charts.sql").read_text("utf-8")).to_dicts()
    return [LeftOut(row["file"], row["name"], row["fault"]) for row in rows if row["fault"] is not None]


def left_out(entry: ChartEntry, reason: str) -> LeftOut:
    """Return a chart of the gallery as one that is left out."""
    return LeftOut(entry.source or SHIPPED_LIST, entry.name, reason)


def find_chart(connection: duckdb.DuckDBPyConnection, name: str) -> ChartEntry:
    """Return the chart of a name, or raise `InputError` with the nearest names."""
    entries = {entry.name: entry for entry in gallery(connection)}
    if name not in entries:
        for bad in bad_entries(connection):
            if bad.name == name:
                raise InputError(str(bad))
        listed = sorted(entry.name for entry in entries.values() if entry.is_listed)
        near = ", ".join(get_close_matches(name, listed, n=3, cutoff=0.3) or listed[:3])
        raise InputError(f"chart: {name}: no such chart; expected a name that `rooflines chart` lists, as {near}")
    return entries[name]


def with_marks(entry: ChartEntry, marks: str) -> ChartEntry:
    """Return a chart with other marks drawn.

    Raises
    ------
    InputError
        It has no marks to choose from.
    """
    if entry.template not in CHOOSE_MARKS or "sql" in entry.parameters:
        raise InputError(f"--marks: {entry.name} has no marks to choose from; expected a chart of the paper's style")
    return replace(entry, parameters={**entry.parameters, "marks": marks})


def chart_sql(entry: ChartEntry) -> str:
    """Return the query of a chart, its parameters written out.

    `$points` in it stands for the query in sql/charts/marks that the entry's `marks` name, and the name of such a query
    for that query. A chart of a query of its own has that.
    """
    if "sql" in entry.parameters:
        return str(entry.parameters["sql"])
    folder = sql_folder() / "charts"
    template = string.Template((folder / f"{entry.template}.sql").read_text("utf-8"))
    values = {name: quote_value(value) for name, value in entry.parameters.items()}
    points = {path.stem: path for path in (folder / "marks").glob("*.sql")}
    points["points"] = points.get(entry.parameters["marks"], points["none"])
    for name in points.keys() & set(template.get_identifiers()):
        text = string.Template(points[name].read_text("utf-8")).safe_substitute(values)
        values[name] = textwrap.indent(text, " " * 4).rstrip()
    return template.substitute(values)


def chart_frame(connection: duckdb.DuckDBPyConnection, entry: ChartEntry) -> pl.DataFrame:
    """Return the rows that a chart is drawn from.

    Raises
    ------
    InputError
        The query is the user's own, and cannot be run or lacks a column.
    """
    if "sql" not in entry.parameters:
        return read_frame(connection, chart_sql(entry))
    source = f"{entry.source}: {entry.name}"
    return roofline_of(connection, chart_sql(entry), entry.parameters["precision_id"], source)[1]


def roofline_of(
    connection: duckdb.DuckDBPyConnection, sql: str, precision_id: str, source: str
) -> tuple[ChartEntry, pl.DataFrame]:
    """Return the roofline of one device with the rows of a query as its points.

    Parameters
    ----------
    connection
        The snapshot.
    sql
        A query with the columns `hardware_id`, the same in every row, `intensity_flops_per_byte` and
        `performance_flops_per_s`. A point is named by `label`, `op` or `op_group`, if there is one of these.
    precision_id
        The precision whose roof is the main one.
    source
        Where the query stands: what messages begin with.

    Raises
    ------
    InputError
        The query cannot be run, takes too long or too much memory, or its columns are not these; device or precision
        have no roof.
    """
    points = _points(connection, sql, source)
    lacking = [name for name in _OF_A_POINT if name not in points.columns]
    if lacking:
        raise InputError(f"{source}: no column {lacking[0]}; expected {', '.join(_OF_A_POINT)}")
    devices = points["hardware_id"].unique().to_list()
    if len(devices) != 1:
        count = f"{len(devices)} values of hardware_id" if devices else "no rows"
        raise InputError(f"{source}: {count}; expected rows of one device")
    parameters = {"hardware_id": devices[0], "precision_id": precision_id, "model_id": None, "convention": None}
    entry = ChartEntry("own", "house", {**parameters, "batch_size": None, "sequence_length": None, "marks": "none"})
    roofs = read_frame(connection, chart_sql(entry))
    if not roofs["is_main"].any():
        raise InputError(f"{source}: {devices[0]} has no roof in {precision_id}; expected a device and --precision")

    def text(*names: str, otherwise: str | None) -> pl.Expr:
        given = [pl.col(name).cast(pl.String) for name in names if name in points.columns]
        return pl.coalesce([*given, pl.lit(otherwise, pl.String)])

    shown = points.select(
        *(pl.col(name).cast(pl.Float64, strict=False) for name in _OF_A_POINT[1:]),
        label=text("label", "op", "op_group", otherwise=""),
        phase=text("phase", otherwise="kernel"),
        bound=text("bound", otherwise=None),
        layer=pl.lit("computed"),
    ).filter(pl.all_horizontal(pl.col(name).is_finite() & (pl.col(name) > 0) for name in _OF_A_POINT[1:]))
    shown = shown.sort(pl.all())  # a query need not say in which order its rows come
    if shown.is_empty():
        raise InputError(f"{source}: no row with an intensity and a performance above 0; expected one a point")
    _refuse_out_of_range(shown, source)
    same = roofs.select("hardware", "precision_id", "dtype").head(1)
    return entry, pl.concat([roofs, shown.join(same, how="cross")], how="diagonal_relaxed")


def _refuse_out_of_range(points: pl.DataFrame, source: str) -> None:
    """Raise `InputError` where a point lies so far off that an axis to it would have hundreds of decades."""
    for name, (least, most) in _RANGES.items():
        out = points.filter(~pl.col(name).is_between(least, most))[name]
        if len(out):
            raise InputError(f"{source}: {name} = {out[0]:g}: expected {least:g} to {most:g}")


def _points(connection: duckdb.DuckDBPyConnection, sql: str, source: str) -> pl.DataFrame:
    """Return the rows of a user's query, which a process of its own runs."""
    snapshot = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    columns = [*_OF_A_POINT, *_MAY_BE_SAID]
    question = Question(snapshot, sql, "ipc", source, _MOST_S, columns=columns, most_rows=_MOST_POINTS + 1)
    with tempfile.TemporaryFile() as rows:
        answer(question, rows)
        if rows.tell() > _MOST_BYTES:
            raise InputError(f"{source}: rows of {rows.tell() / 1e6:.0f} MB; expected at most {_MOST_BYTES / 1e6:.0f}")
        rows.seek(0)
        points = pl.read_ipc(rows.read())
    if len(points) > _MOST_POINTS:
        raise InputError(f"{source}: more than {_MOST_POINTS} rows; expected one a point")
    return points


def is_drawable(frame: pl.DataFrame) -> bool:
    """Whether there is something to draw: rows, of a roofline a roof too, and points where it has any.

    A device may lack the dtype that a chart asks for, and a workload the settings.
    """
    if frame.is_empty() or "layer" not in frame.columns:
        return not frame.is_empty()
    if "is_shown" in frame.columns and not frame["is_shown"].any():
        return False
    layers = set(frame["layer"])
    if layers == {"measured"}:
        return True
    return bool(layers & {"ridge", "roof"}) and (
        bool(layers & {"computed", "measured", "predicted"}) or "op_group" not in frame.columns
    )

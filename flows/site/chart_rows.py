"""The rows that a chart is drawn from."""

import tempfile
from collections.abc import Iterable

import duckdb
import polars as pl

from charts.gallery import ChartEntry
from flows.site.snapshot_charts import compose_sql, is_of_one_device
from warehouse.errors import InputError
from warehouse.names import find_near_names
from warehouse.polars_frames import read_frame, register_frame
from warehouse.rows import fetch_value
from warehouse.sandbox.question import Question, answer
from warehouse.sql_files import load_sql

_MOST_DEVICES = 100  # whose charts are asked for at once

# limits of a user's query
_MOST_S = 60.0
_MOST_POINTS = 100_000
_MOST_BYTES = 2**28

# the columns that a user's query must have, and those it may have
_POINT_COLUMNS = ("hardware_id", "intensity_flops_per_byte", "performance_flops_per_s")
# the fastest machines reach 1e19 FLOP/s
_RANGES = {"intensity_flops_per_byte": (1e-9, 1e12), "performance_flops_per_s": (1e-3, 1e24)}
_TEXTS = (
    "label",
    "op",
    "op_group",
    "phase",
    "bound",
    "dtype",
    "pipe",
    "accumulator",
    "level",
    "likely_cause",
    "colour",
)


def query_chart(connection: duckdb.DuckDBPyConnection, entry: ChartEntry) -> pl.DataFrame:
    """Return the rows that a chart is drawn from.

    Raises
    ------
    InputError
        The chart has its own query, and that cannot be run or lacks a column.
    """
    if "sql" not in entry.parameters:
        return read_frame(connection, compose_sql(entry))
    source, parameters = f"{entry.source}: {entry.name}", entry.parameters
    precision_id, colour = parameters["precision_id"], parameters.get("colour")
    return build_own_roofline(connection, compose_sql(entry), precision_id, source, colour)[1]


class ChartRows:
    """The rows of many charts. Charts that differ by their device alone are asked for together, which is far faster."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, entries: Iterable[ChartEntry]) -> None:
        self._connection = connection
        self._alike: dict[str, list[ChartEntry]] = {}
        self._frames: dict[str, pl.DataFrame] = {}
        for entry in filter(is_of_one_device, entries):
            self._alike.setdefault(_key(entry), []).append(entry)

    def query(self, entry: ChartEntry) -> pl.DataFrame:
        """Return the rows that a chart is drawn from, as `query_chart` does and with its errors."""
        if entry.name not in self._frames and is_of_one_device(entry):
            alike = self._alike.get(_key(entry), [])
            batch, alike[:] = alike[:_MOST_DEVICES], alike[_MOST_DEVICES:]
            if len(batch) > 1 and entry in batch:
                self._query_alike(batch)
        frame = self._frames.pop(entry.name, None)
        return query_chart(self._connection, entry) if frame is None else frame

    def _query_alike(self, entries: list[ChartEntry]) -> None:
        hardware_ids = [entry.parameters["hardware_id"] for entry in entries]
        try:
            rows = read_frame(self._connection, compose_sql(entries[0], hardware_ids))
        except duckdb.Error:  # of memory, or of a planner that fails; one by one, a chart at fault is told
            return
        parts = rows.partition_by("hardware_id", as_dict=True)
        self._frames |= {
            entry.name: parts.get((hardware_id,), rows.clear())
            for entry, hardware_id in zip(entries, hardware_ids, strict=True)
        }


def _key(entry: ChartEntry) -> str:
    """Return what is equal for charts that differ by their device alone."""
    return repr(sorted((name, value) for name, value in entry.parameters.items() if name != "hardware_id"))


def build_own_roofline(
    connection: duckdb.DuckDBPyConnection, sql: str, precision_id: str, source: str, colour: str | None = None
) -> tuple[ChartEntry, pl.DataFrame]:
    """Return the roofline of one or more devices with the rows of a user's query as its points.

    Parameters
    ----------
    connection
        The snapshot.
    sql
        A query with the columns `hardware_id`, `intensity_flops_per_byte` and `performance_flops_per_s`. The first of
        `label`, `op` and `op_group` that it has names the points, and `dtype`, `pipe`, `accumulator` and `level` say
        which roof each is held against. A label that ends in a level, e.g. "SpMV (l2)", stands for that level.
    precision_id
        The precision whose roof holds for points without a dtype.
    source
        Where the query comes from; messages begin with it.
    colour
        The column that the points are coloured by.

    Raises
    ------
    InputError
        The query cannot be run, takes too long or too much memory, or has other columns; or there is no such device.
    """
    precisions = read_frame(connection, load_sql("gallery/every_precision"))["precision_id"].to_list()
    if precision_id not in precisions:
        raise InputError(
            f"{source}: precision = {precision_id}: expected a name such as {find_near_names(precision_id, precisions)}"
        )
    rows = _run_query(connection, sql, source, colour)
    points = _select_points(rows, source, colour)
    parameters = {"hardware_id": points["hardware_id"][0], "precision_id": precision_id, "marks": "own"}
    entry = ChartEntry("own", "house", {**parameters, "else_fastest": False})
    with register_frame(connection, "own_point", points):
        frame = read_frame(connection, compose_sql(entry))
    known = set(frame["hardware_id"])
    for hardware_id in points["hardware_id"].unique().sort():
        if hardware_id not in known:
            raise InputError(f"{source}: hardware_id = {hardware_id}: no such device, or it has no roof; expected one")
    return entry, frame


def _select_points(rows: pl.DataFrame, source: str, colour: str | None) -> pl.DataFrame:
    """Return a user's points with the columns of sql/charts/marks/own.sql; raise `InputError` if they lack a column."""
    lacking = [name for name in (*_POINT_COLUMNS, *([colour] if colour else [])) if name not in rows.columns]
    if lacking:
        raise InputError(f"{source}: no column {lacking[0]}; expected {', '.join(_POINT_COLUMNS)}")
    if rows.is_empty():
        raise InputError(f"{source}: no rows; expected one row per point")
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    if nested:
        raise InputError(f"{source}: column {nested[0]}: a list or struct; expected text or numbers")
    if rows["hardware_id"].null_count():
        raise InputError(f"{source}: hardware_id = null; expected the id of a device")
    _, *axes = _POINT_COLUMNS

    def coalesce_text(*names: str, otherwise: str | None = None) -> pl.Expr:
        given = [pl.col(name).cast(pl.String) for name in names if name in rows.columns]
        return pl.coalesce([*given, pl.lit(otherwise, pl.String)])

    named = colour or ("colour" if "colour" in rows.columns else None)
    points = rows.select(
        pl.col("hardware_id").cast(pl.String),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in axes),
        *(coalesce_text(name).alias(name) for name in ("phase", "bound", "dtype", "level", "likely_cause")),
        *(coalesce_text(name, otherwise="").alias(name) for name in ("pipe", "accumulator")),
        layer=pl.lit("computed"),
        name=coalesce_text("label", "op", "op_group", otherwise=""),
        colour=coalesce_text(named) if named else pl.lit(None, pl.String),
        colour_title=pl.lit(named, pl.String),
    )
    drawable = points.filter(pl.all_horizontal(pl.col(name).is_finite() & (pl.col(name) > 0) for name in axes))
    if drawable.is_empty():
        raise InputError(f"{source}: no row with an intensity and a performance above 0; expected one row per point")
    _refuse_far_points(drawable, source)
    return points.sort(pl.all())  # the query may leave the order open


def _refuse_far_points(points: pl.DataFrame, source: str) -> None:
    """Raise `InputError` if a point lies so far out that an axis that reaches it would span hundreds of decades."""
    for name, (least, most) in _RANGES.items():
        out = points.filter(~pl.col(name).is_between(least, most))[name]
        if len(out):
            raise InputError(f"{source}: {name} = {out[0]:g}: expected {least:g} to {most:g}")


def _run_query(connection: duckdb.DuckDBPyConnection, sql: str, source: str, colour: str | None) -> pl.DataFrame:
    """Return the rows of a user's query, run in a sandboxed process."""
    snapshot = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    columns = list(dict.fromkeys([*_POINT_COLUMNS, *_TEXTS, *([colour] if colour else [])]))
    question = Question(snapshot, sql, "ipc", source, _MOST_S, columns=columns, most_rows=_MOST_POINTS + 1)
    with tempfile.TemporaryFile() as rows:
        answer(question, rows)
        if rows.tell() > _MOST_BYTES:
            raise InputError(f"{source}: rows of {rows.tell() / 1e6:.0f} MB; expected at most {_MOST_BYTES / 1e6:.0f}")
        rows.seek(0)
        points = pl.read_ipc(rows.read())
    if len(points) > _MOST_POINTS:
        raise InputError(f"{source}: more than {_MOST_POINTS} rows; expected one row per point")
    return points


def is_drawable(frame: pl.DataFrame) -> bool:
    """Return whether there is something to draw: rows, and for a roofline also a roof, and points if it shows any.

    A device can lack the dtype that a chart asks for, and the workloads its setting.
    """
    if frame.is_empty() or "layer" not in frame.columns:
        return not frame.is_empty()
    if "not_drawn" in frame.columns:
        return True  # sql/charts/house.sql returns no rows if there is nothing to draw
    if "is_shown" in frame.columns and not frame["is_shown"].any():
        return False
    layers = set(frame["layer"])
    if layers == {"measured"}:
        return True
    return bool(layers & {"ridge", "roof"}) and (
        bool(layers & {"computed", "measured", "predicted"}) or "op_group" not in frame.columns
    )

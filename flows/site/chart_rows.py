"""The rows that a chart is drawn from."""

import tempfile

import duckdb
import polars as pl

from charts.gallery import ChartEntry
from flows.site.snapshot_charts import compose_sql
from warehouse.errors import InputError
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_value
from warehouse.sandbox.question import Question, answer

# limits of a user's query
_MOST_S = 60.0
_MOST_POINTS = 100_000
_MOST_BYTES = 2**28

# the columns that a user's query must have, and those it may have
_POINT_COLUMNS = ("hardware_id", "intensity_flops_per_byte", "performance_flops_per_s")
# the fastest machines reach 1e19 FLOP/s
_RANGES = {"intensity_flops_per_byte": (1e-9, 1e12), "performance_flops_per_s": (1e-3, 1e24)}
_OPTIONAL_COLUMNS = ("label", "op", "op_group", "phase", "bound")


def query_chart(connection: duckdb.DuckDBPyConnection, entry: ChartEntry) -> pl.DataFrame:
    """Return the rows that a chart is drawn from.

    Raises
    ------
    InputError
        The chart has its own query, and that cannot be run or lacks a column.
    """
    if "sql" not in entry.parameters:
        return read_frame(connection, compose_sql(entry))
    source = f"{entry.source}: {entry.name}"
    return build_own_roofline(connection, compose_sql(entry), entry.parameters["precision_id"], source)[1]


def build_own_roofline(
    connection: duckdb.DuckDBPyConnection, sql: str, precision_id: str, source: str
) -> tuple[ChartEntry, pl.DataFrame]:
    """Return the roofline of one device with the rows of a user's query as its points.

    Parameters
    ----------
    connection
        The snapshot.
    sql
        A query with the columns `hardware_id` (the same in every row), `intensity_flops_per_byte` and
        `performance_flops_per_s`. The first of `label`, `op` and `op_group` that it has names the points.
    precision_id
        The precision whose roof is the main one.
    source
        Where the query comes from; messages begin with it.

    Raises
    ------
    InputError
        The query cannot be run, takes too long or too much memory, or has other columns; or the device has no roof in
        this precision.
    """
    points = _run_query(connection, sql, source)
    hardware_id = _find_device(points, source)
    parameters = {"hardware_id": hardware_id, "precision_id": precision_id, "model_id": None, "convention": None}
    entry = ChartEntry("own", "house", {**parameters, "batch_size": None, "sequence_length": None, "marks": "none"})
    roofs = read_frame(connection, compose_sql(entry))
    if not roofs["is_main"].any():
        raise InputError(
            f"{source}: {hardware_id} has no roof in {precision_id}; expected a device and precision with one"
        )
    shown = _select_points(points, source)
    common = roofs.select("hardware", "precision_id", "dtype").head(1)
    return entry, pl.concat([roofs, shown.join(common, how="cross")], how="diagonal_relaxed")


def _find_device(points: pl.DataFrame, source: str) -> str:
    """Return the device of a user's points; raise `InputError` if they lack a column, or have no device or several."""
    lacking = [name for name in _POINT_COLUMNS if name not in points.columns]
    if lacking:
        raise InputError(f"{source}: no column {lacking[0]}; expected {', '.join(_POINT_COLUMNS)}")
    devices: list[str] = points["hardware_id"].unique().to_list()
    if len(devices) != 1:
        count = f"{len(devices)} values of hardware_id" if devices else "no rows"
        raise InputError(f"{source}: {count}; expected rows of one device")
    return devices[0]


def _select_points(points: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return a user's points as the template house draws them, without those that have no place on the chart."""
    _, *axes = _POINT_COLUMNS

    def coalesce_text(*names: str, otherwise: str | None) -> pl.Expr:
        given = [pl.col(name).cast(pl.String) for name in names if name in points.columns]
        return pl.coalesce([*given, pl.lit(otherwise, pl.String)])

    shown = points.select(
        *(pl.col(name).cast(pl.Float64, strict=False) for name in axes),
        label=coalesce_text("label", "op", "op_group", otherwise=""),
        phase=coalesce_text("phase", otherwise="kernel"),
        bound=coalesce_text("bound", otherwise=None),
        layer=pl.lit("computed"),
    ).filter(pl.all_horizontal(pl.col(name).is_finite() & (pl.col(name) > 0) for name in axes))
    if shown.is_empty():
        raise InputError(f"{source}: no row with an intensity and a performance above 0; expected one row per point")
    _refuse_far_points(shown, source)
    return shown.sort(pl.all())  # the query may leave the order open


def _refuse_far_points(points: pl.DataFrame, source: str) -> None:
    """Raise `InputError` if a point lies so far out that an axis that reaches it would span hundreds of decades."""
    for name, (least, most) in _RANGES.items():
        out = points.filter(~pl.col(name).is_between(least, most))[name]
        if len(out):
            raise InputError(f"{source}: {name} = {out[0]:g}: expected {least:g} to {most:g}")


def _run_query(connection: duckdb.DuckDBPyConnection, sql: str, source: str) -> pl.DataFrame:
    """Return the rows of a user's query, run in a sandboxed process."""
    snapshot = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    columns = [*_POINT_COLUMNS, *_OPTIONAL_COLUMNS]
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

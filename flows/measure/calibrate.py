"""Calibrated roofs, fitted to all measurements and written to the catalog of the home."""

from pathlib import Path

import duckdb
import polars as pl

from flows.ingest.toml_writer import format_toml
from flows.intensity.calibration import (
    PARAMETERS,
    calibrate_dispatch,
    calibrate_measurements,
    predict_held_out_steps,
)
from warehouse.errors import InputError, explain_write_error
from warehouse.files.atomic import write_file
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot, refuse_earlier_version
from warehouse.sql_files import load_sql

_DIGITS = 6  # significant ones of a parameter
_LONGEST_ORIGIN = 400
_STEP_KEY = ["hardware_id", "phase", "tensor_parallel", "launch", "fusion"]
_KEY = ("hardware_id", "op_kind", "dtype", "launch")


def calibrate_home(home: Home) -> tuple[Path, pl.DataFrame]:
    """Fit a calibrated roof to the measurements of each device, kind of op, dtype and launch, and write the roofs.

    Return the file and its rows.

    Raises
    ------
    InputError
        There are too few measurements, an earlier version made the snapshot, the extra `calibrate` is not installed, or
        the file cannot be written.
    """
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        measured = read_frame(connection, load_sql("calibration/measured"))
        steps = _read_steps(connection)
    if measured.is_empty():
        raise InputError("calibrate: no measurements; expected some, from `rooflines ingest measurement` and a run")
    fitted = pl.concat([calibrate_measurements(measured), calibrate_dispatch(steps)], how="diagonal_relaxed")
    if fitted.is_empty():
        raise InputError(
            "calibrate: too few measurements; expected at least 10 of one device, kind of op, dtype and launch"
        )
    sources = pl.concat([measured.select("source_id", "source"), steps.select("source_id", "source")])
    origins = sources.group_by("source_id").agg(pl.col("source").first())
    named = dict(origins.iter_rows())
    rows = fitted.with_columns(
        origin=pl.col("source_id").map_elements(
            lambda ids: "; ".join(named.get(each) or each for each in ids.split(", "))[:_LONGEST_ORIGIN],
            return_dtype=pl.String,
        )
    )
    path = home.catalog / "calibrations.toml"
    with home.lock_for_writing():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, format_calibrations(rows, summarize_steps(steps)).encode())
        except OSError as error:
            raise explain_write_error(path, error, "a file") from None
    return path, rows


def _read_steps(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the measured steps that are predicted; device by device, which is much faster than all at once."""
    devices = read_frame(connection, load_sql("calibration/step_devices"))["hardware_id"].to_list()
    sql = load_sql("calibration/steps")
    frames = [read_frame(connection, sql, hardware_id=device) for device in [*devices, ""]]
    return pl.concat(frames, how="vertical_relaxed")


def summarize_steps(steps: pl.DataFrame) -> pl.DataFrame:
    """Return how far predicted steps are off, by device, phase, number of devices, launch and fusion.

    What is fitted to steps is fitted to those of other models.
    """
    error = (pl.col("held_out_s") / pl.col("latency_s") - 1).abs()
    found = predict_held_out_steps(steps).group_by(_STEP_KEY, maintain_order=True)
    return found.agg(n_steps=pl.len(), holdout_mape=error.mean()).sort(_STEP_KEY)


def format_calibrations(rows: pl.DataFrame, steps: pl.DataFrame | None = None) -> str:
    """Return calibrations, and errors of steps, as the text of their file."""
    fields = (*_KEY, "pipe", *PARAMETERS, "n_points", "fit_mape", "holdout_mape", "origin")
    tables = [
        {name: _round(row[name]) for name in fields if row[name] not in (None, "")}
        for row in rows.iter_rows(named=True)
    ]
    arrays = {"calibration": tables}
    if steps is not None and len(steps):
        arrays["step"] = [{name: _round(value) for name, value in row.items()} for row in steps.iter_rows(named=True)]
    return format_toml({}, arrays, comment="Roofs fitted to measurements by `rooflines calibrate`.")


def _round(value: str | float) -> str | float:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value

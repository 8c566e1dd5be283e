"""Times of the hosts of serving engines, fitted to the runs of one model and tried on those of the others."""

from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.toml_writer import format_toml
from warehouse.errors import InputError, explain_write_error
from warehouse.files.atomic import write_file
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot, refuse_earlier_version
from warehouse.sql_files import load_sql

_DIGITS = 6  # significant ones of a number
_LONGEST_ORIGIN = 400
_FEWEST_RUNS = 5
_STATED = ("memory_share", "memory_share_origin", "token_budget", "token_budget_origin")


def calibrate_engines(home: Home) -> tuple[Path, pl.DataFrame]:
    """Fit the time of the host in a step, by engine and device, and write catalog/engines.toml of the home.

    What engines state of themselves, e.g. their share of the memory, is written as it is. Return the file, and what was
    fitted.

    Raises
    ------
    InputError
        There are too few runs, an earlier version made the snapshot, or the file cannot be written.
    """
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        runs = read_frame(connection, load_sql("calibration/serving"))
        engines = read_frame(connection, "from core.engine order by engine, hardware_id")
    fitted = fit_hosts(runs)
    if fitted.is_empty():
        raise InputError(
            f"calibrate --engines: too few runs; expected at least {_FEWEST_RUNS} of one engine, device and model with"
            " a calibration, from `rooflines ingest engine` and a run"
        )
    path = home.catalog / "engines.toml"
    with home.lock_for_writing():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, format_engines(engines, fitted).encode())
        except OSError as error:
            raise explain_write_error(path, error, "a file") from None
    return path, fitted


def fit_hosts(runs: pl.DataFrame) -> pl.DataFrame:
    """Return one row per engine and device: the time of the host in a step, and how far expected times are off.

    The model with the most runs is fitted, the others are held out. A time that does not improve their expected times
    is none: then it is 0.

    Parameters
    ----------
    runs
        `engine`, `hardware_id`, `model_id`, `tpot_s` (measured), `device_s` (expected, without the host) and `source`.
    """
    rows = [
        {"engine": engine, "hardware_id": hardware_id, **fit}
        for (engine, hardware_id), of_both in runs.group_by(["engine", "hardware_id"], maintain_order=True)
        if (fit := _fit_host(of_both)) is not None
    ]
    return pl.DataFrame(rows)


def _fit_host(runs: pl.DataFrame) -> dict[str, Any] | None:
    model_id, number = (
        runs["model_id"].value_counts(sort=True).sort("count", "model_id", descending=[True, False]).row(0)
    )
    if number < _FEWEST_RUNS:
        return None
    own, others = runs.filter(model_id=model_id), runs.filter(pl.col("model_id") != model_id)
    host_s = find_least_error(own)
    if len(others) and _find_error(others, host_s) >= _find_error(others, 0.0):
        host_s = 0.0
    return {
        "host_s": host_s,
        "n_runs": number,
        "fit_error": _find_error(own, host_s),
        "holdout_error": _find_error(others, host_s) if len(others) else None,
        "model_id": model_id,
        "origin": f"{number} runs of {model_id}; {'; '.join(own['source'].unique().sort())}"[:_LONGEST_ORIGIN],
    }


def find_least_error(runs: pl.DataFrame) -> float:
    """Return the time, 0 or more, that added to each step gives the least mean error, as a share of the measured time.

    The sum of abs(device + host - measured) / measured is least at the median of measured - device, weighted by
    1 / measured.
    """
    ordered = runs.select(rest=pl.col("tpot_s") - pl.col("device_s"), weight=1 / pl.col("tpot_s")).sort("rest")
    half = ordered["weight"].sum() / 2
    rest = ordered.filter(pl.col("weight").cum_sum() >= half)["rest"]
    return float(f"{max(rest[0], 0.0):.{_DIGITS}g}")


def _find_error(runs: pl.DataFrame, host_s: float) -> float:
    """Return the median error of expected times, as a share of the measured ones."""
    error = runs.select(((pl.col("device_s") + host_s) / pl.col("tpot_s") - 1).abs().median()).item()
    return float(f"{error:.{_DIGITS}g}")


def format_engines(engines: pl.DataFrame, fitted: pl.DataFrame) -> str:
    """Return the content of engines.toml: what engines state, and what was fitted to their runs.

    Parameters
    ----------
    engines
        Rows of core.engine.
    fitted
        Result of `fit_hosts`; an engine that states nothing takes all of the memory.
    """
    stated = {row["engine"]: row for row in engines.filter(hardware_id="").iter_rows(named=True)}
    entries = [
        {"engine": name, **{key: known[key] for key in _STATED if known.get(key) is not None}}
        for name in sorted({*stated, *fitted["engine"]})
        for known in [stated.get(name) or {"memory_share": 1.0, "memory_share_origin": "not stated"}]
    ]
    hosts = fitted.drop("model_id").iter_rows(named=True)
    return format_toml(
        {},
        {"engine": entries, "host": [{key: value for key, value in row.items() if value is not None} for row in hosts]},
        comment="Numbers of serving engines; times of hosts are those of `rooflines calibrate --engines`",
    )

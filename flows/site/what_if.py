"""The chart of a sweep with made-up devices; it is drawn on demand, and no part of the site."""

from typing import Any

import duckdb

from charts.what_if import draw_what_if, list_varied
from warehouse.errors import InputError
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_column
from warehouse.sql_files import load_sql

_SETTING = [
    "model_id", "convention", "precision_id", "phase", "batch_size", "sequence_length", "query_length",
    "tensor_parallel", "expert_parallel", "pipeline_parallel", "data_parallel",
]  # fmt: skip
_MOST_LINES = 8  # colours of lines
_MOST_SHOWN = 3


def build_what_if(connection: duckdb.DuckDBPyConnection, sweep_id: str) -> dict[str, Any]:
    """Return the Vega-Lite specification of tokens/s over the made-up devices of a sweep.

    Raises
    ------
    InputError
        There is no such sweep, it has no made-up devices, or it has more than a chart can show.
    """
    known = fetch_column(connection, "select sweep_id from mart.sweep where device_like is not null order by all")
    if sweep_id not in known:
        expected = f"one of {', '.join(known)}" if known else "one made by `rooflines sweep --device-like`"
        raise InputError(f"--sweep: {sweep_id}: no sweep with made-up devices; expected {expected}")
    frame = read_frame(connection, load_sql("sweep/steps"), sweep_id=sweep_id)
    if frame.is_empty():
        raise InputError(f"--sweep: {sweep_id}: no step of it runs on its devices; expected files that are there")
    for name in _SETTING:
        values = frame[name].unique().sort().to_list()
        if len(values) > 1:
            shown = ", ".join(map(str, values[:_MOST_SHOWN])) + (", …" if len(values) > _MOST_SHOWN else "")
            raise InputError(f"--sweep: {sweep_id}: {name}: {shown}; expected a sweep of one setting")
    varied = list_varied(frame)
    if len(varied) not in (1, 2) or frame.select(varied).is_duplicated().any():
        expected = "one or two, of bandwidth, peak of the precision's dtype, link and memory"
        raise InputError(f"--sweep: {sweep_id}: {len(varied)} values tell its devices apart; expected {expected}")
    if len(varied) > 1 and frame[varied[1]].n_unique() > _MOST_LINES:
        count = frame[varied[1]].n_unique()
        raise InputError(f"--sweep: {sweep_id}: {varied[1]}: {count} values; expected at most {_MOST_LINES} lines")
    spec: dict[str, Any] = draw_what_if(frame).to_dict()
    return spec

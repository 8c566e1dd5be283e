"""The scripts with the rows of a chart: a page from disk cannot fetch a file, but it can load a script."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from charts.paper_text import KINDS, NEAREST
from flows.site.page_templates import script_json
from warehouse.files.spreadsheet import guard_text_cells

_COLUMNS = {"context": "sequence_length"}  # of the parameters that are not named after their column


def write_rows_script(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows that a chart draws: each column as its distinct values, and per row the number of its value."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(compose_rows_script(rows), "utf-8")


def compose_rows_script(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a script with the rows that a chart draws."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _encode_column([row.get(name) for row in rows]) for name in names}
    return f"window.chartRows={script_json({'count': len(rows), 'columns': columns})};\n"


def write_csv_script(file: Path, frame: pl.DataFrame, spec: Mapping[str, Any]) -> None:
    """Write the lines of a chart's CSV, and which of them belong to each value of each choice of its reader."""
    guarded = guard_text_cells(frame)
    numbered = frame.with_row_index("line number")
    chosen = {
        param: {
            str(value): numbered.filter(_belongs_to(frame, param, value))["line number"].to_list() for value in values
        }
        for param, values in list_choices(spec).items()
    }
    if "layer" in frame.columns:
        chosen["layer"] = {kind: numbered.filter(layer=kind)["line number"].to_list() for kind in KINDS}
    lines = {
        "head": guarded.clear().write_csv(),
        "lines": _write_lines(guarded),
        "chosen": chosen,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"window.chartLines={script_json(lines)};\n", "utf-8")


def _write_lines(frame: pl.DataFrame) -> list[str]:
    """Return each row as the text that it has in a CSV file."""
    lines = frame.write_csv(include_header=False).split("\n")[:-1]
    if len(lines) == len(frame):
        return [f"{line}\n" for line in lines]
    return [row.write_csv(include_header=False) for row in frame.iter_slices(1)]  # texts have line breaks


def list_choices(spec: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each parameter that a reader chooses from a list."""
    params = spec.get("params", [])
    return {
        param["name"]: param["bind"]["options"]
        for param in params
        if isinstance(param.get("bind"), dict) and param["bind"].get("input") in {"select", "radio"}
    }


def has_views(frame: pl.DataFrame, spec: Mapping[str, Any]) -> bool:
    """Return whether a reader can choose what a chart shows, or hide one of several kinds of marks."""
    kinds = set(frame["layer"]) & set(KINDS) if "layer" in frame.columns else set()
    return bool(list_choices(spec)) or len(kinds) > 1


def _belongs_to(frame: pl.DataFrame, param: str, value: Any) -> pl.Expr:
    """Return whether a row is seen if the reader chooses a value; rows without one, e.g. roofs, always are."""
    column = _COLUMNS.get(param, param)
    if param == "marks" and {"is_nearest", "layer"} <= set(frame.columns):
        is_chosen = pl.col("is_nearest") if value == NEAREST else pl.col("layer") == value
        return pl.col("is_nearest").is_null() | is_chosen
    return (pl.col(column).is_null() | (pl.col(column) == value)) if column in frame.columns else pl.lit(value=True)


def _encode_column(values: list[Any]) -> dict[str, Any]:
    """Return a column as its distinct values and their numbers, or as its values if most of them differ."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(_make_key(value), len(numbers)) for value in values]
    if 2 * len(numbers) > len(values):
        return {"values": values}
    first = dict(zip(reversed(codes), reversed(values), strict=True))
    return {"values": [first[code] for code in range(len(numbers))], "codes": codes}


def _make_key(value: Any) -> str:
    """Return a text that only values share whose JSON is the same; 1, 1.0 and true are equal in Python."""
    if isinstance(value, str):
        return f'"{value}'
    return repr(value) if value is None or isinstance(value, bool | int | float) else json.dumps(value)

"""The explorer: a page that draws any roofline in the browser, and the data for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows.site.model_scripts import write_model_scripts
from flows.site.page_paths import page_folder
from flows.site.page_templates import script_json, write_asset
from flows.site.site_pages import SitePages
from warehouse.polars_frames import read_frame
from warehouse.sql_files import load_sql

PAGE = "explorer/index.html"

# parts of the script of the page, in the order in which they use each other
SCRIPTS = ("numbers.js", "times.js", "explorer.js")
_TABLES = ("devices", "roofs", "kernels", "precisions", "models", "points", "calibrations", "measured")
_CALLS = {"calibrations": "calibrate", "measured": "measure"}
_SETTING = ["convention", "phase", "precision_id", "batch_size", "sequence_length", "query_length"]
_OPS = ["op", "op_group", "repeat"]
_NAMES = ["op", "op_group", "dtype"]
_COSTS = ["flops", "bytes"]
_LISTS = {"ops": "ops", "dtypes": "dtype", "flops": "flops", "bytes": "bytes"}  # each with its column
_EXACT = 2.0**53  # JavaScript holds integers up to here exactly


def write_explorer(pages: SitePages, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the page, its script, and its data: a script with all roofs, and one per model or device with what it has.

    Parameters
    ----------
    pages
        The pages of the site.
    connection
        The snapshot.
    """
    frames = {name: read_frame(connection, load_sql(f"explorer/{name}")) for name in _TABLES}
    pages.write(PAGE, "explorer.html.j2", models=frames["models"].to_dicts())
    assets = pages.out / "assets"
    write_model_scripts(assets, connection)
    write_asset(assets / "explorer.js", *SCRIPTS)
    known: dict[str, Any] = {name: _encode_columns(frames[name]) for name in ("devices", "roofs", "precisions")}
    known["kernels"] = frames["kernels"].to_dicts()
    ids = [*frames["devices"]["hardware_id"], *frames["models"]["model_id"]]
    known["files"] = {id_: page_folder(id_) for id_ in ids if page_folder(id_) != id_}
    known["measured"] = frames["measured"]["model_id"].unique().sort().to_list()
    (assets / "roofs.js").write_text(f"explorer.know({script_json(known)});\n", "utf-8")
    for model_id, data in _encode_points(frames["points"]):
        _write_data(assets / "points", "add", model_id, data)
    for name, column in (("calibrations", "hardware_id"), ("measured", "model_id")):
        for (id_,), rows in frames[name].partition_by(column, as_dict=True, maintain_order=True).items():
            columns = _encode_columns(rows.drop(column))
            _write_data(assets / name, _CALLS[name], str(id_), script_json(columns))


def _write_data(folder: Path, call: str, id_: str, data: str) -> None:
    """Write the script that hands the data of a model or device to the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{page_folder(id_)}.js").write_text(f"explorer.{call}({script_json(id_)},{data});\n", "utf-8")


def _encode_points(points: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each model with its ops as JSON: its settings as columns, and the lists of ops that these refer to.

    The settings of a phase share their ops, those of a precision the dtypes of these, and the precisions of a setting
    their FLOP: each list occurs once.
    """
    settings = (
        points.with_columns(
            *(pl.col(name).replace_strict(_quote_names(points[name])) for name in _NAMES),
            pl.col("repeat").cast(pl.String),
            *(_format_number(name) for name in _COSTS),
        )
        .group_by(pl.struct("model_id", *_SETTING).rle_id().alias("setting"), maintain_order=True)
        .agg(pl.col("model_id", *_SETTING).first(), pl.col(*_OPS, "dtype", *_COSTS))
        .with_columns(pl.format("[{}]", pl.col(name).list.join(",")).alias(name) for name in (*_OPS, "dtype", *_COSTS))
        .with_columns(ops=pl.format("[{},{},{}]", *_OPS))
    )
    for (model_id,), part in settings.partition_by("model_id", as_dict=True, maintain_order=True).items():
        lists = {name: list(dict.fromkeys(part[column])) for name, column in _LISTS.items()}
        codes = {name: _encode_values(part[_LISTS[name]], values) for name, values in lists.items()}
        columns = {**_encode_columns(part.select(_SETTING)), **{name: {"codes": codes[name]} for name in lists}}
        texts = (f'"{name}":[{",".join(values)}]' for name, values in lists.items())
        yield str(model_id), f'{{"settings":{script_json(columns)},"lists":{{{",".join(texts)}}}}}'


def _format_number(name: str) -> pl.Expr:
    """Return numbers as JSON: whole ones without a decimal point, others with their shortest exact digits."""
    value = pl.col(name)
    is_whole = (value == value.floor()) & (value.abs() <= _EXACT)
    whole = pl.when(is_whole).then(value).cast(pl.Int64)
    return pl.when(is_whole).then(whole.cast(pl.String)).otherwise(value.cast(pl.String)).alias(name)


def _quote_names(names: pl.Series) -> dict[str, str]:
    return {name: script_json(name) for name in names.unique()}


def _encode_columns(frame: pl.DataFrame) -> dict[str, Any]:
    """Return each column of a frame as its distinct values, and per row the index of its value."""
    distinct = {name: list(dict.fromkeys(frame[name])) for name in frame.columns}
    return {name: {"values": values, "codes": _encode_values(frame[name], values)} for name, values in distinct.items()}


def _encode_values(column: pl.Series, values: list[Any]) -> list[int]:
    code = {value: number for number, value in enumerate(values)}
    return [code[value] for value in column]

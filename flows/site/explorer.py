"""The explorer: a page that computes any step of any model in the browser, and the data for it."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows.site.kept_rows import KeptRows, read_queries
from flows.site.model_scripts import write_model_scripts
from flows.site.page_paths import page_folder
from flows.site.page_templates import script_json, write_asset
from flows.site.site_pages import SitePages
from warehouse.sql_files import load_sql

PAGE = "explorer/index.html"

# parts of the script of the page, in the order in which they use each other
_PARTS = ("data", "choices", "results", "plot", "tables", "downloads", "sql", "what_if", "key", "controls")
SCRIPTS = ("numbers.js", "times.js", *(f"explorer_{part}.js" for part in _PARTS), "explorer.js")
# what the page loads, in order: the others are loaded when a model or device is chosen
_LOADED = ("costs.js", "precisions.js", "explorer.js", "roofs.js", "held.js")
_TABLES = ("devices", "roofs", "kernels", "precisions", "models", "calibrations", "measured", "held")
# scripts of one model or device each: the folder, the function that they call, and the column that tells them apart
_SCRIPTS_OF_ONE = (
    ("calibrations", "calibrate", "hardware_id"),
    ("measured", "measure", "model_id"),
)


def write_explorer(pages: SitePages, connection: duckdb.DuckDBPyConnection, kept: KeptRows | None = None) -> None:
    """Write the page, its script, and its data: scripts with all roofs, and one per model or device with what it has.

    Parameters
    ----------
    pages
        The pages of the site.
    connection
        The snapshot.
    kept
        The rows that are kept from an earlier publication.
    """
    queries = {name: load_sql(f"explorer/{name}") for name in _TABLES}
    frames = read_queries(connection, queries, kept)
    models = frames["models"].to_dicts()
    pages.write(PAGE, "explorer.html.j2", models=models, scripts=_LOADED)
    assets = pages.out / "assets"
    write_model_scripts(assets, connection)
    write_asset(assets / "explorer.js", *SCRIPTS)
    write_asset(assets / "explorer.css", "explorer.css")
    known: dict[str, Any] = {name: _encode_columns(frames[name]) for name in ("devices", "roofs", "precisions")}
    known["kernels"] = frames["kernels"].to_dicts()
    ids = [*frames["devices"]["hardware_id"], *frames["models"]["model_id"]]
    known["files"] = {id_: page_folder(id_) for id_ in ids if page_folder(id_) != id_}
    known["measured"] = frames["measured"]["model_id"].unique().sort().to_list()
    _write_call(assets / "roofs.js", "know", script_json(known))
    _write_call(assets / "held.js", "hold", script_json(_encode_columns(frames["held"])))
    for folder, call, column in _SCRIPTS_OF_ONE:
        for (id_,), rows in frames[folder].partition_by(column, as_dict=True, maintain_order=True).items():
            arguments = f"{script_json(str(id_))},{script_json(_encode_columns(rows.drop(column)))}"
            _write_call(assets / folder / f"{page_folder(str(id_))}.js", call, arguments)


def _write_call(file: Path, call: str, arguments: str) -> None:
    """Write a script that hands data to the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"explorer.{call}({arguments});\n", "utf-8")


def _encode_columns(frame: pl.DataFrame) -> dict[str, Any]:
    """Return each column of a frame as its distinct values, and per row the index of its value."""
    distinct = {name: list(dict.fromkeys(frame[name])) for name in frame.columns}
    return {name: {"values": values, "codes": _encode_values(frame[name], values)} for name, values in distinct.items()}


def _encode_values(column: pl.Series, values: list[Any]) -> list[int]:
    code = {value: number for number, value in enumerate(values)}
    return [code[value] for value in column]

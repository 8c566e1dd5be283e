"""What pages compute steps from: the sizes of each model, precisions and counts of elements, as scripts."""

from pathlib import Path
from typing import Any

import duckdb

from flows.site.page_paths import page_folder
from flows.site.page_templates import script_json, write_asset
from warehouse.polars_frames import read_frame
from warehouse.sql_files import load_sql

_SCRIPT = ("formulas.js", "costs.js")


def write_model_scripts(assets: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Write `costs.js`, `precisions.js`, and a script per model into the folder `models`.

    Parameters
    ----------
    assets
        Folder of the site's scripts.
    connection
        The snapshot.
    """
    write_asset(assets / _SCRIPT[-1], *_SCRIPT)
    (assets / "precisions.js").write_text(write_precisions(connection), "utf-8")
    (assets / "models").mkdir(parents=True, exist_ok=True)
    for model_id, script in write_models(connection).items():
        (assets / "models" / f"{page_folder(model_id)}.js").write_text(script, "utf-8")


def write_precisions(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the script that tells `costs` of precisions and element-wise ops."""
    precisions = [_nest_parts(_known(row)) for row in _fetch(connection, "precision_bits")]
    elementwise = _fetch(connection, "elementwise")
    return f"costs.know({script_json({'precisions': precisions, 'elementwise': elementwise})});\n"


def write_models(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the script of each model or file of the user's ops, by its id, that tells `costs` of its sizes."""
    layers: dict[str, list[Any]] = {}
    for row in _fetch(connection, "layer_groups"):
        layers.setdefault(row.pop("model_id"), []).append(_known(row))
    models = {row.pop("model_id"): _known(row) for row in _fetch(connection, "model_sizes")}
    data: dict[str, dict[str, Any]] = {id_: {"model": model, "layers": layers[id_]} for id_, model in models.items()}
    for row in _fetch(connection, "own_ops"):
        data.setdefault(row.pop("model_id"), {"own": []})["own"].append(_known(row))
    return {id_: f"costs.add({script_json(id_)},{script_json(of)});\n" for id_, of in data.items()}


def _nest_parts(row: dict[str, Any]) -> dict[str, Any]:
    parts = zip(row.pop("part_ids"), row.pop("parts"), strict=True)
    return {**row, "parts": {part: _known(bits) for part, bits in parts}}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _fetch(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    return read_frame(connection, load_sql(f"explorer/{name}")).to_dicts()

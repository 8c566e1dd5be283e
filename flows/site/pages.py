"""The pages of the site: the gallery, a page a chart, a device and a model, and the data."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from charts.gallery import ChartEntry
from charts.summaries import summarize_grid
from flows.site.page_paths import page_folder
from flows.site.page_templates import render_page
from flows.site.snapshot_charts import compose_sql
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_value
from warehouse.sql_files import load_all_sql

Row = dict[str, Any]
Card = Row  # what the gallery says of a chart, and what it can be found by

ASSETS = ("site.css", "site.js")
_FIRST_ROWS = 20
_KINDS = {
    "paper": "Roofline, paper style",
    "house": "Roofline",
    "comparison": "Devices compared",
    "speculative": "Speculative decoding",
    "heat": "Share of the roof",
    "accuracy": "Predicted times",
    "residuals": "Predicted times",
    "step_time": "Time of a step",
    "crossover": "Intensity and batch",
    "throughput": "Tokens/s and latency",
    "ranking": "Devices ranked",
    "history": "Runs",
}
_LONG = {"hardware_id", "model_id", "origin"}  # left out of the lists of devices and models
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')


@dataclass(frozen=True)
class ShownChart:
    """A chart of the site: its entry in the gallery, and the rows that it is drawn from."""

    entry: ChartEntry
    frame: pl.DataFrame


@dataclass(frozen=True)
class SiteRows:
    """The rows of the queries in sql/site, by query; devices and models by their ids."""

    frames: Mapping[str, pl.DataFrame]
    devices: Mapping[str, Row]
    models: Mapping[str, Row]


def read_site_rows(connection: duckdb.DuckDBPyConnection) -> SiteRows:
    """Return what a snapshot says of devices, models, and what they have in common."""
    frames = {name: read_frame(connection, sql) for name, sql in load_all_sql("site").items()}
    devices, models = (
        {row[key]: row for row in frames[name].to_dicts()}
        for name, key in (("devices", "hardware_id"), ("models", "model_id"))
    )
    return SiteRows(frames, devices, models)


def write_chart_page(out: Path, chart: ShownChart, known: SiteRows) -> Card:
    """Write the page of a chart that is drawn, and return what the gallery says of it."""
    card = _make_card(out, chart, known)
    _write_chart_details(out, card, chart, known)
    return card


def write_pages(
    out: Path,
    connection: duckdb.DuckDBPyConnection,
    known: SiteRows,
    cards: Sequence[Card],
    run: Row,
    files: Mapping[str, str],
) -> None:
    """Write every page of a site but those of its charts.

    Parameters
    ----------
    out
        Folder of the site.
    connection
        The snapshot.
    known
        What it says of devices and models.
    cards
        What the gallery says of each chart.
    run
        What is said of the run.
    files
        The Parquet file of each table and view that has one.
    """
    devices, models = known.devices, known.models
    _write_page(
        out / "index.html", "index.html.j2", "", "index.html", charts=cards, run_id=run["run"],
        devices=_list_choices(devices, (id_ for card in cards for id_ in card["hardware"])),
        models=_list_choices(models, (card["model_id"] for card in cards)),
        phases=sorted({phase for card in cards for phase in card["phases"]}),
        kinds=sorted({card["kind"] for card in cards}),
    )  # fmt: skip
    _write_devices(out, known, cards)
    _write_models(out, known, cards)
    _write_data(out, connection, known, run, files)


def write_assets(out: Path) -> None:
    """Write the style and the script that all pages share."""
    (out / "assets").mkdir(exist_ok=True)
    for name in ASSETS:
        text = resources.files("charts").joinpath("pages", name).read_text("utf-8")
        (out / "assets" / name).write_text(text, "utf-8")


def _make_card(out: Path, chart: ShownChart, known: SiteRows) -> Row:
    """Return what the gallery says of a chart, and what it can be found by."""
    entry, frame = chart.entry, chart.frame
    folder = out / "charts" / entry.name
    spec = json.loads((folder / f"{entry.name}.vl.json").read_text("utf-8"))
    with (folder / f"{entry.name}.svg").open(encoding="utf-8") as svg:
        size = _SIZE.search(svg.read(1000))
    title, subtitle = spec["title"]["text"], spec["title"]["subtitle"]
    said = [subtitle] if isinstance(subtitle, str) else subtitle
    summary = summarize_grid(frame.filter("is_shown")) if entry.template == "paper" else said[0]
    hardware = [entry.parameters.get("hardware_id"), *(entry.parameters.get("devices") or [])]
    if "hardware_id" in frame.columns:
        hardware += frame["hardware_id"].to_list()
    hardware = [id_ for id_ in dict.fromkeys(hardware) if id_ in known.devices]
    model_id = str(entry.parameters.get("model_id"))
    names = [known.devices[id_]["name"] for id_ in hardware]
    if model_id in known.models:
        names.append(known.models[model_id]["short_name"])
    phases = frame["phase"].drop_nulls().unique().sort().to_list() if "phase" in frame.columns else []
    kind = _KINDS.get(entry.template, entry.template)
    return {
        "name": entry.name,
        "title": title,
        "subtitle": said,
        "finding": summary,
        "description": spec["description"],
        "kind": kind,
        "hardware": hardware,
        "model_id": model_id if model_id in known.models else None,
        "phases": phases,
        "text": " ".join([entry.name, title, summary, *said, spec["description"], kind, *names, *hardware]).lower(),
        "width": size[1] if size else None,
        "height": size[2] if size else None,
        "spec": spec,
    }


def _write_chart_details(out: Path, card: Row, chart: ShownChart, known: SiteRows) -> None:
    parameters = chart.entry.parameters
    shown = ("precision_id", "convention", "batch_size", "sequence_length", "marks", "dtype")
    setting = {name.removesuffix("_id"): parameters.get(name) for name in shown}
    frame = chart.frame
    if "layer" not in frame.columns:
        setting["marks"] = None
    for column, what in (("basis", "basis"), ("origin", "origin of the roofs"), ("source", "measured by")):
        said = frame[column].drop_nulls().unique().sort().to_list() if column in frame.columns else []
        setting[what] = "; ".join(said) or None
    links = [(f"../../{_device_page(id_)}", known.devices[id_]["name"]) for id_ in card["hardware"]]
    if model := known.models.get(card["model_id"]):
        links.append((f"../../{_model_page(card['model_id'])}", model["short_name"]))
    _write_page(
        out / "charts" / chart.entry.name / "index.html", "chart.html.j2", "../../", None,
        chart={**card, "setting": setting, "links": links}, spec=card["spec"], sql=compose_sql(chart.entry),
        rows=frame.head(_FIRST_ROWS).to_dicts(), count=len(frame),
    )  # fmt: skip


def write_moved_page(out: Path, name: str, card: Card) -> None:
    """Write a page at the place of a chart that another one took in."""
    _write_page(out / "charts" / name / "index.html", "moved.html.j2", "../../", None, name=name, chart=card)


def _write_devices(out: Path, known: SiteRows, cards: Sequence[Row]) -> None:
    tables = {
        name: _group_rows(known.frames[f"device_{name}"], "hardware_id")
        for name in ("roofs", "conflicts", "measured", "crossovers")
    }
    steps = _group_rows(known.frames["steps"], "hardware_id", "model_id", "device")
    links = {row["short_name"]: f"../../{_model_page(id_)}" for id_, row in known.models.items()}
    for hardware_id, device in known.devices.items():
        _write_page(
            out / _device_page(hardware_id), "device.html.j2", "../../", None, device=device,
            charts=[card for card in cards if hardware_id in card["hardware"]], links=links,
            steps=steps.get(hardware_id, []), **{name: rows.get(hardware_id, []) for name, rows in tables.items()},
        )  # fmt: skip
    listed = [{k: v for k, v in row.items() if k not in _LONG} for row in known.devices.values()]
    pages = [f"{page_folder(id_)}/index.html" for id_ in known.devices]
    _write_page(
        out / "devices" / "index.html", "list.html.j2", "../", "devices/index.html", title="Devices", rows=listed,
        link="name", pages=pages,
    )  # fmt: skip


def _write_models(out: Path, known: SiteRows, cards: Sequence[Row]) -> None:
    crossovers = _group_rows(known.frames["model_crossovers"], "model_id")
    steps = _group_rows(known.frames["steps"], "model_id", "hardware_id", "model")
    links = {row["short_name"]: f"../../{_device_page(id_)}" for id_, row in known.devices.items()}
    for model_id, model in known.models.items():
        _write_page(
            out / _model_page(model_id), "model.html.j2", "../../", None, model=model,
            charts=[card for card in cards if card["model_id"] == model_id], links=links,
            steps=steps.get(model_id, []), crossovers=crossovers.get(model_id, []),
        )  # fmt: skip
    listed = [{k: v for k, v in row.items() if k not in _LONG} for row in known.models.values()]
    pages = [f"{page_folder(id_)}/index.html" for id_ in known.models]
    _write_page(
        out / "models" / "index.html", "list.html.j2", "../", "models/index.html", title="Models", rows=listed,
        link="short_name", pages=pages,
    )  # fmt: skip


def _write_data(
    out: Path,
    connection: duckdb.DuckDBPyConnection,
    known: SiteRows,
    run: Row,
    files: Mapping[str, str],
) -> None:
    columns = _group_rows(known.frames["columns"], "object")
    objects = []
    for row in known.frames["objects"].to_dicts():
        name, file = row["name"], files.get(row["name"])
        # other views take seconds to count, and are as long as what they are asked for
        count = fetch_value(connection, f"select count(*) from {name}") if file else None
        objects.append({**row, "rows": count, "file": file, "columns": columns.get(name, [])})
    sources = known.frames["sources"].to_dicts()
    _write_page(
        out / "data" / "index.html", "data.html.j2", "../", "data/index.html", objects=objects, run=run, sources=sources
    )


def _device_page(hardware_id: str) -> str:
    return f"devices/{page_folder(hardware_id)}/index.html"


def _model_page(model_id: str) -> str:
    return f"models/{page_folder(model_id)}/index.html"


def _list_choices(known: Mapping[str, Row], ids: Iterable[str | None]) -> list[tuple[str, str]]:
    used = set(ids)
    return sorted(((id_, row["short_name"]) for id_, row in known.items() if id_ in used), key=lambda pair: pair[1])


def _group_rows(frame: pl.DataFrame, key: str, *hidden: str) -> dict[str, list[Row]]:
    """Return the rows of each value of a column, without it and others."""
    parts = frame.partition_by(key, as_dict=True, maintain_order=True)
    return {str(value): rows.drop(key, *hidden).to_dicts() for (value,), rows in parts.items()}


def _write_page(path: Path, template: str, root: str, here: str | None, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(template, root=root, here=here, **values), "utf-8")

"""The page of a chart, and its card in the gallery."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import polars as pl
from markupsafe import Markup

from charts.gallery import ChartEntry
from charts.inks import write_dark_inks
from charts.summaries import summarize_grid
from charts.texts import read_texts
from flows.site.chart_scripts import has_views, write_csv_script, write_rows_script
from flows.site.page_paths import device_page, model_page
from flows.site.profile_table import TITLES, list_kernels
from flows.site.site_pages import SitePages
from flows.site.site_rows import Row, SiteRows
from flows.site.snapshot_charts import compose_sql
from flows.site.stills import measure_still
from warehouse.chart_queries import has_choice_of_marks

Card = Row  # what the gallery shows of a chart, and what it can be found by

_MOST_DEVICES = 8  # that the explorer draws
_FIRST_ROWS = 20
_KINDS = {
    "paper": "Roofline, paper style",
    "house": "Roofline",
    "comparison": "Devices compared",
    "speculative": "Speculative decoding",
    "copies": "Share of the bandwidth",
    "heat": "Share of the roof",
    "accuracy": "Predicted times",
    "residuals": "Predicted times",
    "step_time": "Time of a step",
    "crossover": "Intensity and batch",
    "throughput": "Tokens/s and latency",
    "ranking": "Devices ranked",
    "engines": "Serving engines",
    "history": "Runs",
}
# the groups of the index, in its order, and the templates whose charts belong to one; those of others depend on marks
GROUPS = ("Measured", "Predicted", "What is possible", "Devices compared", "Serving", "This warehouse")
_GROUPS = {
    "copies": "Measured",
    "heat": "Measured",
    "accuracy": "Predicted",
    "residuals": "Predicted",
    "crossover": "What is possible",
    "speculative": "What is possible",
    "comparison": "Devices compared",
    "ranking": "Devices compared",
    "step_time": "Serving",
    "throughput": "Serving",
    "history": "This warehouse",
}


@dataclass(frozen=True)
class ShownChart:
    """A chart of the site: its entry in the gallery, and the rows that it is drawn from."""

    entry: ChartEntry
    frame: pl.DataFrame


def write_chart_page(pages: SitePages, chart: ShownChart, rows: SiteRows) -> Card:
    """Write the page of a chart whose files are drawn, and return its card."""
    entry, frame = chart.entry, chart.frame
    out = pages.out
    folder = out / "charts" / entry.name
    spec = json.loads((folder / f"{entry.name}.vl.json").read_text("utf-8"))
    still = measure_still((folder / f"{entry.name}.svg").read_text("utf-8"), spec)
    card = _make_card(chart, rows, spec)
    drawn = spec["data"].pop("values")
    links = [(f"../../{device_page(id_)}", rows.devices[id_]["name"]) for id_ in card["hardware"]]
    if model := rows.models.get(card["model_id"]):
        links.append((f"../../{model_page(card['model_id'])}", model["short_name"]))
    pages.write(
        f"charts/{entry.name}/index.html", "chart.html.j2", of_devices=card["hardware"],
        of_models=[card["model_id"]],
        picture=f"charts/{entry.name}/{entry.name}.png",
        chart={**card, "setting": _list_setting(entry, frame), "links": links}, still=still, spec=spec,
        explorer=_find_in_explorer(entry, card),
        inks=Markup(write_dark_inks()), sql=compose_sql(entry),
        rows=frame.head(_FIRST_ROWS).to_dicts(), count=len(frame), kernels=list_kernels(frame), titles=TITLES,
    )  # fmt: skip
    write_rows_script(out / "assets" / "rows" / f"{entry.name}.js", drawn)
    if has_views(frame, spec):
        write_csv_script(out / "assets" / "csv" / f"{entry.name}.js", frame, spec)
    return card


def _find_in_explorer(entry: ChartEntry, card: Card) -> str | None:
    """Return the address of the explorer that shows the devices of a chart at its setting; None without devices."""
    if not card["hardware"]:
        return None
    parameters = entry.parameters
    chosen = {
        "devices": ",".join(card["hardware"][:_MOST_DEVICES]),
        "model": card["model_id"],
        "convention": parameters.get("convention") if card["model_id"] else None,
        "precision": parameters.get("precision_id"),
        "batch": parameters.get("batch_size"),
        "sequence": parameters.get("sequence_length"),
    }
    return f"../../explorer/index.html#{urlencode({name: of for name, of in chosen.items() if of}, safe=',')}"


def write_moved_page(pages: SitePages, name: str, card: Card) -> None:
    """Write the page of an alias, which leads to the chart of the card."""
    pages.write(f"charts/{name}/index.html", "moved.html.j2", name=name, chart=card)


def _make_card(chart: ShownChart, rows: SiteRows, spec: Mapping[str, Any]) -> Card:
    entry, frame = chart.entry, chart.frame
    title, lines, description = read_texts(spec)
    finding = summarize_grid(frame.filter("is_shown")) if entry.template == "paper" else lines[0]
    hardware, kind = _list_devices(chart, rows), _KINDS.get(entry.template, entry.template)
    model_id = str(entry.parameters.get("model_id"))
    names = [rows.devices[id_]["name"] for id_ in hardware]
    if model_id in rows.models:
        names.append(rows.models[model_id]["short_name"])
    text = [entry.name, title, finding, *lines, description, kind, *names, *hardware]
    return {
        "name": entry.name,
        "title": title,
        "subtitle": lines,
        "finding": finding,
        "description": description,
        "kind": kind,
        "group": _find_group(chart),
        "hardware": hardware,
        "model_id": model_id if model_id in rows.models else None,
        "phases": frame["phase"].drop_nulls().unique().sort().to_list() if "phase" in frame.columns else [],
        "text": " ".join(text).lower(),
    }


def _find_group(chart: ShownChart) -> str:
    """Return the group of the index that a chart belongs to."""
    layers = set(chart.frame["layer"]) if "layer" in chart.frame.columns else set()
    marks = "Measured" if "measured" in layers else "Predicted" if "predicted" in layers else "What is possible"
    return _GROUPS.get(chart.entry.template, marks)


def _list_devices(chart: ShownChart, rows: SiteRows) -> list[str]:
    """Return the ids of the devices that a chart shows: those that its entry names, and those of its rows."""
    parameters = chart.entry.parameters
    ids = [parameters.get("hardware_id"), *(parameters.get("devices") or [])]
    if "hardware_id" in chart.frame.columns:
        ids += chart.frame["hardware_id"].to_list()
    return [id_ for id_ in dict.fromkeys(ids) if id_ in rows.devices]


def _list_setting(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return what a chart was drawn for, and where its figures come from."""
    shown = ("precision_id", "convention", "batch_size", "sequence_length", "marks", "dtype")
    setting = {name.removesuffix("_id"): entry.parameters.get(name) for name in shown}
    if "layer" not in frame.columns or not (entry.template == "paper" or has_choice_of_marks(entry.template)):
        setting["marks"] = None
    if setting["marks"] in {"kernels", "profile"}:  # each in a dtype of its own
        setting["precision"] = None
    for column, label in (("basis", "basis"), ("origin", "origin of the roofs"), ("source", "measured by")):
        values = frame[column].drop_nulls().unique().sort().to_list() if column in frame.columns else []
        setting[label] = "; ".join(values) or None
    return setting

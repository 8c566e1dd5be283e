"""The pages of a site other than those of its charts: the gallery, devices, models, data."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from flows.site.chart_pages import GROUPS, Card
from flows.site.device_pictures import find_device_picture
from flows.site.device_roofline import NARROW, WIDE, find_main, lay_out_roofline
from flows.site.list_pages import write_lists
from flows.site.page_paths import device_page, model_page
from flows.site.page_templates import script_json, write_asset
from flows.site.site_extras import CONSOLE_PAGE, SiteExtras
from flows.site.site_pages import SitePages
from flows.site.site_rows import Row, SiteRows, group_rows
from warehouse.rows import fetch_value
from warehouse.sql_values import quote_name

_ASSETS = {name: [name] for name in ("site.css", "site.js", "search.js")} | {"chart.js": ["numbers.js", "chart.js"]}
# columns of sql/site/model_answers.sql that the first sentences of a page use
_OF_THE_LEAD = {"precision_id", "tensor_parallel", "largest_batch", "compute_bound_batch", "tokens_per_s"}


def write_pages(
    pages: SitePages,
    connection: duckdb.DuckDBPyConnection,
    rows: SiteRows,
    cards: Sequence[Card],
    run: Row,
    files: Mapping[str, str],
) -> None:
    """Write every page of a site but those of its charts.

    Parameters
    ----------
    pages
        The pages of the site.
    connection
        The snapshot.
    rows
        The rows of sql/site.
    cards
        The cards of all charts.
    run
        Facts about the run, by label.
    files
        The Parquet file of each table and view that has one.
    """
    pages.write(
        "index.html", "index.html.j2", picture=_find_picture(cards),
        groups=_group_cards(cards), count=len(cards),
        devices=_list_options(rows.devices, (id_ for card in cards for id_ in card["hardware"])),
        models=_list_options(rows.models, (card["model_id"] for card in cards)),
        phases=sorted({phase for card in cards for phase in card["phases"]}),
        kinds=sorted({card["kind"] for card in cards}),
    )  # fmt: skip
    _write_devices(pages, rows, cards)
    _write_models(pages, rows, cards)
    write_lists(pages, rows)
    _write_predictions(pages, rows)
    _write_data(pages, connection, rows, run, files)
    _write_index(pages.out, pages.extras, rows, cards)


def write_assets(out: Path) -> None:
    """Write the style sheet and the scripts that pages share."""
    for name, parts in _ASSETS.items():
        write_asset(out / "assets" / name, *parts)


def _write_devices(pages: SitePages, rows: SiteRows, cards: Sequence[Card]) -> None:
    tables = {
        name: rows.group(f"device_{name}", "hardware_id") for name in ("roofs", "conflicts", "measured", "crossovers")
    }
    steps = rows.frames["steps"].sort(
        pl.col("fits") == "no", "parameters", descending=[False, True], maintain_order=True
    )
    tables["steps"] = group_rows(steps, "hardware_id", "model_id", "device", "parameters")
    lines = rows.group("device_lines", "hardware_id")
    links = {row["short_name"]: f"../../{model_page(id_)}" for id_, row in rows.models.items()}
    for hardware_id, device in rows.devices.items():
        own = lines.get(hardware_id, [])
        shown: Row = {name: parts.get(hardware_id, []) for name, parts in tables.items()}
        pages.write(
            device_page(hardware_id), "device.html.j2", of_devices=[hardware_id], device=device, links=links,
            picture=find_device_picture(hardware_id) if own else None,
            charts=[card for card in cards if hardware_id in card["hardware"]],
            rooflines=[lay_out_roofline(device["short_name"], own, width) for width in (WIDE, NARROW)],
            main=find_main(own), **shown,
        )  # fmt: skip


def _write_models(pages: SitePages, rows: SiteRows, cards: Sequence[Card]) -> None:
    crossovers = rows.group("model_crossovers", "model_id")
    layers = rows.group("model_layers", "model_id")
    steps = rows.group("steps", "model_id", "hardware_id", "model", "parameters")
    answers = rows.group("model_answers", "model_id")
    summaries = {row["model_id"]: row for row in rows.frames["model_list"].to_dicts()}
    links = {row["short_name"]: f"../../{device_page(id_)}" for id_, row in rows.devices.items()}
    for model_id, model in rows.models.items():
        charts = [card for card in cards if card["model_id"] == model_id]
        pages.write(
            model_page(model_id), "model.html.j2", of_models=[model_id], model=model, links=links,
            charts=charts, picture=_find_picture(charts),
            summary=summaries[model_id], answers=answers.get(model_id, []),
            shown_answers=[
                {name: value for name, value in row.items() if name not in _OF_THE_LEAD}
                for row in answers.get(model_id, [])
            ],
            layers=layers.get(model_id, []), steps=steps.get(model_id, []), crossovers=crossovers.get(model_id, []),
        )  # fmt: skip


def _write_data(
    pages: SitePages,
    connection: duckdb.DuckDBPyConnection,
    rows: SiteRows,
    run: Row,
    files: Mapping[str, str],
) -> None:
    columns = rows.group("columns", "object")
    objects = []
    for row in rows.frames["objects"].to_dicts():
        name, file = row["name"], files.get(row["name"])
        # the other views are not counted: that takes seconds, and tells nothing about a query with filters
        count = fetch_value(connection, f"select count(*) from {quote_name(*name.split('.'))}") if file else None
        objects.append({**row, "rows": count, "file": file, "columns": columns.get(name, [])})
    sources = rows.frames["sources"].to_dicts()
    pages.write("data/index.html", "data.html.j2", objects=objects, run=run, sources=sources)


def _write_predictions(pages: SitePages, rows: SiteRows) -> None:
    steps, kernels = (rows.frames[f"{name}_errors"].to_dicts() for name in ("step", "kernel"))
    pages.write("predictions/index.html", "predictions.html.j2", steps=steps, kernels=kernels)


def _write_index(out: Path, extras: SiteExtras, rows: SiteRows, cards: Sequence[Card]) -> None:
    """Write the list of pages that the search of every page reads: kind, name, path, and other words to find it by."""
    pages = [
        (kind, row[name], page(id_), f"{id_} {row['architecture']}")
        for kind, things, name, page in (
            ("device", rows.devices, "name", device_page),
            ("model", rows.models, "short_name", model_page),
        )
        for id_, row in things.items()
    ]
    pages += [("chart", card["title"], f"charts/{card['name']}/index.html", card["text"]) for card in cards]
    if extras.console:
        pages.append(("page", "Ask in SQL", CONSOLE_PAGE, "console query duckdb"))
    objects = rows.frames["objects"]
    pages += [(kind, name, f"data/index.html#{name}", "") for kind, name in objects.select("kind", "name").iter_rows()]
    (out / "assets" / "pages.js").write_text(f"knowPages({script_json(pages)});\n", "utf-8")


def _group_cards(cards: Sequence[Card]) -> dict[str, list[Card]]:
    """Return the cards of each group of the index; in a group, the first of each kind come first."""
    grouped: dict[str, list[Card]] = {group: [] for group in GROUPS}
    for card in cards:
        grouped[card["group"]].append(card)
    for group, members in grouped.items():
        kinds: Counter[str] = Counter()
        ranked = []
        for place, card in enumerate(sorted(members, key=lambda card: str(card["kind"]))):
            ranked.append((kinds[card["kind"]], place, card))
            kinds[card["kind"]] += 1
        grouped[group] = [card for _, _, card in sorted(ranked, key=lambda each: each[:2])]
    return {group: members for group, members in grouped.items() if members}


def _find_picture(cards: Sequence[Card]) -> str | None:
    return f"charts/{cards[0]['name']}/{cards[0]['name']}.png" if cards else None


def _list_options(things: Mapping[str, Row], used: Iterable[str | None]) -> list[tuple[str, str]]:
    """Return id and short name of those devices or models that charts use, by short name."""
    ids = set(used)
    options = [(id_, row["short_name"]) for id_, row in things.items() if id_ in ids]
    return sorted(options, key=lambda option: option[1])

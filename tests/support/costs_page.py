"""An empty page that computes steps as the pages of the site do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl

from flows.intensity.shapes import join_layers
from flows.site.model_scripts import write_models, write_precisions
from flows.site.page_templates import read_asset
from flows.sweep.grid import Inputs
from tests.support.browsers import start_browser
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.scratch import open_scratch


@contextmanager
def open_models(
    home: Home, own: dict[str, pl.DataFrame] | None = None
) -> Iterator[tuple[Inputs, duckdb.DuckDBPyConnection]]:
    """Open a database in memory that has the models of a home and others, with what costs are computed from."""
    with open_scratch(home.snapshot, {}, {}) as connection:
        tables = ("model", "layer_group", "precision", "elementwise", "precision_part")
        frames = {table: read_frame(connection, f"from core.{table} order by all") for table in tables}
    if own:
        frames |= {table: pl.concat([frames[table], frame], how="diagonal_relaxed") for table, frame in own.items()}
    layers = join_layers(frames["model"], frames["layer_group"])
    inputs = Inputs(layers, frames["precision"], frames["elementwise"], frames["precision_part"])
    with open_scratch(home.snapshot, {}, {name: frames[name] for name in ("model", "layer_group")}) as connection:
        yield inputs, connection


@contextmanager
def open_page(connection: duckdb.DuckDBPyConnection) -> Iterator[Any]:
    """Open an empty page with the scripts of the site."""
    scripts = [read_asset("formulas.js"), read_asset("costs.js"), write_precisions(connection)]
    scripts += write_models(connection).values()
    with start_browser() as browser:
        page = browser.new_page()
        page.add_script_tag(content="\n".join(scripts))
        yield page
        page.close()

"""Whole runs in one process, without Prefect: for tests of what a run does, not of how it is orchestrated.

A run through Prefect takes half a minute on a small machine, this one with a small catalog and no charts two seconds.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import duckdb
import polars as pl

from charts.gallery import ChartEntry
from flows.ingest.catalog import SHIPPED, list_sources
from flows.run import Summary, run
from flows.site.changes import SiteLog
from flows.site.chart_pages import ShownChart
from flows.site.site_pages import SitePages
from flows.site.snapshot_charts import list_snapshot_charts
from warehouse.home import Home
from warehouse.load import Fingerprints, fingerprint_tables
from warehouse.snapshot import open_snapshot

STAGES = ("run", "stage_inputs", "stage_tables", "load", "check", "write_snapshot", "draw_site", "promote")
_WORKLOAD = """
workload_id = "small"
name = "Small"
origin = "of a test"
phases = ["prefill", "decode"]
batch_size = [1, {batch_size}]
sequence_length = [128, 1024]
conventions = ["paper", "llm-viewer"]
precisions = ["fp16", "bf16"]
models = ["llama-7b"]
"""
# what the rows of these tables hold depends on when a run was
_OF_RUNS = {"run", "run_change", "run_left_out", "schema_migration", "source"}


def write_small_catalog(folder: Path) -> Path:
    """Write a catalog of one device, one model and one workload, to stand in the place of the shipped one."""
    for name in (
        "precisions.toml",
        "elementwise.toml",
        "hardware/a40.toml",
        "architectures/llama.toml",
        "models/llama-7b.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SHIPPED / name, folder / name)
    (folder / "workloads").mkdir()
    ask_for(folder, 8)
    return folder


def ask_for(catalog: Path, batch_size: int) -> None:
    """Change the workload of a small catalog: all costs are computed anew."""
    (catalog / "workloads" / "small.toml").write_text(_WORKLOAD.format(batch_size=batch_size), "utf-8")


def fingerprint_snapshot(snapshot: Path) -> Fingerprints:
    """Return digests of all tables that depend on nothing but the inputs."""
    with open_snapshot(snapshot) as connection:
        return {table: rows for table, rows in fingerprint_tables(connection).items() if table not in _OF_RUNS}


def run_without_prefect(
    home: Home,
    shipped: Path = SHIPPED,
    begins: Callable[[str], object] = lambda _: None,
    given: Path | None = None,
    publish_to: Path | None = None,
    *,
    draws: bool = False,
    drawings: Mapping[str, Future[None]] = MappingProxyType({}),
) -> Summary:
    """Run without Prefect; `begins` is called with the name of each stage.

    If nobody draws, `drawings` are what becomes of some charts.
    """

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        begins(step.__name__)
        return step(*arguments)

    begins("run")
    with nullcontext() if draws else draw_nothing(drawings):
        return run(home, list_sources(home, given, shipped), publish_to=publish_to, perform=perform)


def run_and_tell(home: Path, shipped: Path, told: Connection) -> None:
    """Run in a process of its own, and tell another one of each stage, and of the end."""
    run_without_prefect(Home(home), shipped, told.send)
    told.send("end")


@contextmanager
def draw_nothing(drawings: Mapping[str, Future[None]] = MappingProxyType({})) -> Iterator[None]:
    """Have one chart beside the user's own and one page on the site, all of them empty."""

    def few_charts(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
        return [entry for entry in list_snapshot_charts(connection) if entry.name == "device-a40" or entry.source]

    def write_chart(entry: ChartEntry, _frame: pl.DataFrame, files: Mapping[str, Path]) -> Future[None]:
        for file in files.values():
            file.write_text("no picture", "utf-8")
        return drawings.get(entry.name) or finish()

    def write_bundle(file: Path) -> Future[None]:
        file.write_text("no script", "utf-8")
        return finish()

    def write_chart_page(_pages: SitePages, chart: ShownChart, *_: object) -> dict[str, str]:
        return {"name": chart.entry.name}

    def write_page(pages: SitePages, *_: object) -> None:
        (pages.out / "index.html").write_text("no page", "utf-8")

    with (
        mock.patch("flows.site.site_charts.list_snapshot_charts", few_charts),
        mock.patch("flows.site.site_charts.submit_chart", write_chart),
        mock.patch("flows.site.build.submit_bundle", write_bundle),
        mock.patch("flows.site.build.read_site_rows"),
        mock.patch("flows.site.site_charts.write_chart_page", write_chart_page),
        mock.patch("flows.site.build.write_pages", write_page),
        mock.patch("flows.site.build.log_changes", return_value=SiteLog()),
        mock.patch("flows.site.build.write_explorer"),
    ):
        yield


def finish(error: BaseException | None = None) -> Future[None]:
    """Return a drawing that is made, or that failed."""
    future: Future[None] = Future()
    future.set_exception(error) if error else future.set_result(None)
    return future


def copy_home(home: Home, path: Path) -> Home:
    """Copy a home, its files linked to each other as a run links them."""
    subprocess.run(["cp", "-a", os.fsencode(home.path), os.fsencode(path)], check=True)
    return Home(path)

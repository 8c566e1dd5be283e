"""Charts and sweeps take the precision that a model is published in, where none is asked for."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from charts.gallery import ChartEntry
from flows.ingest.catalog import SHIPPED
from flows.site.chart_rows import query_chart
from flows.site.chart_settings import ChartSettings, change_settings
from flows.site.snapshot_charts import find_chart
from flows.sweep.grid import cut_into_parts
from flows.sweep.request import Request, make_grid
from flows.sweep.run import read_published_inputs
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

FILES = (
    "hardware/h100-sxm.toml",
    "hardware/a100-80gb-sxm.toml",
    "models/gpt-oss-20b.json",
    "models/deepseek-v3.json",
    "models/llama-3-8b.json",
)
WORKLOAD = """
workload_id = "{name}"
name = "Mine"
origin = "of a test"
phases = ["decode"]
batch_size = {batches}
sequence_length = {contexts}
conventions = ["engine"]
precisions = {precisions}
models = {models}
"""
BATCHES = [2**power for power in range(11)]
CONTEXTS = [1024, 8192, 32768]


def ask(catalog: Path, name: str, batches: list[int], contexts: list[int], precisions: str, models: str) -> None:
    text = WORKLOAD.format(name=name, batches=batches, contexts=contexts, precisions=precisions, models=models)
    (catalog / "workloads" / f"{name}.toml").write_text(text, "utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("published")
    catalog = write_small_catalog(folder / "catalog")
    for name in ("architectures", "models", "hardware"):
        (catalog / name).mkdir(exist_ok=True)
    for path in (SHIPPED / "architectures").glob("*.toml"):
        shutil.copyfile(path, catalog / "architectures" / path.name)
    for name in FILES:
        shutil.copyfile(SHIPPED / name, catalog / name)
    models = '["gpt-oss-20b", "deepseek-v3", "llama-3-8b"]'
    ask(catalog, "every", BATCHES, CONTEXTS, '["bf16"]', models)
    ask(catalog, "oss", BATCHES, CONTEXTS, '["mxfp4"]', '["gpt-oss-20b"]')
    ask(catalog, "deepseek", [8], [1024], '["fp8-block"]', '["deepseek-v3"]')
    home = Home(folder / "home")
    assert run_without_prefect(home, catalog).status == "succeeded"
    return home


def draw(home: Home, name: str, settings: ChartSettings | None = None) -> tuple[ChartEntry, str]:
    """Return a chart at other settings, and the precision of its rows."""
    with open_snapshot(home.snapshot) as connection:
        entry = change_settings(connection, find_chart(connection, name), settings or ChartSettings())
        (precision,) = query_chart(connection, entry)["precision_id"].drop_nulls().unique()
    return entry, precision


def test_a_model_knows_the_precision_that_it_is_published_in(home: Home) -> None:
    with open_snapshot(home.snapshot) as connection:
        rows = fetch_rows(connection, "select model_id, published_precision from core.model order by all")
    assert rows == [
        ("deepseek-v3", "fp8-block"),
        ("gpt-oss-20b", "mxfp4"),
        ("llama-3-8b", "bf16"),
        ("llama-7b", "fp16"),
    ]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("step-time-gpt-oss-20b-h100-sxm", "mxfp4"),
        ("crossover-gpt-oss-20b-h100-sxm", "mxfp4"),
        ("throughput-gpt-oss-20b", "mxfp4"),
        ("step-time-llama-3-8b-h100-sxm", "bf16"),
        ("step-time-deepseek-v3-h100-sxm", "bf16"),  # fp8-block was computed at one of its settings
        ("devices-gpt-oss-20b-bf16", "bf16"),  # its name asks for bf16
    ],
)
def test_a_chart_is_drawn_in_it_if_all_was_computed_in_it(name: str, precision: str, home: Home) -> None:
    entry, drawn = draw(home, name)
    assert (entry.parameters["precision_id"], drawn) == (precision, precision)


@pytest.mark.parametrize(
    ("name", "settings", "precision"),
    [
        ("step-time-gpt-oss-20b-h100-sxm", ChartSettings(precision="bf16"), "bf16"),
        ("step-time-llama-3-8b-h100-sxm", ChartSettings(model="gpt-oss-20b"), "mxfp4"),
        ("step-time-gpt-oss-20b-h100-sxm", ChartSettings(model="llama-3-8b"), "bf16"),
        ("step-time-deepseek-v3-h100-sxm", ChartSettings(batch=[8], sequence=[1024]), "fp8-block"),
        ("step-time-deepseek-v3-a100-80gb-sxm", ChartSettings(batch=[8], sequence=[1024]), "bf16"),  # without fp8
    ],
)
def test_choices_choose_anew(name: str, settings: ChartSettings, precision: str, home: Home) -> None:
    entry, drawn = draw(home, name, settings)
    assert (entry.parameters["precision_id"], drawn) == (precision, precision)


def test_the_charts_of_the_paper_stay_fp16(home: Home) -> None:
    assert draw(home, "roofline-llama-7b-a40")[1] == "fp16"


def test_a_sweep_has_each_model_in_its_own_precision(home: Home) -> None:
    inputs = read_published_inputs(home)
    request = Request("mine", batch="1", sequence="128")
    of_model = {
        part.model_id: {piece.precision_id for piece in part.pieces}
        for part in cut_into_parts(inputs, make_grid(request, inputs))
    }
    assert of_model == {
        "deepseek-v3": {"fp8-block"}, "gpt-oss-20b": {"mxfp4"}, "llama-3-8b": {"bf16"}, "llama-7b": {"fp16"},
    }  # fmt: skip
    asked = make_grid(replace(request, precisions=["w4a16"]), inputs)
    assert {piece.precision_id for part in cut_into_parts(inputs, asked) for piece in part.pieces} == {"w4a16"}


def test_a_model_that_does_not_say_is_swept_in_fp16(home: Home) -> None:
    inputs = replace(read_published_inputs(home), published={})
    grid = make_grid(Request("mine", ["llama-3-8b"], batch="1", sequence="128"), inputs)
    assert grid.list_precisions("llama-3-8b") == ["fp16"]

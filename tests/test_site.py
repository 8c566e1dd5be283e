"""The published site: what each chart and page has, and that it is the same whoever builds it."""

import json
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import duckdb
import numpy as np
import polars as pl
import pytest

from charts.axes import INTENSITY
from flows.ingest.catalog import SHIPPED
from flows.site.build import build_site
from flows.site.chart_pages import GROUPS
from flows.site.device_roofline import NARROW, WIDE, lay_out_roofline
from tests.support.charts import (
    DEVICE_CHARTS,
    OTHER_CHARTS,
    PAPER_CHARTS,
    PREDICTED_CHARTS,
    STEP_CHARTS,
    draw,
)
from tests.support.drawings import draw_without_ink
from tests.support.inputs import DEVICE
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.polars_frames import read_frame

MARKED = {"predicted-times-h100-sxm": False, "device-a40": True}  # charts, and whether others of them show other marks


def test_a_chart_that_was_taken_in_keeps_its_name(finished: Home, snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in PREDICTED_CHARTS:
        spec, _ = draw(snapshot, name)
        taken_in_by = name.replace("predicted", "roofline")
        assert spec["title"] == draw(snapshot, taken_in_by)[0]["title"]
        assert spec["params"][0]["value"] == "predicted"
        folder = finished.site / "charts" / name
        assert {path.name.removeprefix(name) for path in folder.iterdir()} == {
            "index.html", ".vl.json", ".svg", ".png", ".csv", ".sql",
        }  # fmt: skip
        assert f'href="../{taken_in_by}/index.html"' in (folder / "index.html").read_text("utf-8")


def test_no_two_charts_of_the_gallery_have_one_title(finished: Home) -> None:
    for page in ("index.html", "devices/a40/index.html", "models/llama-7b/index.html"):
        titles = re.findall(r'class="title">([^<]*)<', (finished.site / page).read_text("utf-8"))
        assert len(titles) > 3
        assert len(set(titles)) == len(titles), page


def test_the_index_has_groups_and_thumbnails_without_text(finished: Home) -> None:
    text = (finished.site / "index.html").read_text("utf-8")
    groups = re.findall(r"<h2>([^<]*)</h2>", text)
    assert groups == [group for group in GROUPS if group in groups]
    measured = text[text.index("<h2>Measured</h2>") :].split("</section>")[0]
    assert "measured-llama-7b-h100-sxm" in measured
    assert "device-h100-sxm" not in measured, "it is computed"
    kinds = re.findall(r'data-kind="([^"]*)"', measured)
    assert len(set(kinds[:3])) == 3, "the first three differ in kind"
    charts = {path.parent.name for path in finished.site.glob("charts/*/*.svg")}
    pictures = {path.stem: path for path in finished.site.glob("assets/thumbnails/*.svg")}
    assert set(pictures) == charts
    for name, path in pictures.items():
        picture = ET.fromstring(path.read_text("utf-8"))
        assert not list(picture.iter("{http://www.w3.org/2000/svg}text")), name
        assert path.stat().st_size < 80_000, name


def test_the_parquet_files_and_one_file_of_sql_make_the_warehouse(
    finished: Home, snapshot: duckdb.DuckDBPyConnection
) -> None:
    views = snapshot.execute("select view_name from duckdb_views() where schema_name = 'mart'").fetchall()
    with duckdb.connect(config={"file_search_path": str(finished.site / "data")}) as connection:
        connection.execute((finished.site / "data" / "rooflines.sql").read_text("utf-8"))
        made = "select view_name from duckdb_views() where schema_name = 'mart'"
        assert sorted(connection.execute(made).fetchall()) == sorted(views)
        sql = (
            "select lower_bound_s from mart.step_time where hardware_id = 'a40' and model_id = 'llama-7b' order by all"
        )
        rows = np.ravel(connection.execute(sql).fetchall())
        assert len(rows) > 10
        assert rows == pytest.approx(np.ravel(snapshot.execute(sql).fetchall()))
        crossovers = (
            "select critical_tokens from mart.crossover where hardware_id = 'h100-sxm' and model_id = 'llama-7b'"
        )
        assert Counter(connection.execute(crossovers).fetchall()) == Counter(snapshot.execute(crossovers).fetchall())


def read_lead(home: Home, model_id: str) -> str:
    """Return the first sentences of the page of a model."""
    text = unescape((home.site / "models" / model_id / "index.html").read_text("utf-8"))
    lead = text[text.index('<p class="lead">') :].split("</p>")[0]
    return " ".join(re.sub("<[^>]*>", "", lead).split())


def test_a_page_of_a_model_leads_with_its_answer(finished: Home) -> None:
    # 8,030,261,248 weights of 2 bytes, and 2 x 32 layers x 8 heads x 128 values of 2 bytes a token
    small = read_lead(finished, "llama-3.1-8b")
    assert "In bf16, as published, the weights take 16.06 GB, and a token of context takes 131.1 kB" in small
    assert "decodes one sequence fastest" in small
    assert "on none of them" in small
    # an attention whose cache is small lets the batch grow until a step as a whole is compute-bound
    assert "is compute-bound from a batch of" in read_lead(finished, "llama-3.1-70b")
    assert "does not fit on eight" in read_lead(finished, "kimi-k2") or "× 8 decodes" in read_lead(finished, "kimi-k2")


def test_a_page_of_a_device_leads_with_its_roofline(finished: Home) -> None:
    text = unescape((finished.site / "devices" / "h100-sxm" / "index.html").read_text("utf-8"))
    lead = re.sub("<[^>]*>", "", text[text.index('<p class="lead">') :].split("</p>")[0])
    # NVIDIA H100 datasheet: 989.4 dense TFLOP/s, 3.35 TB/s
    assert "In bf16 and fp16 at most 989.4 TFLOP/s, and 3.35 TB/s" in lead
    assert "less than 295.3 FLOP a byte is memory-bound" in lead
    wide = text[text.index('<svg class="wide"') :].split("</svg>")[0]
    assert "bf16, fp16 · 989.4 TFLOP/s" in wide
    assert wide.count("<polyline") == wide.count("FLOP/s</text>") + wide.count(" TOP/s</text>")
    # the largest that fit come first, and those that do not fit come last
    models = text[text.index("<h2>Models</h2>") :].split("</table>")[0]
    fits = re.findall(r"<td>(yes|no)</td>", models)
    assert fits == sorted(fits, reverse=True)
    assert models.index("Qwen2.5 32B") < models.index("Llama 3.1 8B") < models.index("Llama 3.1 70B")


def test_a_roofline_without_half_precision_is_led_by_its_greatest_peak() -> None:
    assert lay_out_roofline("bare", [], WIDE) is None
    row = {"is_half": False, "is_integer": False, "bandwidth_bytes_per_s": 1e12}
    lines = [
        row | {"dtypes": "fp32", "peak_flops_per_s": 1e14, "ridge_flops_per_byte": 100.0},
        row | {"dtypes": "fp64", "peak_flops_per_s": 9.9e13, "ridge_flops_per_byte": 99.0},
    ]
    for width in (WIDE, NARROW):
        drawn = lay_out_roofline("two", lines, width)
        assert drawn is not None
        assert [roof.label for roof in drawn.roofs if roof.is_main] == ["fp32 · 100 TFLOP/s"]
        heights = [roof.label_at[1] for roof in drawn.roofs]
        assert abs(heights[0] - heights[1]) >= 14, "labels of roofs that nearly coincide are moved apart"
        left, top, right, bottom = drawn.plot
        points = [tuple(map(float, point.split(","))) for roof in drawn.roofs for point in roof.line.split(" ")]
        assert all(left <= x <= right and top <= y <= bottom for x, y in points)


def test_a_list_has_the_figures_of_its_views(finished: Home, snapshot: duckdb.DuckDBPyConnection) -> None:
    text = (finished.site / "devices" / "index.html").read_text("utf-8")
    row = text[: text.index('href="h100-sxm/index.html"')].rpartition("<tr>")[2]
    row += text[text.index('href="h100-sxm/index.html"') :].split("</tr>")[0]
    shown = dict(re.findall(r'data-name="(\w+)"[^>]*data-value="([^"]*)"', row))
    peak, bandwidth = 989.4e12, 3.35e12  # NVIDIA H100 datasheet
    assert float(shown["half_flops_per_s"]) == peak
    assert float(shown["dram_bytes_per_s"]) == bandwidth
    assert float(shown["ridge_flops_per_byte"]) == pytest.approx(peak / bandwidth)
    assert float(shown["flops_per_joule"]) == pytest.approx(peak / 700)
    assert "<polyline" in row
    for folder, table in (("devices", "hardware"), ("models", "model")):
        ids = [id_ for (id_,) in snapshot.execute(f"select {table}_id from core.{table}").fetchall()]
        listed = (finished.site / folder / "index.html").read_text("utf-8")
        assert listed.count('<a href="') >= len(ids)
        assert [id_ for id_ in ids if f'href="{id_}/index.html"' not in listed] == []


def test_a_page_of_a_model_shows_its_kinds_of_layers(finished: Home) -> None:
    text = unescape((finished.site / "models" / "qwen3.5-35b-a3b" / "index.html").read_text("utf-8"))
    table = text[text.index("<h2>Layers</h2>") :].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr>")[2:]]
    experts = ["sparse", "8 of 256 experts × 512 + shared 512"]
    attention = ["16 heads, 2 of keys and values", "", "", "", *experts]
    assert rows == [
        ["30", "linear attention", "", "", "gated delta", "32 × 128 × 128", *experts],
        ["10", "full attention", *attention],
        ["1", "full attention (multi-token prediction)", *attention],
    ]
    for name, value in {"longest context": "262,144", "encoder parameters": "0.447 billion"}.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text
    assert ">28,672</td>" in (finished.site / "models" / "llama-3-70b" / "index.html").read_text("utf-8")


def test_pages_of_devices_and_models_write_numbers_as_a_person_does(finished: Home) -> None:
    pages = [page for folder in ("devices", "models") for page in finished.site.glob(f"{folder}/*/index.html")]
    assert len(pages) > 50
    odd = r">[\d.]+e[+-]?\d+[ <]|>[\d.]+ %<"
    assert {page.parent.name: found for page in pages if (found := re.findall(odd, page.read_text("utf-8")))} == {}


def test_a_page_of_a_device_has_the_origin_of_each_ceiling_and_where_sources_disagree(finished: Home) -> None:
    text = unescape((finished.site / "devices" / "h100-sxm" / "index.html").read_text("utf-8"))
    for heading, figure in (("Ceilings", "1,978.9 TFLOP/s"), ("Where sources disagree", "3,350 GB/s")):
        table = text[text.index(f"<h2>{heading}</h2>") :].split("</table>")[0]
        (row,) = [row for row in table.split("<tr>") if figure in row and "<td>yes</td>" in row and "int8" not in row]
        assert "NVIDIA H100 datasheet" in row


def test_ops_that_never_become_compute_bound_come_last(finished: Home) -> None:
    text = (finished.site / "models" / "llama-3.1-8b" / "index.html").read_text("utf-8")
    table = text[text.index("<h2>When ops become compute-bound</h2>") :].split("</table>")[0]
    bounds = [row.split("<td>")[-1].split("<")[0] for row in table.split("<tr>")[2:]]
    assert bounds[0] != "never"
    assert [bound == "never" for bound in bounds] == sorted(bound == "never" for bound in bounds)


def test_most_rows_of_a_list_have_a_small_roofline(finished: Home) -> None:
    for folder in ("devices", "models"):
        text = (finished.site / folder / "index.html").read_text("utf-8")
        assert text.count('class="sketch"') > 0.8 * len(list((finished.site / folder).glob("*/index.html")))


def test_a_page_of_predictions_names_no_kind_of_marks(finished: Home) -> None:
    pages = {name: (finished.site / "charts" / name / "index.html").read_text("utf-8") for name in MARKED}
    assert {name: "<dt>marks</dt>" in text for name, text in pages.items()} == MARKED


@pytest.mark.slow
def test_a_chart_without_marks_is_not_published(home: Home) -> None:
    text = (SHIPPED / "workloads" / "medusa-grid.toml").read_text("utf-8")
    (home.catalog / "workloads").mkdir(parents=True)
    (home.catalog / "workloads" / "medusa-grid.toml").write_text(text.replace('"fp16", ', ""), "utf-8")
    with draw_without_ink():
        summary = run_without_prefect(home, draws=True)
    assert summary.site is not None
    assert set(summary.site.skipped) == {OTHER_CHARTS[1]}


@pytest.mark.slow
def test_a_site_is_the_same_in_another_process(finished: Home, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from flows.site.build import build_site\n"
    script += "build_site(Path(sys.argv[1]), Path(sys.argv[2]), Path('/none'))"
    arguments = [sys.executable, "-c", script, str(finished.snapshot), str(tmp_path / "other")]
    subprocess.run(arguments, check=True, timeout=120)
    mine = {path.relative_to(finished.site): path for path in finished.site.rglob("*") if path.is_file()}
    other = {path.relative_to(tmp_path / "other"): path for path in (tmp_path / "other").rglob("*") if path.is_file()}
    assert set(mine) == set(other)
    assert [str(name) for name in mine if mine[name].read_bytes() != other[name].read_bytes()] == []


def test_what_is_published_of_a_chart(finished: Home, snapshot: duckdb.DuckDBPyConnection) -> None:
    folder = finished.site / "charts" / "roofline-llama-7b-a40"
    names = {path.name.removeprefix("roofline-llama-7b-a40") for path in folder.iterdir()}
    assert names == {"index.html", ".vl.json", ".svg", ".png", ".csv", ".sql"}
    sql = (folder / "roofline-llama-7b-a40.sql").read_text("utf-8")
    csv = pl.read_csv(folder / "roofline-llama-7b-a40.csv", infer_schema_length=None)
    again = read_frame(snapshot, sql)
    assert csv.columns == again.columns
    assert csv[INTENSITY].to_list() == again[INTENSITY].to_list()
    assert (folder / "roofline-llama-7b-a40.png").stat().st_size < 700_000
    index = (finished.site / "index.html").read_text("utf-8")
    listed = {*PAPER_CHARTS, *DEVICE_CHARTS, *OTHER_CHARTS, *STEP_CHARTS} - set(PREDICTED_CHARTS)
    assert set(re.findall(r"charts/([\w.-]+)/index.html", index)) >= listed
    assert "http" not in index.replace("http-equiv", "")


def test_every_link_and_picture_of_every_page_is_there(finished: Home) -> None:
    """See test_browser for what a browser makes of them."""
    pages = sorted(finished.site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        text = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", page.read_text("utf-8"), flags=re.DOTALL)
        for link in re.findall(r'\b(?:href|src)="(?!data:)([^"#?]+)', text):
            assert "://" not in link
            assert (page.parent / unquote(unescape(link))).is_file(), (page, link)


def test_data_is_published_as_parquet(finished: Home, snapshot: duckdb.DuckDBPyConnection) -> None:
    tables = snapshot.sql("select 'core.' || table_name from duckdb_tables() where schema_name = 'core'").fetchall()
    names = {path.stem for path in (finished.site / "data").iterdir()}
    assert {name for (name,) in tables} <= names
    assert {"mart.roof", "mart.roof_by_level", "mart.roof_vertex", "mart.run_history", "mart.spec_conflict"} <= names
    costs = pl.read_parquet(finished.site / "data" / "core.op_cost.parquet")
    assert snapshot.sql("select count(*) from core.op_cost").fetchall()[0] == (len(costs),)


def test_hostile_names_stay_text(home: Home) -> None:
    name = "<script>alert('A40')</script>"
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE.replace('"Mine"', f'"{name}"'), "utf-8")
    with draw_without_ink("device-mine"):
        run_without_prefect(home, draws=True)
    pages = {page.relative_to(home.site).as_posix(): page.read_text("utf-8") for page in home.site.rglob("*.html")}
    for page in pages.values():
        assert "<script>alert" not in page
        assert page.count("<script") == page.count("</script>")
    for page in ("index.html", "devices/index.html", "devices/mine/index.html", "charts/device-mine/index.html"):
        assert "&lt;script&gt;alert" in pages[page]
    spec = re.search(r'id="spec">(.*?)</script>', pages["charts/device-mine/index.html"], re.DOTALL)
    assert spec is not None
    assert name in json.loads(spec[1])["title"]["text"]
    svg = (home.site / "charts" / "device-mine" / "device-mine.svg").read_text("utf-8")
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


@pytest.mark.slow
def test_a_site_is_rebuilt_whole_where_files_of_the_old_one_are_missing(finished: Home, tmp_path: Path) -> None:
    build_site(finished.snapshot, tmp_path / "a", finished.site)
    (tmp_path / "a" / "charts" / "devices-fp16" / "devices-fp16.png").unlink()
    before = (finished.site / "charts" / "devices-fp16" / "devices-fp16.png").read_bytes()
    report = build_site(finished.snapshot, tmp_path / "b", tmp_path / "a")
    assert report.drawn == ("devices-fp16",)
    assert (tmp_path / "b" / "charts" / "devices-fp16" / "devices-fp16.png").read_bytes() == before


MAGIC = {"svg": b"<svg", "png": b"\x89PNG\r\n\x1a\n"}


def test_the_files_of_every_chart_are_what_they_say(finished: Home) -> None:
    for folder in sorted((finished.site / "charts").iterdir()):
        files = {file.name.removeprefix(f"{folder.name}."): file for file in folder.iterdir()}
        spec = json.loads(files["vl.json"].read_text("utf-8"))
        assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/v"), folder
        for suffix, magic in MAGIC.items():
            assert files[suffix].read_bytes().startswith(magic), files[suffix]
            assert files[suffix].stat().st_size > 1000, files[suffix]
        rows = pl.read_csv(files["csv"], infer_schema_length=None)
        assert rows.height > 0, folder
        assert all(column.isidentifier() for column in rows.columns), folder
        assert "select" in files["sql"].read_text("utf-8"), folder

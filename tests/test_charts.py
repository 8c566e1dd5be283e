"""Charts: every encoded field is a column, every value is the view's, and they look as agreed."""

import itertools
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charts.axes import INTENSITY, PERFORMANCE
from charts.gallery import list_charts
from charts.paper import SERIES
from charts.paper_text import KINDS
from charts.roofline import spread
from charts.templates import TEMPLATES
from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.site.build import build_site
from flows.site.render import build_spec, render, use_system_fonts, warm_up
from flows.site.snapshot_charts import compose_sql, find_chart, list_snapshot_charts
from tests.support.charts import OF_STEPS, draw, list_encodings, select_marks, validate
from tests.support.inputs import DEVICE
from tests.support.whole_runs import plain_run
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

PAPER = [f"roofline-llama-{size}" for size in ("7b-a40", "7b-a6000", "7b-a100-80gb-pcie", "13b-a40", "33b-a40")]
DEVICES = [f"device-{name}" for name in ("a40", "a6000", "a100-80gb-pcie", "h100-sxm", "h200-sxm", "b200", "mi300x")]
MEASURED = ["roofline-llama-7b-h100-sxm", "roofline-llama-7b-h200-sxm"]
OF_MEASUREMENTS = ["share-of-roof-h100-sxm", "predicted-times-h100-sxm"]
PREDICTED = ["predicted-llama-7b-a40", "predicted-llama-7b-a6000"]
COMPARED = "measured-llama-7b-h100-sxm"
OTHERS = ["devices-fp16", "speculative-llama-33b-a100-80gb-pcie", *MEASURED, *PREDICTED, COMPARED]


def test_the_gallery_is_the_issued_one(snapshot: duckdb.DuckDBPyConnection) -> None:
    entries = list_snapshot_charts(snapshot)
    shown = {*PAPER, *DEVICES, *OTHERS, *OF_MEASUREMENTS, *OF_STEPS}
    assert {entry.name for entry in entries if entry.on_site} == shown
    devices = snapshot.sql("select 'device-' || hardware_id from core.hardware").fetchall()
    assert {name for (name,) in devices} <= {entry.name for entry in entries}


def test_names_are_unique_and_templates_known() -> None:
    entries = list_charts({"model_id": {"*": [{"model_id": "m"}]}, "hardware_id": {"*": [{"hardware_id": "h"}]}})
    assert len({entry.name for entry in entries}) == len(entries)
    assert {entry.template for entry in entries} <= set(TEMPLATES)


@pytest.mark.parametrize("name", [*PAPER, *DEVICES, *OTHERS])
def test_every_encoded_field_is_a_column(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    fields = {encoding["field"] for _, _, encoding in list_encodings(spec) if "field" in encoding}
    assert fields <= set(frame.columns)
    for _, channel, encoding in list_encodings(spec):
        if channel in {"x", "y"} and "field" in encoding:
            assert encoding["field"] == {"x": INTENSITY, "y": PERFORMANCE}[channel]
            assert encoding["type"] == "quantitative"
            assert encoding["scale"]["type"] == "log"


@pytest.mark.parametrize("name", [PAPER[0], PAPER[1], DEVICES[1], *OTHERS])
def test_specifications_are_valid_and_describe_themselves(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    validate(spec)
    assert spec["$schema"].endswith(f"{alt.SCHEMA_VERSION}.json")
    assert len(spec["description"]) > 50
    json.dumps(spec, allow_nan=False)


@pytest.mark.parametrize("name", [PAPER[0], PAPER[1], DEVICES[1], OTHERS[1]])
def test_points_are_the_views(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    entry = find_chart(snapshot, name)
    points = read_frame(
        snapshot,
        "select distinct op_group, phase, batch_size, sequence_length, query_length, intensity_flops_per_byte,"
        " attainable_flops_per_s from mart.roofline_point where convention = 'paper' and precision_id = 'fp16'"
        f" and hardware_id = '{entry.parameters['hardware_id']}' and model_id = '{entry.parameters['model_id']}'",
    )
    known = set(points.rows())
    found = select_marks(spec, "computed")
    keys = ("op_group", "phase", "batch_size", "sequence_length", "query_length", INTENSITY, PERFORMANCE)
    assert found
    assert {tuple(row[key] for key in keys) for row in found} <= known


@pytest.mark.parametrize("name", [*PAPER, *DEVICES, *OTHERS])
def test_everything_drawn_lies_inside_the_axes(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    domains = {
        channel: encoding["scale"]["domain"] for _, channel, encoding in list_encodings(spec) if "scale" in encoding
    }
    for row in spec["data"]["values"]:
        for channel, field in (("x", INTENSITY), ("y", PERFORMANCE)):
            if field in row:
                low, high = domains[channel]
                assert low * (1 - 1e-9) <= row[field] <= high * (1 + 1e-9), (field, row)


@pytest.mark.parametrize("name", [*OF_MEASUREMENTS, "residuals-h100-sxm"])
def test_charts_of_measurements(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    validate(spec)
    made = {"percent", "upper_s", "lower_s", "low", "high"}  # in the chart
    fields = {encoding["field"] for _, _, encoding in list_encodings(spec) if "field" in encoding}
    assert fields <= {*frame.columns, *made}
    assert len(select_marks(spec, "measured")) == len(frame) > 300
    assert "H100 SXM" in spec["title"]["text"]


def test_predictions_are_drawn_beside_a_band_of_ten_percent(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, "predicted-times-h100-sxm")
    for row in select_marks(spec, "band"):
        assert row["upper_s"] / row["predicted_s"] == pytest.approx(1.1)
        assert row["predicted_s"] / row["lower_s"] == pytest.approx(1.1)
    inside = frame.filter(pl.col("relative_error").abs() <= 0.1)
    assert f"{len(inside) / len(frame):.0%}" in spec["title"]["text"]


def test_measured_kernels_hang_below_the_roof_by_their_headroom(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, COMPARED)
    measured, predicted = frame.filter(layer="measured"), frame.filter(layer="predicted")
    assert len(measured) == len(predicted) > 10
    assert set(measured["op_group"]) >= {"qkv mlp", "up/gate/down", "qk/pv"}
    headroom = measured["attainable_flops_per_s"] / measured[PERFORMANCE]
    assert (headroom * measured["roof_fraction"]).to_list() == pytest.approx([1.0] * len(measured))
    rules = [encoding for _, channel, encoding in list_encodings(spec) if channel == "y2"]
    assert {"field": "attainable_flops_per_s"} in rules
    share = measured.filter(phase="decode").select(pl.col("roof_fraction").median()).item()
    assert f"decode reaches {share:.0%} of the roof" in spec["title"]["text"]
    assert "Dotted: where a calibrated roof expects it" in spec["title"]["subtitle"][1]


def test_residuals_say_what_all_kernels_say(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, "residuals-h100-sxm")
    low, high = (frame["relative_error"].quantile(q, "linear") for q in (0.1, 0.9))
    assert f"{low:+.0%} to {high:+.0%}" in spec["title"]["text"]


def shown(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points that are drawn before anyone chooses others."""
    return [row for row in spec["data"]["values"] if row.get("is_shown")]


def said_of_marks(spec: dict[str, Any]) -> dict[str, str]:
    """Return the line right above the plot by the choice that it stands for; of no choice, by an empty text."""
    found = {}
    for layer in spec["layer"]:
        if layer["mark"]["type"] == "text" and layer["mark"].get("text", "").startswith("Marks: "):
            (transform,) = [each["filter"] for each in layer["transform"] if "is_main" in each["filter"]]
            found["".join(re.findall(r"marks == '(\w+)'", transform))] = layer["mark"]["text"]
    return found


@pytest.mark.parametrize(
    ("name", "drawn_first", "choices"),
    [
        ("roofline-llama-7b-a40", {"predicted": 392}, ["predicted", "computed"]),
        ("roofline-llama-7b-a6000", {"predicted": 392}, ["predicted", "computed"]),
        ("roofline-llama-33b-a40", {"predicted": 392}, ["predicted", "computed"]),
        ("roofline-llama-7b-a100-80gb-pcie", {"predicted": 490}, ["predicted", "computed"]),
        (
            "roofline-llama-7b-h100-sxm",
            {"measured": 252, "predicted": 4},
            ["nearest", "measured", "predicted", "computed"],
        ),
    ],
)
def test_a_chart_in_paper_style_shows_the_marks_nearest_to_the_truth_and_offers_the_others(
    name: str, drawn_first: dict[str, int], choices: list[str], snapshot: duckdb.DuckDBPyConnection
) -> None:
    spec, frame = draw(snapshot, name)
    assert Counter(row["layer"] for row in shown(spec)) == drawn_first
    (parameter,) = spec["params"]
    assert (parameter["name"], parameter["value"]) == ("marks", choices[0])
    assert (parameter["bind"]["input"], parameter["bind"]["options"]) == ("radio", choices)
    assert len(parameter["bind"]["labels"]) == len(choices)
    assert [layer["transform"] for layer in spec["layer"] if layer["mark"]["type"] == "point"] == [
        [{"filter": "marks == 'nearest' ? datum.is_nearest : datum.layer == marks"}]
    ]
    said = said_of_marks(spec)
    assert list(said) == choices
    for kind in set(choices) - {"nearest"}:
        assert said[kind].startswith(f"Marks: {len(frame.filter(layer=kind))} {kind} ")
    assert all(f"{count} {kind}" in said[choices[0]] for kind, count in drawn_first.items())
    assert said[choices[0]].removeprefix("Marks: ") in spec["description"]


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", "roofline-llama-7b-a6000", MEASURED[0]])
def test_the_nearest_mark_of_a_point_is_measured_else_predicted_else_computed(
    name: str, snapshot: duckdb.DuckDBPyConnection
) -> None:
    _, frame = draw(snapshot, name)
    points = frame.filter(pl.col("is_nearest").is_not_null())
    for (_, flops, _), same in points.group_by("label", "flops", "bytes"):
        kinds = [kind for kind in KINDS if kind in same["layer"]]
        assert set(same.filter("is_nearest")["layer"]) == {kinds[0]}, flops
        assert len(same.filter("is_nearest")) == len(same.filter(layer=kinds[0])), flops


def test_the_picture_says_of_which_kind_its_marks_are(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name, line in (
        ("roofline-llama-7b-a40", "Marks: 392 predicted by a calibrated roof, transferred from h100-sxm (196)"),
        (
            "roofline-llama-7b-a6000",
            "Marks: 392 predicted by a calibrated roof, transferred from a40 (196) and h100-sxm (196)",
        ),
        (
            "roofline-llama-7b-h100-sxm",
            "Marks: 252 measured (NVIDIA H100 80GB HBM3, torch 2.11.0+cu130); 4 predicted by a calibrated roof",
        ),
    ):
        spec, frame = draw(snapshot, name)
        assert re.findall(r">(Marks: [^<]*)<", render(spec, "svg").decode()) == [line]
        lent = frame.filter("is_shown")["transferred_from"].drop_nulls().value_counts().rows()
        assert all(f"{lender} ({count})" in line for lender, count in lent)


@pytest.mark.parametrize(("marks", "count"), [("predicted", 392), ("computed", 294)])
def test_the_command_draws_the_marks_that_are_asked_for(marks: str, count: int, finished: Home, tmp_path: Path) -> None:
    files = {suffix: tmp_path / f"a40.{suffix}" for suffix in ("json", "svg")}
    for file in files.values():
        options = ["--marks", marks, "--out", str(file), "--home", str(finished.path)]
        assert run_command(["chart", "roofline-llama-7b-a40", *options]) == 0
    spec = json.loads(files["json"].read_text("utf-8"))
    validate(spec)
    assert {row["layer"] for row in shown(spec)} == {marks}
    assert spec["params"][0]["value"] == marks
    svg = files["svg"].read_text("utf-8")
    assert f">Marks: {count} {marks} " in svg
    assert svg.count('aria-roledescription="point"') == count


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["roofline-llama-7b-a40", "--marks", "measured"], "--marks measured: roofline-llama-7b-a40 has none of these"),
        (["device-a40", "--marks", "computed"], "device-a40 has no marks to choose from"),
        (["--marks", "computed"], "--marks: expected with the name of a chart"),
        (["roofline-llama-7b-a40", "--marks", "true"], "--marks"),
    ],
)
def test_marks_that_a_chart_does_not_have_are_refused(
    arguments: list[str], said: str, finished: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["chart", *arguments, "--home", str(finished.path)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", "roofline-llama-7b-a6000", MEASURED[0]])
def test_each_point_is_one_mark(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    key = ["layer", "label", "batch_size", "sequence_length", "query_length", INTENSITY, PERFORMANCE]
    points = frame.filter(pl.col("is_nearest").is_not_null())
    assert not points.select(key).is_duplicated().any()
    assert render(spec, "svg").decode().count('aria-roledescription="point"') == len(points.filter("is_shown"))


def test_the_six_series_differ_in_colour_shape_and_order(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "roofline-llama-7b-a40")
    for field in ("colour", "shape", "turn"):
        assert len({getattr(mark, field) for mark in SERIES.values()}) == len(SERIES)
    scales = {
        channel: encoding["scale"]
        for layer, channel, encoding in list_encodings(spec)
        if layer["mark"]["type"] == "point" and channel in {"color", "shape"}
    }
    assert all(scale["domain"] == list(SERIES) for scale in scales.values())
    assert scales["color"]["range"] == [mark.colour for mark in SERIES.values()]
    assert scales["shape"]["range"] == [mark.shape for mark in SERIES.values()]
    turns = [SERIES[row["label"]].turn for row in spec["data"]["values"] if row.get("is_shown")]
    assert turns == sorted(turns)
    # at one spot the later one is narrower: what is below shows beside it
    assert SERIES["qkv mlp ar"].turn < SERIES["up/gate/down ar"].turn
    widths = {name: reach(mark.shape) * math.sqrt(mark.size) for name, mark in SERIES.items()}
    assert widths["qk/pv ar"] > widths["qkv mlp ar"] > 1.5 * widths["up/gate/down ar"]


def reach(shape: str) -> float:
    """Return how far to the right a symbol reaches."""
    return max(float(x) for x in re.findall(r"[ML](-?[\d.]+),", shape))


def test_dashed_keys_of_the_legend_have_room_for_three_dashes(snapshot: duckdb.DuckDBPyConnection) -> None:
    svg = render(draw(snapshot, "roofline-llama-7b-a40")[0], "svg").decode()
    keys = re.findall(r'<path [^>]*d="M(-[\d.]+),0L([\d.]+),0"[^>]*stroke-dasharray="6,4"', svg)
    lengths = [float(end) - float(start) for start, end in keys]
    assert len(lengths) == 2
    assert all(3 * 6 + 2 * 4 <= length < 40 for length in lengths)


def test_a_chart_that_was_taken_in_keeps_its_name(finished: Home, snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in PREDICTED:
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


def test_what_nobody_measured_or_predicts_is_drawn_as_computed_and_says_so(
    snapshot: duckdb.DuckDBPyConnection,
) -> None:
    entry = find_chart(snapshot, "roofline-llama-7b-a40")
    entry = replace(entry, parameters={**entry.parameters, "hardware_id": "mi300x"})
    spec = build_spec(entry, read_frame(snapshot, compose_sql(entry)))
    assert {row["layer"] for row in shown(spec)} == {"computed"}
    assert "params" not in spec
    assert said_of_marks(spec) == {"": "Marks: 294 computed from shapes, on the datasheet roof of 1307.4 TFLOP/s"}
    assert render(spec, "svg").decode().count('aria-roledescription="point"') == 294


def test_a_roof_cut_at_the_edges_is_still_the_roof(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "roofline-llama-7b-a40")
    (left, low), (ridge, top) = ((row[INTENSITY], row[PERFORMANCE]) for row in select_marks(spec, "bandwidth"))
    assert (left, ridge) == (0.6, pytest.approx(149.7e12 / 696e9))
    assert low / left == pytest.approx(696e9)
    assert top == 149.7e12
    assert {row[PERFORMANCE] for row in select_marks(spec, "peak")} == {149.7e12}
    assert max(row[INTENSITY] for row in select_marks(spec, "peak")) == 1e4


@pytest.mark.parametrize(
    ("name", "title", "lines", "ridges"),
    [
        ("roofline-llama-7b-a40", "Roofline Model (Llama 7B, A40)", ["696GB/s", "149.7 TFLOP/s"], [215.086]),
        (
            "roofline-llama-7b-a6000",
            "Roofline Model (Llama 7B, A6000)",
            ["768GB/s", "181 TFLOP/s (as printed)", "154.8 TFLOP/s (datasheet)"],
            [201.563, 235.677],
        ),
        (
            "roofline-llama-33b-a100-80gb-pcie",
            "Roofline Model (Llama 33B, A100 80GB PCIe)",
            ["1935GB/s", "312 TFLOP/s"],
            [161.240],
        ),
    ],
)
def test_paper_style(
    name: str, title: str, lines: list[str], ridges: list[float], snapshot: duckdb.DuckDBPyConnection
) -> None:
    spec, _ = draw(snapshot, name)
    assert spec["title"]["text"] == title
    legends = {
        layer["mark"]["type"]: encoding["scale"]["domain"]
        for layer, channel, encoding in list_encodings(spec)
        if channel == "color"
    }
    assert legends == {"line": lines, "point": list(SERIES)}
    axes = {channel: encoding["axis"] for _, channel, encoding in list_encodings(spec) if encoding.get("axis")}
    assert axes["x"]["title"] == "Operational Intensity (FLOP/Byte)"
    assert axes["y"]["title"] == "Performance (FLOP/s)"
    assert {1, 10, 100, 1000, 10000} <= set(axes["x"]["values"])
    assert {1e10, 1e11, 1e12, 1e13, 1e14} <= set(axes["y"]["values"])
    assert sorted(row[INTENSITY] for row in select_marks(spec, "ridge")) == pytest.approx(ridges, abs=5.001e-4)
    assert len(select_marks(spec, "computed")) == 6 * 49
    assert (
        {row["label"] for row in select_marks(spec, "computed")} == {row["label"] for row in shown(spec)} == set(SERIES)
    )


def test_only_the_seeds_a40_chart_has_the_line_at_100_tflops(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in [*PAPER, *MEASURED]:
        spec, _ = draw(snapshot, name)
        lines = [(row["label"], row[PERFORMANCE]) for row in select_marks(spec, "reference")]
        assert lines == ([("100 TFLOP/s", 100e12)] if name == "roofline-llama-7b-a40" else [])


def test_the_seeds_roof_of_the_a6000_is_thick_and_the_datasheets_thin_and_both_are_labelled(
    snapshot: duckdb.DuckDBPyConnection,
) -> None:
    spec, _ = draw(snapshot, "roofline-llama-7b-a6000")
    scales = {
        channel: encoding["scale"]["range"]
        for layer, channel, encoding in list_encodings(spec)
        if layer["mark"]["type"] == "line" and "scale" in encoding and channel not in {"x", "y"}
    }
    assert scales["color"][1] == "#ff0000"
    assert scales["strokeDash"][0] == scales["strokeDash"][1] == [6, 4]
    assert scales["strokeWidth"][1] >= 2 * scales["strokeWidth"][2]
    assert all(scale[1] != scale[2] for scale in scales.values())
    assert {row["label"]: row["is_main"] for row in select_marks(spec, "ridge")} == {
        "ridge 235.7": True,
        "ridge 201.6": False,
    }
    (ridge,) = [layer for layer in spec["layer"] if layer["mark"]["type"] == "rule"]
    assert ridge["encoding"]["strokeWidth"]["condition"]["test"] == "datum.is_main"
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", render(spec, "svg").decode())
    labels = ["181 TFLOP/s (as printed)", "154.8 TFLOP/s (datasheet)", "ridge 235.7", "ridge 201.6"]
    assert all(texts.count(label) == 1 for label in labels)
    thick, thin = spec["title"]["subtitle"]
    assert thick == "fp16; thick: 181 TFLOP/s, as printed (Cai et al. 2024 (arXiv 2401.10774), figure 15)"
    assert thin == "thin: 154.8 TFLOP/s, datasheet (NVIDIA GA102 whitepaper v2)"
    house, _ = draw(snapshot, "device-a6000")
    of_the_house = {row["label"]: row.get("is_main") for row in select_marks(house, "peak")}
    assert of_the_house["bf16, fp16 · 154.8 TFLOP/s"] is True
    assert of_the_house["fp16 · 181 TFLOP/s (as printed)"] is False


def test_the_first_basis_that_a_device_has_is_its_main_roof(snapshot: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(snapshot, "roofline-llama-7b-a6000")
    for bases, main in (
        (["as_printed"], "181 TFLOP/s"),
        (["datasheet", "as_printed"], "154.8 TFLOP/s (datasheet)"),
        (["measured", "as_printed", "datasheet"], "181 TFLOP/s (as printed)"),
    ):
        other = replace(entry, parameters={**entry.parameters, "bases": bases})
        spec = build_spec(other, read_frame(snapshot, compose_sql(other)))
        assert {row["label"] for row in select_marks(spec, "peak") if row["is_main"]} == {main}
        assert next(row["label"] for row in select_marks(spec, "ridge") if row["is_main"]) == (
            "ridge 235.7" if "181" in main else "ridge 201.6"
        )


def test_each_bandwidth_has_its_slope(home: Home) -> None:
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
    text += '[[bandwidth]]\nlevel = "dram"\ngb_per_s = 300\nbasis = "as_printed"\norigin = "x"\n'
    text += '[[compute]]\ndtype = "fp16"\ntflops = 120\nbasis = "as_printed"\norigin = "x"\n'
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "a40.toml").write_text(text, "utf-8")
    plain_run(home)
    with open_snapshot(home.snapshot) as connection:
        for name in ("roofline-llama-7b-a40", "device-a40"):
            spec, _ = draw(connection, name)
            slopes = {round(row[PERFORMANCE] / row[INTENSITY] / 1e9) for row in select_marks(spec, "bandwidth")}
            assert {300, 696} <= slopes
            assert name == "device-a40" or slopes == {300, 696}
        spec, _ = draw(connection, "roofline-llama-7b-a40")
        (scale,) = [
            encoding["scale"]
            for layer, each, encoding in list_encodings(spec)
            if each == "color" and layer["mark"]["type"] == "line"
        ]
    slope_and_peak = [
        "300GB/s (as printed)",
        "696GB/s (datasheet)",
        "120 TFLOP/s (as printed)",
        "149.7 TFLOP/s (datasheet)",
    ]
    assert scale["domain"] == slope_and_peak
    assert len(set(scale["range"])) == 4


def test_a_chart_without_marks_is_not_published(home: Home) -> None:
    text = (SHIPPED / "workloads" / "medusa-grid.toml").read_text("utf-8")
    (home.catalog / "workloads").mkdir(parents=True)
    (home.catalog / "workloads" / "medusa-grid.toml").write_text(text.replace('"fp16", ', ""), "utf-8")
    summary = plain_run(home, draws=True)
    assert summary.site is not None
    assert set(summary.site.skipped) == {OTHERS[1]}


def test_house_style_shows_every_ceiling(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "device-h100-sxm")
    labels = [row["label"] for row in select_marks(spec, "ceiling label")]
    published = {"fp32, fp64": 67, "tf32": 494.7, "bf16, fp16": 989.4, "fp8, int8": 1978.9}
    assert [each for each in labels if "measured" not in each] == [f"{d} · {p} TFLOP/s" for d, p in published.items()]
    assert {"bf16 · 794.5 TFLOP/s (measured)", "fp8 · 1402.6 TFLOP/s (measured)"} <= set(labels)
    assert spec["title"]["text"] == (
        "H100 SXM: prefill is compute-bound except lm_head and qk/pv; decode is memory-bound"
    )
    assert "basis datasheet" in spec["title"]["subtitle"][1]
    texts = {layer["mark"]["text"] for layer in spec["layer"] if "text" in layer["mark"]}
    assert texts == {"memory-bound", "compute-bound"}


def test_comparison_has_every_device_once(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "devices-fp16")
    entry = find_chart(snapshot, "devices-fp16")
    assert len(select_marks(spec, "ceiling label")) == len(entry.parameters["devices"])
    assert spec["title"]["text"] == "fp16 ridges run from 161 FLOP/byte (A100 80GB PCIe) to 419 (L40S)"
    (parameter,) = spec["params"]
    assert parameter["bind"] == "legend"
    assert not any(layer["mark"]["type"] == "rect" for layer in spec["layer"])


def test_speculative_shows_each_number_of_candidates(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "speculative-llama-33b-a100-80gb-pcie")
    points = select_marks(spec, "computed")
    assert {row["label"] for row in points} == {"qk/pv", "up/gate/down"}
    assert {row["query_length"] for row in points} == {1, 16, 32, 48, 64, 80, 96, 112}
    assert spec["title"]["text"] == (
        "qk/pv stays memory-bound through 112 candidates; up/gate/down turns compute-bound by 16"
    )


def test_a_chart_is_the_same_however_many_were_drawn_before(snapshot: duckdb.DuckDBPyConnection) -> None:
    specs = [draw(snapshot, name)[0] for name in OF_MEASUREMENTS]
    first = [render(spec, suffix) for spec in specs for suffix in ("json", "svg")]
    for name in (*DEVICES, *OTHERS):
        render(draw(snapshot, name)[0], "svg")
    specs = [draw(snapshot, name)[0] for name in reversed(OF_MEASUREMENTS)]
    assert [render(spec, suffix) for spec in reversed(specs) for suffix in ("json", "svg")] == first


def test_fonts_of_the_system_are_for_texts_that_need_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_in: list[str] = []
    monkeypatch.setattr("vl_convert.register_font_directory", looked_in.append)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".fonts").mkdir()
    given = os.environ.get("FONTCONFIG_FILE")
    warm_up.cache_clear()
    use_system_fonts.cache_clear()
    for text, needs in (("Llama 7B, A40 · 2×", False), ("Ελληνικά", False), ("昇腾 910B", True)):
        render({"mark": "text", "encoding": {"text": {"value": text}}, "data": {"values": [{}]}}, "svg")
        assert (str(tmp_path / ".fonts") in looked_in) is needs, text
    use_system_fonts.cache_clear()
    assert os.environ.get("FONTCONFIG_FILE") == given  # programs that are started need fonts


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
    listed = {*PAPER, *DEVICES, *OTHERS, *OF_STEPS} - set(PREDICTED)
    assert set(re.findall(r"charts/([\w.-]+)/index.html", index)) >= listed
    assert "http" not in index.replace("http-equiv", "")


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
    plain_run(home, draws=True)
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


def test_a_site_is_rebuilt_whole_where_files_of_the_old_one_are_missing(finished: Home, tmp_path: Path) -> None:
    build_site(finished.snapshot, tmp_path / "a", finished.site)
    (tmp_path / "a" / "charts" / "devices-fp16" / "devices-fp16.png").unlink()
    before = (finished.site / "charts" / "devices-fp16" / "devices-fp16.png").read_bytes()
    report = build_site(finished.snapshot, tmp_path / "b", tmp_path / "a")
    assert report.drawn == ("devices-fp16",)
    assert (tmp_path / "b" / "charts" / "devices-fp16" / "devices-fp16.png").read_bytes() == before


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.floats(0.01, 2))
def test_labels_move_apart_and_keep_their_order(positions: list[float], gap: float) -> None:
    positions = sorted(positions)
    placed = spread(positions, gap)
    assert all(after - before >= gap * (1 - 1e-9) for before, after in itertools.pairwise(placed))
    assert math.isclose(sum(placed), sum(positions), abs_tol=1e-6)
    if all(after - before >= gap for before, after in itertools.pairwise(positions)):
        assert placed == pytest.approx(positions)


OWN = """
select hardware_id, op as label, phase, intensity_flops_per_byte, achieved_flops_per_s as performance_flops_per_s
from mart.measured_point where hardware_id = 'h100-sxm' and op = 'attention' and batch_size = 8 limit 5
"""


def chart_of(sql: str, finished: Home, tmp_path: Path, *more: str) -> int:
    (tmp_path / "own.sql").write_text(sql, "utf-8")
    options = ["--sql", str(tmp_path / "own.sql"), "--out", str(tmp_path / "own.json"), "--home", str(finished.path)]
    return run_command(["chart", *options, *more])


def test_a_query_of_ones_own_becomes_a_roofline(finished: Home, tmp_path: Path) -> None:
    assert chart_of(OWN, finished, tmp_path, "--precision", "bf16") == 0
    spec = json.loads((tmp_path / "own.json").read_text("utf-8"))
    validate(spec)
    assert len(select_marks(spec, "computed")) == 5
    assert {row["label"] for row in select_marks(spec, "computed")} == {"attention"}
    assert spec["title"]["subtitle"][0] == "Points of a query"
    assert spec["title"]["text"] == "H100 SXM: 5 points"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as x", "no column hardware_id; expected hardware_id, intensity_flops_per_byte"),
        (OWN.replace("hardware_id, op", "'none' as hardware_id, op"), "none has no roof in fp16"),
        (
            OWN.replace("and op = 'attention'", "and op = 'none'"),
            "no rows; expected rows of one device",
        ),
        (OWN.replace("achieved_flops_per_s as", "-1 as"), "no row with an intensity and a performance above 0"),
        ("select * from read_csv('/etc/passwd')", "chart: --sql:"),
        ("select", "chart: --sql:"),
    ],
)
def test_a_query_that_is_no_roofline(
    finished: Home, tmp_path: Path, sql: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chart_of(sql, finished, tmp_path) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "own.json").exists()

"""Charts: every encoded field is a column, every value is the view's, and they look as agreed."""

import itertools
import json
import math
import os
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from pathlib import Path

import altair as alt
import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charts.about import ABOUT
from charts.axes import INTENSITY, PERFORMANCE
from charts.gallery import list_charts
from charts.label_layout import spread
from charts.paper import SERIES
from charts.paper_text import KINDS
from charts.templates import TEMPLATES
from flows.ingest.catalog import SHIPPED
from flows.site.chart_rows import query_chart
from flows.site.render import build_spec, render, use_system_fonts, warm_up
from flows.site.snapshot_charts import compose_sql, find_chart, list_snapshot_charts
from tests.support.charts import (
    COMPARED_CHART,
    DEVICE_CHARTS,
    MEASURED_CHARTS,
    MEASUREMENT_CHARTS,
    OTHER_CHARTS,
    PAPER_CHARTS,
    STEP_CHARTS,
    choose,
    draw,
    list_encodings,
    select_marks,
    select_shown_marks,
    validate,
)
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

# columns that a chart adds: what a leader line leads to, and the series that a point is drawn as
PLACED = ("end_flops_per_byte", "end_flops_per_s", "line_flops_per_s", "series", "key")


def test_the_site_shows_the_charts_of_these_tests_and_every_device_has_one(snapshot: duckdb.DuckDBPyConnection) -> None:
    entries = list_snapshot_charts(snapshot)
    shown = {*PAPER_CHARTS, *DEVICE_CHARTS, *OTHER_CHARTS, *MEASUREMENT_CHARTS, *STEP_CHARTS}
    assert shown <= {entry.name for entry in entries if entry.on_site}
    devices = snapshot.sql("select 'device-' || hardware_id from core.hardware").fetchall()
    assert {name for (name,) in devices} <= {entry.name for entry in entries}


def test_names_are_unique_and_templates_known() -> None:
    entries = list_charts({"model_id": {"*": [{"model_id": "m"}]}, "hardware_id": {"*": [{"hardware_id": "h"}]}})
    assert len({entry.name for entry in entries}) == len(entries)
    assert {entry.template for entry in entries} <= set(TEMPLATES)


@pytest.mark.parametrize("name", [*PAPER_CHARTS, *DEVICE_CHARTS, *OTHER_CHARTS])
def test_every_encoded_field_is_a_column(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    fields = {encoding["field"] for _, _, encoding in list_encodings(spec) if "field" in encoding}
    assert fields <= {*frame.columns, *PLACED}
    for _, channel, encoding in list_encodings(spec):
        if channel in {"x", "y"} and "field" in encoding:
            assert encoding["field"] == {"x": INTENSITY, "y": PERFORMANCE}[channel]
            assert encoding["type"] == "quantitative"
            assert encoding["scale"]["type"] == "log"


@pytest.mark.parametrize("name", [PAPER_CHARTS[0], PAPER_CHARTS[1], DEVICE_CHARTS[1], *OTHER_CHARTS])
def test_specifications_are_valid_and_describe_themselves(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    validate(spec)
    assert spec["$schema"].endswith(f"{alt.SCHEMA_VERSION}.json")
    assert len(spec["description"]) > 50
    json.dumps(spec, allow_nan=False)


@pytest.mark.parametrize("name", [PAPER_CHARTS[0], PAPER_CHARTS[1], DEVICE_CHARTS[1], OTHER_CHARTS[1]])
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


@pytest.mark.parametrize("name", [*PAPER_CHARTS, *DEVICE_CHARTS, *OTHER_CHARTS])
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


@pytest.mark.parametrize("name", [*MEASUREMENT_CHARTS, "residuals-h100-sxm"])
def test_charts_of_measurements(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    validate(spec)
    made = {"kind", "percent", "upper_s", "lower_s", "low", "high"}  # in the chart
    fields = {encoding["field"] for _, _, encoding in list_encodings(spec) if "field" in encoding}
    assert fields <= {*frame.columns, *made}
    assert len(select_marks(spec, "measured")) == len(frame) > 300
    assert "H100 SXM" in spec["title"]["text"]


def test_predictions_are_drawn_beside_a_band_of_ten_percent(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, "predicted-times-h100-sxm")
    for row in select_marks(spec, "band"):
        assert row["upper_s"] / row["predicted_s"] == pytest.approx(1.1)
        assert row["predicted_s"] / row["lower_s"] == pytest.approx(1.1)
    every = "select relative_error from mart.prediction_error where hardware_id = 'h100-sxm'"
    errors = read_frame(snapshot, every)["relative_error"]
    assert len(frame) < len(errors)
    within = (errors.abs() <= 0.1).sum() / len(errors)
    assert f"{within:.0%} of {len(errors):,} kernels" in spec["title"]["text"]


def test_measured_kernels_hang_below_the_roof_by_their_headroom(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, COMPARED_CHART)
    measured, predicted = frame.filter(layer="measured"), frame.filter(layer="predicted")
    assert len(measured) == len(predicted) > 10
    assert set(measured["op_group"]) >= {"qkv mlp", "up/gate/down", "qk/pv"}
    headroom = measured["attainable_flops_per_s"] / measured[PERFORMANCE]
    assert (headroom * measured["roof_fraction"]).to_list() == pytest.approx([1.0] * len(measured))
    rules = [encoding for _, channel, encoding in list_encodings(spec) if channel == "y2"]
    assert {"field": "attainable_flops_per_s"} in rules
    share = measured.filter(phase="decode").select(pl.col("roof_fraction").median()).item()
    assert f"decode reaches {share:.0%} of the roof" in spec["title"]["text"]
    assert "Dotted: predicted by a calibrated roof" in spec["title"]["subtitle"][1]


def test_residuals_say_what_all_kernels_say(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, "residuals-h100-sxm")
    every = "select relative_error from mart.prediction_error where hardware_id = 'h100-sxm' and flops > 0"
    errors = read_frame(snapshot, every)["relative_error"]
    assert len(frame) < len(errors)
    low, high = (errors.quantile(q, "linear") for q in (0.1, 0.9))
    assert f"{low:+.0%} to {high:+.0%}" in spec["title"]["text"]


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
    assert Counter(row["layer"] for row in select_shown_marks(spec)) == drawn_first
    (parameter,) = spec["params"]
    assert (parameter["name"], parameter["value"]) == ("marks", choices[0])
    assert (parameter["bind"]["input"], parameter["bind"]["options"]) == ("radio", choices)
    assert len(parameter["bind"]["labels"]) == len(choices)
    assert [layer["transform"] for layer in spec["layer"] if layer["mark"]["type"] == "point"] == [
        [{"filter": "marks == 'nearest' ? datum.is_nearest : datum.layer == marks"}]
    ]
    said = {each["value"]: each["subtitle"][-1] for each in spec["usermeta"]["choices"]["marks"]["values"]}
    assert list(said) == choices
    for kind in set(choices) - {"nearest"}:
        assert said[kind].startswith(f"Marks: {len(frame.filter(layer=kind)):,} {kind} ")
    assert all(f"{count} {kind}" in said[choices[0]] for kind, count in drawn_first.items())
    assert all(line in spec["description"] for line in said.values())


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", MEASURED_CHARTS[0]])
def test_all_that_a_chart_in_paper_style_says_follows_the_marks(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    offered = spec["usermeta"]["choices"]["marks"]
    assert offered["label"] == "marks"
    for each in offered["values"]:
        assert each["title"] == spec["title"]["text"]
        assert each["subtitle"][1:-1] == spec["title"]["subtitle"]
        assert all(line in each["description"] for line in each["subtitle"])
        drawn = unescape(render(choose(spec, "marks", each["value"]), "svg").decode())
        assert re.findall(r">(Marks: [^<]*)<", drawn) == [each["subtitle"][-1]]
    assert len({str(each["subtitle"]) for each in offered["values"]}) == len(offered["values"])


def test_each_template_says_what_its_marks_are(snapshot: duckdb.DuckDBPyConnection) -> None:
    assert ABOUT.keys() == TEMPLATES.keys()
    spec, _ = draw(snapshot, MEASURED_CHARTS[0])
    texts = [spec, *spec["usermeta"]["choices"]["marks"]["values"]]
    assert all(each["description"].endswith(ABOUT["paper"]) for each in texts)


def test_the_paper_style_fits_any_model_and_device(snapshot: duckdb.DuckDBPyConnection) -> None:
    settings = {"batch_size": None, "sequence_length": None, "marks": "computed", "reference_flops_per_s": None}
    for model, device, precision, convention in (
        ("gpt-oss-120b", "tpu-v5e", "bf16", "paper"),
        ("llama-7b", "epyc-9654", "fp32", "engine"),
        ("deepseek-v3", "m1-max", "fp16", "engine"),
    ):
        entry = find_chart(snapshot, "roofline-llama-7b-a6000")
        own = {"model_id": model, "hardware_id": device, "precision_id": precision, "convention": convention}
        groups = {"op_groups": ["qkv mlp", "attention"], "bases": ["as_printed"]}
        entry = replace(entry, parameters={**entry.parameters, **settings, **own, **groups})
        frame = query_chart(snapshot, entry)
        spec = build_spec(entry, frame)
        validate(spec)
        ranges = {c: e["scale"]["domain"] for _, c, e in list_encodings(spec) if "scale" in e and c in {"x", "y"}}
        points = frame.filter("is_shown")
        for channel, column in (("x", INTENSITY), ("y", PERFORMANCE)):
            low, high = ranges[channel]
            assert points[column].is_between(low, high, closed="none").all()
        assert ranges["x"][0] <= 0.6
        assert ranges["x"][1] >= 1e4
        (series,) = {tuple(e["scale"]["domain"]) for _, c, e in list_encodings(spec) if c == "shape"}
        assert set(points["label"]) <= set(series)


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", "roofline-llama-7b-a6000", MEASURED_CHARTS[0]])
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
        ("roofline-llama-7b-a40", "Marks: 392 predicted by a calibrated roof, transferred from a6000 (98)"),
        ("roofline-llama-7b-a6000", "Marks: 392 predicted by a calibrated roof, transferred from a40 (294)"),
        (
            "roofline-llama-7b-h100-sxm",
            "Marks: 252 measured (NVIDIA H100 80GB HBM3, torch 2.11.0+cu130); 4 predicted by a calibrated roof",
        ),
    ):
        spec, frame = draw(snapshot, name)
        assert re.findall(r">(Marks: [^<]*)<", render(spec, "svg").decode()) == [line]
        lent = frame.filter("is_shown")["transferred_from"].drop_nulls().value_counts().rows()
        assert all(f"{lender} ({count})" in line for lender, count in lent)


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", "roofline-llama-7b-a6000", MEASURED_CHARTS[0]])
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
    widths = {name: measure_reach(mark.shape) * math.sqrt(mark.size) for name, mark in SERIES.items()}
    assert widths["qk/pv ar"] > widths["qkv mlp ar"] > 1.5 * widths["up/gate/down ar"]


def measure_reach(shape: str) -> float:
    """Return how far to the right a symbol reaches."""
    return max(float(x) for x in re.findall(r"[ML](-?[\d.]+),", shape))


def test_dashed_keys_of_the_legend_have_room_for_three_dashes(snapshot: duckdb.DuckDBPyConnection) -> None:
    svg = render(draw(snapshot, "roofline-llama-7b-a40")[0], "svg").decode()
    keys = re.findall(r'<path [^>]*d="M(-[\d.]+),0L([\d.]+),0"[^>]*stroke-dasharray="6,4"', svg)
    lengths = [float(end) - float(start) for start, end in keys]
    assert len(lengths) == 2
    assert all(3 * 6 + 2 * 4 <= length < 40 for length in lengths)


def test_what_nobody_measured_or_predicts_is_drawn_as_computed_and_says_so(
    snapshot: duckdb.DuckDBPyConnection,
) -> None:
    entry = find_chart(snapshot, "roofline-llama-7b-a40")
    entry = replace(entry, parameters={**entry.parameters, "hardware_id": "mi300x"})
    spec = build_spec(entry, read_frame(snapshot, compose_sql(entry)))
    assert {row["layer"] for row in select_shown_marks(spec)} == {"computed"}
    assert "params" not in spec
    drawn = render(spec, "svg").decode()
    said = ["Marks: 294 computed from shapes, on the datasheet roof of 1307.4 TFLOP/s"]
    assert re.findall(r">(Marks: [^<]*)<", drawn) == said
    assert drawn.count('aria-roledescription="point"') == 294


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
        {row["label"] for row in select_marks(spec, "computed")}
        == {row["label"] for row in select_shown_marks(spec)}
        == set(SERIES)
    )


def test_only_the_seeds_a40_chart_has_the_line_at_100_tflops(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in [*PAPER_CHARTS, *MEASURED_CHARTS]:
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
    assert of_the_house["bf16, fp16 · 154.8 TFLOP/s tensor"] is True
    assert of_the_house["fp16 · 181 TFLOP/s tensor (as printed)"] is False


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


def test_each_bandwidth_has_its_slope(small_home: Home, small_shipped: Path) -> None:
    home = small_home
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
    text += '[[bandwidth]]\nlevel = "dram"\ngb_per_s = 300\nbasis = "as_printed"\norigin = "x"\n'
    text += '[[compute]]\ndtype = "fp16"\ntflops = 120\nbasis = "as_printed"\norigin = "x"\n'
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "a40.toml").write_text(text, "utf-8")
    run_without_prefect(home, small_shipped)
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


def test_house_style_shows_every_ceiling(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "device-h100-sxm")
    labels = {row["label"] for row in select_marks(spec, "ceiling label")}
    assert labels >= {
        "fp8 · 1,978.9 TFLOP/s tensor, measured 1,403–1,430",
        "int8 · 1,978.9 TOP/s tensor, measured 945.7",
        "bf16, fp16 · 989.4 TFLOP/s tensor, measured 792.4–794.5",
        "tf32 · 494.7 TFLOP/s tensor, measured 396.6",
        "bf16, fp16 · 133.8 TFLOP/s vector",
        "fp64 · 67 TFLOP/s tensor",
        "fp64 · 33.5 TFLOP/s vector, NVIDIA H100 whitepaper v1.04",
    }
    slopes = {row["label"] for row in select_marks(spec, "slope label")}
    assert slopes == {"L1 33,454 GB/s", "L2 6,650 GB/s (measured)", "DRAM 3,350 GB/s, measured 3,050.5"}
    assert spec["title"]["text"] == (
        "H100 SXM: prefill is compute-bound except lm_head and qk/pv; decode is memory-bound"
    )
    assert "basis datasheet" in spec["title"]["subtitle"][1]
    assert {row["label"] for row in select_marks(spec, "region label")} == {"memory-bound", "compute-bound"}


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
        "qk/pv stays memory-bound through 112 candidates; up/gate/down becomes compute-bound by 16"
    )


@pytest.mark.slow
def test_a_chart_is_the_same_however_many_were_drawn_before(snapshot: duckdb.DuckDBPyConnection) -> None:
    specs = [draw(snapshot, name)[0] for name in MEASUREMENT_CHARTS]
    first = [render(spec, suffix) for spec in specs for suffix in ("json", "svg")]
    for name in (*DEVICE_CHARTS, *OTHER_CHARTS):
        render(draw(snapshot, name)[0], "svg")
    specs = [draw(snapshot, name)[0] for name in reversed(MEASUREMENT_CHARTS)]
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


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.floats(0.01, 2))
def test_labels_move_apart_and_keep_their_order(positions: list[float], gap: float) -> None:
    positions = sorted(positions)
    placed = spread(positions, gap)
    assert all(after - before >= gap * (1 - 1e-9) for before, after in itertools.pairwise(placed))
    assert math.isclose(sum(placed), sum(positions), abs_tol=1e-6)
    if all(after - before >= gap for before, after in itertools.pairwise(positions)):
        assert placed == pytest.approx(positions)


def test_devices_without_the_dtype_are_named(snapshot: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(snapshot, "devices-fp16")
    asked = {"dtype": "fp8", "devices": ["b200", "t4", "not-there"]}
    frame = query_chart(snapshot, replace(entry, parameters={**entry.parameters, **asked}))
    spec = build_spec(entry, frame)
    assert {row["hardware"] for row in spec["data"]["values"]} == {"B200"}
    said = "2 of 3 devices are not drawn: T4 (no fp8 peak), not-there (not known here)"
    assert spec["title"]["subtitle"][1] == said

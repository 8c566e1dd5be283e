"""Labels: they stand at what they name, do not lie on each other, and are not cut."""

import re
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from charts.ceilings import label_ceilings
from charts.label_layout import Box, Layout, boxes_along, measure_text, shorten_text, spread_between
from flows.site.chart_rows import build_own_roofline
from flows.site.render import build_spec, render
from tests.support.charts import draw, select_marks
from tests.support.label_boxes import list_collisions, read_texts

LONG = "void cutlass::Kernel2<cutlass_80_tensorop_s16816gemm_f16_256x128_32x3_nn_align8>(Params) #"
assert len(LONG) > 80


def draw_query(snapshot: duckdb.DuckDBPyConnection, sql: str) -> bytes:
    entry, frame = build_own_roofline(snapshot, sql, "fp16", "test")
    return render(build_spec(entry, frame), "svg")


@pytest.mark.parametrize("text", ["cutlass_80_tensorop_s16816gemm", "bf16, fp16 · 989.4 TFLOP/s", "ijl|…–²×@%MW", "Ωя"])
def test_texts_are_as_wide_as_the_renderer_draws_them(text: str) -> None:
    mark = {"type": "text", "text": text, "fontSize": 12, "align": "left"}
    config = {"font": "Liberation Sans", "view": {"stroke": None}}
    spec = {"mark": mark, "data": {"values": [{}]}, "encoding": {"x": {"value": 0}}, "padding": 0, "config": config}
    svg = vl_convert.vegalite_to_svg({**spec, "width": 1, "height": 20})
    (width,) = re.findall(r'^<svg[^>]* width="([\d.]+)"', svg)
    assert measure_text(text, 12) >= float(width) - 1.5
    if text.isascii() or "·" in text:
        assert measure_text(text, 12) == pytest.approx(float(width), abs=1.5)


@given(st.text(max_size=120), st.floats(20, 400))
def test_a_shortened_text_keeps_both_ends_and_fits(text: str, width: float) -> None:
    shown = shorten_text(text, width, 11)
    assert measure_text(shown, 11) <= max(width, measure_text("…", 11))
    if shown != text:
        start, _, end = shown.rpartition("…")
        assert text.startswith(start)
        assert text.endswith(end)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_labels_at_the_right_stay_between_top_and_bottom(positions: list[float]) -> None:
    placed = spread_between(sorted(positions), 15, 7, 393)
    assert all(7 <= place <= 393 for place in placed)
    assert all(after - before >= 15 - 1e-6 for before, after in pairwise(placed))


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400)), max_size=30))
def test_labels_of_points_do_not_overlap_and_stay_in_the_plot(points: list[tuple[float, float]]) -> None:
    layout = Layout(620, 400)
    for i, (x, y) in enumerate(points):
        layout.place_beside(x, y, f"a kernel #{i}", 11, 9)
    assert all(box.is_inside(layout.frame) for box in layout.labels)
    assert not any(a.overlaps(b) for i, a in enumerate(layout.labels) for b in layout.labels[:i])


def test_boxes_along_a_slope_cover_the_text() -> None:
    boxes = boxes_along(100, 300, "3350 GB/s", 12, 0.6)
    assert boxes[0].left < 100
    assert boxes[-1].top < 300 - 0.56 * measure_text("3350 GB/s", 12)
    assert all(a.overlaps(b) for a, b in pairwise(boxes))


def test_a_lone_point_is_labelled_right_beside_it() -> None:
    box = Layout(620, 400).place_beside(300, 200, "gemm", 11, 9)
    assert box is not None
    assert box.overlaps(Box(285, 185, 315, 215))


@pytest.mark.parametrize(
    "name",
    [
        "device-h100-sxm",
        "device-mi300x",
        "device-epyc-9654",
        "device-tpu-v5e",
        "devices-fp16",
        "measured-llama-7b-h100-sxm",
    ],
)
def test_no_label_of_a_chart_lies_on_another_or_is_cut(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    assert list_collisions(render(draw(snapshot, name)[0], "svg")) == []


@pytest.mark.slow
def test_no_label_of_a_shipped_device_lies_on_another_or_is_cut(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Of devices with equally many ceilings, which are laid out alike, two are drawn."""
    sql = """
        select hardware_id from core.ceiling group by hardware_id
        qualify row_number() over (partition by count(*) order by hardware_id) <= 2
        """
    devices = [row[0] for row in snapshot.sql(sql).fetchall()]
    found = {name: list_collisions(render(draw(snapshot, f"device-{name}")[0], "svg")) for name in devices}
    assert len(found) > 15
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("count", [1, 7, 25, 40])
def test_kernels_with_long_names_are_labelled_apart(count: int, snapshot: duckdb.DuckDBPyConnection) -> None:
    svg = draw_query(
        snapshot,
        f"select 'a40' as hardware_id, x as intensity_flops_per_byte, 3e11 * x as performance_flops_per_s,"
        f" '{LONG}' || x as label, 'kernel' as phase from range(1, {count + 1}) t(x)",
    )
    assert list_collisions(svg) == []
    shown = [text.text for text in read_texts(svg)[1]]
    named = {text.rpartition("#")[2] for text in shown if text.endswith(tuple(f"#{i}" for i in range(1, count + 1)))}
    assert named == {str(i) for i in range(1, count + 1)}


def test_a_test_of_collisions_can_fail() -> None:
    texts = '<text font-size="12px" transform="translate({},20)">{}</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="40">{texts.format(10, "one")}'
    assert list_collisions(f"{svg}{texts.format(15, 'two')}</svg>".encode()) == ["'one' lies on 'two'"]
    assert list_collisions(f"{svg}{texts.format(90, 'two')}</svg>".encode()) == ["'two' is cut"]


def test_the_label_of_a_ceiling_leads_to_its_line(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, "device-h100-sxm")
    label = next(row for row in select_marks(spec, "ceiling label") if row["label"].startswith("bf16, fp16 · 989.4"))
    places = "performance_flops_per_s"
    ends = {row["line_flops_per_s"] for row in select_marks(spec, "leader") if row[places] == label[places]}
    assert 989.4e12 in ends
    assert max(abs(end - 794.3e12) for end in ends - {989.4e12}) < 3e12
    assert "is_main" in label
    others = [row for row in select_marks(spec, "ceiling label") if row is not label]
    assert all(row[places] != label[places] for row in others)


def test_a_chart_without_ceilings_needs_no_labels(snapshot: duckdb.DuckDBPyConnection) -> None:
    _, frame = draw(snapshot, "device-h100-sxm")
    assert len(label_ceilings(frame.head(0))) == 0


def test_handed_queries_have_no_label_on_another(snapshot: duckdb.DuckDBPyConnection) -> None:
    points = [(0.004, 1.1e10, "gather with a few FLOP"), (0.25, 6e11, "axpy"), (0.26, 6e11, "axpy, again")]
    rows = ", ".join(f"('h100-sxm', {x}, {y}, '{name}')" for x, y, name in points)
    columns = "hardware_id, intensity_flops_per_byte, performance_flops_per_s, label"
    assert list_collisions(draw_query(snapshot, f"select * from (values {rows}) t({columns})")) == []


def test_the_picture_is_as_wide_as_its_widest_text(snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    svg = draw_query(
        snapshot,
        "select 'h100-sxm' as hardware_id, 10 as intensity_flops_per_byte, 1e14 as performance_flops_per_s,"
        f" '{LONG}' as label",
    )
    frame, texts = read_texts(svg)
    assert any("above the roof" in text.text for text in texts)
    assert max(box.right for text in texts for box in text.boxes) <= frame.right

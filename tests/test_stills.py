"""The still of a chart: where its picture is cut below the title, and the box that the chart of the page will fill."""

import json
import re
from typing import Any

import pytest

from flows.site.stills import measure_still
from warehouse.home import Home

# a picture of 700 by 500 pixels, whose plot begins at 60, below a title of two lines at 12
PICTURE = """<svg class="marks" width="700" height="500" viewBox="0 0 700 500"><rect/><g transform="translate(50,60)">
<g class="mark-text"><text transform="translate(0,-2)">caption</text></g>
<g class="mark-group role-title"><g transform="translate(-38,-48)"><text transform="translate(0,13)">title</text>
<text transform="translate(0,30)"><tspan>subtitle</tspan><tspan x="0" dy="14">more</tspan></text></g></g>
<g><text transform="translate(0,399)">label</text></g></g></svg>""".replace("\n", "")
PLOT = {"width": 620, "height": 400}


def make_layer(**legend: Any) -> dict[str, Any]:
    domain = [f"label {n}" for n in range(9)]
    return {"mark": {"type": "point"}, "encoding": {"color": {"scale": {"domain": domain}, "legend": legend}}}


def test_a_picture_is_cut_below_its_title() -> None:
    still = measure_still(PICTURE, {**PLOT, "layer": []})
    assert (still.width, still.height) == (700, 500)
    assert still.top == 60 - 48 + 30 + 14 + 4
    assert still.box_height == still.narrow_height == 500 - still.top - 12 + 4
    assert still.plot_height == 400
    assert measure_still(PICTURE, {"width": 620, "height": 900, "layer": []}).plot_height is None


def test_a_line_above_the_plot_is_cut_off_if_the_page_has_it_as_text() -> None:
    caption = {"data": {}, "mark": {"type": "text"}, "encoding": {"y": {"value": -2}}}
    choices: dict[str, Any] = {"usermeta": {"choices": {"context": {}}}}
    assert measure_still(PICTURE, {**PLOT, **choices, "layer": [caption]}).top == 60 - 2 + 4
    assert measure_still(PICTURE, {**PLOT, "layer": [caption]}).top == 60


@pytest.mark.parametrize(
    ("legend", "rows"),
    [({"orient": "bottom", "columns": 9}, 2), ({"orient": "bottom", "columns": 5}, 1), ({"orient": "none"}, 0)],
    ids=["one row", "two rows", "in the plot"],
)
def test_a_telephone_has_room_for_a_legend_of_more_rows(legend: dict[str, Any], rows: int) -> None:
    """Nine labels of 7 letters take three rows of four."""
    still = measure_still(PICTURE, {**PLOT, "layer": [make_layer(**legend), make_layer(**legend)]})
    assert still.narrow_height - still.box_height == 16 * rows


def test_what_vega_did_not_draw_is_no_still() -> None:
    with pytest.raises(ValueError, match="expected an SVG with its size"):
        measure_still("<svg></svg>", {**PLOT, "layer": []})


def test_every_chart_of_the_site_has_a_still_without_its_title(finished: Home) -> None:
    pages = {page.parent: page.read_text("utf-8") for page in finished.site.glob("charts/*/index.html")}
    drawn = {folder: page for folder, page in pages.items() if 'id="still"' in page}  # others lead to a chart
    assert len(drawn) > 15
    for folder, page in drawn.items():
        svg = (folder / f"{folder.name}.svg").read_text("utf-8")
        still = measure_still(svg, json.loads((folder / f"{folder.name}.vl.json").read_text("utf-8")))
        plot = re.search(r'<g [^>]*transform="translate\([-\d.]+,([-\d.]+)\)"', svg)
        assert plot is not None
        assert 30 < still.top <= float(plot[1]), folder.name
        assert f"--height: {still.box_height}; --narrow-height: {still.narrow_height}" in page

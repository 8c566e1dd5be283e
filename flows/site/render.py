"""A chart of the gallery, from rows to files."""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert
from altair.utils.schemapi import debug_mode

from charts.gallery import ChartEntry
from charts.templates import TEMPLATES
from warehouse.files.spreadsheet import guard_text_cells

_NUMBERED_IDS = re.compile(r"(?<=[\"#])(clip|gradient_)(\d+)(?=[\")])")
# the renderer would end its process at these, as a query can return them
_NO_TEXT = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\ufffe\uffff]"
_PIXELS_A_UNIT = 1.5
_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

# The renderer has Liberation Sans built in. On Linux it sees no other font until a text needs one: fonts of the system
# would be read anew for each glyph, which takes most of the time, and draw other pictures on each machine.
_FONTS = "FONTCONFIG_FILE"
_NO_FONTS = Path(__file__).with_name("fonts.conf")
_NOT_BUILT_IN = re.compile(r"[^\n -\u017f\u0384-\u03ce\u0400-\u045f\u2010-\u2026]")
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")


def build_spec(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    frame = frame.with_columns(pl.col(pl.String).str.replace_all(_NO_TEXT, "\N{REPLACEMENT CHARACTER}"))
    with debug_mode(False):  # tests validate; here it would take most of the time
        chart: Any = TEMPLATES[entry.template](frame)
        values = chart.data.values
        chart.data.values = []  # or else Altair walks through every value of every row
        spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["data"]["values"] = values
    return spec


def render(spec: dict[str, Any], suffix: str) -> bytes:
    """Return a chart as `json` (Vega-Lite), `html`, `svg` or `png`."""
    if suffix == "json":
        return (json.dumps(spec, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    if suffix == "html":
        return vl_convert.vegalite_to_html(spec, vl_version=_VEGA_LITE, bundle=True).encode()
    warm_up()
    if _NOT_BUILT_IN.search(json.dumps(spec, ensure_ascii=False)):
        use_system_fonts()
    svg = _renumber_ids(vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE))
    return svg.encode() if suffix == "svg" else vl_convert.svg_to_png(svg, scale=_PIXELS_A_UNIT)


def write_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> None:
    """Write the published files of a chart, by suffix: vl.json, svg, png and csv."""
    spec = build_spec(entry, frame)
    svg = render(spec, "svg")
    contents = {
        "vl.json": render(spec, "json"),
        "svg": svg,
        "png": vl_convert.svg_to_png(svg.decode(), scale=_PIXELS_A_UNIT),
        "csv": guard_text_cells(frame).write_csv().encode(),
    }
    for suffix, file in files.items():
        file.write_bytes(contents[suffix])


@cache
def use_system_fonts() -> None:
    """Have the renderer find what its own font lacks in those of the system, where they usually lie on Linux."""
    for folder in map(Path, map(os.path.expanduser, _FONT_FOLDERS)):
        if folder.is_dir():
            vl_convert.register_font_directory(str(folder))


def _renumber_ids(svg: str) -> str:
    """Return an SVG whose clip paths and gradients are numbered from 0: the renderer counts on from chart to chart."""
    order = {name: i for i, name in enumerate(dict.fromkeys(_NUMBERED_IDS.findall(svg)))}
    return _NUMBERED_IDS.sub(lambda found: f"{found[1]}{order[found[1], found[2]]}", svg)


@cache
def warm_up() -> None:
    """Start the renderer, which takes a while: it looks for fonts now, and for its own alone."""
    given = os.environ.get(_FONTS)
    os.environ[_FONTS] = given or str(_NO_FONTS)
    try:
        svg = vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, vl_version=_VEGA_LITE)
        vl_convert.svg_to_png(svg)
    finally:
        del os.environ[_FONTS]  # programs that this process starts need fonts
        if given is not None:
            os.environ[_FONTS] = given

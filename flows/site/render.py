"""From the rows of a chart to its specification, and on to its files."""

import html
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

from charts.about import explain_marks
from charts.gallery import ChartEntry
from charts.inks import write_dark_inks
from charts.label_layout import has_known_width, measure_text
from charts.templates import TEMPLATES
from flows.site.thumbnails import draw_thumbnail
from warehouse.files.spreadsheet import guard_text_cells

_NUMBERED_IDS = re.compile(r"(?<=[\"#])(clip|gradient_)(\d+)(?=[\")])")
# a mark without rows, or whose place says nothing, which the renderer would announce as a symbol without a name
_UNNAMED_MARKS = re.compile(r'role="graphics-symbol" aria-roledescription="\w+ mark container"')
# characters that a query can return, and that would crash the renderer
_UNDRAWABLE = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\ufffe\uffff]"
_PIXELS_PER_UNIT = 1.5
_TEXT = re.compile(r'<text ([^>]*?\bfont-size="([\d.]+)px"[^>]*)>([^<]+)</text>')
_LONG = 40  # pixels of a text: what is shorter stays within the margin of the picture, however wide the font
_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

# The renderer has Liberation Sans built in. On Linux, system fonts are hidden from it until a text needs one: it would
# read them again for each glyph, which takes most of the time, and each machine would draw different pictures.
_FONTS = "FONTCONFIG_FILE"
_NO_FONTS = Path(__file__).with_name("fonts.conf")
_NOT_BUILT_IN = re.compile(r"[^\n -\u017f\u0384-\u03ce\u0400-\u045f\u2010-\u2026]")
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")


def build_spec(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    frame = frame.with_columns(pl.col(pl.String).str.replace_all(_UNDRAWABLE, "\N{REPLACEMENT CHARACTER}"))
    with debug_mode(False):  # validation would take most of the time; the tests do it
        chart: Any = TEMPLATES[entry.template](frame)
        values = chart.data.values
        chart.data.values = []  # Altair would visit every value of every row
        spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["data"]["values"] = values
    explain_marks(spec, entry.template)
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
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE)
    svg = _TEXT.sub(_hold_width, _hide_unnamed_marks(_renumber_ids(svg)))
    return _add_dark_inks(svg).encode() if suffix == "svg" else _render_png(svg)


def write_chart(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> None:
    """Write the files of a chart that are drawn, by suffix (vl.json, svg, png and csv) and its thumbnail."""
    spec = build_spec(entry, frame)
    svg = render(spec, "svg")
    contents = {
        "vl.json": render(spec, "json"),
        "svg": svg,
        "thumbnail": draw_thumbnail(svg.decode()),
        "png": _render_png(svg.decode()),
        "csv": guard_text_cells(frame).write_csv().encode(),
    }
    for suffix, file in files.items():
        file.write_bytes(contents[suffix])


@cache
def use_system_fonts() -> None:
    """Let the renderer use system fonts, from their usual folders on Linux, for characters that its own font lacks."""
    for folder in map(Path, map(os.path.expanduser, _FONT_FOLDERS)):
        if folder.is_dir():
            vl_convert.register_font_directory(str(folder))


def _renumber_ids(svg: str) -> str:
    """Return an SVG with clip paths and gradients numbered from 0; the renderer keeps counting across charts."""
    order = {name: i for i, name in enumerate(dict.fromkeys(_NUMBERED_IDS.findall(svg)))}
    return _NUMBERED_IDS.sub(lambda found: f"{found[1]}{order[found[1], found[2]]}", svg)


def _hide_unnamed_marks(svg: str) -> str:
    """Return an SVG in which every symbol that a screen reader finds has a name."""
    return _UNNAMED_MARKS.sub('aria-hidden="true"', svg)


def _hold_width(text: re.Match[str]) -> str:
    """Return a text that is as wide in any font as in the one that the picture was laid out with.

    A reader without that font would see the ends of long texts cut off.
    """
    attributes, size, letters = text[1], float(text[2]), html.unescape(text[3])
    width = measure_text(letters, size, is_bold='font-weight="bold"' in attributes)
    if width < _LONG or not has_known_width(letters):
        return text[0]
    return f'<text textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs" {attributes}>{text[3]}</text>'


def _add_dark_inks(svg: str) -> str:
    """Return an SVG that follows the reader's colour scheme."""
    return svg.replace(">", f"><style>{write_dark_inks()}</style>", 1)


def _render_png(svg: str) -> bytes:
    """Return an SVG as PNG, which is always light."""
    return vl_convert.svg_to_png(svg.replace(f"<style>{write_dark_inks()}</style>", "", 1), scale=_PIXELS_PER_UNIT)


@cache
def warm_up() -> None:
    """Start the renderer, which takes a while. It looks for fonts now, and finds only its own."""
    given = os.environ.get(_FONTS)
    os.environ[_FONTS] = given or str(_NO_FONTS)
    try:
        svg = vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, vl_version=_VEGA_LITE)
        vl_convert.svg_to_png(svg)
    finally:
        del os.environ[_FONTS]  # programs that this process starts need the system's fonts
        if given is not None:
            os.environ[_FONTS] = given

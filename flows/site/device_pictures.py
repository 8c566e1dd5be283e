"""The picture of a device for links to its page: its name and its roofline as PNG, in the light scheme."""

import re
from functools import cache

from markupsafe import Markup

from flows.site.device_roofline import WIDE, lay_out_roofline
from flows.site.drawing_processes import RENDERER
from flows.site.page_paths import device_page
from flows.site.page_templates import read_asset, render_page
from flows.site.site_files import SiteFiles
from flows.site.site_rows import Row, SiteRows
from warehouse.digest import digest_of

_PIXELS_PER_UNIT = 1.5
_INK = re.compile(r"--(\w+): (#\w+)")
_RULE = re.compile(r"^\.roofline ([^\n]*\})$", re.MULTILINE)


def find_device_picture(hardware_id: str) -> str:
    """Return the path of a device's picture in a site that knows its address."""
    return device_page(hardware_id).replace("index.html", "roofline.png")


def write_device_pictures(files: SiteFiles, rows: SiteRows) -> None:
    """Write the picture of each device that has a roof; one that did not change is that of the previous site."""
    import vl_convert  # noqa: PLC0415  only sites that know their address need it here

    for hardware_id, lines in rows.group("device_lines", "hardware_id").items():
        path = find_device_picture(hardware_id)
        svg = compose_device_picture(rows.devices[hardware_id], lines)
        if not files.reuse(path, digest_of([svg, RENDERER]), [path]):
            (files.new / path).write_bytes(vl_convert.svg_to_png(svg, scale=_PIXELS_PER_UNIT))


def compose_device_picture(device: Row, lines: list[Row]) -> str:
    """Return the picture of a device as SVG; `lines` are its rows of sql/site/device_lines.sql, one or more."""
    name = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in device["name"])
    drawn = lay_out_roofline(name, lines, WIDE)
    return render_page("device_picture.svg.j2", name=name, drawn=drawn, style=_read_style())


@cache
def _read_style() -> Markup:
    """Return the style of rooflines in the light scheme, without variables, which the renderer does not know."""
    sheet = read_asset("site.css")
    inks = dict(_INK.findall(sheet[: sheet.index("}")]))
    rules = "".join(rule for rule in _RULE.findall(sheet) if not rule.startswith((".narrow", "svg", ".wide")))
    style = re.sub(r"var\(--(\w+)\)", lambda used: inks[used[1]], rules)
    return Markup(f"{style} text {{ font-family: 'Liberation Sans', Arial, sans-serif; }}")

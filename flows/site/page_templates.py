"""Pages from the templates in charts/pages; text from input files is escaped and never becomes markup."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from flows.site.legible import list_figures, write_cell, write_heading


def render_page(template: str, **values: Any) -> str:
    """Render a template with every value escaped."""
    return _load_templates().get_template(template).render(values)


def write_asset(file: Path, *parts: str) -> None:
    """Write files of charts/pages as one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(read_asset(*parts), "utf-8")


def read_asset(*parts: str) -> str:
    """Return files of charts/pages as one text."""
    folder = resources.files("charts").joinpath("pages")
    return "".join(folder.joinpath(part).read_text("utf-8") for part in parts)


def script_json(value: Any) -> str:
    """Return a value as JSON for a script element: ASCII, without any character that could end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _load_templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("charts", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"legible": write_cell, "heading": write_heading, "list_figures": list_figures}
    return templates

"""Pages from templates, and data for their scripts, in which nothing of a spec file can become markup."""

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_PLAIN = (1e-3, 1e6)  # numbers outside are written with an exponent
_LEAST_GROUPED = 10_000


def render_page(template: str, **values: Any) -> str:
    """Return a page of charts/pages, in which every value is escaped."""
    return _load_templates().get_template(template).render(values)


def script_json(value: Any) -> str:
    """Return a value as JSON that is safe in a script: ASCII, in which nothing can end the script."""
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
    templates.filters["legible"] = _format_number
    return templates


def _format_number(value: Any) -> Any:
    """Return a number with as many digits as a reader can use, and everything else as it is."""
    if isinstance(value, float):
        return f"{value:,.6g}" if _PLAIN[0] <= abs(value) < _PLAIN[1] or value == 0 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= _LEAST_GROUPED else value

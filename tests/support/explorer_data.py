"""What the scripts of the explorer hold, as the page reads them."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl


def read_call(script: Path) -> list[Any]:
    """Return the arguments of the one call that a data script makes."""
    found = re.fullmatch(r"\w+\.\w+\((.*)\);\n", script.read_text("utf-8"))
    assert found, script
    return list(json.loads(f"[{found[1]}]"))


def decode(columns: dict[str, Any]) -> pl.DataFrame:
    """Return columns that were written as distinct values and codes."""
    return pl.DataFrame(
        {
            name: [column["values"][code] for code in column["codes"]] if "values" in column else column["codes"]
            for name, column in columns.items()
        }
    )

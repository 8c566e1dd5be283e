"""The list of charts (gallery.toml), and which function draws each kind."""

import itertools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from charts.comparison import comparison
from charts.house import house
from charts.paper import paper
from charts.speculative import speculative

TEMPLATES: Mapping[str, Callable[[pl.DataFrame], alt.LayerChart]] = {
    "paper": paper,
    "house": house,
    "comparison": comparison,
    "speculative": speculative,
}
_LIST = Path(__file__).resolve().parent / "gallery.toml"
_DEFAULTS = {"reference_flops_per_s": None, "reference_label": None}


@dataclass(frozen=True)
class ChartEntry:
    """One chart of the gallery: its name, its template and the parameters of its query."""

    name: str
    template: str
    parameters: Mapping[str, Any]


def list_charts(known: Mapping[str, Sequence[str]]) -> list[ChartEntry]:
    """Return every chart of the list.

    Parameters
    ----------
    known
        Ids that `"*"` stands for, by field: `model_id` and `hardware_id`.
    """
    entries = []
    for row in _read_list()["chart"]:
        axes = [_values(row[field], ids) for field, ids in known.items() if field in row]
        fields = [field for field in known if field in row]
        for combination in itertools.product(*axes):
            values = {**_DEFAULTS, **row, **dict(zip(fields, combination, strict=True))}
            name, template = values.pop("name"), values.pop("template")
            entries.append(ChartEntry(name.format(**values), template, values))
    return entries


def published_views() -> list[str]:
    """Return the views that are published as Parquet."""
    return list(_read_list()["views"])


def _values(value: str | list[str], known: Sequence[str]) -> Sequence[str]:
    if value == "*":
        return known
    return [value] if isinstance(value, str) else value


@cache
def _read_list() -> dict[str, Any]:
    return tomllib.loads(_LIST.read_text("utf-8"))

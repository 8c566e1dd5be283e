"""The list of charts (gallery.toml)."""

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_LIST = Path(__file__).resolve().parent / "gallery.toml"
_DEFAULTS = {
    "reference_flops_per_s": None,
    "reference_label": None,
    "marks": "computed",
    "batch_size": None,
    "sequence_length": None,
}


# What a field can be, by a word that stands for all of it: each a set of parameters of the chart's query.
Known = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class ChartEntry:
    """One chart of the gallery: its name, its template, the parameters of its query, and whether the site shows it."""

    name: str
    template: str
    parameters: Mapping[str, Any]
    on_site: bool = True


def list_charts(known: Known, own: Sequence[Mapping[str, Any]] = ()) -> list[ChartEntry]:
    """Return every chart of the list, and of the user's own, which take the place of others of their names.

    Parameters
    ----------
    known
        By field, `model_id` and `hardware_id`, the words that stand for several of its values, and
        the parameters that each of those brings.
    own
        Entries like those of the list.
    """
    entries: dict[str, ChartEntry] = {}
    for row in [*_read_list()["chart"], *own]:
        shown = {value for values in _choices(row, "on_site", known) for value in values.values()}
        fields = [field for field in known if field in row]
        for combination in itertools.product(*(_choices(row, field, known) for field in fields)):
            values = {**_DEFAULTS, **row}
            for choice in combination:
                values |= choice
            name, template = values.pop("name").format(**values), values.pop("template")
            is_shown = values.pop("on_site", None) is None or values.get("hardware_id") in shown
            entries[name] = ChartEntry(name, template, values, is_shown)
    return list(entries.values())


def published_views() -> list[str]:
    """Return the views that are published as Parquet."""
    return list(_read_list()["views"])


def _choices(row: Mapping[str, Any], field: str, known: Known) -> list[Mapping[str, Any]]:
    """Return what a field of the list stands for; `on_site` names devices."""
    target = "hardware_id" if field == "on_site" else field
    named = row.get(field, [])
    words = known.get(target, {})
    values = [named] if isinstance(named, str) else named
    return [choice for value in values for choice in words.get(value, [{target: value}])]


@cache
def _read_list() -> dict[str, Any]:
    return tomllib.loads(_LIST.read_text("utf-8"))

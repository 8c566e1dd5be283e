"""The list of charts (gallery.toml)."""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

CHOOSE_MARKS = ("paper",)  # templates that show any kind of marks, and by default the nearest to the truth

_LIST = Path(__file__).resolve().parent / "gallery.toml"
_DEFAULTS = {
    "reference_flops_per_s": None,
    "reference_label": None,
    "batch_size": None,
    "sequence_length": None,
}
_OF_THE_ENTRY = {"name", "template", "on_site", "source"}  # the other fields are parameters of the query
_NO_PART_OF_A_NAME = re.compile(r"[^a-z0-9._-]+")
_MANY = 2  # fields that on_site names from which on there are too many charts to list them all

# What a field can be, by a word that stands for all of it: each a set of parameters of the chart's query.
Expansions = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class ChartEntry:
    """One chart of the gallery: its name, its template, the parameters of its query, and where it is shown.

    A chart that another one took in is that chart, `alias_of`, under its old name. Of a user's own, `source` is the
    file that it stands in.
    """

    name: str
    template: str
    parameters: Mapping[str, Any]
    on_site: bool = True
    is_listed: bool = True
    source: str | None = None
    alias_of: str | None = None


def list_charts(known: Expansions, own: Sequence[Mapping[str, Any]] = ()) -> list[ChartEntry]:
    """Return every chart of the list, and of the user's own, which take the place of others of their names.

    Parameters
    ----------
    known
        By field, `model_id` and `hardware_id`, the words that stand for several of its values, and
        the parameters that each of those brings.
    own
        Entries like those of the list, each with its `source`.
    """
    entries: dict[str, ChartEntry] = {}
    for row in [*_read_list()["chart"], *own]:
        shown = _read_on_site(row, known)
        can_be_listed = len(shown) < _MANY
        given = {field: value for field, value in row.items() if field not in _OF_THE_ENTRY}
        marks = "nearest" if row["template"] in CHOOSE_MARKS else "computed"
        same = {**_DEFAULTS, "marks": marks, **given}
        fields = [field for field in known if field in row]
        for combination in itertools.product(*(_expand(row, field, known) for field in fields)):
            values = same.copy()
            for choice in combination:
                values.update(choice)
            has = [values.get(field) in chosen for field, chosen in shown.items()]
            name = row["name"].format_map({field: _slugify(value) for field, value in {**row, **values}.items()})
            is_listed = can_be_listed or any(has)
            entries[name] = ChartEntry(name, row["template"], values, all(has), is_listed, row.get("source"))
    return [*entries.values(), *_list_aliases(entries)]


def list_published_views() -> list[str]:
    """Return the views that are published as Parquet."""
    return list(_read_list()["views"])


def _list_aliases(entries: Mapping[str, ChartEntry]) -> Iterator[ChartEntry]:
    """Yield charts under the names that they had before."""
    for alias in _read_list()["alias"]:
        entry = entries.get(alias["chart"])
        if entry and entry.template in CHOOSE_MARKS and alias["name"] not in entries:
            parameters = {**entry.parameters, "marks": alias["marks"]}
            yield replace(entry, name=alias["name"], parameters=parameters, alias_of=entry.name)


def _slugify(value: Any) -> str:
    """Return the value of a field as it can stand in the name of a chart, which names files."""
    if isinstance(value, list):
        return "-".join(map(_slugify, value))
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    return _NO_PART_OF_A_NAME.sub("-", text.lower()).strip("-")


def _expand(row: Mapping[str, Any], field: str, known: Expansions) -> list[Mapping[str, Any]]:
    """Return what a field of the list stands for."""
    named, words = row.get(field, []), known.get(field, {})
    values = [named] if isinstance(named, str) else named
    return [choice for value in values for choice in words.get(value, [{field: value}])]


def _read_on_site(row: Mapping[str, Any], known: Expansions) -> dict[str, set[Any]]:
    """Return the values that the site shows, by field; a list without a field names devices."""
    on_site = row.get("on_site", {})
    fields = {"hardware_id": on_site} if isinstance(on_site, list) else on_site
    return {field: {choice[field] for choice in _expand(fields, field, known)} for field in fields}


@cache
def _read_list() -> dict[str, Any]:
    return tomllib.loads(_LIST.read_text("utf-8"))

"""The charts that gallery.toml and the user's gallery list."""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

CHOOSE_MARKS = ("paper",)  # templates that can show any kind of marks; by default the best known ones

_LIST = Path(__file__).resolve().parent / "gallery.toml"
_DEFAULTS = {
    "reference_flops_per_s": None,
    "reference_label": None,
    "batch_size": None,
    "sequence_length": None,
    "tensor_parallel": 1,
    "devices": None,
    "profile": None,
    "bases": ["as_printed", "datasheet"],
    "else_fastest": False,
    "published_first": False,
}
_FIELDS_OF_ENTRY = {"name", "template", "on_site", "source"}  # the other fields are parameters of the query
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
_FIELD_IN_A_NAME = re.compile(r"\{(\w+)\}")
_MANY = 2  # if on_site names so many fields, there are too many charts to list them all

# What a word stands for in a field, e.g. "*" in `hardware_id`: sets of parameters of the query, one set per chart.
Expansions = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Precisions:
    """The dtype of each precision, and what a chart draws that falls back.

    Attributes
    ----------
    dtypes
        By precision: the dtype that its arithmetic runs in.
    drawn
        By device, convention and precision: the precision that is drawn instead, if the device lacks the dtype.
    published
        By model and convention: the precision that the model is published in, and the settings of decode steps that
        were computed in it: tensor-parallel degree, batch and context.
    """

    dtypes: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    published: Mapping[tuple[str, str], tuple[str, Set[tuple[int, int, int]]]] = field(default_factory=dict)


_NO_PRECISIONS = Precisions()


@dataclass(frozen=True)
class ChartEntry:
    """One chart of the gallery.

    Attributes
    ----------
    name
        Its name, which also names its files.
    template
        The template that draws it.
    parameters
        The parameters of its query.
    on_site
        Whether the site shows it.
    is_listed
        Whether `rooflines chart` lists it.
    source
        The file that lists it, if that is the user's gallery.
    alias_of
        The chart of which this is an earlier name.
    """

    name: str
    template: str
    parameters: Mapping[str, Any]
    on_site: bool = True
    is_listed: bool = True
    source: str | None = None
    alias_of: str | None = None


def list_charts(
    expansions: Expansions, own: Sequence[Mapping[str, Any]] = (), precisions: Precisions = _NO_PRECISIONS
) -> list[ChartEntry]:
    """Return every chart of gallery.toml and of the user's gallery, which replaces charts of the same name.

    Parameters
    ----------
    expansions
        For the fields `model_id`, `profile` and `hardware_id`, what their special words stand for.
    own
        Entries of the user's gallery, each with its `source`.
    precisions
        What is known about precisions.
    """
    entries: dict[str, ChartEntry] = {}
    for row in [*_read_list()["chart"], *own]:
        for entry in _expand_entry(row, expansions, precisions):
            if entry.name in entries and not entries[entry.name].is_listed:
                del entries[entry.name]  # which could be drawn, and now is in the list: at the place of its entry
            entries[entry.name] = entry
    return [*entries.values(), *_list_aliases(entries)]


def list_published_views() -> list[str]:
    """Return the views that are published as Parquet."""
    return list(_read_list()["views"])


def _expand_entry(row: Mapping[str, Any], expansions: Expansions, precisions: Precisions) -> Iterator[ChartEntry]:
    """Yield the charts of one entry."""
    shown = _read_on_site(row, expansions)
    can_be_listed = len(shown) < _MANY
    parameters = {name: value for name, value in row.items() if name not in _FIELDS_OF_ENTRY}
    common = {**_DEFAULTS, "marks": find_default_marks(row["template"]), **parameters}
    common["devices"] = _list_devices(common["devices"], expansions)
    lists = [_expand(row, name, expansions) for name in expansions if name in row]
    for combination in itertools.product(*lists):
        values = common.copy()
        for choice in combination:
            values.update(choice)
        if values["profile"] is not None:
            values.setdefault("hardware_id", None)  # nothing is known of it: its chart has no rows
        if "precision_id" in values:
            values["otherwise_precision_id"] = values["precision_id"]
            values["precision_id"] = choose_precision(values, precisions)
        is_shown = [values.get(name) in chosen for name, chosen in shown.items()]
        is_listed = can_be_listed or any(is_shown)
        name = _fill_name(row, values, precisions)
        yield ChartEntry(name, row["template"], values, all(is_shown), is_listed, row.get("source"))


def find_default_marks(template: str) -> str:
    """Return the marks that a chart of a template shows if it names none."""
    return "nearest" if template in CHOOSE_MARKS else "computed"


def choose_precision(values: Mapping[str, Any], precisions: Precisions) -> str:
    """Return the precision that a chart is drawn in if none is asked for, by the parameters of its query.

    The one that the model is published in comes first, if the chart takes it, all of its settings were computed in it
    and its device has the dtype; then that of its entry, and then what the device falls back to.
    """
    precision: str = values["precision_id"]
    device, convention = values.get("hardware_id", ""), values.get("convention", "")
    if values.get("published_first"):
        first, computed = precisions.published.get((values["model_id"], convention), (precision, frozenset()))
        if _list_shown(values) <= computed and (device, convention, first) not in precisions.drawn:
            return first
    return precisions.drawn.get((device, convention, precision), precision) if values["else_fastest"] else precision


def _list_shown(values: Mapping[str, Any]) -> set[tuple[int, int, int]]:
    """Return the settings of decode steps that a chart shows."""
    batches = values.get("batch_sizes") or [values["batch_size"]]
    contexts = values.get("sequence_lengths") or [values["sequence_length"]]
    return set(itertools.product([values["tensor_parallel"]], batches, contexts))


def _fill_name(row: Mapping[str, Any], values: Mapping[str, Any], precisions: Precisions) -> str:
    """Return the name of a chart with the values of the fields in it."""
    fields = {"dtype": precisions.dtypes.get(values.get("precision_id", "")), **row, **values}
    fields["devices"] = row.get("devices")  # as the entry has them: "own" stays a word
    return _FIELD_IN_A_NAME.sub(lambda found: _slugify(fields[found[1]]), row["name"])


def _list_aliases(entries: Mapping[str, ChartEntry]) -> Iterator[ChartEntry]:
    """Yield charts under their earlier names."""
    for alias in _read_list()["alias"]:
        entry = entries.get(alias["chart"])
        if entry and entry.template in CHOOSE_MARKS and alias["name"] not in entries:
            parameters = {**entry.parameters, "marks": alias["marks"]}
            yield replace(entry, name=alias["name"], parameters=parameters, alias_of=entry.name)


def _slugify(value: Any) -> str:
    """Return the value of a field as a part of a file name."""
    if isinstance(value, list):
        return "-".join(map(_slugify, value))
    return _slugify_text(f"{value:.15g}" if isinstance(value, float) else str(value))


@cache
def _slugify_text(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")


def _expand(row: Mapping[str, Any], name: str, expansions: Expansions) -> list[Mapping[str, Any]]:
    """Return the sets of parameters that a field of an entry stands for."""
    given, words = row.get(name, []), expansions.get(name, {})
    values = [given] if isinstance(given, str) else given
    return [choice for value in values for choice in words.get(value, [{name: value}])]


def _list_devices(given: Sequence[str] | None, expansions: Expansions) -> list[str] | None:
    """Return the ids of the devices on one chart, each once."""
    if given is None:
        return None
    choices = _expand({"hardware_id": given}, "hardware_id", expansions)
    return list(dict.fromkeys(choice["hardware_id"] for choice in choices))


def _read_on_site(row: Mapping[str, Any], expansions: Expansions) -> dict[str, set[Any]]:
    """Return the values that the site shows, by field; a plain list names devices."""
    on_site = row.get("on_site", {})
    fields = {"hardware_id": on_site} if isinstance(on_site, list) else on_site
    return {name: {choice[name] for choice in _expand(fields, name, expansions)} for name in fields}


@cache
def _read_list() -> dict[str, Any]:
    return tomllib.loads(_LIST.read_text("utf-8"))

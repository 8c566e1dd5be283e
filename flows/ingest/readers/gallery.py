"""The user's own gallery (gallery.toml) into the rows of core.own_chart."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, StringConstraints, ValidationError

from charts.gallery import CHOOSE_MARKS
from flows.ingest.document import (
    PATTERNS_IN_WORDS,
    TEXT_PATTERN,
    Count,
    Document,
    Id,
    describe_first_mistake,
    format_value,
    list_origins,
    read_document,
)
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype
from warehouse.chart_queries import find_template_parameters, list_templates
from warehouse.errors import one_line

_Word = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=TEXT_PATTERN)]
_Words = Annotated[list[_Word], Field(min_length=1)]
# Characters of an id, and fields in braces, because it becomes the name of a folder.
_PART = r"\{[a-z_]+\}"
_NAME_PATTERN = rf"^(?:[a-z0-9]|{_PART})(?:[a-z0-9._-]|{_PART})*$"
_NAME_IN_WORDS = "lowercase letters, digits, dots, dashes, underscores, and fields in braces, e.g. a-{model_id}"
_IN_WORDS = {**PATTERNS_IN_WORDS, _NAME_PATTERN: _NAME_IN_WORDS}
_Name = Annotated[str, StringConstraints(max_length=100, pattern=_NAME_PATTERN)]

# Fields whose lists make one chart per value -> words that stand for several values.
_LISTS = {
    "model_id": ("*", "op sets"),
    "profile": ("*",),
    "hardware_id": ("*", "own", "measured", "own measured"),
}
_WORDS = {**_LISTS, "devices": _LISTS["hardware_id"]}
_IN_EVERY_NAME = {"template", "marks", "tensor_parallel"}  # fields with a default
_NO_PART_OF_A_NAME = {"sql", "on_site"}
_OPTIONAL = {"reference_flops_per_s", "reference_label", "batch_size", "sequence_length", "tensor_parallel"}
_OPTIONAL_OF = {"ranking": {"devices"}, "profile": {"hardware_id"}}  # of every device; of the profile's
_SHOWN_IDS = 3
_LONGEST_NAME = 100
_COLUMNS: dict[str, type[pl.String] | pl.Int32] = {
    **dict.fromkeys(("source_id", "chart_number", "name", "template", "entry", "fault"), pl.String),
    "chart_number": pl.Int32(),
}


class OwnChart(Document):
    """An entry as in charts/gallery.toml: a name, a template, and the parameters of its query."""

    name: _Name
    template: _Word
    marks: Literal["computed", "measured", "predicted", "compared", "kernels", "profile", "nearest"] | None = None
    sql: Annotated[str, StringConstraints(min_length=1, max_length=100_000)] | None = None
    model_id: _Word | _Words | None = None
    profile: _Word | _Words | None = None
    hardware_id: _Word | _Words | None = None
    devices: _Words | None = None
    on_site: list[_Word] | None = None
    colour: _Word | None = None
    precision_id: Id | None = None
    else_fastest: bool | None = None
    convention: Id | None = None
    dtype: Dtype | None = None
    batch_size: Count | None = None
    sequence_length: Count | None = None
    batch_sizes: Annotated[list[Count], Field(min_length=1)] | None = None
    sequence_lengths: Annotated[list[Count], Field(min_length=1)] | None = None
    tensor_parallel: Count | None = None
    op_groups: _Words | None = None
    bases: _Words | None = None
    reference_flops_per_s: Annotated[float, Field(gt=0)] | None = None
    reference_label: _Word | None = None


class _Gallery(Document):
    """A list of charts, each of which is validated on its own."""

    chart: list[dict[str, Any]]


class _BadEntryError(Exception):
    """An entry cannot be used; the message says which one and why."""


def read_gallery(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `own_chart` (one row per entry, with its fault if it has one) and `origin`.

    Raises
    ------
    InputError
        A file cannot be read or parsed, or is not a list of charts.
    """
    rows = []
    for source in sources:
        for number, entry in enumerate(read_document(source, _Gallery).chart, start=1):
            rows.append([source.source_id, number, *_read_entry(entry, _entry_label(number))])
    return {
        "own_chart": pl.DataFrame(rows, _COLUMNS, orient="row"),
        "origin": list_origins(sources, "the user's own gallery"),
    }


def mark_unknown_ids(charts: pl.DataFrame, known: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return the rows of core.own_chart, with a fault in those that name something that no file describes.

    Parameters
    ----------
    charts
        The rows of core.own_chart.
    known
        Field -> the ids that it can have.
    """
    faults = [
        fault or _find_unknown_id(json.loads(text), known, _entry_label(number))
        for number, text, fault in charts.select("chart_number", "entry", "fault").iter_rows()
    ]
    return charts.with_columns(fault=pl.Series(faults, dtype=pl.String))


def _read_entry(entry: Mapping[str, Any], where: str) -> tuple[str, str, str, str | None]:
    """Return name, template, the other fields as JSON, and fault of an entry."""
    try:
        chart = OwnChart.model_validate(entry)
        fields = chart.model_dump(exclude={"name", "template"}, exclude_none=True)
        _refuse_misfit(chart, fields, where)
    except ValidationError as error:
        fault = f"{where}.{describe_first_mistake(error, OwnChart, _IN_WORDS)}"
    except _BadEntryError as error:
        fault = str(error)
    else:
        return chart.name, chart.template, json.dumps(fields, sort_keys=True), None
    name, template = (one_line(str(entry.get(field, "")))[:_LONGEST_NAME] for field in ("name", "template"))
    return name or where, template, "{}", fault


def _find_unknown_id(entry: Mapping[str, Any], known: Mapping[str, Sequence[str]], where: str) -> str | None:
    for field, ids in known.items():
        for value in _as_list(entry.get(field)):
            if value not in ids and value not in _WORDS.get(field, ()):
                few = f"{', '.join(sorted(ids)[:_SHOWN_IDS])} …" if len(ids) > _SHOWN_IDS else ", ".join(ids)
                return f"{where}.{field} = {format_value(value)}: not in the catalog; expected an id, e.g. {few}"
    return None


def _refuse_misfit(chart: OwnChart, entry: Mapping[str, Any], where: str) -> None:
    """Raise `_BadEntryError` if an entry does not fit the query of its template."""
    if chart.template not in list_templates():
        expected = ", ".join(list_templates())
        raise _BadEntryError(f"{where}.template = {format_value(chart.template)}: expected {expected}")
    if chart.sql is not None and chart.template != "house":
        raise _BadEntryError(
            f'{where}.template = {format_value(chart.template)}: expected "house", which draws the rows of `sql`'
        )
    if chart.marks == "nearest" and chart.template not in CHOOSE_MARKS:
        expected = "computed, measured, predicted, compared, kernels or profile"
        raise _BadEntryError(f'{where}.marks = "nearest": expected {expected}')
    asked = (
        {"precision_id", "sql"}
        if chart.sql is not None
        else {*find_template_parameters(chart.template, chart.marks or "computed")}
    )
    optional = _OPTIONAL | _OPTIONAL_OF.get(chart.template, set()) | _list_expanded(entry)
    optional |= _OPTIONAL_OF.get(chart.marks or "", set())
    missing = sorted(asked - optional - entry.keys())
    if missing:
        raise _BadEntryError(f"{where}.{missing[0]}: missing; expected this parameter of {chart.template}")
    asked |= {"else_fastest"} if {"precision_id", "hardware_id"} <= asked else set()
    asked |= {"colour"} if chart.sql is not None else set()
    foreign = sorted(entry.keys() - asked - {"marks", "on_site"})
    if foreign:
        known = ", ".join(sorted(asked))
        raise _BadEntryError(f"{where}.{foreign[0]}: not a parameter of {chart.template}; expected {known}")
    _refuse_bad_name(chart, entry, where)


def _list_expanded(entry: Mapping[str, Any]) -> set[str]:
    """Return the fields that an entry need not give, because those that it gives stand for them too."""
    return {"precision_id"} if "op sets" in _as_list(entry.get("model_id")) else set()


def _refuse_bad_name(chart: OwnChart, entry: Mapping[str, Any], where: str) -> None:
    """Raise `_BadEntryError` if a name has a field that the entry lacks, or lacks one with several values."""
    precision = _list_expanded(entry) or entry.keys() & {"precision_id"}
    fields = {*_IN_EVERY_NAME, *entry, *precision, *({"dtype"} if precision else set())} - _NO_PART_OF_A_NAME
    named = set(re.findall(r"\{(\w+)\}", chart.name))
    unknown = sorted(named - fields)
    if unknown:
        known = ", ".join(sorted(fields))
        raise _BadEntryError(
            f"{where}.name = {format_value(chart.name)}: no field {unknown[0]}; expected one of {known}"
        )
    for field, words in _LISTS.items():
        if field not in named and (isinstance(entry.get(field), list) or entry.get(field) in words):
            raise _BadEntryError(
                f"{where}.name = {format_value(chart.name)}: expected {{{field}}} in it, which has several values"
            )


def _entry_label(number: int) -> str:
    return f"chart[{number - 1}]"


def _as_list(value: str | Iterable[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])

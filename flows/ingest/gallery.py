"""The user's own gallery (gallery.toml) into the rows of core.own_chart."""

import json
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, StringConstraints

from charts.gallery import CHOOSE_MARKS
from flows.ingest.catalog import SourceFile
from flows.ingest.document import TEXT_PATTERN, Count, Document, Id, read_documents, shown
from flows.ingest.hardware import Dtype
from warehouse.errors import InputError, refused_together
from warehouse.objects import sql_folder

_Word = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=TEXT_PATTERN)]
_Words = Annotated[list[_Word], Field(min_length=1)]
# ids, and fields in braces: it becomes the name of a folder
_PART = r"\{[a-z_]+\}"
_Name = Annotated[str, StringConstraints(max_length=100, pattern=rf"^(?:[a-z0-9]|{_PART})(?:[a-z0-9._-]|{_PART})*$")]

# fields whose lists stand for a chart each, and their words for many
_MANY = {"model_id": ("*", "op sets"), "hardware_id": ("*", "own", "measured")}
_OPTIONAL = {"reference_flops_per_s", "reference_label", "batch_size", "sequence_length"}
_SHOWN_IDS = 3


class OwnChart(Document):
    """An entry as in charts/gallery.toml: a name, a template, and the parameters of its query."""

    name: _Name
    template: _Word
    marks: Literal["computed", "measured", "predicted", "compared", "nearest"] | None = None
    sql: Annotated[str, StringConstraints(min_length=1, max_length=100_000)] | None = None
    model_id: _Word | _Words | None = None
    hardware_id: _Word | _Words | None = None
    devices: _Words | None = None
    on_site: list[_Word] | None = None
    precision_id: Id | None = None
    convention: Id | None = None
    dtype: Dtype | None = None
    batch_size: Count | None = None
    sequence_length: Count | None = None
    batch_sizes: Annotated[list[Count], Field(min_length=1)] | None = None
    sequence_lengths: Annotated[list[Count], Field(min_length=1)] | None = None
    op_groups: _Words | None = None
    bases: _Words | None = None
    reference_flops_per_s: Annotated[float, Field(gt=0)] | None = None
    reference_label: _Word | None = None


class OwnGallery(Document):
    """A list of charts."""

    chart: list[OwnChart]


def read_gallery(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `own_chart` (a row an entry) and `origin`.

    Raises
    ------
    InputError
        An entry has a template or a parameter that is not known, or lacks one.
    """
    rows = []
    with refused_together() as each:
        for document, source in read_documents(sources, OwnGallery, each):
            for number, chart in enumerate(document.chart, start=1):
                with each():
                    entry = chart.model_dump(exclude={"name", "template"}, exclude_none=True)
                    _refuse_bad(chart, entry, f"{source.path}: {_place(number)}")
                    text = json.dumps(entry, sort_keys=True)
                    rows.append([source.source_id, number, chart.name, chart.template, text])
    texts = dict.fromkeys(("source_id", "name", "template", "entry", "origin", "license"), pl.String)
    columns = {name: texts.get(name, pl.Int32()) for name in ("source_id", "chart_number", "name", "template", "entry")}
    said = [[source.source_id, "the user's own gallery", None] for source in sources]
    origins = {name: texts[name] for name in ("source_id", "origin", "license")}
    return {
        "own_chart": pl.DataFrame(rows, columns, orient="row"),
        "origin": pl.DataFrame(said, origins, orient="row"),
    }


def refuse_unknown_ids(charts: pl.DataFrame, known: Mapping[str, Sequence[str]], sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a chart names what no file describes.

    Parameters
    ----------
    charts
        The rows of core.own_chart.
    known
        The ids that each field can have.
    sources
        The input files.
    """
    paths = {source.source_id: source.path for source in sources}
    for source_id, number, text in charts.select("source_id", "chart_number", "entry").iter_rows():
        entry = json.loads(text)
        for field, ids in known.items():
            for value in _listed(entry.get(field)):
                if value not in ids and value not in _MANY.get(field, ()):
                    few = f"{', '.join(sorted(ids)[:_SHOWN_IDS])} …" if len(ids) > _SHOWN_IDS else ", ".join(ids)
                    what = f"{paths[source_id]}: {_place(number)}.{field} = {shown(value)}"
                    raise InputError(f"{what}: not in the catalog; expected an id as {few}")


def _refuse_bad(chart: OwnChart, entry: Mapping[str, Any], where: str) -> None:
    """Raise `InputError` where the entry and the query that it names do not fit."""
    templates = sorted(path.stem for path in (sql_folder() / "charts").glob("*.sql"))
    if chart.template not in templates:
        raise InputError(f"{where}.template = {shown(chart.template)}: expected {', '.join(templates)}")
    if chart.sql is not None and chart.template != "house":
        raise InputError(f'{where}.template = {shown(chart.template)}: expected "house", which draws the rows of `sql`')
    if chart.marks == "nearest" and chart.template not in CHOOSE_MARKS:
        raise InputError(f'{where}.marks = "nearest": expected computed, measured, predicted or compared')
    asked = {"precision_id", "sql"} if chart.sql is not None else _parameters(chart.template, chart.marks or "computed")
    lacking = sorted(asked - _OPTIONAL - entry.keys())
    if lacking:
        raise InputError(f"{where}.{lacking[0]}: missing; expected this parameter of {chart.template}")
    foreign = sorted(entry.keys() - asked - {"marks", "on_site"})
    if foreign:
        raise InputError(f"{where}.{foreign[0]}: no parameter of {chart.template}; expected {', '.join(sorted(asked))}")
    named = set(re.findall(r"\{(\w+)\}", chart.name))
    unknown = sorted(name for name in named if name not in _MANY or name not in entry)
    if unknown:
        raise InputError(f"{where}.name = {shown(chart.name)}: no field {unknown[0]}; expected hardware_id or model_id")
    for field, words in _MANY.items():
        if field not in named and (isinstance(entry.get(field), list) or entry.get(field) in words):
            raise InputError(
                f"{where}.name = {shown(chart.name)}: expected {{{field}}} in it, which has several values"
            )


@cache
def _parameters(template: str, marks: str) -> frozenset[str]:
    """Return the parameters that the query of a template asks for, with those of the marks that it draws."""
    folder = sql_folder() / "charts"
    points = {path.stem: path for path in (folder / "marks").glob("*.sql")}
    asked = _asked(folder / f"{template}.sql")
    drawn = points.keys() & (asked | ({marks} if "points" in asked else set()))
    return frozenset(asked.union(*(_asked(points[name]) for name in drawn)) - drawn - {"points", "marks"})


def _asked(query: Path) -> set[str]:
    return set(string.Template(query.read_text("utf-8")).get_identifiers())


def _place(number: int) -> str:
    return f"chart[{number - 1}]"


def _listed(value: str | Iterable[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])

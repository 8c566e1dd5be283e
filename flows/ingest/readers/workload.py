"""Workload files (TOML) into the rows of core.workload."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, Self

import polars as pl
from pydantic import Field, model_validator

from flows.ingest.document import (
    ORIGIN_SCHEMA,
    Count,
    Document,
    Id,
    Text,
    format_value,
    read_documents,
    refuse_duplicates,
)
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import SHARING, Convention, Degree, Phase
from warehouse.errors import InputError, collect_refusals

Batches = Annotated[list[Annotated[Count, Field(le=10**6)]], Field(min_length=1)]
Lengths = Annotated[list[Annotated[Count, Field(le=10**8)]], Field(min_length=1)]
Devices = Annotated[list[Annotated[Count, Field(le=1024)]], Field(min_length=1)]
Candidates = list[Annotated[Count, Field(le=10**5)]]

_MAX_SETTINGS = 100_000
_MAX_COSTS = 1_000_000  # of a workload: settings x models x precisions, each with about 20 ops


class Workload(Document):
    """The settings at which models are computed: every combination of the lists."""

    workload_id: Id
    name: Text
    origin: Text
    license: Text | None = None
    phases: Annotated[list[Phase], Field(min_length=1)]
    batch_size: Batches
    sequence_length: Lengths
    candidates: Candidates = Field(default_factory=list)
    conventions: Annotated[list[Convention], Field(min_length=1)]
    precisions: Annotated[list[Id], Field(min_length=1)]
    tensor_parallel: Annotated[list[Degree], Field(min_length=1)] = Field(default=[1])
    models: Annotated[list[Id], Field(min_length=1)] | None = None
    expert_parallel: Devices = Field(default=[1])
    pipeline_parallel: Devices = Field(default=[1])
    data_parallel: Devices = Field(default=[1])

    @model_validator(mode="after")
    def _require_candidates(self) -> Self:
        if "speculative" in self.phases and not self.candidates:
            raise ValueError("candidates with the phase speculative")
        return self

    @model_validator(mode="after")
    def _limit_settings(self) -> Self:
        shapes = len(self.batch_size) * len(self.sequence_length) * (2 + len(self.candidates))
        settings = shapes * len(self.conventions) * prod(len(getattr(self, name)) for name in SHARING)
        if settings > _MAX_SETTINGS:
            raise ValueError(f"at most {_MAX_SETTINGS} settings, but these lists make {settings}")
        return self


def read_workloads(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `workload` (one row per file, its grid in lists) and `origin`.

    Raises
    ------
    InputError
        Files are broken, an id occurs twice, or a value is missing, unknown or out of range.
    """
    with collect_refusals() as each:
        workloads = read_documents(sources, Workload, each)
        refuse_duplicates(((workload.workload_id, source) for workload, source in workloads), "workload_id")
    rows = [
        {
            **workload.model_dump(exclude={"batch_size", "sequence_length", "origin", "license"}),
            "batch_sizes": workload.batch_size,
            "sequence_lengths": workload.sequence_length,
            "source_id": source.source_id,
        }
        for workload, source in workloads
    ]
    origins = [
        {"source_id": source.source_id, "origin": workload.origin, "license": workload.license}
        for workload, source in workloads
    ]
    lists = {"candidates": pl.List(pl.Int64), "models": pl.List(pl.String)}
    return {
        "workload": pl.DataFrame(rows, schema_overrides=lists),
        "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA),
    }


def refuse_unknown_names(
    workloads: pl.DataFrame, models: pl.DataFrame, precisions: pl.DataFrame, sources: Sequence[SourceFile]
) -> None:
    """Raise `InputError` if a workload is too large, or names a model or a precision that no file describes."""
    paths = {source.source_id: source.path for source in sources}
    costs = pl.min_horizontal(pl.col("models").list.len().fill_null(len(models)), len(models)) * (
        pl.col("phases").list.len() + pl.col("candidates").list.len()
    )
    for name in ("batch_sizes", "sequence_lengths", "conventions", "precisions", *SHARING):
        costs = costs * pl.col(name).list.len()
    with collect_refusals() as each:
        for source_id, count in workloads.filter(costs > _MAX_COSTS).select("source_id", costs).iter_rows():
            with each():
                what = f"{count} combinations of settings, models and precisions; expected at most {_MAX_COSTS}"
                raise InputError(f"{paths[source_id]}: {what}")
        for field, known in (("models", models["model_id"]), ("precisions", precisions["precision_id"])):
            named = workloads.select("source_id", pl.col(field)).explode(field).drop_nulls()
            unknown = named.filter(~pl.col(field).is_in(known.to_list()))
            for source_id, name in unknown.unique("source_id", keep="first", maintain_order=True).iter_rows():
                with each():
                    expected = ", ".join(sorted(known))
                    raise InputError(f"{paths[source_id]}: {field} = {format_value(name)}: expected one of {expected}")

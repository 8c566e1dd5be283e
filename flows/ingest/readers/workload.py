"""Workload files (TOML) into the rows of core.workload."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Annotated, Self

import polars as pl
from pydantic import Field, model_validator

from flows.ingest.document import (
    ORIGIN_SCHEMA,
    Count,
    Document,
    Id,
    MisfitError,
    Text,
    format_value,
    read_documents,
    refuse_duplicates,
)
from flows.ingest.source_file import SourceFile
from flows.intensity.conventions import MASKED
from flows.intensity.shapes import list_ways, share_evenly
from flows.intensity.terms import SHARING, Convention, Degree, Phase
from warehouse.errors import InputError, collect_refusals

Batches = Annotated[list[Annotated[Count, Field(le=10**6)]], Field(min_length=1)]
Lengths = Annotated[list[Annotated[Count, Field(le=10**8)]], Field(min_length=1)]
Devices = Annotated[list[Annotated[Count, Field(le=1024)]], Field(min_length=1)]
Candidates = list[Annotated[Count, Field(le=10**5)]]
Tree = Annotated[Candidates, Field(min_length=1)]  # how many candidates stand at each depth

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
    query_length: list[Annotated[Count, Field(le=10**8)]] = Field(default_factory=list)
    trees: list[Tree] = Field(default_factory=list)
    expert_parallel: Devices = Field(default=[1])
    pipeline_parallel: Devices = Field(default=[1])
    data_parallel: Devices = Field(default=[1])
    micro_batches: Annotated[Count, Field(le=1024)] = 1
    expert_load: Annotated[float, Field(ge=1, le=1024, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _require_candidates(self) -> Self:
        if "speculative" in self.phases and not (self.candidates or self.trees):
            raise MisfitError("candidates", self.candidates, "some, or trees, with the phase speculative")
        return self

    @model_validator(mode="after")
    def _require_whole_groups(self) -> Self:
        groups = product(self.expert_parallel, self.tensor_parallel, self.data_parallel)
        if not any(experts == 1 or (experts % t == 0 and t * d % experts == 0) for experts, t, d in groups):
            expected = "1, or a multiple of tensor_parallel that divides tensor_parallel × data_parallel"
            given = f"{self.tensor_parallel} and {self.data_parallel}"
            raise MisfitError("expert_parallel", self.expert_parallel, f"{expected}, which are {given}")
        return self

    @model_validator(mode="after")
    def _check_chunks(self) -> Self:
        has_chunks = not {"prefill", "mixed"}.isdisjoint(self.phases)
        if self.query_length and not has_chunks:
            raise MisfitError("query_length", self.query_length, "none without the phase prefill or mixed")
        if "mixed" in self.phases and not self.query_length:
            raise MisfitError("query_length", self.query_length, "some with the phase mixed")
        if self.query_length and min(self.query_length) > max(self.sequence_length):
            raise MisfitError("query_length", self.query_length, self._limit_queries())
        return self

    @model_validator(mode="after")
    def _check_trees(self) -> Self:
        if self.trees and ("speculative" not in self.phases or set(MASKED).isdisjoint(self.conventions)):
            raise MisfitError("trees", self.trees, f"none without the phase speculative in {' or '.join(MASKED)}")
        counts = [*self.candidates, *map(sum, self.trees)]
        if self.trees and len(set(counts)) < len(set(self.candidates)) + len(self.trees):
            raise MisfitError(
                "trees", self.trees, f"one mask for a number of candidates, but chains and trees have {counts}"
            )
        if self.trees and min(map(sum, self.trees)) > max(self.sequence_length):
            raise MisfitError("trees", self.trees, self._limit_queries())
        return self

    def _limit_queries(self) -> str:
        return f"at most the longest of sequence_length = {self.sequence_length}"

    def _count_queries(self) -> int:
        candidates, chunks = len(self.candidates) + len(self.trees), len(self.query_length)
        return 1 + candidates + max(chunks, 1) + chunks * ("mixed" in self.phases)

    @model_validator(mode="after")
    def _limit_settings(self) -> Self:
        shapes = len(self.batch_size) * len(self.sequence_length) * self._count_queries()
        settings = shapes * len(self.conventions) * prod(len(getattr(self, name)) for name in SHARING)
        if settings > _MAX_SETTINGS:
            what = "batch_size × sequence_length × query_length × conventions × sharing"
            raise MisfitError(what, settings, f"at most {_MAX_SETTINGS} settings")
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
            **workload.model_dump(exclude={"batch_size", "sequence_length", "query_length", "origin", "license"}),
            "batch_sizes": workload.batch_size,
            "sequence_lengths": workload.sequence_length,
            "query_lengths": workload.query_length,
            "source_id": source.source_id,
        }
        for workload, source in workloads
    ]
    origins = [
        {"source_id": source.source_id, "origin": workload.origin, "license": workload.license}
        for workload, source in workloads
    ]
    numbers = pl.List(pl.Int64)
    lists = {
        "candidates": numbers, "query_lengths": numbers, "trees": pl.List(numbers), "models": pl.List(pl.String),
    }  # fmt: skip
    return {
        "workload": pl.DataFrame(rows, schema_overrides=lists),
        "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA),
    }


def refuse_unshared(workloads: pl.DataFrame, layers: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a workload spreads experts or layers, and no model of it can be shared so.

    Parameters
    ----------
    workloads
        Rows of core.workload.
    layers
        Result of `join_layers`.
    sources
        The files of the workloads.
    """
    paths = {source.source_id: source.path for source in sources}
    with collect_refusals() as each:
        for row in workloads.iter_rows(named=True):
            spread = {name: row[name] for name in ("expert_parallel", "pipeline_parallel") if max(row[name]) > 1}
            named = layers.filter(pl.col("model_id").is_in(row["models"])) if row["models"] else layers
            ways = _list_easiest(list_ways(**{name: row[name] for name in SHARING}))
            if spread and not named.is_empty() and share_evenly(named, ways).is_empty():
                with each():
                    given = ", ".join(f"{name} = {value}" for name, value in spread.items())
                    expected = "expected at most as many as a model of the workload has experts, or layers"
                    raise InputError(f"{paths[row['source_id']]}: {given}: no model can be shared so; {expected}")


def _list_easiest(ways: pl.DataFrame) -> pl.DataFrame:
    """Return, for each degree of tensor parallelism, the way that asks for the fewest experts and layers."""
    spread, devices = pl.col("expert_parallel"), pl.col("tensor_parallel")
    is_group = (spread % devices == 0) & (devices * pl.col("data_parallel") % spread == 0)
    fitting = ways.filter((spread == 1) | is_group)
    return fitting.sort(SHARING[1:]).unique("tensor_parallel", keep="first", maintain_order=True)


def refuse_unknown_names(
    workloads: pl.DataFrame, models: pl.DataFrame, precisions: pl.DataFrame, sources: Sequence[SourceFile]
) -> None:
    """Raise `InputError` if a workload is too large, has another's candidates, or names what no file describes.

    What it names are models and precisions.
    """
    _refuse_two_masks(workloads, {source.source_id: source.path for source in sources})
    paths = {source.source_id: source.path for source in sources}
    costs = pl.min_horizontal(pl.col("models").list.len().fill_null(len(models)), len(models)) * pl.sum_horizontal(
        pl.col(name).list.len() for name in ("phases", "candidates", "trees", "query_lengths")
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


def _refuse_two_masks(workloads: pl.DataFrame, paths: Mapping[str, object]) -> None:
    """Raise `InputError` if as many candidates are a tree in one workload, and a chain or another tree in another."""
    is_masked = pl.col("conventions").list.set_intersection(MASKED).list.len() > 0
    asked = workloads.filter(is_masked & pl.col("phases").list.contains("speculative"))
    counts = asked.select("source_id", "candidates").explode("candidates").drop_nulls()
    chains = {count: paths[source_id] for source_id, count in counts.iter_rows()}
    found: dict[int, tuple[list[int], object]] = {}
    with collect_refusals() as each:
        for source_id, trees in asked.select("source_id", "trees").iter_rows():
            for tree in trees:
                other, path = found.setdefault(sum(tree), (tree, paths[source_id]))
                if other != tree or sum(tree) in chains:
                    where = path if other != tree else chains[sum(tree)]
                    with each():
                        expected = f"expected the mask that {where} gives {sum(tree)} candidates"
                        raise InputError(f"{paths[source_id]}: trees = {tree}: {expected}, or another number of them")

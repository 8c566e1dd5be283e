"""Workload, precision and element-wise files (TOML) into the rows of their tables."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from flows.ingest.catalog import SourceFile
from flows.ingest.document import Count, Document, Id, Text, format_value, read_documents, refuse_duplicates
from flows.ingest.readers.hardware import Dtype
from warehouse.errors import InputError, collect_refusals

Bits = Annotated[float, Field(ge=1, le=64)]
PerElement = Annotated[float, Field(ge=0, le=10_000)]
Batches = Annotated[list[Annotated[Count, Field(le=10**6)]], Field(min_length=1)]
Lengths = Annotated[list[Annotated[Count, Field(le=10**8)]], Field(min_length=1)]
Candidates = list[Annotated[Count, Field(le=10**5)]]

_MAX_SETTINGS = 100_000
_MAX_COSTS = 1_000_000  # of a workload: settings, models and precisions together, each with a score of ops


class Workload(Document):
    """The settings that models are computed at: every combination of its lists."""

    workload_id: Id
    name: Text
    origin: Text
    license: Text | None = None
    phases: Annotated[list[Literal["prefill", "decode", "speculative"]], Field(min_length=1)]
    batch_size: Batches
    sequence_length: Lengths
    candidates: Candidates = Field(default_factory=list)
    conventions: Annotated[list[Literal["paper", "llm-viewer", "engine"]], Field(min_length=1)]
    precisions: Annotated[list[Id], Field(min_length=1)]
    tensor_parallel: Annotated[list[Literal[1, 2, 4, 8]], Field(min_length=1)] = Field(default=[1])
    models: Annotated[list[Id], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _require_candidates(self) -> Self:
        if "speculative" in self.phases and not self.candidates:
            raise ValueError("candidates beside the phase speculative")
        return self

    @model_validator(mode="after")
    def _limit_grid(self) -> Self:
        shapes = len(self.batch_size) * len(self.sequence_length) * (2 + len(self.candidates))
        settings = shapes * len(self.conventions) * len(self.tensor_parallel)
        if settings > _MAX_SETTINGS:
            raise ValueError(f"at most {_MAX_SETTINGS} settings, where these lists make {settings}")
        return self


class Precision(Document):
    """Bits of each operand, and the dtype of the arithmetic."""

    precision_id: Id
    weight_bits: Bits
    activation_bits: Bits
    kv_bits: Bits
    compute_dtype: Dtype
    origin: Text


class Elementwise(Document):
    """What an element of the output of an op costs."""

    kind: Literal[
        "softmax", "norm", "add", "rms_norm", "layer_norm", "rope", "residual_add", "embedding", "expert_sum",
        "silu_mul", "gelu_mul", "relu_mul", "silu", "gelu", "relu",
    ]  # fmt: skip
    flops_per_element: PerElement
    reads_per_element: PerElement
    writes_per_element: PerElement
    weight_reads_per_element: PerElement = 0
    origin: Text
    note: Text | None = None


class PrecisionFile(Document):
    """A list of precisions."""

    precision: list[Precision]


class ElementwiseFile(Document):
    """A list of element-wise costs."""

    elementwise: list[Elementwise]


def read_workloads(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `workload` (a row a file, its grid in lists) and `origin`.

    Raises
    ------
    InputError
        Files are broken, an id stands twice, or a value is missing, unknown or out of range.
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
        "origin": pl.DataFrame(origins, schema_overrides={"license": pl.String}),
    }


def read_precisions(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `precision` (a row a precision; of an id the last file's) and `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, PrecisionFile, each)
    files = [(document.precision, source) for document, source in documents]
    return {"precision": _keep_last_entries("precision_id", files), "origin": _list_origins(sources)}


def read_elementwise(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `elementwise` (a row a kind; of a kind the last file's) and `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, ElementwiseFile, each)
    files = [(document.elementwise, source) for document, source in documents]
    return {"elementwise": _keep_last_entries("kind", files), "origin": _list_origins(sources)}


def refuse_unknown_names(
    workloads: pl.DataFrame, models: pl.DataFrame, precisions: pl.DataFrame, sources: Sequence[SourceFile]
) -> None:
    """Raise `InputError` where a workload names a model or a precision that no file describes."""
    paths = {source.source_id: source.path for source in sources}
    costs = (
        pl.min_horizontal(pl.col("models").list.len().fill_null(len(models)), len(models))
        * (pl.col("phases").list.len() + pl.col("candidates").list.len())
        * pl.col("tensor_parallel").list.len()
    )
    for name in ("batch_sizes", "sequence_lengths", "conventions", "precisions"):
        costs = costs * pl.col(name).list.len()
    with collect_refusals() as each:
        for source_id, count in workloads.filter(costs > _MAX_COSTS).select("source_id", costs).iter_rows():
            with each():
                what = f"{count} settings, models and precisions; expected at most {_MAX_COSTS}"
                raise InputError(f"{paths[source_id]}: {what}")
        for field, known in (("models", models["model_id"]), ("precisions", precisions["precision_id"])):
            named = workloads.select("source_id", pl.col(field)).explode(field).drop_nulls()
            unknown = named.filter(~pl.col(field).is_in(known.to_list()))
            for source_id, name in unknown.unique("source_id", keep="first", maintain_order=True).iter_rows():
                with each():
                    expected = ", ".join(sorted(known))
                    raise InputError(f"{paths[source_id]}: {field} = {format_value(name)}: expected one of {expected}")


def _keep_last_entries(key: str, files: Sequence[tuple[Sequence[Document], SourceFile]]) -> pl.DataFrame:
    with collect_refusals() as each:
        for entries, source in files:
            with each():
                refuse_duplicates(((getattr(entry, key), source) for entry in entries), key)
    rows = [{**entry.model_dump(), "source_id": source.source_id} for entries, source in files for entry in entries]
    return pl.DataFrame(rows, infer_schema_length=None).unique(key, keep="last", maintain_order=True)


def _list_origins(sources: Sequence[SourceFile]) -> pl.DataFrame:
    rows = [{"source_id": s.source_id, "origin": "stated entry by entry", "license": None} for s in sources]
    return pl.DataFrame(rows, schema_overrides={"license": pl.String})

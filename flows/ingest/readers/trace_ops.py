"""Lists of ops in traces (TOML): where each has its operands among its inputs, and the formula of its cost."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, StringConstraints, model_validator

from flows.ingest.document import TEXT_PATTERN, Document, MisfitError, Text, list_origins, read_documents
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype
from warehouse.errors import InputError, collect_refusals

Position = Annotated[int, Field(ge=0, le=200)]
Dimension = Annotated[int, Field(ge=-8, le=7)]
OpName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=TEXT_PATTERN)]

Formula = Literal[
    "product",
    "fitted_product",
    "grouped_product",
    "attention",
    "attention_backward",
    "convolution",
    "convolution_backward",
    "elementwise",
    "rows",
    "uncounted",
]
_OF_PRODUCTS = frozenset({
    "left", "right", "right_rows", "result", "result_dtype", "added", "beta", "also_read", "dtype", "elements_per_byte",
    "takes_vectors", "sums_batches", "n_from", "groups_of_rows", "left_transposed", "right_transposed", "byte_dtype",
})  # fmt: skip
_OF_ATTENTION = frozenset({
    "query", "key", "value", "heads", "causal", "not_causal", "causal_values", "aligns_ends", "mask", "windows",
    "lengths", "sequences", "longest_query", "longest_key", "result", "also_read",
})  # fmt: skip
_OF_CONVOLUTION = frozenset({
    "input", "weight", "bias", "stride", "padding", "dilation", "transposed", "is_transposed", "output_padding",
    "groups", "gradient", "gradients",
})  # fmt: skip
_OF_ELEMENTS = frozenset({
    "reads", "written", "flops_per_element", "reduces", "result", "result_dtype", "also_read", "not_if", "also_written",
    "gradients",
})  # fmt: skip
_FIELDS: Mapping[str, frozenset[str]] = {
    "product": _OF_PRODUCTS,
    "fitted_product": frozenset(),
    "grouped_product": _OF_PRODUCTS,
    "attention": _OF_ATTENTION,
    "attention_backward": _OF_ATTENTION,
    "convolution": _OF_CONVOLUTION,
    "convolution_backward": _OF_CONVOLUTION,
    "elementwise": _OF_ELEMENTS,
    "rows": frozenset({"table", "index", "dimension"}),
    "uncounted": frozenset(),
}


class TraceOp(Document):
    """Where ops of a trace have their operands; positions count their inputs from 0."""

    names: Annotated[list[OpName], Field(min_length=1, max_length=200)]
    formula: Formula
    origin: Text
    note: Text | None = None

    left: Position = 0
    right: Position = 1
    right_rows: Literal["k", "n"] = "k"
    result: Position | None = None
    result_dtype: Dtype | None = None
    added: Position | None = None
    beta: Position | None = None
    also_read: list[Position] = Field(default_factory=list)
    dtype: Dtype | None = None
    elements_per_byte: Literal[1, 2] = 1
    takes_vectors: bool = False
    sums_batches: bool = False
    n_from: tuple[Position, Dimension] | None = Field(default=None, strict=False)
    groups_of_rows: Position | None = None
    left_transposed: Position | None = None
    right_transposed: Position | None = None
    byte_dtype: Dtype | None = None

    query: Position = 0
    key: Position = 1
    value: Position = 2
    heads: Literal["before tokens", "after tokens"] = "before tokens"
    causal: list[Position] = Field(default_factory=list)
    not_causal: str = "False"
    causal_values: list[str] = Field(default_factory=lambda: ["True"])
    aligns_ends: bool = False
    mask: Position | None = None
    windows: list[Position] = Field(default_factory=list)
    lengths: list[Position] | None = None
    sequences: Position | None = None
    longest_query: Position | None = None
    longest_key: Position | None = None

    input: Position = 0
    weight: Position = 1
    bias: Position | None = None
    stride: Position | None = None
    padding: Position | None = None
    dilation: Position | None = None
    transposed: Position | None = None
    is_transposed: bool = False
    output_padding: Position | None = None
    groups: Position | None = None
    gradient: Position | None = None
    gradients: Position | None = None

    reads: list[Position] = Field(default_factory=lambda: [0])
    written: Position | None = None
    flops_per_element: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.0
    reduces: Position | None = None
    not_if: Position | None = None
    also_written: list[Position] = Field(default_factory=list)

    table: Position = 0
    index: Position = 1
    dimension: Position | None = None

    @model_validator(mode="after")
    def _has_fields_of_its_formula(self) -> Self:
        others = self.model_fields_set - _FIELDS[self.formula] - {"names", "formula", "origin", "note"}
        if others:
            field = min(others)
            known = ", ".join(sorted(_FIELDS[self.formula]))
            raise MisfitError(field, getattr(self, field), f"a field of {self.formula}: {known}")
        if self.formula == "convolution_backward" and self.gradient is None:
            raise MisfitError("gradient", None, "the position of the gradient of the output")
        if self.formula == "elementwise" and not self.reads and self.written is None:
            raise MisfitError("written", None, "the position of the tensor that is written, as none is read")
        if self.formula == "uncounted" and self.note is None:
            raise MisfitError("note", None, "why the op cannot be counted")
        return self

    @property
    def is_pass(self) -> bool:
        """Whether it passes over tensors, so that it belongs to a product or attention around it."""
        return self.formula in ("elementwise", "rows")


class TraceOpFile(Document):
    """A list of ops."""

    op: list[TraceOp]


class TraceOps:
    """The ops that are known, by name; a name may have ``*`` for any letters."""

    def __init__(self, ops: Mapping[str, TraceOp]) -> None:
        self.names = tuple(ops)
        self.counted = tuple(name for name, op in ops.items() if op.formula != "uncounted")
        self._exact = {name: op for name, op in ops.items() if "*" not in name}
        patterns = [(name, op) for name, op in ops.items() if "*" in name]
        self._patterns = [(re.compile(translate(re.sub(r"([?\[])", r"[\1]", name))), op) for name, op in patterns]
        self._found: dict[str, TraceOp | None] = {}

    def find(self, name: str) -> TraceOp | None:
        """Return the op of a name, or None; an exact name comes before a pattern, a later pattern before others."""
        if name in self._exact:
            return self._exact[name]
        if not self._patterns:
            return None
        if name not in self._found:
            if len(self._found) > _MAX_NAMES:
                self._found.clear()
            matching = (op for pattern, op in reversed(self._patterns) if pattern.match(name))
            self._found[name] = next(matching, None)
        return self._found[name]


_MAX_NAMES = 10_000


def read_trace_ops(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `trace_op` (one row per name and formula) and `origin`; the last file that has a name wins."""
    ops = _merge(sources)
    rows = [{"name": name, "formula": op.formula, "origin": op.origin} for name, op in ops.items()]
    schema = dict.fromkeys(("name", "formula", "origin"), pl.String)
    return {"trace_op": pl.DataFrame(rows, schema=schema), "origin": list_origins(sources)}


def load_trace_ops(sources: Sequence[SourceFile]) -> TraceOps:
    """Return the ops that the catalog knows.

    Raises
    ------
    InputError
        A file of the kind is broken.
    """
    return TraceOps(_merge([source for source in sources if source.kind == "trace_ops"]))


def _merge(sources: Sequence[SourceFile]) -> dict[str, TraceOp]:
    with collect_refusals() as each:
        documents = read_documents(sources, TraceOpFile, each)
        for document, source in documents:
            with each():
                _refuse_repeated(document, source.path)
    return {name: op for document, _ in documents for op in document.op for name in op.names}


def _refuse_repeated(document: TraceOpFile, path: Path) -> None:
    seen: set[str] = set()
    for op in document.op:
        for name in op.names:
            if name in seen:
                raise InputError(f"{path}: names: {name} stands twice; expected it once")
            seen.add(name)

"""Lists of precisions (TOML) into the rows of core.precision and of core.precision_part."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Field

from flows.ingest.document import Document, Id, MisfitError, Text, list_origins, merge_lists, read_documents
from flows.ingest.published import Rule
from flows.ingest.source_file import SourceFile
from flows.intensity.precisions import PART_SCHEMA
from flows.intensity.terms import PARTS, Dtype
from warehouse.errors import collect_refusals

Bits = Annotated[float, Field(ge=1, le=64)]
ScaleBits = Annotated[float, Field(ge=0, le=64)]

# Keys of conditions that are no keys of a config, of which a config has one at most.
_OF_PARTS = ("kept", "quantized")


def _check_conditions(conditions: dict[str, Any]) -> dict[str, Any]:
    for key, value in conditions.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        for each in inner.values():
            if not all(map(_is_scalar, each if isinstance(each, list) else [each])):
                raise MisfitError(key, value, "a word, a number, true or false, a list of them, or a table of these")
    for key in _OF_PARTS:
        parts = conditions.get(key, [])
        if not (parts in ("none", "any") if isinstance(parts, str) else set(parts) <= set(PARTS)):
            raise MisfitError(key, parts, f'"none", "any", or a list of some of {", ".join(PARTS)}')
    if {*_OF_PARTS} <= {*conditions}:
        raise MisfitError("kept", conditions["kept"], "either kept or quantized")
    if "dtype" in conditions and len(conditions) > 1:
        raise MisfitError("dtype", conditions["dtype"], "no other condition beside it: it is of configs without any")
    return conditions


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _make_list(published_as: object) -> object:
    return [published_as] if isinstance(published_as, Mapping) else published_as


# How configs spell a precision: a set of conditions, or a list of sets.
Conditions = Annotated[dict[Text, Any], Field(min_length=1), AfterValidator(_check_conditions)]
Spellings = Annotated[list[Conditions], BeforeValidator(_make_list)]

# Engines keep residuals, norms and what devices exchange in at least these bits.
_KEPT_BITS = 16


class OfPart(Document):
    """What a part of a model has instead of the default."""

    weight_bits: Bits | None = None
    activation_bits: Bits | None = None
    compute_dtype: Dtype | None = None
    row_scale_bits: ScaleBits | None = None


class Precision(Document):
    """Bits of each operand, the dtype of the arithmetic, and the parts of a model that differ."""

    precision_id: Id
    weight_bits: Bits
    activation_bits: Bits
    kv_bits: Bits
    compute_dtype: Dtype
    origin: Text
    vector_bits: Bits | None = None
    row_scale_bits: ScaleBits = 0
    state_bits: Bits | None = None
    residual_bits: Bits | None = None
    attention: OfPart | None = None
    scores: OfPart | None = None
    recurrence: OfPart | None = None
    mlp: OfPart | None = None
    experts: OfPart | None = None
    shared_experts: OfPart | None = None
    router: OfPart | None = None
    lm_head: OfPart | None = None
    embedding: OfPart | None = None
    norm: OfPart | None = None
    elementwise: OfPart | None = None
    exchange: OfPart | None = None
    tower: OfPart | None = None
    published_as: Spellings = Field(default_factory=list, exclude=True)


class PrecisionFile(Document):
    """A list of precisions."""

    precision: list[Precision]


def read_precisions(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `precision` (one row per precision; the last file that has an id wins), its parts, `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, PrecisionFile, each)
    stated = merge_lists("precision_id", [(document.precision, source) for document, source in documents])
    # the products of queries with keys and values are those of the attention around them, unless set apart
    parts = [
        {"precision_id": row["precision_id"], "part": part, **of_part}
        for row in stated.iter_rows(named=True)
        for part in PARTS
        if (of_part := row[part] or (row["attention"] if part == "scores" else None))
    ]
    kept = pl.max_horizontal("activation_bits", pl.lit(_KEPT_BITS))
    precision = stated.drop(PARTS).with_columns(
        pl.col("vector_bits", "row_scale_bits", "state_bits").cast(pl.Float64),
        residual_bits=pl.coalesce("residual_bits", kept).cast(pl.Float64),
    )
    return {
        "precision": precision,
        "precision_part": pl.DataFrame(parts, PART_SCHEMA),
        "origin": list_origins(sources),
    }


@lru_cache(maxsize=8)
def read_published_rules(sources: tuple[SourceFile, ...]) -> list[Rule]:
    """Return how configs spell the precisions; of two that a config spells alike, the later one counts.

    Raises
    ------
    InputError
        Files are broken.
    """
    with collect_refusals() as each:
        documents = read_documents(sources, PrecisionFile, each)
    stated = {precision.precision_id: precision.published_as for of, _ in documents for precision in of.precision}
    return [
        Rule.from_conditions(precision_id, conditions)
        for precision_id, published_as in stated.items()
        for conditions in published_as
    ]

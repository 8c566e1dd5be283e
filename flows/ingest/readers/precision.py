"""Lists of precisions (TOML) into the rows of core.precision and of core.precision_part."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import polars as pl
from pydantic import Field

from flows.ingest.document import Document, Id, Text, list_origins, merge_lists, read_documents
from flows.ingest.published import Rule
from flows.ingest.source_file import SourceFile
from flows.intensity.precisions import PART_SCHEMA
from flows.intensity.terms import PARTS, Dtype
from warehouse.errors import collect_refusals

Bits = Annotated[float, Field(ge=1, le=64)]
Scalar = bool | int | float | Text
Asked = Scalar | list[Scalar]
Conditions = Annotated[dict[Text, Asked | dict[Text, Asked]], Field(min_length=1)]
ScaleBits = Annotated[float, Field(ge=0, le=64)]

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
    published_as: Conditions | list[Conditions] = Field(default_factory=list, exclude=True)


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
        for conditions in (published_as if isinstance(published_as, list) else [published_as])
    ]

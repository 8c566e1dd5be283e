"""Lists of precisions (TOML) into the rows of core.precision."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import polars as pl
from pydantic import Field

from flows.ingest.document import Document, Id, Text, list_origins, merge_lists, read_documents
from flows.ingest.published import Rule
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype
from warehouse.errors import collect_refusals

Bits = Annotated[float, Field(ge=1, le=64)]
Scalar = bool | int | float | Text
Conditions = Annotated[dict[Text, Scalar | list[Scalar]], Field(min_length=1)]


class Precision(Document):
    """Bits of each operand, and the dtype of the arithmetic."""

    precision_id: Id
    weight_bits: Bits
    activation_bits: Bits
    kv_bits: Bits
    compute_dtype: Dtype
    origin: Text
    published_as: Conditions | list[Conditions] = Field(default_factory=list, exclude=True)


class PrecisionFile(Document):
    """A list of precisions."""

    precision: list[Precision]


def read_precisions(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `precision` (one row per precision; the last file that has an id wins) and `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, PrecisionFile, each)
    lists = [(document.precision, source) for document, source in documents]
    return {"precision": merge_lists("precision_id", lists), "origin": list_origins(sources)}


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

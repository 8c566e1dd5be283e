"""Lists of precisions (TOML) into the rows of core.precision."""

from collections.abc import Sequence
from typing import Annotated

import polars as pl
from pydantic import Field

from flows.ingest.document import Document, Id, Text, list_origins, merge_lists, read_documents
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype
from warehouse.errors import collect_refusals

Bits = Annotated[float, Field(ge=1, le=64)]


class Precision(Document):
    """Bits of each operand, and the dtype of the arithmetic."""

    precision_id: Id
    weight_bits: Bits
    activation_bits: Bits
    kv_bits: Bits
    compute_dtype: Dtype
    origin: Text


class PrecisionFile(Document):
    """A list of precisions."""

    precision: list[Precision]


def read_precisions(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `precision` (one row per precision; the last file that has an id wins) and `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, PrecisionFile, each)
    lists = [(document.precision, source) for document, source in documents]
    return {"precision": merge_lists("precision_id", lists), "origin": list_origins(sources)}

"""Lists of element-wise costs (TOML) into the rows of core.elementwise."""

from collections.abc import Sequence
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from flows.ingest.document import Document, Text, list_origins, merge_lists, read_documents
from flows.ingest.source_file import SourceFile
from warehouse.errors import collect_refusals

PerElement = Annotated[float, Field(ge=0, le=10_000)]


class Elementwise(Document):
    """What an op costs per element of its output."""

    kind: Literal[
        "softmax", "norm", "add", "rms_norm", "layer_norm", "rope", "residual_add", "embedding", "expert_sum",
        "silu_mul", "gelu_mul", "relu_mul", "relu2_mul", "silu", "gelu", "relu", "relu2", "xielu",
    ]  # fmt: skip
    flops_per_element: PerElement
    reads_per_element: PerElement
    writes_per_element: PerElement
    weight_reads_per_element: PerElement = 0
    origin: Text
    note: Text | None = None


class ElementwiseFile(Document):
    """A list of element-wise costs."""

    elementwise: list[Elementwise]


def read_elementwise(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `elementwise` (one row per kind of op; the last file that has a kind wins) and `origin`."""
    with collect_refusals() as each:
        documents = read_documents(sources, ElementwiseFile, each)
    lists = [(document.elementwise, source) for document, source in documents]
    return {"elementwise": merge_lists("kind", lists), "origin": list_origins(sources)}

"""Lists of element-wise costs and kernels (TOML) into the rows of core.elementwise and core.op_kernel."""

from collections.abc import Sequence
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from flows.ingest.document import Document, Id, Text, list_origins, merge_lists, read_documents
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import DTYPES, PHASES, Dtype, Fusion, Phase
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


class OpKernel(Document):
    """What runs for an op in a step, where that is not one kernel of its kind."""

    fusion: Fusion
    kind: Id
    phases: list[Phase] = Field(default_factory=lambda: list(PHASES))
    dtypes: list[Dtype] = Field(default_factory=lambda: list(DTYPES))
    place: Literal[1, 2] = 1
    is_op: bool
    runs: Id
    times: Annotated[float, Field(ge=0, le=1000)]
    kernels: Annotated[float, Field(ge=0, le=1000)] = 1
    bytes_factor: PerElement = 0
    activation_factor: PerElement = 0
    token_factor: PerElement = 0
    input_factor: PerElement = 0
    origin: Text
    note: Text | None = None


class ElementwiseFile(Document):
    """A list of element-wise costs, and one of kernels."""

    elementwise: list[Elementwise]
    op_kernel: list[OpKernel] = Field(default_factory=list)


_KERNEL_KEY = ["fusion", "kind", "phase", "dtype", "place"]
_KERNEL_SCHEMA = {
    **dict.fromkeys(_KERNEL_KEY, pl.String),
    "place": pl.Int64,
    "is_op": pl.Boolean,
    "runs": pl.String,
    **dict.fromkeys(("times", "kernels"), pl.Float64),
    **dict.fromkeys(("bytes_factor", "activation_factor", "token_factor", "input_factor"), pl.Float64),
    **dict.fromkeys(("origin", "note", "source_id"), pl.String),
}


def read_elementwise(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `elementwise` (a row per kind of op), `op_kernel` (a row per key) and `origin`.

    The last file that has a key wins.
    """
    with collect_refusals() as each:
        documents = read_documents(sources, ElementwiseFile, each)
    lists = [(document.elementwise, source) for document, source in documents]
    kernels = [
        {
            **kernel.model_dump(exclude={"phases", "dtypes"}),
            "phase": phase,
            "dtype": dtype,
            "source_id": source.source_id,
        }
        for document, source in documents
        for kernel in document.op_kernel
        for phase in kernel.phases
        for dtype in kernel.dtypes
    ]
    return {
        "elementwise": merge_lists("kind", lists),
        "op_kernel": pl.DataFrame(kernels, schema=_KERNEL_SCHEMA).unique(_KERNEL_KEY, keep="last", maintain_order=True),
        "origin": list_origins(sources),
    }

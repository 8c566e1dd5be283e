"""A small sweep, and what a reader sees of it."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from flows.ingest.catalog import SHIPPED
from flows.ingest.kinds import read_kind
from flows.intensity.shapes import join_layers
from flows.sweep.grid import Inputs, Part
from flows.sweep.request import Request
from tests.support.inputs import make_source
from warehouse.home import Home
from warehouse.snapshot import open_snapshot
from warehouse.sweeps.registry import PartFile

SMALL = Request("small", ["llama-7b"], batch="1,2", sequence="128,256", rows_per_part=40)
KEY = [
    "model_id", "convention", "phase", "batch_size", "sequence_length", "query_length", "tensor_parallel", "op",
    "precision_id", "expert_parallel", "pipeline_parallel", "data_parallel",
]  # fmt: skip
COST = ["flops", "weight_bytes", "activation_bytes", "kv_bytes", "bytes", "intensity_flops_per_byte"]


def query_snapshot(home: Home, sql: str) -> list[tuple[object, ...]]:
    """Return what a reader of the published snapshot sees."""
    with open_snapshot(home.snapshot) as connection:
        return connection.sql(sql).fetchall()


@cache
def read_shipped_inputs() -> Inputs:
    """Return the shipped models, precisions and elementwise costs without a warehouse."""
    models = [make_source(path, "model") for path in sorted((SHIPPED / "models").glob("*.json"))]
    architectures = [make_source(path, "architecture") for path in sorted((SHIPPED / "architectures").glob("*.toml"))]
    frames = {**read_kind("model", [*architectures, *models])}
    for kind, file in (("precision", "precisions.toml"), ("elementwise", "elementwise.toml")):
        frames |= read_kind(kind, [make_source(SHIPPED / file, kind)])
    model, layer_group, *others = (
        frames[name].collect() for name in ("model", "layer_group", "precision", "elementwise", "precision_part")
    )
    return Inputs(join_layers(model, layer_group), *others)


def interrupt_after(after: int) -> Callable[..., Iterator[PartFile]]:
    """Return a runner that is interrupted after so many parts."""

    def run(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> Iterator[PartFile]:
        yield from map(work, parts[:after])
        raise KeyboardInterrupt

    return run

"""What reads each kind of input file, and the tables that come of it."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.ingest.readers import calibration, gallery, hardware, measurement, model, ops, workload
from flows.intensity.shapes import add_parameters
from warehouse.errors import InputError, collect_refusals

_MOST_WEIGHTS = 1e16

Frames = Mapping[str, pl.LazyFrame]
_Reader = Callable[[Sequence[SourceFile]], Mapping[str, pl.DataFrame] | Frames]


def _read_models(sources: Sequence[SourceFile]) -> Mapping[str, pl.DataFrame]:
    frames = model.read_models(sources)
    with_counts = add_parameters(frames["model"])
    # widths that are absurd together overflow the count
    size = pl.col("hidden_size").cast(pl.Float64) * (
        pl.col("vocab_size") + pl.col("num_layers") * pl.col("intermediate_size") * pl.col("num_experts").fill_null(1)
    )
    too_large = with_counts.filter(size > _MOST_WEIGHTS).select("model_id", "source_id")
    with collect_refusals() as each:
        for model_id, source_id in too_large.iter_rows():
            with each():
                path = next(source.path for source in sources if source.source_id == source_id)
                what = f"{model_id} has more than {_MOST_WEIGHTS:.0e} weights"
                raise InputError(f"{path}: {what}; expected a model that can be")
    return {**frames, "model": with_counts}


READERS: Mapping[str, tuple[_Reader, Sequence[str]]] = {
    "hardware": (hardware.read_hardware, ["hardware", "ceiling", "relative"]),
    "model": (_read_models, ["model"]),
    "workload": (workload.read_workloads, ["workload"]),
    "precision": (workload.read_precisions, ["precision"]),
    "elementwise": (workload.read_elementwise, ["elementwise"]),
    "ops": (ops.read_ops, ["op_set", "op"]),
    "measurement": (measurement.read_measurements, ["measurement"]),
    "calibration": (calibration.read_calibrations, ["fitted"]),
    "gallery": (gallery.read_gallery, ["own_chart"]),
}


def read_kind(kind: str, sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of the files of one kind, one of them with the files' origins."""
    read, _ = READERS[kind]
    frames = read([source for source in sources if source.kind == kind])
    return {name: frame.lazy() for name, frame in frames.items()}


def read_every_kind(sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of files of every kind.

    Raises
    ------
    InputError
        Files cannot be used: a line for each.
    """
    frames: dict[str, pl.LazyFrame] = {}
    with collect_refusals() as each:
        for kind in READERS:
            with each():
                frames |= read_kind(kind, sources)
    return frames


def refuse_unknown_names(frames: Frames, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a file names what no other file describes, or takes a name that is taken."""
    names = ("model", "precision", "workload", "op", "op_set")
    models, precisions, workloads, own, op_sets = (frames[name].collect() for name in names)
    with collect_refusals() as each:
        with each():
            workload.refuse_unknown_names(workloads, models, precisions, sources)
        with each():
            ops.refuse_unknown_precisions(own, precisions, sources)
        with each():
            ops.refuse_names_of_models(op_sets, models, sources)

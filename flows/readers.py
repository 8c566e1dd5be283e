"""What reads each kind of input file, and the tables that come of it."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from flows.ingest import calibration, hardware, measurement, model, ops, workload
from flows.ingest.catalog import SourceFile
from flows.intensity.shapes import with_parameters

Frames = Mapping[str, pl.DataFrame]


def _read_models(sources: Sequence[SourceFile]) -> Frames:
    frames = model.read_models(sources)
    return {**frames, "model": with_parameters(frames["model"])}


READERS: Mapping[str, tuple[Callable[[Sequence[SourceFile]], Frames], Sequence[str]]] = {
    "hardware": (hardware.read_hardware, ["hardware", "ceiling", "relative"]),
    "model": (_read_models, ["model"]),
    "workload": (workload.read_workloads, ["workload"]),
    "precision": (workload.read_precisions, ["precision"]),
    "elementwise": (workload.read_elementwise, ["elementwise"]),
    "ops": (ops.read_ops, ["op_set", "op"]),
    "measurement": (measurement.read_measurements, ["measurement", "measured_ceiling"]),
    "calibration": (calibration.read_calibrations, ["fitted"]),
}


def read_kind(kind: str, sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of the files of one kind, one of them with the files' origins."""
    read, _ = READERS[kind]
    return read([source for source in sources if source.kind == kind])


def refuse_unknown_names(frames: Frames, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a file names what no other file describes, or takes a name that is taken."""
    models, precisions = frames["model"], frames["precision"]
    workload.refuse_unknown_names(frames["workload"], models, precisions, sources)
    ops.refuse_unknown_precisions(frames["op"], precisions, sources)
    ops.refuse_names_of_models(frames["op_set"], models, sources)


def refuse_unknown_devices(frames: Frames, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a measurement names a device that no file describes."""
    measurement.refuse_unknown_devices(frames["measurement"], frames["hardware"], sources)

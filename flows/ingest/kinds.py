"""The kinds of input files, one row per kind: where its files lie, what reads them, what to recognize them by.

A new kind is a reader module and a row in `CATALOG_KINDS` or `PROFILE_KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import polars as pl

from flows.ingest.file_head import FileHead, read_file_head
from flows.ingest.foreign_configs import describe_file
from flows.ingest.limits import MAX_BYTES
from flows.ingest.profiles import (
    advisor,
    aiconfigurator,
    ert,
    likwid,
    nccl_tests,
    nsight,
    nsys,
    rocprof_compute,
    torch_profiler,
    tracelens,
    vidur,
)
from flows.ingest.profiles.plain_text import begins_like
from flows.ingest.readers import (
    architecture,
    calibration,
    device_table,
    elementwise,
    engine,
    engine_setting,
    gallery,
    hardware,
    measurement,
    model,
    ops,
    precision,
    step,
    trace_ops,
    workload,
)
from flows.ingest.source_file import SourceFile
from flows.intensity.shapes import join_layers
from warehouse.errors import InputError, collect_refusals

Frames = Mapping[str, pl.LazyFrame]
Reader = Callable[[Sequence[SourceFile]], Mapping[str, pl.DataFrame] | Frames]
# profile, hardware_id, model_id -> rows with the columns of a measurement file
ProfileReader = Callable[[SourceFile, str, str | None], pl.DataFrame | pl.LazyFrame]


@dataclass(frozen=True)
class CatalogKind:
    """A kind of file that a catalog holds.

    Attributes
    ----------
    patterns
        Where its files lie in a catalog: one file per entry in a folder, or one file with a list of entries.
    read
        Reads all files of the kind into frames, one of them `origin`.
    frames
        Names of the other frames.
    id_field
        Field that holds the id of an entry; without one, the name of the file is the id.
    max_bytes
        Largest size of a file; None if files are read in batches.
    recognizes
        Whether a file in HOME/incoming is of this kind.
    needs
        The kinds whose files its reader needs too; its own if the files of an entry build on those of others.
    converters
        Suffix of a file that `rooflines ingest` also takes -> returns id and content of the entries in it.
    """

    patterns: tuple[str, ...]
    read: Reader
    frames: tuple[str, ...]
    id_field: str | None = None
    max_bytes: int | None = MAX_BYTES
    recognizes: Callable[[FileHead], bool] = lambda _: False
    needs: tuple[str, ...] = ()
    converters: Mapping[str, Callable[[SourceFile], list[tuple[str, str]]]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Folder of a catalog that holds the files; "" if they lie in the catalog itself."""
        return self.patterns[0].rpartition("/")[0]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files."""
        return tuple(PurePosixPath(pattern).suffix for pattern in self.patterns)

    @property
    def has_file_per_entry(self) -> bool:
        """Whether each entry has its own file; or else one file lists them all."""
        return bool(self.folder)


@dataclass(frozen=True)
class ProfileKind:
    """A format of measurements that another program writes; `rooflines ingest` converts it.

    Attributes
    ----------
    read
        Converts one file.
    recognizes
        Whether a file in HOME/incoming is of this kind.
    is_parquet
        Whether its files are Parquet, for which polars prints panics.
    file_names
        Files to look for if a folder is given; none if the kind takes no folders.
    takes_model
        Whether its rows name a model.
    searches
        Whether a file that its beginning does not tell is of this kind; reads it as far as needed.
    reads_utf_16
        Whether its text may be in UTF-16, as PowerShell writes the output of a command.
    find_device
        Returns the hardware_id that a file names, if it names one; the column `device_name` of its rows says more.
    find_capabilities
        Returns the compute capabilities that a file states.
    prepare
        Returns the converter that knows what a catalog says of the format; by default `read`.
    name_parts
        Returns what distinguishes a file from others of its device; by default the names of folder and file.
    """

    read: ProfileReader
    recognizes: Callable[[FileHead], bool]
    is_parquet: bool = False
    file_names: tuple[str, ...] = ()
    takes_model: bool = True
    searches: Callable[[Path], bool] = lambda _: False
    reads_utf_16: bool = False
    find_device: Callable[[SourceFile], str | None] = lambda _: None
    find_capabilities: Callable[[SourceFile], tuple[str, ...]] = lambda _: ()
    prepare: Callable[[Sequence[SourceFile]], ProfileReader] | None = None
    name_parts: Callable[[SourceFile], tuple[str, ...]] = lambda source: (source.path.parent.name, source.path.stem)


# what each format of results begins with
_RESULT_COLUMNS = ({"engine", "tpot_s"}, {"silicon_ttft_ms", "silicon_tpot_ms"}, {"n_gen", "avg_ns"}, {"test", "t/s"})
_RESULT_KEYS = (
    ("completed", "total_input_tokens"), ("avg_latency", "latencies"), ("elapsed_time", "tokens_per_second"),
    ("prefill_latency", "input_len"), ("successful_requests", "total_latency"), ("hw", "conc"), ("n_gen", "avg_ns"),
    ("time_to_first_token", "request_latency"), ("benchmarks", "strategy"),
)  # fmt: skip


def _is_engine_result(head: FileHead) -> bool:
    return any(columns <= head.columns for columns in _RESULT_COLUMNS) or any(
        all(head.has_json_key(key) for key in keys) for keys in _RESULT_KEYS
    )


CATALOG_KINDS: Mapping[str, CatalogKind] = {
    "hardware": CatalogKind(
        patterns=("hardware/*.toml",),
        read=hardware.read_hardware,
        frames=("hardware", "ceiling", "relative"),
        id_field="hardware_id",
        recognizes=lambda head: "hardware_id" in head.keys or {"hardware_id", "short_name"} <= head.columns,
        converters={".csv": device_table.read_device_table},
    ),
    "architecture": CatalogKind(
        patterns=("architectures/*.toml",),
        read=architecture.read_architecture_files,
        frames=("architecture",),
        needs=("architecture",),
        recognizes=lambda head: {"classes", "origin"} <= head.keys,
    ),
    "model": CatalogKind(
        patterns=("models/*.json",),
        read=model.read_counted_models,
        frames=("model", "layer_group"),
        needs=("architecture", "precision"),
        recognizes=lambda head: head.has_json_key("model_type") or head.has_json_key("architectures"),
        max_bytes=5_000_000,  # some configs give every module its quantization
    ),
    "workload": CatalogKind(
        patterns=("workloads/*.toml",),
        read=workload.read_workloads,
        frames=("workload",),
        id_field="workload_id",
        recognizes=lambda head: "workload_id" in head.keys,
    ),
    "precision": CatalogKind(
        patterns=("precisions.toml",),
        read=precision.read_precisions,
        frames=("precision", "precision_part"),
    ),
    "elementwise": CatalogKind(
        patterns=("elementwise.toml",),
        read=elementwise.read_elementwise,
        frames=("elementwise", "op_kernel"),
    ),
    "trace_ops": CatalogKind(
        patterns=("trace_ops.toml",),
        read=trace_ops.read_trace_ops,
        frames=("trace_op",),
    ),
    "ops": CatalogKind(
        patterns=("ops/*.csv", "ops/*.json", "ops/*.parquet"),
        read=ops.read_ops,
        frames=("op_set", "op"),
        max_bytes=50_000_000,
        recognizes=lambda head: head.json.lstrip().startswith("[") or {"name", "group"} <= head.columns,
    ),
    "measurement": CatalogKind(
        patterns=("measurements/*.csv", "measurements/*.parquet"),
        read=measurement.read_measurements,
        frames=("measurement", "counter_ceiling"),
        max_bytes=None,
        recognizes=measurement.is_measurement,
    ),
    "step": CatalogKind(
        patterns=("measurements/steps/*.csv",),
        read=step.read_steps,
        frames=("timed_step",),
        recognizes=lambda head: {"latency_s", "precision_id"} <= head.columns,
    ),
    "engine": CatalogKind(
        patterns=("measurements/engines/*.csv",),
        read=engine.read_engine_results,
        frames=("serving_run",),
        max_bytes=50_000_000,  # some results keep the times of every token
        recognizes=_is_engine_result,
    ),
    "engine_setting": CatalogKind(
        patterns=("engines.toml",),
        read=engine_setting.read_engine_settings,
        frames=("engine",),
    ),
    "calibration": CatalogKind(
        patterns=("calibrations.toml",),
        read=calibration.read_calibrations,
        frames=("fitted", "step_calibration"),
    ),
    "gallery": CatalogKind(
        patterns=("gallery.toml",),
        read=gallery.read_gallery,
        frames=("own_chart",),
    ),
}

PROFILE_KINDS: Mapping[str, ProfileKind] = {
    "vidur": ProfileKind(
        read=vidur.read_vidur,
        recognizes=lambda head: any(column.startswith("time_stats.") for column in head.columns),
    ),
    "aiconfigurator": ProfileKind(
        read=aiconfigurator.read_aiconfigurator,
        recognizes=lambda head: {"latency", "framework"} <= head.columns,
        is_parquet=True,
        file_names=aiconfigurator.TABLES,
        takes_model=False,
        find_device=aiconfigurator.find_device,
        name_parts=aiconfigurator.name_parts,
    ),
    "nsight": ProfileKind(
        read=nsight.read_nsight,
        recognizes=lambda head: "Kernel Name" in head.columns,
        find_capabilities=nsight.find_capabilities,
        searches=nsight.has_table,
        reads_utf_16=True,
    ),
    "torch-profiler": ProfileKind(
        read=torch_profiler.read_torch_profiler,
        recognizes=torch_profiler.is_trace,
        prepare=torch_profiler.prepare,
    ),
    "rocprof-compute": ProfileKind(
        read=rocprof_compute.read_rocprof_compute,
        recognizes=lambda head: rocprof_compute.is_rocprof_compute(head.columns),
    ),
    "tracelens": ProfileKind(
        read=tracelens.read_tracelens,
        recognizes=lambda head: {tracelens.NAME, *tracelens.SIZES.values()} <= head.columns,
    ),
    "likwid": ProfileKind(
        read=likwid.read_likwid,
        recognizes=lambda _: False,
        searches=begins_like(likwid.is_likwid),
        takes_model=False,
    ),
    "advisor": ProfileKind(
        read=advisor.read_advisor,
        recognizes=lambda _: False,
        searches=begins_like(advisor.is_advisor),
        takes_model=False,
    ),
    "ert": ProfileKind(
        read=ert.read_ert,
        recognizes=lambda _: False,
        searches=begins_like(ert.is_ert),
        takes_model=False,
    ),
    "nccl-tests": ProfileKind(
        read=nccl_tests.read_nccl_tests,
        recognizes=lambda _: False,
        searches=begins_like(nccl_tests.is_nccl_tests),
        takes_model=False,
    ),
    "nsys": ProfileKind(
        read=nsys.read_nsys,
        recognizes=lambda _: False,
        searches=nsys.is_nsys,
        takes_model=False,
    ),
}

# Kinds that `rooflines ingest` takes; lists of entries are edited by hand.
INGESTED_KINDS = (*(name for name, kind in CATALOG_KINDS.items() if kind.has_file_per_entry), *PROFILE_KINDS)


def recognize_kind(path: Path) -> str:
    """Return the kind of a file, by its suffix and its beginning.

    Profiles and results of engines are tried first: what they are recognized by is more specific. What other programs
    print may precede a profile, or it may have any suffix, so files that nothing recognizes are searched for one.

    Raises
    ------
    InputError
        The file is broken or of no known kind.
    """
    try:
        head, fault = read_file_head(path), None
    except InputError as error:
        head, fault = FileHead(), error
    kinds: Mapping[str, CatalogKind | ProfileKind] = {
        **PROFILE_KINDS,
        "engine": CATALOG_KINDS["engine"],
        **CATALOG_KINDS,
    }
    for name, kind in kinds.items():
        if kind.recognizes(head):
            return name
    for name, profile in PROFILE_KINDS.items():
        if path.is_file() and profile.searches(path):
            return name
    if fault:
        raise fault
    if foreign := describe_file(path):
        raise InputError(f"{path}: {foreign}")
    known = ", ".join(INGESTED_KINDS)
    raise InputError(f"{path}: not recognized; expected a file of a known kind, or a folder named after it: {known}")


def select_kind(kind: str, sources: Sequence[SourceFile]) -> list[SourceFile]:
    """Return the files that the reader of a kind needs."""
    return [source for source in sources if source.kind in (kind, *CATALOG_KINDS[kind].needs)]


def read_kind(kind: str, sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of the files of one kind, and the frame `origin`."""
    frames = CATALOG_KINDS[kind].read(select_kind(kind, sources))
    return {name: frame.lazy() for name, frame in frames.items()}


@lru_cache(maxsize=32)  # two sets of files of each kind
def _read_again(read: Reader, sources: tuple[SourceFile, ...]) -> Frames:
    """Return the frames of files from memory if they were read before; files are equal if their bytes are."""
    return {name: frame.lazy().collect().lazy() for name, frame in read(sources).items()}


def read_every_kind(sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of files of every kind.

    Files that were read before come from memory, without their warnings: whoever adds many files, one after the other,
    reads the rest of the catalog once. Measurements need not fit into memory, so they are read anew.

    Raises
    ------
    InputError
        Files cannot be used: one line per file.
    """
    frames: dict[str, pl.LazyFrame] = {}
    with collect_refusals() as each:
        for kind in CATALOG_KINDS:
            with each():
                if kind == "measurement":
                    frames |= read_kind(kind, sources)
                else:
                    frames |= _read_again(CATALOG_KINDS[kind].read, tuple(select_kind(kind, sources)))
    return frames


def refuse_unknown_names(frames: Frames, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a file names something that no file describes, or takes a name that is in use."""
    names = ("model", "precision", "workload", "op", "op_set")
    models, precisions, workloads, own, op_sets = (frames[name].collect() for name in names)
    with collect_refusals() as each:
        with each():
            workload.refuse_unknown_names(workloads, models, precisions, sources)
        with each():
            workload.refuse_unshared(workloads, join_layers(models, frames["layer_group"].collect()), sources)
        with each():
            ops.refuse_unknown_precisions(own, precisions, sources)
        with each():
            ops.refuse_names_of_models(op_sets, models, sources)

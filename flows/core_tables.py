"""The rows of every table of core as staged Parquet files: first read from the catalog, then computed.

A file is named by a digest of the inputs and the code that its rows are made from, so nothing is made twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from flows.ingest.counter_ceilings import find_counter_ceilings
from flows.ingest.kinds import CATALOG_KINDS, Frames, read_kind, refuse_unknown_names, select_kind
from flows.ingest.measured_ceilings import add_measured_ceilings
from flows.ingest.readers.calibration import add_stand_ins, transfer_to_relatives
from flows.ingest.readers.engine import name_models_and_precisions
from flows.ingest.readers.engine import refuse_unknown_names as refuse_unknown_names_of_runs
from flows.ingest.readers.gallery import mark_unknown_ids
from flows.ingest.readers.measurement import refuse_unknown_devices
from flows.ingest.readers.step import refuse_unknown_names as refuse_unknown_names_of_steps
from flows.ingest.source_file import SourceFile, digest_of_sources
from flows.intensity.op_tables import INPUTS, TABLES, compute_op_tables
from flows.intensity.precisions import runnable_precisions
from flows.intensity.serving import hold_runs, list_sharings, list_step_settings, serving_ops
from flows.intensity.shapes import add_sharing, list_measured_settings, mark_measured
from warehouse.errors import collect_refusals
from warehouse.home import Home
from warehouse.load import StagedFile
from warehouse.serving import estimate_runs
from warehouse.staged_frames import is_whole, stage_frames, staged_files
from warehouse.version import sql_code, step_code

# what users' charts name, and the column that holds the name
_NAMED_BY_CHARTS = {"hardware": "hardware_id", "model": "model_id", "op_set": "op_set_id", "precision": "precision_id"}

# staged frames that are not tables of core
NOT_TABLES = {
    "op",
    "relative",
    "trace_op",
    "fitted",
    "architecture",
    "timed_step",
    "serving_run",
    "counter_ceiling",
    *(f"origin_{kind}" for kind in CATALOG_KINDS),
}


def stage_inputs(home: Home, sources: Sequence[SourceFile]) -> dict[str, StagedFile]:
    """Read and validate the files of every kind.

    Raises
    ------
    InputError
        Files cannot be used: one line per file.
    """
    inputs: dict[str, StagedFile] = {}
    with collect_refusals() as each:
        for kind in CATALOG_KINDS:
            with each():
                inputs |= _stage_kind(home, kind, select_kind(kind, sources))
    return inputs


def scan_kind(home: Home, kind: str, sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of one kind without writing any; files that no run has staged are read and validated now."""
    files = staged_files(home.stage, *_inputs_of_kind(kind, sources))
    if not all(is_whole(file.path) for file in files.values()):
        return read_kind(kind, sources)
    return {name: _scan(file) for name, file in files.items()}


def stage_tables(home: Home, inputs: Mapping[str, StagedFile], sources: Sequence[SourceFile]) -> dict[str, StagedFile]:
    """Compute the tables that follow from the inputs: ops and their costs, ceilings, calibrations, users' charts.

    Raises
    ------
    InputError
        A file names something that no file describes.
    """
    ceilings = _stage_ceilings(home, inputs, sources)
    roofs = {
        **ceilings,
        **_stage_runnable(home, {**inputs, **ceilings}),
        **_stage_calibrations(home, {**inputs, **ceilings}),
    }
    return {
        **_stage_ops(home, inputs, sources),
        **roofs,
        **_stage_steps(home, inputs, sources),
        **_stage_serving(home, {**inputs, **roofs}, sources),
        **_stage_own_charts(home, inputs),
    }


def stage_sources(
    home: Home, inputs: Mapping[str, StagedFile], sources: Sequence[SourceFile], known: pl.DataFrame, now: datetime
) -> dict[str, StagedFile]:
    """Stage core.source.

    Parameters
    ----------
    home, inputs, sources
        As in `stage_tables`.
    known
        source_id, sha256 and ingested_at of the files of earlier runs.
    now
        When the others were ingested.
    """

    def build() -> dict[str, pl.DataFrame]:
        origins = pl.concat([_read(inputs[f"origin_{kind}"]) for kind in CATALOG_KINDS])
        columns = ("source_id", "kind", "display_path", "sha256", "size_bytes")
        files = pl.DataFrame({name: getattr(source, name) for name in columns} for source in sources)
        return {
            "source": files.rename({"display_path": "path"})
            .join(origins, on="source_id", how="left", maintain_order="left")
            .join(known, on=["source_id", "sha256"], how="left", maintain_order="left")
            .with_columns(pl.col("ingested_at").fill_null(now))
        }

    origins = [inputs[f"origin_{kind}"].inputs_sha256 for kind in CATALOG_KINDS]
    return stage_frames(home.stage, ["source"], ["source", digest_of_sources(sources), *origins], build)


def find_chart_faults(frames: Frames) -> pl.DataFrame:
    """Return the rows of core.own_chart; a chart that names what is not in the catalog has a fault."""
    ids = {name: frames[name].select(column).collect()[column].to_list() for name, column in _NAMED_BY_CHARTS.items()}
    devices, models = ids["hardware"], [*ids["model"], *ids["op_set"]]
    known = {"hardware_id": devices, "devices": devices, "model_id": models, "precision_id": ids["precision"]}
    return mark_unknown_ids(frames["own_chart"].collect(), known)


def _stage_kind(home: Home, kind: str, sources: Sequence[SourceFile]) -> dict[str, StagedFile]:
    """Stage the frames of one kind: one per table, and one with the origins of the files."""

    def build() -> Frames:
        frames = read_kind(kind, sources)
        return {**frames, f"origin_{kind}": frames["origin"]}

    return stage_frames(home.stage, *_inputs_of_kind(kind, sources), build)


def _inputs_of_kind(kind: str, sources: Sequence[SourceFile]) -> tuple[list[str], list[str]]:
    """Return the names of the frames of one kind, and what they are made from."""
    row = CATALOG_KINDS[kind]
    return [*row.frames, f"origin_{kind}"], [
        kind,
        digest_of_sources(select_kind(kind, sources)),
        step_code(row.read.__module__),
    ]


def _stage_ops(home: Home, inputs: Mapping[str, StagedFile], sources: Sequence[SourceFile]) -> dict[str, StagedFile]:
    def build() -> dict[str, pl.DataFrame]:
        frames = {name: _read(inputs[name]) for name in (*INPUTS, "op_set")}
        refuse_unknown_names({name: frame.lazy() for name, frame in frames.items()}, sources)
        steps = _read(inputs["timed_step"])
        measured = list_measured_settings(steps, frames["workload"])
        frames["workload"] = pl.concat([add_sharing(frames["workload"]), measured], how="diagonal_relaxed")
        tables = compute_op_tables(**{name: frames[name] for name in INPUTS})
        return {**tables, "op_shape": mark_measured(tables["op_shape"], steps)}

    made_from = [inputs[name].inputs_sha256 for name in (*INPUTS, "op_set", "timed_step")]
    return stage_frames(home.stage, TABLES, [*made_from, step_code("flows.intensity.op_tables")], build)


def _stage_own_charts(home: Home, inputs: Mapping[str, StagedFile]) -> dict[str, StagedFile]:
    names = ("own_chart", *_NAMED_BY_CHARTS)

    def build() -> dict[str, pl.DataFrame]:
        return {"own_chart": find_chart_faults({name: _scan(inputs[name]) for name in names})}

    made_from = ["known", *(inputs[name].inputs_sha256 for name in names), step_code(mark_unknown_ids.__module__)]
    return stage_frames(home.stage, ["own_chart"], made_from, build)


def _stage_ceilings(
    home: Home, inputs: Mapping[str, StagedFile], sources: Sequence[SourceFile]
) -> dict[str, StagedFile]:
    """Stage core.ceiling with the limits that measurements show and counters state."""
    names = ("hardware", "ceiling", "measurement", "counter_ceiling")

    def build() -> dict[str, pl.DataFrame]:
        measurements = _scan(inputs["measurement"])
        counters = find_counter_ceilings(_read(inputs["counter_ceiling"]), sources)
        for rows in (measurements, _scan(inputs["counter_ceiling"])):
            refuse_unknown_devices(rows, _read(inputs["hardware"]), sources)
        return {"ceiling": add_measured_ceilings(_read(inputs["ceiling"]), measurements, sources, counters)}

    made_from = [
        "measured",
        *(inputs[name].inputs_sha256 for name in names),
        step_code(add_measured_ceilings.__module__, find_counter_ceilings.__module__),
    ]
    return stage_frames(home.stage, ["ceiling"], made_from, build)


def _stage_steps(home: Home, inputs: Mapping[str, StagedFile], sources: Sequence[SourceFile]) -> dict[str, StagedFile]:
    """Stage core.step_measurement: measured steps of devices, models and precisions of the catalog."""
    names = ("timed_step", "hardware", "model", "precision")

    def build() -> dict[str, pl.DataFrame]:
        refuse_unknown_names_of_steps({name: _scan(inputs[name]) for name in names}, sources)
        return {"step_measurement": _read(inputs["timed_step"])}

    made_from = [inputs[name].inputs_sha256 for name in names]
    code = step_code(refuse_unknown_names_of_steps.__module__)
    return stage_frames(home.stage, ["step_measurement"], [*made_from, code], build)


def _stage_serving(
    home: Home, tables: Mapping[str, StagedFile], sources: Sequence[SourceFile]
) -> dict[str, StagedFile]:
    """Stage core.serving_measurement, and core.serving_estimate: bounds and expected times of the runs of engines."""
    models = ("model", "layer_group", "precision", "precision_part")
    devices = ("hardware", "ceiling", "runnable_precision", "calibration", "op_kernel", "engine")

    def build() -> dict[str, pl.DataFrame]:
        frames = {name: _read(tables[name]) for name in ("serving_run", *models, "elementwise", *devices)}
        refuse_unknown_names_of_runs({name: frame.lazy() for name, frame in frames.items()}, sources)
        runs = name_models_and_precisions(frames["serving_run"], frames["model"], frames["precision"])
        if runs.is_empty():
            return {
                "serving_measurement": runs,
                "serving_estimate": pl.DataFrame({"serving_id": pl.Series([], dtype=pl.String)}),
            }
        for name, column in (("model", "model_id"), ("layer_group", "model_id"), ("hardware", "hardware_id")):
            frames[name] = frames[name].filter(pl.col(column).is_in(runs[column].drop_nulls().unique().implode()))
        used = pl.col("precision_id").is_in(runs["precision_id"].drop_nulls().unique().implode())
        of_models = {
            name: frames[name].filter(used) if name.startswith("precision") else frames[name] for name in models
        }
        held = hold_runs(**of_models, ways=list_sharings(runs))
        known = {name: frames[name] for name in ("model", "precision", "elementwise", *devices)}
        estimates = estimate_runs(
            {**known, **held, "serving_measurement": runs},
            list_step_settings,
            lambda settings: serving_ops(**of_models, elementwise=frames["elementwise"], settings=settings),
        )
        return {"serving_measurement": runs, "serving_estimate": estimates}

    made_from = [tables[name].inputs_sha256 for name in ("serving_run", *models, "elementwise", *devices)]
    code = step_code("flows.intensity.serving", "warehouse.serving", name_models_and_precisions.__module__)
    sql = sql_code("functions", "views", "serving")
    return stage_frames(home.stage, ["serving_measurement", "serving_estimate"], [*made_from, code, sql], build)


def _stage_runnable(home: Home, tables: Mapping[str, StagedFile]) -> dict[str, StagedFile]:
    """Stage core.runnable_precision. A view would say the same, but DuckDB 1.5 fails to plan some queries with it."""
    names = ("ceiling", "precision", "precision_part")

    def build() -> dict[str, pl.DataFrame]:
        return {"runnable_precision": runnable_precisions(*(_read(tables[name]) for name in names))}

    made_from = [*(tables[name].inputs_sha256 for name in names), step_code(runnable_precisions.__module__)]
    return stage_frames(home.stage, ["runnable_precision"], made_from, build)


def _stage_calibrations(home: Home, inputs: Mapping[str, StagedFile]) -> dict[str, StagedFile]:
    """Stage core.calibration: what is fitted, and what devices without measurements inherit from their relatives."""

    def build() -> dict[str, pl.DataFrame]:
        fitted, relatives, ceilings, kinds = (_read(inputs[name]) for name in names)
        peaks = ceilings.filter(pl.col("kind") == "compute", "is_default").group_by("hardware_id", dtype="name")
        return {
            "calibration": add_stand_ins(
                transfer_to_relatives(fitted, relatives),
                kinds["kind"].to_list(),
                peaks.agg(peak_flops_per_s=pl.col("value_per_s").max()),
            )
        }

    names = ("fitted", "relative", "ceiling", "elementwise")
    made_from = [inputs[name].inputs_sha256 for name in names]
    return stage_frames(home.stage, ["calibration"], [*made_from, step_code(transfer_to_relatives.__module__)], build)


def _scan(file: StagedFile) -> pl.LazyFrame:
    return pl.scan_parquet(file.path, glob=False)


def _read(file: StagedFile) -> pl.DataFrame:
    return pl.read_parquet(file.path, glob=False)

"""Lists of calibrations (TOML) into the rows of core.calibration, and their transfer to what was not measured."""

from collections.abc import Sequence
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from flows.ingest.document import Count, Document, Id, Text, list_origins, read_document, refuse_duplicates
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype, Fusion, Launch, Phase, Pipe
from warehouse.errors import collect_refusals

Positive = Annotated[float, Field(gt=0, le=1e3)]
Exponent = Annotated[float, Field(ge=0, le=1e3)]


class Calibration(Document):
    """A roof fitted to measurements of one device, kind of op, dtype and launch."""

    hardware_id: Id
    op_kind: Id
    dtype: Dtype
    compute_efficiency: Positive
    bandwidth_efficiency: Positive
    overhead_s: Annotated[float, Field(ge=0, le=1)]
    blend: Positive
    tile_limit: Exponent | None = None
    wave_exponent: Exponent | None = None
    partial_wave_exponent: Exponent | None = None
    tile_blend: Positive | None = None
    sustained_exponent: Exponent | None = None
    n_points: Count
    fit_mape: Exponent
    holdout_mape: Exponent | None = None
    origin: Text
    pipe: Literal["", Pipe] = ""
    launch: Launch = "eager"
    tile_overhead_s: Annotated[float, Field(ge=0, le=1)] | None = None
    stream_limit: Exponent | None = None
    stream_exponent: Exponent | None = None
    serial_s: Annotated[float, Field(ge=0, le=1)] | None = None
    cached_bytes: Annotated[float, Field(ge=0, le=1e12)] | None = None
    cached_cost: Exponent | None = None


class StepCalibration(Document):
    """How far predicted steps of one kind are off."""

    hardware_id: Id
    phase: Phase
    tensor_parallel: Count
    launch: Launch
    fusion: Fusion
    n_steps: Count
    holdout_mape: Exponent


class CalibrationFile(Document):
    """A list of calibrations, and one of the errors of steps."""

    calibration: list[Calibration]
    step: list[StepCalibration] = Field(default_factory=list)


_KEY = ["hardware_id", "op_kind", "dtype", "launch"]
_STEP_KEY = ["hardware_id", "phase", "tensor_parallel", "launch", "fusion"]
_SCHEMA = {
    **dict.fromkeys(Calibration.model_fields, pl.Float64),
    **dict.fromkeys((*_KEY, "origin", "pipe", "source_id"), pl.String),
    "n_points": pl.Int64,
}
_STEP_SCHEMA = {
    **dict.fromkeys(_STEP_KEY, pl.String),
    "tensor_parallel": pl.Int64,
    "n_steps": pl.Int64,
    "holdout_mape": pl.Float64,
    "source_id": pl.String,
}
# Short dtypes of 16 bits move as many bytes, and what is no product runs in 16 bits beside shorter products.
_TWINS = [("fp16", "bf16"), ("bf16", "fp16")]
_STAND_IN_DTYPES = [*_TWINS, *((dtype, "bf16") for dtype in ("fp8", "int8", "fp4", "fp6"))]
_PRODUCTS = ["linear", "grouped_linear", "qk", "pv"]
_STAND_IN_KINDS = [
    ("grouped_linear", "linear"), ("latent_attention", "attention"), ("attention_64", "attention"),
    ("attention_256", "attention"), ("layer_norm", "rms_norm"),
]  # fmt: skip
_GENERIC = "elementwise"  # fitted to all element-wise kinds together


def read_calibrations(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `fitted`, `step_calibration` and `origin`; the last file that has a key wins."""
    rows: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    with collect_refusals() as each:
        for source in sources:
            with each():
                file = read_document(source, CalibrationFile)
                for entries, key, into in ((file.calibration, _KEY, rows), (file.step, _STEP_KEY, steps)):
                    keys = [(" ".join(str(getattr(entry, name)) for name in key), source) for entry in entries]
                    refuse_duplicates(keys, "calibration of")
                    into += [{**entry.model_dump(), "source_id": source.source_id} for entry in entries]
    return {
        "fitted": pl.DataFrame(rows, schema=_SCHEMA).unique(_KEY, keep="last", maintain_order=True),
        "step_calibration": pl.DataFrame(steps, schema=_STEP_SCHEMA).unique(
            _STEP_KEY, keep="last", maintain_order=True
        ),
        "origin": list_origins(sources),
    }


def transfer_to_relatives(fitted: pl.DataFrame, relatives: pl.DataFrame) -> pl.DataFrame:
    """Return calibrations with `transferred_from`: a device without its own takes that of its nearest relative.

    Parameters
    ----------
    fitted
        The frame of `read_calibrations`.
    relatives
        hardware_id, relative, and place: 1 for the nearest.
    """
    own = fitted.with_columns(transferred_from=pl.lit(None, pl.String))
    transferred = (
        fitted.rename({"hardware_id": "relative"})
        .join(relatives, on="relative", how="inner", maintain_order="left")
        .join(fitted, on=_KEY, how="anti", maintain_order="left")
        .sort("place", maintain_order=True)
        .unique(_KEY, keep="first", maintain_order=True)
        .with_columns(transferred_from="relative")
    )
    return pl.concat([_keep_own_shares(transferred.select(own.columns), own), own])[:, own.columns].unique(
        _KEY, keep="last", maintain_order=True
    )


def _keep_own_shares(transferred: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Return transferred rows; of a device that was measured in the other launch only the launch time is another's."""
    of_kind = [name for name in _KEY if name != "launch"]
    moved = transferred.select(*_KEY, "overhead_s", "transferred_from").rename({"launch": "to"})
    kept = (
        own.drop("overhead_s", "transferred_from")
        .join(moved, on=of_kind, how="inner", maintain_order="left")
        .with_columns(launch="to")
    )
    return pl.concat([transferred, kept.select(transferred.columns)])


def add_stand_ins(calibrations: pl.DataFrame, kinds: Sequence[str], peaks: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.calibration: what was not measured takes what comes nearest of the same device.

    The other launch stands in for one that was not measured, bf16 for shorter dtypes of what is no product, what was
    fitted to all element-wise kinds for each of them, and e.g. products for those of experts.

    Parameters
    ----------
    calibrations
        The frame of `transfer_to_relatives`.
    kinds
        The element-wise kinds.
    peaks
        hardware_id, dtype and peak_flops_per_s: a share of another dtype's peak is one of the own.
    """
    named = calibrations.with_columns(fitted_kind="op_kind", fitted_dtype="dtype", fitted_launch="launch")
    generic = named.filter(op_kind=_GENERIC).with_columns(op_kind=pl.lit(list(kinds))).explode("op_kind")
    kin = pl.DataFrame(_STAND_IN_KINDS, schema=["to", "op_kind"], orient="row")
    relatives = named.join(kin, on="op_kind", maintain_order="left_right").with_columns(op_kind="to")
    every_kind = _complete(_complete(named, relatives), generic)
    pairs = pl.DataFrame(_STAND_IN_DTYPES, schema=["to", "dtype"], orient="row")
    found = every_kind.filter(~pl.col("op_kind").is_in(_PRODUCTS)).join(pairs, on="dtype", maintain_order="left_right")
    to, of = (peaks.rename({"dtype": name, "peak_flops_per_s": f"peak_{name}"}) for name in ("to", "dtype"))
    # a device whose peak is lower than that of 16 bits does not reach more than it
    ratio = (pl.col("peak_dtype") / pl.col("peak_to")).fill_null(1.0).clip(upper_bound=1.0)
    of_dtypes = (
        found.join(to, on=["hardware_id", "to"], how="left", maintain_order="left")
        .join(of, on=["hardware_id", "dtype"], how="left", maintain_order="left")
        .with_columns(compute_efficiency=pl.col("compute_efficiency") * ratio, dtype="to")
    )
    every_dtype = _complete(every_kind, of_dtypes)
    other = pl.when(pl.col("launch") == "eager").then(pl.lit("graph")).otherwise(pl.lit("eager"))
    # a cache full of others' results is found by what the program starts, not in a graph
    is_flushed = (pl.col("cached_cost") > 1).fill_null(value=False)
    cleared = [pl.when(~is_flushed).then(pl.col(name)).alias(name) for name in ("cached_bytes", "cached_cost")]
    of_launches = every_dtype.with_columns(*cleared, launch=other)
    return _complete(_complete(every_dtype, _find_twins(every_dtype, of_launches)), of_launches).sort(_KEY)


def _find_twins(rows: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Return products of 16 bits in a launch that was measured with the other such dtype alone, which is as fast."""
    pairs = pl.DataFrame(_TWINS, schema=["to", "dtype"], orient="row")
    own = rows.filter(pl.col("op_kind").is_in(_PRODUCTS), pl.col("transferred_from").is_null())
    twins = own.join(pairs, on="dtype", maintain_order="left_right").with_columns(dtype="to")
    return twins.join(wanted, on=_KEY, how="semi").select(rows.columns)


def _complete(rows: pl.DataFrame, stand_ins: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, stand_ins.select(rows.columns)]).unique(_KEY, keep="first", maintain_order=True)

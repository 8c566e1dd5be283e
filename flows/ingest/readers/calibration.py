"""Lists of calibrations (TOML) into the rows of core.calibration, and their transfer to related devices."""

from collections.abc import Sequence
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from flows.ingest.document import Count, Document, Id, Text, list_origins, read_document, refuse_duplicates
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype, Pipe
from warehouse.errors import collect_refusals

Positive = Annotated[float, Field(gt=0, le=1e3)]
Exponent = Annotated[float, Field(ge=0, le=1e3)]


class Calibration(Document):
    """A roof fitted to measurements of one device, kind of op and dtype."""

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


class CalibrationFile(Document):
    """A list of calibrations."""

    calibration: list[Calibration]


_KEY = ["hardware_id", "op_kind", "dtype"]
_SCHEMA = {
    **dict.fromkeys(Calibration.model_fields, pl.Float64),
    **dict.fromkeys((*_KEY, "origin", "pipe", "source_id"), pl.String),
    "n_points": pl.Int64,
}


def read_calibrations(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `fitted` (one row per calibration; the last file that has a key wins) and `origin`."""
    rows = []
    with collect_refusals() as each:
        for source in sources:
            with each():
                entries = read_document(source, CalibrationFile).calibration
                keys = [(f"{entry.hardware_id} {entry.op_kind} {entry.dtype}", source) for entry in entries]
                refuse_duplicates(keys, "calibration of")
                rows += [{**entry.model_dump(), "source_id": source.source_id} for entry in entries]
    fitted = pl.DataFrame(rows, schema=_SCHEMA).unique(_KEY, keep="last", maintain_order=True)
    return {"fitted": fitted, "origin": list_origins(sources)}


def transfer_to_relatives(fitted: pl.DataFrame, relatives: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.calibration: a device without its own calibration takes that of its nearest relative.

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
    return pl.concat([own, transferred.select(own.columns)])

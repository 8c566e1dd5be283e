"""Measurement files with what the command line says of every row: the device, or that they measure its ceilings."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.source_file import SourceFile
from flows.ingest.table import read_batches, scan_table
from warehouse.errors import InputError


def write_filled(source: SourceFile, target: Path, given: Mapping[str, str]) -> None:
    """Write the rows of a measurement file with given values in some columns; the format stays.

    Parameters
    ----------
    source
        The measurement file (CSV or Parquet), of any size.
    target
        File to write.
    given
        Column -> its value in every row. A `hardware_id` fills empty cells only.

    Raises
    ------
    InputError
        The file is broken, or a row names another device.
    """
    replaced: list[str] = []
    for first, rows in read_batches(source):
        replaced = [name for name in rows.columns if name.strip().lower() in given]
        for name in replaced:
            if name.strip().lower() == "hardware_id":
                _refuse_other_device(rows[name], given["hardware_id"], source.path, first)
    filled = scan_table(source).drop(replaced).with_columns(pl.lit(value).alias(name) for name, value in given.items())
    if target.suffix == ".csv":
        filled.sink_csv(target)
    else:
        filled.sink_parquet(target)


def _refuse_other_device(values: pl.Series, hardware_id: str, path: Path, first_row: int) -> None:
    named = values.cast(pl.String).str.strip_chars()
    other = (~named.is_in(["", hardware_id])).fill_null(value=False)
    if other.any():
        row = other.arg_max() or 0
        what = f"row {first_row + row}: hardware_id = {format_value(named[row])}"
        raise InputError(f"{path}: {what}: expected {hardware_id}, as --hardware-id says, or no value")

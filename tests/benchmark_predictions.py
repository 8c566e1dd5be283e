"""How far the shipped calibrations are off on the profiles of Vidur: `python -m tests.benchmark_predictions [FOLDER]`.

A profile is DEVICE/MODEL-mlp.csv, or DEVICE/OWNER/MODEL/mlp.csv as in data/profiling/compute of Vidur's repository;
likewise attention.csv. What a calibration was fitted to is marked: it says nothing of other models.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from flows.ingest.catalog import SHIPPED
from flows.ingest.user_catalog import add_files
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

PROFILES = Path(__file__).resolve().parents[2] / "shared" / "data" / "vidur"
_DEVICES = {"a40": "a40", "a100": "a100-80gb-sxm", "h100": "h100-sxm"}  # by Vidur's names
_KEY = ["hardware_id", "op_kind", "dtype", "launch"]


class _Profile(NamedTuple):
    path: Path
    hardware_id: str
    model: str


def main(folder: Path = PROFILES) -> None:
    """Print a row a device, model and kind of op: kernels, and the mean of the absolute relative errors."""
    profiles = list(_profiles(folder))
    if not profiles:
        print(f"no profiles in {folder}: nothing to compare with")
        return
    errors = _errors(profiles)
    print(f"{'device':14} {'model':24} {'op':10} {'kernels':>8} {'mean error':>10}  roof fitted to")
    for row in errors.iter_rows(named=True):
        own = f"this profile; {row['holdout_mape']:.1%} on weights that were held out"
        said = f"{row['hardware_id']:14} {row['model_id']:24} {row['op_kind']:10} {row['kernels']:8,}"
        print(f"{said} {row['mape']:10.1%}  {own if row['is_own'] else ', '.join(row['origin'].split(', ')[:2])}")


def _profiles(folder: Path) -> Iterator[_Profile]:
    for path in sorted(folder.rglob("*.csv")):
        device, *folders = path.relative_to(folder).parent.parts or ("",)
        named = re.fullmatch(r"(?:(.+)-)?(?:mlp|attention)", path.stem)
        model = named and (named[1] or folders[-1:])
        if device in _DEVICES and model:
            yield _Profile(path, _DEVICES[device], "".join(model).lower().removesuffix("-hf"))


def _errors(profiles: list[_Profile]) -> pl.DataFrame:
    """Return the mean error of the predictions of each profile's kernels, as mart.prediction_error has them."""
    with tempfile.TemporaryDirectory() as folder:
        catalog, home = Path(folder) / "catalog", Home(Path(folder) / "home")
        for number, profile in enumerate(profiles):
            copy = Path(folder) / str(number) / profile.path.name
            copy.parent.mkdir()
            shutil.copyfile(profile.path, copy)
            add_files(home, "vidur", [str(copy)], hardware_id=profile.hardware_id, model_id=profile.model)
        write_small_catalog(catalog)
        shutil.copyfile(SHIPPED / "calibrations.toml", catalog / "calibrations.toml")
        shutil.copytree(SHIPPED / "hardware", catalog / "hardware", dirs_exist_ok=True)
        run_without_prefect(home, shipped=catalog)
        with open_snapshot(home.snapshot) as connection:
            errors = read_frame(connection, "select * from mart.prediction_error").rename({"kind": "op_kind"})
            fits = read_frame(connection, "select * from core.calibration").select(*_KEY, "origin", "holdout_mape")
    return (
        errors.group_by(*_KEY, "model_id")
        .agg(kernels=pl.len(), mape=pl.col("relative_error").abs().mean())
        .join(fits, on=_KEY)
        .with_columns(is_own=pl.col("origin").str.contains(pl.format("({}-", "model_id"), literal=True))
        .sort(*_KEY, ~pl.col("is_own"), "model_id")
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))

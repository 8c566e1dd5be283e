"""Frames of a run's steps as Parquet files, named after the digest of their inputs."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from warehouse.digest import digest_of
from warehouse.files.atomic import write_atomically
from warehouse.load import StagedFile

_END = b"PAR1"


def stage_frames(
    folder: Path,
    names: Sequence[str],
    made_from: Iterable[str],
    build: Callable[[], Mapping[str, pl.DataFrame | pl.LazyFrame]],
) -> dict[str, StagedFile]:
    """Return the files of some frames, and call `build` only if one of them does not exist yet."""
    files = staged_files(folder, names, made_from)
    if not all(is_whole(file.path) for file in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        frames = build()
        for name, file in files.items():
            with write_atomically(file.path, sync=True) as partial:
                frames[name].lazy().sink_parquet(partial)
    return files


def staged_files(folder: Path, names: Sequence[str], made_from: Iterable[str]) -> dict[str, StagedFile]:
    """Return the files of some frames, whether they exist or not."""
    digest = digest_of(made_from)
    return {name: StagedFile(folder / f"{name}-{digest[:16]}.parquet", digest) for name in names}


def is_whole(path: Path) -> bool:
    """Whether a Parquet file exists and has its last bytes, which a power cut can cost it."""
    if not path.is_file() or path.stat().st_size < len(_END):
        return False
    with path.open("rb") as file:
        file.seek(-len(_END), os.SEEK_END)
        return file.read() == _END


def delete_other_files(folder: Path, kept: Iterable[StagedFile]) -> None:
    """Delete the staged files from which no table is made any more."""
    names = {file.path.name for file in kept}
    for path in folder.iterdir():
        if path.name not in names and path.is_file():  # a run makes no folders in it
            path.unlink()

"""How fast large grids are computed and written: `python -m tests.benchmark_sweep`.

In one run, in turn: the rows of a sweep computed and dropped, computed and written, and the same
finished rows written from memory by polars. What counts are the ratios of the medians.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from flows.intensity.terms import PHASES
from flows.sweep.grid import Grid, Part, compute_rows, cut_into_parts
from flows.sweep.parts import run_in_threads, write_part
from tests.support.sweeps import read_shipped_inputs
from warehouse.sweeps.registry import PartFile

_ROUNDS = 3
_GRID = Grid(
    models=["llama-7b", "mixtral-8x7b", "deepseek-v2-lite"],
    conventions=["engine"],
    phases=PHASES,
    precisions=["fp16"],
    tensor_parallel=[1],
    batch_size=range(1, 257),
    sequence_length=range(128, 32769, 128),
    candidates=[4],
)


def main() -> None:
    """Print rows a second and ratios."""
    inputs = read_shipped_inputs()
    parts = cut_into_parts(inputs, _GRID)
    rows = sum(part.row_count for part in parts)
    sample = parts[:: len(parts) // 3]  # finished rows that lie in memory at once
    finished = {part: pl.concat(compute_rows(inputs, _GRID, part), rechunk=True) for part in sample}

    def compute(part: Part) -> PartFile:
        return PartFile("", len(pl.concat(compute_rows(inputs, _GRID, part))), 0)

    def write_finished(folder: Path, part: Part) -> PartFile:
        finished[part].write_parquet(folder / f"{id(part)}.parquet", compression="zstd", compression_level=1)
        return PartFile("", part.row_count, 0)

    rates: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(_ROUNDS):
            here = Path(folder) / str(turn)
            here.mkdir()
            for name, work, some in (
                ("computed", compute, parts),
                ("computed and written", partial(write_part, inputs, _GRID, here), parts),
                ("written from memory", partial(write_finished, here), sample),
            ):
                rates.setdefault(name, []).append(_rates(work, some))
    print(f"{rows:,} rows in {len(parts)} parts")
    print(f"{'million rows':22}  {'a second':>8}  {'least':>5}  {'most':>5}  {'a CPU second':>12}  {'of the last':>11}")
    written = statistics.median(wall for wall, _ in rates["written from memory"])
    for name, found in rates.items():
        walls, cpus = zip(*found, strict=True)
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        print(f"{name:22}  {wall:8.1f}  {min(walls):5.1f}  {max(walls):5.1f}  {cpu:12.1f}  {wall / written:11.2f}")


def _rates(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> tuple[float, float]:
    """Return million rows a second, and a second of processor time, which other programs do not disturb."""
    started, used = time.perf_counter(), time.process_time()
    rows = sum(part.row_count for part in run_in_threads(work, parts)) / 1e6
    return rows / (time.perf_counter() - started), rows / (time.process_time() - used)


if __name__ == "__main__":
    main()

"""`rooflines measure` and `rooflines calibrate`: kernels timed on this machine, and roofs fitted to their times."""

import re
from pathlib import Path
from typing import Literal

from flows.cli.options import Common, Flag, Names
from flows.cli.terminal import show_progress
from warehouse.errors import InputError, explain_write_error
from warehouse.home import Home, refuse_no_path


def measure(
    *,
    out: Path,
    hardware_id: str,
    backend: Literal["torch-cuda", "numpy"] = "torch-cuda",
    workload: Names | None = None,
    model: Names | None = None,
    precision: Names | None = None,
    seconds: float = 0.2,
    plan_only: Flag = False,
    common: Common = Common(),
) -> int:
    """Time the ops of workloads on this machine, and write a measurement file.

    The ceilings (largest copies, triads and GEMMs) are measured first. If the file exists, the measurement is resumed:
    kernels that it holds are not timed again. `rooflines ingest measurement FILE` adds it to the catalog.

    Parameters
    ----------
    out
        File to write (.csv).
    hardware_id
        The device, by its id in the catalog, e.g. h100-sxm.
    backend
        torch-cuda (PyTorch on a CUDA device) or numpy (any computer, fp32 and fp64).
    workload
        Workloads of the catalog whose ops are timed. Default: none, only the ceilings.
    model
        Only these of their models.
    precision
        Only these of their precisions.
    seconds
        Time limit per kernel.
    plan_only
        Write the plan of what would be timed, for `python standalone.py --plan FILE` on a machine that has PyTorch and
        nothing of this project but the file flows/measure/standalone.py.
    """
    from flows.measure.standalone import refuse_bad_seconds

    refuse_no_path("--out", out)
    if not re.fullmatch("[a-z0-9][a-z0-9._-]{0,63}", hardware_id):
        raise InputError(f"--hardware-id: {hardware_id[:64]}; expected an id such as h100-sxm")
    try:
        refuse_bad_seconds(seconds)
    except ValueError as error:
        raise InputError(str(error)) from None
    for option, is_given in (("--plan-only", plan_only), ("--model", model), ("--precision", precision)):
        if is_given and not workload:
            raise InputError(f"{option}: expected --workload, whose kernels are planned")
    rows = _plan_kernels(common.place, workload or [], model or [], precision or [])
    counts = _write_plan(out, rows) if plan_only else _time_kernels(out, rows, backend, hardware_id, seconds)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"  {'plan' if plan_only else 'measurements'}  {out}")
    if not plan_only:
        print(f"next: rooflines ingest measurement {out}")
    return 0


def calibrate(*, common: Common = Common()) -> int:
    """Fit calibrated roofs to measurements: how far below its roof each device runs, by kind of op and dtype.

    Reads the measurements of the published snapshot and writes catalog/calibrations.toml in the home; the next run
    reads it. To undo, delete that file. Needs the extra calibrate.
    """
    from flows.measure.calibrate import calibrate_home

    with show_progress("fitting calibrated roofs"):
        path, rows = calibrate_home(common.place)
    for row in rows.iter_rows(named=True):
        held_out = f", held out {row['holdout_mape']:.1%}" if row["holdout_mape"] is not None else ""
        what = f"{row['hardware_id']} {row['op_kind']} {row['dtype']}: {row['n_points']} kernels"
        print(f"fitted  {what}, mean error {row['fit_mape']:.1%}{held_out}")
    print(f"added  {path}")
    print("next: rooflines run")
    return 0


def _plan_kernels(home: Home, workloads: list[str], models: list[str], precisions: list[str]) -> list[dict[str, str]]:
    if not workloads:
        return []
    from flows.ingest.catalog import list_sources
    from flows.measure.kernel_plan import plan_kernels

    plan = plan_kernels(list_sources(home), workloads, models, precisions)
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in plan.to_dicts()]


def _write_plan(out: Path, rows: list[dict[str, str]]) -> dict[str, int]:
    from flows.measure import standalone

    try:
        standalone.write_plan(rows, out)
    except OSError as error:
        raise explain_write_error(f"--out: {out}", error, "a file") from None
    return {"kernels planned": len(rows)}


def _time_kernels(
    out: Path, rows: list[dict[str, str]], backend: str, hardware_id: str, seconds: float
) -> dict[str, int]:
    from flows.measure import standalone

    try:
        with show_progress("measuring") as show:
            device = standalone.start_backend(backend)
            every = [*standalone.plan_ceilings(device), *rows]
            return standalone.measure(every, out, device, hardware_id, seconds=seconds, progress=show.tell)
    except OSError as error:
        raise explain_write_error(f"--out: {out}", error, "a file") from None
    except ValueError as error:
        raise InputError(f"--out: {out}: {error}") from None
    except standalone.NoBackendError as error:
        raise InputError(f"--backend {backend}: {error}") from None

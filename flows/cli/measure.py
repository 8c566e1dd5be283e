"""`rooflines measure` and `rooflines calibrate`: kernels timed on this machine, and roofs fitted to their times."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    launch: Literal["eager", "graph", "both"] | None = None,
    seconds: float | None = None,
    steps: Flag = False,
    plan_only: Flag = False,
    common: Common = Common(),
) -> int:
    """Time the ops of workloads on this machine, and write a measurement file; or whole steps, with --steps.

    The ceilings (largest copies, triads and GEMMs) are measured first. A file that exists is resumed. `rooflines ingest
    measurement FILE` adds it to the catalog, and `rooflines ingest step FILE` one of steps. Started by torchrun on
    several devices, the command times what they send each other, or the steps that they share.

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
    launch
        eager (one by one), graph (replayed from a CUDA graph) or both. Default: both, where the backend has graphs.
    seconds
        Time limit per kernel, by default 0.2, or per step, by default 1.
    steps
        Time whole steps of plain PyTorch decoders, dense or MoE, with random weights: decode and prefill at the
        settings of the workloads, in bf16, fp16 and fp8.
    plan_only
        Write the plan of what would be timed, for `python standalone.py --plan FILE` on a machine that has PyTorch and
        nothing of this project but the files flows/measure/standalone*.py.
    """
    from flows.measure.standalone_collectives import is_first_process

    _refuse_names(out, hardware_id)
    limit = _check_seconds(seconds, default=1.0 if steps else 0.2)
    planned = {"--plan-only": plan_only, "--model": model, "--precision": precision, "--steps": steps}
    _refuse_misfits(planned, backend, launch, has_workload=bool(workload), steps=steps)
    rows = _plan(common.place, workload or [], model or [], precision or [], steps=steps)
    if plan_only:
        counts = _write_plan(out, rows, steps=steps)
    elif steps:
        counts = _time_steps(out, rows, hardware_id, limit)
    else:
        counts = _time_kernels(out, rows, backend, hardware_id, limit, launch)
    if is_first_process():
        _report(out, counts, steps=steps, plan_only=plan_only)
    return 0


def calibrate(
    *,
    engines: Flag = False,
    from_aiconfigurator: Path | None = None,
    hardware_id: Names | None = None,
    out: Path | None = None,
    common: Common = Common(),
) -> int:
    """Fit calibrated roofs to measurements: how far below its roof each device runs, by kind of op and dtype.

    Reads the measurements of the published snapshot and writes catalog/calibrations.toml in the home; the next run
    reads it. To undo, delete that file. Needs the extra calibrate.

    Parameters
    ----------
    engines
        Fit the time of the host in a step of serving engines instead, to the runs of one model, and try it on those of
        the others: reads mart.measured_serving and writes catalog/engines.toml.
    from_aiconfigurator
        The folder that a wheel of aiconfigurator-core was unzipped into: roofs are fitted to its tables of measured
        kernels instead, and added to those that the file has.
    hardware_id
        With --from-aiconfigurator: the devices, by default all of its devices that the home has no measurements of.
    out
        With --from-aiconfigurator: the file to write.
    """
    if engines:
        return _calibrate_engines(common.place)
    if from_aiconfigurator is None:
        for option, value in (("--hardware-id", hardware_id), ("--out", out)):
            if value is not None:
                raise InputError(f"{option}: expected --from-aiconfigurator, whose tables it is about")
        from flows.measure.calibrate import calibrate_home

        with show_progress("fitting calibrated roofs"):
            path, rows = calibrate_home(common.place)
    else:
        from flows.measure.calibrate_tables import GREATEST_ERROR, calibrate_tables

        refuse_no_path("--from-aiconfigurator", from_aiconfigurator)
        if out is not None:
            refuse_no_path("--out", out)
        with show_progress("fitting calibrated roofs"):
            found = calibrate_tables(common.place, from_aiconfigurator, hardware_id or (), out)
        path, rows = found.path, found.rows
        for row in found.dropped.iter_rows(named=True):
            error = "no" if row["holdout_mape"] is None else f"{row['holdout_mape']:.1%}"
            print(f"dropped  {_name_roof(row)}, held out {error}; expected at most {GREATEST_ERROR:.0%}")
    for row in rows.iter_rows(named=True):
        held_out = f", held out {row['holdout_mape']:.1%}" if row["holdout_mape"] is not None else ""
        print(f"fitted  {_name_roof(row)}, mean error {row['fit_mape']:.1%}{held_out}")
    print(f"added  {path}")
    print("next: rooflines run")
    return 0


def _calibrate_engines(home: Home) -> int:
    from flows.measure.calibrate_engines import calibrate_engines

    with show_progress("fitting times of hosts"):
        path, rows = calibrate_engines(home)
    for row in rows.iter_rows(named=True):
        held_out = f", of other models {row['holdout_error']:.1%}" if row["holdout_error"] is not None else ""
        what = f"{row['engine']} {row['hardware_id']}: {row['n_runs']} runs of {row['model_id']}"
        print(f"fitted  {what}, host {row['host_s']:.6g} s, median error {row['fit_error']:.1%}{held_out}")
    print(f"added  {path}")
    print("next: rooflines run")
    return 0


def _name_roof(row: Mapping[str, object]) -> str:
    return f"{row['hardware_id']} {row['op_kind']} {row['dtype']}: {row['n_points']} kernels"


def _refuse_names(out: Path, hardware_id: str) -> None:
    refuse_no_path("--out", out)
    if not re.fullmatch("[a-z0-9][a-z0-9._-]{0,63}", hardware_id):
        raise InputError(f"--hardware-id: {hardware_id[:64]}; expected an id such as h100-sxm")


def _report(out: Path, counts: Mapping[str, int], *, steps: bool, plan_only: bool) -> None:
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"  {'plan' if plan_only else 'measurements'}  {out}")
    if not plan_only:
        print(f"next: rooflines ingest {'step' if steps else 'measurement'} {out}")


def _refuse_misfits(
    planned: Mapping[str, object], backend: str, launch: str | None, *, has_workload: bool, steps: bool
) -> None:
    """Raise `InputError` for an option that needs another, or does not go with one."""
    what = "steps" if steps else "kernels"
    for option, is_given in planned.items():
        if is_given and not has_workload:
            raise InputError(f"{option}: expected --workload, whose {what} are planned")
    for option, value, usual in (("--backend", backend, "torch-cuda"), ("--launch", launch, None)):
        if steps and value != usual:
            raise InputError(f"{option}: {value}: not with --steps; expected none")


def _check_seconds(given: float | None, *, default: float) -> float:
    from flows.measure.standalone import refuse_bad_seconds

    seconds = default if given is None else given
    try:
        refuse_bad_seconds(seconds)
    except ValueError as error:
        raise InputError(str(error)) from None
    return seconds


def _plan(
    home: Home, workloads: list[str], models: list[str], precisions: list[str], *, steps: bool
) -> list[dict[str, str]]:
    if not workloads:
        return []
    from flows.ingest.catalog import list_sources
    from flows.measure.kernel_plan import plan_kernels
    from flows.measure.step_plan import plan_steps

    plan = (plan_steps if steps else plan_kernels)(list_sources(home), workloads, models, precisions)
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in plan.to_dicts()]


def _write_plan(out: Path, rows: list[dict[str, str]], *, steps: bool) -> dict[str, int]:
    from flows.measure import standalone, standalone_steps

    try:
        (standalone_steps if steps else standalone).write_plan(rows, out)
    except OSError as error:
        raise explain_write_error(f"--out: {out}", error, "a file") from None
    return {f"{'steps' if steps else 'kernels'} planned": len(rows)}


def _time_kernels(
    out: Path, rows: list[dict[str, str]], backend: str, hardware_id: str, seconds: float, launch: str | None
) -> dict[str, int]:
    from flows.measure import standalone, standalone_collectives

    with _explain_errors(out, f"--backend {backend}"), show_progress("measuring") as show:
        if standalone_collectives.count_processes() > 1:
            return standalone_collectives.measure_collectives(out, hardware_id, launch, seconds, show.tell)
        device = standalone.start_backend(backend)
        launches = standalone.choose_launches(device, launch, out)
        every = [*standalone.plan_ceilings(device), *rows]
        return standalone.measure(
            every, out, device, hardware_id, seconds=seconds, launches=launches, progress=show.tell
        )


def _time_steps(out: Path, rows: list[dict[str, str]], hardware_id: str, seconds: float) -> dict[str, int]:
    from flows.measure.standalone_steps import measure_steps

    with _explain_errors(out, "--steps"), show_progress("measuring") as show:
        return measure_steps(rows, out, hardware_id, seconds=seconds, progress=show.tell)


@contextmanager
def _explain_errors(out: Path, option: str) -> Iterator[None]:
    from flows.measure.standalone import NoBackendError

    try:
        yield
    except OSError as error:
        raise explain_write_error(f"--out: {out}", error, "a file") from None
    except ValueError as error:
        told = str(error)
        raise InputError(told if told.startswith("--") else f"--out: {out}: {told}") from None
    except NoBackendError as error:
        raise InputError(f"{option}: {error}") from None

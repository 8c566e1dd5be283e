"""`rooflines sweep`: large grids."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows.cli.options import Common, Flag, Names, read_folder
from flows.cli.terminal import exit_at_once_on_interrupt, show_progress
from warehouse.errors import InputError

if TYPE_CHECKING:
    from flows.sweep.request import Request
    from flows.sweep.run import Summary


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What the grid spans."""

    model: Names | None = None
    "Models. Default: all."

    convention: Names | None = None
    "Conventions, which say what ops a model has: engine, paper, llm-viewer, draft. Default: engine."

    phase: Names | None = None
    "prefill, decode, speculative, mixed. Default: prefill and decode, and speculative if --candidates is given."

    precision: Names | None = None
    "Precisions. Default: the one that each model is published in, or fp16 if its config does not say."

    tensor_parallel: str = "1"
    "Range of tensor-parallel degrees. A model whose heads do not divide evenly is left out."

    expert_parallel: str = "1"
    "Range of devices that whole experts are spread over."

    pipeline_parallel: str = "1"
    "Range of stages that the layers are spread over."

    data_parallel: str = "1"
    "Range of replicas of attention that share the batch."

    batch: str = "1:256:x2"
    "Range of batch sizes."

    sequence: str = "128:32768:x2"
    "Range of prompt and context lengths."

    candidates: str | None = None
    "Range of tokens that a speculative step verifies at once."

    query: str | None = None
    """Range of tokens of a chunk of a prompt, which ends at the --sequence that it is not longer than. Default: prompts
    as a whole. The phase mixed needs it: decode of a batch beside one chunk."""


@Parameter(name="*")
@dataclass(frozen=True)
class Devices:
    """Made-up devices, which mart.sweep_step puts the sweep on."""

    device_like: str | None = None
    "Device that the made-up ones are like, but for the values below; every combination of these is a device."

    bandwidth: str | None = None
    "Range of bandwidths of DRAM, bytes/s, e.g. 4e12:12e12:1e12."

    peak: Annotated[list[str] | None, Parameter(consume_multiple=False)] = None
    "Range of dense peaks of a dtype, FLOP/s, e.g. fp8=2e15:8e15:x2; repeat it for further dtypes."

    memory: str | None = None
    "Range of memory sizes, bytes, e.g. 192e9,288e9."

    link: str | None = None
    "Range of bandwidths of the interconnect, bytes/s that a device sends."


@Parameter(name="*")
@dataclass(frozen=True)
class Machines:
    """Where the parts are computed and stored."""

    rows_per_part: int = 4_000_000
    "Maximum rows per file; two files at a time are in memory, at about 100 bytes per row."

    out: str | None = None
    """Folder for the files, instead of HOME/sweeps: shared storage, or s3://bucket/folder (needs the extra s3; keys,
    region and endpoint come from the AWS_* variables). They go to its subfolder NAME."""

    runner: Literal["threads", "dask"] = "threads"
    """What computes: threads of this machine, or workers of a Dask scheduler (needs the extra dask), which must have
    this version of rooflines and see the folder of --out."""

    address: str | None = None
    "The Dask scheduler, e.g. tcp://10.0.0.5:8786."


def sweep(
    *,
    name: str | None = None,
    settings: Settings = Settings(),
    devices: Devices = Devices(),
    machines: Machines = Machines(),
    dry_run: Flag = False,
    remove: str | None = None,
    common: Common = Common(),
) -> int:
    """Compute the op costs of a large grid into Parquet files, which mart.sweep_cost and mart.sweep_point read.

    A range is a list of numbers (1,2,4), first:last:step (1:64:1), first:last:xfactor (1:512:x2), or several of these
    separated by commas. If interrupted, run the same command again: finished parts are kept. With --device-like,
    mart.sweep_step has the steps of the grid on made-up devices, which the catalog and its charts never see.
    `rooflines sweep --remove NAME` undoes it.

    Parameters
    ----------
    name
        Name of the sweep, its sweep_id; replaces a sweep of that name. Default with --device-like: like-DEVICE.
    dry_run
        Print how many rows, parts and bytes it would write, and write nothing.
    remove
        Name of a sweep to remove, with its files.
    """
    if name is None and remove is None and devices.device_like is not None:
        name = f"like-{devices.device_like}"
    if (name is None) == (remove is None):
        raise InputError("sweep: expected either --name NAME or --remove NAME")
    if remove is not None:
        from warehouse.sweeps.registry import remove_sweep

        print(f"removed {remove}: {remove_sweep(common.place, remove)} parts")
        return 0
    request = _make_request(name or "", settings, devices, machines)
    started = time.monotonic()
    if machines.runner == "dask" and not dry_run:
        done = _sweep_on_dask(request, machines.address, common)
    else:
        from flows.sweep.run import run_sweep

        with show_progress("planning") as show, exit_at_once_on_interrupt(show, "interrupted"):
            done = run_sweep(common.place, request, dry_run=dry_run, progress=show.tell)
    _print_summary(done, name or "", dry_run, time.monotonic() - started)
    return 0


def _make_request(name: str, settings: Settings, devices: Devices, machines: Machines) -> "Request":
    from flows.sweep.devices import DeviceRequest
    from flows.sweep.request import Request
    from warehouse.files.bucket import parse_location

    if machines.runner == "dask" and machines.out is None:
        raise InputError("--runner dask: expected --out, a folder on storage that every worker sees, or s3://…")
    if machines.runner == "threads" and machines.address is not None:
        raise InputError("--address: expected with --runner dask")
    varied = {name: getattr(devices, name) for name in ("bandwidth", "peak", "memory", "link")}
    for option, value in varied.items():
        if value and devices.device_like is None:
            given = ", ".join(value) if isinstance(value, list) else value
            raise InputError(f"--{option}: {given}: expected with --device-like, e.g. --device-like h100-sxm")
    made_up = None
    if devices.device_like is not None:
        made_up = DeviceRequest(
            devices.device_like, devices.bandwidth, devices.memory, devices.link, tuple(devices.peak or [])
        )
    named = {"conventions": settings.convention, "precisions": settings.precision}
    return Request(
        name,
        models=settings.model or [],
        phases=settings.phase or [],
        tensor_parallel=settings.tensor_parallel,
        expert_parallel=settings.expert_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        data_parallel=settings.data_parallel,
        batch=settings.batch,
        sequence=settings.sequence,
        candidates=settings.candidates,
        query=settings.query,
        devices=made_up,
        rows_per_part=machines.rows_per_part,
        out=None if read_folder("--out", machines.out) is None else parse_location("--out", machines.out or ""),
        **{field: names for field, names in named.items() if names},
    )


def _sweep_on_dask(request: "Request", address: str | None, common: Common) -> "Summary":
    from importlib.util import find_spec

    from flows.cli.prefect_session import open_prefect
    from flows.orchestrate.embedded_server import start_server
    from flows.orchestrate.settings import attach_handler, use_server

    if address is None:
        raise InputError("--runner dask: expected --address of its scheduler, e.g. tcp://10.0.0.5:8786")
    if find_spec("distributed") is None:
        raise InputError("--runner dask: expected the extra dask: pip install 'rooflines[dask]'")
    with open_prefect(common) as show, use_server(start_server()):
        from flows.orchestrate.sweep import sweep_on_dask

        attach_handler(show)
        return sweep_on_dask(request.name, request, address, common.place.path)


def _print_summary(done: "Summary", name: str, dry_run: bool, seconds: float) -> None:
    kept = f"{done.parts_before} of {done.part_count} parts were there"
    made_up = f", {done.device_count:,} made-up devices" if done.device_count else ""
    if dry_run:
        print(f"would write {done.row_count:,} rows: {kept}, about {done.size_bytes / 1e6:,.0f} MB in all{made_up}")
        return
    print(f"swept {done.row_count:,} rows, {done.size_bytes / 1e6:,.0f} MB: {kept} ({seconds:.1f} s){made_up}")
    print(f"  parts  {done.folder}")
    view = "sweep_step" if done.device_count else "sweep_point"
    print(f"next: rooflines query \"select * from mart.{view} where sweep_id = '{name}' limit 9\"")

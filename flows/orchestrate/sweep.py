"""A sweep on many machines, as one flow run of Prefect: workers write the parts, one task registers them.

The parts go to Dask itself, not to Prefect's runner of tasks on Dask: for each task that one has the worker call
Prefect's server, which every machine would have to reach, and which takes longer than a part.
"""

from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.sweep import run as sweeping
from flows.sweep.dask import dask_runner
from flows.sweep.request import Request
from flows.sweep.run import Plan, Summary
from warehouse.home import Home
from warehouse.sweeps.registry import PartFile


@task(cache_policy=NO_CACHE)
def write_parts(plan: Plan, address: str) -> list[PartFile]:
    """Have the workers write every part that is not there."""
    return sweeping.write_parts(plan, dask_runner(address, plan.folder), get_run_logger().info)


@task(cache_policy=NO_CACHE)
def register_parts(home: Home, plan: Plan, files: list[PartFile]) -> Summary:
    """Let readers see all parts: the one commit."""
    return sweeping.register_sweep(home, plan, files)


@flow(name="sweep", flow_run_name="sweep {name}", validate_parameters=False)
def sweep_on_dask(name: str, request: Request, address: str, home: Path | None = None) -> Summary:
    """Compute the op costs of a grid on the workers of a Dask scheduler, and let readers see them.

    Parameters
    ----------
    name
        Name of the sweep.
    request
        What it is asked for; its folder lies on storage that every worker and this machine see.
    address
        Of the scheduler, as tcp://10.0.0.5:8786.
    home
        Folder of the warehouse; by default `$ROOFLINES_HOME`.

    Raises
    ------
    InputError
        The request cannot be met; no scheduler or no worker is there; or a worker has other code or other storage.
    RunError
        The scheduler or all workers are gone, or storage is full. Parts that are there stay.
    """
    place = Home.at(home)
    plan = sweeping.plan_sweep(place, request)
    files = write_parts(plan, address)
    get_run_logger().info("registering the parts")
    done = register_parts(place, plan, files)
    said = f"{done.row_count:,} rows in {done.part_count:,} parts in {done.folder}, {done.parts_before:,} were there"
    create_markdown_artifact(said, key="sweep", description=name)
    return done

"""A sweep on many machines, as one Prefect flow run: workers write the parts, one task registers them.

Parts go to Dask directly, not through Prefect's Dask task runner: there, each worker calls Prefect's server for each
task, so every machine would have to reach the server, and the call takes longer than a part.
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
    """Have the workers write every part that is missing."""
    return sweeping.write_parts(plan, dask_runner(address, plan.folder), get_run_logger().info)


@task(cache_policy=NO_CACHE)
def register_parts(home: Home, plan: Plan, files: list[PartFile]) -> Summary:
    """Register all parts in one commit, so that readers see them."""
    return sweeping.register_sweep(home, plan, files)


@flow(name="sweep", flow_run_name="sweep {name}", validate_parameters=False)
def sweep_on_dask(name: str, request: Request, address: str, home: Path | None = None) -> Summary:
    """Compute the op costs of a grid on the workers of a Dask scheduler, and register them for readers.

    Parameters
    ----------
    name
        Name of the sweep.
    request
        What the sweep spans; its folder is on storage that every worker and this machine see.
    address
        The scheduler, e.g. tcp://10.0.0.5:8786.
    home
        Data directory. Default: `$ROOFLINES_HOME`.

    Raises
    ------
    InputError
        The request cannot be met; there is no scheduler or no worker; or a worker has other code or other storage.
    RunError
        The scheduler or all workers are gone, or storage is full. Finished parts stay.
    """
    place = Home.at(home)
    plan = sweeping.plan_sweep(place, request)
    files = write_parts(plan, address)
    get_run_logger().info("registering the parts")
    done = register_parts(place, plan, files)
    summary = f"{done.row_count:,} rows in {done.part_count:,} parts in {done.folder}, {done.parts_before:,} were there"
    create_markdown_artifact(summary, key="sweep", description=name)
    return done

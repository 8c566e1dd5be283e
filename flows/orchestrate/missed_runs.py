"""If several runs were missed, only one is made up for: the first that starts late cancels the others."""

from datetime import UTC, datetime

from prefect import get_client, get_run_logger, runtime
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled


def skip_missed_runs() -> int:
    """Cancel the other overdue runs of this deployment, and return how many."""
    deployment_id = runtime.deployment.id
    if deployment_id is None:
        return 0
    missed = FlowRunFilter.model_validate(
        {
            "deployment_id": {"any_": [deployment_id]},
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"before_": datetime.now(UTC)},
        }
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=missed, sort=FlowRunSort.ID_DESC, limit=200)
        for run in runs:
            client.set_flow_run_state(run.id, Cancelled(message="a later run makes up for this one"))
    if runs:
        get_run_logger().info("skipped %d missed runs", len(runs))
    return len(runs)

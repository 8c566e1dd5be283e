"""Expected steps hold together at odd settings, on devices with a calibration, with a relative's and with none."""

import shutil
from collections.abc import Iterator

import duckdb
import pytest

from flows.ingest.catalog import SHIPPED
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

FILES = ("precisions.toml", "elementwise.toml", "calibrations.toml")
DEVICES = ("h100-sxm", "a6000", "b200")  # measured, by a relative, not at all
MODELS = ("llama-3-8b", "qwen3-30b-a3b", "deepseek-v2-lite", "jamba-1.5-mini", "mamba-2.8b", "gemma-2-2b")
WORKLOADS = {  # dense, MoE, MLA, hybrids; steps of one token, chunks, candidates, and every way to share a model
    "odd": """phases = ["prefill", "decode"]
        batch_size = [1, 3, 64]
        sequence_length = [1, 7, 1024]
        precisions = ["bf16", "fp8", "w4a16"]""",
    "chunks": """phases = ["prefill", "mixed"]
        batch_size = [1, 9]
        sequence_length = [1024]
        query_length = [1, 256]
        precisions = ["bf16"]""",
    "candidates": """phases = ["speculative"]
        batch_size = [1, 9]
        sequence_length = [1024]
        candidates = [5]
        precisions = ["bf16"]""",
    "stages": """phases = ["prefill", "decode"]
        batch_size = [1, 8]
        sequence_length = [1024]
        tensor_parallel = [2]
        pipeline_parallel = [4]
        micro_batches = 2
        precisions = ["bf16", "fp8"]
        models = ["llama-3-8b"]""",
    "experts": """phases = ["prefill", "decode"]
        batch_size = [1, 8]
        sequence_length = [1024]
        tensor_parallel = [2]
        expert_parallel = [4]
        data_parallel = [2]
        precisions = ["bf16"]
        models = ["qwen3-30b-a3b", "deepseek-v2-lite"]""",
}
SETTING = (
    "hardware_id, model_id, convention, precision_id, phase, batch_size, sequence_length, query_length,"
    " tensor_parallel, expert_parallel, pipeline_parallel, data_parallel"
)
NEARLY = "1 - 1e-9"


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A snapshot with few devices and models at odd settings; its expected steps are the table `step`."""
    folder = tmp_path_factory.mktemp("expected")
    shipped, home = folder / "shipped", Home(folder / "home")
    shutil.copytree(SHIPPED / "architectures", shipped / "architectures")
    for place in ("hardware", "models", "workloads"):
        (shipped / place).mkdir()
    for name in (*FILES, *(f"hardware/{each}.toml" for each in DEVICES), *(f"models/{each}.json" for each in MODELS)):
        shutil.copyfile(SHIPPED / name, shipped / name)
    for name, asked in WORKLOADS.items():
        text = (
            f'workload_id = "{name}"\nname = "{name}"\norigin = "of a test"\nconventions = ["engine", "paper"]\n{asked}'
        )
        (shipped / "workloads" / f"{name}.toml").write_text(text, "utf-8")
    run_without_prefect(home, shipped)
    with open_snapshot(home.snapshot) as connection:
        connection.execute("create temp table step as from mart.predicted_step")
        yield connection


def list_wrong(steps: duckdb.DuckDBPyConnection, condition: str, of: str = "step") -> list[tuple[object, ...]]:
    return fetch_rows(steps, f"select {SETTING}, launch from {of} where {condition} limit 3")


def test_every_step_is_expected_in_both_launches_and_fusions(steps: duckdb.DuckDBPyConnection) -> None:
    least = fetch_rows(steps, f"select {SETTING} from mart.step_time order by all")
    assert len(least) > 1000
    for launch in ("eager", "graph"):
        for fusion in ("engine", "none"):
            where = f"launch = '{launch}' and fusion = '{fusion}'"
            assert fetch_rows(steps, f"select {SETTING} from step where {where} order by all") == least


def test_no_step_is_expected_below_its_least_time(steps: duckdb.DuckDBPyConnection) -> None:
    assert not list_wrong(steps, "predicted_s is null or not isfinite(predicted_s) or host_wait_s < 0")
    assert not list_wrong(steps, f"predicted_s < lower_bound_s * ({NEARLY})")
    both = f"step inner join (select {SETTING}, lower_bound_s as least_s from mart.step_time) using ({SETTING})"
    assert not list_wrong(steps, "abs(lower_bound_s / least_s - 1) > 1e-9", both)


def test_op_groups_and_the_wait_for_the_host_add_up_to_the_step(steps: duckdb.DuckDBPyConnection) -> None:
    parts = "list_sum(map_values(op_group_s)) + host_wait_s"
    assert not list_wrong(steps, f"abs({parts} - predicted_s) > 1e-9 * predicted_s")
    assert not list_wrong(
        steps, "launch = 'graph' and not host_wait_s between 0 and 0.2 * predicted_s"
    )  # between kernels
    assert not list_wrong(steps, "op_group_s[dominant_op_group] < list_max(map_values(op_group_s))")


@pytest.mark.parametrize(("column", "short", "long"), [("fusion", "engine", "none"), ("launch", "graph", "eager")])
def test_more_kernels_and_eager_launches_take_no_less_time(
    column: str, short: str, long: str, steps: duckdb.DuckDBPyConnection
) -> None:
    keys = f"{SETTING}, {'launch' if column == 'fusion' else 'fusion'}"
    ((pairs, wrong),) = fetch_rows(
        steps,
        f"select count(*), count(*) filter (one.predicted_s > two.predicted_s / ({NEARLY}))"
        f" from step as one inner join step as two using ({keys})"
        f" where one.{column} = '{short}' and two.{column} = '{long}'",
    )
    assert pairs > 1000
    assert wrong == 0


def test_ops_without_a_calibration_are_named_and_count_at_the_roof(steps: duckdb.DuckDBPyConnection) -> None:
    assert not list_wrong(steps, "covered_share is null or covered_share < 0 or covered_share > 1 + 1e-12")
    assert not list_wrong(steps, f"(uncovered_ops is null) <> (covered_share > {NEARLY})")
    assert not list_wrong(
        steps, "hardware_id = 'mi300x' and (covered_share > 0 or predicted_s > lower_bound_s * 1.000001)"
    )
    assert not list_wrong(steps, "hardware_id = 'a6000' and covered_share > 0 and transferred_from is null")
    named = "select distinct uncovered_ops from step where hardware_id = 'h100-sxm' and precision_id = 'bf16'"
    of_model = f"{named} and convention = 'engine' and phase = 'decode' and data_parallel = 1 and model_id = "
    assert fetch_rows(steps, f"{of_model} 'llama-3-8b' and pipeline_parallel = 1") == [(None,)]
    assert fetch_rows(steps, f"{of_model} 'jamba-1.5-mini'") == [("conv1d, recurrence",)]

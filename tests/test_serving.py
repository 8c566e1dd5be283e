"""Bounds and expected times of runs of serving engines, from what their steps hold."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.ingest.user_catalog import add_files
from tests.support.files import write_file
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

WORKLOAD = """
workload_id = "compared"
name = "Steps of the runs"
origin = "a test"
phases = ["decode", "prefill"]
batch_size = [1, 8, 55]
sequence_length = [1024, 960]
conventions = ["engine"]
precisions = ["fp16"]
"""
ENGINES = """
[[engine]]
engine = "vllm"
memory_share = 0.9
memory_share_origin = "a test"
token_budget = 256
token_budget_origin = "a test"
"""
HEADER = (
    "engine,hardware_id,model,precision_id,mode,tensor_parallel,concurrency,prompt_tokens,output_tokens,ttft_s,tpot_s,"
    "decode_workers,speculative,precision"
)
# Llama 7B on an A40 in fp16, one run per line. No calibration is at hand, so nothing but bounds is known.
RUNS = {
    "batch": "other,a40,llama-7b,fp16,batch,1,8,960,128,2,0.03,,,",
    "steady": "other,a40,llama-7b,fp16,steady,1,8,960,128,0.5,0.04,,,",
    "full": "vllm,a40,llama-7b,fp16,steady,1,64,512,1024,2,0.06,,,",
    "budget": "vllm,a40,llama-7b,fp16,steady,1,32,1024,128,2,0.2,,,",
    "apart": "other,a40,llama-7b,fp16,disaggregated,1,16,960,128,1,0.04,2,,",
    "workers": "other,a40,llama-7b,fp16,disaggregated,1,16,960,128,1,0.04,,,",
    "fast": "other,a40,llama-7b,fp16,batch,1,8,960,128,2,0.01,,,",
    "mtp": "other,a40,llama-7b,fp16,steady,1,8,960,128,2,0.01,,mtp,",
    "shared": "other,a40,llama-7b,fp16,steady,3,8,960,128,2,0.03,,,",
    "fp8": "other,a40,llama-7b,fp8,steady,1,8,960,128,2,0.03,,,",
    "quantized": "other,a40,llama-7b,,steady,1,8,960,128,2,0.03,,,Q4_K",
    "unknown": "other,a40,my-model,fp16,steady,1,8,960,128,2,0.03,,,",
    "first": "other,a40,llama-7b,fp16,batch,1,1,1024,1,0.5,,,,",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with these runs, after a run."""
    folder = tmp_path_factory.mktemp("serving")
    shipped, home = write_small_catalog(folder / "shipped"), Home(folder / "home")
    write_file(shipped / "workloads", "compared.toml", WORKLOAD)
    write_file(shipped, "engines.toml", ENGINES)
    path = write_file(folder, "mine.csv", "\n".join([HEADER, *RUNS.values(), ""]))
    add_files(home, "engine", [str(path)], shipped=shipped)
    run_without_prefect(home, shipped)
    return home


def read(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with open_snapshot(home.snapshot) as connection:
        return connection.sql(sql).fetchall()


def find(home: Home, name: str, columns: str) -> tuple[Any, ...]:
    """Return columns of mart.measured_serving of a run."""
    number = list(RUNS).index(name) + 1
    return read(home, f"select {columns} from mart.measured_serving where serving_id = 'mine/{number}'")[0]


def find_step(home: Home, phase: str, batch: int, sequence: int) -> float:
    """Return the lower bound of a step that a workload asks for."""
    setting = f"phase = '{phase}' and batch_size = {batch} and sequence_length = {sequence} and convention = 'engine'"
    return float(read(home, f"select lower_bound_s from mart.step_time where {setting}")[0][0])


def test_a_batch_takes_a_prefill_and_steps_at_its_mean_context(runs: Home) -> None:
    """From a context of 960 to one of 1,088: a step at 1,024 takes the mean time, as attention grows evenly."""
    ttft, tpot, request, share = find(runs, "batch", "bound_ttft_s, bound_tpot_s, bound_request_s, share_of_bound")
    assert ttft == pytest.approx(find_step(runs, "prefill", 8, 960))
    assert tpot == pytest.approx(find_step(runs, "decode", 8, 1024))
    assert request == pytest.approx(ttft + 127 * tpot)
    assert share == pytest.approx(tpot / 0.03)


def test_a_step_by_hand(runs: Home) -> None:
    """Weights of 6,607,077,376 in linear layers and lm_head, and the KV cache of 8 contexts of 1,024, in fp16.

    32 layers of 4 x 4096 x 4096 and 3 x 4096 x 11008 weights, and 32000 x 4096; of each token 2 x 32 x 4096 elements of
    keys and values. At 696 GB/s these bytes take 25.2 ms; what else a step moves is less than 1 % of them.
    """
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    assert weights == 6_607_077_376
    (tpot,) = find(runs, "batch", "bound_tpot_s")
    by_hand = 2 * (weights + 8 * 1024 * 2 * 32 * 4096) / 696e9
    assert by_hand < tpot < 1.01 * by_hand


def test_steady_steps_hold_prompts_beside_the_rows_that_decode(runs: Home) -> None:
    """8 requests bring 8 x 960 / 128 = 60 tokens of prompts to each step, one of 16 steps a whole prompt."""
    tokens, rows, tpot, alone = find(runs, "steady", "step_prompt_tokens, decode_rows, bound_tpot_s, bound_decode_s")
    assert (tokens, rows) == (60, 8)
    assert alone == pytest.approx(find_step(runs, "decode", 8, 1024))
    # a weight is read once for both, and prompts take no less than their share of a prefill beyond that
    assert alone < tpot < alone + find_step(runs, "prefill", 1, 960) / 16
    (ttft,) = find(runs, "steady", "bound_ttft_s")
    assert ttft == pytest.approx(find_step(runs, "prefill", 1, 960))


def test_requests_whose_cache_does_not_fit_do_not_run_at_once(runs: Home) -> None:
    """0.9 x 48 GB less 13.48 GB of weights are 55 contexts of 1,024 tokens of 524,288 bytes each."""
    assert int((0.9 * 48e9 - 2 * 6_738_415_616) // (1024 * 524_288)) == 55
    running, cause = find(runs, "full", "running, cause")
    assert running == 55
    assert "KV cache: at most 55 of 64 requests fit at once" in cause


def test_a_step_keeps_to_the_budget_of_tokens(runs: Home) -> None:
    """With 8 tokens of prompts to each row, 256 tokens are 28 rows and their 228 tokens."""
    rows, tokens, cause = find(runs, "budget", "decode_rows, step_prompt_tokens, cause")
    assert rows == 29
    assert tokens == pytest.approx(8 * 256 / 9)
    assert "token budget of a step: 29 of 32 requests decode beside the prompts" in cause


def test_workers_that_decode_share_the_requests_and_see_no_prompts(runs: Home) -> None:
    running, tpot, ttft = find(runs, "apart", "running, bound_tpot_s, bound_ttft_s")
    assert running == 8
    assert tpot == pytest.approx(find_step(runs, "decode", 8, 1024))
    assert ttft is None  # nobody says how the workers that prefill are shared


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("workers", "number of decode workers not stated"),
        ("mtp", "speculative decoding: a step may yield several tokens"),
        ("shared", "devices cannot share the model so"),
        ("fp8", "no roof of the device for the precision"),
        ("quantized", "precision not known: Q4_K"),
        ("unknown", "model not in the catalog: my-model"),
    ],
)
def test_a_run_without_a_bound_says_why(runs: Home, name: str, cause: str) -> None:
    bound, share, said = find(runs, name, "bound_tpot_s, share_of_bound, cause")
    assert (bound, share) == (None, None)
    assert cause in said


def test_no_share_is_above_1_without_a_cause(runs: Home) -> None:
    share, cause = find(runs, "fast", "share_of_bound, cause")
    assert share > 1
    assert "above the bound: its steps cannot have held so many requests" in cause
    assert "first token waits for other requests" in find(runs, "steady", "cause")[0]


def test_a_run_of_one_token_has_the_share_of_its_first(runs: Home) -> None:
    share, bound, request = find(runs, "first", "share_of_bound, bound_ttft_s, bound_request_s")
    assert share == pytest.approx(bound / 0.5)
    assert request == bound == pytest.approx(find_step(runs, "prefill", 1, 1024))


def test_the_view_has_a_row_per_run_and_the_ops_of_runs_are_nowhere_else(runs: Home) -> None:
    assert read(runs, "select count(*), count(distinct serving_id) from mart.measured_serving") == [(len(RUNS),) * 2]
    assert read(runs, "select count(*) from core.op_shape where phase = 'mixed'") == [(0,)]


def test_without_runs_there_are_no_rows(snapshot: duckdb.DuckDBPyConnection) -> None:
    assert snapshot.sql("select count(*) from core.serving_measurement").fetchall() == [(0,)]
    assert snapshot.sql("select count(*) from core.engine where memory_share_origin is null").fetchall() == [(0,)]


def test_runs_of_unknown_models_alone_have_rows(tmp_path: Path) -> None:
    shipped, home = write_small_catalog(tmp_path / "shipped"), Home(tmp_path / "home")
    path = write_file(tmp_path, "mine.csv", f"{HEADER}\n{RUNS['unknown']}\n")
    add_files(home, "engine", [str(path)], shipped=shipped)
    run_without_prefect(home, shipped)
    assert read(home, "select cause from mart.measured_serving where cause like 'model not in%'") != []

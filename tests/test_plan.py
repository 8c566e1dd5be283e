"""Plans: which configurations meet a latency, from the expected steps of a request profile."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import duckdb
import polars as pl
import pytest

from charts.serving_plan import draw_serving_plan
from flows.cli.app import run_command
from flows.ingest.readers.hardware import read_hardware
from flows.intensity.request_steps import ROLES, Profile, list_request_steps
from flows.plan.answer import list_ways, plan
from flows.plan.request import Request
from flows.plan.steps import compute_steps
from tests.support.files import ROOT
from tests.support.inputs import make_source
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.sandbox.question import Question
from warehouse.sandbox.question import answer as ask
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import load_all_sql

A10 = (ROOT / "warehouse" / "catalog" / "hardware" / "a10.toml").read_text("utf-8")
PRICE = 'dollars_per_hour = 1.5\ndollars_origin = "my contract of 2026"\n'


@pytest.fixture(scope="module")
def functions() -> Iterator[duckdb.DuckDBPyConnection]:
    """The macros, without any table."""
    with duckdb.connect() as connection:
        connection.execute("create schema mart")
        for name, sql in load_all_sql("functions").items():
            if name in {"expected_tokens", "expected_tree_tokens", "sharing_label"}:
                connection.execute(sql)
        yield connection


def test_a_tree_yields_the_tokens_of_each_depth_that_is_reached(functions: duckdb.DuckDBPyConnection) -> None:
    """Rate 1/2: with two candidates 3/4 go on, with two for each of them 9/16 once more."""
    sql = "select mart.expected_tree_tokens(0.5, [1, 2, 4]), mart.expected_tree_tokens(1, [1, 4, 8, 3])"
    assert fetch_rows(functions, sql) == [(1 + 3 / 4 + 9 / 16, 4)]


@pytest.mark.parametrize("rate", [0, 0.3, 0.8, 1])
def test_a_tree_without_branches_yields_what_a_chain_does(functions: duckdb.DuckDBPyConnection, rate: float) -> None:
    sql = "select mart.expected_tree_tokens(?, [1, 1, 1, 1]), mart.expected_tokens(?, 4)"
    ((tree, chain),) = fetch_rows(functions, sql, [rate, rate])
    assert tree == pytest.approx(chain)


def test_what_is_no_probability_yields_nothing(functions: duckdb.DuckDBPyConnection) -> None:
    sql = "select mart.expected_tree_tokens(1.5, [1, 2]), mart.expected_tree_tokens(-0.1, [1, 2])"
    assert fetch_rows(functions, sql) == [(None, None)]


def test_a_label_names_each_way_to_share(functions: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "select mart.sharing_label(1, 1, 1, 1), mart.sharing_label(8, 8, 1, 1), mart.sharing_label(1, 8, 1, 8),"
        " mart.sharing_label(2, 1, 4, 1)"
    )
    assert fetch_rows(functions, sql) == [("TP1", "TP8 EP8", "EP8 DP8", "TP2 PP4")]


def write_device(folder: Path, more: str) -> Path:
    path = folder / "a10.toml"
    path.write_text(more + A10, "utf-8")
    return path


def test_a_device_has_the_price_that_its_file_states(tmp_path: Path) -> None:
    frames = read_hardware([make_source(write_device(tmp_path, PRICE), "hardware")])
    assert frames["hardware"].select("dollars_per_hour", "dollars_origin").rows() == [(1.5, "my contract of 2026")]


@pytest.mark.parametrize("lines", [PRICE.splitlines()[0], PRICE.splitlines()[1]], ids=["no origin", "no price"])
def test_a_price_has_an_origin(tmp_path: Path, lines: str) -> None:
    with pytest.raises(InputError, match="dollars_per_hour: expected dollars_per_hour and dollars_origin together"):
        read_hardware([make_source(write_device(tmp_path, f"{lines}\n"), "hardware")])


def test_a_price_is_above_zero(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a10\.toml: dollars_per_hour = 0: expected .*greater than 0"):
        read_hardware([make_source(write_device(tmp_path, PRICE.replace("1.5", "0")), "hardware")])


# The steps of a profile


def test_a_step_carries_the_prompts_of_those_who_follow() -> None:
    """64 requests of 1024 output tokens: one ends every 16 steps, and the next brings 8192 - 2048 tokens."""
    profile = Profile(8192, 1024, cached_tokens=2048)
    assert profile.count_chunk_tokens(64) == (8192 - 2048) / 16
    assert Profile(1000, 300).count_chunk_tokens(1) == 4  # 3.33, rounded up


def test_a_request_decodes_at_the_mean_of_its_contexts() -> None:
    assert Profile(8192, 1024).mean_context == 8192 + 512


def test_a_chunk_sees_what_the_prompt_sees_on_average() -> None:
    """Its tokens attend to s - (q - 1) / 2, those of the prompt after 2048 to 2048 + (6144 + 1) / 2."""
    end = Profile(8192, 1024, cached_tokens=2048).find_chunk_end(384)
    assert end - (384 - 1) / 2 == 2048 + (6144 + 1) / 2


def test_a_batch_whose_prompts_a_step_cannot_carry_is_not_interleaved() -> None:
    profile = Profile(8192, 1024, step_tokens=9 * 512)
    assert profile.can_interleave(512)
    assert not profile.can_interleave(513)


def test_a_mixed_step_has_three_parts_and_the_others_one() -> None:
    steps = list_request_steps(Profile(4096, 512), (2, 1, 1, 1), [8], ROLES)
    parts = steps.select("role", "part", "phase", "batch_size", "sequence_length", "query_length").rows()
    assert parts == [
        ("prefill", "whole", "prefill", 1, 4096, 4096),
        ("prefill", "whole", "prefill", 2, 4096, 4096),
        ("mixed", "shared", "mixed", 8, 4096 + 256, 64),
        ("mixed", "rows", "decode", 8, 4096 + 256, 1),
        ("mixed", "chunk", "mixed", 8, (4096 + 64) // 2, 64),
        ("decode", "whole", "decode", 8, 4096 + 256, 1),
    ]


# Plans


def make_request(
    devices: Sequence[str] = ("h100-sxm",),
    profile: Profile | None = None,
    *,
    ttft: float = 1,
    tpot: float = 0.02,
    **more: Any,
) -> Request:
    return Request("llama-3-8b", devices, profile or Profile(1024, 128), ttft, tpot, most_devices=2, **more)


def test_the_steps_are_those_of_the_warehouse(finished: Home) -> None:
    """At settings that it has: a context of 1016 + 16 / 2 in decode, and a prompt of 1024."""
    sql = """
        select phase, predicted_s from mart.predicted_step
        where hardware_id = 'h100-sxm' and model_id = 'llama-3-8b' and convention = 'engine' and precision_id = 'bf16'
        and launch = 'graph' and fusion = 'engine' and sequence_length = 1024 and query_length in (1, 1024)
        and batch_size = if(phase = 'decode', 64, 1)
        and tensor_parallel * expert_parallel * pipeline_parallel * data_parallel = 1
    """
    with open_snapshot(finished.snapshot) as connection:
        expected = dict(fetch_rows(connection, sql))
    for phase, batch, profile in (("decode", 64, Profile(1016, 16)), ("prefill", 1, Profile(1024, 128))):
        steps, _ = compute_steps(finished, make_request(profile=profile, roles=[phase]))
        (step,) = steps.filter(role=phase, batch_size=batch, tensor_parallel=1).to_dicts()
        assert step["step_s"] == pytest.approx(expected[phase], rel=1e-9)


def test_a_plan_holds_its_limits_and_its_query_gives_the_same_rows(finished: Home) -> None:
    request = make_request(["h100-sxm", "h200-sxm"])
    answer = plan(finished, request)
    rows = answer.rows
    assert answer.is_met
    assert set(rows["hardware_id"]) == {"h100-sxm", "h200-sxm"}
    assert set(rows["mode"]) == {"interleaved", "disaggregated"}
    assert (rows["ttft_s"] <= 1).all()
    assert (rows["tpot_s"] <= 0.02).all()
    assert rows["device_tokens_per_s"].is_sorted(descending=True)
    alone = rows.filter(mode="interleaved").with_columns(
        tokens=pl.col("batch_size") / pl.col("tpot_s") / pl.col("devices"), served=pl.col("goodput_per_s") * 128
    )
    assert alone["tokens"].to_list() == pytest.approx(alone["device_tokens_per_s"].to_list(), rel=0.01)
    assert alone["served"].to_list() == pytest.approx(alone["device_tokens_per_s"].to_list(), rel=0.01)
    with TemporaryFile() as file:
        ask(Question(str(finished.snapshot), answer.statement, "parquet", "plan", 60), file)
        file.seek(0)
        again = BytesIO(file.read())
    assert pl.read_parquet(again).equals(rows)


def test_a_tighter_limit_leaves_smaller_batches(finished: Home) -> None:
    loose, tight = (plan(finished, make_request(tpot=tpot, roles=["prefill", "mixed"])).rows for tpot in (0.03, 0.008))
    for column in ("batch_size", "device_tokens_per_s"):
        assert max(loose[column].to_list()) > max(tight[column].to_list())


def test_devices_without_a_price_come_last_and_are_named(finished: Home) -> None:
    answer = plan(finished, make_request(roles=["prefill", "mixed"]), by="dollar")
    assert answer.rows["tokens_per_dollar"].null_count() == len(answer.rows)
    assert "listed last, as their files have no dollars_per_hour: h100-sxm" in answer.remarks


def test_candidates_that_are_kept_shorten_the_time_of_a_token(finished: Home) -> None:
    kept, none = (
        plan(finished, make_request(profile=profile, roles=["prefill", "decode"], acceptance_rate=rate)).steps
        for profile, rate in ((Profile(1024, 128, candidates=4), 1.0), (Profile(1024, 128), None))
    )
    step, alone = (
        steps.filter(role="decode", batch_size=1, tensor_parallel=1)["step_s"].item() for steps in (kept, none)
    )
    assert alone < step < 2 * alone  # four tokens for less than two steps


def run_plan(home: Home, *options: str) -> int:
    given = ["--model", "llama-3-8b", "--devices", "h100-sxm", "--prompt", "1024", "--output", "128"]
    return run_command(["plan", *given, *options, "--most-devices", "1", "--home", str(home.path)])


def test_a_chart_draws_every_way_and_says_which_leads(finished: Home) -> None:
    request = make_request(["h100-sxm", "h200-sxm"])
    answer = plan(finished, request)
    rows, model = list_ways(finished, request, answer)
    chart = draw_serving_plan(rows, model, "1,024 prompt and 128 output tokens", 1, 0.02)
    spec = chart.to_dict()
    drawn = pl.DataFrame(spec["data"]["values"], infer_schema_length=None)
    most = answer.rows["device_tokens_per_s"][0]
    assert spec["title"]["text"] == f"Llama 3 8B: H200 SXM leads with {most:,.0f} tokens/s per device, expected"
    assert len(drawn) == len(rows) > len(answer.rows)
    assert drawn.filter("is_leader")["device_tokens_per_s"].to_list() == [most]
    for _, line in drawn.filter("is_best").group_by("device", "mode"):
        assert line.sort("tpot_ms")["device_tokens_per_s"].is_sorted()
    fields = set(re.findall(r"'field': '(\w+)'", str(spec["layer"])))
    assert fields - set(drawn.columns) == {"limit_ms"}


def test_what_is_not_calibrated_is_not_called_expected(finished: Home) -> None:
    request = make_request(["l4"], ttft=100, tpot=100, roles=["prefill", "mixed"])
    answer = plan(finished, request)
    at_roof = replace(answer, steps=answer.steps.with_columns(covered_share=0.0))
    rows, model = list_ways(finished, request, at_roof)
    title = draw_serving_plan(rows, model, "", 100, 100).to_dict()["title"]
    assert title["text"].startswith("Llama 3 8B: L4 (at the roof) leads with")
    assert title["text"].endswith("at most")
    assert "not calibrated" in title["subtitle"][-1]


def test_if_none_meets_the_limits_one_line_says_by_how_much(finished: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_plan(finished, "--ttft", "1e-6", "--tpot", "1") == 1
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert "no configuration meets both limits; the nearest is TP1 of h100-sxm at batch" in said.err
    assert "--ttft 1e-06 s fails" in said.err
    assert "--tpot" not in said.err
    assert "h100-sxm" in said.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "llama-3-8"], "--model: llama-3-8: expected a name such as llama-3-8b"),
        (["--devices", "h100-sxn"], "--devices: h100-sxn: expected a name such as h100-sxm"),
        (["--precision", "bf17"], "--precision: bf17: expected a name such as bf16"),
        (["--devices", "v100-sxm"], "--precision: bf16: runs on none of v100-sxm; expected others"),
        (["--prompt", "0"], "--prompt: 0: expected a whole number from 1 to 10000000"),
        (["--cached", "1024"], "--cached: 1024: expected a whole number from 0 to 1023"),
        (["--tpot", "0"], "--tpot: 0: expected seconds, more than 0"),
        (["--tpot", "nan"], "--tpot: nan: expected seconds, more than 0"),
        (["--free-share", "1"], "--free-share: 1: expected a share of memory from 0 to below 1"),
        (["--candidates", "4"], "--accept: missing; expected the acceptance rate"),
        (["--accept", "0.5"], "--accept: 0.5: expected with --candidates or --tree"),
        (["--candidates", "4", "--accept", "2"], "--accept: 2: expected a probability from 0 to 1"),
        (["--tree", "1,x", "--accept", "0.5"], "--tree: 1,x: expected the candidates at each depth"),
        (["--tree", "2,4", "--accept", "0.5"], "--tree: 2: expected 1 at the first depth"),
        (["--tree", "1,4", "--accept", "0.5", "--mode", "both"], "--mode: no step has candidates beside a chunk"),
        (["--limit", "0"], "--limit: 0: expected a whole number from 1"),
        (["--sql", "--format", "csv"], "plan: expected either --sql or --format"),
    ],
)  # fmt: skip
def test_what_a_plan_cannot_use_is_one_line(
    finished: Home, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    given = {
        "--model": "llama-3-8b",
        "--devices": "h100-sxm",
        "--prompt": "1024",
        "--output": "128",
        "--ttft": "1",
        "--tpot": "1",
    }
    given = {name: value for name, value in given.items() if name not in options}
    line = [word for pair in given.items() for word in pair]
    assert run_command(["plan", *line, *options, "--home", str(finished.path)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert said in err

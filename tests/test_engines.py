"""Results of serving engines: read from the formats of their benchmarks, and placed beside bounds and expectations."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.engines.convert import convert_results
from flows.ingest.engines.settings import EngineOptions
from flows.ingest.kinds import recognize_kind
from flows.ingest.model_names import find_catalog_model
from flows.ingest.readers.engine import name_models_and_precisions, read_engine_results
from flows.ingest.readers.engine_setting import read_engine_settings
from flows.ingest.user_catalog import add_files
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.home import Home

NAMES = {"nvidia geforce rtx 4090": "rtx-4090", **{name: name for name in ("rtx-4090", "h100-sxm", "h200-sxm", "b200")}}
ALL = EngineOptions(
    hardware_id="h100-sxm", engine="vllm", model_id="llama-3.1-8b", tensor_parallel=2, concurrency=8,
    prompt_tokens=1024, output_tokens=128,
)  # fmt: skip

SERVE = {
    "endpoint_type": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "date": "20261127-101500",
    "completed": 320, "duration": 42.0, "max_concurrency": 32, "total_input_tokens": 327680,
    "total_output_tokens": 40960, "mean_ttft_ms": 61.2, "mean_tpot_ms": 9.4,
}  # fmt: skip
SGLANG = {
    **SERVE, "backend": "sglang-oai", "endpoint_type": None, "max_concurrency": None, "mean_e2e_latency_ms": 1050.0,
    "server_info": {"model_path": "Qwen/Qwen3-32B", "tp_size": 4, "version": "0.5.8"}, "model_id": None,
}  # fmt: skip
LATENCY = {"avg_latency": 1.91, "latencies": [1.90, 1.92], "percentiles": {"50": 1.91}}
THROUGHPUT = {"elapsed_time": 20.0, "num_requests": 1000, "total_num_tokens": 1152000, "tokens_per_second": 57600.0}
ONE_BATCH = {
    "run_name": "default", "batch_size": 8, "input_len": 1024, "output_len": 128, "prefill_latency": 0.21,
    "median_decode_latency": 0.0082, "total_latency": 1.26,
}  # fmt: skip
OFFLINE = {
    "backend": "engine", "successful_requests": 100, "total_latency": 20.0, "total_input_tokens": 102400,
    "total_output_tokens": 12800,
}  # fmt: skip
INFERENCEX = {
    "hw": "h200-nv_3", "conc": 64, "image": "vllm/vllm-openai:v0.19.0", "model": "openai/gpt-oss-120b",
    "framework": "vllm", "precision": "fp4", "spec_decoding": "none", "disagg": False, "isl": 1024, "osl": 8192,
    "tp": 4, "ep": 1, "dp_attention": "false", "mean_ttft": 0.12, "mean_tpot": 0.008,
}  # fmt: skip
DISAGGREGATED = {
    **INFERENCEX, "framework": "dynamo-sglang", "disagg": True, "is_multinode": True, "spec_decoding": "mtp",
    "prefill_tp": 4, "prefill_ep": 4, "prefill_dp_attention": "false", "prefill_num_workers": 2, "decode_tp": 8,
    "decode_ep": 8, "decode_dp_attention": "true", "decode_num_workers": 1,
}  # fmt: skip
AIPERF = {
    "input_config": {"endpoint": {"model_names": ["Qwen/Qwen3-32B"]}, "loadgen": {"concurrency": 16}},
    "time_to_first_token": {"unit": "ms", "avg": 200.0}, "inter_token_latency": {"unit": "us", "avg": 20000.0},
    "request_latency": {"unit": "ms", "avg": 5000.0}, "input_sequence_length": {"unit": "tokens", "avg": 255.6},
    "output_sequence_length": {"unit": "tokens", "avg": 64.0},
}  # fmt: skip


def mean(value: float) -> dict[str, Any]:
    return {"successful": {"mean": value}}


GUIDELLM = {
    "benchmarks": [
        {
            "config": {"strategy": {"type_": "concurrent", "streams": 8}},
            "metrics": {
                "time_to_first_token_ms": mean(90.0), "inter_token_latency_ms": mean(11.0),
                "time_per_output_token_ms": mean(12.0), "request_latency": mean(1.5), "prompt_token_count": mean(512),
                "output_token_count": mean(128),
            },
        },
        {"config": {"strategy": {"type_": "constant"}}, "metrics": {}},
    ]
}  # fmt: skip
LLAMA = {
    "build_commit": "a1b2c3d", "gpu_info": "NVIDIA GeForce RTX 4090", "cpu_info": "a CPU", "model_type": "llama 8B F16",
    "model_filename": "models/Meta-Llama-3.1-8B-F16.gguf", "n_prompt": 0, "n_gen": 128, "n_depth": 512,
    "avg_ns": 2_560_000_000,
}  # fmt: skip
MARKDOWN = """
| model | size | params | backend | ngl | test | t/s |
| --- | ---: | ---: | --- | --: | ---: | ---: |
| llama 8B F16 | 14.96 GiB | 8.03 B | CUDA | 99 | pp512 | 10240.00 ± 12.00 |
| llama 8B F16 | 14.96 GiB | 8.03 B | CUDA | 99 | tg128 @ d512 | 50.00 ± 0.10 |

build: a1b2c3d (1)
"""
SAMPLE = {
    "id": "x", "silicon_data_source": "source_file=a.csv; silicon_concurrency=64; measured=2026-03-25",
    "backend": "vllm", "backend_version": "0.12.0", "model_path": "Qwen/Qwen3-32B", "system": "h200_sxm",
    "precision": "", "mode": "agg",
    "isl": 1024, "osl": 128, "gemm_quant_mode": "", "moe_quant_mode": "", "batch_size": 64, "tp_size": 2, "pp_size": 1,
    "attention_dp_size": "", "moe_tp_size": 1, "moe_ep_size": 1, "prefill_batch_size": "", "prefill_num_workers": "",
    "prefill_tp_size": "", "prefill_pp_size": "", "prefill_attention_dp_size": "", "prefill_moe_tp_size": "",
    "prefill_moe_ep_size": "", "decode_batch_size": "", "decode_num_workers": "", "decode_tp_size": "",
    "decode_pp_size": "", "decode_attention_dp_size": "", "decode_moe_tp_size": "", "decode_moe_ep_size": "",
    "silicon_ttft_ms": 349.5, "silicon_tpot_ms": 7.8,
}  # fmt: skip
SAMPLE_APART = {
    **SAMPLE, "mode": "disagg", "batch_size": "", "tp_size": "", "pp_size": "", "moe_tp_size": "", "moe_ep_size": "",
    "silicon_data_source": "db-dump/2026-04-27; silicon_concurrency=512; measured=2026-04-18T00:00:00.000Z",
    "model_path": "deepseek-ai/DeepSeek-R1", "gemm_quant_mode": "nvfp4", "prefill_num_workers": 2, "prefill_tp_size": 4,
    "prefill_pp_size": 1, "prefill_attention_dp_size": 1, "prefill_moe_tp_size": 4, "prefill_moe_ep_size": 1,
    "decode_batch_size": 64, "decode_num_workers": 1, "decode_tp_size": 1, "decode_pp_size": 1,
    "decode_attention_dp_size": 8, "decode_moe_tp_size": 1, "decode_moe_ep_size": 8,
}  # fmt: skip
OWN = """engine,hardware_id,model,mode,concurrency,prompt_tokens,output_tokens,tpot_s
mine,h100-sxm,llama-3.1-8b,steady,8,1024,128,0.01
"""


def write_csv(*rows: dict[str, Any]) -> str:
    return pl.DataFrame([{name: str(value) for name, value in row.items()} for row in rows]).write_csv()


FORMATS: dict[str, tuple[str, str]] = {
    "serve": ("a.json", json.dumps(SERVE)),
    "bench_serving": ("a.jsonl", json.dumps(SGLANG) + "\n" + json.dumps({**SGLANG, "max_concurrency": 16}) + "\n"),
    "latency": ("a.json", json.dumps(LATENCY)),
    "throughput": ("a.json", json.dumps(THROUGHPUT)),
    "one_batch": ("a.jsonl", json.dumps(ONE_BATCH)),
    "offline": ("a.jsonl", json.dumps(OFFLINE)),
    "inferencex": ("a.json", json.dumps(INFERENCEX)),
    "disaggregated": ("a.json", json.dumps(DISAGGREGATED)),
    "aiperf": ("a.json", json.dumps(AIPERF)),
    "guidellm": ("a.json", json.dumps(GUIDELLM)),
    "llama.json": ("a.json", json.dumps([LLAMA])),
    "llama.jsonl": ("a.jsonl", json.dumps(LLAMA)),
    "llama.csv": ("a.csv", write_csv(LLAMA)),
    "llama.md": ("a.md", MARKDOWN),
    "sample": ("silicon_sample.csv", write_csv(SAMPLE, SAMPLE_APART)),
    "own": ("a.csv", OWN),
}


def read(folder: Path, name: str, content: str, options: EngineOptions = ALL) -> pl.DataFrame:
    """Return the runs of a file as the catalog holds them."""
    folder.mkdir(exist_ok=True)
    found = convert_results(make_source(write_file(folder, name, content), "engine"), options, NAMES)
    stored = write_file(folder, "stored.csv", found.decode())
    return read_engine_results([make_source(stored, "engine")])["serving_run"]


# What each format says of its first run, beside what options say. Times are in seconds, lengths the means of requests.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 327,680 / 320 and 40,960 / 320 tokens
        ("serve", {"engine": "vllm", "concurrency": 32, "prompt_tokens": 1024, "output_tokens": 128, "ttft_s": 0.0612,
                   "tpot_s": 0.0094, "mode": "steady", "model": "meta-llama/Llama-3.1-8B-Instruct"}),
        # Little's law: 320 requests of 1.05 s in 42 s are 8 at a time
        ("bench_serving", {"engine": "sglang", "engine_version": "0.5.8", "model": "Qwen/Qwen3-32B", "concurrency": 8,
                           "tensor_parallel": 4, "request_s": 1.05}),
        ("latency", {"engine": "vllm", "mode": "batch", "request_s": 1.91, "concurrency": 8, "output_tokens": 128}),
        # 8 in flight, of which one ends every 20 s / 1000
        ("throughput", {"engine": "vllm", "mode": "steady", "request_s": 0.16}),
        ("one_batch", {"engine": "sglang", "mode": "batch", "ttft_s": 0.21, "tpot_s": 0.0082, "request_s": 1.26}),
        ("offline", {"engine": "sglang", "request_s": 1.6, "prompt_tokens": 1024, "output_tokens": 128}),
        # 90 % of the nominal lengths: 921.6 and 7372.8 tokens
        ("inferencex", {"hardware_id": "h200-sxm", "engine": "vllm", "concurrency": 64, "prompt_tokens": 922,
                        "output_tokens": 7373, "ttft_s": 0.12, "tpot_s": 0.008, "precision": "fp4", "speculative": None,
                        "tensor_parallel": 4, "expert_parallel": 1, "has_mean_lengths": True}),
        ("disaggregated", {"mode": "disaggregated", "engine": "sglang", "tensor_parallel": 1, "data_parallel": 8,
                           "expert_parallel": 8, "prefill_tensor_parallel": 4, "prefill_expert_parallel": 4,
                           "prefill_workers": 2, "decode_workers": 1, "speculative": "mtp"}),
        ("aiperf", {"model": "Qwen/Qwen3-32B", "concurrency": 16, "ttft_s": 0.2, "tpot_s": 0.02, "request_s": 5.0,
                    "prompt_tokens": 256, "output_tokens": 64}),
        ("guidellm", {"concurrency": 8, "ttft_s": 0.09, "tpot_s": 0.011, "request_s": 1.5, "prompt_tokens": 512}),
        # 128 steps after a context of 512: 2.56 s / 128
        ("llama.json", {"hardware_id": "rtx-4090", "engine": "llama.cpp", "engine_version": "a1b2c3d",
                        "precision": "F16", "model": "Meta-Llama-3.1-8B-F16.gguf", "tpot_s": 0.02,
                        "ttft_s": None, "prompt_tokens": 512,
                        "output_tokens": 129, "concurrency": 1, "mode": "batch"}),
        ("llama.jsonl", {"hardware_id": "rtx-4090", "tpot_s": 0.02}),
        ("llama.csv", {"hardware_id": "rtx-4090", "tpot_s": 0.02}),
        ("llama.md", {"ttft_s": 0.05, "prompt_tokens": 512, "output_tokens": 1, "precision": "F16"}),
        ("sample", {"hardware_id": "h200-sxm", "engine": "vllm", "precision": None, "tensor_parallel": 2,
                    "ttft_s": 0.3495, "data_parallel": 1, "expert_parallel": None, "concurrency": 64,
                    "prompt_tokens": 1024, "has_mean_lengths": False, "tpot_s": 0.0078}),
        ("own", {"engine": "mine", "tpot_s": 0.01}),
    ],
)  # fmt: skip
def test_each_format_is_recognized_and_read(name: str, expected: dict[str, object], tmp_path: Path) -> None:
    file, content = FORMATS[name]
    assert recognize_kind(write_file(tmp_path, file, content)) == "engine"
    row = read(tmp_path / "read", file, content).row(0, named=True)
    assert {key: row[key] for key in expected} == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()
    }


def test_every_run_of_a_file_is_a_row(tmp_path: Path) -> None:
    rows = read(tmp_path, *FORMATS["bench_serving"])
    assert rows["serving_id"].to_list() == ["stored/1", "stored/2"]
    assert rows["concurrency"].to_list() == [8, 16]
    rows = read(tmp_path, *FORMATS["llama.md"])
    assert rows.select("prompt_tokens", "output_tokens", "tpot_s").row(1) == (512, 129, 0.02)
    # a strategy without a request that succeeded is no run
    assert read(tmp_path, *FORMATS["guidellm"]).height == 1


def test_disaggregated_runs_have_two_sides(tmp_path: Path) -> None:
    row = read(tmp_path, *FORMATS["sample"]).row(1, named=True)
    decode = (row["tensor_parallel"], row["data_parallel"], row["expert_parallel"], row["decode_workers"])
    prefill = (row["prefill_tensor_parallel"], row["prefill_expert_parallel"], row["prefill_workers"])
    assert (decode, prefill, row["concurrency"], row["prompt_tokens"]) == ((1, 8, 8, 1), (4, 1, 2), 512, 922)


@pytest.mark.parametrize(
    ("name", "old", "new", "options", "names"),
    [
        ("serve", "{", "[{", ALL, ["a.json", "broken JSON"]),
        ("serve", "61.2", '"soon"', ALL, ["a.json", 'mean_ttft_ms = "soon"', "expected a number"]),
        ("serve", "9.4", "NaN", ALL, ["mean_tpot_ms = ", "expected a number"]),
        ("serve", "61.2", "-1", ALL, ["ttft_s: expected 1e-9 to 1e6 seconds", "not -0.001"]),
        ("serve", "327680", "1e30", ALL, ["total_input_tokens = 3", "expected a number from 0 to"]),
        ("serve", '"vllm"', '"openai"', EngineOptions(tensor_parallel=1), ["run 1: engine: missing", "--engine"]),
        ("serve", "[", "[", EngineOptions(tensor_parallel=1), ["hardware_id: missing; expected --hardware-id"]),
        ("serve", "[", "[", EngineOptions(hardware_id="b200"), ["tensor_parallel: missing", "--tensor-parallel"]),
        ("latency", "[", "[", EngineOptions(hardware_id="b200", tensor_parallel=1), ["model: missing", "--model-id"]),
        ("throughput", "1000", "0", ALL, ["num_requests = 0", "expected a number above 0"]),
        ("aiperf", '"us"', '"weeks"', ALL, ["inter_token_latency.unit = weeks", "expected one of ms"]),
        ("llama.md", "tg128", "up128", ALL, ['test = "up128 @ d512"', "pp512 or tg128"]),
        ("llama.md", "50.00 ±", "fast ±", ALL, ["t/s = ", "expected a number above 0"]),
        ("llama.csv", "2560000000", "", ALL, ["row 1", "avg_ns", "expected the time"]),
        ("sample", "h200_sxm", "h201_sxm", ALL, ['system = "h201_sxm"', "expected a device of the catalog"]),
        ("sample", ",7.8", ",quick", ALL, ['row 1: silicon_tpot_ms = "quick"', "expected a number"]),
        ("sample", "vllm", "xllm", ALL, ['backend = "xllm"', "expected one of vllm"]),
        ("own", "tpot_s", "tpot_ms", ALL, ['column "tpot_ms"', "expected one of engine"]),
        ("own", "steady", "steadily", ALL, ["row 1", "mode: expected one of steady", 'not "steadily"']),
        ("own", "0.01", "", ALL, ["row 1", "no time; expected ttft_s, tpot_s or request_s"]),
    ],
)  # fmt: skip
def test_a_bad_result_is_refused_in_one_line(
    name: str, old: str, new: str, options: EngineOptions, names: list[str], tmp_path: Path
) -> None:
    file, content = FORMATS[name]
    changed = content.replace(old, new, 1)
    assert_refused(lambda: read(tmp_path, file, changed, options), names=names)


def test_a_file_of_no_format_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(tmp_path / "home")
    for name, content, told in (
        ("a.json", '{"mean": 1}', "not recognized"),
        ("a.txt", "", "expected a file that ends in"),
        ("a.md", "# nothing", "no runs"),
    ):
        path = write_file(tmp_path, name, content)
        assert run_command(["ingest", "engine", str(path), "--home", home]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert len(error.splitlines()) == 1
    path = write_file(tmp_path, "b.json", json.dumps(SERVE))
    assert run_command(["ingest", "step", str(path), "--concurrency", "8", "--home", home]) == 2
    assert "--concurrency" in capsys.readouterr().err
    assert run_command(["ingest", "engine", str(path), "--concurrency", "0", "--home", home]) == 2
    assert "--concurrency: 0: expected 1 or more" in capsys.readouterr().err


def test_a_device_or_model_that_nobody_describes_is_refused(tmp_path: Path, small_shipped: Path) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "a.json", json.dumps(SERVE))

    def add(**ids: str) -> None:
        options = EngineOptions(tensor_parallel=1)
        add_files(home, "engine", [str(path)], engine_options=options, shipped=small_shipped, **ids)  # type: ignore[arg-type]

    assert_refused(lambda: add(hardware_id="a41"), names=['hardware_id = "a41"', "a device of the catalog"])
    assert_refused(lambda: add(hardware_id="a40", model_id="my-llama"), names=['model_id = "my-llama"'])
    assert not home.catalog.exists()


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "llama-3.1-8b"),
        ("Meta-Llama-3.1-8B-Q4_K_M.gguf", "llama-3.1-8b"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", None),
        ("org/Llama-3.1-80B", None),
        ("", None),
    ],
)
def test_a_name_means_the_model_of_the_same_shapes(name: str, model_id: str | None) -> None:
    assert find_catalog_model(name, ["llama-3.1-8b", "deepseek-r1", "llama-8b"]) == model_id


def test_a_precision_is_that_of_the_file_or_of_the_published_weights() -> None:
    models = pl.DataFrame(
        {"model_id": ["dense", "block", "unknown"], "published_precision": ["bf16", "fp8-block", None]}
    )
    precisions = pl.DataFrame({"precision_id": ["bf16", "fp8-tensor", "fp8-block", "nvfp4", "awq"]})
    cases = [
        ("dense", None, "bf16"), ("dense", "fp8", "fp8-tensor"), ("dense", "fp8_block", "fp8-block"),
        ("block", "fp8", "fp8-block"), ("block", "nvfp4", "nvfp4"), ("dense", "AWQ", "awq"), ("unknown", None, None),
        ("dense", "int4_wo", None), ("dense", "Q4_K - Medium", None),
    ]  # fmt: skip
    runs = pl.DataFrame(
        {"model": [c[0] for c in cases], "precision": [c[1] for c in cases]},
    ).with_columns(model_id=pl.lit(None, pl.String), precision_id=pl.lit(None, pl.String))
    found = name_models_and_precisions(runs, models, precisions)
    assert found["precision_id"].to_list() == [c[2] for c in cases]


def test_engines_of_the_home_replace_shipped_ones(tmp_path: Path, shipped: Path) -> None:
    mine = '[[engine]]\nengine = "vllm"\nmemory_share = 0.5\nmemory_share_origin = "mine"\n'
    host = (
        '[[host]]\nengine = "vllm"\nhardware_id = "a40"\nhost_s = 0.001\nn_runs = 3\nfit_error = 0.1\norigin = "runs"\n'
    )
    paths = (shipped / "engines.toml", write_file(tmp_path, "engines.toml", mine + host))
    sources = [make_source(path, "engine_setting") for path in paths]
    rows = read_engine_settings(sources)["engine"].filter(engine="vllm")
    assert rows.select("hardware_id", "memory_share", "token_budget", "host_s").rows() == [
        ("", 0.5, None, 0.0), ("a40", 0.5, None, 0.001),
    ]  # fmt: skip
    for text, names in (
        (mine + mine, ["engine = vllm", "listed twice"]),
        (mine + host + host, ["hardware_id = a40", "twice for engine vllm"]),
        (host, ["engine = vllm", "expected one that is listed"]),
        (mine + "token_budget = 5\n", ["token_budget", "token_budget_origin"]),
        (mine.replace("0.5", "1.5"), ["memory_share", "1.5"]),
    ):
        source = make_source(write_file(tmp_path, "engines.toml", text), "engine_setting")
        assert_refused(lambda source=source: read_engine_settings([source]), names=["engines.toml", *names])  # type: ignore[misc]

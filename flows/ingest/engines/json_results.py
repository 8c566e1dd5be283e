"""Results in JSON and JSON Lines: of vLLM, SGLang, InferenceX, AIPerf, GenAI-Perf, GuideLLM and llama-bench.

Fields are those that these programs write: `vllm bench latency`, `throughput` and `serve` (vllm/benchmarks), SGLang's
bench_serving, bench_one_batch and bench_offline_throughput (python/sglang), InferenceX's utils/process_result.py, the
JSON exports of NVIDIA AIPerf and GenAI-Perf, GuideLLM's benchmarks.json, and llama.cpp's tools/llama-bench. Each
function returns the runs of one document; columns that it does not know are None.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flows.ingest.engines.devices import find_device
from flows.ingest.engines.settings import Row, read_count, read_number, read_text, scale_number
from warehouse.errors import InputError

Document = Mapping[str, Any]
Names = Mapping[str, str]  # name of a device -> its id

_MILLI = 1e-3
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)")
# unit of a metric of AIPerf -> seconds
_UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "us": 1e-6, "ns": 1e-9}
# how `vllm bench serve` and bench_serving name what they talk to -> engine; other names are those of a protocol
_ENGINES = {
    "vllm": "vllm", "vllm-chat": "vllm", "sglang": "sglang", "sglang-native": "sglang", "sglang-oai": "sglang",
    "sglang-oai-chat": "sglang", "trt": "trtllm", "trtllm": "trtllm", "tensorrt-llm": "trtllm", "tensorrt": "trtllm",
    "lmdeploy": "lmdeploy", "tgi": "tgi", "atom": "atom", "dynamo-trt": "trtllm", "dynamo-trtllm": "trtllm",
    "dynamo-sglang": "sglang", "dynamo-vllm": "vllm", "llmd-vllm": "vllm", "mori-sglang": "sglang",
}  # fmt: skip
# InferenceX draws lengths evenly from 80 to 100 % of the nominal one (its random-range-ratio of 0.8)
MEAN_OF_DRAWN = 0.9


def name_engine(name: object) -> str | None:
    """Return the engine that a file names; None if it names a protocol, or none."""
    return _ENGINES.get((read_text(name) or "").lower())


def list_runs(document: Any, where: str, names: Names) -> list[Row] | None:
    """Return the runs of one document; None if it is of no known format.

    Parameters
    ----------
    document
        Parsed JSON.
    where
        The file, which messages name.
    names
        Names of the catalog's devices -> their ids.

    Raises
    ------
    InputError
        A field has a value that it cannot have.
    """
    if isinstance(document, list):
        if document and all(isinstance(each, dict) and _is_llama_bench(each) for each in document):
            return [run for each in document for run in read_llama_bench(each, where, names)]
        return None
    if not isinstance(document, dict):
        return None
    for recognizes, read in _FORMATS:
        if recognizes(document):
            return read(document, where, names)
    return None


def _has(*keys: str) -> Callable[[Document], bool]:
    return lambda document: all(key in document for key in keys)


def _is_llama_bench(document: Document) -> bool:
    return "n_gen" in document and "avg_ns" in document


def _milliseconds(document: Document, field: str, where: str) -> float | None:
    return scale_number(read_number(document.get(field), where, field), _MILLI)


def _mean(total: float | None, number: float | None) -> float | None:
    return total / number if total is not None and number else None


def _count_in_flight(requests: float | None, request_s: float | None, duration_s: float | None) -> int | None:
    """Return how many requests are in flight on average, by Little's law."""
    if not requests or not request_s or not duration_s:
        return None
    return max(1, round(requests * request_s / duration_s))


def _read_serve(document: Document, where: str, _: Names) -> list[Row]:
    """`vllm bench serve` and SGLang's bench_serving: the same names, but for the whole request."""
    number = {name: read_number(document.get(name), where, name) for name in ("completed", "duration")}
    completed = number["completed"]
    tokens = {
        name: _mean(read_number(document.get(f"total_{name}"), where, f"total_{name}"), completed)
        for name in ("input_tokens", "output_tokens")
    }
    ttft, tpot = (_milliseconds(document, f"mean_{name}_ms", where) for name in ("ttft", "tpot"))
    whole = "mean_e2e_latency_ms" if "mean_e2e_latency_ms" in document else "mean_e2el_ms"
    request = _milliseconds(document, whole, where)
    if request is None and ttft is not None and tpot is not None and tokens["output_tokens"]:
        request = ttft + (tokens["output_tokens"] - 1) * tpot
    most = read_count(document.get("max_concurrency"), where, "max_concurrency")
    in_flight = _count_in_flight(completed, request, number["duration"])
    server = document.get("server_info")
    server = server if isinstance(server, dict) else {}
    named = document.get("endpoint_type") or document.get("backend")
    return [
        {
            "engine": name_engine(named),
            "engine_version": read_text(server.get("version")),
            "model": read_text(document.get("model_id")) or read_text(server.get("model_path")),
            "tensor_parallel": read_count(server.get("tp_size"), where, "server_info.tp_size"),
            "expert_parallel": read_count(server.get("ep_size"), where, "server_info.ep_size"),
            "data_parallel": read_count(server.get("dp_size"), where, "server_info.dp_size"),
            "pipeline_parallel": read_count(server.get("pp_size"), where, "server_info.pp_size"),
            "mode": "steady",
            # fewer prompts than may be in flight are never in flight
            "concurrency": min(most, round(completed)) if most and completed else most or in_flight,
            "prompt_tokens": read_count(tokens["input_tokens"], where, "total_input_tokens"),
            "output_tokens": read_count(tokens["output_tokens"], where, "total_output_tokens"),
            "has_mean_lengths": True,
            "ttft_s": ttft,
            "tpot_s": tpot,
            "request_s": request,
            "measured_at": _read_date(document.get("date")),
            "method": "means of the requests of bench serve",
        }
    ]


def _read_date(value: object) -> str | None:
    """Return a time as text: `vllm bench serve` writes 20261127-101500."""
    text = read_text(value)
    parts = _DATE.fullmatch(text) if text else None
    return "{}-{}-{}T{}:{}:{}Z".format(*parts.groups()) if parts else None


def _read_vllm_latency(document: Document, where: str, _: Names) -> list[Row]:
    return [
        {
            "engine": "vllm",
            "mode": "batch",
            "request_s": read_number(document["avg_latency"], where, "avg_latency"),
            "method": "mean of the batches of vllm bench latency",
        }
    ]


def _read_throughput(document: Document, where: str, options_of: Row, names: tuple[str, str]) -> list[Row]:
    """Results that tell how long all requests took together; with c in flight, each takes c times the mean."""
    duration, requests = (read_number(document.get(name), where, name) for name in names)
    if not duration or not requests:
        raise InputError(f"{where}: {names[1]} = {document.get(names[1])}: expected a number above 0")
    return [{"mode": "steady", "share_of_request_s": duration / requests, **options_of}]


def _read_vllm_throughput(document: Document, where: str, _: Names) -> list[Row]:
    method = "requests in flight times the mean time between two that vllm bench throughput finishes"
    return _read_throughput(document, where, {"engine": "vllm", "method": method}, ("elapsed_time", "num_requests"))


def _read_sglang_offline(document: Document, where: str, _: Names) -> list[Row]:
    requests = read_number(document.get("successful_requests"), where, "successful_requests")
    tokens = {
        f"{column}_tokens": read_count(_mean(read_number(document.get(field), where, field), requests), where, field)
        for column, field in (("prompt", "total_input_tokens"), ("output", "total_output_tokens"))
    }
    method = "requests in flight times the mean time between two that bench_offline_throughput finishes"
    known = {"engine": "sglang", "has_mean_lengths": True, "method": method, **tokens}
    return _read_throughput(document, where, known, ("total_latency", "successful_requests"))


def _read_sglang_batch(document: Document, where: str, _: Names) -> list[Row]:
    return [
        {
            "engine": "sglang",
            "mode": "batch",
            "concurrency": read_count(document["batch_size"], where, "batch_size"),
            "prompt_tokens": read_count(document["input_len"], where, "input_len"),
            "output_tokens": read_count(document["output_len"], where, "output_len"),
            "ttft_s": read_number(document["prefill_latency"], where, "prefill_latency"),
            "tpot_s": read_number(document.get("median_decode_latency"), where, "median_decode_latency"),
            "request_s": read_number(document.get("total_latency"), where, "total_latency"),
            "method": "prefill and median decode step of bench_one_batch",
        }
    ]


def _read_inferencex(document: Document, where: str, names: Names) -> list[Row]:
    def count(field: str) -> int | None:
        return read_count(document.get(field), where, field)

    def mean(field: str) -> int | None:
        return read_count(scale_number(read_number(document.get(field), where, field), MEAN_OF_DRAWN), where, field)

    is_apart = str(document.get("disagg")).lower() == "true"
    side = "decode_" if is_apart or document.get("is_multinode") is True else ""
    run: Row = {
        "hardware_id": find_device(read_text(document.get("hw")), names),
        "engine": name_engine(document.get("framework")) or read_text(document.get("framework")),
        "engine_version": read_text(document.get("image")),
        "model": read_text(document.get("model")),
        "precision": read_text(document.get("precision")),
        "mode": "disaggregated" if is_apart else "steady",
        "concurrency": count("conc"),
        "prompt_tokens": mean("isl"),
        "output_tokens": mean("osl"),
        "has_mean_lengths": True,
        "ttft_s": read_number(document.get("mean_ttft", document.get("median_ttft")), where, "mean_ttft"),
        "tpot_s": read_number(document.get("mean_tpot", document.get("median_tpot")), where, "mean_tpot"),
        "speculative": _name_speculation(document.get("spec_decoding", document.get("spec_method"))),
        "method": "means of InferenceX; lengths of 80 to 100 % of the nominal ones",
        **read_sharing(document, where, side),
    }  # fmt: skip
    if is_apart:
        prefill = read_sharing(document, where, "prefill_")
        run |= {f"prefill_{name}": value for name, value in prefill.items()}
        run |= {name: count(field) for name, field in _WORKERS.items()}
    return [run]


_WORKERS = {"prefill_workers": "prefill_num_workers", "decode_workers": "decode_num_workers"}


def _name_speculation(value: object) -> str | None:
    text = read_text(value)
    return None if text is None or text.lower() in ("none", "false") else text


def read_sharing(document: Document, where: str, side: str) -> Row:
    """Return how InferenceX shares a model: with attention in replicas, each device of `tp` is one."""
    devices, spread = (read_count(document.get(f"{side}{name}"), where, f"{side}{name}") for name in ("tp", "ep"))
    has_replicas = str(document.get(f"{side}dp_attention")).lower() == "true"
    if has_replicas and devices:
        # experts that are split across replicas are no way to share that the cost model knows
        return {
            "tensor_parallel": 1,
            "data_parallel": devices,
            "expert_parallel": spread if spread and spread > 1 else None,
        }
    return {"tensor_parallel": devices, "data_parallel": 1, "expert_parallel": spread or 1}


def _read_aiperf(document: Document, where: str, _: Names) -> list[Row]:
    def average(name: str) -> float | None:
        metric = document.get(name)
        value = metric.get("avg") if isinstance(metric, dict) else None
        number = read_number(value, where, f"{name}.avg")
        if number is None or not name.startswith(("time_", "inter_", "request_")):
            return number
        unit = read_text(metric.get("unit") if isinstance(metric, dict) else None) or "ms"
        if unit not in _UNITS:
            raise InputError(f"{where}: {name}.unit = {unit}: expected one of {', '.join(_UNITS)}")
        return number * _UNITS[unit]

    config = document.get("input_config")
    config = config if isinstance(config, dict) else {}
    model = _find_first(document, config, ("model",), ("endpoint", "model_names"), ("model_names",))
    concurrency = _find_first(
        document, config, ("concurrency",), ("loadgen", "concurrency"), ("perf_analyzer", "stimulus", "concurrency")
    )
    return [
        {
            "engine": name_engine(_find_first(document, config, ("backend",), ("endpoint", "backend"))),
            "model": read_text(model[0] if isinstance(model, list) and model else model),
            "mode": "steady",
            "concurrency": read_count(
                concurrency[0] if isinstance(concurrency, list) and concurrency else concurrency, where, "concurrency"
            ),
            "prompt_tokens": read_count(average("input_sequence_length"), where, "input_sequence_length.avg"),
            "output_tokens": read_count(average("output_sequence_length"), where, "output_sequence_length.avg"),
            "has_mean_lengths": True,
            "ttft_s": average("time_to_first_token"),
            "tpot_s": average("inter_token_latency"),
            "request_s": average("request_latency"),
            "method": "means of the requests of AIPerf or GenAI-Perf",
        }
    ]


def _find_first(document: Document, config: Document, *paths: tuple[str, ...]) -> Any:
    """Return what stands at the first of some paths, in a document or in its input_config."""
    for table in (document, config):
        for path in paths:
            found: Any = table
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            if found is not None:
                return found
    return None


def _read_guidellm(document: Document, where: str, _: Names) -> list[Row]:
    return [run for number, each in enumerate(document["benchmarks"], 1) for run in _read_strategy(each, where, number)]


def _read_strategy(benchmark: object, where: str, number: int) -> Iterator[Row]:
    """Yield the run of one strategy of GuideLLM; none if no request succeeded."""
    place = f"{where}: benchmarks[{number}]"
    if not isinstance(benchmark, dict) or not isinstance(benchmark.get("metrics"), dict):
        raise InputError(f"{place}: no metrics; expected a table of them")
    metrics = benchmark["metrics"]

    def mean(name: str) -> float | None:
        metric = metrics.get(name)
        found = metric.get("successful", metric) if isinstance(metric, dict) else None
        return read_number(found.get("mean") if isinstance(found, dict) else None, place, name)

    if mean("time_to_first_token_ms") is None and mean("request_latency") is None:
        return
    streams = _find_first(benchmark, {}, ("config", "strategy", "streams"), ("args", "strategy", "streams"))
    in_flight = mean("request_concurrency")
    model = _find_first(
        benchmark, {}, ("config", "backend", "model"), ("worker", "backend_model"), ("backend", "model")
    )
    yield {
        "model": read_text(model),
        "mode": "steady",
        "concurrency": read_count(streams, place, "streams") or (max(1, round(in_flight)) if in_flight else None),
        "prompt_tokens": read_count(mean("prompt_token_count"), place, "prompt_token_count"),
        "output_tokens": read_count(mean("output_token_count"), place, "output_token_count"),
        "has_mean_lengths": True,
        "ttft_s": scale_number(mean("time_to_first_token_ms"), _MILLI),
        # its time per output token counts the first one, too
        "tpot_s": scale_number(mean("inter_token_latency_ms"), _MILLI),
        "request_s": mean("request_latency"),
        "method": "means of the successful requests of GuideLLM",
    }


def read_llama_bench(document: Document, where: str, names: Names) -> list[Row]:
    """Return one test of llama-bench: a prompt (pp), or tokens one after the other (tg), or both (pg)."""
    prompt, output, depth = (
        read_count(document.get(name), where, name) or 0 for name in ("n_prompt", "n_gen", "n_depth")
    )
    nanoseconds = read_number(document["avg_ns"], where, "avg_ns")
    seconds = None if nanoseconds is None else nanoseconds * 1e-9
    if seconds is None or prompt + output == 0:
        raise InputError(f"{where}: avg_ns = {document['avg_ns']}: expected the time of a prompt or of tokens")
    return [build_llama_run(document, prompt, output, depth, seconds, names)]


def build_llama_run(document: Document, prompt: int, output: int, depth: int, seconds: float, names: Names) -> Row:
    """Return one test of llama-bench, which has one sequence, as a run."""
    devices = (read_text(document.get("gpu_info")) or read_text(document.get("cpu_info")) or "").split(", ")
    version = read_text(document.get("build_commit"))
    kind = read_text(document.get("model_type")) or ""
    file = (read_text(document.get("model_filename")) or kind).replace("\\", "/").rpartition("/")[2]
    precision = kind.split(" ", 2)[2] if kind.count(" ") > 1 else None
    whole = {"request_s": seconds} if prompt and output else {}
    one = {"ttft_s": seconds} if prompt else {"tpot_s": seconds / output}
    return {
        "hardware_id": find_device(devices[0], names) if len(set(devices)) == 1 else None,
        "engine": "llama.cpp",
        "engine_version": version,
        "model": file or None,
        "precision": precision,
        "tensor_parallel": 1,
        "pipeline_parallel": len(devices),  # layers are split between devices unless --split-mode says otherwise
        "mode": "batch",
        "concurrency": 1,
        # tokens follow a context of n_depth, each by a step of its own
        "prompt_tokens": max(1, prompt or depth),
        "output_tokens": output + 1 if output else 1,
        "measured_at": read_text(document.get("test_time")),
        "method": "mean of the repetitions of llama-bench",
        **(whole or one),
    }


_FORMATS: Sequence[tuple[Callable[[Document], bool], Callable[[Document, str, Names], list[Row]]]] = (
    (_has("hw", "conc", "isl", "osl"), _read_inferencex),
    (_has("avg_latency", "latencies"), _read_vllm_latency),
    (_has("elapsed_time", "num_requests", "tokens_per_second"), _read_vllm_throughput),
    (_has("successful_requests", "total_latency", "total_input_tokens"), _read_sglang_offline),
    (_has("batch_size", "input_len", "output_len", "prefill_latency"), _read_sglang_batch),
    (_has("completed", "total_input_tokens", "mean_ttft_ms"), _read_serve),
    (lambda document: isinstance(document.get("benchmarks"), list), _read_guidellm),
    (lambda document: isinstance(document.get("time_to_first_token"), dict), _read_aiperf),
    (_is_llama_bench, read_llama_bench),
)

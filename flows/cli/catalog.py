"""`rooflines ingest`: files into the catalog."""

from typing import Literal

from flows.cli.options import Common, Flag
from flows.cli.terminal import show_progress


def ingest(
    kind: Literal[
        "hardware",
        "architecture",
        "model",
        "workload",
        "ops",
        "measurement",
        "step",
        "engine",
        "vidur",
        "aiconfigurator",
        "nsight",
        "torch-profiler",
        "rocprof-compute",
        "tracelens",
        "likwid",
        "advisor",
        "ert",
        "nccl-tests",
        "nsys",
    ],
    paths: list[str],
    /,
    *,
    replace: Flag = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    as_ceiling: Flag = False,
    anyway: Flag = False,
    precision_id: str | None = None,
    engine: str | None = None,
    engine_version: str | None = None,
    tensor_parallel: int | None = None,
    expert_parallel: int | None = None,
    pipeline_parallel: int | None = None,
    data_parallel: int | None = None,
    concurrency: int | None = None,
    prompt_tokens: int | None = None,
    output_tokens: int | None = None,
    common: Common = Common(),
) -> int:
    """Add files to the home's catalog, all or none; the next run reads them.

    Each file that cannot be used gets a line. To undo, delete the files that the command names.

    Columns of a table of devices: hardware_id, origin, memory_gb, bandwidth_gb_per_s, and peaks such as fp16_tflops or
    int8_tops; also name, short_name, vendor, architecture, l2_mib, tdp_w, license, basis, note, l2_gb_per_s.

    Columns of ops: name (or op), group (or op_group), m, k, n, batch, repeat, flops (or flop), bytes, precision_id (or
    precision), level, devices, pipe.

    Columns of a measurement, of a product: m, k, n, dtype and a time: latency_s, time_s, latency_ms, time_ms, ms,
    latency_us, time_us, us, latency_ns, time_ns; or flops_per_s, gflops, tflops. FLOP and bytes follow; given ones that
    disagree by more than 1 % are flagged. Of any kernel: op, op_group, kind, flops, bytes and method too. Also
    hardware_id, latency_min_s, latency_std_s, repeats, matrices, level, pipe, accumulator, is_ceiling, ceiling_basis,
    model_id, phase, batch_size, sequence_length, query_length, heads, kv_heads, head_dim, tensor_parallel, launch,
    software, device_name, measured_at, rank, covered_share, coverage, origin, license.

    Columns of a step: hardware_id, model_id, precision_id, phase, batch_size, sequence_length, launch, fusion,
    latency_s, method; also query_length, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel,
    layers_timed, repeats, latency_min_s, latency_std_s, device_name, software, measured_at, origin, license.

    Columns of results of engines: engine, hardware_id, model, mode, concurrency, prompt_tokens, output_tokens, and
    ttft_s, tpot_s or request_s; also engine_version, model_id, precision, precision_id, speculative, tensor_parallel,
    expert_parallel, pipeline_parallel, data_parallel, prefill_tensor_parallel, prefill_expert_parallel,
    prefill_pipeline_parallel, prefill_data_parallel, prefill_workers, decode_workers, has_mean_lengths, method,
    measured_at, origin, license.

    Parameters
    ----------
    kind
        hardware: a device file (.toml) or a table of devices (.csv). architecture: how configs of some classes
        are read (.toml). model: a Hugging Face config.json, a folder that holds one, also of the Hugging Face cache,
        or a name on the hub, e.g. meta-llama/Llama-3.1-8B (needs the extra hub). workload: a grid of settings (.toml).
        ops: kernels of any kind (.csv, .json, .parquet) with a name, a group, and either m, k and n or flops, bytes
        and precision_id; also repeat, level, devices and pipe. measurement: kernel times, as `rooflines measure`
        writes them, or your own (.csv, .parquet). step: times of whole steps, as `rooflines measure --steps`
        writes them (.csv). engine: results of serving engines, recognized by their content: vLLM's and SGLang's
        benchmarks, InferenceX, AIPerf, GenAI-Perf, GuideLLM, llama-bench (.json, .jsonl, .csv, .md), the sample of
        aiconfigurator-core (silicon_sample.csv), and tables of serving results (.csv).
        vidur: profiles by Vidur (mlp.csv, attention.csv). aiconfigurator: tables of GEMMs, attention, experts and
        collectives from aiconfigurator-core (.parquet, or a folder of them).
        nsight: output of `ncu --csv --page raw` with roofline metrics, or a report (.ncu-rep). torch-profiler: a
        PyTorch profiler trace with shapes (.json, .json.gz). rocprof-compute: its roofline.csv (ceilings) or
        pmc_perf.csv (kernels). tracelens: its table of GEMMs (.csv). likwid: CSV of likwid-perfctr, e.g. of the group
        MEM_DP. advisor: survey report of Intel Advisor (.csv). ert: report of the Empirical Roofline Tool (ceilings).
        nccl-tests: output of nccl-tests or rccl-tests. nsys: SQLite export of Nsight Systems, which has times alone:
        `rooflines profile` lists them.
    paths
        One or more files.
    replace
        Replace entries of the same name.
    hardware_id
        The device of measurements, results of engines and profiles (vidur, aiconfigurator, nsight, torch-profiler)
        whose files do not name it. Default: for profiles, the device that the file names, or else its path. A profile
        that names another device is refused.
    model_id
        The model of profiles (vidur, nsight, torch-profiler), by default the one that the path names, and of results
        of engines, by default the one that the file names.
    as_ceiling
        The fastest kernels of these measurements or profiles become measured ceilings of their device, each of its
        dtype, pipe and accumulator, or of its level; more than 5 % above the datasheet is refused. To undo, ingest
        again without it, and with --replace. What `rooflines measure` marks as ceilings needs no flag.
    anyway
        Take a profile that names another device than --hardware-id.
    precision_id
        The precision of results of engines. Default: the one that the file names, else that of the published weights.
    engine
        The engine of results that do not name it, e.g. vllm, sglang or trtllm.
    engine_version
        Its version.
    tensor_parallel
        Devices that share each layer, of results of engines whose files do not say it; so all options that follow.
    expert_parallel
        Devices that whole experts are spread over.
    pipeline_parallel
        Stages of layers.
    data_parallel
        Replicas of attention.
    concurrency
        Requests in flight; of a batch, its size.
    prompt_tokens
        Tokens of a prompt, on average.
    output_tokens
        Tokens that a request generates, on average.
    """
    from flows.ingest.engines.settings import EngineOptions
    from flows.ingest.user_catalog import add_files

    options = EngineOptions(
        precision_id=precision_id, engine=engine, engine_version=engine_version, tensor_parallel=tensor_parallel,
        expert_parallel=expert_parallel, pipeline_parallel=pipeline_parallel, data_parallel=data_parallel,
        concurrency=concurrency, prompt_tokens=prompt_tokens, output_tokens=output_tokens,
    )  # fmt: skip
    home = common.place
    with show_progress("reading") as show:
        entries = add_files(
            home, kind, paths, replace=replace, hardware_id=hardware_id, model_id=model_id, as_ceiling=as_ceiling,
            anyway=anyway, engine_options=options, progress=show.tell,
        )  # fmt: skip
    for added in entries:
        print(f"added  {added.path}{' (replaces the shipped one)' if added.replaces_shipped else ''}")
        if added.note:
            print(f"  {added.note}")
        for ceiling in added.ceilings:
            print(f"measured ceiling  {ceiling}")
        for ceiling in added.counted:
            print(f"counter ceiling  {ceiling}")
        if added.mismatch:
            print(f"flagged  {added.mismatch}; kept as given")
    if as_ceiling and not any(added.ceilings for added in entries):
        print("measured ceiling  none: no kernel is as large as 1e9 FLOP or 1e6 bytes")
    print("next: rooflines run")
    return 0

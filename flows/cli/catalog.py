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
        "vidur",
        "aiconfigurator",
        "nsight",
        "torch-profiler",
    ],
    paths: list[str],
    /,
    *,
    replace: Flag = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    as_ceiling: Flag = False,
    anyway: Flag = False,
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
    hardware_id, latency_min_s, latency_std_s, repeats, matrices, level, pipe, accumulator, is_ceiling, model_id, phase,
    batch_size, sequence_length, query_length, heads, kv_heads, head_dim, tensor_parallel, launch, software,
    device_name, measured_at, origin, license.

    Columns of a step: hardware_id, model_id, precision_id, phase, batch_size, sequence_length, launch, fusion,
    latency_s, method; also query_length, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel,
    layers_timed, repeats, latency_min_s, latency_std_s, device_name, software, measured_at, origin, license.

    Parameters
    ----------
    kind
        hardware: a device file (.toml) or a table of devices (.csv). architecture: how configs of some classes
        are read (.toml). model: a Hugging Face config.json, a folder that holds one, also of the Hugging Face cache,
        or a name on the hub, e.g. meta-llama/Llama-3.1-8B (needs the extra hub). workload: a grid of settings (.toml).
        ops: kernels of any kind (.csv, .json, .parquet) with a name, a group, and either m, k and n or flops, bytes
        and precision_id; also repeat, level, devices and pipe. measurement: kernel times, as `rooflines measure`
        writes them, or your own (.csv, .parquet). step: times of whole steps, as `rooflines measure --steps`
        writes them (.csv). vidur: profiles by Vidur (mlp.csv, attention.csv). aiconfigurator: tables of GEMMs and
        attention from aiconfigurator-core (.parquet, or a folder of them).
        nsight: output of `ncu --csv --page raw` with roofline metrics, or a report (.ncu-rep). torch-profiler: a
        PyTorch profiler trace with shapes (.json, .json.gz).
    paths
        One or more files.
    replace
        Replace entries of the same name.
    hardware_id
        The device of measurements and of profiles (vidur, aiconfigurator, nsight, torch-profiler) whose files do not
        name it. Default: for profiles, the device that the file names, or else its path. A file of nsight or
        torch-profiler that names another device is refused.
    model_id
        The model of profiles (vidur, nsight, torch-profiler). Default: the model that the path names.
    as_ceiling
        The fastest kernels of these measurements or profiles become measured ceilings of their device, each of its
        dtype, pipe and accumulator, or of its level; more than 5 % above the datasheet is refused. To undo, ingest
        again without it, and with --replace. What `rooflines measure` marks as ceilings needs no flag.
    anyway
        Take a profile that names another device than --hardware-id.
    """
    from flows.ingest.user_catalog import add_files

    home = common.place
    with show_progress("reading") as show:
        entries = add_files(
            home, kind, paths, replace=replace, hardware_id=hardware_id, model_id=model_id, as_ceiling=as_ceiling,
            anyway=anyway, progress=show.tell,
        )  # fmt: skip
    for added in entries:
        print(f"added  {added.path}{' (replaces the shipped one)' if added.replaces_shipped else ''}")
        for ceiling in added.ceilings:
            print(f"measured ceiling  {ceiling}")
        if added.mismatch:
            print(f"flagged  {added.mismatch}; kept as given")
    if as_ceiling and not any(added.ceilings for added in entries):
        print("measured ceiling  none: no kernel is as large as 1e9 FLOP or 1e6 bytes")
    print("next: rooflines run")
    return 0

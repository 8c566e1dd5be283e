"""`rooflines ingest`: files into the catalog."""

from typing import Literal

from flows.cli.options import Common, Flag
from flows.cli.terminal import show_progress


def ingest(
    kind: Literal[
        "hardware", "model", "workload", "ops", "measurement", "vidur", "aiconfigurator", "nsight", "torch-profiler"
    ],
    paths: list[str],
    /,
    *,
    replace: Flag = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    common: Common = Common(),
) -> int:
    """Add files to the home's catalog, all or none; the next run reads them.

    Each file that cannot be used gets a line. To undo, delete the files that the command names.

    Parameters
    ----------
    kind
        hardware: a device file (.toml) or a table of devices (.csv). model: a Hugging Face config.json, a folder that
        holds one, or a name on the hub, e.g. meta-llama/Llama-3.1-8B (needs the extra hub). workload: a grid of
        settings (.toml). ops: kernels of any kind (.csv, .json, .parquet) with a name, a group, and either m, k and n
        or flops, bytes and precision_id. measurement: kernel times, as `rooflines measure` writes them (.csv,
        .parquet). vidur: profiles by Vidur (mlp.csv, attention.csv). aiconfigurator: tables of GEMMs and attention
        from aiconfigurator-core (.parquet, or a folder of them). nsight: output of `ncu --csv` with roofline metrics.
        torch-profiler: a PyTorch profiler trace with shapes (.json, .json.gz).
    paths
        One or more files.
    replace
        Replace entries of the same name.
    hardware_id
        The device of profiles (vidur, aiconfigurator, nsight, torch-profiler) whose files do not name it. Default: the
        device that the path names.
    model_id
        The model of profiles (vidur, nsight, torch-profiler). Default: the model that the path names.
    """
    from flows.ingest.user_catalog import add_files

    home = common.place
    with show_progress("reading") as show:
        entries = add_files(
            home, kind, paths, replace=replace, hardware_id=hardware_id, model_id=model_id, progress=show.tell
        )
    for added in entries:
        print(f"added  {added.path}{' (replaces the shipped one)' if added.replaces_shipped else ''}")
    print("next: rooflines run")
    return 0

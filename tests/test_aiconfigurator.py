"""Tables of AIConfigurator: which rows they become, by hand, and what is refused."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.ingest.profiles.aiconfigurator import read_aiconfigurator
from flows.ingest.readers.calibration import read_calibrations
from flows.ingest.user_catalog import add_files
from flows.measure.calibrate_tables import calibrate_tables
from tests.support.inputs import ATTENTION, EXCHANGE, LATENT, MIXTURE, PRODUCT, assert_refused, make_source
from warehouse.errors import InputError
from warehouse.home import Home


def write_table(folder: Path, *rows: dict[str, Any], name: str = "gemm_perf.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(list(rows)).write_parquet(folder / name)
    return folder / name


def read_table(path: Path) -> dict[str, Any]:
    return read_aiconfigurator(make_source(path, "measurement"), "h100-sxm", None).collect().row(0, named=True)


@pytest.mark.parametrize(
    ("gemm_dtype", "dtype", "weight", "activation"),
    [("bfloat16", "bf16", 2, 2), ("fp8_block", "fp8", 1, 1), ("nvfp4", "fp4", 0.5, 0.5), ("int4_wo", "fp16", 0.5, 2)],
)
def test_products(tmp_path: Path, gemm_dtype: str, dtype: str, weight: float, activation: float) -> None:
    row = read_table(write_table(tmp_path, {**PRODUCT, "gemm_dtype": gemm_dtype}))
    assert (row["dtype"], row["kind"], row["m"], row["k"], row["n"]) == (dtype, "linear", 16, 1024, 4096)
    assert row["flops"] == 2 * 16 * 1024 * 4096
    assert row["bytes"] == weight * 1024 * 4096 + activation * 16 * (1024 + 4096)
    assert row["latency_s"] == 1e-5
    assert "caches warm" in row["method"]


@pytest.mark.parametrize(
    ("changes", "attended", "cached"),
    [
        ({}, sum(range(1, 513)), 512),  # causal: the i-th token sees i
        ({"step": 100}, sum(range(101, 613)), 612),  # after a prefix
        ({"window_size": 128}, sum(min(i, 128) for i in range(1, 513)), 512),
        ({"window_size": 128, "step": 1000}, 128 * 512, 128 + 511),
        ({"window_size": 4096}, sum(range(1, 513)), 512),  # longer than the prompt
    ],
)
def test_attention_of_a_prompt(tmp_path: Path, changes: dict[str, int], attended: int, cached: int) -> None:
    row = read_table(write_table(tmp_path, {**ATTENTION, **changes}))
    assert row["phase"] == "prefill"
    assert (row["query_length"], row["sequence_length"]) == (512, 512 + changes.get("step", 0))
    assert row["flops"] == 4 * 2 * 32 * 128 * attended
    assert row["bytes"] == 2 * (2 * 2 * 32 * 512 * 128) + 2 * (2 * 2 * 8 * cached * 128)


def test_attention_of_a_token_reads_the_cache_in_its_own_width(tmp_path: Path) -> None:
    decode = {**ATTENTION, "op_name": "generation_attention", "isl": 1, "step": 1023, "kv_cache_dtype": "fp8"}
    del decode["window_size"]  # older tables have none
    row = read_table(write_table(tmp_path, decode))
    assert (row["phase"], row["query_length"], row["sequence_length"]) == ("decode", 1, 1024)
    assert row["flops"] == 4 * 2 * 32 * 128 * 1024
    assert row["bytes"] == 2 * (2 * 2 * 32 * 128) + 2 * 2 * 8 * 1024 * 128


@pytest.mark.parametrize(
    ("changes", "dtype", "flops", "moved"),
    [
        # 64 tokens choose 8 of 128: 512 rows through 128 experts, upwards with a gate and downwards
        ({}, "bf16", 2 * 512 * 3 * 2048 * 768, 2 * 128 * 3 * 2048 * 768 + 2 * 512 * (2 * 2048 + 3 * 768)),
        # a quarter of the rows and experts, half of their width
        (
            {"moe_ep_size": 4, "moe_tp_size": 2, "moe_dtype": "fp8_block"},
            "fp8",
            2 * 128 * 3 * 2048 * 384,
            32 * 3 * 2048 * 384 + 128 * (2 * 2048 + 3 * 384),
        ),
        # one token reaches 8 experts
        ({"num_tokens": 1}, "bf16", 2 * 8 * 3 * 2048 * 768, 2 * 8 * 3 * 2048 * 768 + 2 * 8 * (2 * 2048 + 3 * 768)),
        # weights of 4 bits, no gate
        (
            {"moe_dtype": "w4a16_mxfp4", "kernel_source": "moe_torch_flow_nongated"},
            "bf16",
            2 * 512 * 2 * 2048 * 768,
            128 * 2 * 2048 * 768 / 2 + 2 * 512 * (2 * 2048 + 2 * 768),
        ),
    ],
)
def test_a_mixture_is_both_products_of_its_experts(
    tmp_path: Path, changes: dict[str, Any], dtype: str, flops: float, moved: float
) -> None:
    row = read_table(write_table(tmp_path, {**MIXTURE, **changes}, name="moe_perf.parquet"))
    assert (row["dtype"], row["kind"], row["launch"]) == (dtype, "mixture", "graph")
    assert (row["flops"], row["bytes"]) == (flops, moved)
    assert "as many tokens for each expert" in row["method"]


def test_tokens_that_are_spread_unevenly_are_known_on_one_device_alone(tmp_path: Path) -> None:
    uneven = {**MIXTURE, "distribution": "power_law_1.2"}
    path = write_table(tmp_path, uneven, {**uneven, "moe_ep_size": 4}, name="moe_perf.parquet")
    rows = read_aiconfigurator(make_source(path, "measurement"), "b200", None).collect()
    assert rows["matrices"].to_list() == [128]
    assert "power_law_1.2" in rows["method"].item()


@pytest.mark.parametrize(
    ("changes", "flops", "moved", "kv_heads"),
    [
        # keys of 192 and values of 128 for each head; the i-th token sees i
        ({}, 2 * 2 * 16 * 320 * (512 * 513 / 2), 2 * 2 * 16 * 320 * 512 * 2, 16),
        # one latent of 576, whose first 512 are the values, for all heads
        (
            {"op_name": "mla_generation", "isl": 1, "step": 1023, "kv_cache_dtype": "fp8"},
            2 * 2 * 16 * 1088 * 1024,
            2 * (2 * 16 * 1088 + 576 * 1024),
            1,
        ),
    ],
)
def test_latent_attention(tmp_path: Path, changes: dict[str, Any], flops: float, moved: float, kv_heads: int) -> None:
    row = read_table(write_table(tmp_path, {**LATENT, **changes}, name="context_mla_perf.parquet"))
    assert (row["flops"], row["bytes"], row["kv_heads"]) == (flops, moved, kv_heads)


@pytest.mark.parametrize(
    ("op_name", "kind", "flops", "moved"),
    [
        # of 1,024 elements on 4 devices, a ring sends 3/4 twice, an all-gather and an all-to-all once
        ("all_reduce", "all_reduce", 768, 2 * 768 * 2),
        ("all_gather", "all_gather", 0, 768 * 2),
        ("alltoall", "all_to_all", 0, 768 * 2),
    ],
)
def test_collectives(tmp_path: Path, op_name: str, kind: str, flops: float, moved: float) -> None:
    row = read_table(write_table(tmp_path, {**EXCHANGE, "op_name": op_name}, {**EXCHANGE, "op_name": "reduce_scatter"}))
    assert (row["kind"], row["level"], row["tensor_parallel"]) == (kind, "interconnect", 4)
    assert (row["flops"], row["bytes"], row["launch"]) == (flops, moved, "eager")


def test_an_all_reduce_of_an_engine_says_how_it_was_started(tmp_path: Path) -> None:
    own = {**{name: value for name, value in EXCHANGE.items() if name != "nccl_dtype"}, "allreduce_dtype": "bfloat16"}
    for source, launch in (("vLLM_custom_eager", "eager"), ("TRTLLM", "graph")):
        row = read_table(write_table(tmp_path, {**own, "kernel_source": source}))
        assert (row["kind"], row["dtype"], row["launch"]) == ("all_reduce", "bf16", launch)


def test_a_folder_of_tables_enters_the_catalog(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    tables = tmp_path / "systems" / "data"
    write_table(tables / "h100_sxm" / "gemm", PRODUCT, {**PRODUCT, "m": 32})
    write_table(tables / "h200_sxm" / "gemm", {**PRODUCT, "device": "NVIDIA H200"})
    write_table(tables / "h100_sxm" / "attention", ATTENTION, name="context_attention_perf.parquet")
    write_table(tables / "h100_sxm" / "moe", {"framework": "TRTLLM"}, name="wideep_moe_perf.parquet")
    added = {entry.path.name for entry in add_files(home, "aiconfigurator", [str(tables)])}
    assert added == {
        "aiconfigurator-h100-sxm-gemm-trtllm-1.2.0.parquet",
        "aiconfigurator-h200-sxm-gemm-trtllm-1.2.0.parquet",
        "aiconfigurator-h100-sxm-prefill-trtllm-1.2.0.parquet",
    }
    rows = pl.read_parquet(home.catalog / "measurements" / "aiconfigurator-h100-sxm-gemm-trtllm-1.2.0.parquet")
    assert rows["m"].to_list() == [16, 32]
    assert rows["license"].unique().to_list() == ["Apache-2.0"]


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({**PRODUCT, "gemm_dtype": "fp3"}, ["fp3", "bfloat16"]),
        ({**PRODUCT, "device": "NVIDIA X1"}, ["--hardware-id"]),
        ({**PRODUCT, "latency": -1.0}, ["latency_s"]),
        ({**PRODUCT, "latency": None}, ["latency_s"]),
        ({**PRODUCT, "m": "many"}, ["aiconfigurator"]),
        ({**PRODUCT, "m": 0}, ["m: expected 1 or more"]),
        ({name: value for name, value in PRODUCT.items() if name != "k"}, ["no column k", "gemm_perf.parquet"]),
        ({"a": 1}, ["no column", "context_attention_perf.parquet"]),
        ({**ATTENTION, "attn_dtype": "int1"}, ["int1"]),
        ({**LATENT, "op_name": "mla_bmm"}, ["mla_bmm", "mla_context"]),
        ({**LATENT, "gemm_type": "nvfp4"}, ["whole modules"]),
        ({**MIXTURE, "moe_dtype": "w2a2"}, ["w2a2", "w4afp8"]),
        ({**MIXTURE, "moe_tp_size": 0}, ["aiconfigurator"]),
        ({**EXCHANGE, "nccl_dtype": "half2"}, ["half2", "int8"]),
        ({**EXCHANGE, "num_gpus": 1}, ["bytes: expected more than 0"]),
    ],
)
def test_a_wrong_table_adds_nothing(tmp_path: Path, row: dict[str, Any], names: list[str]) -> None:
    home, path = Home(tmp_path / "home"), write_table(tmp_path, row)
    assert_refused(lambda: add_files(home, "aiconfigurator", [str(path)]), names=["gemm_perf.parquet", *names])
    assert not home.catalog.exists()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"m,n,k\n1,2,3\n"])
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gemm_perf.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"gemm_perf\.parquet: broken Parquet"):
        add_files(Home(tmp_path / "home"), "aiconfigurator", [str(path)])


def test_a_folder_without_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no aiconfigurator file in it; expected gemm_perf\.parquet"):
        add_files(Home(tmp_path / "home"), "aiconfigurator", [str(tmp_path)])


L40S = {"device": "NVIDIA L40S", "version": "1.3.0"}


def write_package(folder: Path, widths: tuple[int, ...] = (2048, 4096, 5120, 8192)) -> Path:
    """Write a made-up package: products of the L40S at 0.8 of its bandwidth and 0.6 of its peak, launched in 3 µs."""
    info = folder / "aiconfigurator_core-0.12.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = "Metadata-Version: 2.4\nName: aiconfigurator-core\nVersion: 0.12.0\nLicense-Expression: Apache-2.0\n\nText\n"
    (info / "METADATA").write_text(head)
    rows = []
    for k in widths:
        for n in (8192, 16384, 28672):
            for m in (1, 64, 1024, 4096):
                moved_s, compute_s = 2 * (k * n + m * (k + n)) / 864e9 / 0.8, 2 * m * n * k / 362.05e12 / 0.6
                late = 1 + 0.01 * ((k // 1024 + n // 1024 + m) % 3)
                rows.append(
                    {**PRODUCT, **L40S, "m": m, "n": n, "k": k, "latency": 1e3 * late * (3e-6 + moved_s + compute_s)}
                )
    write_table(folder / "aiconfigurator_core/systems/data/l40s/gemm/trtllm/1.3.0", *rows)
    return folder


def test_roofs_are_fitted_to_the_tables_of_a_package(finished: Home, tmp_path: Path) -> None:
    package, out = write_package(tmp_path / "package"), tmp_path / "calibrations.toml"
    out.write_text((SHIPPED / "calibrations.toml").read_text("utf-8"))
    found = calibrate_tables(finished, package, ["l40s"], out)
    (row,) = found.rows.rows(named=True)
    assert (row["op_kind"], row["dtype"], row["launch"]) == ("linear", "bf16", "graph")
    assert row["holdout_mape"] < 0.05
    assert "aiconfigurator-core 0.12.0 (Apache-2.0): trtllm 1.3.0 (gemm_perf.parquet)" in row["origin"]
    written = read_calibrations([make_source(out, "calibration")])["fitted"]
    assert set(written.filter(hardware_id="l40s")["op_kind"]) == {"linear"}
    others = read_calibrations([make_source(SHIPPED / "calibrations.toml", "calibration")])["fitted"]
    assert len(written.filter(pl.col("hardware_id") != "l40s")) == len(others.filter(pl.col("hardware_id") != "l40s"))

    # what the fit used is missing: other digits
    write_package(package, widths=(2048, 4096, 8192))
    fewer = calibrate_tables(finished, package, ["l40s"], out).rows.row(0, named=True)
    assert fewer["n_points"] < row["n_points"]
    assert fewer["compute_efficiency"] != row["compute_efficiency"]


def test_what_others_measured_is_not_fitted(finished: Home, tmp_path: Path) -> None:
    package = write_package(tmp_path)
    path = package / "aiconfigurator_core/systems/data/l40s/gemm/trtllm/1.3.0/gemm_perf.parquet"
    pl.read_parquet(path).with_columns(device=pl.lit("NVIDIA H100 80GB HBM3")).write_parquet(path)
    with pytest.raises(InputError, match="too few kernels"):
        calibrate_tables(finished, package, ["h100-sxm"], tmp_path / "out.toml")


def test_a_kernel_that_a_cache_served_is_told_apart(finished: Home, tmp_path: Path) -> None:
    """Twice as fast as the DRAM: left out, so that the roof stays where the others put it."""
    package = write_package(tmp_path / "package")
    path = package / "aiconfigurator_core/systems/data/l40s/gemm/trtllm/1.3.0/gemm_perf.parquet"
    before = calibrate_tables(finished, package, ["l40s"], tmp_path / "a.toml").rows
    rows = pl.read_parquet(path)
    warm = rows.filter(m=1).with_columns(m=pl.lit(2, pl.Int64), latency=pl.col("latency") / 3)
    pl.concat([rows, warm]).write_parquet(path)
    after = calibrate_tables(finished, package, ["l40s"], tmp_path / "b.toml").rows
    assert after["n_points"].to_list() == before["n_points"].to_list()
    assert after["bandwidth_efficiency"].to_list() == before["bandwidth_efficiency"].to_list()


@pytest.mark.parametrize(
    ("broken", "options", "names"),
    [
        ("none", [], ["not a folder", "aiconfigurator-core"]),
        ("empty", [], ["METADATA"]),
        ("no tables", [], ["no table of a known device", "gemm_perf.parquet"]),
        ("", ["--hardware-id", "b200"], ["--hardware-id", "b200", "l40s"]),
    ],
)
def test_what_is_no_package(
    broken: str,
    options: list[str],
    names: list[str],
    finished: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = write_package(tmp_path / "package")
    if broken == "no tables":
        (package / "aiconfigurator_core/systems/data/l40s/gemm/trtllm/1.3.0/gemm_perf.parquet").unlink()
    given = tmp_path / "nowhere" if broken == "none" else tmp_path if broken == "empty" else package
    out = tmp_path / "out.toml"
    command = ["calibrate", "--from-aiconfigurator", str(given), "--out", str(out), "--home", str(finished.path)]
    assert run_command([*command, *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(name in said for name in names)
    assert not out.exists()


def test_options_about_tables_need_tables(finished: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["calibrate", "--hardware-id", "l40s", "--home", str(finished.path)]) == 2
    assert "--hardware-id: expected --from-aiconfigurator" in capsys.readouterr().err

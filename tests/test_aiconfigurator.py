"""Tables of AIConfigurator: which rows they become, by hand, and what is refused."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.profiles.aiconfigurator import read_aiconfigurator
from flows.ingest.user_catalog import add_files
from tests.support.inputs import ATTENTION, PRODUCT, assert_refused, make_source
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


def test_a_folder_of_tables_enters_the_catalog(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    tables = tmp_path / "systems" / "data"
    write_table(tables / "h100_sxm" / "gemm", PRODUCT, {**PRODUCT, "m": 32})
    write_table(tables / "h200_sxm" / "gemm", {**PRODUCT, "device": "NVIDIA H200"})
    write_table(tables / "h100_sxm" / "attention", ATTENTION, name="context_attention_perf.parquet")
    write_table(tables / "h100_sxm" / "moe", {"framework": "TRTLLM"}, name="moe_perf.parquet")
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

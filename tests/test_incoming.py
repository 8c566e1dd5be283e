"""Files that come in: what they are taken for, where they go."""

import os
import time
from pathlib import Path

import polars as pl
import pytest

from flows import incoming
from flows.incoming import recognized, take_in
from tests.test_ingest import DEVICE
from warehouse.errors import InputError, RunError
from warehouse.home import Home

CONFIG = '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.toml", 'hardware_id = "a"', "hardware"),
        ("a.toml", 'workload_id = "a"', "workload"),
        ("a.json", CONFIG, "model"),
        ("a.json", '{"schemaVersion": 1, "traceEvents": []}', "torch-profiler"),
        ("a.json", '[{"name": "x", "group": "y"}]', "ops"),
        ("a.csv", "\ufeffname,group,flops,bytes,precision\n", "ops"),
        ("a.csv", "hardware_id,short_name,fp16_tflops\n", "hardware"),
        ("a.csv", "hardware_id,kind,latency_s\n", "measurement"),
        ("a.csv", "time_stats.attn_prefill.min,num_tokens\n", "vidur"),
        ("a.csv", '==PROF== Connected\n"ID","Kernel Name","Metric Name"\n', "nsight"),
    ],
)
def test_what_a_file_is(name: str, content: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    assert recognized(tmp_path / name) == kind


def test_what_a_table_is(tmp_path: Path) -> None:
    for columns, kind in ((["hardware_id", "latency_s"], "measurement"), (["framework", "latency"], "aiconfigurator")):
        pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64)).write_parquet(tmp_path / "a.parquet")
        assert recognized(tmp_path / "a.parquet") == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.toml", b"x ="), ("a.toml", b"\xff"), ("a.json", b"{}"), ("a.json.gz", b"\x1f\x8b\x08"), ("a.csv", b""),
     ("a.parquet", b"PAR1"), ("a.exe", b"MZ"), ("a", b"")],
)  # fmt: skip
def test_what_is_nothing(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"a[.\w]*: ") as caught:
        recognized(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "a 'home'")
    incoming.make_incoming(home)
    return home


def put(home: Home, name: str, content: str, age_s: float = 7200) -> Path:
    path = home.incoming / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_good_and_bad_ones(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.incoming._STILL_S", 3600)  # a slow machine must not make what is new old
    put(home, "mine.toml", DEVICE)
    put(home, "bad.toml", DEVICE.replace("tflops = 149.7", "tflops = 0"))
    put(home, "what.txt", "?")
    put(home, "ops/kernels.csv", "name,group,flops,bytes,precision\nfft,fft,1000,100,fp32\n")
    put(home, "new.toml", DEVICE, age_s=0)
    put(home, "half.toml.part", DEVICE)
    said = {arrival.name: arrival for arrival in take_in(home)}
    assert {name for name, arrival in said.items() if arrival.reason} == {"bad.toml", "what.txt"}
    assert said["mine.toml"].entries == ("mine.toml",)
    assert (home.catalog / "hardware" / "mine.toml").read_text("utf-8") == DEVICE
    assert (home.catalog / "ops" / "kernels.csv").exists()
    assert not (home.catalog / "hardware" / "bad.toml").exists()
    kept = sorted(path.relative_to(home.incoming).as_posix() for path in home.incoming.rglob("*") if path.is_file())
    assert kept == [
        "accepted/kernels.csv", "accepted/mine.toml", "half.toml.part", "new.toml", "rejected/bad.toml",
        "rejected/bad.toml.reason.txt", "rejected/what.txt", "rejected/what.txt.reason.txt",
    ]  # fmt: skip
    reason = (home.incoming / "rejected" / "bad.toml.reason.txt").read_text("utf-8")
    assert "tflops = 0" in reason
    put(home, "mine.toml", DEVICE.replace("149.7", "150.5"))
    assert [arrival.reason for arrival in take_in(home)] == [None]
    assert "150.5" in (home.catalog / "hardware" / "mine.toml").read_text("utf-8")


def test_files_wait_while_another_run_writes(home: Home) -> None:
    path = put(home, "mine.toml", DEVICE)
    with home.writing(), pytest.raises(RunError):
        take_in(home)
    assert path.exists()

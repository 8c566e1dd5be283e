"""`rooflines ingest`: foreign files become entries of the home's catalog, all or none."""

import json
import os
import sys
import tomllib
import types
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.ingest.catalog import list_sources
from flows.ingest.readers.ops import read_ops
from flows.ingest.user_catalog import add_files
from tests.support.commands import ingest
from tests.support.drawings import draw_without_ink
from tests.support.files import write_file
from tests.support.inputs import CONFIG, DEVICE, KERNELS, MEASUREMENT, TABLE, WORKLOAD, assert_refused, make_source
from tests.support.whole_runs import run_without_prefect
from warehouse.errors import InputError, error_lines
from warehouse.home import Home
from warehouse.snapshot import open_snapshot


def list_entries(home: Home) -> set[str]:
    return {path.relative_to(home.catalog).as_posix() for path in home.catalog.rglob("*") if path.is_file()}


def test_a_table_of_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    assert ingest(home, "hardware", str(write_file(tmp_path, "devices.csv", TABLE))) == 0
    assert str(home.catalog / "hardware" / "two.toml") in capsys.readouterr().out
    assert list_entries(home) == {"hardware/one.toml", "hardware/two.toml"}
    text = (home.catalog / "hardware" / "two.toml").read_text("utf-8")
    assert 'note = "halved, it says"' in text
    assert text.count("tflops = 300.5") == 2
    assert ingest(home, "hardware", str(write_file(tmp_path, "again.csv", TABLE))) == 2
    assert "--replace replaces it" in capsys.readouterr().err
    assert ingest(home, "hardware", str(tmp_path / "again.csv"), "--replace") == 0


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("300.5", "lots", ["line 3", "fp16_bf16_tflops", '"lots"', "number"]),
        ("300.5", "", ["line 3 (two)", "compute", "at least 1", "fp16_tflops"]),
        ("600,32", ",32", ["line 2 (one): bandwidth_gb_per_s: missing; expected a number"]),
        ("their datasheet", "", ["line 3 (two)", "origin", "missing"]),
        ("24,6", "-24,6", ["line 2 (one)", "memory_gb", "-24"]),
        ("tdp_w", "watts", ['column "watts"', "tdp_w"]),
        ("600,32", "600000,32", ["line 2 (one)", "gb_per_s = 600000"]),
        ("two,Two", "one,Two", ["one is given twice"]),
        ("300.5", "99000", ["line 3", "50000"]),
        ("300.5", "40000", ["devices.csv:two.toml", "ridge", "another unit"]),
    ],
)
def test_a_bad_table_adds_nothing(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "devices.csv", TABLE.replace(old, new, 1))
    assert_refused(lambda: add_files(home, "hardware", [str(path)]), names=["devices.csv", *names])
    assert not home.catalog.exists()


def test_one_bad_file_keeps_the_others_out(tmp_path: Path) -> None:
    good = write_file(tmp_path, "good.toml", DEVICE)
    bad = write_file(tmp_path, "bad.toml", DEVICE.replace("mine", "other").replace("696", "-1"))
    home = Home(tmp_path / "home")
    assert_refused(lambda: add_files(home, "hardware", [str(good), str(bad)]), names=["bad.toml", "gb_per_s"])
    assert not home.catalog.exists()


def test_every_bad_file_is_named_on_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong: no file, its form, a value, two values together, an id that stands twice."""
    home = Home(tmp_path / "home")
    good = write_file(tmp_path, "good.toml", DEVICE)
    bad = {
        tmp_path / "none.toml": "No such file",
        write_file(tmp_path, "broken.toml", "x ="): "broken TOML",
        write_file(tmp_path, "value.toml", DEVICE.replace('"mine"', '"value"').replace("696", "-1")): "gb_per_s = -1",
        write_file(tmp_path, "ridge.toml", DEVICE.replace("ine", "ridge").replace("149.7", "40000")): "ridge",
        write_file(tmp_path, "twice.toml", DEVICE.replace("mine", "one").replace("Mine", "One")): "one is given twice",
        write_file(tmp_path, "again.toml", DEVICE.replace("mine", "one").replace("Mine", "Two")): "one is given twice",
        write_file(tmp_path, "name.toml", DEVICE.replace("mine", "name").replace("Mine", "A40")): "short_name",
    }
    assert ingest(home, "hardware", str(good), *map(str, bad)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(bad)
    for path, said in bad.items():
        (line,) = (line for line in lines if line.startswith(f"rooflines: {path}: "))
        assert said in line
    assert not home.catalog.exists()


BAD_FILES: dict[str, tuple[str, list[str]]] = {
    "model": ("json", [json.dumps({**CONFIG, "vocab_size": 0}), "{"]),
    "workload": ("toml", [WORKLOAD.replace("fp16", "fp9"), f'{WORKLOAD}models = ["none"]'.replace("mine", "other")]),
    "ops": ("csv", ["op,m,k,n\na,0,1,1\n", "op,flops,bytes,precision\na,10,10,fp9\n"]),
    "measurement": ("csv", [MEASUREMENT.replace("1e-3", "1e9"), "hardware_id\na40\n", MEASUREMENT.replace("a40", "x")]),
    "vidur": ("csv", ["a,b\n1,2\n", ""]),
    "nsight": ("csv", ["a,b\n1,2\n", '"ID","Kernel Name"\n']),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_of_every_kind_are_named_together(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix, contents = BAD_FILES[kind]
    paths = [write_file(tmp_path, f"bad-{number}.{suffix}", content) for number, content in enumerate(contents)]
    device = ["--hardware-id", "a40"] if kind in {"vidur", "nsight"} else []
    assert ingest(Home(tmp_path / "home"), kind, *map(str, paths), *device) == 2
    lines = capsys.readouterr().err.splitlines()
    named = {path for path in paths for line in lines if line.startswith(f"rooflines: {path}: ")}
    assert named == {*paths}
    assert len(lines) == len(paths)


@pytest.mark.parametrize("kind", ["hardware", "measurement", "ops", "vidur", "nsight"])
@pytest.mark.parametrize("start", [b"\x28\xb5\x2f\xfd\x63\x01\x02", b"\x28\xb5\x2f\xfd\x03\0\0", b"\x1f\x8b\x08"])
def test_a_csv_that_begins_like_a_compressed_file_is_one_line(
    kind: str, start: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_bytes(start + b"hardware_id,origin\n1,2\n" * 9)
    device = ["--hardware-id", "a40"] if kind in {"vidur", "nsight"} else []
    assert ingest(Home(tmp_path / "home"), kind, str(tmp_path / "bad.csv"), *device) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rooflines: {tmp_path / 'bad.csv'}: ")


def test_a_table_of_devices_names_every_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "lots", "1"), ("b", "100", "-1"), ("c", "100", "600"), ("d", "", "600"), *[("e", "x", "1")] * 40]
    text = "".join(f"{device},24,{peak},{bandwidth},me\n" for device, peak, bandwidth in rows)
    path = write_file(tmp_path, "many.csv", f"hardware_id,memory_gb,fp16_tflops,bandwidth_gb_per_s,origin\n{text}")
    assert ingest(Home(tmp_path / "home"), "hardware", str(path)) == 2
    lines = capsys.readouterr().err.splitlines()
    for said in ('line 2: fp16_tflops = "lots"', "line 3 (b): bandwidth[0].gb_per_s = -1", "line 5 (d): compute"):
        assert sum(said in line for line in lines) == 1
    assert not any("line 4 " in line for line in lines)
    assert len(lines) == 21
    assert "lines from 23 on were not read" in lines[-1]


def test_a_table_of_kernels_names_the_first_row_of_each_mistake(tmp_path: Path) -> None:
    text = "op,m,k,n\na,1,1,1\nb,1,,\nc,2,,\nd,0,1,1\n,1,1,1\n"
    with pytest.raises(InputError) as caught:
        add_files(Home(tmp_path / "home"), "ops", [str(write_file(tmp_path, "kernels.csv", text))])
    rows = [line.partition("kernels.csv: ")[2].partition(":")[0] for line in error_lines(caught.value)]
    assert sorted(rows) == ['row 2 ("b")', 'row 4 ("d")', "row 5 (null)"]


def test_a_run_names_every_bad_file_of_its_catalog(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several kinds; what is published stays."""
    bad = {
        "hardware/mine.toml": DEVICE.replace("696", "-1"),
        "hardware/other.toml": DEVICE,  # under the name of another
        "models/mine.json": "[]",
        "ops/mine.csv": "op\n",
        "measurements/mine.csv": "hardware_id\n",
        "measurements/rows.csv": MEASUREMENT.replace("1e-3", "-1"),
    }
    for name, content in bad.items():
        (home.catalog / name).parent.mkdir(parents=True, exist_ok=True)
        write_file(home.catalog, name, content)
    before = home.snapshot.read_bytes()
    with pytest.raises(InputError) as caught:
        run_without_prefect(home)
    lines = list(error_lines(caught.value))
    assert len(lines) == len(bad)
    assert all(any(line.startswith(f"{home.catalog / name}: ") for line in lines) for name in bad)
    assert home.snapshot.read_bytes() == before


def test_a_full_catalog_of_strange_files_names_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "catalog" / "hardware"
    folder.mkdir(parents=True)
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "pipe.toml")
    (folder / "lost.toml").symlink_to("nowhere")
    with pytest.raises(InputError) as caught:
        list_sources(Home(tmp_path / "home"))
    assert [line.partition(": ")[0] for line in error_lines(caught.value)] == [
        str(folder / name) for name in ("folder.toml", "lost.toml", "pipe.toml")
    ]


def test_a_file_in_place_of_the_catalog_is_one_line(tmp_path: Path) -> None:
    write_file(tmp_path, "catalog", "")
    with pytest.raises(InputError) as caught:
        list_sources(Home(tmp_path))
    (line,) = error_lines(caught.value)
    assert line == f"{tmp_path / 'catalog'}: Not a directory; expected a readable folder, or none"


def test_a_device_file_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    assert ingest(home, "hardware", str(write_file(tmp_path, "download (1).toml", DEVICE))) == 0
    assert list_entries(home) == {"hardware/mine.toml"}
    path = write_file(tmp_path, "a40.toml", DEVICE.replace('"mine"', '"a40"').replace('"Mine"', '"A40"'))
    assert ingest(home, "hardware", str(path)) == 0
    assert "replaces the shipped one" in capsys.readouterr().out


def test_a_model_from_a_file_or_a_folder(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "My Model 8B").mkdir()
    write_file(tmp_path / "My Model 8B", "config.json", json.dumps(CONFIG))
    write_file(tmp_path, "Other-7B.json", json.dumps(CONFIG))
    assert ingest(home, "model", str(tmp_path / "My Model 8B"), str(tmp_path / "Other-7B.json")) == 0
    assert list_entries(home) == {"models/my-model-8b.json", "models/other-7b.json"}


def install_fake_hub(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> list[str]:
    asked: list[str] = []

    def hf_hub_download(repo_id: str, filename: str, etag_timeout: float) -> str:
        assert etag_timeout < 30
        asked.append(f"{repo_id} {filename}")
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = hf_hub_download  # type: ignore[attr-defined]
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # a hub behind a proxy is asked, not knocked at
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


def test_a_model_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    asked = install_fake_hub(monkeypatch, write_file(tmp_path, "cached.json", json.dumps(CONFIG)))
    assert ingest(home, "model", "some-org/Some-Model-8B") == 0
    assert asked == ["some-org/Some-Model-8B config.json"]
    config = json.loads((home.catalog / "models" / "some-model-8b.json").read_text("utf-8"))
    assert config == {**CONFIG, "_name_or_path": "some-org/Some-Model-8B"}


def test_a_hub_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    install_fake_hub(monkeypatch, ConnectionError("no network\nat all"))
    assert ingest(home, "model", "some-org/Some-Model-8B") == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "the hub gave no config (ConnectionError: no network at all)" in message
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert ingest(home, "model", "some-org/Some-Model-8B") == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "pip install 'rooflines[hub]'" in message
    assert not home.catalog.exists()


OF_DEVICES = "nsight, torch-profiler, rocprof-compute, tracelens, likwid, advisor, ert, nccl-tests, nsys, engine"
OF_MODELS = "vidur, nsight, torch-profiler, rocprof-compute, tracelens, engine"


@pytest.mark.parametrize(
    ("kind", "option", "expected"),
    [
        ("hardware", "--hardware-id", f"measurement, vidur, aiconfigurator, {OF_DEVICES}"),
        ("measurement", "--model-id", OF_MODELS),
        ("aiconfigurator", "--model-id", OF_MODELS),
    ],
)
def test_an_option_that_a_kind_does_not_take_is_refused(
    kind: str, option: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "mine.toml", DEVICE)
    assert ingest(Home(tmp_path / "home"), kind, str(path), option, "x") == 2
    told = f'rooflines: {option}: "x": not for {kind}; expected one of {expected}'
    assert capsys.readouterr().err.strip() == told
    assert not (tmp_path / "home").exists()


def test_a_hub_that_nobody_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_fake_hub(monkeypatch, AssertionError("nobody asks"))
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    sys.modules["huggingface_hub"].constants = types.SimpleNamespace(ENDPOINT="http://127.0.0.1:9")  # type: ignore[attr-defined]
    assert ingest(Home(tmp_path / "home"), "model", "some-org/Some-Model-8B") == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "ConnectionRefusedError" in message


def test_a_workload_and_what_it_names(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    bad = write_file(tmp_path, "bad.toml", WORKLOAD.replace("fp16", "fp9"))
    assert_refused(lambda: add_files(home, "workload", [str(bad)]), names=["bad.toml", '"fp9"', "expected one of"])
    assert ingest(home, "workload", str(write_file(tmp_path, "good.toml", WORKLOAD))) == 0
    assert list_entries(home) == {"workloads/mine.toml"}


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_kernels_may_come_in_any_format(suffix: str, tmp_path: Path) -> None:
    text = write_file(tmp_path, "kernels.csv", KERNELS)
    path = tmp_path / f"kernels.{suffix}"
    frame = pl.read_csv(text)
    _ = frame.write_json(path) if suffix == "json" else frame.write_parquet(path)
    ours, theirs = (read_ops([make_source(each, "ops")])["op"] for each in (path, text))
    assert ours.equals(theirs)


def test_kernels_stand_beside_the_ops_of_models(tmp_path: Path, small_shipped: Path) -> None:
    home = Home(tmp_path / "home")
    assert ingest(home, "ops", str(write_file(tmp_path, "kernels.csv", KERNELS))) == 0
    with draw_without_ink("ops-kernels-a40"):
        run_without_prefect(home, small_shipped, draws=True)
    with open_snapshot(home.snapshot) as connection:
        rows = connection.sql(
            "select op, op_group, series, precision_id, flops, bytes, repeat, bound, phase from mart.roofline_point"
            " where hardware_id = 'a40' and model_id = 'kernels' and convention = 'custom' and op <> 'everywhere'"
            " order by op"
        ).fetchall()
        everywhere = connection.sql(
            "select precision_id, bytes from mart.roofline_point"
            " where hardware_id = 'a40' and model_id = 'kernels' and op = 'everywhere' order by all"
        ).fetchall()
        known = connection.sql("select precision_id from mart.runnable_precision where hardware_id = 'a40'").fetchall()
    batch = 32 * (128 * 64 + 64 * 128 + 128 * 128) * 2
    assert rows == [
        ("attention heads", "attention", "attention", "fp16", 32 * 2 * 128 * 64 * 128, batch, 2, "memory", None),
        ("conv", "conv", "conv", "fp16", 2 * 50176 * 576 * 64, 2 * (50176 * (576 + 64) + 576 * 64), 1, "memory", None),
        ("fft", "fft", "fft", "fp32", 104857600, 33554432, 1, "memory", None),
    ]
    assert dict(everywhere)["fp16"] == 3 * 1000 * 1000 * 2
    assert set(dict(everywhere)) == {precision_id for (precision_id,) in known}
    chart = home.site / "charts" / "ops-kernels-a40" / "ops-kernels-a40.svg"
    assert "conv" in chart.read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("name,", "names,", ['column "names"', "expected one of op"]),
        ("50176", "many", ["row 1", 'm = "many"', "whole number"]),
        ("50176", "1.5", ["row 1", "m", "whole number"]),
        ("50176", "-3", ["row 1", "m: expected 1 to"]),
        ("50176", "", ['row 1 ("conv")', "either m, k and n, or flops and bytes"]),
        ("33554432", "0", ["row 3", "bytes: expected 1 to"]),
        ("33554432", "nan", ["row 3", "bytes"]),
        ("104857600", "-1", ["row 3", "flops"]),
        ("fp32", "", ["row 3", "precision_id: missing"]),
        ("fp32", "fp9", ['"fft"', 'precision_id = "fp9"', "expected one of"]),
        ("fft,fft", "conv,fft", ["row 1", "rows with this name differ"]),
        ("everywhere,,1000", "conv,conv,50176", ["rows with this name differ"]),
        ("fft,fft", ",fft", ["row 3", "op: missing"]),
        (KERNELS, "", ["kernels.csv"]),
        (KERNELS, "name,m,k,n\n", ["0 rows"]),
    ],
)
def test_bad_kernels(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "kernels.csv", KERNELS.replace(old, new, 1))
    assert_refused(lambda: add_files(home, "ops", [str(path)]), names=["kernels.csv", *names])
    assert not home.catalog.exists()


def test_one_op_may_run_at_several_precisions(tmp_path: Path) -> None:
    text = "op,flops,bytes,precision_id\nfft,100,50,fp32\nfft,100,25,fp16\n"
    home = Home(tmp_path / "home")
    assert ingest(home, "ops", str(write_file(tmp_path, "fft.csv", text))) == 0
    twice = write_file(tmp_path, "twice.csv", text.replace("fp16", "fp32"))
    assert_refused(
        lambda: add_files(home, "ops", [str(twice)]), names=["row 2", "second row with this name and precision"]
    )


def test_kernels_that_take_the_name_of_a_model(tmp_path: Path) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "llama-7b.csv", KERNELS)
    assert_refused(lambda: add_files(home, "ops", [str(path)]), names=["llama-7b.csv", "expected another name"])


def test_a_file_takes_the_place_of_one_with_another_ending(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    path = write_file(tmp_path, "kernels.csv", KERNELS)
    pl.read_csv(path).write_parquet(tmp_path / "kernels.parquet")
    assert ingest(home, "ops", str(path)) == 0
    assert ingest(home, "ops", str(tmp_path / "kernels.parquet"), "--replace") == 0
    assert list_entries(home) == {"ops/kernels.parquet"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["hardware", "none.toml"], "none.toml: No such file or directory; expected a file"),
        (["hardware", "x.yaml"], "expected a file that ends in .toml, .csv"),
        (["ops", "x.xlsx"], "expected a file that ends in .csv, .json, .parquet"),
        (["model", "none.json"], "none.json: No such file"),
        (["nonsense", "x"], "nonsense"),
        (["hardware"], "paths"),
    ],
)
def test_bad_arguments(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ingest(Home(tmp_path / "home"), *arguments) == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert expected.lower() in message.lower()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), suffix=st.sampled_from(["csv", "json", "parquet"]))
def test_no_bytes_get_more_than_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = write_file(tmp_path, f"fuzz.{suffix}", content)
    try:
        refused = ""
        read_ops([make_source(path, "ops")])
    except InputError as error:
        refused = str(error)
    assert refused == "" or ("fuzz" in refused and "\n" not in refused)


def test_the_table_of_the_readme_of_devices(tmp_path: Path) -> None:
    """A table needs few columns: two dtypes may share one, and integers count operations."""
    text = "hardware_id,memory_gb,bandwidth_gb_per_s,fp16_bf16_tflops,int8_tops,origin\nmine,48,696,149.7,299.3,me\n"
    home = Home(tmp_path / "home")
    assert ingest(home, "hardware", str(write_file(tmp_path, "few.csv", text))) == 0
    device = tomllib.loads((home.catalog / "hardware" / "mine.toml").read_text("utf-8"))
    assert [(entry["dtype"], entry["tflops"]) for entry in device["compute"]] == [
        ("fp16", 149.7), ("bf16", 149.7), ("int8", 299.3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "content", "names"),
    [
        ("hardware", "mine.toml", DEVICE.replace('"Mine"', '"A40"'), ["short_name", '"A40"', "a40.toml"]),
        ("hardware", "mine.toml", DEVICE.replace('"Mine"', '"Mi\\u0001ne"'), ["short_name", "control characters"]),
        ("hardware", "none.csv", "hardware_id,origin\n", ["0 rows"]),
        ("hardware", "large.toml", DEVICE + "#" * 1_200_000, ["large.toml", "bytes; expected at most"]),
        ("ops", "k.csv", "op,flops,bytes,precision_id\na\x00b,10,10,fp16\n", ["row 1", "control characters"]),
        ("ops", "k.csv", "op,name,flops,bytes,precision_id\na,b,10,10,fp16\n", ['column "op" is given twice']),
        ("ops", "k.csv", "op,flops,bytes,precision_id\na,5e-324,1e30,fp16\n", ["flops: expected 0, or 1"]),
        ("model", "m.json", '{"architectures": [["x"]]}', ["architectures", "expected one of"]),
        ("model", "m.json", json.dumps({**CONFIG, "hidden_act": "\x1b[31m"}), ["hidden_act", "u001b"]),
        ("model", "\u043c.json", json.dumps(CONFIG), ["file name"]),
        (
            "model", "m.json",
            json.dumps({
                **CONFIG, "architectures": ["MixtralForCausalLM"], "num_local_experts": 65536, "num_experts_per_tok": 2,
                "hidden_size": 2**22, "intermediate_size": 2**22, "head_dim": 64, "num_hidden_layers": 10_000,
            }),
            ["m has more than 1e+16 weights"],
        ),
        (
            "workload", "w.toml",
            WORKLOAD.replace("[128]", str(list(range(1, 30_000)))).replace('["fp16"]', '["fp16", "bf16"]'),
            ["settings, models and precisions; expected at most"],
        ),
    ],
)  # fmt: skip
def test_what_would_fail_a_run_is_refused(tmp_path: Path, kind: Any, name: str, content: str, names: list[str]) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, name, content)
    assert_refused(lambda: add_files(home, kind, [str(path)]), names=names)
    assert not home.catalog.exists()


@pytest.mark.parametrize("value", [date(1975, 1, 1), True, b"abc", [1]])
def test_values_that_are_no_counts(tmp_path: Path, value: object) -> None:
    frame = pl.DataFrame({"op": ["a"], "m": [value], "k": [1], "n": [1]})
    frame.write_parquet(tmp_path / "k.parquet")
    home = Home(tmp_path / "home")
    assert_refused(lambda: add_files(home, "ops", [str(tmp_path / "k.parquet")]), names=["column m", "text or numbers"])


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 300, "a\0b"])
def test_paths_that_cannot_be(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(Home(tmp_path / "home"), "model", name) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_workload_of_ones_own_takes_no_crossover_away(small_home: Home, small_shipped: Path, tmp_path: Path) -> None:
    home = small_home
    count = "select count(*), count(critical_tokens) from mart.crossover where model_id = 'llama-7b'"
    with open_snapshot(home.snapshot) as connection:
        before = connection.sql(count).fetchall()[0]
    assert min(before) > 0
    text = WORKLOAD.replace("[128]", "[100]").replace('["paper"]', '["llm-viewer", "paper"]')
    add_files(home, "workload", [str(write_file(tmp_path, "mine.toml", text))])
    run_without_prefect(home, small_shipped)
    with open_snapshot(home.snapshot) as connection:
        assert connection.sql(count).fetchall()[0] == before

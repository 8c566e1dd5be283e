"""Input files: what is read of them, and the one line that a bad one gets."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.catalog import list_sources
from flows.ingest.document import parse
from flows.ingest.kinds import CATALOG_KINDS, read_kind
from flows.ingest.model_names import make_short_name
from flows.ingest.readers.hardware import read_hardware
from flows.ingest.readers.model import read_models
from flows.ingest.readers.precision import read_precisions
from flows.ingest.readers.workload import read_workloads
from tests.support.files import write_file
from tests.support.inputs import CONFIG, DEVICE, WORKLOAD, assert_refused, make_source
from warehouse.errors import InputError
from warehouse.home import Home


def test_device(tmp_path: Path) -> None:
    frames = read_hardware([make_source(write_file(tmp_path, "mine.toml", DEVICE), "hardware")])
    assert frames["hardware"].row(0, named=True)["memory_bytes"] == 48e9
    values = dict(frames["ceiling"].select("name", "value_per_s").iter_rows())
    assert values == {"fp16": 149.7e12, "dram": 696e9}
    assert frames["ceiling"]["is_default"].all()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("memory_gb = 48\n", "", ["memory_gb", "missing"]),
        ('dtype = "fp16"', 'dtype = "fp17"', ["compute[0].dtype", '"fp17"', "'fp16'"]),
        ("gb_per_s = 696", "gb_per_s = -696", ["bandwidth[0].gb_per_s", "-696", "greater"]),
        ("gb_per_s = 696", "gb_per_s = 696000", ["bandwidth[0].gb_per_s", "696000", "100000"]),
        ("gb_per_s = 696", "gb_per_s = nan", ["bandwidth[0].gb_per_s", "finite"]),
        ("gb_per_s = 696", 'gb_per_s = "696"', ["bandwidth[0].gb_per_s", '"696"', "number"]),
        ("tflops = 149.7", "tflops = 149.7e12", ["compute[0].tflops", "50000"]),
        ("tflops = 149.7", "tflops = 37400", ["fp16", "37400", "another unit"]),
        ("tflops = 149.7", "tflop = 149.7", ["compute[0].tflop:", "unknown field; expected tflops"]),
        ("memory_gb = 48", "memory_gb = 48\nmemory_gib = 48", ["memory_gib", "unknown field", "memory_gb"]),
        ('origin = "my datasheet"\n[[compute]]', "[[compute]]", ["origin", "missing"]),
        ('hardware_id = "mine"', 'hardware_id = "yours"', ["hardware_id", '"yours"', "yours.toml"]),
        ('hardware_id = "mine"', 'hardware_id = "../mine"', ["hardware_id", "expected at most 64 lowercase letters"]),
        ("[[bandwidth]]", "[[bandwith]]", ["bandwith", "unknown field; expected bandwidth"]),
        ("[[bandwidth]]", "[bandwidth", ["broken TOML", "line 14"]),
        ('basis = "datasheet"', 'basis = "hearsay"', ["basis", '"hearsay"', "'measured'"]),
        (
            "[[bandwidth]]",
            '[[compute]]\ndtype = "fp16"\ntflops = 100\nbasis = "datasheet"\norigin = "my datasheet"\n[[bandwidth]]',
            ["compute", "fp16", "datasheet", "2 times"],
        ),
    ],
)
def test_bad_device(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    assert DEVICE.replace(old, new, 1) != DEVICE
    path = write_file(tmp_path, "mine.toml", DEVICE.replace(old, new, 1))
    assert_refused(lambda: read_hardware([make_source(path, "hardware")]), names=[str(path), *names])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = write_file(tmp_path, "mine.toml", b"\xff\xfe\x00")
    assert_refused(lambda: read_hardware([make_source(path, "hardware")]), names=[str(path), "UTF-8"])


def test_an_id_that_stands_twice(tmp_path: Path) -> None:
    files = [write_file(tmp_path, name, DEVICE) for name in ("copy.toml", "mine.toml")]
    read = lambda: read_hardware([make_source(path, "hardware") for path in files])  # noqa: E731
    assert_refused(read, names=[str(files[1]), "hardware_id", '"mine"', f"also the id of {files[0]}"])


def test_a_second_default(tmp_path: Path) -> None:
    second = '[[compute]]\ndtype = "fp16"\ntflops = 140\nbasis = "measured"\norigin = "x"\ndefault = true\n'
    text = DEVICE.replace("tflops = 149.7", "tflops = 149.7\ndefault = true") + second
    path = write_file(tmp_path, "mine.toml", text)
    assert_refused(lambda: read_hardware([make_source(path, "hardware")]), names=["default", "fp16", "2 defaults"])


def test_the_datasheet_is_the_default_where_none_is_marked(tmp_path: Path) -> None:
    second = '[[compute]]\ndtype = "fp16"\ntflops = 140\nbasis = "measured"\norigin = "x"\n'
    path = write_file(tmp_path, "mine.toml", DEVICE + second)
    ceiling = read_hardware([make_source(path, "hardware")])["ceiling"].filter(name="fp16")
    assert dict(ceiling.select("basis", "is_default").iter_rows()) == {"datasheet": True, "measured": False}


def config(**changes: object) -> str:
    return json.dumps({key: value for key, value in {**CONFIG, **changes}.items() if value is not ...})


def read_config(path: Path) -> dict[str, pl.DataFrame]:
    architectures = [each for each in list_sources(Home(path.parent / "none")) if each.kind == "architecture"]
    return read_models([*architectures, make_source(path, "model")])


def test_config(tmp_path: Path) -> None:
    path = write_file(tmp_path, "my-model-8b.json", config(num_key_value_heads=8, _name_or_path="me/my-model"))
    frames = read_config(path)
    row = frames["layer_group"].row(0, named=True)
    assert frames["model"]["short_name"].to_list() == ["My Model 8B"]
    assert (row["num_kv_heads"], row["head_dim"]) == (8, 128)
    assert frames["origin"]["origin"][0] == "not stated in the file, which was loaded from me/my-model"
    named = write_file(tmp_path, "my-model.json", config(_name_or_path="me/My-Model"))
    assert read_config(named)["origin"]["origin"][0] == "config.json of me/My-Model on the Hugging Face hub"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (config(architectures=["MyForCausalLM"]), ["architectures", '"MyForCausalLM"', "catalog/architectures"]),
        (config(attention_bias=1), ["attention_bias = 1", "expected true or false"]),
        (config(architectures=...), ["architectures and model_type: missing"]),
        (config(hidden_size=...), ["hidden_size", "missing"]),
        (config(hidden_size=-1), ["hidden_size = -1"]),
        (config(hidden_size="4096"), ['hidden_size = "4096"', "expected a number"]),
        (config(num_attention_heads=33), ["hidden_size = 4096", "hidden_size % num_attention_heads == 0"]),
        (config(num_key_value_heads=5), ["num_attention_heads = 32, num_key_value_heads = 5", "divide 32 query heads"]),
        ("[1, 2]", ["a list; expected the config.json of a model"]),
        ("{", ["broken JSON"]),
        ('{"a": ' + "9" * 5000 + "}", ["broken JSON"]),
        ("[" * 100_000, ["nested"]),
    ],
)
def test_bad_config(tmp_path: Path, text: str, names: list[str]) -> None:
    path = write_file(tmp_path, "mine.json", text)
    assert_refused(lambda: read_config(path), names=[str(path), *names])


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('phases = ["decode"]', 'phases = ["encode"]', ["phases[0]", '"encode"', "'prefill'"]),
        ('phases = ["decode"]', 'phases = ["speculative"]', ["candidates"]),
        ("batch_size = [1]", "batch_size = [0]", ["batch_size[0]", "greater"]),
        ("batch_size = [1]", "batch_size = []", ["batch_size", "at least 1"]),
        ("batch_size = [1]", f"batch_size = {list(range(1, 60_000))}", ["at most 100000 settings"]),
        ('["fp16"]', '["fp16"]\ntensor_parallel = [3]', ["tensor_parallel[0]", "3", "expected 1"]),
    ],
)
def test_bad_workload(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    path = write_file(tmp_path, "mine.toml", WORKLOAD.replace(old, new))
    assert_refused(lambda: read_workloads([make_source(path, "workload")]), names=[str(path), *names])


def test_a_precision_that_stands_twice_in_a_file(tmp_path: Path) -> None:
    entry = '[[precision]]\nprecision_id = "p"\nweight_bits = 4\nactivation_bits = 16\nkv_bits = 8\n'
    text = 2 * f'{entry}compute_dtype = "fp16"\norigin = "x"\n'
    path = write_file(tmp_path, "precisions.toml", text)
    assert_refused(lambda: read_precisions([make_source(path, "precision")]), names=["precision_id", '"p"'])


def test_later_catalogs_add_and_override(tmp_path: Path) -> None:
    home, given = Home(tmp_path / "home"), tmp_path / "given"
    for folder, text in ((home.catalog, DEVICE), (given, DEVICE.replace("696", "700"))):
        (folder / "hardware").mkdir(parents=True)
        write_file(folder / "hardware", "mine.toml", text)
    write_file(home.catalog / "hardware", "a40.toml", DEVICE.replace('"mine"', '"a40"'))
    found = {source.entry_id: source.source_id for source in list_sources(home, given) if source.kind == "hardware"}
    assert found["mine"] == "given/hardware/mine"
    assert found["a40"] == "home/hardware/a40"
    assert found["a6000"] == "shipped/hardware/a6000"


def test_a_catalog_without_files(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert_refused(lambda: list_sources(home, tmp_path / "none"), names=["--catalog", "none", "folder"])
    (tmp_path / "empty").mkdir()
    assert_refused(lambda: list_sources(home, tmp_path / "empty"), names=["--catalog", "hardware/*.toml"])


def test_the_shipped_catalog_says_where_every_value_comes_from(tmp_path: Path) -> None:
    sources = list_sources(Home(tmp_path))
    for kind in CATALOG_KINDS:
        origins = read_kind(kind, sources)["origin"].collect()["origin"]
        assert (origins.str.len_chars() > 0).all()
        assert not any("not stated" in text for text in origins)


def test_a_config_that_says_nothing_of_its_origin(tmp_path: Path) -> None:
    path = write_file(tmp_path, "mine-8b.json", config(_name_or_path=""))
    assert read_config(path)["origin"]["origin"][0] == "not stated in the file"


@pytest.mark.parametrize("name", ["My Model's <b>.json", "-.json", "Llama-7B.json"])
def test_a_config_whose_file_name_is_no_id(tmp_path: Path, name: str) -> None:
    path = write_file(tmp_path, name, config())
    assert_refused(lambda: read_models([make_source(path, "model")]), names=[name, "file name", "expected an id"])


def test_names_of_models() -> None:
    assert make_short_name("llama-7b") == "Llama 7B"
    assert make_short_name("qwen2.5-0.5b-instruct") == "Qwen2.5 0.5B Instruct"
    assert make_short_name("mixtral-8x7b") == "Mixtral 8x7B"
    assert make_short_name("qwen1.5-moe-a2.7b") == "Qwen1.5 MoE A2.7B"
    assert make_short_name("gpt2-xl") == "GPT-2 XL"


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), kind=st.sampled_from(["hardware", "model", "workload", "precision", "elementwise"]))
def test_no_text_gets_more_than_one_line(tmp_path_factory: pytest.TempPathFactory, text: str, kind: str) -> None:
    suffix = "json" if kind == "model" else "toml"
    path = tmp_path_factory.getbasetemp() / f"fuzz-{kind}.{suffix}"
    path.write_text(text, "utf-8", errors="replace")
    with pytest.raises(InputError, match=re.escape(path.name)) as caught:
        CATALOG_KINDS[kind].read([make_source(path, kind)])
    assert "Traceback" not in str(caught.value)


def test_parse_reads_what_it_should(tmp_path: Path) -> None:
    assert parse(make_source(write_file(tmp_path, "x.toml", "a = 1"), "hardware")) == {"a": 1}
    assert parse(make_source(write_file(tmp_path, "x.json", '\ufeff{"a": 1}'), "model")) == {"a": 1}


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    listed = make_source(write_file(tmp_path, "mine.toml", DEVICE), "hardware")
    write_file(tmp_path, "mine.toml", DEVICE.replace("696", "600"))
    assert_refused(lambda: read_hardware([listed]), names=["mine.toml", "changed while"])

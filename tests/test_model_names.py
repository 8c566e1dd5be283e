"""The names of given models: where a config lies says what it is called, never what it was loaded from."""

import json
import os
import time
from pathlib import Path

import pytest

from flows.ingest.incoming import accept_incoming, make_incoming_folder
from flows.ingest.model_names import find_cached_name, find_config, make_id, name_model
from tests.support.commands import ingest
from tests.support.files import write_file
from tests.support.inputs import CONFIG, assert_refused
from warehouse.home import Home

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"
CACHED = f"hub/models--meta-llama--Llama-3.1-8B/snapshots/{COMMIT}/config.json"
TUNED = json.dumps({**CONFIG, "model_type": "llama", "_name_or_path": "meta-llama/Llama-2-7b-hf"})


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("My-Tune-8B/config.json", "My-Tune-8B"),
        ("work/checkpoint-500/config.json", "checkpoint-500"),
        ("work/../My-Tune-8B/config.json", "My-Tune-8B"),
        ("My-Tune-8B/Config (1).json", "My-Tune-8B"),
        ("My-Tune-8B.json", "My-Tune-8B"),
        ("qwen2_0_5b_config.json", "qwen2_0_5b"),
        ("qwen3-0.6b.config.json", "qwen3-0.6b"),
        ("Qwen--Qwen3.5-397B-A17B_config.json", "Qwen3.5-397B-A17B"),
        ("zai-org--GLM-5/config.json", "GLM-5"),
        (CACHED, "meta-llama/Llama-3.1-8B"),
        (f"hub/models--gpt2/snapshots/{COMMIT}/config.json", "gpt2"),
        (f"hub/models--org--name/blobs/{COMMIT}", "org/name"),
        ("incoming/My-Tune-8B/config.json", "My-Tune-8B"),
        ("incoming/model/My-Tune-8B/config.json", "My-Tune-8B"),
        ("model/config.json", "model"),
    ],
)
def test_a_model_is_named_after_its_folder_or_file(place: str, name: str, tmp_path: Path) -> None:
    assert name_model(tmp_path / place) == name
    assert make_id(name) == name.rpartition("/")[2].lower()


@pytest.mark.parametrize(
    "place",
    ["incoming/config.json", "incoming/model/config.json", "incoming/rejected/config.json", f"{COMMIT}/config.json",
     "incoming/config (2).json", f"some/{COMMIT}/{COMMIT}"],
)  # fmt: skip
def test_a_folder_that_names_no_model_is_refused_with_what_to_do(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    expected = "expected a folder named after it, or the file renamed, e.g. to my-model.json"
    assert_refused(lambda: name_model(path), names=[str(path), f'folder = "{path.parent.name}"', expected])


def test_the_root_of_a_disk_names_no_model() -> None:
    assert_refused(lambda: name_model(Path("/config.json")), names=["/config.json", 'folder = ""'])


def put(path: Path, content: str = TUNED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    os.utime(path, (time.time() - 7200, time.time() - 7200))
    return path


def list_models(home: Home) -> dict[str, str | None]:
    folder = home.catalog / "models"
    return {path.stem: json.loads(path.read_text("utf-8")).get("_name_or_path") for path in folder.glob("*")}


def test_a_fine_tune_is_never_called_like_its_base(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    given = [put(tmp_path / "My-Tune-7B" / "config.json").parent, put(tmp_path / "other_config.json")]
    assert ingest(home, "model", *map(str, given)) == 0
    assert list_models(home) == dict.fromkeys(("my-tune-7b", "other"), "meta-llama/Llama-2-7b-hf")


@pytest.mark.parametrize("given", [CACHED, str(Path(CACHED).parent), str(Path(CACHED).parents[2])])
def test_a_model_of_the_cache_is_the_one_of_the_hub(given: str, tmp_path: Path) -> None:
    """As a file, as its snapshot, or as the whole folder; a later snapshot that is not `main` is left alone."""
    home = Home(tmp_path / "home")
    path = put(tmp_path / CACHED)
    put(path.parents[1] / "newer" / "config.json", "{}")
    put(path.parents[2] / "refs" / "main", f"{COMMIT}\n")
    assert ingest(home, "model", str(tmp_path / given)) == 0
    assert list_models(home) == {"llama-3.1-8b": "meta-llama/Llama-3.1-8B"}


def test_a_file_outside_the_cache_has_no_name_on_the_hub(tmp_path: Path) -> None:
    assert find_cached_name(tmp_path / "models--org--name" / "config.json") is None
    assert find_config(tmp_path / "none") is None


def test_configs_in_folders_of_incoming_are_told_apart(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_incoming_folder(home)
    for folder in ("One-7B", "model/Two-7B", "models--org--Three-7B/snapshots/" + COMMIT):
        put(home.incoming / folder / "config.json")
    put(home.incoming / "One-7B" / "tokenizer.json", "{}")
    put(home.incoming / "config.json")
    put(home.incoming / ".hidden" / "config.json")
    put(home.incoming / "LoRA" / "adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": "org/base"}')
    arrivals = {arrival.name: arrival for arrival in accept_incoming(home)}
    reasons = {name: arrival.reason or "" for name, arrival in arrivals.items() if arrival.reason}
    assert set(list_models(home)) == {"one-7b", "two-7b", "three-7b"}
    assert set(reasons) == {"config.json", "LoRA/adapter_config.json"}
    assert 'folder = "incoming": does not name a model' in reasons["config.json"]
    assert {path.name for path in (home.incoming / "accepted").iterdir()} == {
        "One-7B_config.json", "Two-7B_config.json", "models--org--Three-7B_config.json",
    }  # fmt: skip
    assert (home.incoming / "One-7B" / "tokenizer.json").exists()
    assert accept_incoming(home) == []


def test_a_linked_config_stays_readable_once_it_is_moved_aside(tmp_path: Path) -> None:
    """The files of a snapshot in the Hugging Face cache are relative links."""
    home = Home(tmp_path / "home")
    make_incoming_folder(home)
    folder = home.incoming / "models--org--Mine-7B"
    put(folder / "blobs" / COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "config.json").symlink_to(Path("..", "..", "blobs", COMMIT))
    assert [arrival.entries for arrival in accept_incoming(home)] == [("mine-7b.json",)]
    moved = home.incoming / "accepted" / "models--org--Mine-7B_config.json"
    assert json.loads(moved.read_text("utf-8"))["model_type"] == "llama"


def test_two_files_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    given = [put(tmp_path / "a" / "Mine-7B" / "config.json"), put(tmp_path / "b" / "org--Mine-7B_config.json")]
    assert ingest(home, "model", *map(str, given)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(f"{path}: mine-7b is given twice" in line for path, line in zip(given, lines, strict=True))


def test_a_file_without_a_letter_in_its_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_file(tmp_path, "模型.json", TUNED)
    assert ingest(Home(tmp_path / "home"), "model", str(path)) == 2
    assert 'file name = "模型": expected letters a to z, digits or dots' in capsys.readouterr().err

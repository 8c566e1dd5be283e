"""Architectures of users: a class that nobody here has seen is read by a file alone, and a bad file gets one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.catalog import list_sources
from flows.ingest.incoming import accept_incoming, make_incoming_folder
from flows.ingest.kinds import read_kind
from tests.support.commands import ingest
from tests.support.files import ROOT, write_file
from warehouse.home import Home

LIKE_LLAMA = 'classes = ["NewForCausalLM"]\nmodel_types = ["new"]\norigin = "me"\nlike = "llama"\n'
CONFIG: dict[str, Any] = {
    "architectures": ["NewForCausalLM"], "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 8, "vocab_size": 1000,
}  # fmt: skip


def count(home: Home, model_id: str) -> dict[str, Any]:
    return read_kind("model", list_sources(home))["model"].collect().filter(model_id=model_id).row(0, named=True)


def test_a_class_that_nobody_has_seen_is_read_by_a_file_alone(tmp_path: Path) -> None:
    """Two kinds of layers by a word of the config, and experts beside a dense layer; counted by hand."""
    home = Home(tmp_path / "home")
    text = """\
classes = ["SeenByNobodyLM"]
model_types = ["seen_by_nobody"]
origin = "me"
[terms]
wide = "width * heads // 8"
[model]
hidden_size = "width"
vocab_size = "words"
layers = "len(pattern)"
tied_embeddings = true
max_positions = 4096
norm = "'rms_norm'"
mixer = "'local' if pattern[layer] == 'L' else 'whole'"
feed_forward = "'experts' if layer else 'plain'"
[mixer.local.attention]
heads = "heads"
kv_heads = 1
head_dim = 16
window = 128
[mixer.whole.attention]
heads = "heads"
kv_heads = 2
head_dim = 32
[feed_forward.plain.dense]
size = "4 * wide"
activation = "'gelu'"
gated = false
[feed_forward.experts.moe]
experts = 4
chosen = 2
size = "wide"
activation = "'silu'"
"""
    folder = home.catalog / "architectures"
    folder.mkdir(parents=True)
    write_file(folder, "mine.toml", text)
    config = {"model_type": "seen_by_nobody", "width": 64, "heads": 8, "words": 100, "pattern": ["L", "G", "L"]}
    assert ingest(home, "model", str(write_file(tmp_path, "Mine-1.json", json.dumps(config)))) == 0
    local, whole = 2 * 64 * 8 * 16 + 2 * 64 * 16, 2 * 64 * 8 * 32 + 2 * 64 * 2 * 32
    plain, experts = 2 * 64 * 256, 4 * 3 * 64 * 64 + 64 * 4
    assert count(home, "mine-1")["parameters"] == 100 * 64 + 64 + 3 * 2 * 64 + 2 * local + whole + plain + 2 * experts


def test_a_file_is_ingested_and_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "new.toml", LIKE_LLAMA)
    assert ingest(home, "architecture", str(path)) == 0
    assert ingest(home, "model", str(write_file(tmp_path, "m-1b.json", json.dumps(CONFIG)))) == 0
    before = count(home, "m-1b")["parameters"]
    assert ingest(home, "architecture", str(path)) == 2
    assert "--replace replaces it" in capsys.readouterr().err
    path.write_text(LIKE_LLAMA + "[defaults]\ntie_word_embeddings = true\n", "utf-8")
    assert ingest(home, "architecture", "--replace", str(path)) == 0
    assert count(home, "m-1b")["parameters"] == before - 1000 * 256


def test_files_that_are_like_each_other_are_ingested_together(tmp_path: Path) -> None:
    one = write_file(tmp_path, "one.toml", LIKE_LLAMA)
    two = write_file(tmp_path, "two.toml", 'classes = ["TwoLM"]\nmodel_types = ["two"]\norigin = "me"\nlike = "one"\n')
    assert ingest(Home(tmp_path / "home"), "architecture", str(two), str(one)) == 0


def test_a_file_in_incoming_is_recognized(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_incoming_folder(home)
    os.utime(write_file(home.incoming, "new.toml", LIKE_LLAMA), (1, 1))
    assert [(arrival.kind, arrival.reason) for arrival in accept_incoming(home)] == [("architecture", None)]


DOUBLED = "".join(f't{i} = "[t{i - 1}, t{i - 1}]"\n' for i in range(1, 60))
BAD_FILES = {
    "like = ": (LIKE_LLAMA.replace('"llama"', '"nothing"'), 'like = "nothing": expected the name of another'),
    "like itself": (LIKE_LLAMA.replace('"llama"', '"mine"'), 'like = "mine": expected files that end somewhere'),
    "origin": (LIKE_LLAMA.replace('origin = "me"\n', ""), "origin: missing"),
    "field": (f'{LIKE_LLAMA}[model]\nwidth = "hidden_size"\n', "model.width: unknown field; expected hidden_size"),
    "kind": (f"{LIKE_LLAMA}[mixer.a.attn]\nheads = 2\n", "mixer.a.attn: unknown kind; expected one of attention"),
    "function": (f'{LIKE_LLAMA}[terms]\na = "open(1)"\n', 'terms.a = "open(1)": expected one of the functions min'),
    "power": (f'{LIKE_LLAMA}[terms]\na = "9 ** 9 ** 9"\n', "expected an expression without Pow"),
    "syntax": (f'{LIKE_LLAMA}[terms]\na = "1 +"\n', 'terms.a = "1 +": expected an expression'),
    "depth": (f'{LIKE_LLAMA}[terms]\na = "{"(" * 400}1{")" * 400}"\n', "expected an expression"),
    "length": (f'{LIKE_LLAMA}[terms]\na = "{"1+" * 900}1"\n', "at most 1000 letters"),
    "giant": (f"{LIKE_LLAMA}[model]\nhidden_size = {'9' * 900}\n", "expected numbers of at most"),
    "infinity": (f"{LIKE_LLAMA}[model]\nhidden_size = inf\n", "model.hidden_size = Infinity: expected an expression"),
    "list": (f"{LIKE_LLAMA}[model]\nhidden_size = [1]\n", "model.hidden_size = [1]: expected an expression"),
    "nesting": (f"{LIKE_LLAMA}x = {'[' * 5000}{']' * 5000}\n", "nested too deeply"),
    "type of another": (LIKE_LLAMA.replace('"new"', '"mixtral"'), 'model_types: "mixtral": also in'),
}
CHAIN = "".join(f't{i} = "t{i - 1}"\n' for i in range(1, 2000))
BAD_EXPRESSIONS = {
    "terms of each other": ('[terms]\na = "b"\nb = "a"\n[model]\nhidden_size = "a"\n', "does not need itself"),
    "a chain without end": (
        f'[terms]\nt0 = "1"\n{CHAIN}[model]\nhidden_size = "t1999"\n',
        "expected an expression that does not need itself",
    ),
    "lists that double": (f'[terms]\nt0 = "[1]"\n{DOUBLED}[model]\nhidden_size = "t59"\n', "numbers or words"),
    "no key": ('[model]\nhidden_size = "no_such_key"\n', "no_such_key: missing"),
    "zero": ('[model]\nhidden_size = "hidden_size // 0"\n', "expected a number that can divide"),
    "negative": ("[model]\nhidden_size = -5\n", "model.hidden_size of mine.toml = -5: expected greater"),
    "word": ("[model]\nmixer = \"'other'\"\n", 'model.mixer of mine.toml = "other": expected one of full_attention'),
    "repeated word": ('[model]\nhidden_size = "len(\'x\' * 1000000000)"\n', "expected a number"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = BAD_FILES[name]
    path = write_file(tmp_path, "mine.toml", text)
    assert ingest(Home(tmp_path / "home"), "architecture", str(path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: " in line
    assert said in line


@pytest.mark.parametrize("name", BAD_EXPRESSIONS)
def test_an_expression_that_fails_refuses_the_config_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = BAD_EXPRESSIONS[name]
    home = Home(tmp_path / "home")
    assert ingest(home, "architecture", str(write_file(tmp_path, "mine.toml", LIKE_LLAMA + text))) == 0
    assert ingest(home, "model", str(write_file(tmp_path, "m-1b.json", json.dumps(CONFIG)))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "m-1b.json: " in line
    assert said in line


def test_terms_that_differ_by_layer_and_use_each_other_twice_are_quick(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    doubled = "".join(f't{i} = "max(t{i - 1}, t{i - 1})"\n' for i in range(1, 60))
    more = f'[terms]\nt0 = "1 + layer - layer"\n{doubled}[mixer.full_attention.attention]\nheads = "8 * t59"\n'
    assert ingest(home, "architecture", str(write_file(tmp_path, "mine.toml", LIKE_LLAMA + more))) == 0
    assert ingest(home, "model", str(write_file(tmp_path, "m-1b.json", json.dumps(CONFIG)))) == 0


def test_the_example_of_the_documents_counts_as_by_hand(tmp_path: Path) -> None:
    """Attention of two widths of context, one dense layer and seven with experts."""
    text = (ROOT / "warehouse" / "README.md").read_text("utf-8")
    example = text.partition("### Architecture\n")[2].partition("```toml\n")[2].partition("```")[0]
    config = {
        "architectures": ["TideForCausalLM"], "hidden_size": 64, "intermediate_size": 256, "expert_size": 32,
        "num_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 8, "num_attention_heads": 4, "n_kv_heads": 2,
        "vocab_size": 1000, "max_position_embeddings": 4096, "window": 512,
    }  # fmt: skip
    home = Home(tmp_path / "home")
    assert ingest(home, "architecture", str(write_file(tmp_path, "tide.toml", example))) == 0
    assert ingest(home, "model", str(write_file(tmp_path, "Tide-1M.json", json.dumps(config)))) == 0
    attention, norms = 2 * 64 * 64 + 2 * 64 * 32, 2 * 64
    plain, sparse = 3 * 64 * 256, 8 * 3 * 64 * 32 + 8 * 64
    assert count(home, "tide-1m")["parameters"] == 1000 * 64 + 64 + 8 * (attention + norms) + plain + 7 * sparse
    frames = read_kind("model", list_sources(home))
    groups = frames["layer_group"].collect().filter(model_id="tide-1m")
    assert sorted(groups["num_layers"].to_list()) == [1, 2, 5]

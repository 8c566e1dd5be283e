"""Files that are no config of a decoder: one line says what each is, and what to give instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.document import parse
from flows.ingest.foreign_configs import describe_file, describe_foreign, describe_start
from flows.ingest.kinds import recognize_kind
from tests.support.commands import ingest
from tests.support.files import write_file
from tests.support.inputs import CONFIG, assert_refused, make_source
from warehouse.home import Home

ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "some/base", "r": 16}
PARAMS = {"dim": 4096, "n_layers": 32, "n_heads": 32, "hidden_dim": 14336, "vocab_size": 32000}
GENERATION = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "transformers_version": "4.53.0"}


def of_class(name: str, **more: object) -> dict[str, Any]:
    return {**CONFIG, "architectures": [name], **more}


FOREIGN: dict[str, tuple[object, list[str]]] = {
    "adapter": (ADAPTER, ['peft_type = "LORA": an adapter', 'config.json of its base model, "some/base"']),
    "diffusion": ({"_class_name": "UNet2DConditionModel"}, ['_class_name = "UNet2DConditionModel"', "diffusion"]),
    "pipeline": ({"_class_name": "FluxPipeline", "vae": ["diffusers", "AutoencoderKL"]}, ["FluxPipeline", "diffusion"]),
    "params.json": (PARAMS, ["dim = 4096", "params.json", "transformers'"]),
    "tokenizer": ({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}, ["LlamaTokenizer", "tokenizer_config"]),
    "generation": (GENERATION, ["generation_config.json"]),
    "short generation": ({"eos_token_id": 2, "transformers_version": "5.0"}, ["generation_config.json"]),
    "index": ({"metadata": {"total_size": 5}, "weight_map": {"a": "b"}}, ["weight_map: the index of a checkpoint"]),
    "quantization": ({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}, ["hf_quant_config"]),
    "MLC": ({"model_type": "llama", "model_config": {}, "conv_template": "x"}, ["a config of MLC"]),
    "TensorRT-LLM": ({"architecture": "LlamaForCausalLM", "dtype": "float16"}, ["architecture =", "another library"]),
    "BERT": (of_class("BertModel", model_type="bert"), ['["BertModel"]: an encoder', "expected a decoder"]),
    "RoBERTa": (of_class("XLMRobertaForMaskedLM"), ["an encoder"]),
    "BERT as a language model": (of_class("BertLMHeadModel"), ["an encoder"]),
    "BERT by its type": ({"model_type": "nomic_bert"}, ['model_type = "nomic_bert": an encoder']),
    "CLIP": (of_class("CLIPTextModel", model_type="clip_text_model"), ["an encoder"]),
    "T5": (of_class("T5ForConditionalGeneration"), ["an encoder-decoder"]),
    "Bart": (of_class("BartModel", model_type="bart"), ["an encoder-decoder"]),
    "Whisper": (of_class("WhisperForConditionalGeneration", is_encoder_decoder=True), ["an encoder-decoder"]),
    "T5 by its type": ({"model_type": "mt5", "architectures": None}, ['model_type = "mt5": an encoder-decoder']),
    "of own code": (of_class("MyForConditionalGeneration", is_encoder_decoder=True), ["an encoder-decoder"]),
    "T5's encoder": (of_class("T5EncoderModel"), ["an encoder"]),
    "classifier": (of_class("LlamaForSequenceClassification"), ["classifier or reward model", "it was made from"]),
    "reward model": (of_class("Qwen2ForProcessRewardModel"), ["a reward model", "lm_head"]),
    "embeddings": (of_class("MistralModel", model_type="mistral"), ["without an lm_head", "embeddings"]),
    "nothing": ({}, ["architectures and model_type: missing"]),
    "sizes alone": ({"hidden_size": 4096}, ["architectures and model_type: missing"]),
    "list": ([CONFIG], ["a list; expected the config.json of a model"]),
    "number": (7, ["a number, 7"]),
    "text": ("llama", ['a text, "llama"']),
    "null": (None, ["null; expected"]),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_decoder_is_named_with_what_to_give(name: str) -> None:
    content, said = FOREIGN[name]
    line = describe_foreign(content) or ""
    assert "\n" not in line
    assert [part for part in said if part not in line] == []


@pytest.mark.parametrize(
    "content",
    [
        of_class("LlamaForCausalLM"),
        of_class("GPT2LMHeadModel", is_encoder_decoder=False),
        of_class("QWenLMHeadModel"),
        of_class("Ernie4_5ForCausalLM", model_type="ernie4_5"),
        of_class("BertLMHeadModel", is_decoder=True),
        of_class("RobertaForCausalLM", is_decoder=True),
        of_class("ChatGLMModel", auto_map={"AutoModelForCausalLM": "modeling_chatglm.ChatGLMForCausalLM"}),
        of_class("LlavaForConditionalGeneration", vision_config={"model_type": "clip_vision_model"}),
        of_class("DbrxForCausalLM", tokenizer_class="GPT2Tokenizer", eos_token_id=2),
        {"model_type": "llama", "hidden_size": 64},
        {"architectures": "LlamaForCausalLM"},
        {"architectures": [7]},
    ],
)
def test_a_decoder_is_never_taken_for_something_else(content: dict[str, Any]) -> None:
    assert describe_foreign(content) is None


def test_a_class_that_a_file_describes_is_read_whatever_its_name(tmp_path: Path) -> None:
    assert describe_foreign(of_class("MyMaskedModel"), {"MyMaskedModel"}) is None
    assert describe_foreign(of_class("MyMaskedModel")) is not None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.gguf", b"GGUF\x03\0\0\0", "weights in GGUF"),
        ("m.safetensors", b'\x20\0\0\0\0\0\0\0{"a":{}}', "weights in safetensors"),
        ("pytorch_model.bin", b"PK\x03\x04", "weights of PyTorch"),
        ("config.json", b"<!DOCTYPE html>", "a web page"),
        ("m.json", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("m.json", b" \n", "an empty file"),
        ("m.index.json", b'{"weight_map": {' + b'"a": "b", ' * 200_000, "the index of a checkpoint"),
    ],
)
def test_what_a_file_is_shows_at_its_beginning(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    """Also in `incoming/`, and also if the file is larger than a config may be."""
    path = tmp_path / "My-Model-7B" / name
    path.parent.mkdir()
    path.write_bytes(content)
    line = describe_start(path) or ""
    assert said in line
    assert "give the config.json" in line
    assert_refused(lambda: recognize_kind(path), names=[f"{path}: {line}"])


@pytest.mark.parametrize("name", ["adapter", "diffusion", "params.json", "generation", "index", "quantization"])
def test_incoming_says_the_same(name: str, tmp_path: Path) -> None:
    content, _ = FOREIGN[name]
    path = write_file(tmp_path, "some.json", json.dumps(content))
    assert_refused(lambda: recognize_kind(path), names=[f"{path}: {describe_foreign(content)}"])


def test_files_that_have_nothing_to_do_with_models_are_not_described(tmp_path: Path) -> None:
    for name, content in (("a.csv", ""), ("a.json", '{"a": 1}'), ("a.json", "{"), ("b.xlsx", "PK\x03\x04")):
        assert describe_file(write_file(tmp_path, name, content)) is None
    assert describe_start(tmp_path / "none.json") is None


def test_a_config_of_a_class_alone_is_recognized(tmp_path: Path) -> None:
    assert recognize_kind(write_file(tmp_path, "m.json", json.dumps(CONFIG))) == "model"


def test_every_file_that_is_none_gets_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["adapter", "BERT", "T5", "list", "nothing", "params.json"]
    paths = [write_file(tmp_path, f"m{i}.json", json.dumps(FOREIGN[name][0])) for i, name in enumerate(names)]
    assert ingest(Home(tmp_path / "home"), "model", *map(str, paths)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(names)
    for name, path, line in zip(names, paths, lines, strict=True):
        assert line.endswith(f"{path}: {describe_foreign(FOREIGN[name][0])}")


def text_of(**fields: object) -> str:
    return json.dumps({**CONFIG, **fields})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text_of(_name_or_path="\ud800"), '_name_or_path = "\\ud800": unpaired surrogate'),
        (text_of()[:-1] + ', "vocab_size": 7}', "vocab_size = 32000 and again 7: expected it once"),
        (text_of(x=1).replace('"x": 1', f'"x": {"[" * 100_000}{"]" * 100_000}'), "nested too deeply"),
        (text_of(hidden_size=1).replace(": 1,", f": {'9' * 5000},"), "a number with thousands of digits"),
        (text_of(hidden_size=10**300), "hidden_size = 1000"),
        (text_of(hidden_size=float("inf")), "hidden_size = Infinity"),
        (text_of(num_attention_heads=float("nan")), "num_attention_heads = NaN"),
        (text_of(vocab_size=1e400), "vocab_size = Infinity"),
        (text_of(hidden_size="4096"), 'hidden_size = "4096"'),
        (text_of(hidden_size=True), "hidden_size = true"),
        (text_of(hidden_size=4096.5), "hidden_size = 4096.5"),
        (text_of(hidden_size=-1), "hidden_size = -1"),
        (text_of(hidden_size=[4096]), "hidden_size = [4096]"),
        (text_of(architectures=[7]), "architectures = [7]"),
        (text_of(architectures={}), "architectures = {}"),
        (text_of(architectures=[]), "architectures = []"),
        (text_of(architectures="LlamaForCausalLM"), 'architectures = "LlamaForCausalLM"'),
        ("{'architectures': 1}", "broken JSON"),
    ],
)
def test_what_json_can_hold_that_no_config_may_gets_one_line(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "m.json", content)
    assert ingest(Home(tmp_path / "home"), "model", str(path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: " in line
    assert said in line


def test_keys_that_no_shape_follows_from_may_be_infinite(tmp_path: Path) -> None:
    """As transformers writes `time_step_limit` of Mamba 2."""
    path = write_file(tmp_path, "m.json", text_of(time_step_limit=[0.0, float("inf")], other=float("nan")))
    assert parse(make_source(path, "model"))["time_step_limit"] == [0.0, float("inf")]
    assert ingest(Home(tmp_path / "home"), "model", str(path)) == 0

"""Configs that were once refused or counted wrong, each with its right value or refusal."""

import json
from pathlib import Path

import pytest

from flows.ingest.readers.model import read_counted_models
from flows.intensity.shapes import join_layers, model_shards
from tests.support.files import ROOT, write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.models import ARCHITECTURES
from warehouse.errors import InputError

CASES = ROOT.parent / "shared" / "cases" / "models"
# parameters, and bytes of KV cache a token in 16 bits
COUNTS = {
    "deepseekv3-no-expert-width": (671_026_419_200, 70_272),
    "deepseekv3-no-first-k": (671_026_419_200, 70_272),
    "mixtral-no-kv-heads": (46_702_792_704, 131_072),
    "shared-expert-zero": (480_154_875_392, 253_952),
    "kimi-k2": (1_026_408_232_448, 70_272),
    "qwen3-4b": (4_022_468_096, 147_456),
    "llama4-scout-like": (107_769_861_120, 196_608),
    "no-architectures": (8_030_261_248, 131_072),
    "phi4mini-rope-parameters": (3_836_021_760, 131_072),
}
REFUSALS = {
    "layer-types-linear": ["layer_types[0]", '"linear_attention"', "full_attention"],
    "layer-types-chunked": ["layer_types[0]", '"chunked_attention"', "full_attention"],
    "message-hidden-act": ["hidden_act", '"relu2"', "silu"],
    "lora-adapter": ["peft_type", "adapter", "some/base"],
    "surrogate-config": ["_name_or_path"],
}


def find_case(name: str) -> Path:
    path = CASES / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    return path


@pytest.mark.parametrize("name", COUNTS)
def test_a_config_has_its_right_counts(name: str) -> None:
    frames = read_counted_models([*ARCHITECTURES, make_source(find_case(name), "model")])
    shard = model_shards(join_layers(frames["model"], frames["layer_group"]), [1]).row(0, named=True)
    cached = 2 * (shard["kv_elements_per_token"] + shard["local_kv_elements_per_token"])
    assert (frames["model"]["parameters"].item(), cached) == COUNTS[name]


@pytest.mark.parametrize("name", REFUSALS)
def test_a_config_is_refused_by_its_own_key(name: str) -> None:
    path = find_case(name)
    assert_refused(
        lambda: read_counted_models([*ARCHITECTURES, make_source(path, "model")]), names=[path.name, *REFUSALS[name]]
    )


def test_part_of_a_head_is_rotated_as_rope_parameters_say() -> None:
    path = find_case("phi4mini-rope-parameters")
    frames = read_counted_models([*ARCHITECTURES, make_source(path, "model")])
    assert frames["layer_group"]["rope_head_dim"].to_list() == [96]  # 0.75 of 128
    assert frames["layer_group"]["sliding_window"].to_list() == [None]  # no context of the model exceeds it


def test_a_word_for_a_layer_is_refused_by_its_place_where_other_keys_could_choose_too(tmp_path: Path) -> None:
    config = {
        "architectures": ["Qwen3NextForCausalLM"],
        "hidden_size": 1024,
        "intermediate_size": 2048,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "vocab_size": 5000,
        "layer_types": ["linear_attention", "sparse_attention"],
    }
    path = write_file(tmp_path, "mine.json", json.dumps(config))
    said = '/mine.json: layer_types[1] = "sparse_attention": expected one of full_attention, linear_attention'
    with pytest.raises(InputError) as refused:
        read_counted_models([*ARCHITECTURES, make_source(path, "model")])
    assert str(refused.value).endswith(said)


def test_a_class_with_one_kind_of_attention_has_no_other_layers(tmp_path: Path) -> None:
    """Classes whose configs have no `layer_types` are asked for them all the same."""
    config = {
        "architectures": ["MixtralForCausalLM"], "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }  # fmt: skip

    def read(layer_types: list[str]) -> int:
        text = json.dumps({**config, "layer_types": layer_types})
        source = make_source(write_file(tmp_path, "mine.json", text), "model")
        return int(read_counted_models([*ARCHITECTURES, source])["model"]["num_layers"][0])

    assert read(["full_attention", "sliding_attention"]) == 2
    assert_refused(
        lambda: read(["full_attention", "mamba"]), names=["mine.json: layer_types[1]", '"mamba"', "full_att"]
    )

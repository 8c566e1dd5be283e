"""Models whose text model is a section of the config: what is read from where, and what the towers weigh.

The counts are those of the classes of transformers 5.24.0 on PyTorch's meta device; no test imports it.
"""

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.readers.model import read_counted_models
from tests.support.files import write_file
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES
from warehouse.errors import InputError

# LLaVA 1.5 as published: what equals a default of Llama's class is left out.
LLAVA: dict[str, Any] = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064},
    "vision_config": {
        "model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
        "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
    },
}  # fmt: skip
# Gemma 4 31B: layers of full attention have other heads, and keys that are also the values.
GEMMA_4: dict[str, Any] = {
    "architectures": ["Gemma4ForConditionalGeneration"],
    "model_type": "gemma4",
    "text_config": {
        "model_type": "gemma4_text", "attention_k_eq_v": True, "global_head_dim": 512, "num_global_key_value_heads": 4,
        "head_dim": 256, "hidden_size": 5376, "hidden_size_per_layer_input": 0, "intermediate_size": 21504,
        "num_attention_heads": 32, "num_hidden_layers": 60, "num_key_value_heads": 16, "sliding_window": 1024,
        "vocab_size": 262144,
    },
    "vision_config": {
        "model_type": "gemma4_vision", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
        "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 72,
    },
}  # fmt: skip


def count(folder: Path, config: dict[str, Any]) -> tuple[int, int]:
    """Return the weights of a config's text model, and those of its towers."""
    model = read(folder, config)["model"]
    return model["parameters"].item(), model["tower_parameters"].item()


def read(folder: Path, config: dict[str, Any]) -> dict[str, pl.DataFrame]:
    path = write_file(folder, "m.json", json.dumps(config))
    return read_counted_models([*ARCHITECTURES, make_source(path, "model")])


def refuse(folder: Path, config: dict[str, Any]) -> str:
    """Return what is said of a config that is refused, without its path."""
    with pytest.raises(InputError) as refused:
        read(folder, config)
    return str(refused.value).partition("m.json: ")[2]


def test_a_section_has_the_sizes_of_its_class_that_it_leaves_out(tmp_path: Path) -> None:
    assert count(tmp_path, LLAVA) == (6_738_939_904, 7_063_427_072 - 6_738_939_904)


def test_a_config_of_its_own_has_no_sizes_that_it_leaves_out(tmp_path: Path) -> None:
    config = {"architectures": ["LlamaForCausalLM"], **LLAVA["text_config"]}
    assert "hidden_size: missing" in refuse(tmp_path, config)


def test_a_tower_of_an_unknown_kind_is_refused_by_its_type(tmp_path: Path) -> None:
    config = {**LLAVA, "vision_config": {**LLAVA["vision_config"], "model_type": "eva_vision_model"}}
    assert 'vision_config.model_type = "eva_vision_model"' in refuse(tmp_path, config)


def test_a_missing_tower_is_named_where_its_class_builds_one(tmp_path: Path) -> None:
    config = {key: value for key, value in LLAVA.items() if key != "vision_config"}
    assert "vision_config: missing" in refuse(tmp_path, config)


def test_a_missing_tower_weighs_nothing_where_its_class_builds_none(tmp_path: Path) -> None:
    config = {key: value for key, value in GEMMA_4.items() if key != "vision_config"}
    assert count(tmp_path, GEMMA_4) == (30_697_345_280, 575_741_232)
    assert count(tmp_path, config) == (30_697_345_280, 0)


def test_gemma_4_that_its_class_saved_again_is_the_same_model(tmp_path: Path) -> None:
    """Layers that differ are then listed by their numbers, with leading zeros, and their common fields are gone."""
    saved = copy.deepcopy(GEMMA_4)
    text = saved["text_config"]
    full = {"head_dim": text.pop("global_head_dim"), "num_key_value_heads": text.pop("num_global_key_value_heads")}
    text["per_layer_config"] = {f"{layer:02}": full for layer in range(5, 60, 6)}
    text["layer_types"] = ["full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(60)]
    assert read(tmp_path, saved)["layer_group"].equals(read(tmp_path, GEMMA_4)["layer_group"])


def test_text_keys_may_stand_beside_the_tower(tmp_path: Path) -> None:
    """Qwen2-VL 2B as published."""
    text = {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True, "hidden_act": "silu",
    }  # fmt: skip
    vision = {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "mlp_ratio": 4, "num_heads": 16, "patch_size": 14}
    flat = {"architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "vision_config": vision}
    nested = {**flat, "tie_word_embeddings": True, "text_config": {**text, "model_type": "qwen2_vl_text"}}
    assert count(tmp_path, {**flat, **text}) == count(tmp_path, nested) == (1_543_714_304, 665_271_296)


def test_mistral_3_says_itself_whether_its_embeddings_are_tied(tmp_path: Path) -> None:
    """Its class ties them by default; the weights of Mistral Small 3.1, whose config does not say, are not tied."""
    text = {"model_type": "mistral", "hidden_size": 256, "num_hidden_layers": 2, "vocab_size": 1000}
    config = {"architectures": ["Mistral3ForConditionalGeneration"], "text_config": text, "vision_config": {}}
    assert "tie_word_embeddings: missing" in refuse(tmp_path, config)
    tied, _ = count(tmp_path, {**config, "tie_word_embeddings": True})
    assert count(tmp_path, {**config, "tie_word_embeddings": False})[0] == tied + 256_000

"""Mixtures of experts and latent attention: what their configs count, layer by layer, and what is refused."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.readers.model import read_models
from flows.intensity.shapes import model_shards
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.models import ARCHITECTURES, DENSE, LATENT, MIXTURE, make_model, read_model

DEEPSEEK: dict[str, Any] = {
    "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61, "num_attention_heads": 128,
    "vocab_size": 129280, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
}  # fmt: skip
MIXTRAL: dict[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
KIMI = {**DEEPSEEK, "num_attention_heads": 64, "vocab_size": 163840, "n_routed_experts": 384}
QWEN: dict[str, Any] = {
    "hidden_size": 6144, "intermediate_size": 8192, "num_hidden_layers": 62, "num_attention_heads": 96,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "num_experts": 160, "num_experts_per_tok": 8,
    "moe_intermediate_size": 2560,
}  # fmt: skip
GLM: dict[str, Any] = {
    "hidden_size": 6144, "intermediate_size": 12288, "num_hidden_layers": 78, "num_attention_heads": 64,
    "vocab_size": 154880,
}  # fmt: skip
MINIMAX: dict[str, Any] = {
    "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62, "num_attention_heads": 48,
    "vocab_size": 200064, "rotary_dim": 64,
}  # fmt: skip
LONGCAT: dict[str, Any] = {
    "hidden_size": 6144, "ffn_hidden_size": 12288, "num_layers": 28, "num_attention_heads": 64, "vocab_size": 131072,
}  # fmt: skip
MIMO: dict[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 48, "num_attention_heads": 64,
    "vocab_size": 152576,
}  # fmt: skip
SHARED = ["full" if layer < 3 or layer % 4 == 2 else "shared" for layer in range(78)]  # the indexers of GLM-5.2


def kv_bytes(config: dict[str, Any], architecture: str) -> int:
    """Bytes that a token adds to the cache in bf16, in a context shorter than any window; without indexers' keys."""
    shard = model_shards(make_model(config, architecture), [1]).row(0, named=True)
    return 2 * int(shard["kv_elements_per_token"] + shard["local_kv_elements_per_token"])


# Counts of transformers 5.24 on the meta device, with the biases of routers; in the cache, latents as engines keep them
@pytest.mark.parametrize(
    ("architecture", "config", "parameters", "cached"),
    [
        ("DeepseekV3ForCausalLM", {**DEEPSEEK, "moe_intermediate_size": 2048}, 671_026_419_200, 70_272),
        ("DeepseekV3ForCausalLM", DEEPSEEK, 671_026_419_200, 70_272),
        ("DeepseekV3ForCausalLM", {**DEEPSEEK, "first_k_dense_replace": 3}, 671_026_419_200, 70_272),
        ("DeepseekV3ForCausalLM", {**KIMI, "first_k_dense_replace": 1}, 1_026_408_232_448, 70_272),
        ("DeepseekV32ForCausalLM", DEEPSEEK, 671_877_944_064, 70_272),
        ("GlmMoeDsaForCausalLM", GLM, 743_911_218_432, 89_856),
        ("GlmMoeDsaForCausalLM", {**GLM, "indexer_types": SHARED}, 743_377_019_904, 89_856),
        ("GlmMoeDsaForCausalLM", {**GLM, "index_topk_freq": 4, "index_skip_topk_offset": 3}, 743_377_019_904, 89_856),
        ("MixtralForCausalLM", MIXTRAL, 46_702_792_704, 131_072),
        ("Qwen3MoeForCausalLM", {**QWEN, "shared_expert_intermediate_size": 0}, 480_154_875_392, 253_952),
        ("MiniMaxM2ForCausalLM", MINIMAX, 228_689_764_864, 253_952),
        ("MiMoV2FlashForCausalLM", MIMO, 308_778_780_864, 222_720),
        ("LongcatFlashForCausalLM", LONGCAT, 741_053_606_912, 64_512),
    ],
)
def test_a_mixture_counts_what_its_class_does(
    architecture: str, config: dict[str, Any], parameters: int, cached: int
) -> None:
    assert read_model(config, architecture)["parameters"].item() == parameters
    assert kv_bytes(config, architecture) == cached


def list_kinds(config: dict[str, Any], architecture: str) -> list[tuple[str, str, int]]:
    layers = make_model(config, architecture).filter(~pl.col("is_draft"))
    return layers.select("mixer", "feed_forward", "num_layers").rows()


@pytest.mark.parametrize(
    ("architecture", "config", "kinds"),
    [
        ("DeepseekV3ForCausalLM", LATENT, [("attention", "dense", 1), ("attention", "sparse", 3)]),
        (
            "LongcatFlashForCausalLM",
            {**LATENT, "num_layers": 4, "ffn_hidden_size": 512},
            [("attention", "sparse", 4), ("attention", "dense", 4)],
        ),
        (
            "Llama4ForCausalLM",
            {**MIXTURE, "num_hidden_layers": 8, "interleave_moe_layer_step": 2},
            [("chunked_attention", "dense", 4), ("chunked_attention", "sparse", 2), ("full_attention", "sparse", 2)],
        ),
        (
            "Qwen2MoeForCausalLM",
            {**DENSE, "decoder_sparse_step": 2, "mlp_only_layers": [1]},
            [("full_attention", "dense", 3), ("full_attention", "sparse", 1)],
        ),
        (
            "MiMoV2FlashForCausalLM",
            {**DENSE, "num_hidden_layers": 7, "num_key_value_heads": 4},
            [
                ("full_attention", "dense", 1),
                ("sliding_attention", "sparse", 5),
                ("full_attention", "sparse", 1),
            ],
        ),
    ],
)
def test_layers_are_grouped_by_kind(
    architecture: str, config: dict[str, Any], kinds: list[tuple[str, str, int]]
) -> None:
    assert list_kinds(config, architecture) == kinds


def test_layers_of_llama_4_without_rotary_positions_see_everything() -> None:
    layers = make_model({**MIXTURE, "num_hidden_layers": 4}, "Llama4ForCausalLM")
    assert layers.select("mixer", "attention_chunk", "is_rotary").rows() == [
        ("chunked_attention", 8192, True),
        ("full_attention", None, False),
    ]


def test_layers_that_share_an_indexer_have_none_of_its_weights() -> None:
    config = {**LATENT, "indexer_types": ["full", "shared", "full", "shared"]}
    each = {**config, "indexer_types": ["full"] * 4}
    one = 96 * 32 * 128 + 256 * 128 + 2 * 128 + 256 * 32
    counts = [read_model(of, "GlmMoeDsaForCausalLM")["parameters"].item() for of in (each, config)]
    assert counts[0] - counts[1] == 2 * one


def test_multi_token_prediction_is_counted_beside_the_model() -> None:
    """One layer with experts, two norms of its inputs, their projection, and a last norm."""
    plain, two = ({**LATENT, "num_nextn_predict_layers": number} for number in (0, 2))
    rows = [read_model(config, "DeepseekV3ForCausalLM").row(0, named=True) for config in (plain, two)]
    deeper = read_model({**plain, "num_hidden_layers": 5}, "DeepseekV3ForCausalLM").row(0, named=True)
    layer = deeper["parameters"] - rows[0]["parameters"]
    assert rows[0]["parameters"] == rows[1]["parameters"]
    assert [row["mtp_parameters"] for row in rows] == [0, 2 * (layer + 2 * 256 * 256 + 3 * 256)]


def test_experts_that_pass_a_token_through_have_rows_of_the_router_alone() -> None:
    """And gate and up projections, which the class holds for them, as transformers builds it."""
    config = {**LATENT, "num_layers": 2, "ffn_hidden_size": 512, "expert_ffn_hidden_size": 128, "moe_topk": 4}
    counts = [
        read_model({**config, "zero_expert_num": number}, "LongcatFlashForCausalLM")["parameters"].item()
        for number in (0, 8)
    ]
    assert counts[1] - counts[0] == 2 * 8 * (256 + 1 + 2 * 256 * 128)


@pytest.mark.parametrize(
    ("architecture", "config", "names"),
    [
        ("DeepseekV3ForCausalLM", {**LATENT, "q_lora_rank": 0}, ["q_lora_rank", "0"]),
        ("DeepseekV3ForCausalLM", {**LATENT, "kv_lora_rank": None}, ["kv_lora_rank", "null"]),
        ("DeepseekV3ForCausalLM", {**LATENT, "moe_layer_freq": 2}, ["moe_layer_freq", "2"]),
        ("DeepseekV32ForCausalLM", {**LATENT, "layer_types": ["full_attention"] * 4}, ["full_attention"]),
        (
            "MixtralForCausalLM",
            {**MIXTURE, "num_local_experts": 2, "num_experts": 3},
            ["num_local_experts", "num_experts"],
        ),
        ("Qwen3MoeForCausalLM", {**DENSE, "shared_expert_intermediate_size": 512}, ["shared_expert_intermediate_size"]),
        (
            "MiMoV2FlashForCausalLM",
            {**DENSE, "num_key_value_heads": 4, "swa_num_key_value_heads": 4},
            ["swa_num_key_value_heads"],
        ),
        ("DogeForCausalLM", {**DENSE, "is_moe": True}, ["is_moe", "true"]),
        ("Dots1ForCausalLM", {**DENSE, "num_experts_per_tok": 2, "n_shared_experts": 1}, ["n_routed_experts"]),
    ],
)
def test_what_no_kind_of_layer_can_say_is_refused_by_the_configs_own_key(
    architecture: str, config: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    path = write_file(tmp_path, "mine.json", json.dumps({"architectures": [architecture], **config}))
    assert_refused(lambda: read_models([*ARCHITECTURES, make_source(path, "model")]), names=[str(path), *names])

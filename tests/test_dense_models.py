"""Dense models whose classes transformers does not have, and what dense classes do by layer.

`published_parameters` are what their publishers' model pages state, which is the sum of the sizes in the checkpoint's
index; classes of transformers are held against its own counts in test_model_counts.py.
"""

from typing import Any

import polars as pl
import pytest

from flows.intensity.costs import op_costs
from tests.support.models import ELEMENTWISE, FP16, make_model, make_shapes, read_model
from warehouse.errors import InputError


def sizes(hidden: int, feed_forward: int, layers: int, heads: int, vocabulary: int, **more: object) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": vocabulary,
        **more,
    }


SMALL = sizes(256, 512, 4, 8, 1000, num_key_value_heads=2)
CHATGLM = {
    "hidden_size": 4096,
    "ffn_hidden_size": 13696,
    "num_layers": 28,
    "num_attention_heads": 32,
    "padded_vocab_size": 65024,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
}
PUBLISHED = [
    ("BaichuanForCausalLM", sizes(4096, 11008, 32, 32, 125_696), 7_505_973_248),
    ("BaichuanForCausalLM", sizes(5120, 13696, 40, 40, 64_000), 13_264_901_120),
    ("InternLM2ForCausalLM", sizes(4096, 14336, 32, 32, 92_544, num_key_value_heads=8, bias=False), 7_737_708_544),
    ("ChatGLMModel", CHATGLM, 6_243_584_000),
    ("ChatGLMForConditionalGeneration", {**CHATGLM, "num_layers": 40, "padded_vocab_size": 151_552}, 9_399_951_360),
    ("QWenLMHeadModel", sizes(4096, 22016, 32, 32, 151_936), 7_721_324_544),
    ("QWenLMHeadModel", sizes(8192, 49152, 80, 64, 152_064), 72_287_920_128),
    ("MiniCPMForCausalLM", sizes(2304, 5760, 40, 36, 122_753), 2_724_880_896),
    ("YiForCausalLM", sizes(7168, 20480, 60, 56, 64_000, num_key_value_heads=8), 34_388_917_248),
]


@pytest.mark.parametrize(("architecture", "config", "published_parameters"), PUBLISHED)
def test_models_of_classes_of_their_own_have_their_published_weights(
    architecture: str, config: dict[str, Any], published_parameters: int
) -> None:
    assert read_model(config, architecture)["parameters"].item() == published_parameters


def test_mimo_and_its_layer_for_a_second_token_have_the_published_weights() -> None:
    config = sizes(4096, 11008, 36, 32, 151_680, num_key_value_heads=8, head_dim=128)
    row = read_model(config, "MiMoForCausalLM").row(0, named=True)
    assert (row["parameters"], row["mtp_parameters"]) == (7_622_619_136, 210_790_400)
    assert row["parameters"] + row["mtp_parameters"] == 7_833_409_536


def test_a_block_of_nemotron_super_has_no_attention_or_another_width() -> None:
    def block(group: int | None, ffn_mult: float) -> dict[str, Any]:
        return {
            "attention": {"no_op": group is None, "n_heads_in_group": group, "replace_with_linear": False,
                          "sparsify": None, "num_sink_tokens": None, "window_length": None},
            "ffn": {"no_op": False, "ffn_mult": ffn_mult, "replace_with_linear": False, "sparsify": None},
        }  # fmt: skip

    blocks = [block(8, 5.25), block(None, 0.5), block(None, 0.5), block(8, 2.625)]
    config = {**sizes(8192, 1, 4, 64, 128_256, block_configs=blocks), "intermediate_size": None}
    layers = make_model(config, "DeciLMForCausalLM")
    assert layers.select("num_layers", "num_kv_heads", "intermediate_size").rows() == [
        (1, 8, 28672),
        (2, None, 2816),
        (1, 8, 14336),
    ]
    blocks[1]["attention"]["replace_with_linear"] = True
    blocks[1]["attention"]["no_op"] = False
    with pytest.raises(InputError, match="linear"):
        read_model(config, "DeciLMForCausalLM")


def test_a_draft_of_eagle_3_has_the_weights_and_the_work_of_its_checkpoint() -> None:
    """Those of yuhuili/EAGLE3-LLaMA3.1-Instruct-8B: its file has 850 MB in fp16."""
    config = sizes(4096, 14336, 1, 32, 128_256, num_key_value_heads=8, draft_vocab_size=32_000)
    fused, both, heads = 3 * 4096 * 4096, 2 * 4096 * (32 + 8 + 8) * 128, 32 * 128 * 4096
    matrices = fused + both + heads + 3 * 4096 * 14336 + 32_000 * 4096
    model = read_model(config, "LlamaForCausalLMEagle3")
    assert model["parameters"].item() == matrices + 4 * 4096 == 424_689_664
    shapes = make_shapes(make_model(config, "LlamaForCausalLMEagle3"), "decode", 1, 128)
    products = op_costs(shapes.filter(kind="linear"), FP16, ELEMENTWISE)
    assert products["flops"].sum() == 2 * matrices
    assert products["weight_bytes"].sum() == 2 * matrices
    with pytest.raises(InputError, match="num_hidden_layers = 2"):
        read_model({**config, "num_hidden_layers": 2}, "LlamaForCausalLMEagle3")


def test_a_draft_of_eagle_1_projects_token_and_hidden_state() -> None:
    config = sizes(4096, 14336, 1, 32, 128_256, num_key_value_heads=8, bias=False)
    matrices = 2 * 4096 * 4096 + 2 * 4096 * (32 + 8) * 128 + 3 * 4096 * 14336
    parameters = read_model(config, "LlamaForCausalLMEagle")["parameters"].item()
    assert parameters == 128_256 * 4096 + matrices + 4096  # no norm before attention, and none at the end


@pytest.mark.parametrize(
    ("architecture", "config", "key"),
    [
        ("ChatGLMModel", {"hidden_size": 4096, "inner_hidden_size": 16384, "num_layers": 28}, "padded_vocab_size"),
        ("MiniCPMForCausalLM", {**SMALL, "sparse_config": {"kernel_size": 32}}, "sparse_config"),
        ("MiniCPMForCausalLM", {**SMALL, "num_experts": 8}, "num_experts = 8"),
        ("QWenLMHeadModel", {**SMALL, "visual": {"width": 1664}}, "visual"),
        ("MptForCausalLM", {"d_model": 256, "n_heads": 8, "n_layers": 4, "vocab_size": 1000, "expansion_ratio": 8},
         "expansion_ratio = 8"),
        ("HeliumForCausalLM", {**SMALL, "head_dim": 64}, "head_dim = 64"),
        ("GPTNeoForCausalLM", {"hidden_size": 256, "num_layers": 4, "num_heads": 8, "vocab_size": 1000},
         "attention_types"),
        ("HunYuanDenseV1ForCausalLM", SMALL, "head_dim"),
        ("NemotronForCausalLM", {**SMALL, "num_key_value_heads": None}, "num_key_value_heads"),
        ("LlamaForCausalLM", {**SMALL, "layer_types": ["linear_attention"] * 4}, "linear_attention"),
        ("LlamaForCausalLM", {**SMALL, "layer_types": ["chunked_attention"] * 4}, "chunked_attention"),
    ],
)  # fmt: skip
def test_what_a_dense_class_does_not_have_is_refused_by_its_key(
    architecture: str, config: dict[str, Any], key: str
) -> None:
    with pytest.raises(InputError, match=key):
        read_model(config, architecture)


@pytest.mark.parametrize(
    ("architecture", "config", "expected"),
    [
        ("Cohere2ForCausalLM", {}, [(3, 4096, 32), (1, None, 0)]),
        ("Olmo3ForCausalLM", {"max_position_embeddings": 65536}, [(3, 4096, 32), (1, None, 32)]),
        ("CwmForCausalLM", {"head_dim": 32}, [(1, None, 32), (3, 8192, 32)]),
        ("SmolLM3ForCausalLM", {}, [(3, None, 32), (1, None, 0)]),
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 0, 0, 1]}, [(2, None, 32), (2, None, 0)]),
        ("Exaone4ForCausalLM", {"sliding_window_pattern": 2, "max_position_embeddings": 65536},
         [(2, 4096, 32), (2, None, 0)]),
        ("Exaone4ForCausalLM", {"sliding_window": None, "layer_types": ["full_attention"] * 4}, [(4, None, 32)]),
        ("GraniteSWAForCausalLM", {"layer_rope_theta": [0, 1e4, 1e4, 1e4]}, [(1, None, 0), (3, 128, 32)]),
        ("GPTNeoForCausalLM", {"num_heads": 8, "num_layers": 4, "attention_types": [[["global", "local"], 2]]},
         [(2, None, 0), (2, 256, 0)]),
        ("GlmForCausalLM", {"head_dim": 32, "rope_parameters": {"partial_rotary_factor": 0.25}}, [(4, None, 8)]),
    ],
)  # fmt: skip
def test_windows_and_rotation_differ_by_layer(
    architecture: str, config: dict[str, Any], expected: list[tuple[int, int | None, int]]
) -> None:
    layers = make_model({**SMALL, **config}, architecture)
    assert layers.select("num_layers", "sliding_window", "rope_head_dim").rows() == expected


@pytest.mark.parametrize(
    ("architecture", "kind", "flops"),
    [("ArceeForCausalLM", "relu2", 2), ("BitNetForCausalLM", "relu2_mul", 3), ("ApertusForCausalLM", "xielu", 6)],
)
def test_each_activation_has_its_cost(architecture: str, kind: str, flops: int) -> None:
    shapes = make_shapes(make_model(SMALL, architecture), "decode", 2, 128).filter(op="activation")
    assert shapes["kind"].item() == kind
    assert op_costs(shapes, FP16, ELEMENTWISE).select(pl.col("flops")).item() == 2 * 512 * flops

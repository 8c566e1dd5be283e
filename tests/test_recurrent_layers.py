"""Recurrent layers, counted by hand from their papers: the weights of a layer of each kind, and the size of its state.

Every config here has few small numbers, no two alike where a formula could mix them up.
"""

from typing import Any

import pytest

from tests.support.models import make_model
from warehouse.errors import InputError

D, V = 64, 1000  # width of the hidden state, and tokens of the vocabulary
TABLES = 2 * V * D  # embedding and lm_head
FFN = 3 * D * 96  # a gated feed-forward of 96
_COMMON: dict[str, Any] = {
    "hidden_size": D,
    "vocab_size": V,
    "num_hidden_layers": 1,
    "intermediate_size": 96,
    "tie_word_embeddings": False,
}
NEMOTRON: dict[str, Any] = {
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "mamba_num_heads": 4, "mamba_head_dim": 24,
    "n_groups": 2, "ssm_state_size": 32, "n_routed_experts": 5, "num_experts_per_tok": 2,
    "moe_intermediate_size": 48, "moe_shared_expert_intermediate_size": 56, "moe_latent_size": 20,
}  # fmt: skip


def _read(architecture: str, **config: Any) -> list[dict[str, Any]]:
    """Return a row for each kind of layer, with what the model has once beside it."""
    return make_model({**_COMMON, **config}, architecture).rows(named=True)


def _state(layer: dict[str, Any]) -> int:
    return int(layer["state_heads"] * layer["state_key_dim"] * layer["state_value_dim"])


def test_a_layer_of_mamba() -> None:
    """Mamba (arXiv 2312.00752), Algorithm 2 and Figure 3: E = 2, so 128 channels, each with N = 16 numbers of state.

    h_t = exp(Δ A) h_(t-1) + Δ B x_t, y_t = C h_t + D x_t, where B, C and Δ (of rank R = 4, then D to every channel) are
    projected from x.
    """
    (layer,) = _read("MambaForCausalLM", intermediate_size=128, state_size=16, conv_kernel=4, time_step_rank=4)
    inner, n, rank = 2 * D, 16, 4
    into, out = D * 2 * inner, inner * D
    convolution = inner * 4 + inner
    selection = inner * (rank + 2 * n) + rank * inner + inner
    a_and_d = inner * n + inner
    assert layer["parameters"] == TABLES + D + (D + into + convolution + selection + a_and_d + out)
    assert _state(layer) == inner * n


def test_a_layer_of_mamba_2() -> None:
    """Mamba-2 (arXiv 2405.21060), section 7: z, x, B, C and Δ from one projection, a scalar A, D and Δ's bias a head.

    The state of a head is P × N: h_t = a_t h_(t-1) + Δ_t x_t B_t^T. B and C are shared by the heads of a group.
    """
    (layer,) = _read(
        "Mamba2ForCausalLM", num_heads=8, head_dim=16, n_groups=2, state_size=32, expand=2, conv_kernel=4,
    )  # fmt: skip
    heads, p, groups, n = 8, 16, 2, 32
    inner, b_and_c = heads * p, 2 * groups * n
    into, out = D * (2 * inner + b_and_c + heads), inner * D
    convolution = (inner + b_and_c) * (4 + 1)
    assert layer["parameters"] == TABLES + D + (D + into + convolution + 3 * heads + inner + out)
    assert _state(layer) == heads * p * n


def test_a_layer_of_gated_delta_net() -> None:
    """Gated DeltaNet (arXiv 2412.06464), equation 10: S_t = S_(t-1) (α_t (I − β_t k_t k_t^T)) + β_t v_t k_t^T.

    With keys of 3/4 D and values twice as wide, q, k, v, the output gate and the output projection are 6 D².
    """
    (layer,) = _read("GatedDeltaNetForCausalLM", num_heads=2, head_dim=24, expand_v=2, hidden_act="swish")
    heads, key, value = 2, 24, 48
    six_squares = 6 * D * D
    a_and_b = 2 * D * heads
    convolution = 4 * (2 * heads * key + heads * value)
    decay, norm = 2 * heads, value
    assert 2 * D * heads * key + 3 * D * heads * value == six_squares
    mixer = six_squares + a_and_b + convolution + decay + norm
    assert layer["parameters"] == TABLES + D + mixer + FFN + 2 * D
    assert _state(layer) == heads * key * value


def test_a_layer_of_gated_delta_net_with_fewer_key_heads() -> None:
    """Qwen3-Next: several value heads share a key head, but each has a state of its own."""
    config = {"linear_num_key_heads": 2, "linear_num_value_heads": 6, "linear_key_head_dim": 8}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    (layer,) = _read(
        "Qwen3NextForCausalLM", num_attention_heads=4, **config, **experts, linear_value_head_dim=16,
        shared_expert_intermediate_size=40, layer_types=["linear_attention"],
    )  # fmt: skip
    keys, values = 2 * 8, 6 * 16
    delta = D * (2 * keys + 2 * values + 2 * 6) + 4 * (2 * keys + values) + 2 * 6 + 16 + values * D
    mixture = 4 * 3 * D * 32 + 4 * D + 3 * D * 40 + D
    assert layer["parameters"] == TABLES + D + delta + mixture + 2 * D
    assert _state(layer) == 6 * 8 * 16


def test_a_layer_of_lightning_attention() -> None:
    """MiniMax-01 (arXiv 2501.08313), section 2.2: q, k, v, an output gate and a norm; the decay of a head is fixed.

    kv_t = λ kv_(t-1) + k_t v_t^T (Lightning Attention-2, arXiv 2401.04658).
    """
    (layer,) = _read(
        "MiniMaxForCausalLM", num_attention_heads=4, head_dim=24, num_local_experts=3,
        layer_types=["linear_attention"],
    )  # fmt: skip
    width = 4 * 24
    lightning = 3 * D * width + D * width + width + width * D
    mixture = 3 * FFN + 3 * D
    assert layer["parameters"] == TABLES + D + lightning + mixture + 2 * D
    assert _state(layer) == 4 * 24 * 24


def test_a_layer_of_kimi_delta_attention() -> None:
    """Kimi Linear (arXiv 2510.26692), equation 1: S_t = (I − β_t k_t k_t^T) Diag(α_t) S_(t-1) + β_t k_t v_t^T.

    The decay α of every channel and the output gate are projections of the rank of a head.
    """
    linear = {"num_heads": 3, "head_dim": 16, "short_conv_kernel_size": 4, "kda_layers": [1], "full_attn_layers": []}
    (layer,) = _read("KimiLinearForCausalLM", num_attention_heads=4, linear_attn_config=linear)
    width, head = 3 * 16, 16
    low_rank = 2 * (D * head + head * width)
    kda = 3 * D * width + 4 * 3 * width + low_rank + D * 3 + width + 3 + head + width * D
    assert layer["parameters"] == TABLES + D + kda + FFN + 2 * D
    assert _state(layer) == 3 * 16 * 16


def test_a_layer_of_rg_lru() -> None:
    """Griffin (arXiv 2402.19427), section 2.4: h_t = a h_(t-1) + sqrt(1 − a²) (i x_t), a = exp(−8 softplus(Λ) r).

    The gates r = σ(W_a x + b_a) and i = σ(W_x x + b_x) are block-diagonal, a block a head; every product has a bias.
    """
    (layer,) = _read(
        "RecurrentGemmaForCausalLM", num_attention_heads=4, lru_width=80, conv1d_width=4,
        intermediate_size=192, block_types=["recurrent"],
    )  # fmt: skip
    width, block = 80, 80 // 4
    branches = 2 * (D * width + width)
    convolution = width * 4 + width
    gates = 2 * (4 * block * block + width)
    recurrence = branches + convolution + gates + width + width * D + D
    assert layer["parameters"] == TABLES + D + recurrence + (FFN + 2 * 96 + D) + 2 * D
    assert _state(layer) == width


def test_a_short_convolution() -> None:
    """LFM2 (arXiv 2511.23404), section 2: B, C and x of the hidden width, y = C · conv(B · x); a window, no state."""
    (layer,) = _read(
        "Lfm2ForCausalLM", num_attention_heads=4, num_key_value_heads=2, conv_L_cache=3,
        layer_types=["conv"], block_auto_adjust_ff_dim=False,
    )  # fmt: skip
    assert layer["parameters"] == TABLES + D + (3 * D * D + 3 * D + D * D) + FFN + 2 * D
    assert (layer["conv_channels"], layer["conv_kernel"], _state(layer)) == (D, 3, 0)


def test_attention_and_mamba_2_side_by_side() -> None:
    """Falcon-H1 (arXiv 2507.22448), section 2: both read the one norm of the layer, and their outputs are added."""
    (layer,) = _read(
        "FalconH1ForCausalLM", num_attention_heads=4, num_key_value_heads=2, mamba_d_ssm=96,
        mamba_n_heads=6, mamba_n_groups=2, mamba_d_state=32, mamba_d_conv=4,
    )  # fmt: skip
    attention = 2 * D * D + 2 * D * 32
    mamba = D * (2 * 96 + 128 + 6) + (96 + 128) * 5 + 3 * 6 + 96 * D
    assert layer["parameters"] == TABLES + D + attention + mamba + FFN + 2 * D
    assert _state(layer) == 6 * 16 * 32
    assert layer["num_kv_heads"] == 2


@pytest.mark.parametrize(
    ("depth", "width", "decay", "value", "gate", "published"),
    [
        (12, 768, 64, 32, 128, 191_034_624),
        (24, 1024, 64, 32, 128, 450_767_872),
        (24, 2048, 96, 64, 256, 1_527_404_544),
        (32, 2560, 96, 64, 320, 2_947_735_040),
    ],
)
def test_rwkv_7_has_the_weights_of_its_paper(
    depth: int, width: int, decay: int, value: int, gate: int, published: int
) -> None:
    """RWKV-7 (arXiv 2503.14456), appendix on numbers of parameters, and its table of released models.

    2 D V + 4 D + L D (12 D + 2 (d_w + d_a + d_v + d_g) + 19) − (2 D d_v + D): the first layer mixes no first value.
    """
    ranks = {"decay_low_rank_dim": decay, "a_low_rank_dim": decay, "v_low_rank_dim": value, "gate_low_rank_dim": gate}
    config = {"hidden_size": width, "num_hidden_layers": depth, "vocab_size": 65_536, "intermediate_size": None}
    layers = _read("RWKV7ForCausalLM", **config, **ranks, head_dim=64, hidden_act="sqrelu")
    of_layers = depth * width * (12 * width + 2 * (2 * decay + value + gate) + 19)
    formula = 2 * width * 65_536 + 4 * width + of_layers - (2 * width * value + width)
    assert layers[0]["parameters"] == formula == published
    assert [layer["num_layers"] for layer in layers] == [1, depth - 1]
    assert {(_state(layer), layer["last_tokens"]) for layer in layers} == {(width * 64, 2)}


def test_layers_of_a_pattern_are_those_of_the_list() -> None:
    """Nemotron-H names its layers by letters or by words, of which transformers has two generations."""
    by_letters = {"hybrid_override_pattern": "M-*E", "num_hidden_layers": 4}
    by_words = {"layers_block_type": ["mamba", "mlp", "attention", "moe"]}
    by_new_words = {"layers_block_type": ["linear_attention", "mlp", "full_attention", "moe"]}
    models = [_read("NemotronHForCausalLM", **NEMOTRON, **layers) for layers in (by_letters, by_words, by_new_words)]
    inner, convolved = 4 * 24, 4 * 24 + 2 * 2 * 32
    mamba = D * (inner + convolved + 4) + convolved * 5 + 3 * 4 + inner + inner * D
    attention = D * 64 + 2 * D * 32 + 64 * D
    dense = 2 * D * 96
    mixture = 5 * 2 * 20 * 48 + 2 * D * 20 + 5 * D + 5 + 2 * D * 56
    expected = TABLES + D + mamba + attention + dense + mixture + 4 * D
    assert [layers[0]["parameters"] for layers in models] == [expected] * 3
    assert [[layer["num_layers"] for layer in layers] for layers in models] == [[1] * 4] * 3


def test_a_draft_of_a_hybrid_model_is_attention_and_experts() -> None:
    """Nemotron 3 Super (arXiv 2512.20856): its MTP layer reads two normed vectors, joined and projected."""
    layers = _read("NemotronHForCausalLM", **NEMOTRON, hybrid_override_pattern="M", num_nextn_predict_layers=1)
    attention = D * 64 + 2 * D * 32 + 64 * D
    mixture = 5 * 2 * 20 * 48 + 2 * D * 20 + 5 * D + 5 + 2 * D * 56
    assert layers[0]["mtp_parameters"] == attention + mixture + 2 * D + 2 * D * D + 3 * D
    assert [layer["is_draft"] for layer in layers] == [False, True]


def test_a_letter_that_no_layer_has_is_refused() -> None:
    with pytest.raises(InputError, match=r'"X": expected one of'):
        _read("NemotronHForCausalLM", **NEMOTRON, hybrid_override_pattern="MX")


def test_minimax_text_01_has_the_weights_of_its_checkpoint() -> None:
    """456 billion (arXiv 2501.08313): seven lightning layers to one of softmax attention, told by 0 and 1."""
    layers = _read(
        "MiniMaxText01ForCausalLM", hidden_size=6144, num_hidden_layers=80, num_attention_heads=64,
        num_key_value_heads=8, head_dim=128, intermediate_size=9216, num_local_experts=32, vocab_size=200_064,
        attn_type_list=[0, 0, 0, 0, 0, 0, 0, 1] * 10,
    )  # fmt: skip
    assert layers[0]["parameters"] == 456_089_655_296
    assert {layer["mixer"]: layer["num_layers"] for layer in layers} == {"linear_attention": 70, "full_attention": 10}

"""Families of models: what their configs state, what they leave out, and what follows for the ops.

To add a family, add its class to `FAMILIES`: the defaults of fields that its configs leave out, the columns that all
its models share, and a function for the columns that depend on the config.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from flows.ingest.document import TEXT_PATTERN, Count, format_value

Layers = Annotated[Count, Field(le=10_000)]
Width = Annotated[Count, Field(le=2**22)]
Heads = Annotated[Count, Field(le=2**16)]
Share = Annotated[float, Field(gt=0, le=1)]

_ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu", "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
}  # fmt: skip


def _alias_field(*names: str, default: Any = None) -> Any:
    """Return a field that configs may call by any of these names."""
    return Field(default=default, validation_alias=AliasChoices(*names))


class Config(BaseModel):
    """The fields of a Hugging Face config that determine shapes; the file may have any others."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    name_or_path: Annotated[str, Field(max_length=400, pattern=TEXT_PATTERN)] | None = _alias_field("_name_or_path")
    hidden_size: Width = _alias_field("hidden_size", "n_embd", default=...)
    num_layers: Layers = _alias_field("num_hidden_layers", "n_layer", default=...)
    num_heads: Heads = _alias_field("num_attention_heads", "n_head", default=...)
    vocab_size: Annotated[Count, Field(le=2**24)]
    intermediate_size: Width | None = _alias_field("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
    num_kv_heads: Heads | None = _alias_field("num_key_value_heads", "num_kv_heads", "n_head_kv")
    head_dim: Heads | None = None
    max_positions: Count | None = _alias_field("max_position_embeddings", "n_positions")
    activation: str | None = _alias_field("hidden_act", "hidden_activation", "activation_function", "activation")
    tie_word_embeddings: bool | None = None
    rotary_share: Share | None = _alias_field("partial_rotary_factor", "rotary_pct")
    attention_bias: bool | None = None
    mlp_bias: bool | None = None
    bias: bool | None = None  # Falcon
    enable_bias: bool | None = None  # OPT
    sliding_window: Count | None = None
    use_sliding_window: bool | None = None
    max_window_layers: Annotated[int, Field(ge=0)] | None = None
    sliding_window_pattern: Count | None = _alias_field("sliding_window_pattern", "_sliding_window_pattern")
    layer_types: list[str] | None = None
    num_experts: Heads | None = _alias_field("num_local_experts", "num_experts", "n_routed_experts")
    experts_per_token: Heads | None = _alias_field("num_experts_per_tok", "experts_per_token")
    expert_intermediate_size: Width | None = _alias_field("moe_intermediate_size")
    shared_expert_intermediate_size: Width | None = None
    num_shared_experts: Annotated[int, Field(ge=0, le=2**16)] | None = _alias_field("n_shared_experts")
    first_dense_layers: Annotated[int, Field(ge=0)] | None = _alias_field("first_k_dense_replace")
    moe_layer_freq: Count | None = _alias_field("moe_layer_freq", "decoder_sparse_step")
    mlp_only_layers: list[int] | None = None
    q_lora_rank: Width | None = None
    kv_lora_rank: Width | None = None
    qk_nope_head_dim: Heads | None = None
    qk_rope_head_dim: Heads | None = None
    v_head_dim: Heads | None = None
    multi_query: bool | None = None
    new_decoder_architecture: bool | None = None
    parallel_attn: bool | None = None
    alibi: bool | None = None
    word_embed_proj_dim: Width | None = None
    do_layer_norm_before: bool | None = None

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        if self.head_dim is None and self.qk_nope_head_dim is None and self.hidden_size % self.num_heads:
            raise ValueError("num_attention_heads to divide hidden_size")
        if self.num_heads % (self.num_kv_heads or self.num_heads):
            raise ValueError("num_key_value_heads to divide num_attention_heads")
        if self.activation is not None and self.activation not in _ACTIVATIONS:
            raise ValueError(f"one of {', '.join(_ACTIVATIONS)} as hidden_act, not {format_value(self.activation)}")
        if self.layer_types is not None and len(self.layer_types) != self.num_layers:
            raise ValueError(f"layer_types for each of {self.num_layers} layers, not {len(self.layer_types)}")
        if self.num_experts is not None and not 1 <= (self.experts_per_token or 0) <= self.num_experts:
            raise ValueError(f"num_experts_per_tok from 1 to {self.num_experts}")
        if (self.first_dense_layers or 0) > self.num_layers:
            raise ValueError("first_k_dense_replace within num_hidden_layers")
        return self


@dataclass(frozen=True)
class Family:
    """What the models of a class share."""

    section: str | None = None  # section of the config that describes the text model
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of fields that a config leaves out
    traits: Mapping[str, Any] = field(default_factory=dict)  # columns of core.model
    find_columns: Callable[[Config], Mapping[str, Any]] = lambda _: {}  # those that depend on the config


def describe_model(config: Config, family: Family) -> dict[str, Any]:
    """Return the columns of core.model that follow from a config: all but names and numbers of weights.

    Raises
    ------
    ValueError
        The config lacks a field that the family needs. The message says what was expected.
    """
    head_dim = config.head_dim or config.hidden_size // config.num_heads
    row: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "num_kv_heads": config.num_kv_heads or config.num_heads,
        "head_dim": head_dim,
        "value_head_dim": head_dim,
        "vocab_size": config.vocab_size,
        "num_experts": None,
        "experts_per_token": None,
        "expert_intermediate_size": None,
        "shared_intermediate_size": None,
        "num_moe_layers": 0,
        "q_lora_rank": None,
        "kv_lora_rank": None,
        "rope_head_dim": int(head_dim * (config.rotary_share or 1)),
        "sliding_window": None,
        "num_local_layers": 0,
        "is_gated": True,
        "activation": config.activation or "silu",
        "norm_kind": "rms_norm",
        "norms_per_layer": 2,
        "has_qk_norm": False,
        "qkv_bias": bool(config.attention_bias),
        "output_bias": bool(config.attention_bias),
        "mlp_bias": bool(config.mlp_bias),
        "router_bias": False,
        "tied_embeddings": bool(config.tie_word_embeddings),
        "other_parameters": 0,
        **family.traits,
        **_window_columns(config),
        **family.find_columns(config),
    }
    if row["intermediate_size"] is None:
        raise ValueError("an intermediate_size")
    activation = _ACTIVATIONS[row.pop("activation")]
    return {**row, "activation_kind": f"{activation}_mul" if row["is_gated"] else activation}


def _window_columns(config: Config) -> dict[str, Any]:
    """Return the sliding window of the layers that the config lists; by default of all."""
    local = config.num_layers if config.layer_types is None else config.layer_types.count("sliding_attention")
    if config.sliding_window is None or config.use_sliding_window is False or local == 0:
        return {}
    return {"sliding_window": config.sliding_window, "num_local_layers": local}


def _alternate_windows(pattern: int) -> Callable[[Config], dict[str, Any]]:
    """Return a function for models in which every layer has a window, except each `pattern`-th."""

    def find_columns(config: Config) -> dict[str, Any]:
        if config.sliding_window is None or config.layer_types is not None:
            return {}
        step = config.sliding_window_pattern or pattern
        return {"num_local_layers": config.num_layers - config.num_layers // step}

    return find_columns


def _late_window_columns(config: Config) -> dict[str, Any]:
    """Qwen: if windows are switched on, layers from max_window_layers on have one."""
    if not config.use_sliding_window or config.layer_types is not None:
        return {} if config.layer_types is not None else {"sliding_window": None, "num_local_layers": 0}
    local = max(config.num_layers - (config.max_window_layers or 0), 0)
    return {"num_local_layers": local, "sliding_window": config.sliding_window if local else None}


def _moe_columns(config: Config) -> dict[str, Any]:
    """MoE in every layer; experts have their own width if the config states one."""
    width = config.expert_intermediate_size or config.intermediate_size
    if config.num_experts is None or width is None:
        raise ValueError("num_experts, num_experts_per_tok and the width of an expert")
    return {
        "num_experts": config.num_experts,
        "experts_per_token": config.experts_per_token,
        "expert_intermediate_size": width,
        "intermediate_size": config.intermediate_size or width,
        "num_moe_layers": config.num_layers,
    }


def _qwen_moe_columns(config: Config) -> dict[str, Any]:
    """MoE in each decoder_sparse_step-th layer, except mlp_only_layers; a shared expert has a gate."""
    step = config.moe_layer_freq or 1
    sparse = {layer for layer in range(config.num_layers) if (layer + 1) % step == 0}
    layers = len(sparse - set(config.mlp_only_layers or []))
    shared = config.shared_expert_intermediate_size
    return {
        **_moe_columns(config),
        **_late_window_columns(config),
        "num_moe_layers": layers,
        "shared_intermediate_size": shared,
        "other_parameters": layers * config.hidden_size if shared else 0,
    }


def _deepseek_columns(has_router_correction: bool) -> Callable[[Config], dict[str, Any]]:
    """Latent attention; the first layers are dense; shared experts in addition to the routed ones."""

    def find_columns(config: Config) -> dict[str, Any]:
        rank, rope, plain, value = (
            config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim, config.v_head_dim,
        )  # fmt: skip
        if rank is None or rope is None or plain is None or value is None:
            raise ValueError("kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim and v_head_dim")
        mixture = _moe_columns(config)
        dense = config.first_dense_layers or 0
        step = config.moe_layer_freq or 1
        layers = len([layer for layer in range(dense, config.num_layers) if layer % step == 0])
        shared = (config.num_shared_experts or 0) * int(mixture["expert_intermediate_size"])
        return {
            **mixture,
            "num_moe_layers": layers,
            "num_kv_heads": config.num_heads,
            "head_dim": plain + rope,
            "value_head_dim": value,
            "rope_head_dim": rope,
            "kv_lora_rank": rank,
            "q_lora_rank": config.q_lora_rank,
            "shared_intermediate_size": shared or None,
            "other_parameters": layers * int(mixture["num_experts"]) if has_router_correction else 0,
        }

    return find_columns


def _gpt_oss_columns(config: Config) -> dict[str, Any]:
    """Every other layer has a window; each head has an attention sink."""
    return {
        **_moe_columns(config),
        **_alternate_windows(2)(config),
        "other_parameters": config.num_layers * config.num_heads,
    }


def _gpt2_columns(config: Config) -> dict[str, Any]:
    return {
        "intermediate_size": config.intermediate_size or 4 * config.hidden_size,
        "other_parameters": (config.max_positions or 1024) * config.hidden_size,
    }


def _opt_columns(config: Config) -> dict[str, Any]:
    if config.do_layer_norm_before is False or config.word_embed_proj_dim not in {None, config.hidden_size}:
        raise ValueError(
            "do_layer_norm_before, and word_embed_proj_dim equal to hidden_size (OPT 350M is not supported)"
        )
    has_bias = config.enable_bias is not False
    return {
        **dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), has_bias),
        "other_parameters": ((config.max_positions or 2048) + 2) * config.hidden_size,
    }


def _gpt_neox_columns(config: Config) -> dict[str, Any]:
    has_bias = config.attention_bias is not False
    return {"qkv_bias": has_bias, "output_bias": has_bias, "mlp_bias": True}


def _falcon_columns(config: Config) -> dict[str, Any]:
    """One norm per layer if attention and feed-forward run in parallel; the new architecture has two."""
    is_new = bool(config.new_decoder_architecture)
    is_parallel = config.parallel_attn is not False
    kv_heads = config.num_kv_heads if is_new else 1 if config.multi_query is not False else None
    return {
        "num_kv_heads": kv_heads or config.num_heads,
        "intermediate_size": config.intermediate_size or 4 * config.hidden_size,
        "norms_per_layer": 1 if is_parallel and not is_new else 2,
        **dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), bool(config.bias)),
        **({"rope_head_dim": 0} if config.alibi else {}),
    }


_LAYER_NORM = {"norm_kind": "layer_norm", "is_gated": False}
_BIASED = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}
_GEMMA = {"tie_word_embeddings": True, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh"}
_GEMMA_3 = {**_GEMMA, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262_208, "sliding_window": 4096}
_FALCON = Family(
    defaults={"activation": "gelu", "tie_word_embeddings": True}, traits=_LAYER_NORM, find_columns=_falcon_columns
)

FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(),
    "MistralForCausalLM": Family(defaults={"sliding_window": 4096, "num_key_value_heads": 8}),
    "MixtralForCausalLM": Family(find_columns=_moe_columns),
    "Qwen2ForCausalLM": Family(traits={"qkv_bias": True, "output_bias": False}, find_columns=_late_window_columns),
    "Qwen2MoeForCausalLM": Family(traits={"qkv_bias": True, "output_bias": False}, find_columns=_qwen_moe_columns),
    "Qwen3ForCausalLM": Family(
        defaults={"head_dim": 128}, traits={"has_qk_norm": True}, find_columns=_late_window_columns
    ),
    "Qwen3MoeForCausalLM": Family(
        defaults={"head_dim": 128}, traits={"has_qk_norm": True}, find_columns=_qwen_moe_columns
    ),
    "GemmaForCausalLM": Family(defaults=_GEMMA),
    "Gemma2ForCausalLM": Family(
        defaults={**_GEMMA, "sliding_window": 4096}, traits={"norms_per_layer": 4}, find_columns=_alternate_windows(2)
    ),
    "Gemma3ForCausalLM": Family(
        defaults={**_GEMMA_3, "vocab_size": 262_144},
        traits={"norms_per_layer": 4, "has_qk_norm": True},
        find_columns=_alternate_windows(6),
    ),
    "Gemma3ForConditionalGeneration": Family(
        section="text_config",
        defaults=_GEMMA_3,
        traits={"norms_per_layer": 4, "has_qk_norm": True},
        find_columns=_alternate_windows(6),
    ),
    "Phi3ForCausalLM": Family(),
    "GPT2LMHeadModel": Family(
        defaults={"activation_function": "gelu_new", "tie_word_embeddings": True},
        traits={**_LAYER_NORM, **_BIASED, "rope_head_dim": 0},
        find_columns=_gpt2_columns,
    ),
    "OPTForCausalLM": Family(
        defaults={"activation_function": "relu", "tie_word_embeddings": True},
        traits={**_LAYER_NORM, "rope_head_dim": 0},
        find_columns=_opt_columns,
    ),
    "GPTNeoXForCausalLM": Family(
        defaults={"hidden_act": "gelu", "rotary_pct": 0.25}, traits=_LAYER_NORM, find_columns=_gpt_neox_columns
    ),
    "FalconForCausalLM": _FALCON,
    "RWForCausalLM": _FALCON,
    "DeepseekV2ForCausalLM": Family(
        defaults={"q_lora_rank": 1536}, find_columns=_deepseek_columns(has_router_correction=False)
    ),
    "DeepseekV3ForCausalLM": Family(
        defaults={"q_lora_rank": 1536}, find_columns=_deepseek_columns(has_router_correction=True)
    ),
    "GptOssForCausalLM": Family(
        defaults={"head_dim": 64, "sliding_window": 128},
        traits={**_BIASED, "router_bias": True},
        find_columns=_gpt_oss_columns,
    ),
}

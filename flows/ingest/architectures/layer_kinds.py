"""The kinds of mixers and feed-forwards that a layer can have, and the fields of each.

A file of an architecture gives the fields; `flows/intensity` knows what each kind costs.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.ingest.document import Count, Document

Width = Annotated[Count, Field(le=2**24)]
Heads = Annotated[Count, Field(le=2**16)]
Size = Annotated[int, Field(ge=0, le=2**24)]  # 0: none
Weights = Annotated[int, Field(ge=0, le=2**53)]
Norm = Literal["rms_norm", "layer_norm"]
Rule = Literal["mamba-1", "mamba-2", "gated-delta", "lightning", "kda", "rg-lru", "rwkv-7", "convolution"]

# What configs call an activation -> what the cost model calls it.
ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "swiglu": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu",
    "gelu_fast": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_python": "gelu", "quick_gelu": "gelu", "relu2": "relu2",
    "relu_squared": "relu2", "xielu": "xielu",
}  # fmt: skip
_UNGATED = {"xielu"}


class Attention(Document):
    """Queries against the keys and values of a cache: MHA, GQA or MQA."""

    heads: Heads
    kv_heads: Heads | None = None
    head_dim: Heads
    value_head_dim: Heads | None = None
    rope_dim: Annotated[int, Field(ge=0, le=2**16)] | None = None
    window: Count | None = None
    chunk: Count | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: Literal["none", "head", "width"] = "none"
    qk_norm_weights: Annotated[int, Field(ge=0, le=2)] = 1
    gate_size: Size = 0
    sinks: bool = False
    shares_kv: bool = False
    keys_are_values: bool = False
    inner_norm: bool = False

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"key and value heads that divide {self.heads} query heads, not {self.kv_heads}")
        if self.rope_dim is not None and self.rope_dim > self.head_dim:
            raise ValueError(f"rope_dim: at most {self.head_dim} rotated dimensions of a head, not {self.rope_dim}")
        return self

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "num_heads": self.heads,
            "num_kv_heads": self.kv_heads or self.heads,
            "head_dim": self.head_dim,
            "value_head_dim": self.value_head_dim or self.head_dim,
            "rope_head_dim": self.head_dim if self.rope_dim is None else self.rope_dim,
            "is_rotary": self.rope_dim != 0,
            "sliding_window": self.window,
            "attention_chunk": self.chunk,
            "qkv_bias": self.qkv_bias,
            "output_bias": self.output_bias,
            "qk_norm": self.qk_norm,
            "qk_norm_weights": self.qk_norm_weights,
            "attention_gate_size": self.gate_size,
            "has_sinks": self.sinks,
            "shares_kv": self.shares_kv,
            "keys_are_values": self.keys_are_values,
            "has_inner_norm": self.inner_norm,
        }


class Latent(Document):
    """Multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434)."""

    heads: Heads
    q_rank: Width | None = None
    kv_rank: Width
    plain_dim: Heads
    rope_dim: Annotated[int, Field(ge=0, le=2**16)]
    value_dim: Heads
    rotary: bool = True
    window: Count | None = None
    bias: bool = False
    output_bias: bool = False
    gate_size: Size = 0
    sinks: bool = False
    shares_kv: bool = False

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "num_heads": self.heads,
            "num_kv_heads": self.heads,
            "head_dim": self.plain_dim + self.rope_dim,
            "value_head_dim": self.value_dim,
            "rope_head_dim": self.rope_dim,
            "is_rotary": self.rotary,
            "sliding_window": self.window,
            "attention_gate_size": self.gate_size,
            "has_sinks": self.sinks,
            "shares_kv": self.shares_kv,
            "q_lora_rank": self.q_rank,
            "kv_lora_rank": self.kv_rank,
            "qkv_bias": self.bias,
            "output_bias": self.output_bias,
        }


class Indexer(Document):
    """The indexer of sparse attention: scores the whole context, of which attention sees the best (DeepSeek V3.2)."""

    heads: Heads
    head_dim: Heads
    top_k: Count
    from_latent: bool = True
    shared: bool = False
    weighted: bool = True

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "index_heads": self.heads,
            "index_head_dim": self.head_dim,
            "index_top_k": self.top_k,
            "index_from_latent": self.from_latent,
            "index_is_shared": self.shared,
            "index_is_weighted": self.weighted,
        }


class Compressed(Document):
    """Attention to a window and, behind it, to compressed keys: one for `ratio` tokens (DeepSeek-AI 2026, DeepSeek-V4).

    A key is also the value, and all heads share it. With an indexer, attention sees the best of the compressed keys.
    """

    heads: Heads
    head_dim: Heads
    rope_dim: Annotated[int, Field(ge=0, le=2**16)]
    q_rank: Width
    out_groups: Heads
    out_rank: Width
    window: Count
    ratio: Size = 0
    overlap: bool = False
    index_heads: Annotated[int, Field(ge=0, le=2**16)] = 0
    index_dim: Annotated[int, Field(ge=0, le=2**16)] = 0
    top_k: Count | None = None

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        if self.rope_dim > self.head_dim:
            raise ValueError(f"rope_dim: at most {self.head_dim} rotated dimensions of a head, not {self.rope_dim}")
        if self.heads * self.head_dim % self.out_groups:
            width = self.heads * self.head_dim
            raise ValueError(f"out_groups: groups that divide {width} columns of all heads, not {self.out_groups}")
        indexer = (self.index_heads > 0, self.index_dim > 0, self.top_k is not None)
        if any(indexer) and not (all(indexer) and self.ratio):
            raise ValueError("an indexer of compressed keys with heads, their size and what it leaves, or none")
        return self

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "num_heads": self.heads,
            "num_kv_heads": 1,
            "head_dim": self.head_dim,
            "value_head_dim": self.head_dim,
            "rope_head_dim": self.rope_dim,
            "is_rotary": self.rope_dim > 0,
            "sliding_window": self.window,
            "has_sinks": True,
            "shares_kv": False,
            "q_lora_rank": self.q_rank,
            "out_groups": self.out_groups,
            "out_lora_rank": self.out_rank,
            "compression_ratio": self.ratio,
            "compression_overlaps": self.overlap,
            "index_heads": self.index_heads or None,
            "index_head_dim": self.index_dim or None,
            "index_top_k": self.top_k,
            "index_from_latent": True if self.index_heads else None,
            "index_is_shared": False if self.index_heads else None,
            "index_is_weighted": True if self.index_heads else None,
        }


class Recurrent(Document):
    """Linear attention, a state-space model or a short convolution: a state of fixed size, which each token updates."""

    rule: Rule
    heads: Width
    key_heads: Width | None = None
    key_dim: Size
    value_dim: Width
    in_size: Width
    in_bias: bool = False
    out_bias: bool = False
    conv_channels: Size = 0
    conv_kernel: Size = 0
    conv_bias: bool = False
    select_size: Size = 0
    select_rank: Size = 0
    select_bias: bool = True
    gate_rank: Size = 0
    gate_size: Size = 0
    gate_blocks: Size = 0
    norm_size: Size = 0
    chunk: Count | None = None
    last_tokens: Annotated[int, Field(ge=0, le=8)] = 0
    state_bits: Literal[8, 16, 32] = 32

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        if self.heads % (self.key_heads or self.heads):
            raise ValueError(f"key heads that divide {self.heads} heads of the state, not {self.key_heads}")
        return self

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "recurrence": self.rule,
            "state_heads": self.heads,
            "state_key_heads": self.key_heads or self.heads,
            "state_key_dim": self.key_dim,
            "state_value_dim": self.value_dim,
            "recurrent_in_size": self.in_size,
            "recurrent_in_bias": self.in_bias,
            "recurrent_out_bias": self.out_bias,
            "conv_channels": self.conv_channels,
            "conv_kernel": self.conv_kernel,
            "conv_bias": self.conv_bias,
            "select_size": self.select_size,
            "select_rank": self.select_rank,
            "select_bias": self.select_bias,
            "gate_rank": self.gate_rank,
            "gate_size": self.gate_size,
            "gate_blocks": self.gate_blocks,
            "recurrent_norm_size": self.norm_size,
            "recurrence_chunk": self.chunk,
            "last_tokens": self.last_tokens,
            "state_bits": self.state_bits,
        }


class _WithActivation(Document):
    gated: bool = True
    activation: str
    bias: bool = False

    @model_validator(mode="after")
    def _refuse_unknown_activation(self) -> Self:
        known = [word for word, kind in ACTIVATIONS.items() if not (self.gated and kind in _UNGATED)]
        if self.activation not in known:
            raise ValueError(f"activation: one of {', '.join(known)}")
        return self

    @property
    def activation_kind(self) -> str:
        kind = ACTIVATIONS[self.activation]
        return f"{kind}_mul" if self.gated else kind


class Dense(_WithActivation):
    """A feed-forward that every token passes through."""

    size: Width
    inner_norm: bool = False

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "intermediate_size": self.size,
            "is_gated": self.gated,
            "activation_kind": self.activation_kind,
            "mlp_bias": self.bias,
            "has_mlp_norm": self.inner_norm,
        }


class Moe(_WithActivation):
    """A mixture of experts: a router sends each token to some of them."""

    experts: Heads
    chosen: Heads
    size: Width
    router_bias: bool = False
    router_correction: bool = False
    zero_experts: Annotated[int, Field(ge=0, le=2**16)] = 0
    shared_size: Size = 0
    shared_gate: bool = False
    latent_size: Size = 0

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        if self.chosen > self.experts + self.zero_experts:
            raise ValueError(f"at most {self.experts + self.zero_experts} experts a token, not {self.chosen}")
        return self

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {
            "num_experts": self.experts,
            "experts_per_token": self.chosen,
            "expert_intermediate_size": self.size,
            "expert_is_gated": self.gated,
            "expert_activation_kind": self.activation_kind,
            "expert_bias": self.bias,
            "router_bias": self.router_bias,
            "router_correction": self.router_correction,
            "zero_experts": self.zero_experts,
            "shared_intermediate_size": self.shared_size or None,
            "shared_gate": self.shared_gate,
            "expert_latent_size": self.latent_size,
        }


class PerLayerEmbedding(Document):
    """An embedding of the token for each layer, gated by the hidden state (Gemma 3n)."""

    size: Width

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {"per_layer_size": self.size}


class LowRank(Document):
    """A product of low rank beside a layer (the learned augmented residual of Gemma 3n)."""

    rank: Width

    def columns(self) -> dict[str, Any]:
        """Return the columns of core.layer_group that the kind fills."""
        return {"low_rank": self.rank}


Kind = Attention | Latent | Indexer | Compressed | Recurrent | Dense | Moe | PerLayerEmbedding | LowRank
MIXERS: dict[str, type[Kind]] = {
    "attention": Attention, "latent": Latent, "indexer": Indexer, "compressed": Compressed, "recurrent": Recurrent,
}  # fmt: skip
FEED_FORWARDS: dict[str, type[Kind]] = {
    "dense": Dense, "moe": Moe, "per_layer_embedding": PerLayerEmbedding, "low_rank": LowRank,
}  # fmt: skip


class ModelFields(Document):
    """What a model has once."""

    hidden_size: Width
    vocab_size: Annotated[Count, Field(le=2**24)]
    layers: Annotated[Count, Field(le=10_000)]
    tied_embeddings: bool
    max_positions: Count | None = None
    norm: Norm
    norm_weights: Annotated[int, Field(ge=0, le=2)] | None = None
    final_norm: bool = True
    embedding_size: Width | None = None
    embedding_norm: bool = False
    learned_positions: Size = 0
    lm_head_bias: bool = False
    per_layer_embedding_size: Size = 0
    per_layer_vocab_size: Annotated[int, Field(ge=0, le=2**24)] = 0
    other_parameters: Weights = 0


class LayerFields(Document):
    """What a mixer or a feed-forward has beside its kinds."""

    norms: Annotated[int, Field(ge=0, le=8)] = 1
    other_parameters: Weights = 0

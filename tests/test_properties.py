"""What must hold of the ops of any model at any setting, in work and in bytes."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.intensity.costs import op_costs
from tests.support.models import DENSE, ELEMENTWISE, FP16, LATENT, MIXTURE, make_model, make_shapes

FAMILIES = {"LlamaForCausalLM": DENSE, "MixtralForCausalLM": MIXTURE, "DeepseekV3ForCausalLM": LATENT}
PARTS = ["flops", "weight_bytes", "activation_bytes", "kv_bytes", "bytes"]

phases = st.sampled_from(["prefill", "decode", "speculative"])
conventions = st.sampled_from(["paper", "engine"])
architectures = st.sampled_from(sorted(FAMILIES))
batches, contexts = st.integers(1, 300), st.integers(1, 5000)
widths = st.integers(1, 40).map(lambda n: 16 * n)
few = settings(max_examples=10, deadline=None)


def add_costs(shapes: pl.DataFrame) -> pl.DataFrame:
    """Shape and cost of each op."""
    return shapes.join(op_costs(shapes, FP16, ELEMENTWISE), on="shape_id", how="inner", maintain_order="left")


def sum_costs(shapes: pl.DataFrame, *columns: str) -> tuple[float, ...]:
    """Work and bytes of a step."""
    return add_costs(shapes).select(pl.col(columns or PARTS) * pl.col("repeat")).sum().row(0)


def make_dense(h: int, i: int, heads: int, kv_heads: int, layers: int = 2) -> dict[str, Any]:
    named = {"hidden_size": h, "intermediate_size": i, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    return {**DENSE, **named, "num_hidden_layers": layers}


@few
@given(architecture=architectures, convention=conventions, phase=phases, b=batches, s=contexts)
def test_every_op_has_work_or_bytes_that_add_up(architecture: str, convention: str, phase: str, b: int, s: int) -> None:
    found = add_costs(make_shapes(make_model(FAMILIES[architecture], architecture), phase, b, s, convention=convention))
    assert len(found) == len(
        make_shapes(make_model(FAMILIES[architecture], architecture), phase, b, s, convention=convention)
    )
    assert found.select((pl.col("bytes") > 0).all() & (pl.col("flops") >= 0).all()).item()
    assert found.filter(pl.col("flops") == 0)["op"].to_list() in ([], ["embedding"])
    assert (found["weight_bytes"] + found["activation_bytes"] + found["kv_bytes"]).to_list() == pytest.approx(
        found["bytes"].to_list(), rel=1e-12
    )


@few
@given(
    architecture=architectures,
    convention=conventions,
    phase=phases,
    b=batches,
    s=contexts,
    grown=st.sampled_from(["batch", "context"]),
)
def test_a_step_grows_with_batch_and_context(
    architecture: str, convention: str, phase: str, b: int, s: int, grown: str
) -> None:
    one = make_model(FAMILIES[architecture], architecture)
    before = sum_costs(make_shapes(one, phase, b, s, convention=convention), "flops", "bytes")
    more = (b + 1, s) if grown == "batch" else (b, s + 1)
    after = sum_costs(make_shapes(one, phase, *more, convention=convention), "flops", "bytes")
    assert all(y > x for x, y in zip(before, after, strict=True))


@few
@given(
    architecture=architectures,
    convention=conventions,
    phase=phases,
    field=st.sampled_from(["hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"]),
)
def test_a_step_grows_with_the_model(architecture: str, convention: str, phase: str, field: str) -> None:
    small = FAMILIES[architecture]
    large = {**small, field: small[field] + 64}
    before, after = (
        sum_costs(make_shapes(make_model(each, architecture), phase, 4, 100, convention=convention), "flops", "bytes")
        for each in (small, large)
    )
    assert all(y > x for x, y in zip(before, after, strict=True))


@few
@given(h=widths, i=widths, heads=st.sampled_from([1, 2, 4, 8]), phase=phases, b=batches, s=contexts)
def test_fused_products_never_move_more(h: int, i: int, heads: int, phase: str, b: int, s: int) -> None:
    one = make_model(make_dense(h, i, heads, heads))
    products = ["qkv mlp", "out", "up/gate/down", "lm_head"]
    unfused, fused = (
        sum_costs(
            make_shapes(one, phase, b, s, convention=each).filter(pl.col("op_group").is_in(products)), "flops", "bytes"
        )
        for each in ("paper", "engine")
    )
    assert fused[0] == unfused[0]
    assert fused[1] <= unfused[1]


@few
@given(heads=st.sampled_from([1, 2, 4, 8]), phase=phases, b=batches, s=contexts)
def test_fused_attention_never_moves_more_nor_works_more(heads: int, phase: str, b: int, s: int) -> None:
    one = make_model(make_dense(256, 512, 8, heads))
    unfused = sum_costs(make_shapes(one, phase, b, s, convention="paper").filter(op_group="qk/pv"), "flops", "bytes")
    fused = sum_costs(make_shapes(one, phase, b, s, convention="engine").filter(op_group="attention"), "flops", "bytes")
    assert fused[0] <= unfused[0] * (1 + 1e-12)
    assert fused[1] <= unfused[1]
    if phase == "decode":  # a prompt and candidates are causal
        assert fused[0] == unfused[0]


SPLIT = ["qkv mlp", "qk/pv", "attention", "out", "up/gate/down", "lm_head"]


@few
@given(t=st.sampled_from([2, 4, 8]), convention=conventions, phase=phases, b=batches, s=contexts, mixed=st.booleans())
def test_shards_sum_to_the_whole(t: int, convention: str, phase: str, b: int, s: int, mixed: bool) -> None:
    """What is split even adds up in work, in weights and in cache; routers, norms and latents are not split."""
    architecture = "MixtralForCausalLM" if mixed else "LlamaForCausalLM"
    one = make_model(FAMILIES[architecture], architecture)
    whole, shard = (make_shapes(one, phase, b, s, convention=convention, t=each) for each in (1, t))
    mine, ours = (
        sum_costs(shapes.filter(pl.col("op_group").is_in(SPLIT)), "flops", "weight_bytes", "kv_bytes")
        for shapes in (shard, whole)
    )
    assert [t * part for part in mine] == pytest.approx(list(ours), rel=1e-12)


@few
@given(phase=phases, convention=conventions, b=batches, s=contexts)
def test_as_many_key_heads_as_heads_is_plain_attention(phase: str, convention: str, b: int, s: int) -> None:
    unsaid = {name: value for name, value in DENSE.items() if name != "num_key_value_heads"}
    grouped, plain = (make_model({**each, "head_dim": 32}) for each in (DENSE, unsaid))
    assert sum_costs(make_shapes(grouped, phase, b, s, convention=convention)) == sum_costs(
        make_shapes(plain, phase, b, s, convention=convention)
    )


@few
@given(phase=phases, convention=conventions, b=batches, s=contexts)
def test_a_mixture_of_one_expert_is_dense(phase: str, convention: str, b: int, s: int) -> None:
    one = make_model({**DENSE, "num_local_experts": 1, "num_experts_per_tok": 1}, "MixtralForCausalLM")
    groups = ["router", "elementwise"]  # what a mixture has beside the products of its experts
    mixture, plain = (
        sum_costs(make_shapes(each, phase, b, s, convention=convention).filter(~pl.col("op_group").is_in(groups)))
        for each in (one, make_model(DENSE))
    )
    assert mixture == pytest.approx(plain, rel=1e-12)


@few
@given(architecture=architectures, convention=conventions, b=batches, s=contexts)
def test_speculation_with_one_candidate_is_decode(architecture: str, convention: str, b: int, s: int) -> None:
    one = make_model(FAMILIES[architecture], architecture)
    assert sum_costs(make_shapes(one, "speculative", b, s, convention=convention, q=1)) == sum_costs(
        make_shapes(one, "decode", b, s, convention=convention)
    )


@few
@given(b=batches, s=contexts)
def test_absorbed_attention_reads_less_than_expanded(b: int, s: int) -> None:
    """The latent of all heads together is smaller than the keys and values of one each."""
    latent = make_model(LATENT, "DeepseekV3ForCausalLM")
    (cache,) = sum_costs(make_shapes(latent, "decode", b, s).filter(op_group="attention"), "kv_bytes")
    assert cache == 4 * b * s * (64 + 16) * 2

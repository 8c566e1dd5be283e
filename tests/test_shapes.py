"""Which ops there are at a setting, their dimensions, and the hash that names them."""

import polars as pl
import pytest

from flows.intensity.conventions import CONVENTIONS
from flows.intensity.shapes import add_shape_id, expand_settings, model_shards, op_shapes
from tests.support.models import DENSE, GEMMA, LATENT, MIXTURE, make_model, make_shapes, make_workload

LLAMA_3_8B = {
    **DENSE, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256,
}  # fmt: skip
GQA = make_model(LLAMA_3_8B, name="gqa")


def sizes(shapes: pl.DataFrame, op: str, *columns: str) -> tuple[object, ...]:
    return shapes.filter(op=op).select(*(columns or ("m", "k", "n", "repeat"))).row(0)


def test_every_combination_of_a_workload_is_a_setting() -> None:
    settings = expand_settings(make_workload(), ["gqa"])
    counts = dict(settings.group_by("phase").len().iter_rows())
    assert counts == {"prefill": 4, "decode": 4, "speculative": 8}
    assert settings.filter(phase="prefill").select((pl.col("query_length") == pl.col("sequence_length")).all()).item()
    assert settings.filter(phase="decode")["query_length"].unique().to_list() == [1]
    assert settings.filter(phase="speculative")["query_length"].unique().sort().to_list() == [16, 32]


def test_workloads_that_overlap_share_settings_and_join_precisions() -> None:
    both = pl.concat([make_workload(), make_workload(workload_id="v", precisions=["bf16", "fp16"])])
    settings = expand_settings(both, ["gqa"])
    assert len(settings) == len(expand_settings(make_workload(), ["gqa"]))
    assert set(settings["precisions"][0]) == {"fp16", "bf16"}


def test_a_workload_can_name_its_models() -> None:
    assert expand_settings(make_workload(models=["gqa"]), ["gqa", "other"])["model_id"].unique().to_list() == ["gqa"]
    assert set(expand_settings(make_workload(), ["gqa", "other"])["model_id"]) == {"gqa", "other"}


@pytest.mark.parametrize(
    ("op", "phase", "m", "k", "n", "repeat"),
    [
        ("q_proj", "prefill", 2 * 128, 4096, 4096, 32),
        ("k_proj", "decode", 2, 4096, 1024, 32),
        ("v_proj", "speculative", 2 * 16, 4096, 1024, 32),
        ("down_proj", "decode", 2, 14336, 4096, 32),
        ("lm_head", "prefill", 2, 4096, 128256, 1),
        ("lm_head", "speculative", 2 * 16, 4096, 128256, 1),
        ("qk", "decode", 1, 128, 128, 32),
        ("pv", "prefill", 128, 128, 128, 32),
    ],
)
def test_dimensions(op: str, phase: str, m: int, k: int, n: int, repeat: int) -> None:
    assert sizes(make_shapes(GQA, phase, 2, 128, convention="paper", q=16), op) == (m, k, n, repeat)


def test_an_engine_fuses_products_and_runs_everything_else() -> None:
    shapes = make_shapes(GQA, "prefill", 2, 128)
    assert sizes(shapes, "qkv_proj") == (256, 4096, 4096 + 2 * 1024, 32)
    assert sizes(shapes, "gate_up_proj") == (256, 4096, 2 * 14336, 32)
    assert sizes(shapes, "rope", "m", "n", "repeat") == (256 * (32 + 8), 128, 32)
    assert sizes(shapes, "activation", "kind", "m", "n") == ("silu_mul", 256, 14336)
    assert sizes(shapes, "attention", "heads", "kv_heads", "attended_tokens", "cached_tokens") == (
        32,
        8,
        64.5,
        128,
    )
    assert set(shapes["op"]) == {
        "embedding", "attn_norm", "qkv_proj", "rope", "attention", "o_proj", "attn_add", "mlp_norm", "gate_up_proj",
        "activation", "down_proj", "mlp_add", "final_norm", "lm_head",
    }  # fmt: skip
    assert make_shapes(GQA, "decode", 2, 128).filter(op="attention")["attended_tokens"].item() == 128


def test_attention_keeps_the_heads_of_grouped_queries() -> None:
    shapes = op_shapes(GQA, make_workload())
    heads = shapes.filter(op_group="qk/pv").select("heads", "kv_heads", "head_dim").unique()
    assert heads.rows() == [(32, 8, 128)]


def test_products_are_the_same_in_both_conventions() -> None:
    names = {convention: [op.op for op in ops] for convention, ops in CONVENTIONS.items()}
    assert names["llm-viewer"][: len(names["paper"])] == names["paper"]


@pytest.mark.parametrize("convention", ["paper", "engine"])
def test_local_layers_see_their_window(convention: str) -> None:
    gemma = make_model(GEMMA, "Gemma2ForCausalLM")
    op = "qk" if convention == "paper" else "attention"
    decode = make_shapes(gemma, "decode", 1, 1000, convention=convention)
    assert sizes(decode, op, "cached_tokens", "attended_tokens", "repeat") == (1000, 1000, 2)
    assert sizes(decode, f"{op}_local", "cached_tokens", "attended_tokens", "repeat") == (128, 128, 2)
    short = make_shapes(gemma, "decode", 1, 100, convention=convention)
    assert sizes(short, f"{op}_local", "cached_tokens") == (100,)


@pytest.mark.parametrize("context", [1, 100, 128, 129, 1000])
def test_a_causal_window_is_summed_over_positions(context: int) -> None:
    shapes = make_shapes(make_model(GEMMA, "Gemma2ForCausalLM"), "prefill", 1, context)
    (seen,) = sizes(shapes, "attention_local", "attended_tokens")
    assert seen == pytest.approx(sum(min(i, 128) for i in range(1, context + 1)) / context, rel=1e-12)
    assert sizes(shapes, "attention_local", "cached_tokens") == (context,)


def test_a_mixture_meets_the_experts_that_its_tokens_choose() -> None:
    mixture = make_model(MIXTURE, "MixtralForCausalLM")
    one = make_shapes(mixture, "decode", 1, 64)
    assert sizes(one, "expert_gate_up_proj", "m", "k", "n", "matrices", "experts") == (2, 256, 1024, 2.0, 8)
    many = make_shapes(mixture, "decode", 3, 64)
    assert sizes(many, "expert_down_proj", "m", "matrices") == (6, pytest.approx(8 * (1 - 0.75**3)))
    assert sizes(many, "router", "m", "k", "n") == (3, 256, 8)
    assert sizes(many, "expert_sum", "m", "n", "matrices") == (3, 256, 2)


def test_dense_layers_come_before_mixtures() -> None:
    shapes = make_shapes(make_model(LATENT, "DeepseekV3ForCausalLM"), "decode", 1, 64)
    assert sizes(shapes, "gate_up_proj") == (1, 256, 1024, 1)
    assert sizes(shapes, "expert_gate_up_proj", "repeat") == (3,)
    assert sizes(shapes, "shared_gate_up_proj") == (1, 256, 2 * 256, 3)


@pytest.mark.parametrize("convention", ["paper", "engine"])
def test_latent_attention_is_expanded_in_prefill_and_absorbed_in_decode(convention: str) -> None:
    latent = make_model(LATENT, "DeepseekV3ForCausalLM")
    op = "qk" if convention == "paper" else "attention"
    prefill, decode = (make_shapes(latent, phase, 2, 64, convention=convention) for phase in ("prefill", "decode"))
    assert sizes(prefill, "kv_b_proj") == (128, 64, 8 * (32 + 32), 4)
    assert sizes(prefill, op, "heads", "kv_heads", "head_dim", "value_dim") == (8, 8, 48, 32)
    assert "kv_b_proj" not in decode["op"].to_list()
    assert sizes(decode, "q_absorb", "m", "k", "n", "matrices") == (2 * 8, 32, 64, 8)
    assert sizes(decode, "out_absorb", "m", "k", "n", "matrices") == (2 * 8, 64, 32, 8)
    assert sizes(decode, op, "heads", "kv_heads", "head_dim", "value_dim") == (8, 1, 64 + 16, 64)
    assert sizes(decode, op, "kv_dim") == (80,)


def test_queries_without_a_latent_are_projected_at_once() -> None:
    shapes = make_shapes(make_model({**LATENT, "q_lora_rank": None}, "DeepseekV2ForCausalLM"), "decode", 1, 64)
    assert sizes(shapes, "q_proj") == (1, 256, 8 * 48, 4)
    assert sizes(shapes, "kv_a_proj") == (1, 256, 80, 4)
    assert not {"qkv_a_proj", "q_b_proj"} & set(shapes["op"])


def test_devices_share_heads_and_widths() -> None:
    shared = make_shapes(GQA, "decode", 2, 128, t=4)
    assert sizes(shared, "qkv_proj") == (2, 4096, 1024 + 2 * 256, 32)
    assert sizes(shared, "o_proj") == (2, 1024, 4096, 32)
    assert sizes(shared, "down_proj") == (2, 3584, 4096, 32)
    assert sizes(shared, "lm_head") == (2, 4096, 32064, 1)
    assert sizes(shared, "attn_norm", "m", "n") == (2, 4096)
    assert sizes(shared, "mlp_all_reduce", "kind", "level", "m", "n", "repeat") == (
        "all_reduce",
        "interconnect",
        2,
        4096,
        32,
    )
    assert "mlp_all_reduce" not in make_shapes(GQA, "decode", 2, 128)["op"].to_list()


def test_few_key_heads_are_replicated() -> None:
    multi_query = make_model({**DENSE, "num_key_value_heads": 1})
    assert sizes(make_shapes(multi_query, "decode", 1, 64, t=8), "attention", "heads", "kv_heads") == (1, 1)
    assert sizes(make_shapes(multi_query, "decode", 1, 64, t=8), "qkv_proj", "n") == (32 + 2 * 32,)


def test_heads_that_do_not_come_out_even_are_not_shared() -> None:
    odd = make_model({**DENSE, "num_attention_heads": 6, "num_key_value_heads": 6})
    assert set(op_shapes(odd, make_workload(tensor_parallel=[1, 2, 4]))["tensor_parallel"]) == {1, 2}
    assert model_shards(odd, [1, 2, 4, 8])["tensor_parallel"].to_list() == [1, 2]


def test_what_devices_hold() -> None:
    shards = model_shards(GQA, [1, 2, 8])
    weights = dict(shards.select("tensor_parallel", "weights").iter_rows())
    norms = (2 * 32 + 1) * 4096
    assert weights[1] == GQA["parameters"].item() == 8_030_261_248
    assert weights[2] - norms == (weights[1] - norms) / 2
    assert shards["kv_elements_per_token"].to_list() == [2 * 32 * 8 * 128, 2 * 32 * 4 * 128, 2 * 32 * 128]
    latent = model_shards(make_model(LATENT, "DeepseekV3ForCausalLM"), [1, 8])
    assert latent["kv_elements_per_token"].to_list() == [4 * 80, 4 * 80]
    gemma = model_shards(make_model(GEMMA, "Gemma2ForCausalLM"), [1])
    assert gemma.select("kv_elements_per_token", "local_kv_elements_per_token").row(0) == (2 * 512, 2 * 512)


def test_a_tied_embedding_is_held_once() -> None:
    tied = make_model({**LLAMA_3_8B, "tie_word_embeddings": True})
    assert tied["parameters"].item() == 8_030_261_248 - 128256 * 4096


def test_shape_ids_are_unique_and_stable() -> None:
    shapes = op_shapes(GQA, make_workload())
    assert shapes["shape_id"].is_unique().all()
    assert shapes["shape_id"].min() >= 0  # type: ignore[operator]
    one = shapes.filter(op="q_proj", phase="decode", batch_size=2, sequence_length=128)
    assert one["shape_id"].to_list() == [1734257425844877063]
    again = add_shape_id(shapes.drop("shape_id").reverse())
    assert again.sort("shape_id").equals(shapes.sort("shape_id"))


def test_each_layer_that_predicts_a_further_token_has_its_own_lm_head() -> None:
    two = make_model({**LATENT, "num_nextn_predict_layers": 2}, "DeepseekV3ForCausalLM")
    shapes = make_shapes(two, "decode", 1, 64, convention="draft")
    repeats = dict(shapes.select("op", "repeat").iter_rows())
    assert {repeats[op] for op in ("embedding", "draft_in_proj", "attention", "final_norm", "lm_head")} == {2}
    none = make_model({**LATENT, "num_nextn_predict_layers": 0}, "DeepseekV3ForCausalLM")
    assert make_shapes(none, "decode", 1, 64, convention="draft").is_empty()

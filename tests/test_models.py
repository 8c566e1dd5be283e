"""Configs of every family: what they count, and what is refused."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED, list_sources
from flows.ingest.kinds import read_kind
from flows.ingest.readers.model import read_counted_models, read_models
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.models import ARCHITECTURES, DENSE, GEMMA, LATENT, MIXTURE, make_model, read_model
from warehouse.home import Home

# Weights of each shipped model as its authors, or the hub, publish them: exactly, or rounded to a last digit.
# active_embeds_table says whether the published number of active weights has the table of embeddings in it.
_FILE = Path(__file__).with_name("published_parameters.csv")
PUBLISHED = {row["model_id"]: row for row in pl.read_csv(_FILE).iter_rows(named=True)}
ACTIVE = [model_id for model_id, row in PUBLISHED.items() if row["active_parameters"]]


@pytest.fixture(scope="module")
def shipped_models(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return read_kind("model", list_sources(Home(tmp_path_factory.mktemp("none"))))["model"].collect()


def test_every_shipped_model_has_a_published_count() -> None:
    assert {path.stem for path in (SHIPPED / "models").iterdir()} == set(PUBLISHED)
    assert len(PUBLISHED) >= 105


@pytest.mark.parametrize("model_id", PUBLISHED)
def test_parameters_are_the_published_ones(model_id: str, shipped_models: pl.DataFrame) -> None:
    """To 0.5 %, or to the last digit of a figure that is rounded more."""
    published = PUBLISHED[model_id]
    counted = shipped_models.filter(model_id=model_id)["parameters"].item()
    assert len(published["source"]) > 0
    assert counted == pytest.approx(published["parameters"], rel=0.005, abs=(published["last_digit"] or 0) / 2)


@pytest.mark.parametrize("model_id", ACTIVE)
def test_active_parameters_are_the_published_ones(model_id: str, shipped_models: pl.DataFrame) -> None:
    """To 3 %: they are given in two digits, and not all count the embeddings."""
    published = PUBLISHED[model_id]
    row = shipped_models.filter(model_id=model_id).row(0, named=True)
    table = 0 if published["active_embeds_table"] else row["vocab_size"] * row["hidden_size"]
    assert row["active_parameters"] - table == pytest.approx(published["active_parameters"], rel=0.03)


def test_the_papers_three_models_are_there(shipped_models: pl.DataFrame) -> None:
    assert {"llama-7b", "llama-13b", "llama-33b"} <= set(shipped_models["model_id"])


def test_a_mixture_counts_all_experts_and_passes_few() -> None:
    row = read_model(MIXTURE, "MixtralForCausalLM").row(0, named=True)
    one = 3 * 256 * 512
    dense = read_model(DENSE).row(0, named=True)["parameters"]
    assert row["parameters"] == dense + 4 * (7 * one + 256 * 8)
    assert row["active_parameters"] == dense + 4 * (one + 256 * 8)


def test_latent_attention_counts_its_ranks() -> None:
    row = read_model(LATENT, "DeepseekV2ForCausalLM").row(0, named=True)
    attention = 256 * 96 + 96 + 96 * 8 * 48 + 256 * (64 + 16) + 64 + 64 * 8 * (32 + 32) + 8 * 32 * 256
    dense, expert = 3 * 256 * 512, 3 * 256 * 128
    layers = 4 * (attention + 2 * 256) + dense + 3 * (256 * 16 + (16 + 2) * expert)
    assert row["parameters"] == 2 * 1000 * 256 + 256 + layers


@pytest.mark.parametrize(
    ("architecture", "config", "expected"),
    [
        ("LlamaForCausalLM", {}, {"num_local_layers": 0, "tied_embeddings": False, "rope_head_dim": 32}),
        ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True}, {"qkv_bias": True, "mlp_bias": True}),
        ("MistralForCausalLM", {}, {"sliding_window": 4096, "num_local_layers": 4}),
        ("MistralForCausalLM", {"sliding_window": None}, {"sliding_window": None, "num_local_layers": 0}),
        ("Qwen2ForCausalLM", {"num_key_value_heads": 8, "sliding_window": 9}, {"num_local_layers": 0}),
        (
            "Qwen2ForCausalLM",
            {"num_key_value_heads": 8, "sliding_window": 64, "use_sliding_window": True, "max_window_layers": 3},
            {"num_local_layers": 1, "sliding_window": 64},
        ),
        ("Qwen3ForCausalLM", {"num_key_value_heads": 8}, {"qk_norm": "head", "qkv_bias": False}),
        ("Gemma2ForCausalLM", GEMMA, {"num_local_layers": 2, "mixer_norms": 2, "tied_embeddings": True}),
        ("Gemma3ForCausalLM", {**GEMMA, "num_hidden_layers": 13}, {"num_local_layers": 11, "qk_norm": "head"}),
        ("Gemma2ForCausalLM", GEMMA, {"activation_kind": "gelu_mul"}),
        (
            "Gemma3ForCausalLM",
            {**GEMMA, "layer_types": ["full_attention"] * 3 + ["sliding_attention"]},
            {"num_local_layers": 1},
        ),
        ("GPT2LMHeadModel", {"n_positions": 64}, {"learned_positions": 64, "is_gated": False}),
        ("OPTForCausalLM", {}, {"learned_positions": 2050, "activation_kind": "relu", "norm_kind": "layer_norm"}),
        ("GPTNeoXForCausalLM", {}, {"rope_head_dim": 8, "mlp_bias": True, "tied_embeddings": False}),
        ("FalconForCausalLM", {"num_kv_heads": 8}, {"num_kv_heads": 1, "feed_forward_norms": 0}),
        (
            "FalconForCausalLM",
            {"num_kv_heads": 2, "new_decoder_architecture": True},
            {"num_kv_heads": 2, "feed_forward_norms": 1},
        ),
        ("Phi3ForCausalLM", {"partial_rotary_factor": 0.75}, {"rope_head_dim": 24}),
        ("GptOssForCausalLM", {**MIXTURE, "head_dim": 32}, {"num_local_layers": 2, "has_sinks": True}),
        ("DeepseekV3ForCausalLM", LATENT, {"num_moe_layers": 3, "shared_intermediate_size": 256, "head_dim": 48}),
        (
            "Qwen2MoeForCausalLM",
            {**MIXTURE, "decoder_sparse_step": 2, "mlp_only_layers": [1], "moe_intermediate_size": 64},
            {"num_moe_layers": 1},
        ),
    ],
)  # fmt: skip
def test_traits_of_families(architecture: str, config: dict[str, Any], expected: dict[str, object]) -> None:
    sizes = {name: value for name, value in DENSE.items() if name != "num_key_value_heads"}
    row = read_model({**sizes, **config}, architecture).row(0, named=True)
    layer = make_model({**sizes, **config}, architecture).row(0, named=True)
    found = {**layer, **row}
    assert {name: found[name] for name in expected} == expected


def test_a_config_of_text_and_pictures(tmp_path: Path) -> None:
    """What the hub carries of Gemma 3 4B: most fields are the class's defaults."""
    text = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024}
    content = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text}
    frame = read_counted_models(
        [*ARCHITECTURES, make_source(write_file(tmp_path, "g.json", json.dumps(content)), "model")]
    )["model"]
    shipped = SHIPPED / "models" / "gemma-3-4b.json"
    other = read_counted_models([*ARCHITECTURES, make_source(shipped, "model")])["model"]
    names = ["num_heads", "num_kv_heads", "head_dim", "vocab_size", "num_local_layers", "hidden_size"]
    assert frame.select(names).rows() == other.select(names).rows()


CONFIG = {"architectures": ["LlamaForCausalLM"], **DENSE}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"architectures": ["UnheardOfForCausalLM"]}, ["UnheardOfForCausalLM", "catalog/architectures"]),
        ({"hidden_act": "mish"}, ["hidden_act", "mish", "silu"]),
        ({"layer_types": ["full_attention"]}, ["layer_types", "4 layers"]),
        ({"intermediate_size": None}, ["intermediate_size"]),
        ({"architectures": ["MixtralForCausalLM"], "num_experts_per_tok": None}, ["num_experts_per_tok = null"]),
        (
            {"architectures": ["MixtralForCausalLM"], "num_local_experts": 2, "num_experts_per_tok": 3},
            ["num_experts_per_tok = 3", "at most 2 experts"],
        ),
        ({"architectures": ["DeepseekV3ForCausalLM"], "kv_lora_rank": None}, ["kv_lora_rank = null"]),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": "x"}, ["text_config"]),
        ({"num_hidden_layers": 10**6}, ["num_hidden_layers", "10000"]),
        ({"architectures": ["Phi3ForCausalLM"], "partial_rotary_factor": 2.0}, ["partial_rotary_factor"]),
    ],
)
def test_bad_configs_of_families(tmp_path: Path, changes: dict[str, Any], names: list[str]) -> None:
    path = write_file(tmp_path, "mine.json", json.dumps({**CONFIG, **changes}))
    assert_refused(lambda: read_models([*ARCHITECTURES, make_source(path, "model")]), names=[str(path), *names])

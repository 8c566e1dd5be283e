"""Which precision a config says that its weights are published in, as each library spells it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.readers.model import read_models
from flows.ingest.source_file import SourceFile
from tests.support.inputs import assert_refused, make_source
from tests.support.models import ARCHITECTURES, DENSE

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases" / "models"
MIXTURE = {
    **DENSE,
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "mlp_only_layers": [0],
}
LATENT = {
    **DENSE,
    "architectures": ["DeepseekV3ForCausalLM"],
    "q_lora_rank": 96,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 128,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
}


def in_groups(weights: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    group = {"weights": weights, "input_activations": inputs, "output_activations": None, "targets": ["Linear"]}
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "quantization_status": "compressed",
        **more,
    }


def integers(bits: int, strategy: str, group_size: int | None = None, *, symmetric: bool = True) -> dict[str, Any]:
    return {"num_bits": bits, "type": "int", "strategy": strategy, "group_size": group_size, "symmetric": symmetric}


def floats(bits: int, strategy: str, group_size: int | None = None, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": "float", "strategy": strategy, "group_size": group_size, **more}


BY_TOKEN = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}
KV8 = {"num_bits": 8, "type": "float", "dynamic": False, "strategy": "tensor"}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 128,
    "desc_act": False,
    "sym": True,
    "checkpoint_format": "gptq",
}
BNB = {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}
NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "producer": {"name": "modelopt"}, "ignore": ["lm_head"]}
NO_ROUTERS = [f"model.layers.{layer}.{name}" for layer in range(4) for name in ("mlp.gate", "input_layernorm")]

SPELLED: list[tuple[str, dict[str, Any]]] = [
    ("fp8-block", {**FP8, "weight_block_size": [128, 128]}),
    ("fp8-block", {**FP8, "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head", *NO_ROUTERS]}),
    ("fp8-block", in_groups(floats(8, "block", block_structure=[128, 128]), BY_TOKEN, format="float-quantized")),
    ("mxfp8", {**FP8, "weight_block_size": [1, 32], "scale_fmt": "ue8m0"}),
    ("fp8-tensor", {**FP8, "activation_scheme": "static", "ignored_layers": ["lm_head"]}),
    ("fp8-tensor", {**FP8, "weight_block_size": None}),
    ("fp8-tensor", {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": None}),
    ("fp8-tensor-kv8", {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}),
    ("fp8-tensor", in_groups(floats(8, "tensor"), floats(8, "tensor"), format="float-quantized")),
    ("fp8-tensor-kv8", in_groups(floats(8, "tensor"), floats(8, "tensor"), kv_cache_scheme=KV8)),
    ("fp8-channel", in_groups(floats(8, "channel"), BY_TOKEN, format="float-quantized")),
    ("awq", AWQ),
    ("awq", {**AWQ, "modules_to_not_convert": None}),
    ("awq", in_groups(integers(4, "group", 128, symmetric=False), format="pack-quantized")),
    ("awq-g64", {**AWQ, "group_size": 64}),
    ("awq-g32", {**AWQ, "group_size": 32}),
    ("gptq", GPTQ),
    ("gptq", {**GPTQ, "dynamic": {"-:.*lm_head.*": {}}}),
    ("gptq-g32", {**GPTQ, "group_size": 32}),
    ("gptq-channel", {**GPTQ, "group_size": -1}),
    ("gptq-int8", {**GPTQ, "bits": 8}),
    ("nf4", {**BNB, "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_use_double_quant": False}),
    ("nf4-double", {**BNB, "load_in_4bit": True, "bnb_4bit_use_double_quant": True}),
    ("llm-int8", {**BNB, "load_in_4bit": False, "load_in_8bit": True, "llm_int8_skip_modules": None}),
    ("llm-int8", {"load_in_8bit": True, "llm_int8_threshold": 6.0}),  # as transformers wrote it in 2023
    ("mxfp4", {"quant_method": "mxfp4"}),
    ("nvfp4", NVFP4),
    ("nvfp4", {**NVFP4, "quant_method": "modelopt_fp4"}),
    ("nvfp4-kv8", {**NVFP4, "kv_cache_scheme": KV8}),
    ("nvfp4", in_groups(floats(4, "tensor_group", 16), floats(4, "tensor_group", 16), format="nvfp4-pack-quantized")),
    ("nvfp4-a16", in_groups(floats(4, "tensor_group", 16), format="nvfp4-pack-quantized")),
    ("int4-g128", in_groups(integers(4, "group", 128), format="pack-quantized")),
    ("int4-g32", in_groups(integers(4, "group", 32), sparsity_config={"format": "dense"})),
    ("int4-channel", in_groups(integers(4, "channel"))),
    ("int8-channel-a16", in_groups(integers(8, "channel"))),
    ("int8-channel", in_groups(integers(8, "channel"), {**BY_TOKEN, "type": "int"}, format="int-quantized")),
]


@pytest.fixture(scope="module")
def lists() -> list[SourceFile]:
    return [make_source(SHIPPED / "precisions.toml", "precision")]


def read(folder: Path, config: dict[str, Any], lists: list[SourceFile]) -> str | None:
    path = folder / "m.json"
    path.write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **DENSE, **config}), "utf-8")
    published: str | None = read_models([*ARCHITECTURES, *lists, make_source(path, "model")])["model"].item(
        0, "published_precision"
    )
    return published


@pytest.mark.parametrize(("expected", "spelled"), SPELLED)
def test_each_library_is_understood(
    expected: str, spelled: dict[str, Any], lists: list[SourceFile], tmp_path: Path
) -> None:
    assert read(tmp_path, {"torch_dtype": "bfloat16", "quantization_config": spelled}, lists) == expected


@pytest.mark.parametrize(
    ("expected", "config"),
    [
        ("bf16", {"torch_dtype": "bfloat16"}),
        ("fp16", {"dtype": "float16"}),
        ("fp32", {"torch_dtype": "torch.float32", "quantization_config": None}),
        (None, {}),
        (None, {"torch_dtype": "auto"}),
    ],
)
def test_without_quantization_the_dtype_says_it(
    expected: str | None, config: dict[str, Any], lists: list[SourceFile], tmp_path: Path
) -> None:
    assert read(tmp_path, config, lists) == expected


def test_a_text_model_says_it_for_the_whole(lists: list[SourceFile], tmp_path: Path) -> None:
    config = json.loads((SHIPPED / "models" / "gemma-3-4b.json").read_text("utf-8"))
    for name in ("torch_dtype", "dtype"):
        config.pop(name, None)
        config["text_config"].pop(name, None)
    assert read(tmp_path, {**config, "text_config": {**config["text_config"], "dtype": "bfloat16"}}, lists) == "bf16"
    quantized = {**config, "text_config": {**config["text_config"], "quantization_config": AWQ}}
    assert read(tmp_path, quantized, lists) == "awq"
    tower = {**AWQ, "modules_to_not_convert": ["vision_tower", "multi_modal_projector"]}
    assert read(tmp_path, {**config, "quantization_config": tower}, lists) == "awq"


@pytest.mark.parametrize(
    ("expected", "config", "kept"),
    [
        ("nvfp4", MIXTURE, ["lm_head", "model.layers.*.mlp.gate"]),
        ("nvfp4-ffn", MIXTURE, ["lm_head", "model.layers.*.self_attn*"]),
        ("nvfp4-ffn", LATENT, [f"model.layers.{layer}.self_attn.kv_b_proj" for layer in range(4)]),
        ("nvfp4", LATENT, ["lm_head", "model.layers.3*", "model.layers.0.self_attn*"]),  # in few layers
        ("nvfp4", DENSE, ["re:.*experts.*", "re:.*visual.*"]),  # which the model does not have
    ],
)
def test_modules_that_keep_their_bits_choose_the_precision(
    expected: str, config: dict[str, Any], kept: list[str], lists: list[SourceFile], tmp_path: Path
) -> None:
    assert read(tmp_path, {**config, "quantization_config": {**NVFP4, "ignore": kept}}, lists) == expected


def test_experts_alone_are_a_precision(
    lists: list[SourceFile], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]
    config = {**LATENT, "quantization_config": in_groups(integers(4, "group", 32), ignore=kept)}
    assert read(tmp_path, config, lists) == "int4-experts"
    assert read(tmp_path, {**config, "quantization_config": {**AWQ, "modules_to_not_convert": kept}}, lists) is None
    assert "quantization_config: quantizes experts and leaves out attention, mlp, shared_experts: exp" in caplog.text


@pytest.mark.parametrize(
    ("spelled", "names"),
    [
        ({"quant_method": "aqlm"}, ['quantization_config.quant_method = "aqlm": expected', '"awq"', "published_as"]),
        ({}, []),
        ({"bits": 4}, ["quantization_config."]),
        ({**AWQ, "group_size": 96}, ["quantization_config.group_size = 96: expected 128 or 64 or 32"]),
        ({**AWQ, "bits": 3}, ["quantization_config.bits = 3: expected 4"]),
        ({**AWQ, "bits": "4"}, ['quantization_config.bits = "4": expected 4']),
        ({**FP8, "weight_block_size": [64, 64]}, ["weight_block_size = [64, 64]: expected", "[128, 128]"]),
        ({**FP8, "weight_block_size": 128}, ["weight_block_size = 128: expected", "[128, 128]"]),
        ({**NVFP4, "quant_algo": "MIXED_PRECISION"}, ['quant_algo = "MIXED_PRECISION": expected "NVFP4"']),
        ({**NVFP4, "kv_cache_quant_algo": "INT3"}, ['kv_cache_quant_algo = "INT3": expected none or 8']),
        (
            {**GPTQ, "dynamic": {"+:.*mlp.*": {"bits": 8}}},
            ["quantization_config.dynamic.*.bits = 8: expected none or 4"],
        ),
        (in_groups(integers(3, "group", 128)), ["config_groups.*.weights.num_bits = 3: expected 4 or 8"]),
    ],
)
def test_what_no_precision_stands_for_is_null_and_told(
    spelled: Any, names: list[str], lists: list[SourceFile], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(tmp_path, {"quantization_config": spelled}, lists) is None
    assert len(caplog.messages) == bool(names)
    assert all(name in caplog.text for name in names)


def test_a_quantization_is_a_table(lists: list[SourceFile], tmp_path: Path) -> None:
    names = ["quantization_config = [1]: expected a table of fields"]
    assert_refused(lambda: read(tmp_path, {"quantization_config": [1]}, lists), names=names)


def test_a_precision_of_the_users_is_found(lists: list[SourceFile], tmp_path: Path) -> None:
    own = tmp_path / "precisions.toml"
    own.write_text(
        "[[precision]]\n"
        'precision_id = "awq3"\nweight_bits = 3.15625\nactivation_bits = 16\nkv_bits = 16\ncompute_dtype = "fp16"\n'
        'origin = "me"\npublished_as = { quant_method = "awq", bits = 3, group_size = 128 }\n',
        "utf-8",
    )
    sources = [*lists, make_source(own, "precision")]
    assert read(tmp_path, {"quantization_config": {**AWQ, "bits": 3}}, sources) == "awq3"


@pytest.mark.skipif(not CASES.is_dir(), reason="configs as their libraries wrote them are not here")
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("qwen3-fp8-quantized.json", "fp8-block"),
        ("families/qwen3-8b-awq.json", "awq"),
        ("families/qwen3-8b-bnb.json", "nf4"),
    ],
)
def test_a_config_of_the_hub_says_it(file: str, expected: str, lists: list[SourceFile]) -> None:
    models = read_models([*ARCHITECTURES, *lists, make_source(CASES / file, "model")])["model"]
    assert models.select("published_precision").equals(pl.DataFrame({"published_precision": [expected]}))

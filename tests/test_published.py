"""Which precision a config says that its weights are published in, as each library spells it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.limits import MAX_BYTES
from flows.ingest.readers.model import read_models
from flows.ingest.readers.precision import read_precisions
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
AUTO = {
    "quant_method": "auto-round",
    "bits": 4,
    "group_size": 128,
    "sym": True,
    "data_type": "int",
    "packing_format": "auto_round:auto_gptq",
}
NO_METHOD = {  # as Qwen3 32B is published with a scale a matrix
    "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}, "input_activations": {"num_bits": 8}}},
    "ignore": ["lm_head"],
    "quant_algo": "FP8",
    "kv_cache_scheme": "FP8",
    "producer": {"name": "modelopt", "version": "0.31.0"},
}
OF_TENSORRT = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
QUARK_FP8 = {"dtype": "fp8_e4m3", "qscheme": "per_tensor", "is_dynamic": False}
QUARK_KV8 = {"output_tensors": QUARK_FP8, "weight": QUARK_FP8}
QUARK: dict[str, Any] = {
    "quant_method": "quark",
    "global_quant_config": {"weight": QUARK_FP8, "input_tensors": QUARK_FP8, "output_tensors": None},
    "exclude": ["lm_head"],
    "layer_quant_config": {},
    "layer_type_quant_config": {},
}
MX = {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0", "is_dynamic": True}
QUARK_MX = {**QUARK, "global_quant_config": {"weight": MX, "input_tensors": MX}, "kv_cache_quant_config": {}}
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
    ("fp8-block", {**FP8, "fmt": "float8_e4m3fn", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"}),
    ("fp8-tensor-kv8", {**FP8, "activation_scheme": "static", "kv_cache_scheme": "static"}),  # AutoFP8
    ("fp8-tensor-kv8", NO_METHOD),
    ("fp8-tensor-kv8", {"quant_method": "modelopt", **OF_TENSORRT}),
    ("fp8-tensor", {**QUARK, "kv_cache_quant_config": {}}),
    ("fp8-tensor-kv8", {**QUARK, "kv_cache_quant_config": dict.fromkeys(("*k_proj", "*v_proj"), QUARK_KV8)}),
    ("mxfp8", {"quant_method": "mxfp8", "activation_scheme": "dynamic"}),
    ("nvfp4", {**NVFP4, "group_size": 16, "kv_cache_quant_algo": "none"}),
    ("nvfp4-a16", {**NVFP4, "quant_algo": "W4A16_NVFP4"}),
    ("int4-g128", {**NVFP4, "quant_algo": "W4A16_AWQ", "group_size": 128, "has_zero_point": False}),
    ("awq", {"quant_method": "awq", "w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM"}),
    ("awq-g32", in_groups(integers(4, "group", 32, symmetric=False), format="pack-quantized")),
    ("gptq-int8-channel", {**GPTQ, "bits": 8, "group_size": -1}),
    ("gptq", {**GPTQ, "lm_head": False, "dynamic": None, "meta": {"quantizer": ["gptqmodel:4.0.0"]}}),
    ("gptq", AUTO),
    ("gptq-g32", {**AUTO, "quant_method": "intel/auto-round", "group_size": 32}),
    ("gptq", {**AUTO, "extra_config": {"lm_head": {"bits": 16, "data_type": "float"}}}),
    ("mxfp4-a16", in_groups(floats(4, "group", 32, scale_dtype="torch.uint8"), format="mxfp4-pack-quantized")),
    ("mxfp4-a4", in_groups(floats(4, "group", 32), floats(4, "group", 32), format="mxfp4-pack-quantized")),
    ("mxfp4-a4", QUARK_MX),
    ("mxfp4-a16", {**QUARK_MX, "global_quant_config": {"weight": MX, "input_tensors": None}}),
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
        ("nvfp4-ffn", LATENT, [f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(4) for name in "qkvo"]),
        ("nvfp4-ffn", MIXTURE, [r"re:.*self_attn\.(q|k|v|o)_proj$"]),
        ("nvfp4", LATENT, ["re:.*layernorm.*", "re:.*self_attn.indexer.*", r"re:.*mlp\.gate$"]),
        (None, LATENT, [f"model.layers.{layer}.self_attn.kv_b_proj" for layer in range(4)]),  # o_proj has 4 bits
        (None, MIXTURE, ["re:.*o_proj"]),
        (None, MIXTURE, ["re:.*down_proj"]),
        (None, MIXTURE, ["model.layers.*"]),
        ("nvfp4", LATENT, ["lm_head", "model.layers.3*", "model.layers.0.self_attn*"]),  # in few layers
        ("nvfp4", DENSE, ["re:.*experts.*", "re:.*visual.*"]),  # which the model does not have
    ],
)
def test_modules_that_keep_their_bits_choose_the_precision(
    expected: str | None, config: dict[str, Any], kept: list[str], lists: list[SourceFile], tmp_path: Path
) -> None:
    assert read(tmp_path, {**config, "quantization_config": {**NVFP4, "ignore": kept}}, lists) == expected


def by_layer(count: int, *names: str, first: int = 0, of: str = "model.layers") -> list[str]:
    return [f"{of}.{layer}.{name}" for layer in range(first, count) for name in names]


def in_layers(**names: list[str]) -> dict[str, Any]:
    layers = {name: {"quant_algo": algorithm} for algorithm, each in names.items() for name in each}
    return {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


FP8_BLOCK = {**FP8, "weight_block_size": [128, 128]}
NVFP4_KV8 = {**NVFP4, "kv_cache_scheme": KV8}
NORMS = ("input_layernorm", "self_attn.q_a_layernorm", "self_attn.indexer.k_norm.bias", "self_attn.indexers_proj")
QWEN = "model.language_model.layers"
OF_QWEN = [
    *by_layer(40, "linear_attn*", "mlp.shared_expert*", "mlp.shared_expert_gate", of=QWEN),
    *(f"{QWEN}.{layer}.self_attn*" for layer in range(3, 40, 4)),
    "model.visual*",
    "mtp.layers.0*",
]
MIXERS = ("linear_attn.in_proj_qkv", "linear_attn.in_proj_z", "linear_attn.out_proj")
PROJECTIONS = tuple(f"self_attn.{name}_proj" for name in "qkvo")
FFN = tuple(f"mlp.{name}_proj" for name in ("gate", "up", "down"))
OF_MINIMAX = "language_model.model.layers"
BY_LAYER = {
    "qwen3.6-27b": in_layers(
        FP8=[*by_layer(64, *MIXERS, of=QWEN), *by_layer(64, *PROJECTIONS, of=QWEN)],
        W4A16_NVFP4=["lm_head", *by_layer(64, *FFN, of=QWEN)],
    ),
    "minimax-m3": in_layers(
        MXFP8=[
            *by_layer(60, *PROJECTIONS, "self_attn.index_q_proj", of=OF_MINIMAX),
            *by_layer(3, *FFN, of=OF_MINIMAX),
            *by_layer(60, "block_sparse_moe.shared_experts.gate_proj", first=3, of=OF_MINIMAX),
            *by_layer(60, "block_sparse_moe.shared_experts.down_proj", first=3, of=OF_MINIMAX),
        ],
        NVFP4=by_layer(60, *(f"block_sparse_moe.experts.0.w{i}" for i in (1, 2, 3)), first=3, of=OF_MINIMAX),
    ),
}


@pytest.mark.parametrize(
    ("expected", "model", "spelled"),
    [
        ("fp8-block", "glm-5", {**FP8_BLOCK, "modules_to_not_convert": ["lm_head", *by_layer(79, *NORMS, "mlp.gate")]}),
        (
            "nvfp4-experts-kv8",
            "glm-5",
            {
                **NVFP4_KV8,
                "ignore": [
                    "lm_head",
                    *("model.layers.0*", "model.layers.1.*", "model.layers.2.*", "model.layers.78*"),
                    *by_layer(78, "self_attn*", "mlp.shared_experts*", first=3),
                ],
            },
        ),
        (
            "nvfp4-experts-kv8",
            "kimi-k2.5",
            {**NVFP4_KV8, "ignore": ["model.layers.0*", *by_layer(61, "self_attn*", "mlp.shared_experts*", first=1)]},
        ),
        ("nvfp4-ffn-kv8", "kimi-k2.5", {**NVFP4_KV8, "ignore": ["vision_tower*", *by_layer(61, "self_attn*")]}),
        (
            "nvfp4-experts-kv8",
            "gemma-4-26b-a4b",
            {**NVFP4_KV8, "ignore": ["lm_head", *by_layer(30, "mlp*", "router*", "self_attn*", of=QWEN)]},
        ),
        ("nvfp4-experts-kv8", "qwen3.5-35b-a3b", {**NVFP4_KV8, "ignore": OF_QWEN}),
        # linear attention in 16 bits, other attention in 4
        (None, "qwen3-next-80b-a3b", in_groups(floats(4, "tensor_group", 16), ignore=["re:.*linear_attn.*"])),
        (
            "fp8-block",
            "qwen3-next-80b-a3b",
            {**FP8_BLOCK, "modules_to_not_convert": by_layer(48, "linear_attn.in_proj_ba", "linear_attn.conv1d")},
        ),
        ("fp8-tensor-nvfp4-a16", "qwen3.6-27b", BY_LAYER["qwen3.6-27b"]),
        ("fp8-tensor-nvfp4-a16-kv8", "qwen3.6-27b", {**BY_LAYER["qwen3.6-27b"], "kv_cache_scheme": KV8}),
        ("mxfp8-nvfp4-experts", "minimax-m3", BY_LAYER["minimax-m3"]),
        (None, "qwen3-8b", in_layers(FP8=by_layer(36, *PROJECTIONS))),
        (None, "qwen3-8b", in_layers(FP8=by_layer(36, *PROJECTIONS[:2]), W4A16_NVFP4=by_layer(36, *FFN))),
        # FP8 in Mamba layers alone
        (
            None,
            "nemotron-3-nano-30b-a3b",
            in_layers(FP8=by_layer(52, "mixer.in_proj", "mixer.out_proj", of="b.layers")),
        ),
        (
            "fp8-channel-ffn",
            "llama-4-scout",
            in_groups(floats(8, "channel"), BY_TOKEN, ignore=["re:.*self_attn", "re:.*router", "re:vision_model.*"]),
        ),
        # o_proj alone in 16 bits
        (None, "mimo-v2-flash", {**FP8_BLOCK, "ignored_layers": by_layer(48, "self_attn.o_proj")}),
        ("mxfp4", "gpt-oss-20b", {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}),
        (None, "gpt-oss-20b", {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.mlp.experts"]}),
        (
            "mxfp4-a4-ffn",
            "deepseek-r1",
            {**QUARK_MX, "exclude": ["lm_head", *by_layer(61, *PROJECTIONS)]},
        ),
    ],
)
def test_published_models_keep_what_they_say(
    expected: str | None, model: str, spelled: dict[str, Any], lists: list[SourceFile], tmp_path: Path
) -> None:
    config = json.loads((SHIPPED / "models" / f"{model}.json").read_text("utf-8"))
    config.pop("_name_or_path", None)
    config.get("text_config", {}).pop("quantization_config", None)
    path = tmp_path / f"{model}.json"
    path.write_text(json.dumps({**config, "quantization_config": spelled}), "utf-8")
    models = read_models([*ARCHITECTURES, *lists, make_source(path, "model")])["model"]
    assert models["published_precision"].to_list() == [expected]


@pytest.mark.parametrize(
    ("expected", "dtype", "more"),
    [
        ("fp8-block-mxfp4-experts", "fp4", {}),
        ("fp8-block", "fp8", {}),
        ("fp8-block", None, {}),
        (None, "int4", {}),
        (
            "fp8-block-nvfp4-experts",
            "fp4",
            {
                "quant_algo": "MIXED_PRECISION",
                "moe_quant_algo": "NVFP4",
                "ignore": ["*.attn.*", "*.ffn.shared_experts.*", "head", "mtp.*"],
                "quantized_layers": {
                    f"layers.{layer}.ffn.experts": {"quant_algo": "NVFP4", "group_size": 16} for layer in range(4)
                },
            },
        ),
    ],
)
def test_experts_can_have_a_dtype_beside_the_quantization(
    expected: str | None, dtype: str | None, more: dict[str, Any], lists: list[SourceFile], tmp_path: Path
) -> None:
    quantization = {**FP8_BLOCK, "scale_fmt": "ue8m0", **more}
    assert read(tmp_path, {**LATENT, "expert_dtype": dtype, "quantization_config": quantization}, lists) == expected


def test_experts_alone_are_a_precision(
    lists: list[SourceFile], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]
    config = {**LATENT, "quantization_config": in_groups(integers(4, "group", 32), ignore=kept)}
    assert read(tmp_path, config, lists) == "int4-experts"
    assert read(tmp_path, {**config, "quantization_config": {**AWQ, "modules_to_not_convert": kept}}, lists) is None
    assert "quantization_config: quantizes experts and leaves out attention, mlp, shared_experts: exp" in caplog.text


TWO_GROUPS = {
    "group_0": {"weights": integers(4, "group", 128), "targets": ["re:.*mlp.*"]},
    "group_1": {"weights": integers(8, "channel"), "targets": ["re:.*self_attn.*"]},
}


@pytest.mark.parametrize(
    ("spelled", "names"),
    [
        ({"quant_method": "aqlm"}, ['quantization_config.quant_method = "aqlm": expected', '"awq"', "published_as"]),
        ({}, []),
        ({"bits": 4}, ["quantization_config.quant_method: missing: expected the name of a method"]),
        ({"quant_method": "", "bits": 4}, ["quantization_config.quant_method: missing: expected the name of a"]),
        ({**AWQ, "group_size": 96}, ["quantization_config.group_size = 96: expected 128 or 64 or 32"]),
        ({**AWQ, "bits": 3}, ["quantization_config.bits = 3: expected 4"]),
        ({**AWQ, "bits": "4"}, ['quantization_config.bits = "4": expected 4']),
        ({**FP8, "weight_block_size": [64, 64]}, ["weight_block_size = [64, 64]: expected", "[128, 128]"]),
        ({**FP8, "weight_block_size": 128}, ["weight_block_size = 128: expected", "[128, 128]"]),
        ({**NVFP4, "quant_algo": "MIXED_PRECISION"}, ["quantized_layers: nothing of attention: expected"]),
        ({**NVFP4, "kv_cache_quant_algo": "INT3"}, ['kv_cache_quant_algo = "INT3": expected none or 8']),
        (
            {**GPTQ, "dynamic": {"+:.*mlp.*": {"bits": 8}}},
            ["quantization_config.dynamic.*.bits = 8: expected none or 4"],
        ),
        ({**GPTQ, "lm_head": True}, ["quantization_config: quantizes lm_head: expected none"]),
        ({**GPTQ, "dynamic": {"+:.*mlp.*": {"group_size": 32}}}, ["dynamic.*.group_size = 32: expected none or 128"]),
        ({**AUTO, "extra_config": {"model.layers.0.mlp.up_proj": {"bits": 8}}}, ["extra_config.*.bits = 8: expected"]),
        ({**AUTO, "data_type": "mx_fp", "group_size": 32}, ['data_type = "mx_fp": expected "int"']),
        ({**FP8, "weight_block_size": [128, 128], "fmt": "e5m2"}, ['fmt = "e5m2": expected "e4m3"']),
        ({**FP8, "weight_block_size": [128, 128], "quant_algo": "NVFP4"}, ['quant_algo = "NVFP4": expected']),
        ({**NVFP4, "group_size": 32}, ["group_size = 32: expected 16"]),
        ({**NVFP4, "quant_algo": "W4A8_AWQ"}, ['quant_algo = "W4A8_AWQ": expected']),
        ({**QUARK, "layer_quant_config": {"*.mlp.*": {}}}, ["layer_quant_config", "expected none"]),
        (
            in_groups(floats(8, "channel"), {**BY_TOKEN, "type": "int"}),
            ['input_activations.type = "int": expected "float"'],
        ),
        (in_groups(integers(8, "channel"), BY_TOKEN), ['input_activations.type = "float": expected "int"']),
        ({**BNB, "load_in_4bit": True, "load_in_8bit": True}, ["load_in_8bit = true: expected false or none"]),
        (
            {**GPTQ, "modules_in_block_to_quantize": [["mlp.up_proj", "mlp.gate_proj"], ["mlp.down_proj"]]},
            ["quantizes mlp and leaves out attention: expected to leave out none"],
        ),
        ({"quant_method": "hqq", "quant_config": {}}, ['quant_method = "hqq"']),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only"}, ['quant_method = "torchao"']),
        (in_groups(integers(4, "group", 128), {**BY_TOKEN}), ["input_activations.num_bits = 8: expected none"]),
        (
            in_groups(floats(8, "channel"), BY_TOKEN, kv_cache_scheme=KV8),
            ["kv_cache_scheme.num_bits = 8: expected none"],
        ),
        (
            in_groups(integers(4, "group", 128), sparsity_config={"format": "sparse-24-bitmask"}),
            ["sparsity_config.form"],
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": TWO_GROUPS, "ignore": ["lm_head"]},
            ["config_groups.*.weights."],
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


def test_only_the_given_file_is_warned_of_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for name in ("first", "second"):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**MIXTURE, "quantization_config": {"quant_method": "aqlm"}}), "utf-8")
        assert run_command(["ingest", "model", str(path), "--home", str(tmp_path / "home")]) == 0
        said.append(capsys.readouterr().err)
    assert [(text.count("first.json: quant"), text.count("second.json: quant")) for text in said] == [(1, 0), (0, 1)]


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


@pytest.mark.parametrize(
    ("precision", "weights", "dtypes"),
    [
        ("nvfp4-experts", {"attention": 16, "mlp": 16, "shared_experts": 16, "experts": 4.5}, {"experts": "fp4"}),
        ("mxfp4-experts", {"attention": 16, "mlp": 16, "shared_experts": 16, "experts": 4.25}, {"experts": "bf16"}),
        (
            "fp8-block-mxfp4-experts",
            {"attention": 8 + 32 / 128**2, "shared_experts": 8 + 32 / 128**2, "experts": 4.25, "lm_head": 16},
            {"attention": "fp8", "experts": "fp8", "scores": "bf16"},
        ),
        (
            "fp8-block-nvfp4-experts",
            {"attention": 8 + 32 / 128**2, "experts": 4.5, "router": 16},
            {"attention": "fp8", "experts": "fp4", "scores": "bf16"},
        ),
        (
            "mxfp8-nvfp4-experts",
            {"attention": 8.25, "mlp": 8.25, "shared_experts": 8.25, "experts": 4.5},
            {"attention": "fp8", "experts": "fp4"},
        ),
        (
            "fp8-tensor-nvfp4-a16",
            {"attention": 8, "mlp": 4.5, "experts": 4.5, "lm_head": 4.5, "embedding": 16, "tower": 16},
            {"attention": "fp8", "mlp": "bf16", "lm_head": "bf16", "scores": "bf16"},
        ),
        ("mxfp4-a4-ffn", {"attention": 16, "experts": 4.25}, {"attention": "bf16", "experts": "fp4"}),
    ],
)
def test_each_part_of_a_published_precision_has_its_bits_and_dtype(
    precision: str, weights: dict[str, float], dtypes: dict[str, str], lists: list[SourceFile]
) -> None:
    frames = read_precisions(lists)
    default = frames["precision"].row(by_predicate=pl.col("precision_id") == precision, named=True)
    parts = {row["part"]: row for row in frames["precision_part"].filter(precision_id=precision).to_dicts()}

    def find(part: str, column: str) -> Any:
        of_part = parts.get(part, {}).get(column)
        return default[column] if of_part is None else of_part

    assert {part: find(part, "weight_bits") for part in weights} == weights
    assert {part: find(part, "compute_dtype") for part in dtypes} == dtypes


def test_a_config_that_names_every_module_is_not_too_large() -> None:
    quantization = in_layers(NVFP4=by_layer(90, *(f"mlp.experts.{i}.{name}" for i in range(128) for name in FFN)))
    size = len(json.dumps(quantization))
    assert size > MAX_BYTES
    assert (CATALOG_KINDS["model"].max_bytes or 0) > size

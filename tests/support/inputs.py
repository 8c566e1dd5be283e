"""Input files as users write them, and what reading a bad one must give."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.source_file import SourceFile
from tests.support.files import ROOT
from warehouse.errors import InputError

DEVICE = """\
hardware_id = "mine"
name = "My device"
short_name = "Mine"
vendor = "Me"
architecture = "Own"
memory_gb = 48
tdp_w = 300
origin = "my datasheet"
[[compute]]
dtype = "fp16"
tflops = 149.7
basis = "datasheet"
origin = "my datasheet"
[[bandwidth]]
level = "dram"
gb_per_s = 696
basis = "datasheet"
origin = "my datasheet"
"""
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
WORKLOAD = """\
workload_id = "mine"
name = "My grid"
origin = "me"
phases = ["decode"]
batch_size = [1]
sequence_length = [128]
conventions = ["paper"]
precisions = ["fp16"]
"""


def make_source(path: Path, kind: str) -> SourceFile:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size, is_named = path.stat().st_size, kind not in CATALOG_KINDS or CATALOG_KINDS[kind].has_file_per_entry
    return SourceFile(f"given/{kind}/{path.stem}", kind, path.stem, path, path.name, digest, size, is_named)


def assert_refused(read: Callable[[], object], *, names: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    for part in names:
        assert part in message


TABLE = """\
hardware_id,short_name,vendor,fp16_bf16_tflops,int8_tops,memory_gb,l2_mib,bandwidth_gb_per_s,interconnect_gb_per_s,tdp_w,origin,note
one,One,Me,100,200,24,6,600,32,150,my datasheet,
two,Two,Me,300.5,,80,,2000,,,their datasheet,"halved, it says"
"""
KERNELS = """\
name,group,m,k,n,batch,repeat,flops,bytes,precision
conv,conv,50176,576,64,,,,,fp16
attention heads,attention,128,64,128,32,2,,,fp16
fft,fft,,,,,,104857600,33554432,fp32
everywhere,,1000,1000,1000,,,,,
"""
MEASUREMENT = """\
hardware_id,op,op_group,kind,dtype,flops,bytes,latency_s,method
a40,copy,products,copy,fp16,0,1e8,1e-3,by hand
"""
SAID = {"framework": "TRTLLM", "version": "1.2.0", "device": "NVIDIA H100 80GB HBM3", "kernel_source": "torch_flow"}
PRODUCT = {**SAID, "op_name": "gemm", "gemm_dtype": "bfloat16", "m": 16, "n": 4096, "k": 1024, "latency": 0.01}
ATTENTION = {
    **SAID, "op_name": "context_attention", "batch_size": 2, "isl": 512, "num_heads": 32, "num_key_value_heads": 8,
    "head_dim": 128, "beam_width": 1, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16", "step": 0,
    "window_size": 0, "latency": 0.5,
}  # fmt: skip
LATENT = {
    **SAID, "op_name": "mla_context", "mla_dtype": "bfloat16", "kv_cache_dtype": "bfloat16", "num_heads": 16,
    "batch_size": 2, "isl": 512, "tp_size": 8, "step": 0, "latency": 0.5,
}  # fmt: skip
MIXTURE = {
    **SAID, "op_name": "moe", "moe_dtype": "bfloat16", "num_tokens": 64, "hidden_size": 2048, "inter_size": 768,
    "topk": 8, "num_experts": 128, "moe_tp_size": 1, "moe_ep_size": 1, "distribution": "balanced", "latency": 0.5,
}  # fmt: skip
EXCHANGE = {
    **SAID, "op_name": "all_reduce", "nccl_dtype": "half", "num_gpus": 4, "message_size": 1024, "latency": 0.02,
}  # fmt: skip


def make_profile(columns: str, layers: str, values: str) -> bytes:
    """Return a profile by Vidur of one row."""
    times = [f"time_stats.{layer}.{name}" for layer in layers.split() for name in ("min", "median", "std")]
    return f"{columns},{','.join(times)}\n{values}{',0.5' * len(times)}\n".encode()


MLP = make_profile(
    "n_head,n_kv_head,n_embd,n_expanded_embd,num_tokens,num_tensor_parallel_workers,use_gated_mlp",
    "attn_pre_proj attn_post_proj mlp_up_proj mlp_down_proj",
    "32,8,4096,14336,64,1,True",
)
PROFILE = ROOT.parent / "shared" / "data" / "vidur" / "a40" / "llama-2-7b-mlp.csv"


def list_bad_catalogs() -> dict[str, tuple[str, str, str]]:
    """Name -> file, content and what the message must hold."""
    return {
        "missing field": ("hardware/mine.toml", DEVICE.replace("memory_gb = 48\n", ""), "memory_gb: missing"),
        "unknown dtype": ("hardware/mine.toml", DEVICE.replace('"fp16"', '"fp17"'), 'compute[0].dtype = "fp17"'),
        "negative value": ("hardware/mine.toml", DEVICE.replace("696", "-696"), "gb_per_s = -696"),
        "MB taken as GB": ("hardware/mine.toml", DEVICE.replace("696", "696000"), "gb_per_s = 696000"),
        "duplicate id": ("hardware/mine.toml", DEVICE.replace('"mine"', '"a40"'), 'hardware_id = "a40"'),
        "broken TOML": ("hardware/mine.toml", DEVICE + "[", "broken TOML"),
        "broken JSON": ("models/mine.json", "{", "broken JSON"),
        "unknown architecture": ("models/mine.json", '{"architectures": ["MyLM"]}', '["MyLM"]: expected one of'),
        "unknown precision": ("workloads/mine.toml", WORKLOAD.replace("fp16", "fp9"), 'precisions = "fp9"'),
        "short name of another": ("hardware/mine.toml", DEVICE.replace('"Mine"', '"A40"'), 'short_name = "A40"'),
    }

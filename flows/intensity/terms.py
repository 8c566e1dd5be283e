"""The fixed lists of the cost model: phases, conventions, dtypes with their sizes, and degrees of sharing.

`flows/measure/standalone.py` keeps its own copy of the sizes, because it runs without this project.
"""

from collections.abc import Mapping
from typing import Literal, get_args

Phase = Literal["prefill", "decode", "speculative", "mixed"]
PHASES: tuple[Phase, ...] = get_args(Phase)

Convention = Literal["paper", "llm-viewer", "engine", "draft"]

# What a precision can set apart; the products of queries with keys and values are `scores`.
Part = Literal[
    "attention", "scores", "recurrence", "mlp", "experts", "shared_experts", "router", "lm_head", "embedding", "norm",
    "elementwise", "exchange", "tower",
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)

Dtype = Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int64", "int32", "int8", "int4"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
BYTES: Mapping[Dtype, float] = {  # of an element in memory
    "fp64": 8.0, "fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "fp6": 0.75, "fp4": 0.5,
    "int64": 8.0, "int32": 4.0, "int8": 1.0, "int4": 0.5,
}  # fmt: skip

# The units that do the arithmetic: matrix units of any vendor, SIMD or CUDA cores, or one element at a time.
Pipe = Literal["tensor", "vector", "scalar"]
PIPES: tuple[Pipe, ...] = get_args(Pipe)

# How the kernels of a step are started: each by the program, or all of them replayed from a recorded graph.
Launch = Literal["eager", "graph"]
LAUNCHES: tuple[Launch, ...] = get_args(Launch)

# What is one kernel: what an engine fuses (add and norm, activation and gate, RoPE), or each op of plain PyTorch.
Fusion = Literal["engine", "none"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

# How many devices can share a model by tensor parallelism.
Degree = Literal[1, 2, 4, 8]
DEGREES: tuple[Degree, ...] = get_args(Degree)

# How devices share a model: those of a layer, those that whole experts are spread over, stages of layers, and replicas
# of attention that each compute a part of the batch. All are 1 on one device.
SHARING = ("tensor_parallel", "expert_parallel", "pipeline_parallel", "data_parallel")

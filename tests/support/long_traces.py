"""Traces of PyTorch of any length, written in seconds: many launches of a few products, as in a loop of training."""

import gzip
import json
from pathlib import Path
from typing import Any

_SIZES = [2048 + 256 * each for each in range(6)]
_BATCH = 2_000  # launches that are written at once


def write_long_trace(path: Path, launches: int, *, is_cut: bool = False) -> Path:
    """Write a trace of so many products, gzipped if the path ends in `.gz`; 1 GB has about 765,000.

    Each has two ops, a call and a kernel, as PyTorch 2.11 writes them. A trace that is cut ends inside of an event.
    """
    templates = [_write_launch(size) for size in _SIZES]
    with gzip.open(path, "wt", 1) if path.suffix == ".gz" else path.open("w") as file:
        file.write('{"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}],\n')
        file.write('"traceEvents": [\n')
        for start in range(0, launches, _BATCH):
            parts = []
            for each in range(start, min(start + _BATCH, launches)):
                at = 1000.0 + 100 * each
                numbers = (at, 2 * each + 1, at + 2, 2 * each + 2, at + 5, 2 * each + 2, each + 1)
                kernel = (at + 30, 60 + each * 7919 % 1000 / 1000, 2 * each + 2, each + 1)
                parts.append(templates[each % len(templates)] % (*numbers, *kernel))
            file.write("".join(parts))
        file.write('{"ph": "X", "cat": "kern' if is_cut else '{"ph": "i", "name": "end"}\n]}')
    return path


def _write_launch(size: int) -> str:
    """Return the events of one product with the places of times, ids and correlations."""
    types = {"Input type": ["c10::BFloat16", "c10::BFloat16"], "Input Dims": [[size, 4096], [4096, 4096]]}
    strides = {"Concrete Inputs": ["", ""], "Input Strides": [[4096, 1], [4096, 1]], "Record function id": 0}
    host = {"ph": "X", "pid": 7, "tid": 7, "ts": "%.3f"}
    block = {"grid": [132, 1, 1], "block": [384, 1, 1], "registers per thread": 168, "shared memory": 213248}
    name = "nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT"
    place = {"queued": 0, "device": 0, "context": 1, "stream": 7, "blocks per SM": 1.0, "warps per SM": 12.0, **block}
    events: list[dict[str, Any]] = [
        {**host, "cat": "cpu_op", "name": "aten::linear", "dur": 50, "args": {"External id": "%d", **strides, **types}},
        {**host, "cat": "cpu_op", "name": "aten::mm", "dur": 20, "args": {"External id": "%d", **strides, **types}},
        {**host, "cat": "cuda_runtime", "name": "cudaLaunchKernel", "dur": 5,
         "args": {"External id": "%d", "cbid": 211, "correlation": "%d"}},
        {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": "%.3f", "dur": "%.3f",
         "args": {"External id": "%d", "correlation": "%d", **place}},
    ]  # fmt: skip
    text = "".join(f"{json.dumps(event)},\n" for event in events)
    return text.replace('"%.3f"', "%.3f").replace('"%d"', "%d")

"""Traces of PyTorch's profiler that tests write, event by event."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.profiles.torch_profiler import read_torch_profiler
from tests.support.files import write_file
from tests.support.inputs import make_source

MM = "aten::mm", [[64, 32], [32, 48]]
NONE: list[int] = []
HEAD = {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA A100"}], "cuda_runtime_version": 12060}
Event = dict[str, Any]


def op(
    name: str, dims: object, args: Event | None = None, *, external_id: int = 1, at: float = 0, us: float = 9,
    said: object = (),
) -> Event:  # fmt: skip
    given = {"External id": external_id, "Input Dims": dims, "Input type": ["c10::Half"] * 9, "Concrete Inputs": said}
    event = {"ph": "X", "cat": "cpu_op", "name": name, "pid": 7, "tid": 7, "ts": at, "dur": us}
    return {**event, "args": {**given, **(args or {})}}


def kernel(external_id: int = 1, us: float = 5, name: str = "gemm", category: str = "kernel") -> Event:
    args = {"External id": external_id, "device": 0, "stream": 7, "correlation": 99}
    return {"ph": "X", "cat": category, "name": name, "pid": 0, "tid": 7, "ts": 100.5, "dur": us, "args": args}


def call(name: str, correlation: int, external_id: int | None = None, *, at: float = 1) -> Event:
    args = {"correlation": correlation, **({} if external_id is None else {"External id": external_id})}
    return {"ph": "X", "cat": "cuda_runtime", "name": name, "pid": 7, "tid": 7, "ts": at, "dur": 2, "args": args}


def write_trace(folder: Path, events: Sequence[object], **head: object) -> Path:
    return write_file(folder, "t.json", json.dumps({**HEAD, **head, "traceEvents": events, "traceName": "t.json"}))


def read(path: Path) -> pl.DataFrame:
    return read_torch_profiler(make_source(path, "torch_profiler"), "a100", "gpt2")


def only(folder: Path, *events: Event, **head: object) -> dict[str, Any]:
    rows = read(write_trace(folder, events, **head))
    assert len(rows) == 1
    return rows.row(0, named=True)

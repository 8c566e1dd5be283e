"""Traces of PyTorch's profiler (`export_chrome_trace`, with `record_shapes=True`) into measurements.

A trace can have gigabytes of events: they are streamed, and only numbers are kept, on disk if they are many. The time
of an op is the sum over its kernels, copies and fills. It ran on tensor cores if the name of one of its kernels says
so. If the trace has no GPU, the time is the duration of the op itself.
"""

from flows.ingest.profiles.torch_profiler.convert import is_trace, prepare, read_torch_profiler, shipped_trace_ops

__all__ = ["is_trace", "prepare", "read_torch_profiler", "shipped_trace_ops"]

"""Times what devices send each other, on any machine: with `standalone.py`, and nothing else of this project.

`torchrun --nproc-per-node 4 -m flows.measure.standalone_collectives --out FILE --hardware-id ID` times all-reduce,
all-gather and all-to-all on four devices, by size, and writes or resumes a measurement file. A size is that of the
whole: what is reduced, what has been gathered, or what a device holds of all pieces. Bytes are those that a device
sends in a ring.
NVLink multicast is off, unless the variable NCCL_NVLS_ENABLE says otherwise.
"""

import argparse
import importlib
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.measure import standalone

_SIZES = tuple(2**exponent for exponent in range(10, 31))  # bytes: 1 KiB to 1 GiB
_RUNS = 20  # collectives between two events, or in a graph
_BYTES = 2  # of an element: bf16


class Peers:
    """The processes that torchrun started, one per device; alone, there is one.

    Attributes
    ----------
    rank, count
        The number of this process from 0, and how many there are.
    device
        Where tensors are: cuda, or cpu.
    """

    def __init__(self, torch: Any, backend: str = "nccl") -> None:
        self._torch, self._distributed = torch, torch.distributed
        self.rank, self.count = int(os.environ.get("RANK", "0")), count_processes()
        self.device = "cuda" if backend == "nccl" else "cpu"
        if self.device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        if self.count > 1:
            os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
            self._distributed.init_process_group(backend)

    def find_slowest(self, times: Sequence[float]) -> list[float]:
        """Return the longest of each time over all processes."""
        if self.count == 1:
            return list(times)
        every = self._torch.tensor(times, dtype=self._torch.float64, device=self.device)
        self._distributed.all_reduce(every, op=self._distributed.ReduceOp.MAX)
        return [float(each) for each in every.tolist()]

    def wait(self) -> None:
        """Wait for the other processes."""
        if self.count > 1:
            self._distributed.barrier()

    def end(self) -> None:
        """Leave the group."""
        if self.count > 1:
            self._distributed.destroy_process_group()


def count_processes() -> int:
    """Return how many processes torchrun started; 1 if it did not start this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Return whether this process is the only one, or the first of those that torchrun started: it reports."""
    return int(os.environ.get("RANK", "0")) == 0


class TorchPeers(standalone.TorchCuda):
    """Collectives of NCCL; every process times them, and the slowest counts."""

    method = "cuda-event around 20 collectives one after the other, slowest process, median, in place, NVLS off"
    graph_method = "cuda-event around a CUDA graph of 20 collectives, slowest process, median, in place, NVLS off"

    def __init__(self) -> None:
        torch: Any = importlib.import_module("torch")
        if not torch.cuda.is_available():
            raise standalone.NoBackendError("torch sees no CUDA device; expected as many as processes")
        self.peers = Peers(torch)
        super().__init__()
        self.software += f", NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}"

    def make_kernels(self, row: standalone.Row, copies: int) -> Sequence[Callable[[], object]]:
        """Return a call that executes a collective once, in place."""
        return [make_collective(self._torch, self.peers, row)] * copies

    def time_kernels(self, kernels: Sequence[Callable[[], object]], seconds: float, launch: str) -> list[float]:
        """Return the times of several executions, in seconds."""
        torch, (kernel, *_) = self._torch, kernels

        def run() -> None:
            for _ in range(_RUNS):
                kernel()

        run()
        torch.cuda.synchronize()
        self.peers.wait()
        if launch == "graph":
            with standalone.record_graph(torch, run) as replay:
                return self._time(replay, seconds)
        return self._time(run, seconds)

    def _time(self, run: Callable[[], object], seconds: float) -> list[float]:
        first = self.peers.find_slowest(standalone.time_replays(self._torch, run, 3))
        count = max(3, min(20, int(seconds / statistics.median(first))))
        return [each / _RUNS for each in self.peers.find_slowest(standalone.time_replays(self._torch, run, count))]


def make_collective(torch: Any, peers: Peers, row: standalone.Row) -> Callable[[], object]:
    """Return a call that executes a collective once, in place."""
    distributed, kind, count = torch.distributed, row["kind"], peers.count
    x = torch.randn(int(row["m"]) * int(row["n"]), dtype=torch.bfloat16, device=peers.device) / 1e3
    if kind == "all_reduce":
        return lambda: distributed.all_reduce(x)
    if kind == "all_gather":
        own = x.chunk(count)[peers.rank]
        return lambda: distributed.all_gather_into_tensor(x, own)
    out = torch.empty_like(x)
    return lambda: distributed.all_to_all_single(out, x)


def plan_collectives(devices: int) -> Iterator[dict[str, str]]:
    """Yield the collectives of some devices, by size."""
    base = {**dict.fromkeys(standalone.COLUMNS, ""), "op_group": "communication", "matrices": "1", "dtype": "bf16"}
    for size in _SIZES:
        for kind in standalone.COLLECTIVES:
            sent = size * (devices - 1) // devices * (2 if kind == "all_reduce" else 1)
            work = {"m": "1", "n": str(size // _BYTES), "flops": "0", "bytes": str(sent)}
            yield {**base, "op": kind, "kind": kind, "tensor_parallel": str(devices), **work}


def measure_collectives(
    out: Path, hardware_id: str, launch: str | None, seconds: float, progress: Callable[[str], None]
) -> dict[str, int]:
    """Time the collectives of the processes that torchrun started; the first of them writes the file."""
    backend = TorchPeers()
    launches = standalone.choose_launches(backend, launch, out)
    is_first = backend.peers.rank == 0
    rows = plan_collectives(backend.peers.count)
    counts = standalone.measure(
        rows, out, backend, hardware_id, seconds=seconds, launches=launches, writes=is_first, meet=backend.peers.wait,
        progress=progress if is_first else lambda _: None,
    )  # fmt: skip
    backend.peers.end()
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Time collectives, from the command line of a bare machine."""
    parser = argparse.ArgumentParser(description="Time what devices send each other; started by torchrun.")
    parser.add_argument("--out", type=Path, required=True, help="measurement file to write or to resume")
    parser.add_argument("--hardware-id", required=True, help="the device, by its id in the catalog")
    parser.add_argument("--launch", choices=(*standalone.LAUNCHES, "both"), help="default: both")
    parser.add_argument("--seconds", type=float, default=0.1, help="time limit per size; default: %(default)s")
    options = parser.parse_args(arguments)
    show = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    try:
        standalone.refuse_bad_seconds(options.seconds)
        counts = measure_collectives(options.out, options.hardware_id, options.launch, options.seconds, show)
    except (OSError, ValueError, standalone.NoBackendError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if is_first_process():
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

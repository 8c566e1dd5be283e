"""Times whole steps of a model in plain PyTorch, on any machine: with `standalone.py` and `standalone_collectives.py`.

`python -m flows.measure.standalone_steps --plan steps.csv --out FILE --hardware-id ID` runs what `rooflines measure
--steps --plan-only` planned elsewhere, and `torchrun --nproc-per-node 4 -m …` the steps that four devices share. Each
row is written as soon as it is measured; started again, the script resumes.

The decoder has random weights. Q, K and V are one product, and so are gate and up; attention is PyTorch's own
(`scaled_dot_product_attention`), norms are `rms_norm` or `layer_norm`, and experts are grouped products. Nothing else
is fused. Biases are left out. Decode is replayed from a CUDA graph: one new token a sequence is written into a cache
that is read whole. Prefill runs eagerly, and takes the logits of the last token. Embedding and lm_head are timed,
sampling is not. If not all layers fit, two numbers of them are timed, and the others take as long as those between.
"""

import argparse
import csv
import importlib
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.measure import standalone
from flows.measure.standalone_collectives import Peers, is_first_process

KEY = (
    "model_id", "precision_id", "phase", "batch_size", "sequence_length", "query_length", "tensor_parallel", "launch",
    "fusion",
)  # fmt: skip
SIZES = (
    "num_layers", "hidden_size", "num_heads", "num_kv_heads", "head_dim", "intermediate_size", "num_experts",
    "experts_per_token", "expert_intermediate_size", "shared_intermediate_size", "vocab_size", "norm_kind",
    "activation_kind", "has_qk_norm",
)  # fmt: skip
PLANNED = (*KEY, *SIZES)
MEASURED = (
    "hardware_id", "latency_s", "latency_min_s", "latency_std_s", "layers_timed", "repeats", "method", "software",
    "device_name", "measured_at",
)  # fmt: skip
COLUMNS = (*KEY, *MEASURED)
PRECISIONS = ("bf16", "fp16", "fp8")
METHODS = {
    "graph": "cuda-event around replays of a CUDA graph of one step, one behind the other, median, random weights",
    "eager": "cuda-event around one step of an idle device, median, random weights",
}
_IDLE_GRAPHS = 3  # a process's first graphs run without gaps between small kernels, the later ones do not
_RUNS = {"graph": (10, 30), "eager": (5, 20)}  # fewest and most
_SHARE = 0.92  # of free memory that weights and caches may take
_FEWEST_LAYERS = 2  # from whose times a whole model can follow
_EPSILON = 1e-5

Row = Mapping[str, str]


@dataclass(frozen=True)
class Sizes:
    """One device's share of a model, and how it computes."""

    num_layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    experts: int
    chosen: int
    expert_intermediate: int
    shared_intermediate: int
    vocabulary: int
    norm: str
    activation: str
    has_qk_norm: bool
    precision: str

    @classmethod
    def from_row(cls, row: Row) -> "Sizes":
        """Return the share of each of the devices of a planned step."""
        devices = int(row["tensor_parallel"])

        def read(name: str) -> int:
            return int(row[name] or 0)

        def share(name: str) -> int:
            return -(-read(name) // devices)

        return cls(
            num_layers=read("num_layers"), hidden=read("hidden_size"), heads=share("num_heads"),
            kv_heads=share("num_kv_heads"), head_dim=read("head_dim"), intermediate=share("intermediate_size"),
            experts=read("num_experts"), chosen=read("experts_per_token"),
            expert_intermediate=share("expert_intermediate_size"),
            shared_intermediate=share("shared_intermediate_size"), vocabulary=share("vocab_size"),
            norm=row["norm_kind"], activation=row["activation_kind"], has_qk_norm=row["has_qk_norm"] == "true",
            precision=row["precision_id"],
        )  # fmt: skip

    @property
    def products(self) -> dict[str, tuple[int, int]]:
        """Rows (outputs) and columns (inputs) of the weights of a layer, but for those of experts."""
        h, inner = self.hidden, self.heads * self.head_dim
        found = {"qkv": ((self.heads + 2 * self.kv_heads) * self.head_dim, h), "out": (h, inner)}
        if self.experts:
            found |= {"router": (self.experts, h)}
        wide = self.intermediate or self.shared_intermediate
        return found | ({"gate_up": (2 * wide, h), "down": (h, wide)} if wide else {})

    @property
    def expert_products(self) -> dict[str, tuple[int, int, int]]:
        """Experts, rows and columns of their weights."""
        if not self.experts:
            return {}
        wide = self.expert_intermediate
        return {"experts_in": (self.experts, 2 * wide, self.hidden), "experts_out": (self.experts, self.hidden, wide)}

    @property
    def layer_bytes(self) -> int:
        """Bytes of the weights of a layer."""
        every = [*self.products.values(), *self.expert_products.values()]
        return sum(_multiply(shape) for shape in every) * self.weight_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight."""
        return 1 if self.precision == "fp8" else 2

    def cache_bytes(self, batch: int, context: int) -> int:
        """Bytes of the keys and values of a layer."""
        return 2 * 2 * batch * context * self.kv_heads * self.head_dim


def _multiply(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


class Decoder:
    """A decoder in plain PyTorch, one device's share of it.

    Parameters
    ----------
    torch
        The library.
    sizes
        What it computes.
    layers
        How many layers it holds.
    peers
        The processes that share it.
    """

    def __init__(self, torch: Any, sizes: Sizes, layers: int, peers: Peers) -> None:
        self._torch, self._functional, self.sizes, self._peers = torch, torch.nn.functional, sizes, peers
        self._device = peers.device
        self._type = torch.float16 if sizes.precision == "fp16" else torch.bfloat16
        self._is_short = sizes.precision == "fp8"
        self._scales: dict[int, Any] = {}
        self._one = torch.ones((), device=self._device)
        self._embedding = self._make(sizes.vocabulary * peers.count, sizes.hidden)
        self._head = self._make_weight(sizes.vocabulary, sizes.hidden)
        self._norm = torch.ones(sizes.hidden, dtype=self._type, device=self._device)
        self._head_norm = torch.ones(sizes.head_dim, dtype=self._type, device=self._device)
        self._experts = torch.arange(sizes.experts, device=self._device)
        self._layers = [self._make_layer() for _ in range(layers)]

    def _make(self, *shape: int) -> Any:
        return self._torch.randn(shape, dtype=self._type, device=self._device)

    def _make_weight(self, *shape: int) -> Any:
        """Return a weight, one row per output; in fp8, its scale is 1 and the outputs are scaled down."""
        weight = self._make(*shape)
        if self._is_short:
            return weight.to(self._torch.float8_e4m3fn)
        return weight.mul_(shape[-1] ** -0.5)

    def _make_layer(self) -> dict[str, Any]:
        found = {name: self._make_weight(*shape) for name, shape in self.sizes.products.items()}
        if self.sizes.experts:  # a router stays long
            found["router"] = self._make(self.sizes.experts, self.sizes.hidden).mul_(self.sizes.hidden**-0.5)
        for name, (experts, *shape) in self.sizes.expert_products.items():
            weight = self._torch.empty((experts, *shape), dtype=found["qkv"].dtype, device=self._device)
            for expert in range(experts):
                weight[expert] = self._make_weight(*shape)
            found[name] = weight
        return found

    def make_caches(self, layers: int, batch: int, context: int) -> list[tuple[Any, Any]]:
        """Return keys and values of each layer."""
        shape = (batch, self.sizes.kv_heads, context, self.sizes.head_dim)
        return [(self._make(*shape), self._make(*shape)) for _ in range(layers)]

    def make_step(self, row: Row, layers: int) -> Callable[[], object]:
        """Return a call that computes one step with the first layers."""
        torch, batch = self._torch, int(row["batch_size"])
        context, queries = int(row["sequence_length"]), int(row["query_length"])
        ids = torch.randint(0, len(self._embedding), (batch, queries), device=self._device)
        angles = torch.rand((queries, self.sizes.head_dim // 2), device=self._device)
        waves = angles.cos().to(self._type), angles.sin().to(self._type)
        caches = self.make_caches(layers, batch, context) if row["phase"] == "decode" else None
        return lambda: self._run(ids, waves, caches, layers)

    def _run(self, ids: Any, waves: tuple[Any, Any], caches: Any, layers: int) -> object:
        x = self._functional.embedding(ids, self._embedding)
        for number, weights in enumerate(self._layers[:layers]):
            x = x + self._attend(self._normalize(x), weights, waves, caches[number] if caches else None)
            x = x + self._feed(self._normalize(x), weights)
        return self._multiply(self._normalize(x[:, -1]), self._head)

    def _normalize(self, x: Any) -> Any:
        if self.sizes.norm == "layer_norm":
            return self._functional.layer_norm(x, (self.sizes.hidden,), self._norm, self._norm, _EPSILON)
        return self._functional.rms_norm(x, (self.sizes.hidden,), self._norm, _EPSILON)

    def _multiply(self, x: Any, weight: Any) -> Any:
        """Return the product with a weight; if that is in fp8, the input is converted first."""
        if weight.dtype == self._type:
            return self._functional.linear(x, weight)
        short = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        scale = self._scale(weight.shape[-1])
        out = self._torch._scaled_mm(short, weight.t(), scale_a=self._one, scale_b=scale, out_dtype=self._type)
        return out.view(*x.shape[:-1], len(weight))

    def _scale(self, width: int) -> Any:
        if width not in self._scales:
            self._scales[width] = self._torch.full((), width**-0.5, device=self._device)
        return self._scales[width]

    def _attend(self, x: Any, weights: Mapping[str, Any], waves: tuple[Any, Any], cache: Any) -> Any:
        functional, sizes = self._functional, self.sizes
        batch, queries, _ = x.shape
        heads, kv_heads, d = sizes.heads, sizes.kv_heads, sizes.head_dim
        every = self._multiply(x, weights["qkv"]).view(batch, queries, heads + 2 * kv_heads, d).transpose(1, 2)
        query, key, value = every.split((heads, kv_heads, kv_heads), 1)
        if sizes.has_qk_norm:
            query, key = (functional.rms_norm(part, (d,), self._head_norm, _EPSILON) for part in (query, key))
        query, key = self._rotate(query, *waves), self._rotate(key, *waves)
        shares_keys = heads != kv_heads
        if cache is None:
            out = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=shares_keys)
        else:
            keys, values = cache
            keys[:, :, -queries:], values[:, :, -queries:] = key, value
            out = functional.scaled_dot_product_attention(query, keys, values, enable_gqa=shares_keys)
        return self._reduce(self._multiply(out.transpose(1, 2).reshape(batch, queries, heads * d), weights["out"]))

    def _rotate(self, x: Any, cos: Any, sin: Any) -> Any:
        left, right = x.chunk(2, -1)
        return self._torch.cat((left * cos - right * sin, right * cos + left * sin), -1)

    def _activate(self, x: Any) -> Any:
        gate, up = x.chunk(2, -1)
        return (
            self._functional.gelu(gate) if self.sizes.activation == "gelu_mul" else self._functional.silu(gate)
        ) * up

    def _feed(self, x: Any, weights: Mapping[str, Any]) -> Any:
        out = None
        if "gate_up" in weights:
            out = self._multiply(self._activate(self._multiply(x, weights["gate_up"])), weights["down"])
        if self.sizes.experts:
            of_experts = self._choose_experts(x.reshape(-1, x.shape[-1]), weights).view(x.shape)
            out = of_experts if out is None else out + of_experts
        return self._reduce(out)

    def _choose_experts(self, x: Any, weights: Mapping[str, Any]) -> Any:
        """Return the weighted sum of the chosen experts: rows are sorted by expert, multiplied in groups, put back."""
        torch, chosen = self._torch, self.sizes.chosen
        shares = self._functional.softmax(self._multiply(x, weights["router"]), -1, dtype=torch.float32)
        shares, ids = torch.topk(shares, chosen)
        shares = (shares / shares.sum(-1, keepdim=True)).to(self._type)
        ordered, order = ids.view(-1).sort()
        ends = torch.searchsorted(ordered, self._experts, right=True).to(torch.int32)
        gate_up = self._multiply_grouped(x[order // chosen], weights["experts_in"], ends)
        rows = self._multiply_grouped(self._activate(gate_up), weights["experts_out"], ends)
        placed = torch.empty_like(rows)
        placed[order] = rows
        return torch.bmm(shares.unsqueeze(1), placed.view(len(x), chosen, -1))

    def _multiply_grouped(self, x: Any, weights: Any, ends: Any) -> Any:
        torch = self._torch
        if not self._is_short:
            return torch._grouped_mm(x, weights.transpose(-2, -1), offs=ends)
        short = x.to(weights.dtype)
        ones = torch.ones(len(x), device=self._device)
        scales = self._scale(weights.shape[-1]).expand(len(weights), weights.shape[1]).contiguous()
        return torch._scaled_grouped_mm(
            short, weights.transpose(-2, -1), ones, scales, offs=ends, out_dtype=self._type, use_fast_accum=True
        )

    def _reduce(self, x: Any) -> Any:
        if self._peers.count > 1:
            self._torch.distributed.all_reduce(x)
        return x


class Clock:
    """Times steps on CUDA devices."""

    def __init__(self, torch: Any, peers: Peers) -> None:
        self._torch, self._peers = torch, peers
        self._has_idled = False

    def time_step(self, step: Callable[[], object], launch: str, seconds: float) -> list[float]:
        """Return the times of several executions, in seconds; of several processes, those of the slowest."""
        torch, (least, most) = self._torch, _RUNS[launch]
        with torch.inference_mode():
            step()
            self._synchronize()
            if launch == "graph":
                self._record_idle_graphs()
                with standalone.record_graph(torch, step) as replay:
                    first = self._peers.find_slowest(standalone.time_replays(torch, replay, 3))
                    count = max(least, min(most, int(seconds / statistics.median(first))))
                    return self._peers.find_slowest(standalone.time_replays(torch, replay, count))
            first = self._time_apart(step, 2)
            count = max(least, min(most, int(seconds / statistics.median(first))))
            return first + self._time_apart(step, count - len(first))

    def _record_idle_graphs(self) -> None:
        if not self._has_idled:
            one = self._torch.ones(1, device="cuda")
            for _ in range(_IDLE_GRAPHS):
                with standalone.record_graph(self._torch, lambda: one + 1) as replay:
                    replay()
            self._has_idled = True

    def _synchronize(self) -> None:
        self._torch.cuda.synchronize()
        self._peers.wait()

    def _time_apart(self, step: Callable[[], object], count: int) -> list[float]:
        times = []
        for _ in range(count):
            self._synchronize()
            times += standalone.time_replays(self._torch, step, 1)
        return self._peers.find_slowest(times)


def choose_layers(sizes: Sizes, row: Row, free: int) -> tuple[int, ...]:
    """Return how many layers are timed: all, or two numbers from whose times the whole follows; none if too few fit."""
    batch, context, queries = (int(row[name]) for name in ("batch_size", "sequence_length", "query_length"))
    cache = sizes.cache_bytes(batch, context) if row["phase"] == "decode" else 0
    ends = sizes.vocabulary * int(row["tensor_parallel"]) * sizes.hidden * 2 + 2 * sizes.vocabulary * sizes.hidden
    wide = max(sizes.intermediate, sizes.expert_intermediate * sizes.chosen, sizes.heads * sizes.head_dim)
    live = batch * queries * (8 * wide + 8 * sizes.hidden) * 2 + 2**30
    fitting = int((_SHARE * free - ends - live) // (sizes.layer_bytes + cache))
    if fitting >= sizes.num_layers:
        return (sizes.num_layers,)
    return (fitting // 2, fitting) if fitting >= _FEWEST_LAYERS else ()


def extrapolate(times: Mapping[int, Sequence[float]], layers: int) -> list[float]:
    """Return the times of a whole model, from those of all its layers, or of two numbers of them."""
    most = max(times)
    if most == layers:
        return list(times[most])
    few = min(times)
    of_layer = (statistics.median(times[most]) - statistics.median(times[few])) / (most - few)
    return [each + (layers - most) * of_layer for each in times[most]]


def measure_steps(
    plan: Iterable[Row],
    out: Path,
    hardware_id: str,
    *,
    seconds: float = 1.0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Time the steps of a plan that a file does not hold yet, and append one row per step to the file.

    Return how many were `measured`, were in the file `before`, are shared by a number of devices other than that of the
    processes (`other devices`), need too much memory (`too large`), or could not be run (`failed`).

    Raises
    ------
    NoBackendError
        PyTorch or a device is missing.
    ValueError
        The file exists and is not one of steps.
    """
    torch = _import_torch()
    peers = Peers(torch)
    rows = list(plan)
    done = _read_keys(out) if out.exists() else set()
    counts = dict.fromkeys(("measured", "before", "other devices", "too large", "failed"), 0)
    peers.wait()
    stepper = Stepper(torch, peers, seconds)
    with standalone.append_rows(out, COLUMNS, writes=peers.rank == 0) as append:
        for number, row in enumerate(rows, start=1):
            if int(row["tensor_parallel"]) != peers.count:
                counts["other devices"] += 1
                continue
            if tuple(row[name] for name in KEY) in done:
                counts["before"] += 1
                continue
            outcome, message, found = stepper.time_row(row)
            counts[outcome] += 1
            if found:
                append({**row, **found, "hardware_id": hardware_id})
            if peers.rank == 0:
                progress(f"{number}/{len(rows)} {' '.join(row[name] for name in KEY)}: {message}")
    peers.end()
    return counts


def _import_torch() -> Any:
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise standalone.NoBackendError(f"{error}; expected it to be installed") from None
    if not torch.cuda.is_available():
        raise standalone.NoBackendError("torch sees no CUDA device; expected one per process")
    return torch


class Stepper:
    """Times steps one after another, and keeps the weights while the model stays the same."""

    def __init__(self, torch: Any, peers: Peers, seconds: float) -> None:
        self._torch, self._peers, self._seconds = torch, peers, seconds
        self._clock = Clock(torch, peers)
        self._decoder: Decoder | None = None
        self._held = 0  # layers

    def time_row(self, row: Row) -> tuple[str, str, dict[str, str]]:
        """Return what became of a step, a message about it, and what was measured."""
        try:
            sizes = Sizes.from_row(row)
            layers = choose_layers(sizes, row, self._count_free(sizes))
            if not layers:
                return "too large", "left out, two layers do not fit in memory", {}
            decoder = self._load(sizes, max(layers))
            times = {}
            for count in layers:
                with self._torch.inference_mode():
                    step = decoder.make_step(row, count)
                times[count] = self._clock.time_step(step, row["launch"], self._seconds)
                del step
        except (RuntimeError, MemoryError, NotImplementedError, ValueError) as error:
            if self._peers.count > 1:  # the others would wait for ever
                raise
            self._decoder = None
            return "failed", f"left out, {type(error).__name__}: {' '.join(str(error).split())[:160]}", {}
        finally:
            self._torch.cuda.empty_cache()
        whole = extrapolate(times, sizes.num_layers)
        median = statistics.median(whole)
        return "measured", f"{median * 1e3:.3f} ms, {max(layers)} of {sizes.num_layers} layers", {
            "latency_s": f"{median:.6g}", "latency_min_s": f"{min(whole):.6g}",
            "latency_std_s": f"{statistics.pstdev(whole):.3g}", "layers_timed": str(max(layers)),
            "repeats": str(len(whole)), "method": METHODS[row["launch"]], **self._describe_device(),
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip

    def _count_free(self, sizes: Sizes) -> int:
        """Return the memory that weights and caches may take: what is free, and what the weights take already."""
        if self._decoder is not None and self._decoder.sizes != sizes:
            self._decoder = None
        cuda = self._torch.cuda
        cuda.empty_cache()
        (taken,) = self._peers.find_slowest([-float(cuda.mem_get_info()[0] + cuda.memory_allocated())])
        return int(-taken)

    def _load(self, sizes: Sizes, layers: int) -> Decoder:
        if self._decoder is None or self._decoder.sizes != sizes or self._held != layers:
            self._decoder = None
            self._torch.cuda.empty_cache()
            with self._torch.inference_mode():
                self._decoder = Decoder(self._torch, sizes, layers, self._peers)
            self._held = layers
        return self._decoder

    def _describe_device(self) -> dict[str, str]:
        torch = self._torch
        nccl = f", NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}" if self._peers.count > 1 else ""
        return {"device_name": torch.cuda.get_device_name(), "software": f"{standalone.describe_software(torch)}{nccl}"}


def read_plan(path: Path) -> list[dict[str, str]]:
    """Return the rows of a plan of steps.

    Raises
    ------
    ValueError
        The file is not such a plan, or has no rows.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lacking = {*PLANNED}.difference(reader.fieldnames or ())
        if lacking:
            raise ValueError(f"{path}: expected a plan of steps with the columns {', '.join(sorted(lacking))}")
        rows = list(reader)
    if not rows:
        raise ValueError(f"{path}: 0 steps; expected one per row")
    return rows


def write_plan(rows: Iterable[Row], path: Path) -> None:
    """Write rows as a plan of steps."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, PLANNED, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _read_keys(path: Path) -> set[tuple[str, ...]]:
    """Return the steps of a file; raise `ValueError` if it is another file."""
    if not path.is_file():  # reading a pipe could block
        raise ValueError("not a file; expected a file of steps to resume, or none")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames and not {*COLUMNS} <= {*reader.fieldnames}:
            raise ValueError("holds something else; expected a file of steps to resume, or none")
        return {tuple(row[name] for name in KEY) for row in reader if None not in row.values()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a plan of steps, from the command line of a bare machine."""
    parser = argparse.ArgumentParser(description="Time whole steps on this machine, and write one file of them.")
    parser.add_argument("--out", type=Path, required=True, help="file to write or to resume")
    parser.add_argument("--plan", type=Path, required=True, help="CSV of steps")
    parser.add_argument("--hardware-id", required=True, help="the device, by its id in the catalog")
    parser.add_argument("--seconds", type=float, default=1.0, help="time limit per step; default: %(default)s")
    options = parser.parse_args(arguments)
    show = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    try:
        standalone.refuse_bad_seconds(options.seconds)
        rows = read_plan(options.plan)
        counts = measure_steps(rows, options.out, options.hardware_id, seconds=options.seconds, progress=show)
    except (OSError, ValueError, standalone.NoBackendError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if is_first_process():
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

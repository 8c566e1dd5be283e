"""Kernels launched in two ways, collectives and whole steps: what is planned, resumed and refused without a device."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import list_sources
from flows.ingest.readers.measurement import read_measurements
from flows.ingest.user_catalog import add_files
from flows.measure import standalone, standalone_collectives, standalone_steps
from flows.measure.kernel_plan import plan_kernels
from flows.measure.step_plan import plan_steps
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.home import Home

WORKLOAD = """\
workload_id = "small"
name = "Small"
origin = "me"
phases = ["prefill", "decode"]
batch_size = [4]
sequence_length = [1024]
conventions = ["engine"]
precisions = ["bf16", "fp8"]
tensor_parallel = [1, 2]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("launches")
    home = Home(folder / "home")
    add_files(home, "workload", [str(write_file(folder, "small.toml", WORKLOAD))])
    return home


class BothWays(standalone.Numpy):
    """NumPy that says it had graphs, and takes three times as long without."""

    launches: tuple[str, ...] = standalone.LAUNCHES
    dtypes: tuple[str, ...] = ("fp32", "bf16")

    def time_kernels(self, kernels: Sequence[standalone.Kernel], seconds: float, launch: str) -> list[float]:
        del kernels, seconds
        return [3e-6, 3e-6] if launch == "eager" else [1e-6, 1e-6]

    def make_kernels(self, row: standalone.Row, copies: int) -> Sequence[standalone.Kernel]:
        del row
        return [lambda: None] * copies

    def count_copies(self, row: standalone.Row) -> int:
        return 1 if standalone.count_cold_bytes(row) == 0 else 7


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def make_row(**columns: Any) -> dict[str, str]:
    row = {"op": "x", "op_group": "x", "matrices": 1, "tensor_parallel": 1, "dtype": "bf16", "flops": 1, "bytes": 8}
    return {**dict.fromkeys(standalone.PLANNED, ""), **{name: str(value) for name, value in (row | columns).items()}}


def test_a_kernel_is_timed_in_both_ways_and_a_ceiling_in_one(tmp_path: Path) -> None:
    backend, out = BothWays(), tmp_path / "mine.csv"
    plan = [make_row(kind="linear", m=4, k=8, n=8), make_row(kind="copy", m=8, dtype="fp32", op_group="ceiling")]
    counts = standalone.measure(plan, out, backend, "a40", launches=("eager", "graph"))
    assert counts["measured"] == 3
    found = [(row["kind"], row["launch"], row["latency_s"], row["is_ceiling"]) for row in read_rows(out)]
    assert found == [
        ("linear", "eager", "3e-06", "true"),
        ("linear", "graph", "1e-06", "false"),  # what the cache holds would show too high a bandwidth
        ("copy", "eager", "3e-06", "true"),
    ]
    assert standalone.measure(plan, out, backend, "a40", launches=("graph",))["before"] == 2
    rows = read_measurements([make_source(out, "measurement")])["measurement"].collect()
    assert rows["launch"].to_list() == ["eager", "graph", "eager"]


def test_a_file_of_an_earlier_version_is_resumed_eagerly(tmp_path: Path) -> None:
    backend, out, plan = BothWays(), tmp_path / "mine.csv", [make_row(kind="softmax", m=4, n=8)]
    standalone.measure(plan, out, backend, "a40")
    pl.read_csv(out).drop("launch", "level").write_csv(out)
    assert standalone.choose_launches(backend, None, out) == ("eager",)
    more = [*plan, make_row(kind="softmax", m=5, n=8)]
    assert standalone.measure(more, out, backend, "a40") == {"measured": 1, "before": 1, "too large": 0, "failed": 0}
    with pytest.raises(ValueError, match="an earlier version wrote it; expected another file, or --launch eager"):
        standalone.measure(plan, out, backend, "a40", launches=("graph",))
    assert len(read_rows(out)) == 2
    rows = read_measurements([make_source(out, "measurement")])["measurement"].collect()
    assert rows["launch"].to_list() == ["eager", "eager"]


def test_ways_to_launch_are_those_of_the_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numpy, out = standalone.Numpy(), tmp_path / "none.csv"
    assert standalone.choose_launches(numpy, None, out) == ("eager",)
    assert standalone.choose_launches(BothWays(), None, out) == ("eager", "graph")
    assert standalone.choose_launches(BothWays(), "both", out) == ("eager", "graph")
    common = ["measure", "--out", str(out), "--hardware-id", "x", "--backend", "numpy", "--launch", "graph"]
    assert run_command(common) == 2
    assert capsys.readouterr().err == "rooflines: --launch: graph; expected eager with the backend numpy\n"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"kind": "linear", "k": 8, "n": 16}, 256),
        ({"kind": "linear", "k": 8, "n": 16, "dtype": "fp8"}, 128),
        ({"kind": "grouped_linear", "k": 8, "n": 16, "matrices": 3}, 768),
        ({"kind": "attention", "phase": "decode"}, 2 * 2 * 4 * 3 * 5 * 6),
        ({"kind": "attention", "phase": "prefill"}, 0),
        ({"kind": "latent_attention", "phase": "decode"}, 2 * 4 * 3 * 5 * 6),
        ({"kind": "gated-delta", "m": 2, "heads": 3, "k": 4, "n": 5}, 480),
        ({"kind": "rms_norm", "m": 2, "n": 5}, 0),
    ],
)
def test_a_step_finds_weights_caches_and_states_cold(row: dict[str, Any], expected: int) -> None:
    sizes = {"batch_size": 4, "sequence_length": 3, "kv_heads": 5, "head_dim": 6}
    assert standalone.count_cold_bytes(make_row(**sizes | row)) == expected


def test_what_plain_pytorch_runs_for_an_op_is_planned(home: Home) -> None:
    plan = plan_kernels(list_sources(home), ["small"], ["mixtral-8x7b"], ["bf16"]).filter(
        phase="decode", tensor_parallel=1
    )
    sizes = {row["kind"]: (row["m"], row["k"], row["n"], row["bytes"]) for row in plan.to_dicts()}
    assert {*sizes} == {
        "linear", "grouped_linear", "attention", "rms_norm", "add_rms_norm", "residual_add", "embedding", "silu_mul",
        "silu", "multiply", "rope", "rope_unfused", "concat", "cache_write", "top_k", "gather", "expert_sum",
    }  # fmt: skip
    rows, heads, width, hidden, experts = 4, 40, 128, 4096, 8
    assert sizes["rope"] == (rows * heads, None, width, 2 * 2 * rows * heads * width)
    # four products of a half read and write one, two sums read two halves and write one, a concatenation copies both
    assert sizes["rope_unfused"] == (rows * heads, None, width, (4 + 3 + 2) * 2 * rows * heads * width)
    assert sizes["cache_write"] == (rows * 8, None, width, 2 * 2 * rows * 8 * width)
    assert sizes["top_k"] == (rows, 2, experts, 2 * rows * experts)
    assert sizes["gather"] == (rows, 2, hidden, (1 + 2) * 2 * rows * hidden)  # each is read once, and written twice
    assert sizes["multiply"] == (2 * rows, None, 14336, 3 * 2 * 2 * rows * 14336)


def test_experts_are_planned_as_whole_matrices(home: Home) -> None:
    plan = plan_kernels(list_sources(home), ["small"], ["qwen3-30b-a3b"], ["bf16"])
    down = plan.filter(kind="grouped_linear", op="expert_down_proj", phase="decode", tensor_parallel=1).row(
        0, named=True
    )
    met = round(128 * (1 - (1 - 8 / 128) ** 4))
    assert (down["m"], down["matrices"]) == (32, met)
    assert down["bytes"] == 2 * (32 * 768 + met * 768 * 2048 + 32 * 2048)


def test_latent_attention_is_planned_in_decode_alone(home: Home) -> None:
    plan = plan_kernels(list_sources(home), ["small"], ["deepseek-v2-lite"], ["bf16"])
    found = plan.filter(op_group="attention").select("kind", "phase", "head_dim", "kv_heads").unique().rows()
    assert found == [("latent_attention", "decode", 576, 1)]


def test_inputs_of_short_products_are_converted(home: Home) -> None:
    plan = plan_kernels(list_sources(home), ["small"], ["llama-3-8b"], ["fp8"])
    rows = plan.filter(kind="quantize", phase="decode").select("dtype", "m", "n", "bytes").unique().rows()
    assert ("bf16", 4, 4096, 3 * 4 * 4096) in rows
    products = plan.filter(dtype="fp8")
    assert products["kind"].unique().to_list() == ["linear"]
    # one byte for each operand, two for what is written: `torch._scaled_mm` writes bf16
    m, k, n, bytes_ = products.select("m", "k", "n", "bytes").row(0)
    assert bytes_ == m * k + k * n + 2 * m * n


def test_collectives_are_counted_as_a_ring_sends_them() -> None:
    rows = {(row["kind"], row["n"]): row for row in standalone_collectives.plan_collectives(4)}
    assert len(rows) == 63
    assert rows["all_reduce", "512"]["bytes"] == str(2 * 1024 * 3 // 4)
    assert rows["all_gather", "512"]["bytes"] == rows["all_to_all", "512"]["bytes"] == str(1024 * 3 // 4)
    assert {row["tensor_parallel"] for row in rows.values()} == {"4"}


def test_a_step_is_planned_from_the_catalog(home: Home) -> None:
    plan = plan_steps(list_sources(home), ["small"], ["llama-3-8b", "qwen3-30b-a3b"])
    assert len(plan) == 2 * 2 * 2 * 2  # models, precisions, phases, numbers of devices
    assert {*plan.select("phase", "launch", "query_length").rows()} == {
        ("decode", "graph", 1), ("prefill", "eager", 1024),
    }  # fmt: skip
    row = plan.filter(model_id="qwen3-30b-a3b", precision_id="fp8", phase="decode", tensor_parallel=2).row(
        0, named=True
    )
    sizes = standalone_steps.Sizes.from_row({name: "" if each is None else str(each) for name, each in row.items()})
    assert sizes.products == {"qkv": (20 * 128, 2048), "out": (2048, 16 * 128), "router": (128, 2048)}
    assert sizes.expert_products == {"experts_in": (128, 768, 2048), "experts_out": (128, 2048, 384)}
    assert (sizes.has_qk_norm, sizes.vocabulary, sizes.weight_bytes) == (True, 75968, 1)
    assert sizes.cache_bytes(4, 1024) == 2 * 2 * 4 * 1024 * 2 * 128


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("gemma-2-9b", "more or fewer than two norms a layer"),
        ("deepseek-v3", "latent or compressed attention"),
        ("mamba-2.8b", "layers without attention"),
        ("gpt2", "heads that are not rotated as a whole"),
    ],
)
def test_a_model_that_a_plain_decoder_cannot_run_is_refused_by_name(home: Home, model: str, fault: str) -> None:
    names = [f"--model: {model}: has {fault}; expected a model that a plain decoder can run"]
    assert_refused(lambda: plan_steps(list_sources(home), ["small"], ["llama-3-8b", model]), names=names)


def test_other_models_are_left_out_of_a_plan(home: Home) -> None:
    models = plan_steps(list_sources(home), ["small"])["model_id"].unique()
    assert {"llama-3-8b", "mixtral-8x7b", "qwen2.5-7b"} <= {*models}
    assert {"gemma-2-9b", "deepseek-v3", "mamba-2.8b"}.isdisjoint(models)


def plan_one(**columns: Any) -> dict[str, str]:
    sizes = {
        "model_id": "x", "precision_id": "bf16", "phase": "decode", "batch_size": 2, "sequence_length": 64,
        "query_length": 1, "tensor_parallel": 1, "launch": "graph", "fusion": "none", "num_layers": 8,
        "hidden_size": 4096, "num_heads": 32, "num_kv_heads": 8, "head_dim": 128, "intermediate_size": 16384,
        "num_experts": "", "experts_per_token": "", "expert_intermediate_size": "", "shared_intermediate_size": "",
        "vocab_size": 1024, "norm_kind": "rms_norm", "activation_kind": "silu_mul", "has_qk_norm": "false",
    }  # fmt: skip
    return {name: str(value) for name, value in (sizes | columns).items()}


def test_layers_that_do_not_fit_are_extrapolated() -> None:
    row = plan_one()
    sizes = standalone_steps.Sizes.from_row(row)
    assert sizes.layer_bytes == 2 * (4096 * (6144 + 4096) + 3 * 4096 * 16384)
    assert standalone_steps.choose_layers(sizes, row, 80 * 10**9) == (8,)
    assert standalone_steps.choose_layers(sizes, row, int(4.5e9)) == (3, 6)
    assert standalone_steps.choose_layers(sizes, row, 10**9) == ()
    assert standalone_steps.extrapolate({8: [1.0, 2.0]}, 8) == [1.0, 2.0]
    assert standalone_steps.extrapolate({2: [3.0, 3.0], 4: [5.0, 5.5]}, 8) == pytest.approx([9.5, 10.0])


class FakeTorch(ModuleType):
    """As much of PyTorch as a loop over steps asks for before it times one."""

    float64 = "float64"
    distributed = None
    cuda = SimpleNamespace(is_available=lambda: True, set_device=lambda _: None)


def test_steps_are_resumed_and_those_of_other_devices_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", FakeTorch("torch"))
    timed: list[str] = []

    def time_row(self: Any, row: standalone_steps.Row) -> tuple[str, str, dict[str, str]]:
        del self
        timed.append(row["batch_size"])
        if row["batch_size"] == "4":
            return "too large", "left out", {}
        return "measured", "1 ms", {**dict.fromkeys(standalone_steps.MEASURED, "1"), "latency_s": "0.001"}

    monkeypatch.setattr(standalone_steps.Stepper, "time_row", time_row)
    out, told = tmp_path / "steps.csv", list[str]()
    plan = [plan_one(batch_size=size) for size in (1, 2, 4)] + [plan_one(tensor_parallel=2)]
    first = standalone_steps.measure_steps(plan[:1], out, "a40")
    second = standalone_steps.measure_steps(plan, out, "a40", progress=told.append)
    assert (first["measured"], timed) == (1, ["1", "2", "4"])
    assert second == {"measured": 1, "before": 1, "other devices": 1, "too large": 1, "failed": 0}
    assert [row["hardware_id"] for row in read_rows(out)] == ["a40", "a40"]
    assert told[0] == "2/4 x bf16 decode 2 64 1 1 graph none: 1 ms"
    write_file(tmp_path, "other.csv", "a,b\n1,2\n")
    with pytest.raises(ValueError, match="holds something else; expected a file of steps to resume, or none"):
        standalone_steps.measure_steps(plan, tmp_path / "other.csv", "a40")


def test_without_pytorch_the_command_says_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    out = tmp_path / "x.csv"
    arguments = ["measure", "--out", str(out), "--hardware-id", "x", "--home", str(home.path), "--workload", "small"]
    for options, option in ((["--steps"], "--steps"), ([], "--backend torch-cuda")):
        assert run_command([*arguments, "--model", "llama-3-8b", *options]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"rooflines: {option}: ")
        assert "expected it to be installed" in said
        assert len(said.splitlines()) == 1
    assert not out.exists()


def test_only_the_first_process_reports(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    arguments = ["measure", "--out", str(tmp_path / "x.csv"), "--hardware-id", "x", "--home", str(home.path)]
    assert run_command([*arguments, "--steps", "--plan-only", "--workload", "small", "--model", "llama-3-8b"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n", "expected a plan of steps with the columns activation_kind, batch_size, "),
        (",".join(standalone_steps.PLANNED) + "\n", "plan.csv: 0 steps; expected one per row"),
    ],
)
def test_a_plan_that_is_none_of_steps_is_refused_in_one_line(
    text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "plan.csv", text)
    arguments = ["--plan", str(path), "--out", str(tmp_path / "x.csv"), "--hardware-id", "x"]
    assert standalone_steps.main(arguments) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--steps"], "--steps: expected --workload, whose steps are planned"),
        (["--steps", "--workload", "small", "--backend", "numpy"], "--backend: numpy: not with --steps; expected none"),
        (["--steps", "--workload", "small", "--launch", "eager"], "--launch: eager: not with --steps; expected none"),
        (["--steps", "--workload", "small", "--seconds", "0"], "--seconds: 0; expected more than 0"),
        (
            ["--steps", "--workload", "small", "--precision", "int8"],
            "measure: no steps to measure; expected a workload",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    options: list[str], expected: str, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.csv"
    arguments = ["measure", "--out", str(out), "--hardware-id", "x", "--home", str(home.path), *options]
    assert run_command(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"rooflines: {expected}")
    assert len(said.splitlines()) == 1
    assert not out.exists()


def test_the_command_writes_a_plan_of_steps(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.csv"
    arguments = ["measure", "--out", str(out), "--hardware-id", "x", "--home", str(home.path), "--steps", "--plan-only"]
    assert run_command([*arguments, "--workload", "small", "--model", "llama-3-8b", "--precision", "bf16"]) == 0
    assert capsys.readouterr().out == f"4 steps planned\n  plan  {out}\n"
    assert len(standalone_steps.read_plan(out)) == 4


def test_the_decoder_computes_logits() -> None:
    torch: Any = pytest.importorskip("torch")
    peers = standalone_collectives.Peers(torch, "gloo")
    small = {"hidden_size": 64, "num_heads": 4, "num_kv_heads": 2, "head_dim": 16, "intermediate_size": 128}
    experts = {"num_experts": 4, "experts_per_token": 2, "expert_intermediate_size": 32, "intermediate_size": ""}
    for columns in (small, small | experts, small | {"has_qk_norm": "true"}):
        for phase in ({}, {"phase": "prefill", "query_length": 64}):
            row = plan_one(**columns | phase)
            decoder = standalone_steps.Decoder(torch, standalone_steps.Sizes.from_row(row), 2, peers)
            logits: Any = decoder.make_step(row, 2)()
            assert logits.shape == (2, 1024)
            assert logits.isfinite().all()

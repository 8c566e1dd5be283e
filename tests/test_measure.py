"""Measured kernels: timed here with NumPy, read from files, placed beside their roofs."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED, list_sources
from flows.ingest.measured_ceilings import add_measured_ceilings
from flows.ingest.profiles.vidur import read_vidur
from flows.ingest.readers.measurement import read_measurements
from flows.ingest.user_catalog import add_files
from flows.measure import standalone as measure
from flows.measure.kernel_plan import plan_kernels
from tests.support.files import ROOT, write_file
from tests.support.inputs import PROFILE, assert_refused, make_source
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

TINY = """\
workload_id = "tiny"
name = "Tiny"
origin = "me"
phases = ["prefill", "decode"]
batch_size = [1]
sequence_length = [16]
conventions = ["paper", "llm-viewer"]
precisions = ["fp32"]
models = ["gpt2"]
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    add_files(home, "workload", [str(write_file(tmp_path, "tiny.toml", TINY))])
    return home


@pytest.mark.slow
def test_the_ops_of_a_workload_are_timed_and_placed(
    tiny: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, common = tmp_path / "mine.csv", ["--home", str(tiny.path)]
    arguments = ["measure", "--out", str(out), "--hardware-id", "ryzen-9-7950x", "--backend", "numpy"]
    arguments += ["--workload", "tiny", "--seconds", "0.001", *common]
    assert run_command(arguments) == 0
    assert "0 before, 0 too large" in capsys.readouterr().out
    before = out.read_bytes()
    assert run_command(arguments) == 0
    assert capsys.readouterr().out.startswith("0 measured, ")
    assert out.read_bytes() == before
    assert run_command(["ingest", "measurement", str(out), *common]) == 0
    run_without_prefect(tiny)
    with open_snapshot(tiny.snapshot) as connection:
        points = connection.sql(
            "select op, kind, roof_fraction, is_above_roof, bound, software from mart.measured_point"
            " where hardware_id = 'ryzen-9-7950x' and model_id = 'gpt2'"
        ).fetchall()
        ceilings = connection.sql(
            "select name, value_per_s from core.ceiling where hardware_id = 'ryzen-9-7950x' and basis = 'measured'"
        ).fetchall()
    assert {"down_proj", "qk", "pv", "softmax", "lm_head"} <= {op for op, *_ in points}
    assert all(fraction > 0 for _, _, fraction, *_ in points)
    assert {"dram", "fp32", "fp64"} == {name for name, _ in ceilings}


def test_an_interrupted_measurement_goes_on(tmp_path: Path) -> None:
    backend, out = measure.Numpy(), tmp_path / "mine.csv"
    rows = list(measure.plan_ceilings(backend))[:4]
    told: list[str] = []
    assert measure.measure(rows[:2], out, backend, "x", seconds=0.001)["measured"] == 2
    with out.open("a") as file:
        file.write("half a li")
    counts = measure.measure(rows, out, backend, "x", seconds=0.001, progress=told.append)
    assert (counts["before"], counts["measured"]) == (2, 2)
    assert len(told) == 2
    with out.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["op"] for row in found] == [row["op"] for row in rows]
    assert all(float(row["latency_min_s"]) <= float(row["latency_s"]) for row in found)


def test_caches_of_files_count_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = measure.Numpy()
    monkeypatch.setattr(Path, "read_text", lambda *_: "MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable: 5 kB\n")
    assert backend.free_bytes() == 5 * 1024


def test_what_does_not_fit_or_cannot_run_is_left_out_and_named(tmp_path: Path) -> None:
    backend, told = measure.Numpy(), list[str]()
    row = next(iter(measure.plan_ceilings(backend)))
    rows = [{**row, "bytes": "1e15"}, {**row, "kind": "attention"}, {**row, "kind": "sort"}, row]
    counts = measure.measure(rows, tmp_path / "x.csv", backend, "x", seconds=0.001, progress=told.append)
    assert (counts["too large"], counts["failed"], counts["measured"]) == (1, 2, 1)
    assert "left out, needs 1020000.3 GB of memory" in told[0]
    assert "left out, NotImplementedError" in told[1]
    assert "left out, kind = sort: expected linear, " in told[2]


def test_a_kernel_is_never_timed_in_another_dtype(tmp_path: Path) -> None:
    backend, out, told = measure.Numpy(), tmp_path / "x.csv", list[str]()
    row = next(iter(measure.plan_ceilings(backend)))
    rows = [{**row, "dtype": dtype} for dtype in ("bf16", "fp16", "tf32", "fp64")]
    counts = measure.measure(rows, out, backend, "x", seconds=0.001, progress=told.append)
    assert (counts["failed"], counts["measured"]) == (3, 1)
    assert "bf16 m=4194304 eager: left out, dtype = bf16: expected fp32, fp64 with the backend numpy" in told[0]
    with out.open(newline="") as file:
        assert [row["dtype"] for row in csv.DictReader(file)] == ["fp64"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--seconds", "nan"], "--seconds: nan; expected more than 0, and less than 3600"),
        (["--plan", "empty.csv"], "empty.csv: 0 kernels; expected one per row"),
        (["--plan", "other.csv"], "other.csv: expected a plan with the columns batch_size, bytes,"),
    ],
)
def test_the_script_refuses_in_one_line(
    options: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    measure.write_plan([], Path("empty.csv"))
    write_file(tmp_path, "other.csv", "a,b\n1,2\n")
    assert measure.main(["--out", "m.csv", "--hardware-id", "x", "--backend", "numpy", *options]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1
    assert not Path("m.csv").exists()


def test_the_help_of_the_script_explains_every_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        measure.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "numpy (fp32, fp64); default: torch-cuda" in said
    assert "time limit per kernel; default: 0.2" in said


@pytest.mark.parametrize("options", [["--plan-only"], ["--model", "gpt2"], ["--precision", "fp32"]])
def test_a_plan_needs_a_workload(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["measure", "--out", str(tmp_path / "x.csv"), "--hardware-id", "x", "--home", str(tmp_path / "home")]
    assert run_command([*arguments, *options]) == 2
    assert capsys.readouterr().err.strip().endswith(f"{options[0]}: expected --workload, whose kernels are planned")
    assert not (tmp_path / "x.csv").exists()


def test_a_bare_machine_needs_one_file(tiny: Home, tmp_path: Path) -> None:
    """The script alone, in an empty folder, without this project on its path."""
    plan, bare = tmp_path / "plan.csv", tmp_path / "bare"
    arguments = ["measure", "--out", str(plan), "--hardware-id", "x", "--workload", "tiny", "--plan-only"]
    assert run_command([*arguments, "--home", str(tiny.path)]) == 0
    bare.mkdir()
    shutil.copy(ROOT / "flows" / "measure" / "standalone.py", bare)
    command = [sys.executable, "-I", "standalone.py", "--plan", str(plan), "--out", "m.csv", "--hardware-id", "x"]
    done = subprocess.run(
        [*command, "--backend", "numpy", "--seconds", "0.001"],
        cwd=bare, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 failed\n  measurements  m.csv" in done.stdout
    assert "TFLOP/s" in done.stderr
    refused = subprocess.run(
        [*command, "--backend", "torch-cuda"], cwd=bare, capture_output=True, text=True, check=False
    )
    if refused.returncode:
        assert len(refused.stderr.splitlines()) == 1


def test_a_plan_has_each_kernel_once(tmp_path: Path) -> None:
    plan = plan_kernels(list_sources(Home(tmp_path)), ["medusa-grid"], ["llama-7b"], ["fp16"])
    shapes = plan.filter(kind="linear").select("op_group", "phase", "m", "k", "n")
    assert shapes.is_unique().all()
    prefill = plan.filter(phase="prefill", op_group="qkv mlp")["m"].sort().to_list()
    assert prefill == [2**exponent for exponent in range(7, 20)]
    assert plan.filter(phase="decode", kind="qk").select("batch_size", "sequence_length").is_unique().all()
    assert len(plan.filter(phase="decode", kind="qk")) == 49
    assert_refused(
        lambda: plan_kernels(list_sources(Home(tmp_path)), ["medusa-grd"]),
        names=["--workload: medusa-grd: expected a name such as medusa-grid"],
    )


def test_an_unknown_or_empty_name_of_a_model_gets_the_nearest_ones(tmp_path: Path) -> None:
    for model, expected in (("lama-7b", "lama-7b: expected a name such as llama-7b, "), ("", "empty name; expected a")):
        with pytest.raises(InputError) as caught:
            plan_kernels(list_sources(Home(tmp_path)), ["serving"], ["gpt2", model])
        assert str(caught.value).startswith(f"--model: {expected}")
        assert str(caught.value).count(", ") == 2


def test_shipped_measurements(snapshot: duckdb.DuckDBPyConnection) -> None:
    counts = snapshot.sql(
        "select hardware_id, count(*), count(*) filter (is_above_roof and launch = 'eager'), min(roof_fraction) > 0,"
        " count(distinct device_name) from mart.measured_point group by 1 order by 1"
    ).fetchall()
    assert [row[0] for row in counts] == ["h100-sxm", "h200-sxm"]
    # activations that a graph finds in the cache may take less than DRAM would
    assert all(row[1] > 4000 and row[2:] == (0, True, 1) for row in counts)
    ceilings = dict(
        snapshot.sql(
            "select hardware_id || ' ' || name, value_per_s / 1e12 from core.ceiling where basis = 'measured'"
            " and source_id like 'shipped/measurement/%'"
        ).fetchall()
    )
    assert 3.0 < ceilings["h100-sxm dram"] < 3.35
    assert 4.2 < ceilings["h200-sxm dram"] < 4.8
    assert 750 < ceilings["h100-sxm bf16"] < 989.4
    assert sum(path.stat().st_size for path in (SHIPPED / "measurements").iterdir()) < 8 * 2**20


def test_the_papers_grid_is_measured_on_todays_hardware(snapshot: duckdb.DuckDBPyConnection) -> None:
    rows = snapshot.sql(
        "select hardware_id, series, count(*), max(achieved_flops_per_s) / 1e12 from mart.measured_point"
        " where model_id = 'llama-7b' and op_group in ('qkv mlp', 'up/gate/down', 'qk/pv')"
        " and phase in ('prefill', 'decode') group by all"
    ).fetchall()
    found = {(device, series): (count, best) for device, series, count, best in rows}
    for device in ("h100-sxm", "h200-sxm"):
        assert found[device, "qkv mlp init"][0] == 13
        assert found[device, "qkv mlp ar"][0] == 7
        assert found[device, "qk/pv ar"][0] == 98
        assert found[device, "qk/pv init"][0] == 94  # two settings of each need more memory than there is
        assert found[device, "up/gate/down init"][1] > 700


HEADER = "hardware_id,op,op_group,kind,dtype,flops,bytes,latency_s,method"
GOOD = f"{HEADER}\na40,gemm,custom,linear,fp16,1e12,1e9,0.01,clock\n"


def test_points_above_their_roof_are_kept_and_explained(small_home: Home, small_shipped: Path, tmp_path: Path) -> None:
    home = small_home
    text = f"{GOOD}a40,small,custom,norm,fp16,100,1e5,1e-8,clock\na40,fast,custom,linear,fp16,1e12,1e8,0.001,clock\n"
    text += "a40,large,custom,norm,fp16,100,1e9,1e-4,clock\n"
    add_files(home, "measurement", [str(write_file(tmp_path, "mine.csv", text))])
    run_without_prefect(home, small_shipped)
    with open_snapshot(home.snapshot) as connection:
        rows = connection.sql(
            "select op, is_above_roof, likely_cause, roof_fraction > 1 from mart.measured_point"
            " where hardware_id = 'a40' order by op"
        ).fetchall()
    assert rows == [
        ("fast", True, "not known", True),
        ("gemm", False, None, False),
        ("large", True, "part of its bytes came from a cache", True),
        ("small", True, "cache-resident: its bytes fit the L2 cache", True),
    ]


def test_a_measured_all_reduce_is_held_against_the_switch(tmp_path: Path) -> None:
    """8 GiB over 8 GPUs, as nccl-tests print it with the bytes of a ring: NCCL took 31.3 ms on H100s."""
    shipped = write_small_catalog(tmp_path / "shipped")
    for name in ("h100-sxm", "a100-80gb-sxm"):
        shutil.copyfile(SHIPPED / "hardware" / f"{name}.toml", shipped / "hardware" / f"{name}.toml")
    size, text = 2**33, f"{HEADER},level,tensor_parallel\n"
    for hardware_id, devices in (("h100-sxm", ""), ("h100-sxm", 2), ("a100-80gb-sxm", 8)):
        kernel = (
            f"{hardware_id},{devices or 'some'},communication,all_reduce,bf16,0,{2 * 7 / 8 * size},0.0313,nccl-tests"
        )
        text += f"{kernel},interconnect,{devices}\n"
    home = Home(tmp_path / "home")
    add_files(home, "measurement", [str(write_file(tmp_path, "mine.csv", text))])
    run_without_prefect(home, shipped)
    with open_snapshot(home.snapshot) as connection:
        found = connection.sql(
            "select op, algorithm, lower_bound_s, roof_fraction, bytes / bandwidth_bytes_per_s, is_above_roof"
            " from mart.measured_point where kind = 'all_reduce' order by op"
        ).fetchall()
    expected = [
        ("2", "switch", 2 * 7 / 8 * size / 450e9, True),  # a pair sends as much as in a ring
        ("8", "ring", 2 * 7 / 8 * size / 300e9, True),
        ("some", "switch", size / 450e9, False),  # as many as the switch joins
    ]
    assert found == [
        (op, algorithm, *(pytest.approx(each) for each in (seconds, seconds / 0.0313, seconds)), above)
        for op, algorithm, seconds, above in expected
    ]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("latency_s", "latency", ["no column latency_s", "latency_ms"]),
        (",method", ",software", ["no column method"]),
        ("0.01", "fast", ["row 1", 'latency_s = "fast"', "a number"]),
        ("0.01", "0", ['row 1 ("gemm")', "latency_s: expected"]),
        ("0.01", "nan", ["row 1", "latency_s"]),
        ("0.01", "", ["row 1", "latency_s: missing"]),
        ("fp16", "fp17", ["row 1", "dtype: expected one of"]),
        ("a40", "a41", ['hardware_id = "a41"', "rooflines ingest hardware"]),
        ("1e9", "-1", ["row 1", "bytes"]),
        (GOOD, "", ["mine.csv"]),
        (GOOD, f"{HEADER}\n", ["no rows"]),
    ],
)
def test_bad_measurements(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "mine.csv", GOOD.replace(old, new, 1))
    assert_refused(lambda: add_files(home, "measurement", [str(path)]), names=["mine.csv", *names])
    assert not home.catalog.exists()


def test_measured_ceilings_stand_after_those_of_device_files(tmp_path: Path) -> None:
    text = f"{HEADER}\na40,copy,ceiling,copy,fp32,0,1e9,0.002,clock\na40,gemm,ceiling,linear,int4,1e12,1e9,0.01,clock\n"
    sources = [make_source(write_file(tmp_path, "mine.csv", text), "measurement")]
    measured = read_measurements(sources)["measurement"]
    row = {"hardware_id": "a40", "kind": "bandwidth", "name": "dram", "basis": "measured", "origin": "o", "note": None}
    row |= {"pipe": "", "accumulator": "", "ceiling_name": "", "reduces_in_switch": None, "switch_devices": None}
    own = pl.DataFrame([{**row, "value_per_s": 570e9, "is_default": True, "preference": 1, "source_id": "s"}])
    both = (
        add_measured_ceilings(own, measured, sources).select("name", "value_per_s", "preference", "is_default").rows()
    )
    assert sorted(both) == [("dram", 500e9, 2, False), ("dram", 570e9, 1, True), ("int4", 1e14, 1, True)]


VIDUR = """\
n_head,n_kv_head,n_embd,n_expanded_embd,use_gated_mlp,num_tokens,num_tensor_parallel_workers
32,8,4096,14336,True,64,2
32,8,4096,14336,True,64,2
32,8,4096,14336,False,8,1
"""


def vidur(folder: Path, name: str = "mlp.csv") -> Path:
    layers = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
    frame = pl.read_csv(VIDUR.encode()).with_columns(
        pl.Series(f"time_stats.{layer}.{statistic}", [0.1, 0.3, 0.2])
        for layer in layers
        for statistic in ("min", "median", "std")
    )
    frame.write_csv(folder / name)
    return folder / name


def test_profiles_of_vidur(tmp_path: Path) -> None:
    rows = read_vidur(make_source(vidur(tmp_path), "measurement"), "a40", "llama-3-8b")
    shared = rows.filter(tensor_parallel=2).select("op", "m", "k", "n", "latency_s").rows()
    assert [row[:4] for row in shared] == [
        ("qkv_proj", 64, 4096, 3072), ("o_proj", 64, 2048, 4096), ("gate_up_proj", 64, 4096, 14336),
        ("down_proj", 64, 7168, 4096),
    ]  # fmt: skip
    assert [row[4] for row in shared] == pytest.approx([0.0002] * 4)  # milliseconds, the mean of two profiles
    assert rows.filter(tensor_parallel=1, op="gate_up_proj")["n"].to_list() == [14336]  # no gate
    assert rows["license"].unique().to_list() == ["MIT"]


def test_attention_in_profiles_of_vidur(tmp_path: Path) -> None:
    sizes = {"n_embd": 4096, "n_q_head": 32, "n_kv_head": 8, "num_tensor_parallel_workers": 2}
    times = {f"time_stats.attn_{phase}.{s}": None for phase in ("prefill", "decode") for s in ("min", "median", "std")}
    prompt = {"batch_size": 1, "prefill_chunk_size": 64, "kv_cache_size": 32, "is_prefill": True}
    token = {"batch_size": 4, "prefill_chunk_size": 0, "kv_cache_size": 1023, "is_prefill": False}
    path = tmp_path / "attention.csv"
    pl.DataFrame(
        [
            {**sizes, **times, **prompt, "time_stats.attn_prefill.median": 0.5},
            {**sizes, **times, **token, "time_stats.attn_decode.median": 0.25},
        ]
    ).write_csv(path)
    rows = read_vidur(make_source(path, "measurement"), "a40", "llama-3-8b").sort("phase")
    assert rows.select("phase", "query_length", "sequence_length", "heads", "kv_heads", "head_dim").rows() == [
        ("decode", 1, 1024, 16, 4, 128),
        ("prefill", 64, 96, 16, 4, 128),
    ]
    seen = sum(32 + i for i in range(1, 65))  # the cache, and of the chunk what is causal
    assert rows["flops"].to_list() == [4 * 4 * 16 * 128 * 1024, 4 * 16 * 128 * seen]
    assert rows["bytes"].to_list() == [
        2 * (2 * 4 * 16 * 128) + 2 * (2 * 4 * 4 * 1024 * 128),
        2 * (2 * 16 * 64 * 128) + 2 * (2 * 4 * 96 * 128),
    ]
    assert rows["latency_s"].to_list() == [0.00025, 0.0005]


def test_profiles_of_vidur_in_the_catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "profiles" / "a40"
    folder.mkdir(parents=True)
    assert run_command(["ingest", "vidur", str(vidur(folder)), "--home", str(home.path)]) == 0
    assert "vidur-a40-a40-mlp.parquet" in capsys.readouterr().out
    nameless = vidur(tmp_path, "x.csv")
    assert run_command(["ingest", "vidur", str(nameless), "--home", str(home.path)]) == 2
    assert "names no device of the catalog; expected --hardware-id" in capsys.readouterr().err
    other = write_file(folder, "other.csv", "a,b\n1,2\n")
    assert run_command(["ingest", "vidur", str(other), "--home", str(home.path)]) == 2
    assert "expected a profile by Vidur, mlp.csv or attention.csv" in capsys.readouterr().err


@pytest.mark.skipif(not PROFILE.exists(), reason="no public profiles beside the checkout")
def test_a_public_profile_of_vidur() -> None:
    rows = read_vidur(make_source(PROFILE, "measurement"), "a40", "llama-2-7b")
    assert len(rows) == 4 * (1044 - 8)  # four products, two profiles of 4096 and of 128 tokens each
    best = rows.filter(tensor_parallel=1).select((pl.col("flops") / pl.col("latency_s")).max()).item()
    assert 0.82 < best / 149.7e12 < 0.84


def test_results_of_products_count_with_their_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp8 products write bf16, int8 ones int32."""
    backend = measure.Numpy()
    monkeypatch.setattr(backend, "dtypes", ("bf16", "fp8", "int8"))
    products = [row for row in measure.plan_ceilings(backend) if row["kind"] == "linear" and row["m"] == "512"]
    assert {row["dtype"]: int(row["bytes"]) for row in products} == {
        "bf16": 6 * 512**2,
        "fp8": 4 * 512**2,
        "int8": 6 * 512**2,
    }

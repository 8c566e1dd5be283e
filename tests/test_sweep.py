"""Large grids: the same figures as the warehouse's own, whole files or none, seen by readers at once."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.cli.app import run_command
from flows.intensity.terms import PHASES
from flows.sweep.grid import Grid, Part, compute_rows, count_rows_and_parts, cut_into_parts
from flows.sweep.parts import part_path, run_in_threads
from flows.sweep.request import Request, parse_range
from flows.sweep.run import run_sweep
from tests.support.files import ROOT
from tests.support.hostile import REFUSED
from tests.support.inputs import DEVICE
from tests.support.sweeps import COST, KEY, SMALL, interrupt_after, query_snapshot, read_shipped_inputs
from tests.support.tiers import keep_fast
from tests.support.whole_runs import run_without_prefect
from warehouse.build import open_build
from warehouse.errors import InputError, RunError
from warehouse.home import Home
from warehouse.migrations import create_tables
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot
from warehouse.sweeps.registry import PartFile, remove_sweep
from warehouse.views import create_views


def listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def list_part_files(home: Home, name: str = "small") -> set[Path]:
    return {path for path in (home.sweeps / name).rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", [4]),
        ("4,1,2,1", [1, 2, 4]),
        ("1:4:1", [1, 2, 3, 4]),
        ("1:6:2", [1, 3, 5]),
        ("1:512:x8", [1, 8, 64, 512]),
        ("3:10:x2, 7", [3, 6, 7]),
        ("5:5:1", [5]),
    ],
)
def test_ranges(text: str, expected: list[int]) -> None:
    assert parse_range("--batch", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,,2", "0", "-1", "1:4", "4:1:1", "1:4:0", "1:4:x1", "1:4:y2", "1.5", "1:2000000:1", "9" * 40, "²"],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(InputError, match=r"--batch: .*expected"):
        parse_range("--batch", text)


few = st.lists(st.integers(1, 300), min_size=1, max_size=4, unique=True).map(sorted)
grids = st.builds(
    Grid,
    models=st.lists(st.sampled_from(["gpt2", "mixtral-8x7b", "deepseek-v2-lite"]), min_size=1, max_size=2, unique=True),
    conventions=st.lists(st.sampled_from(["engine", "paper"]), min_size=1, unique=True),
    phases=st.lists(st.sampled_from(PHASES), min_size=1, unique=True),
    precisions=st.lists(st.sampled_from(["fp16", "w4a16"]), min_size=1, unique=True),
    tensor_parallel=st.lists(st.sampled_from([1, 8]), min_size=1, unique=True),
    batch_size=few,
    sequence_length=few,
    candidates=few,
    queries=few,
)


def compute_every_row(grid: Grid, rows_per_part: int) -> pl.DataFrame:
    """The rows of all parts, sorted."""
    inputs = read_shipped_inputs()
    frames = []
    parts = cut_into_parts(inputs, grid, rows_per_part)
    for part in parts:
        rows = pl.concat(compute_rows(inputs, grid, part)).with_columns(
            pl.lit(part.model_id).alias("model_id"), pl.lit(part.convention).alias("convention")
        )
        assert len(rows) == part.row_count
        frames.append(rows)
    assert len({part_path(inputs, grid, part) for part in parts}) == len(parts)
    names = pl.col("phase", "op", "op_group", "level", "precision_id").cast(pl.String)
    return pl.concat(frames).with_columns(names).sort(KEY) if frames else pl.DataFrame()


@given(grid=grids, rows_per_part=st.integers(1, 3000))
@settings(max_examples=15, deadline=None)
def test_the_rows_do_not_depend_on_how_they_are_parted(grid: Grid, rows_per_part: int) -> None:
    whole, parted = compute_every_row(grid, 10**9), compute_every_row(grid, rows_per_part)
    assert whole.equals(parted)
    if len(whole):
        assert not whole.select(KEY).is_duplicated().any()


def test_a_part_holds_as_many_rows_as_it_may() -> None:
    grid = Grid(["llama-7b"], ["engine"], ["decode", "prefill"], ["fp16"], [1], [1, 2, 3], [128, 256])
    counts = [part.row_count for part in cut_into_parts(read_shipped_inputs(), grid, 56)]
    assert counts == [56, 56, 56]
    assert {part.row_count for part in cut_into_parts(read_shipped_inputs(), grid, 1)} == {14}  # one setting is not cut
    assert [count_rows_and_parts(read_shipped_inputs(), grid, rows) for rows in (56, 1)] == [(168, 3), (168, 12)]


def test_the_figures_are_those_of_the_warehouse(home: Home) -> None:
    """Bit by bit: the shipped workloads as sweeps give all rows that a run gave for them, and no others."""
    models = ["llama-7b", "mixtral-8x7b", "deepseek-v2-lite", "gemma-2-2b", "falcon-7b", "gpt2-xl", "gpt-oss-120b"]
    with open_snapshot(home.snapshot) as connection:
        workloads = read_frame(connection, "from core.workload").to_dicts()
    for workload in workloads:
        request = Request(
            workload["workload_id"],
            [model for model in models if model in (workload["models"] or models)],
            *(workload[name] for name in ("conventions", "phases", "precisions")),
            *(listed(workload[name]) for name in ("tensor_parallel", "batch_sizes", "sequence_lengths")),
        )
        candidates = listed(workload["candidates"]) or None
        experts, replicas = (listed(workload[name]) for name in ("expert_parallel", "data_parallel"))
        shared = replace(request, candidates=candidates, expert_parallel=experts, data_parallel=replicas)
        run_sweep(home, replace(shared, rows_per_part=50_000))
    names = ", ".join(f"'{name}'" for name in models)
    columns = ", ".join([*KEY, "op_group", "level", "repeat", *COST])
    of_models = f"model_id in ({names}) and pipeline_parallel = 1"
    cost = f"select {columns} from core.op_cost inner join core.op_shape using (shape_id) where {of_models}"
    swept = f"select distinct {columns} from mart.sweep_cost"
    columns = ", ".join([*KEY, "hardware_id", "series", "attainable_flops_per_s", "lower_bound_s", "bound", "level"])
    point = f"select {columns} from mart.roofline_point where hardware_id = 'h100-sxm' and {of_models}"
    swept_point = f"select distinct {columns} from mart.sweep_point where hardware_id = 'h100-sxm'"
    for one, other in ((cost, swept), (point, swept_point)):
        # no workload asks for some settings of measured steps
        asked = f"{one} and not is_measured"
        assert query_snapshot(home, f"select count(*) > 10_000 from ({asked})") == [(True,)]
        assert query_snapshot(home, f"select count(*) from ({asked} except {other})") == [(0,)]
        assert query_snapshot(home, f"select count(*) from ({other} except {one})") == [(0,)]


def test_a_sweep_is_seen_by_every_reader(home: Home) -> None:
    done = run_sweep(home, SMALL)
    assert (done.row_count, done.parts_before) == (2 * 2 * 2 * 14, 0)
    assert done.part_count == len(list_part_files(home)) == 4
    assert query_snapshot(home, "select sweep_id, row_count, part_count, batch_range, folder from mart.sweep") == [
        ("small", 112, 4, "1,2", "sweeps/small")
    ]
    count = "select count(*) from mart.sweep_cost where sweep_id = 'small' and model_id = 'llama-7b'"
    assert query_snapshot(home, count) == [(112,)]
    with duckdb.connect(str(home.snapshot), read_only=True) as plain:
        assert plain.sql(count).fetchall() == [(112,)]
    assert query_snapshot(home, "select count(*) from mart.sweep_cost where sweep_id = 'other'") == [(0,)]


def test_only_the_files_of_a_model_are_read(home: Home) -> None:
    run_sweep(home, Request("two", ["llama-7b", "gpt2"], batch="1", sequence="128"))
    with open_snapshot(home.snapshot) as connection:
        where = "where sweep_id = 'two' and model_id = 'gpt2'"
        query = f"explain (analyze, format json) select sum(flops) from mart.sweep_point {where}"
        said = connection.sql(query).fetchall()
    assert '"Scanning Files": "1/2"' in said[0][1]


def test_a_sweep_outlives_later_runs(small_home: Home, small_shipped: Path) -> None:
    home = small_home
    run_sweep(home, SMALL)
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert query_snapshot(home, "select count(*), count(distinct hardware_id) > 1 from mart.sweep_point") != [
        (0, False)
    ]
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]
    assert {path.name for path in (home.site / "data").glob("core.sweep*")} == {
        "core.sweep.parquet", "core.sweep_device.parquet", "core.sweep_part.parquet"
    }  # fmt: skip


def test_a_sweep_publishes_no_run_that_was_not_published(home: Home) -> None:
    with open_build(home) as build:
        build.execute("delete from core.hardware where hardware_id = 'a40'")
    run_sweep(home, SMALL)
    assert query_snapshot(home, "select count(*) from core.hardware where hardware_id = 'a40'") == [(1,)]


def test_an_interrupted_sweep_goes_on(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(home, SMALL, runner=interrupt_after(3))
    begun = {path: path.stat().st_mtime_ns for path in list_part_files(home)}
    assert len(begun) == 3
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(0,)]
    assert run_sweep(home, SMALL).parts_before == 3
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]
    again = run_sweep(home, SMALL)
    assert again.parts_before == again.part_count == 4
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]


@pytest.mark.slow
@pytest.mark.parametrize("sent", keep_fast(1, [signal.SIGKILL, signal.SIGINT]))
def test_a_killed_sweep_leaves_whole_parts(sent: signal.Signals, home: Home) -> None:
    arguments = ["--name", "small", "--model", "llama-7b", "--batch", "1:256:1", "--sequence", "1:256:1"]
    command = [sys.executable, "-P", "-m", "flows.cli", "sweep", *arguments, "--rows-per-part", "20000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROOFLINES_HOME": str(home.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        ends = time.monotonic() + 60
        while len(list(home.sweeps.rglob("*.parquet"))) < 3 and time.monotonic() < ends:
            time.sleep(0.02)
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    assert said == ("rooflines: interrupted\n" if sent == signal.SIGINT else "")
    before = list(home.sweeps.rglob("*.parquet"))
    assert all(len(pl.read_parquet(path)) for path in before)
    request = Request("small", ["llama-7b"], batch="1:256:1", sequence="1:256:1", rows_per_part=20_000)
    done = run_sweep(home, request)
    assert 3 <= done.parts_before == len(before) < done.part_count
    assert {path.suffix for path in list_part_files(home)} == {".parquet"}
    distinct = f"select count(*), count(distinct ({', '.join(KEY)})) from mart.sweep_cost"
    assert query_snapshot(home, distinct) == [(done.row_count, done.row_count)]


def test_a_sweep_of_the_same_name_takes_the_place_of_the_first(home: Home) -> None:
    run_sweep(home, SMALL)
    before = list_part_files(home)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(home, replace(SMALL, batch="3,4"), runner=interrupt_after(2))
    assert len(list_part_files(home)) == len(before) + 2
    run_sweep(home, Request("small", ["gpt2"], batch="1", sequence="128"))
    assert query_snapshot(home, "select distinct model_id from mart.sweep_cost") == [("gpt2",)]
    assert not before & list_part_files(home)
    assert len(list_part_files(home)) == 1


def test_a_sweep_can_be_taken_away(home: Home, tmp_path: Path) -> None:
    shared = tmp_path / "shared [disk]=it's"
    run_sweep(home, SMALL)
    run_sweep(home, Request("elsewhere", ["gpt2"], batch="1", sequence="128", out=shared))
    assert query_snapshot(home, "select sweep_id, count(*) from mart.sweep_cost group by 1 order by 1") == [
        ("elsewhere", 26), ("small", 112)
    ]  # fmt: skip
    assert remove_sweep(home, "elsewhere") == 1
    assert shared.exists()
    assert not list(shared.iterdir())
    assert query_snapshot(home, "select distinct sweep_id from mart.sweep_cost") == [("small",)]
    assert remove_sweep(home, "small") == 4
    assert not (home.sweeps / "small").exists()
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(0,)]
    assert query_snapshot(home, "select count(*) from mart.sweep") == [(0,)]
    with pytest.raises(InputError, match=r"--remove: small: no such sweep; there are none"):
        remove_sweep(home, "small")


def test_a_sweep_that_was_only_begun_can_be_taken_away(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(home, SMALL, runner=interrupt_after(2))
    assert remove_sweep(home, "small") == 2
    assert not (home.sweeps / "small").exists()


@pytest.mark.parametrize("name", ["..", "../catalog", ".", "/", "small/..", "mine"])
def test_removing_a_sweep_deletes_nothing_else(name: str, tmp_path: Path) -> None:
    """No path leaves HOME/sweeps, whether written out or as a link."""
    home = Home(tmp_path / "home")
    mine = home.catalog / "hardware" / "mine.toml"
    for folder in (mine.parent, home.sweeps / "small"):
        folder.mkdir(parents=True)
    mine.write_text("")
    (home.sweeps / "mine").symlink_to(home.catalog)
    with duckdb.connect(str(home.snapshot)) as connection:
        create_tables(connection)
        create_views(connection)
    with pytest.raises(InputError, match=f"--remove: {re.escape(name)}: .*expected"):
        remove_sweep(home, name)
    with pytest.raises(InputError, match="expected"):
        remove_sweep(home, str(home.catalog))
    assert mine.exists()
    assert (home.sweeps / "small").exists()


def test_a_lost_part_is_named_and_can_be_made_again(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run_sweep(home, SMALL)
    run_sweep(home, Request("other", ["gpt2"], batch="1", sequence="128"))
    lost = min(list_part_files(home))
    lost.unlink()
    assert run_command(["query", "from mart.sweep_cost", "--home", str(home.path)]) == 2
    said = capsys.readouterr().err
    assert lost.name in said
    assert "rooflines sweep" in said
    assert len(said.splitlines()) == 1
    with open_build(home) as build:  # as a run would
        create_views(build)
        assert build.sql("select distinct sweep_id from mart.sweep_cost").fetchall() == [("other",)]
    assert run_sweep(home, SMALL).parts_before == 3
    assert query_snapshot(home, "select count(*) from mart.sweep_cost where sweep_id = 'small'") == [(112,)]


@pytest.mark.parametrize("rows", [pl.DataFrame({"x": [1]}), None], ids=["foreign", "of another part"])
def test_a_part_with_other_content_than_its_name_says_is_made_again(rows: pl.DataFrame | None, home: Home) -> None:
    run_sweep(home, SMALL)
    part, other = sorted(list_part_files(home))[:2]
    before = part.read_bytes()
    if rows is None:
        part.write_bytes(other.read_bytes())
    else:
        rows.write_parquet(part)
    assert run_sweep(home, SMALL).parts_before == 3
    assert part.read_bytes() == before
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]


HOSTILE_TO_PARTS = [
    "copy (select 1 as x) to '{part}' (use_tmp_file false)",
    "explain analyze copy (select 1 as x) to '{part}' (use_tmp_file false)",
    "explain\N{NO-BREAK SPACE}analyze\N{NO-BREAK SPACE}copy (select 1 as x) to '{part}' (use_tmp_file false)",
    "with x as (copy (select 1 as x) to '{part}' (use_tmp_file false)) from x",
    "from read_parquet('{part}')",
    "prepare p as copy (select 1 as x) to '{part}' (use_tmp_file false); execute p",
    "select 1; copy (select 1 as x) to '{part}' (use_tmp_file false)",
    "from '{folder}/x.parquet'",
    "from glob('{folder}/*')",
]


@pytest.mark.parametrize("sql", [*HOSTILE_TO_PARTS, *keep_fast(1, REFUSED)])
def test_the_sandbox_holds_beside_a_sweep(sql: str, swept: Home, capsys: pytest.CaptureFixture[str]) -> None:
    part = min(list_part_files(swept))
    before = part.read_bytes()
    assert run_command(["query", sql.format(part=part, folder=part.parent), "--home", str(swept.path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert part.read_bytes() == before


def test_a_query_is_never_written_onto_a_part(
    finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    run_sweep(home, replace(SMALL, out=tmp_path / "elsewhere"))
    part = min((tmp_path / "elsewhere").rglob("*.parquet"))
    before = part.read_bytes()
    arguments = ["query", "select 1", "--format", "parquet", "--out", str(part), "--home", str(home.path)]
    assert run_command(arguments) == 2
    assert "a file of the sweep small; expected a file of yours" in capsys.readouterr().err
    assert part.read_bytes() == before


@pytest.fixture(scope="module")
def swept(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a sweep; tests must not write to it."""
    home = Home(tmp_path_factory.mktemp("swept"))
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    run_sweep(home, SMALL)
    return home


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected either --name NAME or --remove NAME"),
        (["--name", "a", "--remove", "b"], "expected either --name NAME or --remove NAME"),
        (["--name", "../a"], "--name: ../a: expected at most 64 lowercase letters"),
        (["--remove", "../catalog"], "--remove: ../catalog: expected at most 64 lowercase letters"),
        (["--remove", ""], "--remove: : expected at most 64 lowercase letters"),
        (["--remove", "nobody"], "--remove: nobody: no such sweep; expected one of small"),
        (["--name", "a", "--model", "nobody"], "--model: nobody: expected a name such as"),
        (["--name", "a", "--precision", "fp17"], "--precision: fp17: expected a name such as fp1"),
        (["--name", "a", "--convention", "mine"], "--convention: mine: expected one of "),
        (["--name", "a", "--phase", "init"], "--phase: init: expected one of prefill, decode, speculative, mixed"),
        (["--name", "a", "--phase", "speculative"], "--candidates: missing; expected numbers"),
        (["--name", "a", "--batch", "1:0:1"], "--batch: 1:0:1: expected numbers from 1 to 1000000"),
        (["--name", "a", "--sequence", "many"], "--sequence: many: expected"),
        (["--name", "a", "--tensor-parallel", "0"], "--tensor-parallel: 0: expected numbers from 1 to 64"),
        (["--name", "a", "--tensor-parallel", "65"], "--tensor-parallel: 65: expected"),
        (["--name", "a", "--model", "falcon-7b", "--tensor-parallel", "8"], "no model's heads divide evenly"),
        (["--name", "a", "--rows-per-part", "0"], "--rows-per-part: 0: expected 1 to"),
        (["--name", "a", "--batch", "1:1000000:1", "--sequence", "1:1000000:1"], "expected at most 100,000 parts"),
        (["--name", "a", "--batch", "1:999:1", "--rows-per-part", "9"], "--rows-per-part 9; expected at most 100,000"),
        (["--name", "a", "--model", "gpt2", "--out", "/dev/null/x"], "--out: /dev/null/x/a"),
    ],
)
def test_what_cannot_be_swept(
    arguments: list[str], expected: str, swept: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["sweep", *arguments, "--home", str(swept.path)]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1


def test_a_full_disk_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(RunError, match=r"No space left on device; 0 of 4 parts are finished"):
            run_sweep(home, SMALL)
    assert not list_part_files(home)
    assert run_sweep(home, SMALL).parts_before == 0


def test_a_dry_run_writes_nothing(swept: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = swept.snapshot.read_bytes()
    arguments = ["--name", "next", "--model", "llama-7b", "--batch", "1,2", "--sequence", "128,256", "--dry-run"]
    assert run_command(["sweep", *arguments, "--home", str(swept.path)]) == 0
    assert capsys.readouterr().out == "would write 112 rows: 0 of 1 parts were there, about 0 MB in all\n"
    assert swept.snapshot.read_bytes() == before
    assert not (swept.sweeps / "next").exists()


def test_another_runner_can_take_the_parts(home: Home) -> None:
    """What is worked on is plain data, in any order, even twice."""
    seen: list[Part] = []

    def backwards(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> Iterator[PartFile]:
        seen.extend(parts)
        yield from run_in_threads(work, [*reversed(parts)])

    run_sweep(home, SMALL, runner=backwards)
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]
    assert len(seen) == len(set(seen)) == 4

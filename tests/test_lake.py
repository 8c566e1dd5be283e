"""The lake: what four writers push, and what homes pull of it. In the slow tier, with a real PostgreSQL."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import run as steps
from flows.cli.app import run_command
from flows.core_tables import stage_inputs, stage_tables
from flows.ingest.catalog import SHIPPED, list_sources
from tests.support.files import ROOT
from tests.support.postgresql import Server, start_postgresql
from tests.support.s3 import serve_s3
from warehouse import snapshot
from warehouse.checks import run_checks
from warehouse.connection import OFFLINE
from warehouse.engine.extensions import explain_missing_extension
from warehouse.errors import InputError
from warehouse.files.bucket import BucketPath
from warehouse.home import Home
from warehouse.lake.connection import attach_lake
from warehouse.lake.pull import pull_lake
from warehouse.lake.push import push_home, remove_writer
from warehouse.migrations import TableVersion, read_table_version
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import sql_files

WRITERS = ["ada", "bob", "cyd", "dan"]
KEPT = {
    "hardware/a40",
    "hardware/h100-sxm",
    "architecture/llama",
    "model/llama-7b",
    "precision/precisions",
    "elementwise/elementwise",
}
GRID = """
workload_id = "{name}"
name = "{name}"
origin = "a test"
phases = ["prefill", "decode"]
batch_size = {batch_sizes}
sequence_length = [1024]
conventions = ["engine"]
precisions = ["fp16", "bf16"]
"""


def publish(home: Home) -> Home:
    """Publish what a home's catalog and a few shipped files hold, without Prefect and without charts."""
    sources = [s for s in list_sources(home) if f"{s.kind}/{s.entry_id}" in KEPT or s.source_id.startswith("home/")]
    run = steps.create_run(sources)
    with home.lock_for_writing(), steps.record(home, run):
        tables = stage_inputs(home, sources)
        tables |= stage_tables(home, tables, sources)
        steps.load(home, run, tables, sources)
        snapshot.promote(steps.write_snapshot(home, run), home, run.run_id)
    return home


def put(home: Home, path: str, text: str) -> None:
    file = home.catalog / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def describe_device(name: str, shipped: str = "a40") -> str:
    text = (SHIPPED / "hardware" / f"{shipped}.toml").read_text("utf-8")
    return text.replace(f'"{shipped}"', f'"{name}"').replace(f'"{shipped.upper()}"', f'"{name}"')


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with open_snapshot(home.snapshot) as connection:
        return connection.sql(sql).fetchall()


@dataclass(frozen=True)
class Place:
    """Where a lake is."""

    address: str
    data: Path

    def ask(self, *questions: str) -> list[list[tuple[Any, ...]]]:
        """Ask the lake itself, as any client of DuckDB can."""
        with duckdb.connect(config=OFFLINE) as connection:
            attach_lake(connection, self.address, ["read_only"])
            connection.execute("use lake")
            return [connection.sql(question).fetchall() for question in questions]

    def version(self) -> object:
        return self.ask("from ducklake_current_snapshot('lake')")


class Places:
    """Makes places for lakes: one database of the server each, or one file each if there is no server."""

    def __init__(self, folder: Path, server: Server | None = None) -> None:
        self.server, self.folder, self.count = server, folder, 0
        self.prefix = f"lake_{folder.name}_"  # several of these share a server

    def new(self) -> Place:
        self.count += 1
        address = str(self.folder / f"{self.prefix}{self.count}.ducklake")
        if self.server:
            name, user = f"{self.prefix}{self.count}", self.server.user
            self.server.execute(f"create database {name}")
            address = f"postgres:host=127.0.0.1 port={self.server.port} user={user} dbname={name}"
        return Place(address, self.folder / f"it's data {self.count}")


@pytest.fixture(scope="module", autouse=True)
def _extensions() -> None:
    for extension in ("ducklake", "postgres_scanner"):
        if reason := explain_missing_extension(extension, "lake"):
            pytest.skip(reason)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with start_postgresql() as server:
        yield server


@pytest.fixture(scope="module", params=["file", pytest.param("server", marks=pytest.mark.slow)])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Places whose catalog is a file, which takes one writer at a time, or in PostgreSQL."""
    server = request.getfixturevalue("postgresql") if request.param == "server" else None
    return Places(tmp_path_factory.mktemp("data"), server)


@pytest.fixture(scope="module")
def served(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("data"), postgresql)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with what all of them have; tests must not write to it."""
    home = Home(tmp_path_factory.mktemp("shared") / "home")
    put(home, "workloads/common.toml", GRID.format(name="common", batch_sizes=[1, 8]))
    put(home, "hardware/spare.toml", describe_device("spare"))
    return publish(home)


@pytest.fixture(scope="module")
def homes(shared: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """A home a writer: the shared one with a device, settings and measurements of its own."""
    folder, found = tmp_path_factory.mktemp("homes"), {}
    header, *kernels = (SHIPPED / "measurements" / "h100-sxm-2026-11-22.csv").read_text("utf-8").splitlines()
    for number, writer in enumerate(WRITERS, start=1):
        home = found[writer] = Home(Path(shutil.copytree(shared.path, folder / writer)))
        put(home, f"hardware/gpu-{writer}.toml", describe_device(f"gpu-{writer}"))
        put(home, f"workloads/own-{writer}.toml", GRID.format(name=f"own-{writer}", batch_sizes=[16 + number]))
        put(home, "measurements/mine.csv", "\n".join([header, *kernels[10 * number : 10 * number + 10], ""]))
        publish(home)
    return found


@pytest.fixture
def own(shared: Home, tmp_path: Path) -> Home:
    """A copy of the shared home that a test may change."""
    return Home(Path(shutil.copytree(shared.path, tmp_path / "own")))


def start_push(home: Home, place: Place, writer: str) -> subprocess.Popen[str]:
    """Begin a push in a process of its own."""
    options = ["--to", place.address, "--data", str(place.data), "--writer", writer, "--home", str(home.path)]
    command = [sys.executable, "-m", "flows.cli", "lake", "push", *options]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def full(homes: dict[str, Home], places: Places) -> Place:
    """A lake that four writers made and pushed to, at once if it has a server; tests must not write to it."""
    place = places.new()
    if places.server is None:
        for writer, home in homes.items():
            assert push_home(home, place.address, writer, str(place.data)).taken_out == 0
        return place
    processes = [start_push(home, place, writer) for writer, home in homes.items()]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "rows put in, 0 taken out" in said
    return place


@pytest.fixture(scope="module")
def pulled(full: Place, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """What a home pulls from the full lake."""
    home = Home(tmp_path_factory.mktemp("pulled"))
    assert pull_lake(home, full.address).writers == WRITERS
    return home


def test_every_writers_rows_are_there_and_shared_ones_once(pulled: Home, homes: dict[str, Home]) -> None:
    assert ask(pulled, "select hardware_id from core.hardware order by all") == [
        ("a40",), *((f"gpu-{writer}",) for writer in WRITERS), ("h100-sxm",), ("spare",)
    ]  # fmt: skip
    assert ask(pulled, "select count(*), count(distinct writer) from core.writer") == [(4, 4)]
    # one measurement file of one name in every home: four files
    assert ask(pulled, "select source_id, count(*) from core.measurement group by all order by all") == [
        (f"{writer}/home/measurement/mine", 10) for writer in WRITERS
    ]
    assert ask(pulled, "select count(distinct measurement_id) from core.measurement") == [(40,)]
    sizes = "select distinct batch_size from core.op_shape where batch_size is not null order by all"
    assert [size for (size,) in ask(pulled, sizes)] == [1, 8, 17, 18, 19, 20]
    for writer, home in homes.items():
        for table in ("op_shape", "op_cost", "run_change"):
            assert set(ask(home, f"from core.{table}")) <= set(ask(pulled, f"from core.{table}")), (
                writer,
                table,
            )
    with open_snapshot(pulled.snapshot) as connection:
        assert [rule for rule in run_checks(connection) if rule.offending_rows] == []


def test_the_same_question_has_the_same_answer(full: Place, pulled: Home, homes: dict[str, Home]) -> None:
    question = (
        "select hardware_id, precision_id, phase, batch_size, fits_in_memory, dominant_op_group, tokens_per_s"
        " from mart.step_time where hardware_id in ('a40', 'gpu-bob') and batch_size in (1, 18) order by all"
    )
    answer = [pytest.approx(row) for row in ask(homes["bob"], question)]
    assert len(answer) == 16
    assert ask(pulled, question) == answer
    assert full.ask(question) == [answer]


def test_every_view_and_question_works(full: Place, pulled: Home) -> None:
    views = [path.stem for path in sql_files("views")]
    assert all(full.ask(*(f"describe mart.{view}" for view in views)))
    for question in [f"select count(*) from mart.{view}" for view in views]:
        assert ask(pulled, question)
    for path in sql_files("queries"):
        ask(pulled, path.read_text("utf-8"))


def test_commands_read_what_was_pulled(pulled: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--home", str(pulled.path)]
    for command in (["schema", "writer"], ["check"], ["query", "from mart.run_history"]):
        assert run_command([*command, *at]) == 0
    assert "name under which its home pushes" in capsys.readouterr().out
    question = tmp_path / "points.sql"
    question.write_text(
        "select hardware_id, intensity_flops_per_byte, attainable_flops_per_s as performance_flops_per_s"
        " from mart.roofline_point where hardware_id = 'gpu-ada' and precision_id = 'fp16'",
        "utf-8",
    )
    assert run_command(["chart", "--sql", str(question), "--out", str(tmp_path / "chart.json"), *at]) == 0
    assert run_command(["query", "select * from read_text('/etc/hostname')", *at]) == 2  # the sandbox
    assert run_command(["lake", "push", "--to", "anywhere", *at]) == 2
    assert "was pulled from a lake" in capsys.readouterr().err


def test_a_pulled_home_is_for_nothing_else(pulled: Home, shared: Home, full: Place, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(pulled.path, tmp_path / "home")))
    with pytest.raises(InputError, match="pulled from a lake; expected a home of its own"):
        publish(home)
    assert pull_lake(home, full.address).run_id is None
    with pytest.raises(InputError, match="has runs of its own"):
        pull_lake(shared, full.address)


def test_a_push_writes_what_changed_and_nothing_else(own: Home, places: Places, tmp_path: Path) -> None:
    place, home = places.new(), Home(tmp_path / "pulled")
    first = push_home(own, place.address, "eve", str(place.data))
    assert first.taken_out == 0
    before = place.version()
    assert push_home(own, place.address, "eve").touched == 0
    assert place.version() == before
    assert pull_lake(home, place.address).run_id
    assert pull_lake(home, place.address).run_id is None

    put(own, "hardware/mine.toml", describe_device("mine"))
    (own.catalog / "hardware" / "spare.toml").unlink()
    second = push_home(publish(own), place.address, "eve")
    assert 0 < second.taken_out < 100
    assert 0 < second.put_in < 100
    devices = "select hardware_id from core.hardware order by 1"
    assert place.ask(devices) == [[("a40",), ("h100-sxm",), ("mine",)]]


@pytest.mark.slow
def test_of_what_writers_describe_differently_the_last_push_is_shown(own: Home, places: Places, tmp_path: Path) -> None:
    other = Home(Path(shutil.copytree(own.path, tmp_path / "other")))
    layers = (SHIPPED / "models" / "llama-7b.json").read_text("utf-8")
    put(other, "models/llama-7b.json", layers.replace('"num_hidden_layers": 32', '"num_hidden_layers": 16'))
    put(other, "hardware/a40.toml", describe_device("a40").replace("gb_per_s = 696", "gb_per_s = 690"))
    put(other, "workloads/more.toml", GRID.format(name="more", batch_sizes=[64]))
    place, home = places.new(), Home(tmp_path / "pulled")
    questions = [
        "select bandwidth_bytes_per_s from mart.roof where hardware_id = 'a40' and dtype = 'fp16' and is_default",
        "select distinct repeat from core.op_shape where op_group = 'qkv mlp'",
        "select list(distinct batch_size order by batch_size) from core.op_shape",
    ]
    push_home(publish(other), place.address, "other", str(place.data))
    push_home(own, place.address, "own")
    assert place.ask(*questions) == [[(696e9,)], [(32,)], [([1, 8],)]]
    put(other, "hardware/new.toml", describe_device("new"))  # or there is nothing to push
    push_home(publish(other), place.address, "other")
    assert place.ask(*questions) == [[(690e9,)], [(16,)], [([1, 8, 64],)]]
    pull_lake(home, place.address)
    with open_snapshot(home.snapshot) as connection:
        assert [rule for rule in run_checks(connection) if rule.offending_rows] == []


@pytest.mark.slow
def test_a_killed_push_changes_nothing(own: Home, homes: dict[str, Home], served: Places) -> None:
    place = served.new()
    push_home(homes["ada"], place.address, "ada", str(place.data))
    before = place.version()
    files = set(place.data.rglob("*.parquet"))
    process = start_push(own, place, "eve")
    while set(place.data.rglob("*.parquet")) == files and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert place.version() == before
    assert place.ask("select writer from pushed.writer") == [[("ada",)]]


def test_a_removal_takes_out_one_writer(own: Home, homes: dict[str, Home], places: Places) -> None:
    place, writers = places.new(), "select writer from pushed.writer"
    push_home(homes["ada"], place.address, "ada", str(place.data))
    push_home(homes["bob"], place.address, "bob")
    with pytest.raises(InputError, match="another home pushed under this name"):
        push_home(own, place.address, "ada")
    assert push_home(own, place.address, "ada", replace=True).taken_out > 0
    assert remove_writer(place.address, "bob") > 0
    costs, left = place.ask("from core.op_cost", writers)
    assert set(costs) == set(ask(own, "from core.op_cost"))
    assert left == [("ada",)]
    with pytest.raises(InputError, match="bob: has pushed nothing; expected one of ada"):
        remove_writer(place.address, "bob")
    for name in ("", "shipped", "a b", "it's", "../x"):
        with pytest.raises(InputError, match="--writer"):
            push_home(own, place.address, name)


def test_a_lake_of_another_version(
    homes: dict[str, Home], full: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def push() -> object:
        return push_home(homes["ada"], full.address, "ada")

    monkeypatch.setattr("warehouse.lake.tables.read_table_version", lambda: TableVersion(1, "a"))
    with pytest.raises(InputError, match="tables of a newer version"):
        push()
    own = read_table_version()
    monkeypatch.setattr("warehouse.lake.tables.read_table_version", lambda: own._replace(sha256="edited"))
    with pytest.raises(InputError, match="other tables than this version"):
        push()
    monkeypatch.setattr("warehouse.lake.tables.read_table_version", lambda: TableVersion(1000, "a"))
    with pytest.raises(InputError, match="tables of an older version"):
        pull_lake(Home(tmp_path / "pulled"), full.address)
    with pytest.raises(InputError, match="tables of an older version"):
        remove_writer(full.address, "ada")
    monkeypatch.undo()
    monkeypatch.setattr("warehouse.lake.push.code_version", lambda: "another")
    with pytest.raises(InputError, match="`rooflines run` renews it"):
        push()


@pytest.mark.slow
def test_what_cannot_be_reached_or_breaks_off(
    own: Home,
    served: Places,
    postgresql: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, port = served.new(), postgresql.port
    postgresql.execute("create role locked login password 'right'")
    rules = postgresql.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{rules.read_text('utf-8')}", "utf-8")
    postgresql.execute("select pg_reload_conf()")
    secret = "a wr0ng/one"
    here = f"postgres:host=127.0.0.1 port={port} dbname=lake1"
    pull = ["lake", "pull", "--home", str(tmp_path / "pulled")]
    push = ["lake", "push", "--home", str(own.path), "--writer", "eve"]
    for command, address, said in (
        (pull, "", "expected --from ADDRESS or $ROOFLINES_LAKE"),
        (pull, place.address, "no lake there; `rooflines lake push --data FOLDER` makes one"),
        (push, place.address, "no lake there; `rooflines lake push --data FOLDER` makes one"),
        (pull, f"{here} user=locked password='{secret}'", "password authentication failed"),
        (push, f"postgres:postgresql://locked:wr0ng@127.0.0.1:{port}/lake1", "password authentication failed"),
        (push, f"postgres:host=127.0.0.1 port=1 password='{secret}'", "Connection refused"),
        (pull, "postgres:host=127.0.0.1 port=1 dbname=x password = wr0ng", "Connection refused"),
        (pull, "nonsense:x password=wr0ng", "lake: nonsense:x"),
    ):
        assert run_command([*command, *(["--from" if command == pull else "--to", address] if address else [])]) == 2
        captured = capsys.readouterr().err
        assert said in captured
        assert captured.count("\n") == 1
        assert "wr0ng" not in captured
    monkeypatch.setenv("ROOFLINES_LAKE", f"ducklake:{place.address}")
    assert run_command([*push, "--data", str(place.data)]) == 0
    before = place.version()
    put(own, "hardware/mine.toml", describe_device("mine"))
    publish(own)

    def cut(*_: object) -> None:
        name = place.address.rpartition("=")[2]
        postgresql.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")

    with monkeypatch.context() as patched:
        patched.setattr("warehouse.lake.push._record_push", cut)
        assert run_command(push) == 1
    assert "broke off and changed nothing" in capsys.readouterr().err
    assert place.version() == before
    away = place.data.rename(tmp_path / "away")
    assert run_command(pull) == 1
    assert "broke off" in capsys.readouterr().err
    away.rename(place.data)
    assert run_command(["lake", "remove", "--writer", "eve"]) == 0


def test_what_is_not_installed(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.engine.extensions.find_spec", lambda _: None)
    with pytest.raises(
        InputError, match=r"duckdb-extension-ducklake is not installed; pip install 'rooflines\[lake\]'"
    ):
        push_home(own, "postgres:", "eve")
    monkeypatch.undo()
    monkeypatch.setattr(duckdb, "__version__", "0.0.1")
    with pytest.raises(InputError, match=r"is made for DuckDB [\d.]+, and 0\.0\.1 is installed"):
        push_home(own, "postgres:", "eve")


@pytest.mark.slow
def test_data_in_a_bucket(own: Home, served: Places, tmp_path: Path) -> None:
    place, mine = served.new(), Home(tmp_path / "pulled")
    points = "select hardware_id, model_id, op, flops, bytes, lower_bound_s from mart.roofline_point order by all"
    with serve_s3("lake"):
        assert push_home(own, place.address, "ada", "s3://lake/data").put_in > 0
        assert len(BucketPath("s3://lake/data").list_sizes()) > 0
        assert push_home(own, place.address, "ada", "s3://lake/data").touched == 0
        pull_lake(mine, place.address)
    assert ask(mine, points) == ask(own, points) != []

"""Damaged databases, snapshots and sites, and those of other versions: what the next run makes of them."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from flows.cli.app import run_command
from tests.support.tiers import keep_fast
from tests.support.whole_runs import ask_for, fingerprint_snapshot, run_without_prefect
from warehouse import snapshot
from warehouse.checks import Rule
from warehouse.engine.file_format import STORAGE_NUMBER, read_storage_version
from warehouse.errors import InputError, RunError
from warehouse.home import Home
from warehouse.load import Fingerprints
from warehouse.rows import fetch_column
from warehouse.snapshot import open_snapshot, refuse_earlier_version


@pytest.fixture
def home(small_home: Home) -> Home:
    """A small home after its first run, which a test may change."""
    return small_home


_HEADER, _BLOCK = 12_288, 262_144  # bytes of a DuckDB file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(300_000))


def spoil(block: int) -> Callable[[Path], None]:
    """Change bytes of one block, as a failing disk does."""

    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(_HEADER + block * _BLOCK + 1000)
            file.write(random.Random(8).randbytes(1000))

    return change


def put_in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def add_foreign_log(path: Path) -> None:
    path.with_name(f"{path.name}.wal").write_bytes(random.Random(9).randbytes(5000))


def count_runs_until_published(home: Home, small_shipped: Path) -> int:
    """Return how many runs it took; one that fails says to run again."""
    try:
        run_without_prefect(home, small_shipped)
    except RunError as error:
        said = str(error)
    else:
        return 1
    assert "run again" in said
    run_without_prefect(home, small_shipped)
    return 2


DAMAGES = [cut, overwrite, spoil(4)]


@pytest.mark.parametrize(
    "damage", keep_fast(3, [cut, put_in_the_way, add_foreign_log, *DAMAGES[1:], spoil(9), replace_by_pipe])
)
def test_a_damaged_build_database(
    damage: Callable[[Path], None], home: Home, small_shipped: Path, whole: Fingerprints, elsewhere: Fingerprints
) -> None:
    damage(home.build)
    ask_for(small_shipped, 16)
    assert count_runs_until_published(home, small_shipped) <= 2
    ask_for(small_shipped, 8)
    assert fingerprint_snapshot(home.snapshot) == elsewhere
    with snapshot.open_snapshot(home.snapshot) as connection:  # the history goes on
        assert connection.execute("select count(*) from core.run where status = 'succeeded'").fetchall()[0] == (2,)


@pytest.mark.parametrize("damage", keep_fast(1, DAMAGES))
def test_a_damaged_snapshot_is_published_anew(
    damage: Callable[[Path], None], home: Home, small_shipped: Path, whole: Fingerprints
) -> None:
    damage(home.snapshot)
    run_without_prefect(home, small_shipped)
    assert fingerprint_snapshot(home.snapshot) == whole
    assert all(fingerprint_snapshot(kept) == whole for kept in snapshot.list_snapshots(home))


def test_nothing_is_left_but_a_snapshot_that_was_kept(home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    ask_for(small_shipped, 16)
    run_without_prefect(home, small_shipped)
    ask_for(small_shipped, 8)
    for path in (home.build, home.snapshot):
        overwrite(path)  # the newest that is kept is the same file
    run_without_prefect(home, small_shipped)
    assert fingerprint_snapshot(home.snapshot) == whole
    with snapshot.open_snapshot(home.snapshot) as connection:
        assert connection.execute("select count(*) from core.run").fetchall()[0] == (2,)


def test_nothing_is_left(home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    for path in (home.build, home.snapshot, *home.stage.rglob("*.parquet")):
        overwrite(path)
    assert count_runs_until_published(home, small_shipped) <= 2
    assert fingerprint_snapshot(home.snapshot) == whole


@pytest.mark.parametrize("lost", ["charts/*/*.svg", "data/mart.roof.parquet", "index.html", "*.*"])
def test_a_damaged_site_is_mended(lost: str, home: Home, small_shipped: Path) -> None:
    before = {path: path.read_bytes() for path in home.site.rglob("*.*") if path.is_file()}
    for path in home.site.rglob(lost):
        if path.is_file():
            path.unlink()
            if lost != "*.*":
                path.touch()
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    after = {path: path.read_bytes() for path in home.site.rglob("*.*") if path.is_file()}
    assert after.keys() == before.keys()
    assert {path.suffix for path in after if after[path] != before[path]} <= {".html", ".parquet", ".json"}  # this run
    assert all(after.values())


def test_a_staged_file_that_was_cut_short_is_made_again(home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    (staged,) = home.stage.glob("op_cost-*.parquet")
    staged.write_bytes(staged.read_bytes()[:1000])
    home.snapshot.unlink()
    home.build.unlink()
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert fingerprint_snapshot(home.snapshot) == whole


def test_a_rule_that_does_not_hold_stops_the_run(
    home: Home, small_shipped: Path, whole: Fingerprints, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Rule("good", "one row", 0, ""), Rule("duplicate_key", "one row", 2, "object core.hardware")]
    monkeypatch.setattr("flows.run.run_checks", lambda *_: found)
    ask_for(small_shipped, 16)
    with pytest.raises(RunError, match=r"1 of 2 rules do not hold.*duplicate_key \(2 rows, e.g. object core.hardware"):
        run_without_prefect(home, small_shipped)
    ask_for(small_shipped, 8)
    assert fingerprint_snapshot(home.snapshot) == whole


@pytest.mark.parametrize("name", keep_fast(1, ["build", "rooflines"]))
def test_tables_that_were_edited(name: str, home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    edits = ["update core.op_cost set flops = 2 * flops", "delete from core.model_shard"]
    edits.append("update core.op_cost set intensity_flops_per_byte = 2 * intensity_flops_per_byte")
    with duckdb.connect(str(home.path / f"{name}.duckdb")) as connection:
        for edit in edits:
            connection.execute(edit)
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert fingerprint_snapshot(home.snapshot) == whole
    assert run_without_prefect(home, small_shipped).status == "unchanged"


def add_later_migration(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("insert into core.schema_migration values (999, '999_later.sql', now(), repeat('0', 64))")


def test_a_home_of_an_earlier_version_is_made_anew(
    home: Home, small_shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = home.catalog / "hardware" / "mine.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text(
        (small_shipped / "hardware" / "a40.toml").read_text("utf-8").replace('"a40"', '"mine"').replace('"A40"', '"M"')
    )
    whole = fingerprint_snapshot(home.snapshot)
    for database in (home.build, home.snapshot):
        with duckdb.connect(str(database)) as connection:
            connection.execute("drop table core.run_left_out cascade")
            connection.execute("alter table core.run drop column error")
            connection.execute("update core.schema_migration set version = 9")
    with open_snapshot(home.snapshot) as connection, pytest.raises(InputError, match="`rooflines run` renews it"):
        refuse_earlier_version(connection)
    caplog.clear()
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert [line for line in caplog.messages if "earlier" in line] == [
        "build.duckdb was made by an earlier version; rebuilt from the catalog"
    ]
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        assert fetch_column(connection, "select hardware_id from core.hardware order by 1") == ["a40", "mine"]
        assert len(fetch_column(connection, "select run_id from mart.run_history")) == 2
    mine.unlink()
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert fingerprint_snapshot(home.snapshot) == whole


def test_every_reader_says_that_an_earlier_version_made_the_snapshot(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(home.snapshot)) as connection:
        connection.execute("drop view mart.roof cascade")
        connection.execute("update core.schema_migration set version = 9")
    line = "the snapshot was made by an earlier version; `rooflines run` renews it\n"
    lake = ["lake", "push", "--to", str(tmp_path / "lake"), "--data", str(tmp_path / "files")]
    public = ["publish", "--out", str(tmp_path / "public")]
    for arguments in (["publish"], public, ["calibrate"], ["check"], ["chart"], ["questions", "tokens_per_watt"], lake):
        assert run_command([*arguments, "--home", str(home.path)]) == 2, arguments
        assert capsys.readouterr().err == f"rooflines: {line}", arguments
    for sql, code, expected in [
        ("select 1", 0, ""),
        (
            "from mart.roof",
            2,
            f"query: Table with name mart.roof does not exist; `rooflines schema` lists them; {line}",
        ),
        ("select none from core.model", 2, line),
        ("selec 1", 2, 'Parser Error: syntax error at or near "selec"'),
    ]:
        assert run_command(["query", sql, "--home", str(home.path)]) == code
        assert expected in capsys.readouterr().err


def claim_later_duckdb(database: Path) -> None:
    """Say of a database that a later version of DuckDB wrote it: bytes 12 to 20, and a checksum before them."""
    bytes_ = bytearray(database.read_bytes())
    bytes_[12] = 250
    database.write_bytes(bytes_)
    with pytest.raises(duckdb.Error, match="checksum") as raised, duckdb.connect(str(database)):
        pass
    checksum = int(str(raised.value).split("computed checksum ")[1].split()[0])
    bytes_[:8] = checksum.to_bytes(8, "little")
    database.write_bytes(bytes_)


@pytest.mark.parametrize("name", ["build", "rooflines"])
@pytest.mark.parametrize("later", [add_later_migration, claim_later_duckdb])
def test_databases_of_later_versions_are_left_alone(
    later: Callable[[Path], None], name: str, home: Home, small_shipped: Path
) -> None:
    database = home.path / f"{name}.duckdb"
    later(database)
    before = database.read_bytes()
    ask_for(small_shipped, 16)
    with pytest.raises(InputError, match=r"by a later version .*pip install --upgrade rooflines") as raised:
        run_without_prefect(home, small_shipped)
    assert str(database) in str(raised.value)
    assert database.read_bytes() == before
    ask_for(small_shipped, 8)


@pytest.mark.parametrize("later", [add_later_migration, claim_later_duckdb])
def test_a_whole_home_of_a_later_version_is_left_alone(
    later: Callable[[Path], None], home: Home, small_shipped: Path
) -> None:
    databases = [home.build, home.snapshot, *home.snapshots.iterdir()]
    for database in databases:
        if database.stat().st_nlink > 1:  # the published snapshot is kept, too
            shutil.copyfile(database, f"{database}.copy")
            Path(f"{database}.copy").replace(database)
        later(database)
    before = {database: database.read_bytes() for database in databases}
    with pytest.raises(InputError, match="by a later version"):
        run_without_prefect(home, small_shipped)
    assert {database: database.read_bytes() for database in databases} == before


def test_a_kept_snapshot_of_a_later_version_is_left_alone(home: Home, small_shipped: Path) -> None:
    (kept,) = home.snapshots.iterdir()
    shutil.copyfile(kept, f"{kept}.copy")
    Path(f"{kept}.copy").replace(kept)
    claim_later_duckdb(kept)
    overwrite(home.snapshot)
    before = kept.read_bytes()
    with pytest.raises(InputError, match="by a later version"):
        run_without_prefect(home, small_shipped)
    assert kept.read_bytes() == before


def test_the_storage_format_is_read_from_the_bytes(home: Home, tmp_path: Path) -> None:
    for database in (home.build, home.snapshot):
        assert read_storage_version(database) == STORAGE_NUMBER
    (tmp_path / "text").write_text("no database")
    assert read_storage_version(tmp_path / "text") is read_storage_version(tmp_path / "nothing") is None


def test_a_build_database_that_another_process_has_open_stays(home: Home, small_shipped: Path) -> None:
    script = f"import duckdb, sys; c = duckdb.connect({str(home.build)!r}); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(RunError, match="another process has it open"):
            run_without_prefect(home, small_shipped)
        other.communicate()
    assert not home.build.with_suffix(".broken").exists()


def test_a_clock_that_jumps_back(home: Home, small_shipped: Path) -> None:
    """What was published last is the newest snapshot, whatever its name says."""
    ask_for(small_shipped, 16)
    with mock.patch("flows.run.datetime") as clock:
        clock.now.return_value = datetime.now(UTC) - timedelta(days=400)
        last = run_without_prefect(home, small_shipped).run_id
    ask_for(small_shipped, 8)
    kept = [path.stem for path in snapshot.list_snapshots(home)]
    assert kept[0] == last == min(kept)
    assert len(kept) == 2

"""Kills, full disks, lost permissions, damage, odd places: what is published stays, and the next run mends the rest.

Whole runs through Prefect that are killed or fail stand in test_refresh.
"""

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import list_sources
from tests.support.disks import fill_disk, mount_disk
from tests.support.files import ROOT
from tests.support.tiers import keep_fast, mark_slow
from tests.support.whole_runs import STAGES, ask_for, fingerprint_snapshot, run_and_tell, run_without_prefect
from warehouse import snapshot
from warehouse.checks import Rule
from warehouse.engine.file_format import STORAGE_NUMBER, read_storage_version
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.load import Fingerprints
from warehouse.rows import fetch_column
from warehouse.site_folder.manifest import read_inputs_digest
from warehouse.snapshot import open_snapshot, refuse_earlier_version

_HEADER, _BLOCK = 12_288, 262_144  # bytes of a DuckDB file


@pytest.fixture
def home(built: Home, tmp_path: Path) -> Home:
    """A copy of that home, its files linked as a run links them."""
    return copy_home(built, tmp_path / "home")


@pytest.fixture(scope="module")
def whole(built: Home) -> Fingerprints:
    """What the first run published."""
    return fingerprint_snapshot(built.snapshot)


@pytest.fixture(scope="module")
def elsewhere(small_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Fingerprints:
    """What a run publishes that asks for another batch."""
    other, home = tmp_path_factory.mktemp("other catalog"), Home(tmp_path_factory.mktemp("other"))
    shutil.copytree(small_shipped, other, dirs_exist_ok=True)
    ask_for(other, 16)
    run_without_prefect(home, other)
    return fingerprint_snapshot(home.snapshot)


def copy_home(home: Home, path: Path) -> Home:
    subprocess.run(["cp", "-a", os.fsencode(home.path), os.fsencode(path)], check=True)
    return Home(path)


def fingerprint_published(database: Path) -> Fingerprints:
    """Return the content of a database, once read."""
    return _fingerprint(database, database.stat().st_ino, database.stat().st_mtime_ns)


@lru_cache
def _fingerprint(database: Path, inode: int, changed_ns: int) -> Fingerprints:
    return fingerprint_snapshot(database)


def start_run(home: Home, small_shipped: Path) -> tuple[BaseProcess, Connection]:
    """Start a run in a process that has loaded everything and done nothing."""
    spare = multiprocessing.get_context("forkserver")
    spare.set_forkserver_preload(["flows.orchestrate.refresh", "scipy.optimize", "pytest"])
    telling, told = spare.Pipe(duplex=False)
    process = spare.Process(target=run_and_tell, args=(home.path, small_shipped, told), daemon=True)
    process.start()
    told.close()
    return process, telling


def time_stages(home: Home, small_shipped: Path) -> dict[str, float]:
    """Return how long each stage of a run takes."""
    process, telling = start_run(home, small_shipped)
    begun = {telling.recv(): time.monotonic() for _ in (*STAGES, "end")}
    process.join()
    ends = [*begun.values()][1:]
    return {stage: end - begun[stage] for stage, end in zip(STAGES, ends, strict=True)}


def kill_run(home: Home, small_shipped: Path, stage: str, after_s: float) -> str:
    """Start a run, kill it so long after it began a stage, and return the one that it was in."""
    process, telling = start_run(home, small_shipped)
    reached: list[str] = [telling.recv()]
    while reached[-1] != stage:
        reached.append(telling.recv())
    time.sleep(after_s)
    process.kill()
    process.join()
    while telling.poll():
        try:
            reached.append(telling.recv())
        except EOFError:
            break
    return reached[-1]


def kill_often(
    home: Home, catalog: Path, states: Sequence[Fingerprints], kills: Sequence[tuple[str, float]]
) -> Counter[str]:
    """Kill runs that go from one state to the other, and return in which stages they were hit."""
    hits = Counter[str]()
    for stage, after_s in kills:
        ask_for(catalog, 16 if fingerprint_published(home.snapshot) == states[0] else 8)
        hits[kill_run(home, catalog, stage, after_s)] += 1
        assert fingerprint_published(home.snapshot) in states
        assert all(fingerprint_published(kept) in states for kept in snapshot.list_snapshots(home))
        assert read_inputs_digest(home.site) is not None
    ask_for(catalog, 8)
    return hits


@pytest.mark.parametrize("stages", [["load", "promote"], *mark_slow([STAGES * 6])], ids=len)
def test_kills_lose_nothing(
    stages: Sequence[str],
    built: Home,
    small_shipped: Path,
    whole: Fingerprints,
    elsewhere: Fingerprints,
    tmp_path: Path,
) -> None:
    """Stages are hit at moments spread over their duration: readers see one state or the other, the next run mends.

    Two homes are tried beside each other.
    """
    homes = [copy_home(built, tmp_path / name) for name in ("one", "other")]
    catalogs = [shutil.copytree(small_shipped, tmp_path / f"catalog of {home.path.name}") for home in homes]
    ask_for(catalogs[0], 16)
    lasts, chance = time_stages(copy_home(built, tmp_path / "timed"), catalogs[0]), random.Random(50)
    kills = [(stage, chance.random() * lasts[stage]) for stage in stages]
    with ThreadPoolExecutor() as lanes:
        arguments = (homes, catalogs, [(whole, elsewhere)] * 2, (kills[::2], kills[1::2]))
        hits = sum(lanes.map(kill_often, *arguments), Counter[str]())
    print(f"kills by stage: {dict(hits)}")
    assert len(stages) <= len(STAGES) or set(STAGES) <= set(hits)
    for home, catalog in zip(homes, catalogs, strict=True):
        run_without_prefect(home, catalog)
        assert fingerprint_snapshot(home.snapshot) == whole
        left = {"build.duckdb", "rooflines.duckdb", "run.lock", "site", "snapshots", "stage"}
        assert {path.name for path in home.path.iterdir()} == left
        with snapshot.open_snapshot(home.snapshot) as connection:
            statuses = connection.execute("select distinct status from core.run order by all").fetchall()
        assert {("succeeded",)} <= set(statuses) <= {("failed",), ("succeeded",)}


@pytest.fixture
def small_disk(built: Home, tmp_path: Path) -> Iterator[Home]:
    """A home on a disk of its own."""
    size = sum(path.stat().st_blocks * 512 for path in built.path.rglob("*")) + 30_000_000
    with mount_disk(tmp_path / "disk", size) as place:
        yield copy_home(built, place / "home")


def fill_from(disk: Path, full_from: str) -> Callable[[str], None]:
    """Fill a disk when a stage begins."""

    def begins(stage: str) -> None:
        if stage == full_from:
            fill_disk(disk)

    return begins


def test_a_full_disk(small_disk: Home, small_shipped: Path, whole: Fingerprints, elsewhere: Fingerprints) -> None:
    """It is full from one stage on, while the run is written down as well as when its snapshot is promoted."""
    ask_for(small_shipped, 16)
    disk, before = small_disk.path.parent, {path.name for path in small_disk.path.iterdir()}
    for full_from in ("run", "stage_inputs", "stage_tables", "load", "write_snapshot", "draw_site"):
        with pytest.raises(RunError, match=r"no space on the disk: .*; free some, then run again") as raised:
            run_without_prefect(small_disk, small_shipped, fill_from(disk, full_from))
        assert one_line(raised.value) == str(raised.value)
        assert fingerprint_snapshot(small_disk.snapshot) == whole, full_from
        assert {path.name for path in small_disk.path.iterdir()} - {"build.duckdb.wal"} == before
        (disk / "filler").unlink()
    run_without_prefect(small_disk, small_shipped, fill_from(disk, "promote"))  # all is there already
    (disk / "filler").unlink()
    assert fingerprint_snapshot(small_disk.snapshot) == elsewhere
    assert run_without_prefect(small_disk, small_shipped).status == "unchanged"
    ask_for(small_shipped, 8)


def test_a_full_disk_of_prefect(
    small_disk: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(small_disk.path.parent / "prefect"))
    fill_disk(small_disk.path.parent)
    assert run_command(["run", "--home", str(tmp_path / "home")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("rooflines: PREFECT_HOME: ")
    assert message.endswith("No space left on device; expected a folder that can be written\n")


def test_a_disk_that_can_only_be_read(small_disk: Home, small_shipped: Path, whole: Fingerprints) -> None:
    ask_for(small_shipped, 16)
    disk = small_disk.path.parent
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(InputError, match="Read-only file system; expected a folder that can be written"):
        run_without_prefect(small_disk, small_shipped)
    assert fingerprint_snapshot(small_disk.snapshot) == whole
    ask_for(small_shipped, 8)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), RunError),
        (duckdb.IOException("Could not write file: No space left on device"), RunError),
        (OSError(27, "File too large"), RunError),
        (PermissionError(13, "Permission denied"), InputError),
        (duckdb.IOException("Cannot open file: Permission denied"), InputError),
        (ValueError("another"), type(None)),
        (InputError("x.toml: Permission denied"), type(None)),
    ],
)
def test_what_is_said_of_disks(error: Exception, kind: type) -> None:
    assert isinstance(explain_disk_error(error), kind)


def run_as_somebody(home: Path, small_shipped: Path, said: Connection) -> None:
    """Run as a user who may do nothing, and tell how it ended."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        run_without_prefect(Home(home), small_shipped)
    except (InputError, RunError) as error:
        said.send(((InputError if isinstance(error, InputError) else RunError).__name__, str(error)))
    except BaseException as error:
        said.send((repr(error), ""))
    else:
        said.send(("", ""))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_lost_permissions(built: Home, small_shipped: Path, whole: Fingerprints) -> None:
    """Of the home, of its databases, of a folder of the catalog, which must not be taken for an empty one."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are root's alone
        Path(folder).chmod(0o755)
        catalog = Path(folder) / "catalog"
        shutil.copytree(small_shipped, catalog)
        ask_for(catalog, 16)
        for lost, mode in (("", 0o555), ("build.duckdb", 0o444), ("snapshots", 0o555), ("catalog/hardware", 0o000)):
            home = copy_home(built, Path(folder) / (lost.replace("/", " ") or "home"))
            (home.catalog / "hardware").mkdir(parents=True)
            for path in (home.path, *home.path.rglob("*")):
                os.chown(path, 65534, 65534)
            (home.path / lost).chmod(mode)
            spare = multiprocessing.get_context("forkserver")
            hears, said = spare.Pipe(duplex=False)
            process = spare.Process(target=run_as_somebody, args=(home.path, catalog, said))
            process.start()
            kind, message = hears.recv()
            process.join()
            assert kind == "InputError", (lost, kind, message)
            assert "Permission denied" in message
            assert "expected a" in message
            assert one_line(message) == message
            assert fingerprint_snapshot(home.snapshot) == whole


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(300_000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


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
    for path in (home.build, home.snapshot, *home.stage.iterdir()):
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
    monkeypatch.setattr("flows.run.run_checks", lambda _: found)
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


def prepare_entry(home: Home) -> Path:
    """Return the place of a device in the home's catalog."""
    (home.catalog / "hardware").mkdir(parents=True)
    return home.catalog / "hardware" / "mine.toml"


def replace_by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


STRANGE_ENTRIES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a lost link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "200 MB": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 200_000_000),
    "a name that is no text": lambda path: path.with_name(os.fsdecode(b"\xff.toml")).touch(),
    "a file for a folder": lambda path: (
        path.parent.rename(path.parent.with_name("before")).parent.joinpath("hardware").touch()
    ),
    "a file for the catalog": lambda path: (
        path.parents[1].rename(path.parents[2] / "before").with_name("catalog").touch()
    ),
    "a lost link of a list": lambda path: (path.parents[1] / "gallery.toml").symlink_to("nowhere"),
    "a pipe of a list": lambda path: os.mkfifo(path.parents[1] / "gallery.toml"),
}


@pytest.mark.parametrize("what", STRANGE_ENTRIES)
def test_what_is_no_file_of_a_catalog(what: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    STRANGE_ENTRIES[what](prepare_entry(home))
    with pytest.raises(InputError) as raised:
        list_sources(home)
    message = str(raised.value)
    assert str(home.catalog)[:40] in message
    assert one_line(message) == message
    message.encode()  # it can be shown


def test_bytes_that_are_no_text(home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    prepare_entry(home).write_bytes(b'hardware_id = "\xff"')
    with pytest.raises(InputError, match="byte 15 is not UTF-8"):
        run_without_prefect(home, small_shipped)
    assert fingerprint_snapshot(home.snapshot) == whole


@pytest.mark.parametrize("name", ["catalog", "snapshots", "stage", "site", "sweeps", "incoming"])
def test_a_file_for_a_folder(name: str, home: Home, small_shipped: Path, whole: Fingerprints) -> None:
    shutil.rmtree(home.path / name, ignore_errors=True)
    (home.path / name).write_text("in the way")
    with pytest.raises(InputError, match=rf"/{name}.*expected a folder"):
        run_without_prefect(home, small_shipped)
    assert (home.path / name).read_text() == "in the way"
    assert fingerprint_snapshot(home.snapshot) == whole


@pytest.mark.parametrize("name", ["rooflines.duckdb", "build.duckdb.wal"])
def test_a_pipe_for_a_file(name: str, home: Home, small_shipped: Path) -> None:
    (home.path / name).unlink(missing_ok=True)
    os.mkfifo(home.path / name)
    with pytest.raises(InputError, match=f"{name}: expected a file; move away what is there"):
        run_without_prefect(home, small_shipped)


def test_what_a_cut_off_run_left_is_taken_away(home: Home, small_shipped: Path) -> None:
    for name in (".ingest-abc", "rooflines.candidate"):
        (home.path / name / "folder").mkdir(parents=True)
    begin = "import os, sys; from pathlib import Path; from warehouse.site_folder.placement import begin_draft\n"
    begin += "begin_draft(Path(sys.argv[1])).new.mkdir(); os._exit(0)"
    subprocess.run([sys.executable, "-c", begin, str(home.site)], check=True, cwd=ROOT)
    (home.snapshots / "20200101.partial").touch()
    (home.stage / "a folder of somebody").mkdir()
    (draft,) = home.path.glob(".rooflines-site-*")
    before = {path.name for path in home.path.iterdir()}
    ask_for(small_shipped, 16)
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    ask_for(small_shipped, 8)
    assert {path.name for path in home.path.iterdir()} == before - {".ingest-abc", "rooflines.candidate", draft.name}
    assert {path.suffix for path in home.snapshots.iterdir()} == {".duckdb"}


def test_links_for_home_and_site(home: Home, small_shipped: Path, elsewhere: Fingerprints, whole: Fingerprints) -> None:
    public = home.path.with_name("public site")
    home.site.rename(public)
    (home.path / "site").symlink_to(public)
    others = [public.with_name(name) for name in ("public site.new", "public site.new.old")]
    for other in others:
        (other / "of another").mkdir(parents=True)
    (public / "data" / "notes.md").write_text("mine")
    linked = Home(home.path.with_name("linked"))
    linked.path.symlink_to(home.path)
    for batch_size, expected in ((16, elsewhere), (8, whole)):
        ask_for(small_shipped, batch_size)
        assert run_without_prefect(linked, small_shipped).status == "succeeded"
        assert fingerprint_snapshot(home.snapshot) == expected
        assert (home.path / "site").is_symlink()
        assert read_inputs_digest(public) == read_inputs_digest(linked.site) is not None
    assert (public / "data" / "notes.md").read_text() == "mine"
    assert all((other / "of another").is_dir() for other in others)
    assert sorted(path.name for path in public.parent.iterdir()) == [
        "home", "linked", "public site", "public site.new", "public site.new.old"
    ]  # fmt: skip


@pytest.mark.slow
def test_odd_paths(built: Home, small_shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with a catalog, questions, sweeps here and elsewhere, and what is written go by any name."""
    name = 'it\'s "a" #1 %41 [x]* $HOME {y};\n 屋顶 📈 בית'
    home, given, out = copy_home(built, tmp_path / name), tmp_path / f"given {name}", tmp_path / f"out? {name}"
    shutil.copytree(small_shipped / "workloads", given / "workloads")
    ask_for(given, 16)
    assert run_without_prefect(home, small_shipped, given=given).status == "succeeded"

    def rooflines(*arguments: str) -> str:
        assert run_command([*arguments, "--home", str(home.path)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    out.mkdir()
    grid = ["--batch", "1,2", "--sequence", "128"]
    rooflines("sweep", "--name", "inside", *grid)
    rooflines("sweep", "--name", "outside", *grid, "--out", str(out))
    counts = "select sweep_id, count(*) from mart.sweep_cost group by all order by all"
    rooflines("query", counts, "--format", "csv", "--out", str(out / f"{name[:9]}.csv"))
    lines = (out / f"{name[:9]}.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["inside", "outside"]
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    assert rooflines("query", counts, "--format", "csv").splitlines() == lines
    rooflines("chart", "device-a40", "--out", str(out / f"{name[:9]}.json"))
    rooflines("publish", "--out", str(out / "site"))
    assert read_inputs_digest(out / "site") == read_inputs_digest(home.site) is not None


@pytest.mark.parametrize("name", ["who?", "a[x]\\b", os.fsdecode(b"\xff")])
def test_homes_that_cannot_be(name: str, built: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / name
    for command in (["sweep", "--name", "mine"], ["ingest", "hardware", "mine.toml"]):
        assert run_command([*command, "--home", str(home)]) == 2
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1
        assert "expected a path" in message
    assert not home.exists()


@pytest.mark.slow
def test_two_homes_at_once(small_shipped: Path, tmp_path: Path) -> None:
    """Two commands with servers of their own, and one home of Prefect's for both."""
    command = [sys.executable, "-P", "-m", "tests.support.small_command", str(small_shipped), "run", "--home"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    homes = [Home(tmp_path / name) for name in ("one", "other")]
    runs = [
        subprocess.Popen(
            [*command, str(home.path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for home in homes
    ]  # fmt: skip
    for run in runs:
        said, complained = run.communicate(timeout=240)
        assert (run.returncode, complained) == (0, "")
        assert said.startswith("published 1 devices")
    assert fingerprint_snapshot(homes[0].snapshot) == fingerprint_snapshot(homes[1].snapshot)

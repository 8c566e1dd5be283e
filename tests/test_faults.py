"""Kills, full disks, lost permissions: what is published stays, and the next run repairs the rest.

Whole runs through Prefect that are killed or fail are in test_refresh.
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
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from tests.support.disks import fill_disk, mount_disk
from tests.support.files import ROOT
from tests.support.processes import call_as_nobody
from tests.support.tiers import mark_slow
from tests.support.whole_runs import STAGES, ask_for, copy_home, fingerprint_snapshot, run_and_tell, run_without_prefect
from warehouse import snapshot
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.load import Fingerprints
from warehouse.site_folder.manifest import read_inputs_digest


@pytest.fixture
def home(small_home: Home) -> Home:
    """A small home after its first run, which a test may change."""
    return small_home


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


@pytest.mark.parametrize("fails_at", ["load", "draw_site", "promote"])
def test_a_run_that_fails_leaves_what_is_published(
    fails_at: str, home: Home, small_shipped: Path, whole: Fingerprints
) -> None:
    def fail(stage: str) -> None:
        if stage == fails_at:
            raise RuntimeError("the pen broke")

    ask_for(small_shipped, 16)
    with pytest.raises(RuntimeError, match="the pen broke"):
        run_without_prefect(home, small_shipped, fail)
    ask_for(small_shipped, 8)
    assert fingerprint_snapshot(home.snapshot) == whole
    with snapshot.open_snapshot(home.snapshot) as connection:
        assert connection.execute("select status from core.run").fetchall() == [("succeeded",)]


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


def tell_how_a_run_ends(home: Home, small_shipped: Path) -> tuple[str, str]:
    """Run, and return the kind of the error and what it says."""
    try:
        run_without_prefect(home, small_shipped)
    except (InputError, RunError) as error:
        return ("InputError" if isinstance(error, InputError) else "RunError"), str(error)
    except BaseException as error:
        return repr(error), ""
    return "", ""


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
            kind, message = call_as_nobody(partial(tell_how_a_run_ends, home, catalog))
            assert kind == "InputError", (lost, kind, message)
            assert "Permission denied" in message
            assert "expected a" in message
            assert one_line(message) == message
            assert fingerprint_snapshot(home.snapshot) == whole


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

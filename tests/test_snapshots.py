"""Readers that never stop while runs publish; snapshots that are kept; limits of a query."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.cli.app import run_command
from tests.support.files import ROOT
from tests.support.tiers import keep_fast
from warehouse import snapshot
from warehouse.build import open_build
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.runs import Run, finish_run, mark_rows_ready, start_run
from warehouse.snapshot import find_snapshot, list_snapshots, open_snapshot

NEWEST = "select max(run_number) from core.run"
# reads the newest run and two counts that a run changes together; ends when told to, and says how often it read
READER = """
import sys
from pathlib import Path
from warehouse.snapshot import open_snapshot
path, stop = map(Path, sys.argv[1:])
last = reads = 0
while not stop.exists():
    with open_snapshot(path) as connection:
        number, status, one, other = connection.sql(
            "select max(run_number), arg_max(status, run_number), count(*), count(*) filter (status = 'succeeded')"
            " from core.run"
        ).fetchall()[0]
    assert number >= last and status == "succeeded" and one == other == number, (last, number, status, one, other)
    last, reads = number, reads + 1
print(reads, last)
"""


def publish_a_run(home: Home, number: int) -> str:
    """Publish a run that changes nothing but the history, without Prefect and without charts."""
    run = Run(f"run-{number:04}", datetime.now(UTC), "test", None, None)
    with home.lock_for_writing():
        with open_build(home) as connection:
            start_run(connection, run)
            mark_rows_ready(connection, run.run_id)
            connection.execute("force checkpoint")
        snapshot.promote(snapshot.write_candidate(home, run.run_id), home, run.run_id)
        with open_build(home) as connection:
            finish_run(connection, run.run_id, "succeeded")
    return run.run_id


@pytest.mark.parametrize("publications", keep_fast(1, [8, 40]))
def test_readers_never_wait(publications: int, tmp_path: Path) -> None:
    home, stop = Home(tmp_path / "home"), tmp_path / "stop"
    publish_a_run(home, 1)
    command = [sys.executable, "-c", READER, str(home.snapshot), str(stop)]
    readers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    shell = shutil.which("duckdb", path=str(Path(sys.executable).parent)) or shutil.which("duckdb")
    assert shell, "the package duckdb-cli brings it"

    def read_with_the_shell() -> list[int]:
        asked, seen = [shell, "-readonly", "-csv", "-noheader", str(home.snapshot), NEWEST], list[int]()
        while not stop.exists():
            seen.append(int(subprocess.check_output(asked, text=True, timeout=60)))
        return seen

    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(read_with_the_shell)
        try:
            for number in range(2, publications + 1):
                publish_a_run(home, number)
        finally:
            stop.touch()
        seen = reading.result()
    for reader in readers:
        said, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        reads, last = map(int, said.split())
        assert reads > 1
        assert last <= publications
    assert len(set(seen)) > 1
    assert seen == sorted(seen)
    assert [path.stem for path in list_snapshots(home)] == [f"run-{publications - n:04}" for n in range(3)]


def test_snapshots_that_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path)
    for number in (1, 2, 3, 4):
        publish_a_run(home, number)
    asked = ["query", "--format", "csv", "select max(run_number) as number from core.run", "--home", str(tmp_path)]
    for run, number in ((None, 4), ("run-0004", 4), ("run-0003", 3), ("run-0002", 2)):
        assert run_command([*asked, *(["--as-of", run] if run else [])]) == 0
        assert capsys.readouterr().out == f"number\n{number}\n"
    for wrong in ("run-0001", "run", "", "../home"):
        assert run_command([*asked, "--as-of", wrong]) == 2
        assert "run-0004, run-0003, run-0002" in capsys.readouterr().err
    with open_snapshot(find_snapshot(home, "run-0003")) as old:
        snapshot.promote(snapshot.write_candidate(home, "run-0004"), home, "run-0004", kept=1)
        assert old.sql("select count(*) from core.run").fetchall() == [(3,)]  # gone, but not for who reads it
    assert [path.stem for path in list_snapshots(home)] == ["run-0004"]


def test_a_query_has_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_a_run(Home(tmp_path), 1)
    endless = "select count(*) from range(10000000000) a, range(10000000) b where a.range % 7 = b.range % 5"
    large = "select list(i) from range(100000000) t(i)"
    for arguments, said in (
        ([endless, "--timeout", "1"], "it took longer than 1 s; --timeout allows more"),
        ([large, "--memory", "100MB"], "it takes more memory than it may; --memory allows more"),
        (["select 1", "--memory", "much"], "--memory: much; expected an amount"),
        (["select 1", "--timeout", "0"], "--timeout: 0; expected seconds"),
    ):
        assert run_command(["query", *arguments, "--home", str(tmp_path)]) == 2
        assert said in capsys.readouterr().err


def test_an_old_snapshot_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was published yet"):
        find_snapshot(Home(tmp_path), "run")

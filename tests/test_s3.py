"""Sweeps in a bucket: a real server of S3 on this machine, written, read and resumed."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from flows.sweep.run import run_sweep
from tests.support.s3 import serve_s3
from tests.support.sweeps import COST, KEY, SMALL, interrupt_after, query_snapshot
from warehouse.build import open_build
from warehouse.engine import extensions
from warehouse.errors import InputError, RunError
from warehouse.files import bucket
from warehouse.files.bucket import BucketPath
from warehouse.home import Home
from warehouse.sweeps.registry import remove_sweep
from warehouse.views import create_views

OUT = BucketPath("s3://sweeps/team.a/b=1")
KEPT = BucketPath("s3://kept/team.a")
IN_BUCKET = replace(SMALL, name="there", out=OUT)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    """A server with two buckets; its address."""
    with serve_s3("sweeps", "kept") as address:
        yield address


@pytest.fixture(autouse=True)
def _empty_bucket(server: str) -> None:
    bucket._open_store.cache_clear()
    for path in BucketPath("s3://sweeps").list_sizes():
        (BucketPath("s3://sweeps") / path).unlink()


@pytest.fixture(scope="module")
def swept(server: str, finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a sweep in a bucket; tests must not write to it."""
    home = Home(tmp_path_factory.mktemp("swept"))
    home.snapshot.write_bytes(finished.snapshot.read_bytes())
    run_sweep(home, replace(IN_BUCKET, out=KEPT))
    duckdb.sql("select 1 as x").write_parquet(str(home.path / "x.parquet"))
    BucketPath("s3://kept/secret.parquet").write_bytes((home.path / "x.parquet").read_bytes())
    return home


def test_a_sweep_in_a_bucket_is_read_as_one_on_a_disk(home: Home) -> None:
    run_sweep(home, SMALL)
    run_sweep(home, replace(IN_BUCKET, name="beside"))
    done = run_sweep(home, IN_BUCKET)
    assert (done.row_count, done.part_count, done.parts_before) == (112, 4, 0)
    assert done.size_bytes == sum((OUT / "there").list_sizes().values())
    assert query_snapshot(home, "select folder from mart.sweep where sweep_id = 'there'") == [(f"{OUT}/there",)]
    columns = ", ".join([*KEY, *COST])
    on_disk, there = (f"select {columns} from mart.sweep_cost where sweep_id = '{name}'" for name in ("small", "there"))
    assert query_snapshot(home, f"select count(*) from ({there})") == [(112,)]
    assert query_snapshot(home, f"select count(*) from ({on_disk} except all {there})") == [(0,)]
    assert query_snapshot(home, "select count(*) > 112 from mart.sweep_point where sweep_id = 'there'") == [(True,)]


def test_an_interrupted_sweep_goes_on(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(home, IN_BUCKET, runner=interrupt_after(3))
    assert len(OUT.list_sizes()) == 3
    (OUT / "there" / "x.partial").write_bytes(b"what a run that was ended has left")
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(0,)]
    assert run_sweep(home, IN_BUCKET).parts_before == 3
    assert {Path(path).suffix for path in OUT.list_sizes()} == {".parquet"}
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(112,)]


def test_what_is_replaced_or_taken_away_leaves_the_bucket(home: Home) -> None:
    other = OUT / "other.txt"
    other.write_bytes(b"not ours")
    run_sweep(home, IN_BUCKET)
    before = OUT.list_sizes().keys() - {"other.txt"}
    run_sweep(home, replace(IN_BUCKET, batch="4"))
    assert not before & OUT.list_sizes().keys()
    assert remove_sweep(home, "there") == 2
    assert OUT.list_sizes() == {"other.txt": 8}
    assert query_snapshot(home, "select count(*) from mart.sweep") == [(0,)]


def test_from_the_command(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "--name", "a", "--model", "gpt2", "--batch", "1", "--sequence", "128", "--out", f"{OUT}/"]
    assert run_command([*arguments, "--home", str(home.path)]) == 0
    assert f"  parts  {OUT}/a\n" in capsys.readouterr().out
    asked = ["query", "select count(*) as n from mart.sweep_cost", "--format", "csv", "--home", str(home.path)]
    assert run_command(asked) == 0
    assert capsys.readouterr().out == "n\n26\n"


HOSTILE = [
    "from 's3://kept/secret.parquet'",
    "from '{other}'",
    "from glob('s3://kept/**')",
    "from read_text('{server}/kept/secret.parquet')",
    "copy (select 1 as x) to '{part}'",
    "copy (select 1 as x) to 's3://kept/x.parquet'",
    "attach 's3://kept/x.db'",
    "create secret theirs (type s3, endpoint 'localhost:1', scope 's3://kept/team.a')",
    "create or replace temporary /* a */ SECRET rooflines (type s3, endpoint 'localhost:1')",
    "select 1; drop secret rooflines",
    "from duckdb_secrets(redact = false)",
    "set s3_endpoint = 'localhost:1'",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_the_sandbox_lets_nothing_else_be_read(
    sql: str, server: str, swept: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    before = BucketPath("s3://kept").list_sizes()
    part = KEPT / min(KEPT.list_sizes())
    asked = sql.format(part=part, other=part.parent / "other.parquet", server=server)
    assert run_command(["query", asked, "--home", str(swept.path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert BucketPath("s3://kept").list_sizes() == before


def test_keys_are_not_shown(swept: Home) -> None:
    assert query_snapshot(swept, "select count(*) from mart.sweep_cost") == [(112,)]
    for sql in ("from duckdb_secrets()", "from duckdb_settings()", "from mart.sweep"):
        assert "o'hara" not in str(query_snapshot(swept, sql))


def test_without_the_extension_the_other_views_work(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sweep(home, IN_BUCKET)
    monkeypatch.setattr(extensions, "_extension_folder", lambda _: Path("/nowhere"))
    (tmp_path / "empty" / "duckdb_extension_httpfs").mkdir(parents=True)
    (tmp_path / "empty" / "duckdb_extension_httpfs" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "empty"))  # for the process of the query
    assert query_snapshot(home, "select count(*) > 0 from mart.roofline_point") == [(True,)]
    assert run_command(["schema", "mart.sweep_cost", "--home", str(home.path)]) == 0
    capsys.readouterr()
    assert run_command(["query", "from mart.sweep_point", "--home", str(home.path)]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"rooflines: query: sweeps in a bucket: duckdb-extension-httpfs is not installed; .*\n", said)
    with open_build(home) as build:  # as a run would
        create_views(build)
        assert build.sql("select count(*) from mart.sweep_cost").fetchall() == [(0,)]
        assert build.sql("select count(*) from mart.sweep").fetchall() == [(1,)]


def test_a_bucket_that_does_not_answer(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sweep(home, SMALL)
    run_sweep(home, IN_BUCKET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    bucket._open_store.cache_clear()
    assert run_command(["query", "from mart.sweep_cost", "--home", str(home.path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(InputError, match=r"--out: .*s3://sweeps/team.a/b=1/there: .*expected a bucket"):
        run_sweep(home, IN_BUCKET)
    with pytest.raises(RunError, match=r"--remove: there: .*it stays until its files can be deleted"):
        remove_sweep(home, "there")
    run_sweep(home, replace(SMALL, batch="8"))  # is not held up
    assert query_snapshot(home, "select count(*) from mart.sweep_cost") == [(56,)]


def test_a_bucket_that_does_not_exist(swept: Home, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--name", "a", "--model", "gpt2", "--batch", "1", "--sequence", "128", "--out", "s3://nobody/x"]
    assert run_command(["sweep", *arguments, "--home", str(swept.path)]) == 2
    said = capsys.readouterr().err
    assert "bucket does not exist" in said
    assert len(said.splitlines()) == 1

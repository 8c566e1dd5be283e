"""Hostile SQL: what a statement of a user's may not do, by every entrance, and the limits of what it may."""

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from flows.cli import run_command
from flows.gallery import roofline_of
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.sandbox import LONGEST_STATEMENT, ask, bytes_of, limited
from warehouse.snapshot import open_snapshot

ROOT = Path(__file__).resolve().parents[1]
FILES = ["/etc/passwd", "~/.bashrc", "file:/etc/passwd", "file:///etc/passwd", "/proc/self/environ", "/dev/stdin"]
PLACES = [*FILES, "https://example.com/x.csv", "http://127.0.0.1:9/x", "s3://bucket/x.parquet", "hf://datasets/a/b.csv"]
READERS = [
    "read_csv", "read_csv_auto", "read_text", "read_blob", "read_parquet", "read_json", "read_ndjson_objects", "glob",
    "sniff_csv", "parquet_metadata", "parquet_kv_metadata", "read_duckdb",
]  # fmt: skip
OUT = "rooflines-test-out"  # in the folder of the test, if anything writes it

HOSTILE = [
    *(f"select * from {function}('{place}')" for function in READERS for place in PLACES),
    *(f"from '{place}'" for place in PLACES),
    "select * from read_text(['/etc/passwd'])",
    "select * from query('select * from read_text(''/etc/passwd'')')",
    "select * from query('from enable_' || 'logging()')",
    "select * from query_table('/etc/passwd')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "pragma json_execute_serialized_sql('{}')",
    "select * from duckdb_secrets()", "select * from which_secret('s3://x', 's3')", "select * from duckdb_extensions()",
    "select getenv('HOME')", "select system('ls')", ".read /etc/passwd", ".shell ls",
    # the program's own variables
    "from own_frame", "from connection", "from sql", "from statement", "select * from arrow_scan(1, 2, 3)",
    "select * from pandas_scan(1)", "select * from python_map_function()",
    # other databases, extensions, secrets
    "attach '/tmp/x.duckdb'", "attach ':memory:' as m", "attach 'x.db' (type sqlite)", "detach rooflines",
    "attach 'host=localhost' as p (type postgres)", "install httpfs", "force install httpfs", "load httpfs",
    "load '/tmp/x.duckdb_extension'", "install spatial from community", "update extensions", "create secret (type s3)",
    "create persistent secret s (type s3)", "drop secret s",
    # files to write
    f"copy (select 1) to '{OUT}'", f"copy core.run to '{OUT}' (format parquet)", "copy core.run from '/etc/passwd'",
    "copy (select 1) to '/dev/stdout'", "copy from database rooflines to memory", f"export database '{OUT}'",
    f"import database '{OUT}'", f"explain analyze copy (select 1) to '{OUT}'", f"explain copy (select 1) to '{OUT}'",
    f"explain analyze export database '{OUT}'", f"prepare p as copy (select 1) to '{OUT}'", "execute p", "deallocate p",
    f"select 1; copy (select 1) to '{OUT}'", f"copy (select 1) to '{OUT}'; select 1",
    f"pivot mart.roof on dtype; copy (select 1) to '{OUT}'",
    # logs and profiles, which go to files or to the terminal
    f"call enable_logging(storage = 'file', storage_path = '{OUT}')", "call enable_logging()",
    f"select * from enable_logging(storage = 'file', storage_path = '{OUT}')",
    "from Enable_Logging(storage = 'stdout')", 'from "enable_logging"()', "from system.main.enable_logging /* */ ()",
    "explain analyze from enable_logging()", "call disable_logging()", "call truncate_duckdb_logs()",
    "select write_log('x')", "pragma enable_profiling", "call enable_profiling()", f"pragma profiling_output = '{OUT}'",
    "pragma enable_progress_bar", "pragma disable_optimizer", "pragma add_parquet_key('k', '0123456789112345')",
    # the warehouse
    "create table core.x (a int)", "create temp table x as select 1", "create or replace view mart.roof as select 1",
    "create temp view v as select * from read_text('/etc/passwd')", "create index i on core.run (run_id)",
    "create temp macro m() as table select * from read_text('/etc/passwd')", "create schema s", "create sequence s",
    "create type t as enum ('a')", "insert into core.run select * from core.run", "update core.run set status = 'x'",
    "delete from core.run", "truncate core.run", "drop table core.run", "drop view mart.roof",
    "drop schema core cascade",
    "alter table core.run add column x int", "comment on table core.run is 'x'",
    "explain analyze delete from core.run",
    "merge into core.run using core.run as r on true when matched then delete",
    "select 1; delete from core.run",
    "with x as (delete from core.run returning *) select * from x", "checkpoint", "force checkpoint", "vacuum",
    "analyze",
    "select * from checkpoint('rooflines')", "begin", "commit", "rollback", "begin; select 1", "use memory",
    "use system",
    # settings
    "set variable x = 1", "reset all", "set search_path = 'core'", "pragma memory_limit = '10GB'",
    "call pragma_version()",
    "set local memory_limit = '1GB'", "select set_config('memory_limit', '1GB', false)",
    # too long, too wide, too deep, no text
    f"select 1{' ' * LONGEST_STATEMENT}", f"select {','.join(['1'] * 20_000)}", f"select {'(' * 40_000}1",
    "select '\ud800'", f"select 1{'+1' * 40_000}",
]  # fmt: skip
GOOD = [
    "select 1", "from mart.roof", "show tables", "describe mart.roof", "summarize mart.roof", "explain select 1",
    "explain analyze select 1", "pivot mart.roof on dtype", "pragma table_info('mart.roof')", "values (1)",
    "with x as (select 1) from x", "select 'enable_logging', 1 as checkpoints -- query", "select 1; select 2",
]  # fmt: skip


def refusal(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    try:
        relation = ask(connection, sql)
        if relation is None:
            return "no result"
        relation.fetchall()
    except duckdb.Error as error:
        return str(error)
    return None


def test_hostile_statements_are_refused(finished: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one connection, as nothing that one of them did may help the next."""
    monkeypatch.chdir(tmp_path)
    before = finished.snapshot.read_bytes()
    with open_snapshot(finished.snapshot) as connection:
        settings = connection.execute("select name, value from duckdb_settings()").fetchall()
        own_frame = {"secret": [42]}  # noqa: F841
        answered = [sql for sql in HOSTILE if refusal(connection, sql) is None]
        assert answered == []
        assert connection.execute("select name, value from duckdb_settings()").fetchall() == settings
        assert [sql for sql in GOOD if refusal(connection, sql) is not None] == []
    assert finished.snapshot.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_no_message_repeats_a_file(finished: Home, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("hunter2\n")
    with open_snapshot(finished.snapshot) as connection:
        for function in READERS:
            said = refusal(connection, f"select * from {function}('{tmp_path / 'secret.csv'}')")
            assert said is not None
            assert "hunter2" not in said


def test_no_setting_can_be_changed(finished: Home) -> None:
    """Neither as a statement that is asked nor, were that let through, as one that is run."""
    with open_snapshot(finished.snapshot) as connection:
        rows = connection.execute("select name, value from duckdb_settings()").fetchall()
        for name, value in rows:
            for sql in (
                f"set {name} = '{value}'",
                f"set global {name} = '{value}'",
                f"reset {name}",
                f"pragma {name} = 1",
            ):
                with pytest.raises(duckdb.Error):
                    ask(connection, sql)
                if name not in {"schema", "search_path"}:  # which names stand for which views
                    with pytest.raises(duckdb.Error):
                        connection.execute(sql)
        assert connection.execute("select name, value from duckdb_settings()").fetchall() == rows


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
@pytest.mark.parametrize(
    "sql", ["from '/etc/passwd'", "from enable_logging()", "select error('x') from range(9)", "begin"]
)
def test_every_format_refuses(
    form: str, sql: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["query", sql, "--format", form, "--out", str(out), "--home", str(finished.path)]
    assert run_command(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "sql", ["from '/etc/passwd'", "from enable_logging()", "attach 'x'", "select 1 from range(200000)"]
)
def test_charts_refuse(sql: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.sql").write_text(sql)
    assert run_command(["chart", "--sql", str(tmp_path / "own.sql"), "--home", str(finished.path)]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "chart: --sql: " in said.err
    with open_snapshot(finished.snapshot) as connection, pytest.raises(InputError, match=r"^gallery\.toml: mine: "):
        roofline_of(connection, sql, "bf16", "gallery.toml: mine")


LONG = "select count(*) from range(20000000) t (i) where hash(i) % 7 = 3"


@pytest.mark.parametrize(
    ("sql", "little", "much"),
    [
        (LONG, ["--timeout", "0.01"], ["--timeout", "100"]),
        ("select list(i) from range(3000000) t (i)", ["--memory", "40MB"], ["--memory", "1GB"]),
    ],
)
def test_limits_can_be_raised(
    sql: str, little: list[str], much: list[str], finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [sql, "--format", "parquet", "--out", str(tmp_path / "out"), "--home", str(finished.path)]
    assert run_command(["query", *common, *little]) == 2
    assert f"{little[0]} allows more" in capsys.readouterr().err
    assert run_command(["query", *common, *much]) == 0


def test_a_chart_has_other_limits(finished: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.gallery._MOST_S", 0.01)
    with open_snapshot(finished.snapshot) as connection, pytest.raises(InputError) as caught:
        roofline_of(connection, LONG, "bf16", "chart: --sql")
    assert str(caught.value) == "chart: --sql: it took longer than 0.01 s; expected less"


@pytest.mark.parametrize(
    ("sql", "limits", "said"),
    [
        ("select levenshtein(repeat('a', 300000), repeat('b', 300000))", ["--timeout", "1"], "longer than 1 s"),
        ("select pg_sleep(60)", ["--timeout", "1"], "longer than 1 s"),
        ("with recursive t (i) as (select 1 union all from t) select sum(i) from t", ["--timeout", "1"], " 1 s"),
        ("select repeat('x', 1000000) from range(100000)", ["--memory", "100MB"], "more memory than it may"),
        ("select range(200000000)", ["--memory", "100MB"], "more memory than it may"),
    ],
)  # fmt: skip
def test_what_does_not_stop_is_ended(sql: str, limits: list[str], said: str, finished: Home) -> None:
    """One call of a function neither looks whether it is to stop nor is its memory counted; the process ends."""
    command = [
        sys.executable,
        "-m",
        "flows.cli",
        "query",
        sql,
        *limits,
        "--format",
        "csv",
        "--home",
        str(finished.path),
    ]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr
    assert time.monotonic() - started < 30


def test_any_number_of_rows_is_written_in_little_memory(finished: Home) -> None:
    script = """
import re, sys
from flows.cli import run_command
sql = "select i, i + 1 as j, 'some text' as s from range(5000000) t (i)"
code = run_command(["query", sql, "--format", sys.argv[1], "--out", "/dev/null", "--home", sys.argv[2]])
print(code, 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
"""
    for form in ("csv", "parquet"):
        command = [sys.executable, "-c", script, form, str(finished.path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
        code, taken = map(int, done.stdout.split())
        assert code == 0
        assert taken < 700e6  # of 5 million rows, which are 120 MB as they come


def test_amounts_of_memory() -> None:
    assert [bytes_of(text) for text in ("500MB", "2 GiB", "1.5GB")] == [5e8, 2**31, 1.5e9]
    for wrong in ("", "2", "2 gb", "-1GB", "1EB"):
        with pytest.raises(InputError, match="--memory"):
            bytes_of(wrong)


def test_a_statement_that_is_done_is_not_stopped(finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection:
        with limited(connection, 0.2, source="query"):
            assert connection.sql("select 1").fetchall() == [(1,)]
        time.sleep(0.4)
        assert connection.sql("select 2").fetchall() == [(2,)]

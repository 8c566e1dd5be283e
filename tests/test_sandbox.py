"""Users' SQL: what a statement may not do, by every entrance, and what becomes of one that takes too much."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from flows.site.chart_rows import build_own_roofline
from tests.support import hostile
from tests.support.files import ROOT
from tests.support.hostile import GOOD, HOSTILE, TOO_LARGE, disguise
from tests.support.tiers import keep_fast
from warehouse.engine import tested_versions as engine
from warehouse.engine.tested_versions import list_tested_minors
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.sandbox import statements
from warehouse.sandbox.question import parse_memory
from warehouse.sandbox.statements import LONGEST_STATEMENT, ask
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import sql_folder

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what only Linux can promise")
# of functions: what touches files, settings, secrets, logs or other statements, and what is of the engine alone
NO_READERS = re.compile(
    r"__internal_.*|.*secrets?(_.*)?|(read|parquet|arrow|python|pandas)_.*|.*_scan(_dumb)?|glob|sniff_csv|query(_table)?"
    r"|.*(serialize|external|extension|grammar|checkpoint|profiling|log_|logs|logging|settings?|prepared).*|write_log"
    r"|(enable|disable|verify)_.*|(next|curr|set)val|(copy|import)_database|add_parquet_key|duckdb_temporary_files"
    r"|test_vector_types|index_key|invoke|current_query|getvariable|json_copy_.*|duckdb_(variables|optimizers|dialects)"
    r"|duckdb_(available|live_query)_metrics|duckdb_triggers"
)


def collect_refusals(sql: list[str], home: Home, folder: Path) -> list[str | None]:
    """Why each statement is refused, as a process says that is limited as that of a query is."""
    command = [sys.executable, "-m", "tests.support.hostile", str(home.snapshot), str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, input=json.dumps(sql), capture_output=True, text=True, timeout=300, check=True
    )
    answers: list[str | None] = json.loads(done.stdout)
    assert len(answers) == len(sql)
    return answers


def list_answered(sql: list[str], home: Home, folder: Path) -> list[str]:
    return [each for each, refusal in zip(sql, collect_refusals(sql, home, folder), strict=True) if refusal is None]


def test_hostile_statements_are_refused(finished: Home, tmp_path: Path) -> None:
    assert list_answered(HOSTILE, finished, tmp_path) == []
    assert list_answered(GOOD, finished, tmp_path) == GOOD


@pytest.mark.parametrize(
    "kind",
    keep_fast(1, ["TELL_SECRETS", "READ_FILES", "CALL_OTHERS", "ATTACH", "WRITE_FILES", "CHANGE_THE_WAREHOUSE"]),
)
def test_no_other_blank_hides_a_statement(kind: str, finished: Home, tmp_path: Path) -> None:
    """Any Unicode space, a comment or a line break in the place of each space, of all at once and of one alone."""
    few = [sql for sql in getattr(hostile, kind) if "bashrc" not in sql and "proc" not in sql and "http" not in sql]
    attempts = [each for sql in few for each in disguise(sql)]
    assert len(attempts) > 30 * len(few)
    assert list_answered(attempts, finished, tmp_path) == []


def test_what_is_good_is_answered(finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection:
        before = connection.execute("select name, value from duckdb_settings()").fetchall()
        for sql in GOOD:
            relation = ask(connection, sql)
            assert relation is not None
            relation.fetchall()
        assert connection.execute("select name, value from duckdb_settings()").fetchall() == before


def test_what_our_own_sql_says_is_no_more_than_a_user_may_say(finished: Home, tmp_path: Path) -> None:
    """So that a user can go on from a chart's query, or from one of the questions."""
    files = [*(sql_folder() / "queries").glob("*.sql"), *(sql_folder() / "explorer").glob("*.sql")]
    own = [path.read_text("utf-8") for path in files]
    own += [path.read_text("utf-8") for path in (finished.site / "charts").rglob("*.sql")]
    assert len(own) > 20
    assert list_answered(own, finished, tmp_path) == own


@pytest.mark.parametrize("sql", TOO_LARGE, ids=lambda sql: sql[:12])
def test_what_is_too_large_to_be_parsed_is_one_line(
    sql: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large.sql").write_text(sql)
    limits = ["--memory", "200MB", "--timeout", "20"]
    assert run_command(["query", "--file", str(tmp_path / "large.sql"), *limits, "--home", str(finished.path)]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)


def test_readers_are_functions_of_the_engine_that_only_read() -> None:
    """Each function of the installed DuckDB is on its list, or of a kind that is left out; the list has no others."""
    path = sql_folder() / "sandbox" / f"readers-{'.'.join(duckdb.__version__.split('.')[:2])}.txt"
    listed = {line for line in path.read_text("utf-8").splitlines() if not line.startswith("# ")}
    with duckdb.connect() as connection:
        rows = connection.sql("select distinct function_name, function_type from duckdb_functions()").fetchall()
        views = connection.sql("select schema_name || '.' || view_name from duckdb_views() where internal").fetchall()
    prefixes = {"table": "table ", "table_macro": "table ", "pragma": "pragma "}
    functions = {f"{prefixes.get(kind, '')}{name}" for name, kind in rows} | {"unnest"}
    left_out = {name for name in functions if NO_READERS.fullmatch(name.split(" ")[-1])} - {"log", "log2", "log10"}
    left_out |= {name for name in functions if name.startswith("pragma ")}
    left_out |= {f"table {name}" for name, kind in rows if kind == "table_macro"}  # which take names of tables as text
    assert listed & left_out == set()
    assert functions - left_out - listed == set()
    assert listed - functions - {f"view {name}" for (name,) in views} == set()


def test_only_a_duckdb_on_which_this_was_tried_runs_users_sql(
    finished: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All else is done on any, and said once."""
    assert list_tested_minors() == ["1.5", "2.0"]
    monkeypatch.setattr(duckdb, "__version__", "2.1.0")
    engine.warn_if_untested.cache_clear()
    for _ in range(2):
        with open_snapshot(finished.snapshot) as connection:
            assert connection.sql("select count(*) > 0 from mart.roof").fetchall() == [(True,)]
            with pytest.raises(duckdb.PermissionException) as caught:
                ask(connection, "select 1")
    assert str(caught.value) == "DuckDB 2.1.0 was not tested for users' SQL; expected 1.5 or 2.0"
    assert caplog.messages == ["DuckDB 2.1.0 was not tested, only 1.5, 2.0; it does not run users' SQL"]


def test_a_command_says_in_one_line_that_its_duckdb_was_not_tried(finished: Home, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import duckdb\nduckdb.__version__ = '2.1.0'\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    (tmp_path / "own.sql").write_text("select 1")
    for arguments, last in (
        (["query", "select 1"], "rooflines: query: DuckDB 2.1.0 was not tested for users' SQL; expected 1.5 or 2.0"),
        (["chart", "--sql", str(tmp_path / "own.sql")], "rooflines: chart: --sql: DuckDB 2.1.0 was not tested"),
        (["schema", "mart.roof"], "rooflines: DuckDB 2.1.0 was not tested, only 1.5, 2.0"),
    ):
        command = [sys.executable, "-m", "flows.cli", *arguments, "--home", str(finished.path)]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == (0 if arguments[0] == "schema" else 2)
        assert done.stderr.splitlines()[-1].startswith(last)


def test_no_message_repeats_a_file(finished: Home, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("hunter2\n")
    asked = [f"select * from {function}('{tmp_path / 'secret.csv'}')" for function in hostile.READERS]
    for said in collect_refusals(asked, finished, tmp_path):
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


@LINUX
def test_the_process_of_a_query_cannot_write_whatever_its_statement_does(home: Home, tmp_path: Path) -> None:
    """Not even as root, and with no other limit than that of the process."""
    script = """
import os, sys
from pathlib import Path
from warehouse.sandbox.landlock import forbid_writing
home, spill = map(Path, sys.argv[1:])
if not forbid_writing([spill]):
    sys.exit("no Landlock")
import duckdb
connection = duckdb.connect()
def attempt(act):
    try:
        act()
    except (OSError, duckdb.Error):
        return "refused"
    return "done"
target = home / "rooflines.duckdb"
print(
    attempt(lambda: connection.execute(f"copy (select 1) to '{target}' (format csv, use_tmp_file false)")),
    attempt(lambda: connection.execute(f"copy (select 1) to '{home / 'new.csv'}'")),
    attempt(lambda: connection.execute(f"attach '{home / 'new.duckdb'}'")),
    attempt(lambda: target.open("r+b")), attempt(target.unlink), attempt(lambda: os.truncate(target, 0)),
    attempt(lambda: target.rename(home / "other")), attempt(lambda: (home / "folder").mkdir()),
    attempt(lambda: (home / "link").symlink_to(target)), attempt(lambda: (home / "hard").hardlink_to(target)),
    attempt(lambda: os.kill(os.getppid(), 0)),
    attempt(lambda: connection.execute(f"copy (select 1) to '{spill / 'new.csv'}'")), attempt(target.read_bytes),
)
"""
    before = {path: path.stat().st_mtime_ns for path in home.path.rglob("*")}
    (tmp_path / "spill").mkdir()
    command = [sys.executable, "-c", script, str(home.path), str(tmp_path / "spill")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if "no Landlock" in done.stderr:
        pytest.skip("a kernel without Landlock")
    assert done.stdout.split() == ["refused"] * 11 + ["done"] * 2, done.stderr
    assert {path: path.stat().st_mtime_ns for path in home.path.rglob("*")} == before


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
@pytest.mark.parametrize("sql", keep_fast(1, ["from '/etc/passwd'", "select error('x') from range(9)"]))
def test_every_format_refuses(
    form: str, sql: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["query", sql, "--format", form, "--out", str(out), "--home", str(finished.path)]
    assert run_command(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert not list(tmp_path.iterdir())


SEGFAULT = "json_structure(repeat('[',2000000)||repeat(']',2000000))"


@pytest.mark.parametrize(
    "sql",
    ["from '/etc/passwd'", "from enable_logging()", "attach 'x'", "select 1 from range(200000)", f"select {SEGFAULT}"],
)
def test_charts_refuse(sql: str, finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.sql").write_text(sql)
    assert run_command(["chart", "--sql", str(tmp_path / "own.sql"), "--home", str(finished.path)]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "chart: --sql: " in said.err
    with open_snapshot(finished.snapshot) as connection, pytest.raises(InputError, match=r"^gallery\.toml: mine: "):
        build_own_roofline(connection, sql, "bf16", "gallery.toml: mine")


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
    monkeypatch.setattr("flows.site.chart_rows._MOST_S", 0.01)
    with open_snapshot(finished.snapshot) as connection, pytest.raises(InputError) as caught:
        build_own_roofline(connection, LONG, "bf16", "chart: --sql")
    assert str(caught.value) == "chart: --sql: it took longer than 0.01 s; expected less"


def query(home: Home, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flows.cli", "query", *arguments, "--format", "csv", "--home", str(home.path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    """One call of a function neither looks whether it is to stop nor is its memory counted."""
    with query(finished, sql, *limits) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, len(err.splitlines())) == (2, 1)
    assert len(out.splitlines()) <= 1  # the names of the columns, where rows began to come
    assert err.startswith("rooflines: query: ")
    assert said in err


CRASHED = "rooflines: query: the engine crashed on it (SIGSEGV); expected another statement\n"


def test_a_statement_that_crashes_the_engine_is_one_line(finished: Home) -> None:
    with query(finished, f"select length({SEGFAULT}) as n") as process:
        out, err = process.communicate(timeout=60)
    crashed = (2, "", CRASHED)
    held = (0, "n\n4000006\n", "")  # by later versions
    assert (process.returncode, out, err) in ([crashed] if duckdb.__version__ < "2" else [crashed, held])


@LINUX
def test_any_crash_is_one_line(finished: Home) -> None:
    with query(finished, "select pg_sleep(60)") as process:
        os.kill(wait_for(lambda: find_working_child(process.pid)), signal.SIGSEGV)
        assert process.communicate(timeout=10)[1] == CRASHED
    assert process.returncode == 2


def find_working_child(process: int) -> int | None:
    """The process that another one started, when it has started threads."""
    child = find_child(process)
    with suppress(OSError):
        return child if child and len([*Path(f"/proc/{child}/task").iterdir()]) > 1 else None
    return None


def find_child(process: int) -> int | None:
    """The process that another one started, if it has; of more the first."""
    try:
        (child, *_) = Path(f"/proc/{process}/task/{process}/children").read_text("ascii").split()
    except (OSError, ValueError):
        return None
    return int(child)


def measure_peak(process: int) -> int:
    """The most memory that a process had so far, in bytes; 0 where it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text("ascii"))
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


@LINUX
@pytest.mark.parametrize(
    ("sql", "memory"),
    [
        ("select range(1000000000)", "2GB"),
        ("select range(1000000000)", "100MB"),
        pytest.param(
            "select count(*) from (select distinct i % 9000000, repeat('x', 20) from range(9000000) t (i))",
            "300MB",
            marks=pytest.mark.slow,
        ),
        ("select repeat('x', 1000000) || i from range(2000) t (i) order by 1", "300MB"),
    ],
)
def test_no_query_takes_more_than_512_mb_beside_its_memory(sql: str, memory: str, finished: Home) -> None:
    peak = 0
    with query(finished, sql, "--memory", memory) as process:
        while process.poll() is None:
            peak = max(peak, measure_peak(child) if (child := find_child(process.pid)) else 0)
            time.sleep(0.005)
    assert process.returncode in {0, 2}
    assert 30e6 < peak <= parse_memory(memory) + 512e6


@LINUX
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_process_of_a_query_ends_with_the_command(
    end: signal.Signals, code: int, finished: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    with query(finished, "select pg_sleep(60)", "--out", str(out)) as process:
        child = wait_for(lambda: find_working_child(process.pid))
        process.send_signal(end)
        err = process.communicate(timeout=10)[1]
    assert process.returncode == code
    assert len(err.splitlines()) == (end == signal.SIGINT)
    wait_for(lambda: not Path(f"/proc/{child}").exists() or measure_peak(child) == 0)
    assert end == signal.SIGKILL or list(tmp_path.iterdir()) == []


@LINUX
@pytest.mark.parametrize("end", keep_fast(1, [signal.SIGKILL, signal.SIGTERM]))
def test_what_a_statement_spilled_goes_with_it_or_with_the_next(
    end: signal.Signals, finished: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "rooflines-spill-0-of-nobody").touch()  # no folder of ours
    with query(finished, "select pg_sleep(60)") as process:
        wait_for(lambda: find_working_child(process.pid))
        process.send_signal(end)
        process.communicate(timeout=10)
    spilled = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(spilled) == (end == signal.SIGKILL)
    with query(finished, "select 1") as process:
        process.communicate(timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == ["rooflines-spill-0-of-nobody"]


def wait_for(look: Callable[[], int | None]) -> int:
    for _ in range(1000):
        if found := look():
            return found
        time.sleep(0.01)
    pytest.fail("nothing came")


@pytest.mark.slow
def test_any_number_of_rows_is_written_in_little_memory(finished: Home) -> None:
    sql = "select i, i + 1 as j, 'some text' as s from range(5000000) t (i)"
    for form in ("csv", "parquet"):
        command = ["query", sql, "--format", form, "--memory", "300MB", "--out", "/dev/null"]
        assert run_command([*command, "--home", str(finished.path)]) == 0  # of 5 million rows, 120 MB as they come


def test_what_does_not_fit_the_memory_goes_to_a_folder_that_is_removed(
    finished: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sql = "select count(*) from (select i, hash(i) as h from range(12000000) t (i) order by h desc offset 1)"
    before = sorted(path.name for path in finished.path.iterdir())
    assert run_command(["query", sql, "--memory", "150MB", "--home", str(finished.path)]) == 0
    assert sorted(path.name for path in finished.path.iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_amounts_of_memory() -> None:
    assert [parse_memory(text) for text in ("500MB", "2 GiB", "1.5gb")] == [5e8, 2**31, 1.5e9]
    for wrong in ("", "2", "2 g", "-1GB", "1EB", "1KB", "9999TB"):
        with pytest.raises(InputError, match="--memory"):
            parse_memory(wrong)


def test_a_full_disk_is_told(finished: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["query", "from range(100000)", "--format", "csv", "--home", str(finished.path)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as for a disk that is full
    try:
        assert run_command([*arguments, "--out", str(tmp_path / "out.csv")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert "no space on the disk" in said
    assert list(tmp_path.iterdir()) == []
    assert run_command([*arguments, "--out", "/dev/full"]) == 1
    assert "no space on the disk" in capfd.readouterr().err


def test_nobody_who_reads_is_no_error(finished: Home) -> None:
    with query(finished, "from range(10000000)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "range\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize(
    "value",
    ["timestamp 'infinity'", "date '-infinity'", "date '290000-01-01'", "timestamp_s 'infinity'", "time '24:00:00'"],
)
def test_a_time_that_a_format_cannot_hold_is_one_line(
    form: str, value: str, finished: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["query", f"select {value} as t", "--format", form, "--home", str(finished.path)]) == 2
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert "column t: a time that this format cannot hold; cast it to varchar" in said
    asked = ["query", f"select cast({value} as varchar) as t", "--format", form, "--home", str(finished.path)]
    assert run_command(asked) == 0


def test_what_is_no_number_is_null_in_json(finished: Home, capfd: pytest.CaptureFixture[str]) -> None:
    sql = "select 'nan'::double as a, [1.5, 'inf'::float] as b, {'DATE': '-inf'::double, 'd': date 'infinity'} as c"
    assert run_command(["query", sql, "--format", "json", "--home", str(finished.path)]) == 0
    found = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
    assert found == [{"a": None, "b": [1.5, None], "c": {"DATE": None, "d": "infinity"}}]


def test_text_that_spreadsheets_would_run_has_an_apostrophe(finished: Home, capfd: pytest.CaptureFixture[str]) -> None:
    sql = "select '=1' as a, '-x' as \"=b\", '@x'::enum ('@x') as c, '+1' as d, -1 as e, 'a=b' as f, null::varchar as g"
    asked = ["query", sql, "--format", "csv", "--home", str(finished.path)]
    assert run_command(asked) == 0
    assert capfd.readouterr().out == "a,'=b,c,d,e,f,g\n'=1,'-x,'@x,'+1,-1,a=b,\n"
    assert run_command([*asked, "--raw"]) == 0
    assert capfd.readouterr().out == "a,=b,c,d,e,f,g\n=1,-x,@x,+1,-1,a=b,\n"


def test_a_query_never_writes_onto_its_home(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say(out: str | Path) -> str:
        assert run_command(["query", "select 1", "--out", str(out), "--home", str(home.path)]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        return said

    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    (tmp_path / "link.csv").symlink_to(home.snapshot)
    (tmp_path / "folder").symlink_to(home.path)
    own = [home.snapshot, home.build, home.path / "site" / "index.html", home.path / "run.lock", home.path]
    own += [home.path / "snapshots" / "x.csv", home.stage / "x.parquet", home.sweeps / "s" / "x.parquet"]
    own += [home.catalog / "hardware" / "x.toml", home.path / "build.duckdb.wal", home.path / "rooflines.candidate"]
    ways: list[Path | str] = [
        tmp_path / "link.csv",
        tmp_path / "folder" / "rooflines.duckdb",
        home.path / "stage" / ".." / "site" / "x",
    ]
    for out in (*own, *ways, os.path.relpath(home.snapshot)):
        assert "belongs to the home" in say(out)
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before
    assert "File name too long" in say(tmp_path / ("x" * 300))
    mine = home.path / "mine.csv"
    assert run_command(["query", "select 1 as a", "--format", "csv", "--out", str(mine), "--home", str(home.path)]) == 0
    assert mine.read_text() == "a\n1\n"


def test_a_statement_is_not_longer_than_it_may_be(finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection, pytest.raises(duckdb.PermissionException):
        ask(connection, f"select 1{' ' * LONGEST_STATEMENT}")


def test_a_dynamic_pivot_is_told_what_to_do(finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection, pytest.raises(duckdb.PermissionException) as caught:
        ask(connection, "pivot mart.roof on dtype")
    assert "name the values, as in: pivot mart.roof on dtype in ('fp16', 'bf16')" in str(caught.value)


def test_what_runs_is_what_was_decided_on(finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection:
        sql = "select 1; explain analyze select 2; pragma table_info('roof')"
        texts = list(statements.check_statements(connection, sql, statements.KnownNames(connection)))
    assert [text.split()[0].lower() for text in texts] == ["select", "explain", "select"]
    assert "pragma_table_info('roof')" in texts[2]

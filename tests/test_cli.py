"""The command line: what it prints, how it ends, what it does not import."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.request
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
import uvicorn
from filelock import FileLock
from prefect.settings import temporary_settings

from flows.cli.app import app, run_command
from flows.ingest.catalog import SHIPPED
from flows.orchestrate import embedded_server
from flows.orchestrate import settings as prefect_defaults
from flows.orchestrate.server_process import LockedServer
from tests.support.files import ROOT
from tests.support.hostile import REFUSED
from tests.support.inputs import DEVICE
from tests.support.terminal import STAGES_SHOWN, run_on_terminal
from tests.support.tiers import keep_fast
from warehouse.home import Home

DEVICES, MODELS = (len(list((SHIPPED / name).iterdir())) for name in ("hardware", "models"))
COMMANDS = ["run", "ingest", "measure", "calibrate", "sweep", "query", "schema", "chart", "publish", "check", "serve"]
COMMANDS += ["plan", "profile", "questions"]
COMMANDS += ["lake push", "lake pull", "lake remove"]


def run_rooflines(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, from a folder that is not the project's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments, "--home", str(home.path)],
        cwd=home.path,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A home of Prefect that the first run here makes."""
    return str(tmp_path_factory.mktemp("prefect") / "home")


@pytest.mark.slow
def test_the_terminal_stays_clean(tmp_path: Path, prefect_home: str) -> None:
    """Real runs with their own embedded server, from a fresh Prefect home on, say nothing but their result."""
    home = Home(tmp_path / "it's a [home]")
    home.path.mkdir()
    first = run_rooflines(home, "run", PREFECT_HOME=prefect_home)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"published {DEVICES} devices, {MODELS} models")
    assert str(home.snapshot) in first.stdout
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "bad.toml").write_text("[", "utf-8")
    failed = run_rooflines(home, "run", PREFECT_HOME=prefect_home)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_person_sees_progress_and_nothing_else(home: Home, prefect_home: str) -> None:
    """The same on a terminal, where Prefect would say more."""
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")
    code, seen = run_on_terminal(
        [sys.executable, "-m", "flows.cli", "run", "--home", str(home.path)], {"PREFECT_HOME": prefect_home}
    )
    assert code == 0
    assert [line for line in seen if not line.startswith(("starting Prefect", *STAGES_SHOWN))] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "--home" in text
    assert len(text) > 300


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_no_option_that_nobody_made(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "--no-" not in text
    assert "--empty-" not in text
    assert "[default: False]" not in text


def test_there_are_no_other_commands() -> None:
    assert {name for name in app if not name.startswith("-")} == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("command", [["query", "select 1"], ["schema"], ["check"]])
def test_reading_does_not_import_prefect(command: list[str], finished: Home) -> None:
    script = "import sys; from flows.cli.app import run_command; code = run_command(sys.argv[1:])\n"
    script += "bad = {'prefect', 'pyarrow', 'pandas', 'altair'} & set(sys.modules); sys.exit(str(bad) if bad else code)"
    arguments = [sys.executable, "-c", script, *command, "--home", str(finished.path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_whole_run_does_not_import_pyarrow(finished: Home) -> None:
    assert finished.site.exists()
    assert not {"pyarrow", "pandas"} & set(sys.modules)


def query(home: Home, capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> bytes:
    assert run_command(["query", *arguments, "--home", str(home.path)]) == 0
    return capfdbinary.readouterr().out


SQL = "select hardware_id, memory_bytes, tdp_w from core.hardware where memory_bytes in (48e9, 80e9) order by 1 limit 2"


def test_formats(finished: Home, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = [("a100-80gb-pcie", 80e9, 300.0), ("a100-80gb-sxm", 80e9, 400.0)]
    assert "a100-80gb-pcie" in query(finished, capfdbinary, SQL).decode()
    csv = pl.read_csv(BytesIO(query(finished, capfdbinary, SQL, "--format", "csv")))
    assert csv.rows() == rows
    found = json.loads(query(finished, capfdbinary, SQL, "--format", "json"))
    assert [tuple(row.values()) for row in found] == rows
    parquet = pl.read_parquet(BytesIO(query(finished, capfdbinary, SQL, "--format", "parquet")))
    assert parquet.rows() == rows


VALUES = [
    "interval 1 day", "[interval 1 day]", "[1, 2]", "{'a': 1}", "map {'a': 1}", "'abc'::blob", "null", "'inf'::double",
    "'nan'::double", "1::hugeint", "[1::hugeint]", "[1.5, 2.5]", "{'a': 1.5}",
    "1.5::decimal(4, 2)", "timestamp '2020-01-01'", "now()", "uuid()", "true",
    "union_value(a := 1)", "'101'::bit", "'x'::enum('x')",
]  # fmt: skip


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_any_type_can_be_written(
    form: str, finished: Home, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    out, columns = tmp_path / "out", ", ".join(f"{value} as x" for value in VALUES)
    query(finished, capfdbinary, f"select {columns}", "--format", form, "--out", str(out))
    assert out.stat().st_size > 0
    if form == "json":
        json.loads(out.read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_sums_are_numbers_in_json(finished: Home, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = "select sum(n) as n, [1.5, 2.5] as l, {'a': 1.5} as s from (values (32::bigint), (100::bigint)) as v (n)"
    found = json.loads(query(finished, capfdbinary, sql, "--format", "json"))
    assert found == [{"n": 132, "l": [1.5, 2.5], "s": {"a": 1.5}}]


def test_the_suffix_of_the_file_means_a_format(finished: Home, tmp_path: Path) -> None:
    for name, start in {"x.csv": b"a\n1", "x.json": b"[", "x.parquet": b"PAR1", "x": "┌".encode()}.items():
        out = tmp_path / name
        assert run_command(["query", "select 1 as a", "--out", str(out), "--home", str(finished.path)]) == 0
        assert out.read_bytes().startswith(start)


def test_worked_questions_are_listed_shown_and_answered(
    finished: Home, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    home = ["--home", str(finished.path)]
    assert run_command(["questions", *home]) == 0
    listed = {line.split()[0].decode() for line in capfdbinary.readouterr().out.splitlines()}
    queries = ROOT / "sql" / "queries"
    assert listed == {path.stem for path in queries.iterdir()}
    assert run_command(["questions", "headroom", "--sql", "--out", str(tmp_path / "q.sql"), *home]) == 0
    assert (tmp_path / "q.sql").read_bytes() == (queries / "headroom.sql").read_bytes()
    assert run_command(["questions", "headroom", "--format", "csv", *home]) == 0
    assert query(finished, capfdbinary, "--file", str(queries / "headroom.sql"), "--format", "csv").count(b"\n") > 1


@pytest.mark.parametrize("names", [["--model", "gpt2,llama-7b"], ["--model", "gpt2", "--model", " llama-7b"]])
def test_names_are_repeated_or_stand_with_commas(
    names: list[str], finished: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--batch", "1", "--sequence", "128", "--phase", "decode", "--dry-run"]
    assert run_command(["sweep", "--name", "few", *names, *small, "--home", str(finished.path)]) == 0
    assert "0 of 2 parts" in capsys.readouterr().out


def test_names_need_no_schema(finished: Home, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert b"roofline_point" in query(finished, capfdbinary, "show tables", "--format", "csv")
    assert b"a40" in query(finished, capfdbinary, "select hardware_id from roof", "--format", "csv")


def test_a_statement_from_a_file(finished: Home, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "q.sql").write_text("-- a comment\nselect 41 + 1 as answer;\n")
    assert b"42" in query(finished, capfdbinary, "--file", str(tmp_path / "q.sql"), "--format", "csv")


@pytest.mark.parametrize("sql", keep_fast(2, REFUSED))
def test_the_sandbox_refuses(sql: str, finished: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = finished.snapshot.read_bytes()
    code = run_command(["query", sql, "--home", str(finished.path)])
    captured = capsys.readouterr()
    assert code == 2, captured.out
    assert len(captured.err.splitlines()) == 1
    assert finished.snapshot.read_bytes() == before
    assert not Path("/tmp/rooflines-test-out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["query"], "expected either SQL"),
        (["query", "select 1", "--file", "x"], "expected either SQL"),
        (["query", "--file", "/no/such/file"], "--file: /no/such/file"),
        (["query", "selec 1"], "syntax error"),
        (["query", "select * from mart.rof"], "rof does not exist"),
        (["query", "select 1", "--format", "xml"], "xml"),
        (["query", "select 1", "--out", "/no/such/folder/x"], "--out: /no/such/folder/x"),
        (["chart", "roofline-llama-7b-a4"], "roofline-llama-7b-a40"),
        (["chart", "roofline-llama-7b-a40", "--out", "x.gif"], ".svg or .png"),
        (["chart", "roofline-llama-7b-a40", "--out", "/no/such/folder/x.svg"], "--out: /no/such/folder/x.svg"),
        (["schema", "mart.rof"], "expected one of mart.roof"),
        (["questions", "headrom"], "such as headroom"),
        (["questions", "--sql"], "expected the name of a question"),
        (["chart", "device-a40", "--precision", "fp17"], "--precision: fp17: expected a name such as fp16"),
        (["sweep", "--name", "x", "--candidates", "4", "--phase", "decode"], "expected with the phase speculative"),
        (["publish", "--out", str(ROOT / "README.md")], "expected a folder, or nothing"),
        (["publish", "--out", str(ROOT / "README.md" / "site")], "expected a folder"),
        (["chart", "--out", "x.svg"], "expected the name of a chart"),
        (["query", " "], "no result"),
        (["run", "--catalog", ""], "--catalog: empty"),
        (["nonsense"], "nonsense"),
        (["run", "--nonsense"], "nonsense"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], expected: str, finished: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*arguments, *(["--home", str(finished.path)] if arguments != ["nonsense"] else [])]) == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert message.startswith("rooflines: ")
    assert expected in message


def test_reading_before_the_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["query", "select 1"], ["schema"], ["check"], ["chart"], ["publish"]):
        assert run_command([*arguments, "--home", str(tmp_path)]) == 2
        assert "`rooflines run` makes it" in capsys.readouterr().err


def test_charts_are_listed_and_drawn(finished: Home, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_command(["chart", "--home", str(finished.path)]) == 0
    names = capfdbinary.readouterr().out.decode().split()
    assert {"roofline-llama-7b-a40", "roofline-llama-7b-a6000", "roofline-llama-33b-a100-80gb-pcie"} <= set(names)
    starts = {"json": b"{", "svg": b"<svg", "png": b"\x89PNG", "html": b"<!DOCTYPE html>"}
    for suffix, start in starts.items():
        out = tmp_path / f"chart.{suffix}"
        assert run_command(["chart", "roofline-llama-7b-a40", "--out", str(out), "--home", str(finished.path)]) == 0
        assert out.read_bytes().lstrip().startswith(start)


def test_publishing_elsewhere(finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [path.read_text("utf-8") for path in (finished.site / "charts").glob("*/index.html")]
    charts = sum('http-equiv="refresh"' not in page for page in pages)  # pages that lead to another chart are none
    assert charts < len(pages)
    for _ in range(2):
        assert run_command(["publish", "--out", str(tmp_path / "public"), "--home", str(finished.path)]) == 0
        assert f"published {charts} charts, 0 of them redrawn" in capsys.readouterr().out
    files = [path.relative_to(finished.site) for path in finished.site.rglob("*") if path.is_file()]
    assert all((tmp_path / "public" / file).read_bytes() == (finished.site / file).read_bytes() for file in files)
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_publishing_loses_nothing_of_others(finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def publish(folder: str) -> int:
        return run_command(["publish", "--out", str(tmp_path / folder), "--home", str(finished.path)])

    for folder, files in {
        "blog": ["site.json", "post.md"],
        "web.old": ["thesis.txt"],
        "web.new": ["draft.txt"],
    }.items():
        for name in files:
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text('{"title": "my blog"}')
    assert run_command(["publish", "--out", "", "--home", str(finished.path)]) == 2  # as of a variable that is not set
    assert capsys.readouterr().err == "rooflines: --out: empty; expected a folder\n"
    assert publish("blog") == 2
    assert "holds site.json" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(tmp_path / "web")
    assert publish("link") == 0
    (tmp_path / "web" / "CNAME").write_text("example.org")
    assert publish("web") == publish("link") == 0
    assert (tmp_path / "web" / "CNAME").read_text() == "example.org"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "blog" / "post.md").exists()
    assert (tmp_path / "web.old" / "thesis.txt").exists()
    assert (tmp_path / "web.new" / "draft.txt").exists()


def test_an_empty_home_is_not_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["schema", "--home", ""]) == 2
    assert "--home: empty" in capsys.readouterr().err


def test_a_prefect_home_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file" / "prefect"))
    assert run_command(["run", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("rooflines: PREFECT_HOME: ")


def test_check_names_the_rules(finished: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", "--home", str(finished.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.strip().startswith("ok") for line in lines)
    assert any("point_above_roof" in line for line in lines)


def test_prefects_settings_are_the_same_in_both_places() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["prefect"]
    flat = {}
    for path in prefect_defaults.DEFAULTS:
        value = settings
        for part in path.split("."):
            value = value[part]
        flat[path] = value
    assert flat == prefect_defaults.DEFAULTS


def test_no_file_names_a_package_host_or_a_path_of_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.split(b"\0")
    if not any(tracked):
        pytest.skip("no git checkout")
    hosts = re.compile(rb"/wo[r]k/|py[p]i\.org|pythonhos[t]ed|registry\.np[m]js")
    for name in filter(None, tracked):
        path = ROOT / name.decode()
        if path.is_file():
            assert not hosts.search(path.read_bytes()), path


@pytest.mark.slow
def test_the_embedded_server_ends_with_the_process(prefect_home: str) -> None:
    script = "import time; from flows.orchestrate.embedded_server import start_server; server = start_server()\n"
    script += "server.wait(60); print(server.api_url, flush=True); time.sleep(60)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = prefect_home
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert urllib.request.urlopen(f"{url}/health").status == 200
        process.kill()
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/health").close()
        except OSError:
            return
        time.sleep(0.1)
    pytest.fail("the server outlives the command")


def test_servers_start_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else two would make the tables of a new database at once."""
    lock, held = FileLock(tmp_path / "server.lock"), list[bool]()

    async def startup(_: uvicorn.Server, sockets: object = None) -> None:
        held.append(lock.is_locked)

    monkeypatch.setattr(uvicorn.Server, "startup", startup)
    asyncio.run(LockedServer(uvicorn.Config("no:app"), lock).startup())
    assert (held, lock.is_locked) == ([True], False)


def test_a_server_of_the_user_is_called() -> None:
    with temporary_settings(updates={"api.url": "http://127.0.0.1:1/api"}):
        assert embedded_server.start_server.__wrapped__() is None

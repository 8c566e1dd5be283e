"""Whatever is given, and wherever output goes: one line that names what is wrong, or silence, and never a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.app import run_command
from flows.ingest.user_catalog import add_files
from tests.support.commands import ingest
from tests.support.disks import mount_disk
from tests.support.files import ROOT, write_file
from tests.support.inputs import CONFIG, DEVICE, MEASUREMENT, MLP, WORKLOAD
from tests.support.tiers import keep_fast
from warehouse.errors import RunError
from warehouse.home import Home

OF_CONFIG = json.dumps(CONFIG)[:-1]
LONG, DEEP = "x" * 5000, "/".join(["y" * 200] * 30)


def read_one_line(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """Return the one line that a command ends with."""
    assert run_command([*arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("rooflines: ")
    assert len(line) < 1000
    return line


FILES: dict[str, tuple[str, str, str | bytes, str]] = {
    "a key twice": ("model", "m.json", f'{OF_CONFIG}, "head_dim": 1, "head_dim": 5}}', "head_dim = 1 and again 5:"),
    "a key twice within": ("model", "m.json", f'{OF_CONFIG}, "x": [{{"b": 1, "b": [2]}}]}}', "b = 1 and again [2]"),
    "half a character": ("model", "m.json", f'{OF_CONFIG}, "x": {{"a": ["\\ud800"]}}}}', 'x.a[0] = "\\ud800": unp'),
    "half a key": ("model", "m.json", f'{OF_CONFIG}, "a\\udc00": 1}}', 'key "a\\udc00": unpaired surrogate'),
    "no number": ("model", "m.json", f'{OF_CONFIG}, "head_dim": NaN}}', "head_dim = NaN"),
    "an infinite number": ("model", "m.json", f'{OF_CONFIG}, "head_dim": -Infinity}}', "head_dim = -Infinity"),
    "true for a number": ("model", "m.json", f'{OF_CONFIG}, "head_dim": true}}', "head_dim = true"),
    "71 bits": ("model", "m.json", f'{OF_CONFIG}, "head_dim": {2**70}}}', f"head_dim = {2**70}"),
    "thousands of digits": ("model", "m.json", f'{OF_CONFIG}, "x": {"9" * 5000}}}', "a number with thousands"),
    "an origin of lines": ("model", "m.json", f'{OF_CONFIG}, "_name_or_path": "a\\nb"}}', '_name_or_path = "a\\nb"'),
    "no config": ("model", "m.json", "", "an empty file"),
    "a config in UTF-16": ("model", "m.json", OF_CONFIG.encode("utf-16"), "UTF-16; expected UTF-8"),
    "a device's key twice": (
        "hardware", "d.toml", DEVICE.replace("tdp_w", "memory_gb"), "line 7, column 16): memory_gb = 300",
    ),
    "half a device": ("hardware", "d.toml", DEVICE.replace("Own", "\\ud800"), 'architecture = "\\ud800"'),
    "nan GB": ("hardware", "d.toml", DEVICE.replace("= 48", "= nan"), "memory_gb = NaN: expected a finite number"),
    "inf GB": ("hardware", "d.toml", DEVICE.replace("= 48", "= inf"), "memory_gb = Infinity: expected a finite number"),
    "true GB": ("hardware", "d.toml", DEVICE.replace("= 48", "= true"), "memory_gb = true"),
    "71 bits of GB": ("hardware", "d.toml", DEVICE.replace("= 48", f"= {2**70}"), f"memory_gb = {2**70}"),
    "very many GB": ("hardware", "d.toml", DEVICE.replace("= 48", f"= {'9' * 5000}"), "broken TOML: a number with tho"),
    "no device": ("hardware", "d.toml", "", "hardware_id: missing"),
    "a device in UTF-16": ("hardware", "d.toml", DEVICE.encode("utf-16"), "UTF-16; expected UTF-8"),
    "a table of devices in UTF-16": ("hardware", "d.csv", "hardware_id\n".encode("utf-16"), "UTF-16; expected UTF-8"),
    "a workload's key twice": ("workload", "w.toml", f'{WORKLOAD}name = "x"\n', 'name = "x"'),
    "a batch of true": ("workload", "w.toml", WORKLOAD.replace("[1]", "[true]"), "batch_size[0] = true"),
    "a batch of nan": ("workload", "w.toml", WORKLOAD.replace("[1]", "[nan]"), "batch_size[0] = NaN"),
    "a batch of 65 bits": ("workload", "w.toml", WORKLOAD.replace("[1]", f"[{2**64}]"), f"batch_size[0] = {2**64}"),
    "an op's key twice": ("ops", "k.json", '[{"op":"a","m":1,"m":5,"k":2,"n":3}]', "m occurs twice in row 1"),
    "half an op": ("ops", "k.json", '[{"op":"a\\ud800","m":1,"k":2,"n":3}]', "op = a\\ud800: unpaired surrogate"),
    "m of true": ("ops", "k.json", '[{"op":"a","m":true,"k":2,"n":3}]', "column m of boolean"),
    "m of 71 bits": ("ops", "k.csv", f"op,m,k,n\na,{2**70},2,3\n", f'row 1: m = "{2**70}"'),
    "m of nan": ("ops", "k.csv", "op,m,k,n\na,nan,2,3\n", 'row 1: m = "nan": expected a whole number'),
    "ops in UTF-16": ("ops", "k.csv", "op,m,k,n\na,1,2,3\n".encode("utf-16"), "UTF-16; expected UTF-8"),
    "times in UTF-16": ("measurement", "t.csv", MEASUREMENT.encode("utf-16"), "UTF-16; expected UTF-8"),
    "a time of inf": ("measurement", "t.csv", MEASUREMENT.replace("1e-3", "inf"), "latency_s: expected a finite"),
    "no counters, in UTF-16": ("nsight", "a40.csv", '"ID","Kernel Name"\n'.encode("utf-16"), "no metric for time"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_file_with_one_thing_wrong_gets_one_line(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, name, content, said = FILES[what]
    path = write_file(tmp_path, name, content)
    line = read_one_line(capsys, "ingest", kind, str(path), "--home", str(tmp_path / "home"))
    assert line.startswith(f"rooflines: {path}: ")
    assert said in line


def test_whole_characters_and_marks_of_order_are_read(tmp_path: Path) -> None:
    """A pair of escapes is one character; a mark of the order of bytes is none; a field that is not read may be nan."""
    home = Home(tmp_path / "home")
    config = f'{OF_CONFIG}, "x": "\\ud83d\\ude00 \\\\ud800", "rope_theta": Infinity}}'
    ops = '[{"op": "\\ud83d\\ude00 \\\\ud800", "m": 1, "k": 2, "n": 3}, {"op": "b", "m": 1, "k": 2, "n": 3}]'
    for kind, name, content in (
        ("model", "m.json", config.encode("utf-8-sig")),
        ("hardware", "d.toml", DEVICE.encode("utf-8-sig")),
        ("ops", "k.csv", "op,m,k,n\na,1,2,3\n".encode("utf-8-sig")),
        ("ops", "j.json", ops.encode()),
        ("measurement", "t.csv", MEASUREMENT.encode("utf-8-sig")),
    ):
        assert ingest(home, kind, str(write_file(tmp_path, name, content))) == 0


PLAN = ["measure", "--hardware-id", "x", "--plan-only", "--workload", "products", "--model", "gpt2"]
PATHS = [
    ["run", "--catalog", "{}"], ["run", "--publish-to", "{}"], ["schema", "--home", "{}"], ["check", "--home", "{}"],
    ["ingest", "hardware", "{}"], ["ingest", "model", "{}"], ["ingest", "nsight", "{}", "--hardware-id", "a40"],
    ["ingest", "aiconfigurator", "{}"], ["chart", "x", "--out", "{}.svg"], ["chart", "--sql", "{}"],
    ["query", "--file", "{}"], [*PLAN, "--out", "{}"],
    ["measure", "--hardware-id", "x", "--out", "{}"], ["sweep", "--name", "x", "--out", "{}"],
]  # fmt: skip


@pytest.mark.parametrize("path", [LONG, DEEP, "a\0b", "~nosuchuser/x", os.fsdecode(b"\xff")])
@pytest.mark.parametrize("command", PATHS, ids=" ".join)
def test_a_path_that_can_be_none_gets_one_line(
    command: list[str],
    path: str,
    finished: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROOFLINES_HOME", str(tmp_path / "home"))
    if command[0] in {"chart", "query"}:
        monkeypatch.setenv("ROOFLINES_HOME", str(finished.path))
    before_it = command[next(place for place, word in enumerate(command) if "{}" in word) - 1]
    option = before_it if before_it.startswith("--") else "ingest"
    line = read_one_line(capsys, *[word.replace("{}", path) for word in command])
    assert line.startswith(f"rooflines: {option}: ")
    assert "expected a path that" in line
    assert not (tmp_path / "home").exists() or not any((tmp_path / "home").glob("[!r]*"))


def test_what_is_no_file_gets_one_line(finished: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path / "home")]
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.csv" / "config.json").mkdir()
    for path in ("/dev/null", str(tmp_path / "pipe.csv"), str(tmp_path / "folder.csv")):
        for kind in ("hardware", "model", "workload", "ops", "measurement", "vidur", "nsight", "torch-profiler"):
            assert "expected a file" in read_one_line(capsys, "ingest", kind, path, *home)
        assert "--out: " in read_one_line(
            capsys, "measure", "--backend", "numpy", "--hardware-id", "x", "--out", path, *home
        )
    for command, option in (("query", "--file"), ("chart", "--sql")):
        folder = ["--home", str(finished.path), option, str(tmp_path / "folder.csv")]
        assert f"{option}: " in read_one_line(capsys, command, *folder)


def test_measuring_leaves_the_files_of_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (b"no line, and no measurement", b"\xff\xfe\x00a", b"op,m\na,1\n"):
        out = write_file(tmp_path, "notes.csv", content)
        command = ["measure", "--backend", "numpy", "--hardware-id", "x", "--out", str(out)]
        assert "holds something else" in read_one_line(capsys, *command, "--home", str(tmp_path / "home"))
        assert out.read_bytes() == content


@pytest.mark.parametrize("value", [os.fsdecode(b"\xff"), "a\nb", "a\u2028b", "\u202ea"])
def test_ids_of_options_that_no_table_can_hold_get_one_line(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path, "mlp.csv", MLP)
    for option, other in (("--hardware-id", "--model-id"), ("--model-id", "--hardware-id")):
        command = ["ingest", "vidur", str(path), option, value, other, "a40", "--home", str(tmp_path / "home")]
        assert read_one_line(capsys, *command).startswith(f"rooflines: {option}: ")
    command = ["measure", "--backend", "numpy", "--out", str(tmp_path / "x.csv"), "--hardware-id", value]
    assert read_one_line(capsys, *command).startswith("rooflines: --hardware-id: ")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e9"])
def test_seconds_that_are_none_get_one_line(seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["measure", "--backend", "numpy", "--hardware-id", "x", "--out", str(tmp_path / "x.csv")]
    assert "--seconds: " in read_one_line(capsys, *command, "--seconds", seconds)


def start_command(arguments: list[str], **streams: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, **streams)  # type: ignore[call-overload, no-any-return]


PRINTING = [
    ["schema"], ["chart"], ["query", "from range(100000)", "--format", "csv"], ["schema", "mart.roof"],
    ["chart", "device-a40"], ["check"], ["query", "select 1"], ["sweep", "--name", "x", "--dry-run"],
]  # fmt: skip


@pytest.mark.parametrize("command", keep_fast(3, PRINTING), ids=" ".join)
def test_a_command_that_nobody_reads_ends_quietly(command: list[str], finished: Home) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with start_command([*command, "--home", str(finished.path)], stdout=writes, stderr=subprocess.PIPE) as process:
        os.close(writes)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


def test_ingest_measure_and_errors_that_nobody_reads_end_quietly(tmp_path: Path) -> None:
    device, home = write_file(tmp_path, "mine.toml", DEVICE), ["--home", str(tmp_path / "home")]
    plan = [*PLAN, "--out", str(tmp_path / "plan.csv")]
    for command, code in ((["ingest", "hardware", str(device)], 0), (plan, 0), (["nonsense"], 2)):
        reads, writes = os.pipe()
        os.close(reads)
        with start_command([*command, *(home if code == 0 else [])], stdout=writes, stderr=writes) as process:
            os.close(writes)
            assert process.wait(timeout=60) == code
    assert (tmp_path / "home" / "catalog" / "hardware" / "mine.toml").exists()
    assert (tmp_path / "plan.csv").exists()


def test_a_broken_pipe_of_another_kind_is_told(
    finished: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def describe(*_: object) -> str:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("warehouse.schema.describe", describe)
    assert "BrokenPipeError" in read_one_line(capsys, "schema", "--home", str(finished.path), code=1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_output_onto_a_full_disk_is_told(finished: Home) -> None:
    for command in (["schema"], ["chart", "device-a40"], ["check"]):
        with (
            Path("/dev/full").open("w") as full,
            start_command([*command, "--home", str(finished.path)], stdout=full, stderr=subprocess.PIPE) as process,
        ):
            (line,) = process.communicate(timeout=60)[1].splitlines()
        assert line.startswith("rooflines: no space on the disk: ")
        assert process.returncode == 1


def test_closed_streams_are_no_trouble(finished: Home, tmp_path: Path) -> None:
    home = ["--home", str(finished.path)]
    for closed, command, code in (
        ("stdout", ["schema"], 0), ("stdout", ["chart", "device-a40"], 2), ("stderr", ["check"], 0),
        ("stderr", ["ingest", "hardware", "none.toml", "--home", str(tmp_path)], 2),
    ):  # fmt: skip
        script = f"import sys; sys.{closed} = None; from flows.cli.app import main; main()"
        arguments = [sys.executable, "-c", script, *command, *(home if "--home" not in command else [])]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert "Traceback" not in done.stdout + done.stderr
        assert not done.stdout or (closed == "stderr" and code == 0)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, of which a half is free."""
    with mount_disk(tmp_path / "disk", 2**20) as place:
        (place / "filler").write_bytes(bytes(500_000))
        yield place


def test_a_full_disk_keeps_all_entries_out(full_disk: Path, tmp_path: Path) -> None:
    """The first would find its place, the second does not; as one file it is told alike."""
    home = Home(full_disk / "home")
    row = MEASUREMENT.splitlines()[1]
    small, large = (write_file(tmp_path, f"{n}.csv", MEASUREMENT + f"{row}\n" * n) for n in (10, 20_000))
    with pytest.raises(RunError, match=r"no space on the disk: .*; free some, then run again"):
        add_files(home, "measurement", [str(small), str(large)])
    left = {path.name for path in home.path.rglob("*")}
    assert left == {"run.lock", "catalog", "measurements"}
    assert len(add_files(home, "measurement", [str(small)])) == 1


def test_a_disk_that_fills_up_while_others_measurements_are_read(full_disk: Path, tmp_path: Path) -> None:
    home = Home(full_disk / "home")
    with home.lock_for_writing():
        pass
    (full_disk / "filler").write_bytes(bytes(1_020_000))
    columns = "n_head,n_kv_head,n_embd,n_expanded_embd,num_tokens,num_tensor_parallel_workers,use_gated_mlp"
    times = [
        f"time_stats.{op}.{what}"
        for op in ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
        for what in ("min", "median", "std")
    ]
    rows = "".join(f"32,8,4096,14336,{n},1,True{f',0.{n}' * len(times)}\n" for n in range(1, 3000))
    profile = write_file(tmp_path, "mlp.csv", f"{columns},{','.join(times)}\n{rows}")
    with pytest.raises(RunError, match="no space on the disk"):
        add_files(home, "vidur", [str(profile)], hardware_id="a40", model_id="llama-2-7b")
    assert {path.name for path in home.path.iterdir()} == {"run.lock"}


def test_a_full_disk_for_what_is_written_elsewhere(
    finished: Home, full_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (full_disk / "filler").write_bytes(bytes(2**20))
    home = ["--home", str(finished.path)]
    for command in (
        ["chart", "device-a40", "--out", str(full_disk / "a.svg")],
        [*PLAN, "--out", str(full_disk / "plan.csv")],
    ):
        line = read_one_line(capsys, *command, *home, code=1)
        assert line.startswith(f"rooflines: no space on the disk: --out: {full_disk}/")


def test_an_error_of_the_disk_that_nobody_foresaw_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code, said in (
        (OSError(28, "No space left on device"), 1, "no space on the disk"),
        (PermissionError(13, "Permission denied", "/x"), 2, "'/x'; expected a place that can be written"),
        (OSError(36, "File name too long", LONG), 2, "expected a shorter path"),
    ):
        monkeypatch.setattr("flows.cli.options.Home.at", lambda *_, error=error: raise_(error))
        assert said in read_one_line(capsys, "schema", "--home", str(tmp_path), code=code)


def raise_(error: Exception) -> None:
    raise error

"""Files that come in: what they are taken for, where they go."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from flows.ingest import incoming
from flows.ingest import user_catalog as entries
from flows.ingest.incoming import accept_incoming
from flows.ingest.kinds import recognize_kind
from flows.ingest.user_catalog import AddedFile
from tests.support.inputs import DEVICE, MLP
from tests.support.processes import call_as_nobody
from warehouse.errors import InputError, RunError, one_line
from warehouse.home import Home

CONFIG = '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.toml", 'hardware_id = "a"', "hardware"),
        ("a.toml", 'workload_id = "a"', "workload"),
        ("a.json", CONFIG, "model"),
        ("a.json", '{"schemaVersion": 1, "traceEvents": []}', "torch-profiler"),
        ("a.json", '[{"name": "x", "group": "y"}]', "ops"),
        ("a.csv", "\ufeffname,group,flops,bytes,precision\n", "ops"),
        ("a.csv", "hardware_id,short_name,fp16_tflops\n", "hardware"),
        ("a.csv", "hardware_id,kind,latency_s\n", "measurement"),
        ("a.csv", "hardware_id,model_id,precision_id,latency_s\n", "step"),
        ("a.csv", "time_stats.attn_prefill.min,num_tokens\n", "vidur"),
        ("a.csv", '==PROF== Connected\n"ID","Kernel Name","Metric Name"\n', "nsight"),
        ("a.csv", "my app, 1, 2\n" * 9999 + '"ID","Kernel Name","Metric Name"\n', "nsight"),
        ("a.txt", 'my app\n"ID","Kernel Name","Metric Name"\n', "nsight"),
        ("a.csv", '"Process ID","Kernel Name","Metric Name","Average"\n', "nsight"),
        ("a.ncu-rep", "", "nsight"),
    ],
)
def test_what_a_file_is(name: str, content: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    assert recognize_kind(tmp_path / name) == kind


def test_what_a_table_is(tmp_path: Path) -> None:
    for columns, kind in ((["hardware_id", "latency_s"], "measurement"), (["framework", "latency"], "aiconfigurator")):
        pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64)).write_parquet(tmp_path / "a.parquet")
        assert recognize_kind(tmp_path / "a.parquet") == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.toml", b"x ="), ("a.toml", b"\xff"), ("a.json", b"{}"), ("a.json.gz", b"\x1f\x8b\x08"), ("a.csv", b""),
     ("a.parquet", b"PAR1"), ("a.exe", b"MZ"), ("a", b"")],
)  # fmt: skip
def test_what_is_nothing(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"a[.\w]*: ") as caught:
        recognize_kind(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "a 'home'")
    incoming.make_incoming_folder(home)
    return home


def put(home: Home, name: str, content: str, age_s: float = 7200) -> Path:
    path = home.incoming / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_good_and_bad_ones(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.incoming._STILL_S", 3600)  # a slow machine must not make what is new old
    put(home, "mine.toml", DEVICE)
    put(home, "bad.toml", DEVICE.replace("tflops = 149.7", "tflops = 0"))
    put(home, "what.txt", "?")
    put(home, "ops/kernels.csv", "name,group,flops,bytes,precision\nfft,fft,1000,100,fp32\n")
    put(home, "new.toml", DEVICE, age_s=0)
    put(home, "half.toml.part", DEVICE)
    said = {arrival.name: arrival for arrival in accept_incoming(home)}
    assert {name for name, arrival in said.items() if arrival.reason} == {"bad.toml", "what.txt"}
    assert said["mine.toml"].entries == ("mine.toml",)
    assert (home.catalog / "hardware" / "mine.toml").read_text("utf-8") == DEVICE
    assert (home.catalog / "ops" / "kernels.csv").exists()
    assert not (home.catalog / "hardware" / "bad.toml").exists()
    kept = sorted(path.relative_to(home.incoming).as_posix() for path in home.incoming.rglob("*") if path.is_file())
    assert kept == [
        "accepted/kernels.csv", "accepted/mine.toml", "half.toml.part", "new.toml", "rejected/bad.toml",
        "rejected/bad.toml.reason.txt", "rejected/what.txt", "rejected/what.txt.reason.txt",
    ]  # fmt: skip
    reason = (home.incoming / "rejected" / "bad.toml.reason.txt").read_text("utf-8")
    assert "tflops = 0" in reason
    put(home, "mine.toml", DEVICE.replace("149.7", "150.5"))
    assert [arrival.reason for arrival in accept_incoming(home)] == [None]
    assert "150.5" in (home.catalog / "hardware" / "mine.toml").read_text("utf-8")


def told(home: Home) -> dict[str, str | None]:
    """Take in what is there, and return the reason of each file; what is said can stand in a table."""
    arrivals = accept_incoming(home)
    for arrival in arrivals:
        assert arrival.name.isprintable()
        assert (arrival.reason or "").isprintable()
    return {arrival.name: arrival.reason for arrival in arrivals}


def left(home: Home) -> list[str]:
    return sorted(one_line(path.relative_to(home.incoming)) for path in home.incoming.rglob("*") if not path.is_dir())


def test_a_bad_file_never_stops_the_ones_after_it(home: Home) -> None:
    """Whatever is wrong with it: an unpaired surrogate, UTF-16, a name that is no text or that only just fits."""
    put(home, "a.json", json.dumps({**json.loads(CONFIG), "_name_or_path": "\ud800"}))
    put(home, "b.toml", DEVICE).write_text(DEVICE, "utf-16")
    put(home, f"{'é' * 124}.toml", "x")
    put(home, os.fsdecode(b"ops/caf\xe9.csv"), "op,m,k,n\na,1,1,1\n")
    for path in home.incoming.rglob("*"):
        os.utime(path, (1, 1))
    put(home, "z.toml", DEVICE)
    reasons = told(home)
    assert reasons.pop("z.toml") is None
    assert '_name_or_path = "\\ud800": unpaired surrogate' in (reasons["a.json"] or "")
    assert "UTF-16" in (reasons["b.toml"] or "")
    assert "not UTF-8" in (reasons["ops/caf�.csv"] or "")
    assert len(reasons) == 4
    assert (home.catalog / "hardware" / "mine.toml").exists()
    assert len(list((home.incoming / "rejected").glob("*.reason.txt"))) == 4
    assert not [path for path in left(home) if not path.startswith(("accepted/", "rejected/"))]


def test_a_profile_without_a_device_is_told_to_name_it_in_its_file_name(home: Home) -> None:
    put(home, "mlp.csv", MLP.decode())
    put(home, "a40-mlp.csv", MLP.decode())
    reasons = told(home)
    assert reasons["a40-mlp.csv"] is None
    reason = reasons["mlp.csv"] or ""
    assert reason.endswith("names no device of the catalog; expected its id in the file name, e.g. a40-mlp.csv")


def test_a_broken_catalog_rejects_no_file(home: Home) -> None:
    """A file waits until the fault of another one is mended."""
    broken = home.catalog / "hardware" / "broken.toml"
    broken.parent.mkdir(parents=True)
    broken.write_text("[", "utf-8")
    put(home, "a.toml", DEVICE)
    with pytest.raises(RunError, match=r"the catalog cannot be read: .*broken\.toml"):
        accept_incoming(home)
    assert (home.incoming / "a.toml").exists()
    broken.unlink()
    assert told(home) == {"a.toml": None}


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("of ours\nin two lines"), pl.exceptions.PanicException("oh"), MemoryError()]
)
def test_a_fault_of_ours_rejects_one_file(home: Home, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.incoming.add_files", raising(error, "a.toml"))
    put(home, "a.toml", DEVICE)
    put(home, "b.toml", DEVICE)
    reasons = told(home)
    assert reasons["b.toml"] is None
    assert (reasons["a.toml"] or "").startswith(one_line(f"{type(error).__name__}: {error}"))
    assert f"{reasons['a.toml']}\n" in (home.incoming / "rejected" / "a.toml.reason.txt").read_text("utf-8")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_the_program_ends_it(home: Home, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.incoming.add_files", raising(error, "a.toml"))
    path = put(home, "a.toml", DEVICE)
    with pytest.raises(type(error)):
        accept_incoming(home)
    assert path.exists()


def raising(error: BaseException, name: str) -> Callable[..., list[AddedFile]]:
    def add(home: Home, kind: str, paths: list[str], **options: bool) -> list[AddedFile]:
        if paths[0].endswith(name):
            raise error
        return entries.add_files(home, kind, paths, **options)  # type: ignore[arg-type]

    return add


def appended(path: Path) -> None:
    path.write_text(f"{DEVICE}# more", "utf-8")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize(
    ("change", "reason", "stays"),
    [(Path.unlink, "it no longer exists", False), (appended, "", True), (a_folder, "", True)],
)
def test_a_file_that_changes_while_it_is_read(
    home: Home,
    change: Callable[[Path], None],
    reason: str,
    stays: bool,
    is_before: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the next time, and what vanished is told of, if it was not taken in before."""

    def add(home: Home, kind: str, paths: list[str], **options: bool) -> list[AddedFile]:
        if paths[0].endswith("b.toml"):
            return entries.add_files(home, kind, paths, **options)  # type: ignore[arg-type]
        if is_before:
            change(Path(paths[0]))
        try:
            return entries.add_files(home, kind, paths, **options)  # type: ignore[arg-type]
        finally:
            if not is_before:
                change(Path(paths[0]))

    monkeypatch.setattr("flows.ingest.incoming.add_files", add)
    path = put(home, "a.toml", DEVICE)
    put(home, "b.toml", DEVICE.replace("mine", "other").replace("Mine", "Other"))
    reasons = told(home)
    assert reasons.pop("b.toml") is None
    assert reasons == ({} if stays else {"a.toml": reason if is_before else None})
    assert path.exists() == stays
    assert left(home) == (["a.toml"] if path.is_file() else []) + ["accepted/b.toml"]


def test_what_was_rejected_before_is_kept(home: Home) -> None:
    """And what was accepted: another file of the name gets a number, as has its reason."""
    for content in ("x", "y", DEVICE, DEVICE.replace("696", "600")):
        put(home, "a.toml", content)
        told(home)
    put(home, "a.json.gz", "x")
    put(home, "ops/a.json.gz", "y")
    told(home)
    assert left(home) == [
        "accepted/a (2).toml", "accepted/a.toml", "rejected/a (2).json.gz", "rejected/a (2).json.gz.reason.txt",
        "rejected/a (2).toml", "rejected/a (2).toml.reason.txt", "rejected/a.json.gz",
        "rejected/a.json.gz.reason.txt", "rejected/a.toml", "rejected/a.toml.reason.txt",
    ]  # fmt: skip
    assert [(home.incoming / "rejected" / name).read_text() for name in ("a.toml", "a (2).toml")] == ["x", "y"]


def test_a_file_that_cannot_be_moved_is_told_of(home: Home) -> None:
    (home.incoming / "rejected").write_text("in the way")
    (home.incoming / "accepted").write_text("in the way")
    os.utime(home.incoming / "rejected")
    os.utime(home.incoming / "accepted")
    put(home, "a.toml", "x")
    put(home, "b.toml", DEVICE)
    arrivals = {arrival.name: arrival for arrival in accept_incoming(home)}
    assert "broken TOML" in (arrivals["a.toml"].reason or "")
    assert all("it cannot be moved to" in (arrival.reason or "") for arrival in arrivals.values())
    assert arrivals["b.toml"].entries == ("mine.toml",)
    assert {"a.toml", "b.toml"} < {*left(home)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_cannot_be_read_is_told_of() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are root's alone
        home = Home(Path(folder) / "home")
        incoming.make_incoming_folder(home)
        put(home, "a.toml", DEVICE).chmod(0)
        put(home, "model/a.json", CONFIG)
        put(home, "z.toml", DEVICE)
        for path in (Path(folder), home.path, *home.path.rglob("*")):
            os.chown(path, 65534, 65534)
        (home.incoming / "model").chmod(0)
        readable = Home(Path(folder) / "readable")
        incoming.make_incoming_folder(readable)
        put(readable, "z.toml", DEVICE)
        reasons = call_as_nobody(partial(told, home), first=partial(told, readable))
        assert reasons.pop("z.toml") is None
        assert all("Permission denied" in (reason or "") for reason in reasons.values())
        assert reasons.keys() == {"a.toml", "model"}
        assert (home.incoming / "rejected" / "a.toml.reason.txt").exists()


def test_a_full_disk_rejects_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.incoming.add_files", raising(OSError(28, "No space left on device"), "a.toml"))
    path = put(home, "a.toml", DEVICE)
    with pytest.raises(RunError, match="no space"):
        accept_incoming(home)
    put(home, "b.toml", DEVICE)
    assert told(home) == {"b.toml": None}  # which still had room
    assert path.exists()


def test_files_wait_while_another_run_writes(home: Home) -> None:
    path = put(home, "mine.toml", DEVICE)
    with home.lock_for_writing(), pytest.raises(RunError):
        accept_incoming(home)
    assert path.exists()

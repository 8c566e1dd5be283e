"""Odd places: what is no file of a catalog, links, pipes and names of any kind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.app import run_command
from flows.ingest.catalog import list_sources
from tests.support.files import ROOT
from tests.support.whole_runs import ask_for, copy_home, fingerprint_snapshot, run_without_prefect
from warehouse.errors import InputError, one_line
from warehouse.home import Home
from warehouse.load import Fingerprints
from warehouse.site_folder.manifest import read_inputs_digest


@pytest.fixture
def home(small_home: Home) -> Home:
    """A small home after its first run, which a test may change."""
    return small_home


def prepare_entry(home: Home) -> Path:
    """Return the place of a device in the home's catalog."""
    (home.catalog / "hardware").mkdir(parents=True)
    return home.catalog / "hardware" / "mine.toml"


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
    with pytest.raises(InputError, match=rf"/{name}.*expected a (readable )?folder"):
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

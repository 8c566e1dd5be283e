"""`rooflines publish --out`, `--publish-to` and HOME/site: what others put there stays, and a failure is one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.app import run_command
from tests.support.disks import fill_disk, mount_disk
from tests.support.files import write_tree
from tests.support.sites import MINE
from tests.support.whole_runs import ask_for, draw_nothing, run_without_prefect
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.site_folder.manifest import MANIFEST, read_inputs_digest, read_manifest

Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(small_home: Home) -> Home:
    """A small home after its first run, which a test may change."""
    return small_home


def publish(home: Home, out: Path) -> int:
    return run_command(["publish", "--home", str(home.path), "--out", str(out)])


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_mine(**others: str) -> dict[str, bytes]:
    return {name: text.encode() for name, text in {**MINE, **others}.items()}


def test_a_branch_of_github_pages(home: Home, small_shipped: Path, tmp_path: Path) -> None:
    """A repository gets the site, and later loses what the site lacks then and nothing else."""
    pages = write_tree(tmp_path / "pages", MINE)
    written = '[[chart]]\nname = "mine"\ntemplate = "comparison"\ndtype = "fp16"\ndevices = ["a40"]'
    write_tree(home.path, {"catalog/gallery.toml": written})
    run_without_prefect(home, small_shipped, publish_to=pages)
    assert read_files(pages) == {**read_files(home.site), **read_mine()}
    assert "charts/mine/mine.svg" in read_files(pages)
    (home.catalog / "gallery.toml").unlink()
    run_without_prefect(home, small_shipped, publish_to=pages)
    assert read_files(pages) == {**read_files(home.site), **read_mine()}
    assert "charts/mine/mine.svg" not in read_files(pages)
    assert publish(home, pages) == 0
    assert read_files(pages) == {**read_files(home.site), **read_mine()}


def test_notes_in_the_homes_own_site_stay_there(home: Home, small_shipped: Path, tmp_path: Path) -> None:
    write_tree(home.site, {"data/notes.md": "mine"})
    ask_for(small_shipped, 16)
    assert run_without_prefect(home, small_shipped).status == "succeeded"
    ask_for(small_shipped, 8)
    assert (home.site / "data" / "notes.md").read_text("utf-8") == "mine"
    assert read_inputs_digest(home.site) is not None
    assert publish(home, tmp_path / "public") == 0
    assert read_files(tmp_path / "public").keys() == read_files(home.site).keys() - {"data/notes.md"}
    with draw_nothing():
        assert run_command(["publish", "--home", str(home.path)]) == 0
    assert (home.site / "data" / "notes.md").read_text("utf-8") == "mine"
    assert not list(home.path.rglob(".rooflines-*"))


def test_a_half_done_publication_is_finished_by_the_next_run(home: Home, small_shipped: Path, tmp_path: Path) -> None:
    """Also where nothing changed since."""
    pages = write_tree(tmp_path / "pages", MINE)
    assert publish(home, pages) == 0
    (pages / "index.html").unlink()
    assert run_without_prefect(home, small_shipped, publish_to=pages).status == "unchanged"
    assert read_files(pages) == {**read_files(home.site), **read_mine()}


def test_files_of_others_in_the_way_are_one_line(home: Home, tmp_path: Path, capsys: Output) -> None:
    theirs = write_tree(tmp_path / "pages", {"index.html": "a homepage", "data/notes.md": "notes"})
    before = read_files(theirs)
    assert publish(home, theirs) == 2
    assert capsys.readouterr().err == (
        f"rooflines: site: {theirs}: holds index.html, which no site.json there lists; expected a folder without them,"
        " or with the site.json that was published there\n"
    )
    assert read_files(theirs) == before


def test_a_site_whose_list_was_lost_is_taken_for_ours_where_it_is_the_same(home: Home, tmp_path: Path) -> None:
    assert publish(home, tmp_path / "public") == 0
    (tmp_path / "public" / MANIFEST).unlink()
    assert publish(home, tmp_path / "public") == 0
    assert read_manifest(tmp_path / "public")


@pytest.mark.parametrize("name", ["", "catalog", "stage/mine", "site/charts", "/"])
def test_a_site_among_the_homes_own_files_is_refused(name: str, home: Home, capsys: Output) -> None:
    (home.path / "run.lock").touch()
    before = read_files(home.path)
    assert publish(home, home.path / name) == 2
    assert "expected a folder" in capsys.readouterr().err
    assert read_files(home.path) == before


def test_a_path_that_is_too_long_is_one_line(home: Home, small_shipped: Path, tmp_path: Path, capsys: Output) -> None:
    for long in (tmp_path / ("x" * 300), tmp_path.joinpath(*["y" * 200] * 30)):
        assert publish(home, long) == 2
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1
        assert "File name too long; expected a" in message
        with pytest.raises(InputError, match="File name too long"):
            run_without_prefect(home, small_shipped, publish_to=long)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    with mount_disk(tmp_path / "disk", 40 * 2**20) as place:
        yield place


@pytest.mark.parametrize("others", [{}, MINE])
@pytest.mark.parametrize("is_drawn", [True, False])
def test_a_full_disk_is_one_line_and_the_old_site_stays(
    is_drawn: bool, others: dict[str, str], home: Home, disk: Path, capsys: Output
) -> None:
    assert publish(home, disk / "site") == 0
    write_tree(disk / "site", others)
    before = read_files(disk / "site")
    fill_disk(disk)
    if not is_drawn:
        (home.site / "index.html").unlink()
    capsys.readouterr()
    with draw_nothing():
        assert publish(home, disk / "site") == 1
    message = f"rooflines: site: {disk / 'site'}: no space on the disk; free some, then publish again\n"
    assert capsys.readouterr().err == message
    assert read_files(disk / "site") == before
    assert {path.name for path in disk.iterdir()} == {"site", "filler"}
    (disk / "filler").unlink()
    with draw_nothing():
        assert publish(home, disk / "site") == 0
    assert {name: text.encode() for name, text in others.items()}.items() <= read_files(disk / "site").items()

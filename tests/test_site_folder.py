"""A site is put in the place of an earlier one: what no site brought stays, whatever happens meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.files import ROOT, write_tree
from tests.support.sites import FIRST, MINE, SECOND, add_manifest, write_draft
from warehouse.errors import InputError, RunError
from warehouse.site_folder import placement as placing
from warehouse.site_folder.drafts import delete_abandoned_drafts, discard_draft, give_up_drafts
from warehouse.site_folder.manifest import MANIFEST, read_inputs_digest, read_manifest, seal_manifest
from warehouse.site_folder.ownership import list_owned_files
from warehouse.site_folder.placement import begin_draft, place_site
from warehouse.site_folder.swap import swap_folders as exchange_folders

# puts SECOND in place of a copy, and ends before so many renames and deletions are done: 0, 1, 2 … until it is whole
_KILLED = """
import os, shutil, sys
from pathlib import Path
from tests.support.sites import SECOND, write_draft
from warehouse.site_folder.placement import place_site
def counted(function):
    def call(*given, **options):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return function(*given, **options)
    return call
for after in range(100):
    site = Path(sys.argv[2], str(after), "site")
    shutil.copytree(sys.argv[1], site)
    if not os.fork():
        draft, left = write_draft(site, SECOND), after
        os.replace, os.rename, os.unlink, os.rmdir = map(counted, (os.replace, os.rename, os.unlink, os.rmdir))
        place_site(draft)
        os._exit(0)
    if os.wait()[1] == 0:
        break
"""


def publish(site: Path, files: Mapping[str, str]) -> None:
    draft = write_draft(site, files)
    try:
        place_site(draft)
    finally:
        discard_draft(draft)


def read_content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A place with the first site, in a folder of others."""
    publish(tmp_path / "www" / "site", FIRST)
    return tmp_path / "www" / "site"


def test_a_new_folder_gets_the_site_and_nothing_is_left_beside_it(site: Path) -> None:
    assert read_content(site) == add_manifest(FIRST)
    assert [path.name for path in site.parent.iterdir()] == ["site"]
    assert read_inputs_digest(site) == "first"


def test_a_folder_of_ours_alone_changes_in_one_step(site: Path) -> None:
    before = site.stat().st_ino
    publish(site, SECOND)
    assert read_content(site) == add_manifest(SECOND)
    assert site.stat().st_ino != before  # the folders changed places
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_without_an_exchange_of_folders_the_files_change_one_by_one(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "swap_folders", lambda *_: False)
    publish(site, SECOND)
    assert read_content(site) == add_manifest(SECOND)
    assert [path.name for path in site.parent.iterdir()] == ["site"]
    assert not (site / "charts" / "b").exists()


def test_what_others_put_there_stays(site: Path) -> None:
    write_tree(site, MINE)
    (site / "empty").mkdir()
    (site / "link").symlink_to("nowhere")
    publish(site, SECOND)
    assert read_content(site) == {**add_manifest(SECOND), **MINE}
    assert (site / "empty").is_dir()
    assert (site / "link").is_symlink()
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_repository_without_a_site_gets_one(tmp_path: Path) -> None:
    write_tree(tmp_path / "pages", MINE)
    publish(tmp_path / "pages", FIRST)
    assert read_content(tmp_path / "pages") == {**add_manifest(FIRST), **MINE}


def test_what_comes_in_the_last_moment_stays(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exchange(one: Path, other: Path) -> bool:
        write_tree(site, MINE)
        return whole(one, other)

    whole = exchange_folders
    monkeypatch.setattr(placing, "swap_folders", exchange)
    publish(site, SECOND)
    assert read_content(site) == {**add_manifest(SECOND), **MINE}


def edit(manifest: Path) -> None:
    told = json.loads(manifest.read_text("utf-8"))
    told["sizes"]["data/notes.md"] = 4
    manifest.write_text(json.dumps(told), "utf-8")


@pytest.mark.parametrize("spoil", [Path.unlink, edit])
def test_without_its_list_only_what_is_equal_is_ours(site: Path, spoil: object) -> None:
    write_tree(site, MINE)
    spoil(site / MANIFEST)  # type: ignore[operator]
    before = read_content(site)
    with pytest.raises(InputError, match=r"holds charts/a/a\.svg, index\.html, which no site\.json there lists"):
        publish(site, SECOND)
    assert read_content(site) == before
    publish(site, FIRST)
    assert read_content(site) == {**add_manifest(FIRST), **MINE}


def test_a_list_that_was_only_spaced_anew_counts(site: Path) -> None:
    (site / MANIFEST).write_text(json.dumps(json.loads((site / MANIFEST).read_text("utf-8")), indent=7), "utf-8")
    publish(site, SECOND)
    assert read_content(site) == add_manifest(SECOND)


def test_the_list_of_an_earlier_version_counts(site: Path) -> None:
    told = json.loads((site / MANIFEST).read_text("utf-8"))
    del told["digest"]
    (site / MANIFEST).write_text(json.dumps(told), "utf-8")
    publish(site, SECOND)
    assert read_content(site) == add_manifest(SECOND)


@pytest.mark.parametrize("odd", ["../outside", "/etc/hostname", "a/../../outside", "", "..\\outside"])
def test_a_list_never_names_what_is_outside(odd: str, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    manifest = seal_manifest({"site_of": "rooflines", "inputs_sha256": "x", "sizes": {odd: 0, "a": 1}})
    write_tree(tmp_path / "site", {MANIFEST: json.dumps(manifest), "a": "a"})
    assert list_owned_files(tmp_path / "site") == {"a", MANIFEST}
    publish(tmp_path / "site", FIRST)
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"site_of": "rooflines", "sizes": []}', "[" * 100_000])
def test_a_broken_list_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text, "utf-8")
    assert read_manifest(tmp_path) == {}
    assert read_inputs_digest(tmp_path) is None


def test_a_folder_or_link_of_others_in_the_way_is_named(site: Path, tmp_path: Path) -> None:
    (site / "charts" / "c" / "c.svg").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds charts/c/c\.svg, which"):
        publish(site, SECOND)
    shutil.rmtree(site / "charts")
    (tmp_path / "elsewhere").mkdir()
    (site / "charts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"holds charts/a/a\.svg, charts/c/c\.svg, which"):
        publish(site, SECOND)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_folders_that_only_look_like_drafts_stay(site: Path) -> None:
    others = ["site.new", "site.new.old", ".rooflines-mine", ".rooflines-site-mine", ".rooflines-site-0123456789abcdef"]
    for name in others:
        write_tree(site.parent / name, {"thesis.tex": "years of work"})
    write_tree(site / ".rooflines-site-0123456789abcdef", {"thesis.tex": "years of work"})
    publish(site, SECOND)
    give_up_drafts(site)
    for name in others:
        assert (site.parent / name / "thesis.tex").exists()
    assert (site / ".rooflines-site-0123456789abcdef" / "thesis.tex").exists()


def test_drafts_of_another_place_stay(site: Path) -> None:
    other = write_draft(site.with_name("other"), SECOND)
    publish(site, SECOND)
    assert other.folder.exists()
    discard_draft(other)


@pytest.mark.parametrize("with_others", [False, True])
def test_a_publication_that_is_killed_is_finished_by_the_next(site: Path, with_others: bool, tmp_path: Path) -> None:
    """Killed before each of its steps, index and list tell of one site, and the next one leaves nothing behind."""
    mine = MINE if with_others else {}
    write_tree(site, mine)
    subprocess.run([sys.executable, "-c", _KILLED, str(site), str(tmp_path / "killed")], check=True, cwd=ROOT)
    places = [folder / "site" for folder in (tmp_path / "killed").iterdir()]
    assert len(places) >= (12 if with_others else 6)
    for there in places:
        now = read_content(there)
        assert now["index.html"] in {"first", "second"}
        if now[MANIFEST] == add_manifest(SECOND)[MANIFEST]:
            assert {**add_manifest(SECOND), **mine}.items() <= now.items()
        if now["index.html"] == "second":
            assert SECOND.items() <= now.items()
        assert mine.items() <= now.items()
        third = {"index.html": "third", "charts/c/c.svg": "another c"}
        delete_abandoned_drafts(there)  # as the next run does first
        publish(there, third)
        assert read_content(there) == {**add_manifest(third), **mine}
        assert [path.name for path in there.parent.iterdir()] == ["site"]


def test_a_draft_that_somebody_makes_is_left_alone(site: Path) -> None:
    script = "import sys; from pathlib import Path; from warehouse.site_folder.placement import begin_draft\n"
    script += "print(begin_draft(Path(sys.argv[1])).folder, flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", script, str(site)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        folder = Path(other.stdout.readline().strip())
        with pytest.raises(RunError, match="somebody else is publishing there; wait for it to end"):
            begin_draft(site)
        assert folder.is_dir()
        assert len(list(site.parent.iterdir())) == 2
        other.kill()
    publish(site, SECOND)
    assert [path.name for path in site.parent.iterdir()] == ["site"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_whose_parent_cannot_be_written(site: Path) -> None:
    site.parent.chmod(0o555)
    publish(site, SECOND)
    assert read_content(site) == add_manifest(SECOND)


def test_a_place_that_is_a_disk_of_its_own(tmp_path: Path) -> None:
    site = tmp_path / "disk"
    site.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(site)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        for files in (FIRST, SECOND):
            publish(site, files)
            assert read_content(site) == add_manifest(files)
        assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    finally:
        subprocess.run(["umount", "-l", str(site)], check=True)


def test_a_draft_that_does_not_fit_onto_such_a_disk_leaves_nothing(tmp_path: Path) -> None:
    site = tmp_path / "disk"
    site.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(site)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with pytest.raises(OSError, match="No space"):
            publish(site, {**FIRST, "charts/large.svg": "x" * 100_000})
        assert list(site.iterdir()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    finally:
        subprocess.run(["umount", "-l", str(site)], check=True)


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "site").touch()
    with pytest.raises(InputError, match="expected a folder, or nothing"):
        begin_draft(tmp_path / "site")

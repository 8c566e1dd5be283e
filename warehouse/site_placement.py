"""A finished site is put in the place of an earlier one; nothing is deleted there that no site brought.

A site in the making is a draft: a folder of its own beside its place, or inside it where that holds files of others.
"""

import filecmp
import json
import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from warehouse.digest import digest_of
from warehouse.errors import InputError, RunError
from warehouse.folder_swap import exchange

MANIFEST = "site.json"
INDEX = "index.html"

_LAST = (INDEX, MANIFEST)  # whoever reads them finds what they name
_PREFIX = ".rooflines-site-"
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")
_MARK = "draft.json"  # says that the folder is ours, and for which place
_LOCK = "lock"  # held as long as the process lives that makes the draft
_BEGUN = "begun"  # there from when the first of the draft's files is put in place
_NEW = "new"
_SHOWN = 3

_held: dict[str, FileLock] = {}


@dataclass(frozen=True)
class Draft:
    """A site in the making: its folder, and the place that it shall take."""

    folder: Path
    site: Path

    @property
    def new(self) -> Path:
        """The site itself."""
        return self.folder / _NEW


def begin_draft(site: Path) -> Draft:
    """Make the folder for a new site of a place.

    Raises
    ------
    InputError
        The place is no folder.
    RunError
        Somebody else is putting a site there.
    """
    if os.path.lexists(site) and not site.is_dir():
        raise InputError(f"site: {site}: expected a folder, or nothing")
    forget_drafts(site)
    draft = Draft(_new_folder(site), site)
    if any(_is_live(other) for other in _draft_folders(site) if other != draft.folder):
        discard(draft)
        raise RunError(f"site: {site}: somebody else is publishing there; wait for it to end")
    return draft


def place(draft: Draft) -> None:
    """Put a finished site in its place.

    A place that holds nothing of others changes in one step, where the system can do that. Elsewhere each file changes
    in one step: new ones first, then what the earlier site listed and this one lacks goes, last the index and the list.

    Raises
    ------
    InputError
        The place has files that no site brought where this one has others.
    """
    site = draft.site
    refuse_conflicts(draft.new, site)
    if not site.exists():
        draft.new.rename(site)
    elif draft.folder.parent == site or not _take_place(draft):
        draft = _moved_inside(draft)
        _place_files(draft)
    discard(draft)
    forget_drafts(site, even_unfinished=True)


def discard(draft: Draft) -> None:
    """Delete a draft."""
    _let_go(draft.folder)
    _delete(draft.folder)


def forget_drafts(site: Path, *, even_unfinished: bool = False) -> None:
    """Delete the drafts for a place that nobody works on any more.

    One whose files were being put in place stays until a later site is: it says which files are ours.
    """
    for folder in _draft_folders(site):
        if (even_unfinished or not (folder / _BEGUN).exists()) and not _is_live(folder):
            _delete(folder)
    for folder in [*_named(site.parent), *_named(site)]:
        with suppress(OSError):
            folder.rmdir()  # an empty one lost its mark, or has none yet


def give_up_drafts(site: Path) -> None:
    """Delete what this process made for a place, and could not put there."""
    for folder in _draft_folders(site):
        _let_go(folder)
    forget_drafts(site)


def refuse_conflicts(new: Path, site: Path) -> None:
    """Raise `InputError` where a place has files that no site brought, and this one has others of their names."""
    ours = owned_files(site)
    other = [file for file in files_of(new) if _is_of_others(new, site, file, ours)]
    if other:
        named = f"{', '.join(other[:_SHOWN])}{f' and {len(other) - _SHOWN} more' if len(other) > _SHOWN else ''}"
        _refuse_others(site, named)


def refuse_foreign_site(site: Path) -> None:
    """Raise `InputError` where a place surely has files in the way of any new site: an index that no site brought."""
    if site.exists() and not site.is_dir():
        raise InputError(f"site: {site}: expected a folder, or nothing")
    if (site / INDEX).exists() and INDEX not in owned_files(site):
        _refuse_others(site, INDEX)


def files_of(site: Path) -> list[str]:
    """Return the files of a site, relative to it, those that are read first at the end."""
    files = (path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return sorted(files, key=lambda file: (file in _LAST and _LAST.index(file) + 1, file))


def owned_files(site: Path) -> set[str]:
    """Return the files of a place that sites brought: what its list names, and what a site that was cut off named."""
    unfinished = [folder / _NEW for folder in _draft_folders(site) if (folder / _BEGUN).exists()]
    lists = [read_manifest(folder) for folder in (site, *unfinished)]
    files = {file for listed in lists for file in listed.get("sizes", {}) if _is_inside(file)}
    return files | {MANIFEST} if any(lists) else files


def seal(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what a site says of itself, with a digest by which an edit of it is seen."""
    return {**manifest, "digest": _digest(manifest)}


def read_manifest(site: Path) -> dict[str, Any]:
    """Return what a site says of itself; nothing where there is none, or somebody edited it."""
    manifest = _manifest_in(site / MANIFEST)
    sizes = manifest.get("sizes")
    is_whole = isinstance(sizes, dict) and all(isinstance(size, int) for size in sizes.values())
    told = manifest.pop("digest", None)  # sites of earlier versions have none
    return manifest if is_whole and told in {None, _digest(manifest)} else {}


def made_from(site: Path) -> str | None:
    """Return the digest of the inputs of a site; None where it is not there or lacks files."""
    manifest = read_manifest(site)
    is_whole = all(size_of(site / file) == size for file, size in manifest.get("sizes", {}).items())
    return manifest.get("inputs_sha256") if is_whole else None


def size_of(path: Path) -> int | None:
    """Return the size of a file; None where there is none."""
    return path.stat().st_size if path.is_file() else None


def _manifest_in(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) and manifest.get("site_of") == "rooflines" else {}


def _digest(manifest: dict[str, Any]) -> str:
    return digest_of([json.dumps(manifest, sort_keys=True)])


def _refuse_others(site: Path, named: str) -> None:
    expected = "a folder without them, or with the site.json that was published there"
    raise InputError(f"site: {site}: holds {named}, which no site.json there lists; expected {expected}")


def _new_folder(site: Path) -> Path:
    """Make the folder of a draft, where its files can change places with those of the site."""
    if site.is_dir() and _holds_others(site):
        return _marked_folder(site, site)
    try:
        site.parent.mkdir(parents=True, exist_ok=True)
        return _marked_folder(site.parent, site)
    except OSError:
        if not site.is_dir():
            raise
        return _marked_folder(site, site)  # only the place itself can be written


def _marked_folder(parent: Path, site: Path) -> Path:
    """Make an empty folder in `parent` by which everyone knows that it is a draft for a site, and hold it."""
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        (folder / _MARK).write_text(json.dumps(_mark(site)) + "\n", "utf-8")
        _held[folder.name] = FileLock(folder / _LOCK, timeout=0, thread_local=False)
        _held[folder.name].acquire()
    except FileNotFoundError:  # somebody took the empty folder for one that was left behind
        return _marked_folder(parent, site)
    except BaseException:
        _held.pop(folder.name, None)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _delete(folder: Path) -> None:
    """Delete the folder of a draft, and its mark last: cut off, the next one goes on."""
    for path in (folder / _NEW, folder / _BEGUN, folder / _LOCK, folder / _MARK):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _mark(site: Path) -> dict[str, str]:
    return {"draft_of": "rooflines", "site": site.name}


def _let_go(folder: Path) -> None:
    if lock := _held.pop(folder.name, None):
        with suppress(OSError):
            lock.release(force=True)


def _draft_folders(site: Path) -> list[Path]:
    """Return the folders of drafts for a place, whoever made them."""
    return [folder for place_ in (site.parent, site) for folder in _named(place_) if _is_marked(folder, site)]


def _named(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return []


def _is_marked(folder: Path, site: Path) -> bool:
    try:
        mark = json.loads((folder / _MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(mark == _mark(site))


def _is_live(folder: Path) -> bool:
    """Whether the process that makes a draft still runs."""
    if folder.name in _held:
        return True
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _holds_others(site: Path) -> bool:
    """Whether a folder has anything that no site brought."""
    ours = owned_files(site)
    for folder, folders, files in os.walk(site):
        here = Path(folder).relative_to(site)
        if here == Path():
            folders[:] = [name for name in folders if not _is_marked(site / name, site)]
        names = [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]
        is_empty = not names and not folders and here != Path()
        if is_empty or any((here / name).as_posix() not in ours for name in names):
            return True
    return False


def _is_of_others(new: Path, site: Path, file: str, ours: set[str]) -> bool:
    """Whether what a place has under a name is not ours to replace."""
    target = site / file
    for parent in list(PurePosixPath(file).parents)[:-1]:
        place_ = site / parent
        if place_.is_symlink() or (place_.exists() and not place_.is_dir() and parent.as_posix() not in ours):
            return True
    if not os.path.lexists(target) or (file == MANIFEST and _manifest_in(target)):
        return False
    if target.is_dir() and not target.is_symlink():
        return True
    return file not in ours and not (target.is_file() and filecmp.cmp(new / file, target, shallow=False))


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in file


def _take_place(draft: Draft) -> bool:
    """Let a site and the one before change places; False where that is not possible in one step."""
    ours = owned_files(draft.site)
    if _holds_others(draft.site) or not exchange(draft.new, draft.site):
        return False
    for path in sorted(draft.new.rglob("*")):  # what somebody put there in the last moment
        file = path.relative_to(draft.new).as_posix()
        if not path.is_dir() and file not in ours:
            target = draft.site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(target):
                path.rename(target)
    return True


def _moved_inside(draft: Draft) -> Draft:
    """Return a draft whose folder lies in the place itself, so that each of its files can be renamed."""
    if draft.folder.parent == draft.site:
        return draft
    inside = Draft(draft.site / draft.folder.name, draft.site)
    try:
        draft.folder.rename(inside.folder)
    except OSError:  # the place is a disk of its own
        inside = Draft(_marked_folder(draft.site, draft.site), draft.site)
        try:
            shutil.copytree(draft.new, inside.new)
        except BaseException:
            discard(inside)  # others need the space
            raise
        discard(draft)
    return inside


def _place_files(draft: Draft) -> None:
    """Put the files of a draft in place one by one; the list of the draft stands there until all are."""
    site, ours, files = draft.site, owned_files(draft.site), files_of(draft.new)
    first = [file for file in files if file not in _LAST]
    (draft.folder / _BEGUN).touch()
    for file in first:
        _put(draft, file, ours)
    for file in sorted(ours - set(files)):
        _take_out(site, file)
    for file in files[len(first) :]:
        _put(draft, file, ours)


def _put(draft: Draft, file: str, ours: set[str]) -> None:
    target = draft.site / file
    for parent in reversed(list(PurePosixPath(file).parents)[:-1]):
        if parent.as_posix() in ours and (draft.site / parent).is_file():
            (draft.site / parent).unlink()  # of an earlier site, where this one has a folder
    target.parent.mkdir(parents=True, exist_ok=True)
    (draft.new / file).replace(target)


def _take_out(site: Path, file: str) -> None:
    """Delete a file of an earlier site, and the folders that are empty then."""
    path = site / file
    if any((site / parent).is_symlink() for parent in PurePosixPath(file).parents):
        return  # somebody else's folder
    if path.is_dir() and not path.is_symlink():
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
    for parent in list(path.parents)[: len(PurePosixPath(file).parts) - 1]:
        with suppress(OSError):
            parent.rmdir()

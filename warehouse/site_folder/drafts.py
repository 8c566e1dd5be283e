"""Drafts: folders in which a new site is made, marked as ours and locked while their process lives."""

import json
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = ".rooflines-site-"
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")
_MARK = "draft.json"  # says that the folder is ours, and for which place
_LOCK = "lock"  # held as long as the process lives that makes the draft
BEGUN = "begun"  # there from when the first of the draft's files is put in place
NEW = "new"

# by the name of a draft's folder, the lock that this process holds on it
_held: dict[str, FileLock] = {}


@dataclass(frozen=True)
class Draft:
    """A site in the making: its folder, and the place that it shall take."""

    folder: Path
    site: Path

    @property
    def new(self) -> Path:
        """The site itself."""
        return self.folder / NEW


def discard_draft(draft: Draft) -> None:
    """Delete a draft."""
    _release_lock(draft.folder)
    _delete_draft_folder(draft.folder)


def delete_abandoned_drafts(site: Path, *, even_unfinished: bool = False) -> None:
    """Delete the drafts for a place that nobody works on any more.

    One whose files were being put in place stays until a later site is: it says which files are ours.
    """
    for folder in find_draft_folders(site):
        if (even_unfinished or not (folder / BEGUN).exists()) and not is_live(folder):
            _delete_draft_folder(folder)
    for folder in [*_find_named(site.parent), *_find_named(site)]:
        with suppress(OSError):
            folder.rmdir()  # an empty one lost its mark, or has none yet


def give_up_drafts(site: Path) -> None:
    """Delete what this process made for a place, and could not put there."""
    for folder in find_draft_folders(site):
        _release_lock(folder)
    delete_abandoned_drafts(site)


def make_marked_folder(parent: Path, site: Path) -> Path:
    """Make an empty folder in `parent` by which everyone knows that it is a draft for a site, and hold it."""
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        (folder / _MARK).write_text(json.dumps(_draft_mark(site)) + "\n", "utf-8")
        _held[folder.name] = FileLock(folder / _LOCK, timeout=0, thread_local=False)
        _held[folder.name].acquire()
    except FileNotFoundError:  # somebody took the empty folder for one that was left behind
        return make_marked_folder(parent, site)
    except BaseException:
        _held.pop(folder.name, None)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _delete_draft_folder(folder: Path) -> None:
    """Delete the folder of a draft, and its mark last: cut off, the next one goes on."""
    for path in (folder / NEW, folder / BEGUN, folder / _LOCK, folder / _MARK):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _draft_mark(site: Path) -> dict[str, str]:
    return {"draft_of": "rooflines", "site": site.name}


def _release_lock(folder: Path) -> None:
    if lock := _held.pop(folder.name, None):
        with suppress(OSError):
            lock.release(force=True)


def find_draft_folders(site: Path) -> list[Path]:
    """Return the folders of drafts for a place, whoever made them."""
    return [folder for place_ in (site.parent, site) for folder in _find_named(place_) if is_marked(folder, site)]


def _find_named(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return []


def is_marked(folder: Path, site: Path) -> bool:
    """Whether a folder is marked as a draft for a place."""
    try:
        mark = json.loads((folder / _MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(mark == _draft_mark(site))


def is_live(folder: Path) -> bool:
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

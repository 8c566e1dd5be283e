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
_MARK = "draft.json"  # marks the folder as ours, and names its place
_LOCK = "lock"  # locked while the process that makes the draft lives
BEGUN = "begun"  # exists once files of the draft are being placed
NEW = "new"

# by the name of a draft's folder, the lock that this process holds on it
_held: dict[str, FileLock] = {}


@dataclass(frozen=True)
class Draft:
    """An unfinished site: the folder of the draft, and the place that it is for."""

    folder: Path
    site: Path

    @property
    def new(self) -> Path:
        """The new site, inside the folder."""
        return self.folder / NEW


def discard_draft(draft: Draft) -> None:
    """Delete a draft."""
    _release_lock(draft.folder)
    _delete_draft_folder(draft.folder)


def delete_abandoned_drafts(site: Path, *, even_unfinished: bool = False) -> None:
    """Delete the drafts for a place whose processes have ended.

    One whose files were being placed stays until a later site is complete, because it says which files are ours.
    """
    for folder in find_draft_folders(site):
        if (even_unfinished or not (folder / BEGUN).exists()) and not is_live(folder):
            _delete_draft_folder(folder)
    for folder in [*_find_named(site.parent), *_find_named(site)]:
        with suppress(OSError):
            folder.rmdir()  # an empty one has lost its mark, or has none yet


def give_up_drafts(site: Path) -> None:
    """Delete the drafts that this process made for a place and could not put there."""
    for folder in find_draft_folders(site):
        _release_lock(folder)
    delete_abandoned_drafts(site)


def make_marked_folder(parent: Path, site: Path) -> Path:
    """Make a folder in `parent`, mark it as a draft for a site, and lock it."""
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        (folder / _MARK).write_text(json.dumps(_draft_mark(site)) + "\n", "utf-8")
        _held[folder.name] = FileLock(folder / _LOCK, timeout=0, thread_local=False)
        _held[folder.name].acquire()
    except FileNotFoundError:  # another process took the empty folder for an abandoned one
        return make_marked_folder(parent, site)
    except BaseException:
        _held.pop(folder.name, None)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _delete_draft_folder(folder: Path) -> None:
    """Delete the folder of a draft, its mark last, so that a deletion that is cut off can be resumed."""
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
    """Return the folders of all drafts for a place."""
    return [folder for parent in (site.parent, site) for folder in _find_named(parent) if is_marked(folder, site)]


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
    """Whether the process that makes a draft is still running."""
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

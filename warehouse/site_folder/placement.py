"""A finished site replaces an earlier one; nothing is deleted that no site brought."""

import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

from warehouse.errors import InputError, RunError
from warehouse.site_folder.drafts import (
    BEGUN,
    Draft,
    delete_abandoned_drafts,
    discard_draft,
    find_draft_folders,
    is_live,
    make_marked_folder,
)
from warehouse.site_folder.manifest import PLACED_LAST, list_site_files
from warehouse.site_folder.ownership import holds_foreign_files, list_owned_files, refuse_conflicts
from warehouse.site_folder.swap import swap_folders


def begin_draft(site: Path) -> Draft:
    """Make a folder for a new site that `place_site` can put in place.

    Raises
    ------
    InputError
        The place is not a folder.
    RunError
        Another process is publishing there.
    """
    if os.path.lexists(site) and not site.is_dir():
        raise InputError(f"site: {site}: expected a folder, or nothing")
    delete_abandoned_drafts(site)
    draft = Draft(_make_draft_folder(site), site)
    if any(is_live(other) for other in find_draft_folders(site) if other != draft.folder):
        discard_draft(draft)
        raise RunError(f"site: {site}: somebody else is publishing there; wait for it to end")
    return draft


def place_site(draft: Draft) -> None:
    """Put a finished site in its place.

    A place with nothing but the earlier site is swapped atomically if the system can do that. Otherwise each file is
    replaced atomically: first new files are placed, then files that only the earlier site listed are deleted, and
    index and manifest come last.

    Raises
    ------
    InputError
        The place has files that no site brought, and this site has others of their names.
    """
    site = draft.site
    refuse_conflicts(draft.new, site)
    if not site.exists():
        draft.new.rename(site)
    elif draft.folder.parent == site or not _take_place(draft):
        draft = _move_inside(draft)
        _place_files(draft)
    discard_draft(draft)
    delete_abandoned_drafts(site, even_unfinished=True)


def _make_draft_folder(site: Path) -> Path:
    """Make the folder of a draft where its files can be renamed into the site."""
    if site.is_dir() and holds_foreign_files(site):
        return make_marked_folder(site, site)
    try:
        site.parent.mkdir(parents=True, exist_ok=True)
        return make_marked_folder(site.parent, site)
    except OSError:
        if not site.is_dir():
            raise
        return make_marked_folder(site, site)  # the folder above cannot be written


def _take_place(draft: Draft) -> bool:
    """Swap a new site with the earlier one; return False if that cannot be done atomically."""
    ours = list_owned_files(draft.site)
    if holds_foreign_files(draft.site) or not swap_folders(draft.new, draft.site):
        return False
    for path in sorted(draft.new.rglob("*")):  # what somebody added at the last moment
        file = path.relative_to(draft.new).as_posix()
        if not path.is_dir() and file not in ours:
            target = draft.site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(target):
                path.rename(target)
    return True


def _move_inside(draft: Draft) -> Draft:
    """Return the draft with its folder moved into the place itself, so that each of its files can be renamed."""
    if draft.folder.parent == draft.site:
        return draft
    inside = Draft(draft.site / draft.folder.name, draft.site)
    try:
        draft.folder.rename(inside.folder)
    except OSError:  # the place is on another disk
        inside = Draft(make_marked_folder(draft.site, draft.site), draft.site)
        try:
            shutil.copytree(draft.new, inside.new)
        except BaseException:
            discard_draft(inside)  # free its space
            raise
        discard_draft(draft)
    return inside


def _place_files(draft: Draft) -> None:
    """Place the files of a draft one by one; the draft keeps its manifest until all are in place."""
    site, ours, files = draft.site, list_owned_files(draft.site), list_site_files(draft.new)
    first = [file for file in files if file not in PLACED_LAST]
    (draft.folder / BEGUN).touch()
    for file in first:
        _place_file(draft, file, ours)
    for file in sorted(ours - set(files)):
        _remove_file(site, file)
    for file in files[len(first) :]:
        _place_file(draft, file, ours)


def _place_file(draft: Draft, file: str, ours: set[str]) -> None:
    target = draft.site / file
    for parent in reversed(list(PurePosixPath(file).parents)[:-1]):
        if parent.as_posix() in ours and (draft.site / parent).is_file():
            (draft.site / parent).unlink()  # a file of the earlier site is a folder in this one
    target.parent.mkdir(parents=True, exist_ok=True)
    (draft.new / file).replace(target)


def _remove_file(site: Path, file: str) -> None:
    """Delete a file of an earlier site, and the folders that become empty."""
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

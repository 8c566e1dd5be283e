"""Which files of a folder a site brought, and which belong to others."""

import filecmp
import os
from itertools import chain
from pathlib import Path, PurePosixPath

from warehouse.errors import InputError
from warehouse.site_folder.drafts import BEGUN, NEW, find_draft_folders, is_marked
from warehouse.site_folder.manifest import INDEX, MANIFEST, list_site_files, read_manifest, read_unsealed

_SHOWN = 3


def refuse_conflicts(new: Path, site: Path) -> None:
    """Raise `InputError` if a place has files that no site brought, and the new site has others of their names."""
    ours, files = list_owned_files(site), list_site_files(new)
    folders = {file: [str(parent) for parent in list(PurePosixPath(file).parents)[:-1]] for file in files}
    blocked = {folder for folder in {*chain(*folders.values())} if _is_blocked(site, folder, ours)}
    other = [file for file in files if blocked.intersection(folders[file]) or _is_foreign(new, site, file, ours)]
    if other:
        named = f"{', '.join(other[:_SHOWN])}{f' and {len(other) - _SHOWN} more' if len(other) > _SHOWN else ''}"
        _refuse_foreign_files(site, named)


def refuse_foreign_site(site: Path) -> None:
    """Raise `InputError` if a place conflicts with any new site: it has an index that no site brought."""
    if site.exists() and not site.is_dir():
        raise InputError(f"site: {site}: expected a folder, or nothing")
    if (site / INDEX).exists() and INDEX not in list_owned_files(site):
        _refuse_foreign_files(site, INDEX)


def list_owned_files(site: Path) -> set[str]:
    """Return the files of a place that sites brought: those in its manifest and in manifests of unfinished drafts."""
    unfinished = [folder / NEW for folder in find_draft_folders(site) if (folder / BEGUN).exists()]
    lists = [read_manifest(folder) for folder in (site, *unfinished)]
    files = {file for listed in lists for file in listed.get("sizes", {}) if _is_inside(file)}
    return files | {MANIFEST} if any(lists) else files


def holds_foreign_files(site: Path) -> bool:
    """Whether a folder has anything that no site brought."""
    ours = list_owned_files(site)
    for folder, folders, files in os.walk(site):
        here = Path(folder).relative_to(site)
        if here == Path():
            folders[:] = [name for name in folders if not is_marked(site / name, site)]
        names = [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]
        is_empty = not names and not folders and here != Path()
        if is_empty or any((here / name).as_posix() not in ours for name in names):
            return True
    return False


def _refuse_foreign_files(site: Path, named: str) -> None:
    expected = "a folder without them, or with the site.json that was published there"
    raise InputError(f"site: {site}: holds {named}, which no site.json there lists; expected {expected}")


def _is_blocked(site: Path, folder: str, ours: set[str]) -> bool:
    """Whether a place has a link, or a file that no site brought, where the new site has a folder."""
    path = site / folder
    return path.is_symlink() or (path.exists() and not path.is_dir() and folder not in ours)


def _is_foreign(new: Path, site: Path, file: str, ours: set[str]) -> bool:
    """Whether a place has something of this name that no site brought and that differs from the new file."""
    target = site / file
    if not os.path.lexists(target) or (file == MANIFEST and read_unsealed(target)):
        return False
    if target.is_dir() and not target.is_symlink():
        return True
    return file not in ours and not (target.is_file() and filecmp.cmp(new / file, target, shallow=False))


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in file

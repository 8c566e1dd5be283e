"""Publish the site of the current snapshot: in the home, or in another folder, e.g. a web server's root."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from flows.site.build import SiteReport, build_site, read_left_out
from flows.site.site_extras import AS_BEFORE, AskedExtras, find_extras
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.site_folder.drafts import discard_draft
from warehouse.site_folder.manifest import MANIFEST, read_inputs_digest, read_manifest
from warehouse.site_folder.placement import begin_draft, place_site
from warehouse.snapshot import find_published_run, open_snapshot, refuse_earlier_version

_FULL_DISK_BYTES = 1_000_000  # a disk with less free space counts as full; polars does not always say so
_LONGEST_PATH = 1000  # characters of a path in a message


def publish_site(
    home: Home, site: Path, progress: Callable[[str], None] = lambda _: None, asked: AskedExtras = AS_BEFORE
) -> SiteReport:
    """Build the site of the published snapshot and put it in place of the previous one.

    Outside the home, this is a copy of the home's site if that is up to date and has what is asked for. Only files of
    earlier sites are replaced or deleted.

    Raises
    ------
    InputError
        An earlier version made the snapshot. Or the folder holds files that the site would overwrite and that no site
        brought, or belongs to the home, or cannot be written.
    RunError
        The disk is full, or another process is publishing there.
    """
    with _explain_disk_errors(site):
        with open_snapshot(home.snapshot) as connection:
            refuse_earlier_version(connection)
        site = site.resolve()
        if site == home.site.resolve():
            with home.lock_for_writing():
                return _publish(home, site, progress, asked, copies=False)
        _refuse_own_folders(home, site)
        is_new = read_inputs_digest(home.site) == find_published_run(home)[1]
        wanted = find_extras(asked, read_manifest(site))
        copies = is_new and not asked.library and wanted == find_extras(AS_BEFORE, read_manifest(home.site))
        return _publish(home, site, progress, asked, copies=copies)


def _publish(
    home: Home, site: Path, progress: Callable[[str], None], asked: AskedExtras, *, copies: bool
) -> SiteReport:
    draft = begin_draft(site)
    try:
        report = _copy_site(home.site, draft.new) if copies else None
        if report is None:
            report = build_site(home.snapshot, draft.new, site, progress, asked=asked, kept=home.kept_rows)
        place_site(draft)
    finally:
        discard_draft(draft)
    return report


def _copy_site(site: Path, new: Path) -> SiteReport | None:
    """Copy the files of a site; return None, and leave no copy, if the site was replaced meanwhile."""
    manifest = (site / MANIFEST).read_bytes()
    try:
        for file in [*read_manifest(site).get("sizes", {}), MANIFEST]:
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(site / file, new / file)
        is_whole = read_inputs_digest(new) is not None and (site / MANIFEST).read_bytes() == manifest
    except FileNotFoundError:
        is_whole = False
    if not is_whole:
        shutil.rmtree(new, ignore_errors=True)
        return None
    return SiteReport(len(read_manifest(new).get("charts", [])), (), (), read_left_out(new))


def _refuse_own_folders(home: Home, site: Path) -> None:
    """Raise `InputError` if the folder is the home itself, its parent, or one of the home's folders."""
    path = home.path.resolve()
    own = [home.catalog, home.snapshots, home.stage, home.sweeps, home.incoming, home.site]
    if site in {path, site.parent} or any(site.is_relative_to(folder.resolve()) for folder in own):
        raise InputError(f"site: {site}: expected a folder of its own, e.g. {path / 'public'}")


@contextmanager
def _explain_disk_errors(site: Path) -> Iterator[None]:
    """Turn errors of the disk into one line that names the folder."""
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        explained = explain_disk_error(error)
        is_full = isinstance(explained, RunError) or (
            explained is None and isinstance(error, pl.exceptions.PolarsError) and _is_full(site)
        )
        if is_full:
            raise RunError(f"site: {site}: no space on the disk; free some, then publish again") from error
        if isinstance(error, OSError):
            reason = error.strerror or one_line(error)
            path = str(site) if len(str(site)) <= _LONGEST_PATH else f"{str(site)[:_LONGEST_PATH]}…"
            raise InputError(f"site: {path}: {reason}; expected a folder that can be written") from error
        raise


def _is_full(site: Path) -> bool:
    folder = next(folder for folder in (site, *site.parents) if folder.is_dir())
    return shutil.disk_usage(folder).free < _FULL_DISK_BYTES

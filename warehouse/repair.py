"""Repair a home before a run: what cut-off runs, failing disks and other programs left in it."""

import logging
import shutil
from pathlib import Path

import duckdb

from warehouse.build import open_build, set_aside
from warehouse.connection import wal_path
from warehouse.errors import InputError, LaterVersionError
from warehouse.files.aside import move_aside
from warehouse.files.atomic import PARTIALS
from warehouse.home import Home
from warehouse.load import Fingerprints, fingerprint_tables, read_input_digests
from warehouse.migrations import refuse_later_version
from warehouse.site_folder.drafts import give_up_drafts
from warehouse.snapshot import candidate_path, list_snapshots, open_snapshot

_log = logging.getLogger(__name__)


def repair_home(home: Home) -> set[str]:
    """Repair a home that is locked for writing, and return the tables that were altered since they were published.

    A build database whose rows cannot all be read is replaced by a copy of the newest snapshot that can.

    Raises
    ------
    InputError
        A file is in place of a folder of the home, or the reverse, or a later version made the databases.
    """
    _refuse_misplaced_files(home)
    delete_unfinished(home)
    return find_altered_tables(home)


def find_altered_tables(home: Home) -> set[str]:
    """Return the tables whose rows differ between build database and snapshot, although made from the same inputs.

    These are all tables if no snapshot can be read: then nothing proves that they are unaltered.
    """
    rows, loaded = _read_build(home)
    try:
        with open_snapshot(home.snapshot) as connection:
            refuse_later_version(home.snapshot, connection)
            published, published_rows = read_input_digests(connection), fingerprint_tables(connection)
    except LaterVersionError:
        raise
    except (duckdb.Error, InputError):
        if home.snapshot.exists():
            _log.warning("%s cannot be read and is published again", home.snapshot.name)
            _set_unreadable_snapshots_aside(home)
        return set(loaded)
    same = {table for table, digest in loaded.items() if digest == published.get(table)}
    altered = {table for table in same if rows.get(table) != published_rows.get(table)}
    if altered:
        _log.warning("altered since they were published, and published again: %s", ", ".join(sorted(altered)))
    return altered


def delete_unfinished(home: Home) -> None:
    """Delete what a run that was cut off left half-made."""
    give_up_drafts(home.site)
    candidate = candidate_path(home)
    partials = [*home.path.glob(PARTIALS), *home.snapshots.glob("*.partial*"), *home.catalog.rglob(PARTIALS)]
    for path in [candidate, wal_path(candidate), *partials, *home.path.glob(".ingest-*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _read_build(home: Home) -> tuple[Fingerprints, dict[str, str]]:
    """Return the rows of the build database and what they were made from; if it is damaged, of a snapshot."""
    for _ in range(2):
        with open_build(home) as connection:
            try:
                return fingerprint_tables(connection), read_input_digests(connection)
            except duckdb.Error as error:
                damage = error
        set_aside(home)
    raise damage


def _set_unreadable_snapshots_aside(home: Home) -> None:
    """Rename kept snapshots that cannot be read; the published one is among the kept ones, too."""
    for path in list_snapshots(home):
        try:
            with open_snapshot(path) as connection:
                fingerprint_tables(connection)
        except LaterVersionError:
            raise
        except (duckdb.Error, InputError):
            broken = move_aside(path)
            _log.warning("%s cannot be read and was moved to %s", path.name, broken.name)


def _refuse_misplaced_files(home: Home) -> None:
    folders = [home.catalog, home.snapshots, home.stage, home.site, home.sweeps, home.incoming]
    files = [home.snapshot, wal_path(home.build)]
    for path, is_right, expected in [
        *((folder, Path.is_dir, "a folder") for folder in folders),
        *((file, Path.is_file, "a file") for file in files),
    ]:
        if path.exists() and not is_right(path):
            raise InputError(f"{path}: expected {expected}; move away what is there, and run again")

"""The data directory of one warehouse: build database, snapshot, site and the user's catalog."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from warehouse.errors import InputError, RunError

_PACKAGE = Path(__file__).resolve().parent
_SHOWN = 60  # characters of a bad path in a message

# homes that this process has locked for a writer that has not begun
_held_ahead: set[Path] = set()


@dataclass(frozen=True)
class Home:
    """Paths inside one home."""

    path: Path

    @classmethod
    def at(cls, path: Path | None = None) -> "Home":
        """Return the home at `path`, or at `$ROOFLINES_HOME`, or at the default.

        The default is `warehouse/data` in a checkout, else the user's data folder.

        Raises
        ------
        InputError
            The system allows no such path.
        """
        chosen = path or os.environ.get("ROOFLINES_HOME") or _default_path()
        refuse_no_path("home", chosen)
        return cls(Path(chosen).expanduser().absolute())

    def refuse_unusable_path(self) -> None:
        """Raise `InputError` if DuckDB cannot write to the path, whatever the disk allows."""
        if "?" in str(self.path):
            raise InputError(f"home: {self.path}: expected a path without a question mark; DuckDB cannot write there")
        refuse_unnameable("home", self.path)

    @property
    def build(self) -> Path:
        """Database that only a run opens."""
        return self.path / "build.duckdb"

    @property
    def snapshot(self) -> Path:
        """Database that readers open."""
        return self.path / "rooflines.duckdb"

    @property
    def snapshots(self) -> Path:
        """The last published databases, named after their runs."""
        return self.path / "snapshots"

    @property
    def site(self) -> Path:
        """The published site; if it is a link, the folder that it leads to."""
        site = self.path / "site"
        return site.resolve() if site.is_symlink() else site

    @property
    def stage(self) -> Path:
        """Frames of the steps of a run, named after the digest of their inputs."""
        return self.path / "stage"

    @property
    def kept_rows(self) -> Path:
        """Rows that the pages of the site show, named after the digest of what they were asked of."""
        return self.stage / "site"

    @property
    def sweeps(self) -> Path:
        """Files of large grids, one folder per sweep."""
        return self.path / "sweeps"

    @property
    def catalog(self) -> Path:
        """The user's own input files."""
        return self.path / "catalog"

    @property
    def incoming(self) -> Path:
        """Files that are to be put into the catalog."""
        return self.path / "incoming"

    @contextmanager
    def lock_for_writing(self) -> Iterator[None]:
        """Lock the home for one writer, which may take over the lock of `lock_ahead`.

        Raises
        ------
        InputError
            The folder cannot be made or written.
        RunError
            Another run has locked the home.
        """
        if self.path in _held_ahead:
            _held_ahead.remove(self.path)
            try:
                yield
            finally:
                _held_ahead.add(self.path)
            return
        from filelock import FileLock, Timeout  # noqa: PLC0415  # a reader starts sooner without

        self.refuse_unusable_path()
        lock = FileLock(self.path / "run.lock", timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: another run is writing here; wait for it to end") from None
        except OSError as error:
            raise InputError(
                f"home: {self.path}: {error.strerror or error}; expected a folder that can be written,"
                " as --home or ROOFLINES_HOME names it"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def lock_ahead(self) -> Iterator[None]:
        """Lock the home for later writers of this process, which take over the lock one after the other.

        Raises
        ------
        InputError, RunError
            See `lock_for_writing`.
        """
        with self.lock_for_writing():
            _held_ahead.add(self.path)
            try:
                yield
            finally:
                _held_ahead.discard(self.path)


def refuse_unnameable(what: str, path: Path) -> None:
    """Raise `InputError` if DuckDB's file patterns cannot express a path: a backslash in one separates folders."""
    if "\\" in str(path) and any(mark in str(path) for mark in "*?["):
        raise InputError(f"{what}: {path}: expected a path without both a backslash and one of *, ? and [, for DuckDB")


def refuse_no_text(what: str, path: str | Path) -> None:
    """Raise `InputError` if a path is not UTF-8: neither DuckDB nor a table could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{what}: {str(path)!a}: not UTF-8; expected a path that is text") from None


def refuse_no_path(what: str, path: str | Path) -> None:
    """Raise `InputError` if the system allows no such path: it is not UTF-8, too long, or names an unknown user."""
    refuse_no_text(what, path)
    try:
        os.lstat(Path(path).expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # the latter two: a null byte, no such user
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            return
        shown = str(path) if len(str(path)) <= _SHOWN else f"{str(path)[:_SHOWN]}…"
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise InputError(f"{what}: {shown}: {reason}; expected a path that the system allows") from None


def _default_path() -> Path:
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "sql").is_dir():
        return _PACKAGE / "data"
    return user_data_path("rooflines", appauthor=False)

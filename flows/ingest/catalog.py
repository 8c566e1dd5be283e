"""Which input files a run reads: the shipped catalog, the home's own, and one given by hand."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

import warehouse
from flows.ingest.limits import refuse_too_large
from warehouse.digest import digest_of
from warehouse.errors import InputError, collect_refusals
from warehouse.home import Home, refuse_no_text

SHIPPED = Path(warehouse.__file__).resolve().parent / "catalog"

# kind -> files that hold it, and whether each file is one entry (named after its id) or a list
_FILES: dict[str, tuple[tuple[str, ...], bool]] = {
    "hardware": (("hardware/*.toml",), True),
    "model": (("models/*.json",), True),
    "workload": (("workloads/*.toml",), True),
    "precision": (("precisions.toml",), False),
    "elementwise": (("elementwise.toml",), False),
    "calibration": (("calibrations.toml",), False),
    "ops": (("ops/*.csv", "ops/*.json", "ops/*.parquet"), True),
    "gallery": (("gallery.toml",), False),
    "measurement": (("measurements/*.csv", "measurements/*.parquet"), True),
}


@dataclass(frozen=True)
class SourceFile:
    """One input file, as a run sees it."""

    source_id: str
    kind: str
    entry_id: str
    path: Path
    display_path: str
    sha256: str
    size_bytes: int

    @property
    def named_after_entry(self) -> bool:
        """Whether the file holds one entry and bears its id, or else a list of entries."""
        return _FILES[self.kind][1]

    @property
    def stored_at(self) -> Path:
        """The file that holds the bytes; `path` is what messages name."""
        return self.path

    def read_bytes(self) -> bytes:
        """Return the file's bytes, the same ones that were listed.

        Raises
        ------
        InputError
            The file cannot be read any more, or changed since.
        """
        content = _read_bytes(self.path)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            self._raise_changed()
        return content

    def refuse_change(self) -> None:
        """Raise `InputError` where the file does not hold the bytes any more that were listed."""
        if digest_of_file(self.stored_at) != self.sha256:
            self._raise_changed()

    def _raise_changed(self) -> NoReturn:
        raise InputError(f"{self.path}: changed while the run was reading it; run again")


def list_sources(home: Home, given: Path | None = None, shipped: Path | None = None) -> list[SourceFile]:
    """Return the input files of a run.

    A file of the home's catalog, and before it one of the given catalog, takes the place of an
    earlier file of the same kind and id. Lists (precisions, element-wise costs) stand side by
    side: there, a later entry takes the place of an earlier one.

    Raises
    ------
    InputError
        The given catalog is no folder or has no file of a known name, or files cannot be read.
    """
    layers = [("shipped", shipped or SHIPPED, "warehouse/catalog"), ("home", home.catalog, "$ROOFLINES_HOME/catalog")]
    if given is not None:
        if not given.is_dir():
            raise InputError(f"--catalog: {given}: expected a folder")
        layers.append(("given", given, given.absolute().as_posix()))
    sources: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for layer, folder, shown in layers:
            with each():
                for source in _list_layer(layer, folder, shown):
                    key = f"{source.kind}/{source.entry_id}" if source.named_after_entry else source.source_id
                    sources[key] = source
    return list(sources.values())


def digest_of_sources(sources: Iterable[SourceFile]) -> str:
    """Return one digest for the names and the bytes of some files."""
    return digest_of(f"{s.source_id} {s.display_path} {s.sha256}" for s in sources)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, which may be of any size."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device may never end
            raise InputError(f"{path}: cannot be read: no file; expected one, or a link to one")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _list_layer(layer: str, folder: Path, shown: str) -> list[SourceFile]:
    """Return the files of one catalog."""
    found: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for kind, (patterns, _) in _FILES.items():
            paths: list[Path] = []
            for pattern in patterns:
                with each():
                    paths += _find_files(folder, pattern)
            for path in sorted(paths):
                with each():
                    source = _inspect_file(layer, kind, path, f"{shown}/{path.relative_to(folder).as_posix()}")
                    if source.source_id in found:
                        raise InputError(f"{path}: another file of that name, with another ending; expected one")
                    found[source.source_id] = source
        if layer == "given" and not found:
            names = ", ".join(pattern for patterns, _ in _FILES.values() for pattern in patterns)
            raise InputError(f"--catalog: {folder}: nothing to read; expected {names}")
    return list(found.values())


def _inspect_file(layer: str, kind: str, path: Path, display_path: str) -> SourceFile:
    refuse_no_text(kind, path)
    size = path.stat().st_size if path.is_file() else 0
    refuse_too_large(kind, path, size)
    return SourceFile(f"{layer}/{kind}/{path.stem}", kind, path.stem, path, display_path, digest_of_file(path), size)


def _find_files(folder: Path, pattern: str) -> list[Path]:
    """Return what a pattern names, lost links too; a folder that cannot be listed is no empty one."""
    parent, _, name = pattern.rpartition("/")
    try:
        names = [path.name for path in (folder / parent).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder / parent}: {reason}; expected a folder that can be read, or none") from None
    return [folder / parent / found for found in names if fnmatchcase(found, name)]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None

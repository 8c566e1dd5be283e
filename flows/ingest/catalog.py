"""The input files of a run: the catalog that ships, the home's own, and one given with --catalog."""

from fnmatch import fnmatchcase
from pathlib import Path

import warehouse
from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.limits import refuse_too_large
from flows.ingest.source_file import SourceFile, digest_of_file
from warehouse.errors import InputError, collect_refusals
from warehouse.home import Home, refuse_no_text

SHIPPED = Path(warehouse.__file__).resolve().parent / "catalog"


def list_sources(home: Home, given: Path | None = None, shipped: Path | None = None) -> list[SourceFile]:
    """Return the input files of a run.

    A file of the home's catalog, or of the given one, replaces an earlier file of the same kind and id. Lists
    (precisions, element-wise costs …) are all kept: there, a later entry replaces an earlier one.

    Parameters
    ----------
    home
        The home.
    given
        A third catalog, which comes last.
    shipped
        The first catalog; by default the one that ships with rooflines.

    Raises
    ------
    InputError
        The given catalog is not a folder or has no file of any kind, or files cannot be read.
    """
    layers = [("shipped", shipped or SHIPPED, "warehouse/catalog"), ("home", home.catalog, "$ROOFLINES_HOME/catalog")]
    if given is not None:
        if not given.is_dir():
            raise InputError(f"--catalog: {given}: expected a folder")
        layers.append(("given", given, given.absolute().as_posix()))
    sources: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for layer, folder, display_folder in layers:
            with each():
                for source in _list_layer(layer, folder, display_folder):
                    key = f"{source.kind}/{source.entry_id}" if source.is_named_after_entry else source.source_id
                    sources[key] = source
    return list(sources.values())


def _list_layer(layer: str, folder: Path, display_folder: str) -> list[SourceFile]:
    """Return the files of one catalog."""
    found: dict[str, SourceFile] = {}
    _find_files(folder, "*")  # one refusal of the folder, not one per kind
    with collect_refusals() as each:
        for name, kind in CATALOG_KINDS.items():
            paths: list[Path] = []
            for pattern in kind.patterns:
                with each():
                    paths += _find_files(folder, pattern)
            for path in sorted(paths):
                with each():
                    display_path = f"{display_folder}/{path.relative_to(folder).as_posix()}"
                    source = _inspect_file(layer, name, path, display_path)
                    if source.source_id in found:
                        raise InputError(f"{path}: another file has this name and another suffix; expected one")
                    found[source.source_id] = source
        if layer == "given" and not found:
            patterns = ", ".join(pattern for kind in CATALOG_KINDS.values() for pattern in kind.patterns)
            raise InputError(f"--catalog: {folder}: nothing to read; expected {patterns}")
    return list(found.values())


def _inspect_file(layer: str, name: str, path: Path, display_path: str) -> SourceFile:
    refuse_no_text(name, path)
    kind, size = CATALOG_KINDS[name], path.stat().st_size if path.is_file() else 0
    refuse_too_large(path, size, kind.max_bytes)
    digest = digest_of_file(path)
    source_id = f"{layer}/{name}/{path.stem}"
    return SourceFile(source_id, name, path.stem, path, display_path, digest, size, kind.has_file_per_entry)


def _find_files(folder: Path, pattern: str) -> list[Path]:
    """Return the paths that match a pattern, broken links too; refuse a folder that cannot be listed."""
    parent, _, name = pattern.rpartition("/")
    try:
        names = [path.name for path in (folder / parent).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder / parent}: {reason}; expected a readable folder, or none") from None
    return [folder / parent / found for found in names if fnmatchcase(found, name)]

"""Files and names given to `rooflines ingest`, read into entries of the catalog."""

import json
import re
from pathlib import Path
from typing import Any

from flows.ingest.document import ID_PATTERN, format_value, load_json, parse, refuse_bad_id
from flows.ingest.entry import Entry, inspect_file
from flows.ingest.foreign_configs import describe_foreign, describe_start
from flows.ingest.hub import download_config, is_hub_name
from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.model_names import find_cached_name, find_config, make_id, name_model
from warehouse.errors import InputError
from warehouse.home import refuse_no_path


def expand_path(name: str) -> Path:
    """Return a given path with `~` expanded; raise `InputError` if it cannot be a path."""
    refuse_no_path("ingest", name)
    return Path(name).expanduser()


def read_entries(name: str, given: str) -> list[Entry]:
    """Return the entries of a given file.

    Parameters
    ----------
    name
        A kind of the catalog.
    given
        A path; for a model also a folder with a config.json, one of the Hugging Face cache, or a name on the hub.

    Raises
    ------
    InputError
        The file cannot be read, has the wrong suffix, or has no valid id.
    """
    path, kind = expand_path(given), CATALOG_KINDS[name]
    if name == "model":
        return [_read_model(given, path)]
    if convert := kind.converters.get(path.suffix):
        found = convert(inspect_file(path, name))
        if not found:
            raise InputError(f"{path}: 0 rows; expected one per entry")
        return [Entry(entry_id, kind.suffixes[0], path, text.encode()) for entry_id, text in found]
    if path.suffix not in kind.suffixes:
        raise InputError(f"{path}: expected a file that ends in {', '.join((*kind.suffixes, *kind.converters))}")
    source = inspect_file(path, name)
    entry_id = source.entry_id
    if kind.id_field is not None:
        entry_id = parse(source).get(kind.id_field, entry_id)
        refuse_bad_id(path, kind.id_field, entry_id)
    if kind.max_bytes is None:
        return [Entry(entry_id, path.suffix, path, stored_at=path)]
    return [Entry(entry_id, path.suffix, path, source.read_bytes())]


def _read_model(given: str, path: Path) -> Entry:
    if path.is_dir():
        path = find_config(path) or path / "config.json"
    if not path.exists() and is_hub_name(given):
        return Entry(make_id(given), ".json", Path(given), _add_origin(download_config(given), given, Path(given)))
    if path.is_file() and (foreign := describe_start(path)):
        raise InputError(f"{path}: {foreign}")
    source = inspect_file(path, "model")
    name, cached_name = name_model(path), find_cached_name(path)
    entry_id = make_id(name)
    if not re.fullmatch(ID_PATTERN, entry_id):
        raise InputError(f"{path}: file name = {format_value(name)}: expected letters a to z, digits or dots")
    content = source.read_bytes()
    return Entry(entry_id, ".json", path, _add_origin(content, cached_name, path) if cached_name else content)


def _add_origin(config: bytes, hub_name: str, path: Path) -> bytes:
    """Return a config with its name on the hub; `path` is what messages name."""
    try:
        content: Any = load_json(config.decode("utf-8-sig"), path)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: broken JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: {describe_foreign(content)}")
    return (json.dumps({**content, "_name_or_path": hub_name}, indent=2, sort_keys=True) + "\n").encode()

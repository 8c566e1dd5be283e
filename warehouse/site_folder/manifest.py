"""The manifest of a site, site.json: which files it has and what they were made from."""

import json
import os
from pathlib import Path
from typing import Any

from warehouse.digest import digest_of

MANIFEST = "site.json"
INDEX = "index.html"
PLACED_LAST = (INDEX, MANIFEST)  # placed last, so that readers find the files that they name


def list_site_files(site: Path) -> list[str]:
    """Return the files of a site, as relative paths, with index and manifest at the end."""
    found = (Path(folder).relative_to(site) / name for folder, _, names in os.walk(site) for name in names)
    files = (path.as_posix() for path in found if (site / path).is_file())
    return sorted(files, key=lambda file: (file in PLACED_LAST and PLACED_LAST.index(file) + 1, file))


def seal_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with a digest that shows whether it was edited."""
    return {**manifest, "digest": _digest(manifest)}


def read_manifest(site: Path) -> dict[str, Any]:
    """Return the manifest of a site; empty if there is none, or somebody edited it."""
    manifest = read_unsealed(site / MANIFEST)
    sizes = manifest.get("sizes")
    is_whole = isinstance(sizes, dict) and all(isinstance(size, int) for size in sizes.values())
    digest = manifest.pop("digest", None)  # sites of earlier versions have none
    return manifest if is_whole and digest in {None, _digest(manifest)} else {}


def read_inputs_digest(site: Path) -> str | None:
    """Return the digest of a site's inputs, None if there is no site or it lacks files."""
    manifest = read_manifest(site)
    is_whole = all(file_size(site / file) == size for file, size in manifest.get("sizes", {}).items())
    return manifest.get("inputs_sha256") if is_whole else None


def file_size(path: Path) -> int | None:
    """Return the size of a file in bytes, None if there is no such file."""
    return path.stat().st_size if path.is_file() else None


def read_unsealed(file: Path) -> dict[str, Any]:
    """Return the manifest in a file, edited or not; nothing if it is not one."""
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) and manifest.get("site_of") == "rooflines" else {}


def _digest(manifest: dict[str, Any]) -> str:
    return digest_of([json.dumps(manifest, sort_keys=True)])

"""Small sites that replace each other."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.files import write_tree
from warehouse.site_folder.drafts import Draft
from warehouse.site_folder.manifest import MANIFEST, seal_manifest
from warehouse.site_folder.placement import begin_draft

FIRST = {"index.html": "first", "charts/a/a.svg": "a", "charts/b/b.svg": "b", "data/roof.parquet": "roof"}
SECOND = {"index.html": "second", "charts/a/a.svg": "a again", "charts/c/c.svg": "c", "data/roof.parquet": "roof"}
MINE = {".git/HEAD": "ref", ".nojekyll": "", "CNAME": "roofs.example", "data/notes.md": "mine", "charts/b/why.md": "x"}


def add_manifest(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a site together with its manifest."""
    sizes = {name: len(text) for name, text in files.items()}
    manifest = seal_manifest({"site_of": "rooflines", "inputs_sha256": files["index.html"], "sizes": sizes})
    return {**files, MANIFEST: json.dumps(manifest)}


def write_draft(site: Path, files: Mapping[str, str]) -> Draft:
    draft = begin_draft(site)
    write_tree(draft.new, add_manifest(files))
    return draft

"""The files of a new site; those that did not change are linked from the previous one."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from warehouse.site_folder.manifest import MANIFEST, file_size, list_site_files, read_manifest, seal_manifest


class SiteFiles:
    """The folder of a new site, and what each part of it was made from.

    A part is known by a name and by the digest of what it is made from; an empty digest is never equal to another.
    """

    def __init__(self, new: Path, previous: Path) -> None:
        self.new, self.previous = new, previous
        self._made_from: dict[str, str] = {}
        self._cards: dict[str, dict[str, Any]] = {}
        self.manifest = read_manifest(previous)
        self._of_charts: dict[str, list[str]] = {}  # the files of each folder of a chart
        for file in self.manifest.get("sizes", {}):
            if file.startswith("charts/"):
                self._of_charts.setdefault(file.split("/")[1], []).append(file)

    def reuse(self, part: str, digest: str, files: Iterable[str]) -> bool:
        """Link a part's files from the previous site if they are whole and made from the same; say whether they were.

        The folders of the files exist afterwards.
        """
        self._made_from[part] = digest
        files = list(files)
        sizes = self.manifest.get("sizes", {})
        is_same = bool(digest) and self.manifest.get("made_from", {}).get(part) == digest
        is_same = is_same and all(file_size(self.previous / file) == sizes.get(file, -1) for file in files)
        for file in files:
            target = self.new / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_same:
                _link_or_copy(self.previous / file, target)
        return is_same

    def find_digest(self, part: str) -> str:
        """Return what a part of the previous site was made from; empty if it has no such part."""
        digest = self.manifest.get("made_from", {}).get(part, "")
        return digest if isinstance(digest, str) else ""

    def reuse_chart(self, name: str, digest: str) -> dict[str, Any] | None:
        """Link all files of a chart, with its page, and return its card, if it was made from the same; else None.

        `note_card` recorded what it was made from.
        """
        card = self.manifest.get("cards", {}).get(name)
        drawn = self.manifest.get("made_from", {}).get(name)
        if not isinstance(card, dict) or not digest or not drawn:
            return None
        sizes = self.manifest["sizes"]
        files = self._of_charts.get(name, []).copy()
        others = (f"assets/thumbnails/{name}.svg", f"assets/rows/{name}.js", f"assets/csv/{name}.js")
        files += [file for file in others if file in sizes]
        if f"charts/{name}/index.html" not in files or not self.reuse(_page_part(name), digest, files):
            self._made_from.pop(_page_part(name), None)
            return None
        self._made_from[name] = drawn
        self._cards[name] = card
        return card

    def note_card(self, name: str, digest: str, card: dict[str, Any]) -> None:
        """Record what the gallery says about a chart, and what the chart and its page are made from."""
        if digest:
            self._made_from[_page_part(name)] = digest
            self._cards[name] = card

    def remove_chart(self, name: str) -> None:
        """Remove a chart that turned out not to be publishable."""
        for part in (name, _page_part(name)):
            self._made_from.pop(part, None)
        self._cards.pop(name, None)
        shutil.rmtree(self.new / "charts" / name, ignore_errors=True)
        (self.new / "assets" / "thumbnails" / f"{name}.svg").unlink(missing_ok=True)

    def write_manifest(self, **facts: Any) -> None:
        """Write the manifest, last of all: these facts, the digests of all parts, and the sizes of all files."""
        manifest = {
            "site_of": "rooflines",
            **facts,
            "made_from": dict(sorted(self._made_from.items())),
            "cards": dict(sorted(self._cards.items())),
            "sizes": {file: (self.new / file).stat().st_size for file in list_site_files(self.new)},
        }
        (self.new / MANIFEST).write_text(json.dumps(seal_manifest(manifest), indent=1) + "\n", "utf-8")


def _page_part(name: str) -> str:
    return f"page of {name}"


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a disk without hard links
        shutil.copy2(old, new)

"""What a chart says in words. Apart from choices.py, because pages need it without loading Altair."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Texts(NamedTuple):
    """What a chart says: its title, the lines below it, and an accessible description."""

    title: str
    subtitle: list[str]
    description: str


def read_texts(spec: Mapping[str, Any]) -> Texts:
    """Return what a specification says as it is drawn first."""
    for choice in spec.get("usermeta", {}).get("choices", {}).values():
        return Texts(**{field: choice["values"][0][field] for field in Texts._fields})
    title, subtitle = spec["title"]["text"], spec["title"]["subtitle"]
    return Texts(title, [subtitle] if isinstance(subtitle, str) else subtitle, spec["description"])

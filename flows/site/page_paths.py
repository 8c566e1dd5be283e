"""Where the pages of the site lie: no id and no name of a chart takes the place of another page, on any disk."""

import re

_FOLDER = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?")
_LONGEST = 150  # a disk takes names of 255 bytes, and files in the folder have longer ones
# what Windows takes for a device, whatever follows a point
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def is_folder_name(name: str) -> bool:
    """Whether a folder can be called so, on any system and beside the pages of a list."""
    return (
        bool(_FOLDER.fullmatch(name))
        and len(name) <= _LONGEST
        and name != "index.html"
        and name.split(".", maxsplit=1)[0] not in _DEVICES
    )


def page_folder(id_: str) -> str:
    """Return the folder of a page of a device or model: its id, or the id between two hyphens, which no id begins with.

    >>> folder_of("a40"), folder_of("index.html"), folder_of("con")
    ('a40', '-index.html-', '-con-')
    """
    return id_ if is_folder_name(id_) else f"-{id_}-"

"""Paths of pages: no id and no chart name collides with another page or is refused by a file system."""

import re

_FOLDER = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?")
_LONGEST = 150  # file systems allow names of 255 bytes, and the files of a chart repeat its name
# Windows reserves these names with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def is_folder_name(name: str) -> bool:
    """Return whether a folder can have this name, on any system and next to an index.html."""
    return (
        bool(_FOLDER.fullmatch(name))
        and len(name) <= _LONGEST
        and name != "index.html"
        and name.split(".", maxsplit=1)[0] not in _DEVICES
    )


def page_folder(id_: str) -> str:
    """Return the folder for the page of a device or model: its id, or the id between hyphens, with which no id begins.

    >>> page_folder("a40"), page_folder("index.html"), page_folder("con")
    ('a40', '-index.html-', '-con-')
    """
    return id_ if is_folder_name(id_) else f"-{id_}-"


def device_page(hardware_id: str) -> str:
    """Return the path of a device's page."""
    return f"devices/{page_folder(hardware_id)}/index.html"


def model_page(model_id: str) -> str:
    """Return the path of a model's page."""
    return f"models/{page_folder(model_id)}/index.html"

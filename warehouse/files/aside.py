"""Files that cannot be read are renamed, never deleted."""

import os
from itertools import count
from pathlib import Path


def move_aside(path: Path) -> Path:
    """Rename a file or folder to NAME.broken, or NAME-2.broken and so on if that exists, and return the new path."""
    names = (path.with_name(f"{path.stem}{f'-{number}' if number > 1 else ''}.broken") for number in count(1))
    free = next(name for name in names if not os.path.lexists(name))
    path.rename(free)
    return free

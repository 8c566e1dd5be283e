"""The browser that tests use."""

import shutil
from pathlib import Path

CHROMIUM = ("chromium", "google-chrome")  # the first on the PATH; nothing is downloaded
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_chromium() -> str | None:
    """Return a Chromium that can read the folders of tests; a snap cannot."""
    found = (path for name in CHROMIUM if (path := shutil.which(name)))
    return next((path for path in found if "snap" not in Path(path).resolve().parts), None)

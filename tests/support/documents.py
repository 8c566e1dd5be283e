"""The documents, and what their tables say."""

import re

from tests.support.files import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def split_cells(text: str) -> list[str]:
    """What a table says, however its lines are drawn."""
    return re.findall(r"[^\s│┌┐└┘├┤┬┴┼─]+", text)

"""Names of levels of memory. Apart from ceilings.py, because pages need them without loading Altair."""


def name_level(level: str) -> str:
    """Return the name of a level as people write it: DRAM, L2, interconnect."""
    return level if level == "interconnect" else level.upper()

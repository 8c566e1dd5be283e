"""Names of devices in files of results -> ids of the catalog."""

import re
from collections.abc import Mapping

# As InferenceX names its runners and AIConfigurator its systems; what follows a dash or an underscore names a machine.
# Both use the SXM modules (InferenceX: the runners of its workflows; aiconfigurator-core: systems/*.yaml).
_NAMES = {
    "h100": "h100-sxm", "h200": "h200-sxm", "b200": "b200", "b300": "b300", "gb200": "gb200", "gb300": "gb300",
    "mi300x": "mi300x", "mi325x": "mi325x", "mi350x": "mi350x", "mi355x": "mi355x", "l40s": "l40s",
}  # fmt: skip
_FIRST_WORD = re.compile(r"[a-z0-9]+")


def find_device(name: str | None, names: Mapping[str, str]) -> str | None:
    """Return the id of the device that a file names; None if the catalog has none of that name.

    Parameters
    ----------
    name
        The name in the file, e.g. `h100_sxm`, `b200-trt` or `NVIDIA GeForce RTX 4090`.
    names
        Full name of each device of the catalog, and its id, in lower case -> its id.
    """
    plain = (name or "").strip().lower()
    if plain in names:
        return names[plain]
    first = _FIRST_WORD.match(plain)
    known = _NAMES.get(first[0]) if first and " " not in plain else None
    return known if known in names else None

"""Digests, which tell whether anything changed."""

import hashlib
from collections.abc import Iterable


def digest_of(parts: Iterable[str]) -> str:
    """Return the SHA-256 of a set of strings, whatever their order."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()

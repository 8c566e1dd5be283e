"""Names that a user gives, looked up among the known ones."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from warehouse.errors import InputError

_MOST_SHOWN = 3
_FEW = 4  # names of a list that is said whole


def find_near_names(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names, at most three, separated by commas; the first ones if none is near."""
    names = list(known)
    return ", ".join(get_close_matches(name, names, n=_MOST_SHOWN, cutoff=0.3) or names[:_MOST_SHOWN])


def choose_names(option: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names that an option gives, in the order of the known ones; all if it gives none.

    Parameters
    ----------
    option
        The option, e.g. --model.
    names
        Its values, each one or several names separated by commas.
    known
        The names that it can have.

    Raises
    ------
    InputError
        A name is empty or not known.
    """
    given = [name.strip() for text in names for name in text.split(",")]
    for name in given:
        if name not in known:
            are_few = len(known) <= _FEW
            expected = f"one of {', '.join(known)}" if are_few else f"a name such as {find_near_names(name, known)}"
            raise InputError(f"{option}: {f'{name}:' if name else 'empty name;'} expected {expected}")
    return [name for name in known if name in given or not given]

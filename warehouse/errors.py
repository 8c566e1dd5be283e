"""The two ways in which a command ends badly."""

_LONGEST = 4_000  # characters of a message
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


class InputError(Exception):
    """What the user gave cannot be used; the command ends with exit code 2.

    The message is one line that names the file, the field, its value and what was expected.
    """


class RunError(Exception):
    """A run or a rule failed although its input was good; the command ends with exit code 1."""


def one_line(error: object) -> str:
    """Return an error's message without line breaks, and without what a terminal would take for a command."""
    text = " ".join(str(error)[:_LONGEST].split())  # polars repeats what it cannot read, which may be a whole file
    return text if text.isprintable() else "".join(sign if sign.isprintable() else _UNPRINTABLE for sign in text)

"""The two ways in which a command ends badly."""


class InputError(Exception):
    """What the user gave cannot be used; the command ends with exit code 2.

    The message is one line that names the file, the field, its value and what was expected.
    """


class RunError(Exception):
    """A run or a rule failed although its input was good; the command ends with exit code 1."""


def one_line(error: object) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())

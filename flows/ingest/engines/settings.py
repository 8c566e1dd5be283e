"""What the options of `rooflines ingest engine` say of runs whose file does not, and one run as a row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from flows.ingest.document import format_value
from warehouse.errors import InputError

Row = dict[str, Any]

_MAX_COUNT = 2**31


@dataclass(frozen=True)
class EngineOptions:
    """What options say of every run of a file; None where an option is absent."""

    hardware_id: str | None = None
    model_id: str | None = None
    precision_id: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    tensor_parallel: int | None = None
    expert_parallel: int | None = None
    pipeline_parallel: int | None = None
    data_parallel: int | None = None
    concurrency: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The options that are given, by column."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def with_device(self, hardware_id: str | None) -> "EngineOptions":
        """Return the same options with another device."""
        return replace(self, hardware_id=hardware_id)

    def refuse_bad_counts(self) -> None:
        """Raise `InputError` if a number is below 1."""
        for name, value in self.given.items():
            if isinstance(value, int) and not 1 <= value <= _MAX_COUNT:
                raise InputError(f"{name_option(name)}: {value}: expected 1 or more")


NO_OPTIONS = EngineOptions()

# columns that options can give; those of `NEEDED_OF_RUN` must be in the file or be given
NEEDED_OF_RUN = ("engine", "hardware_id", "model", "tensor_parallel", "concurrency", "prompt_tokens", "output_tokens")


def name_option(column: str) -> str:
    """Return the option that gives a column."""
    return f"--{column.replace('_', '-')}"


def complete_run(run: Mapping[str, Any], options: EngineOptions, where: str) -> Row:
    """Return a run with what options say where its file does not.

    Parameters
    ----------
    run
        Columns of a file of serving results; None where the file says nothing.
    options
        What the options say.
    where
        The file, and what of it, which messages name.

    Raises
    ------
    InputError
        A column that every run needs is in neither.
    """
    row = {**options.given, **{name: value for name, value in run.items() if value is not None}}
    if options.model_id is not None:
        row["model_id"] = options.model_id
        row.setdefault("model", options.model_id)
    if options.precision_id is not None:
        row["precision_id"] = options.precision_id
    if row.get("data_parallel", 1) == 1:
        row.setdefault("expert_parallel", 1)  # engines split experts like other layers unless told otherwise
    for name in NEEDED_OF_RUN:
        if row.get(name) is None:
            option = "--model-id" if name == "model" else name_option(name)
            raise InputError(f"{where}: {name}: missing; expected {option}")
    return row


def read_number(value: Any, where: str, field: str) -> float | None:
    """Return a number of JSON or CSV; None if there is none.

    Raises
    ------
    InputError
        It is no number.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool | list | dict):
            raise TypeError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: {field} = {format_value(value)}: expected a number") from None
    return number


def read_count(value: Any, where: str, field: str) -> int | None:
    """Return a number of JSON or CSV, rounded; None if there is none.

    Raises
    ------
    InputError
        It is no number, or none that a run can have.
    """
    number = read_number(value, where, field)
    if number is None:
        return None
    if not 0 <= number <= _MAX_COUNT:  # also what is no number at all
        raise InputError(f"{where}: {field} = {format_value(value)}: expected a number from 0 to {_MAX_COUNT}")
    return round(number)


def read_text(value: Any) -> str | None:
    """Return a text of JSON or CSV; None if it is empty, or no text."""
    return value.strip() or None if isinstance(value, str) else None


def scale_number(value: float | None, by: float) -> float | None:
    """Return a number in another unit; None stays None."""
    return None if value is None else value * by

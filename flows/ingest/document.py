"""TOML and JSON documents, read and validated so that what is wrong fits on one line."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flows.ingest.catalog import SourceFile
from flows.ingest.limits import refuse_long_keys
from warehouse.errors import InputError, one_line

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
# No control characters, nor what no XML holds: they would end the program that draws a text.
TEXT_PATTERN = "^[^\\x00-\\x1f\\x7f-\\x9f\ufffe\uffff]*$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True, pattern=TEXT_PATTERN)]
Count = Annotated[int, Field(ge=1, le=2**31)]

D = TypeVar("D", bound=BaseModel)

_SHOWN = 60  # characters of a value that a message repeats


class Document(BaseModel):
    """A file whose every field is known and whose numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def read_document(source: SourceFile, shape: type[D]) -> D:
    """Return a file's content, validated.

    Raises
    ------
    InputError
        The file cannot be read or parsed, or a field is missing, unknown or out of range.
    """
    return validated(parse(source), shape, source.path)


def parse(source: SourceFile) -> Any:
    """Return the content of a TOML or JSON file."""
    path = source.path
    try:
        text = source.content().decode("utf-8-sig")
        if path.suffix != ".toml":
            return json.loads(text)
        refuse_long_keys(text, path)
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; expected a text file") from None
    except ValueError as error:
        kind = path.suffix.removeprefix(".").upper()
        raise InputError(f"{path}: broken {kind}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected a plain document") from None


def validated(content: Any, shape: type[D], path: Path) -> D:
    """Return parsed content as `shape`; the first thing that is wrong becomes an `InputError`."""
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_mistake(error, shape)}") from None


def refuse_duplicates(ids: Iterable[tuple[str, SourceFile]], field: str) -> None:
    """Raise `InputError` where an id stands twice in a catalog, or is not the name of its file."""
    first: dict[str, SourceFile] = {}
    pairs = list(ids)
    for entry_id, source in pairs:
        if entry_id in first:
            raise InputError(f"{source.path}: {field} = {shown(entry_id)}: also the id of {first[entry_id].path}")
        first[entry_id] = source
    for entry_id, source in pairs:
        if source.named_after_entry and entry_id != source.entry_id:
            name = f"{entry_id}{source.path.suffix}"
            raise InputError(f"{source.path}: {field} = {shown(entry_id)}: expected a file of that name, {name}")


def shown(value: object) -> str:
    """Return a value as it can stand in a one-line message."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return one_line(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def first_mistake(error: ValidationError, shape: type[BaseModel]) -> str:
    """Say what is wrong with the first field that is; a misspelt field comes before the one it leaves missing."""
    mistakes = sorted(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")
    first = mistakes[0]
    field, place = _field(first["loc"]), first["loc"][:-1]
    if first["type"] == "missing":
        return f"{field}: missing; expected this field"
    if first["type"] == "extra_forbidden":
        lacking = [str(m["loc"][-1]) for m in mistakes if m["type"] == "missing" and m["loc"][:-1] == place]
        known = lacking or ([] if place else list(shape.model_fields))
        return f"{field}: unknown field; expected {', '.join(known) or 'no such field'}"
    return f"{field} = {shown(first['input'])}: expected {_expectation(first['msg'])}"


def _expectation(message: str) -> str:
    for start, said in (("Value error, ", ""), ("Input should be ", ""), ("Input should ", "something to ")):
        if message.startswith(start):
            return said + message.removeprefix(start)
    return re.sub(r"^(\w+) should ", lambda match: f"a {match[1].lower()} to ", message)


def _field(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        name = str(part)
        plain = name if len(name) <= _SHOWN and name.isprintable() else shown(name)
        text += f"[{part}]" if isinstance(part, int) else f".{plain}" if text else plain
    return text or "document"

"""TOML and JSON documents, read and validated; whatever is wrong with one fits on one line."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flows.ingest.limits import refuse_long_keys
from flows.ingest.source_file import SourceFile
from warehouse.errors import Each, InputError, collect_refusals, one_line

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ID_IN_WORDS = "at most 64 lowercase letters, digits, dots, dashes and underscores, a letter or digit first"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
# One line without control characters and without what XML forbids: those would crash whatever draws the text.
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]*$"
PLAIN_TEXT = "one line of text without control characters"
Text = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True, pattern=TEXT_PATTERN)]
Count = Annotated[int, Field(ge=1, le=2**31)]

ORIGIN_SCHEMA = {"source_id": pl.String, "origin": pl.String, "license": pl.String}

D = TypeVar("D", bound=BaseModel)

# Pattern of a field -> what it allows, as messages say it.
PATTERNS_IN_WORDS = {TEXT_PATTERN: PLAIN_TEXT, ID_PATTERN: ID_IN_WORDS}
_SHOWN = 60  # characters of a value that a message quotes


class Document(BaseModel):
    """A document in which unknown fields are errors and numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class MisfitError(ValueError):
    """Fields of a document do not fit each other; the message names one, its value and what was expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} = {format_value(value)}: expected {expected}")


def read_document(source: SourceFile, shape: type[D]) -> D:
    """Return the validated content of a file.

    Raises
    ------
    InputError
        The file cannot be read or parsed, or a field is missing, unknown or out of range.
    """
    return validate(parse(source), shape, source.path)


def read_documents(sources: Sequence[SourceFile], shape: type[D], each: Each) -> list[tuple[D, SourceFile]]:
    """Return the content of every good file with the file; `each` collects the refusals of the others."""
    documents: list[tuple[D, SourceFile]] = []
    for source in sources:
        with each():
            documents.append((read_document(source, shape), source))
    return documents


def parse(source: SourceFile) -> Any:
    """Return the content of a TOML or JSON file."""
    path = source.path
    try:
        text = source.read_bytes().decode("utf-8-sig")
        if path.suffix != ".toml":
            if not text.strip():
                raise InputError(f"{path}: an empty file; expected JSON")
            return load_json(text, path)
        refuse_long_keys(text, path)
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; expected a text file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: broken TOML: {error}{_quote_line(text, str(error))}") from None
    except ValueError as error:
        kind = path.suffix.removeprefix(".").upper()
        reason = "a number with thousands of digits" if "int_max_str_digits" in str(error) else error
        raise InputError(f"{path}: broken {kind}: {reason}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected a plain document") from None


def load_json(text: str, path: Path) -> Any:
    """Return the content of JSON text.

    Raises
    ------
    InputError
        A key occurs twice in an object, or a string has an unpaired surrogate.
    ValueError, RecursionError
        It is not JSON, or is nested too deeply.
    """

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in pairs:
            if key in content:
                what = f"{_format_location((key,))} = {format_value(content[key])} and again {format_value(value)}"
                raise InputError(f"{path}: {what}: expected it once")
            content[key] = value
        return content

    content = json.loads(text, object_pairs_hook=refuse_repeats)
    if "\\ud" in text.lower():
        _refuse_unpaired_surrogates(content, path)
    return content


def _refuse_unpaired_surrogates(content: Any, path: Path, place: tuple[int | str, ...] = ()) -> None:
    parts: Iterable[tuple[int | str, Any]] = ()
    if isinstance(content, dict):
        parts = content.items()
        for key in content:
            if _has_surrogate(key):
                raise InputError(f"{path}: key {format_value(key)}: unpaired surrogate; expected text")
    elif isinstance(content, list):
        parts = enumerate(content)
    elif isinstance(content, str) and _has_surrogate(content):
        where = f"{_format_location(place)} = {format_value(content)}"
        raise InputError(f"{path}: {where}: unpaired surrogate; expected text")
    for name, part in parts:
        _refuse_unpaired_surrogates(part, path, (*place, name))


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _quote_line(text: str, message: str) -> str:
    """Return the line of a text that a message of tomllib points at, or nothing."""
    number = re.search(r"\(at line (\d+), column \d+\)$", message)
    line = text.split("\n")[int(number[1]) - 1].strip() if number else ""
    return f": {one_line(line[:_SHOWN])}" if line else ""


def validate(content: Any, shape: type[D], path: Path) -> D:
    """Return parsed content as `shape`; raise `InputError` for the first mistake."""
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {describe_first_mistake(error, shape)}") from None


def refuse_duplicates(ids: Iterable[tuple[str, SourceFile]], field: str) -> None:
    """Raise `InputError` if an id occurs twice in a catalog, or is not the name of its file."""
    first: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for entry_id, source in ids:
            with each():
                what = f"{source.path}: {field} = {format_value(entry_id)}"
                if entry_id in first:
                    raise InputError(f"{what}: also the id of {first[entry_id].path}")
                first[entry_id] = source
                if source.is_named_after_entry and entry_id != source.entry_id:
                    raise InputError(f"{what}: expected the file name {entry_id}{source.path.suffix}")


def refuse_bad_name(source: SourceFile) -> None:
    """Raise `InputError` if the name of a file, which becomes an id, is not a valid id."""
    refuse_bad_id(source.path, "file name", source.entry_id)


def refuse_bad_id(path: Path, field: str, value: object) -> None:
    """Raise `InputError` if the value of a field of a file is not a valid id."""
    if not isinstance(value, str) or not re.fullmatch(ID_PATTERN, value):
        raise InputError(f"{path}: {field} = {format_value(value)}: expected an id: {ID_IN_WORDS}")


def merge_lists(key: str, files: Sequence[tuple[Sequence[Document], SourceFile]]) -> pl.DataFrame:
    """Return one row per entry of several lists; if lists share a key, the last one wins.

    Raises
    ------
    InputError
        A key occurs twice in one list.
    """
    with collect_refusals() as each:
        for entries, source in files:
            with each():
                refuse_duplicates(((getattr(entry, key), source) for entry in entries), key)
    rows = [{**entry.model_dump(), "source_id": source.source_id} for entries, source in files for entry in entries]
    return pl.DataFrame(rows, infer_schema_length=None).unique(key, keep="last", maintain_order=True)


def list_origins(sources: Sequence[SourceFile], origin: str = "stated entry by entry") -> pl.DataFrame:
    """Return the frame `origin` of files that do not state their own."""
    return pl.DataFrame(
        [{"source_id": source.source_id, "origin": origin, "license": None} for source in sources], ORIGIN_SCHEMA
    )


def format_value(value: object) -> str:
    """Return a value as it can be quoted in a one-line message."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode()
    return one_line(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def describe_keys(keys: Iterable[str]) -> str:
    """Return the first of some keys, in order, as a message can quote it."""
    return _format_location((min(keys),))


def describe_first_mistake(
    error: ValidationError, shape: type[BaseModel], in_words: Mapping[str, str] = PATTERNS_IN_WORDS
) -> str:
    """Describe the first mistake; a misspelt field comes before the field that is missing because of it.

    Parameters
    ----------
    error
        The mistakes.
    shape
        What was validated.
    in_words
        Pattern of a field -> what it allows, in words.
    """
    mistakes = sorted(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")
    first = mistakes[0]
    field, place = _format_location(first["loc"]), first["loc"][:-1]
    if first["type"] == "missing":
        return f"{field}: missing; expected this field"
    if first["type"] == "extra_forbidden":
        missing = [str(m["loc"][-1]) for m in mistakes if m["type"] == "missing" and m["loc"][:-1] == place]
        known = missing or _list_fields(shape, place)
        return f"{field}: unknown field; expected {', '.join(known) or 'no such field'}"
    if isinstance(misfit := first.get("ctx", {}).get("error"), MisfitError):
        return f"{field}: {misfit}" if first["loc"] else str(misfit)
    if first["type"] == "model_type":
        return f"{field} = {format_value(first['input'])}: expected a table of fields"
    expected = in_words.get(first.get("ctx", {}).get("pattern", "")) or _word_expectation(first["msg"])
    return f"{field} = {format_value(first['input'])}: expected {expected}"


def _list_fields(shape: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the fields of a document, or of the part of it that stands at a place."""
    for part in place:
        if isinstance(part, str):
            field = shape.model_fields.get(part)
            inner = next(_find_shapes(field.annotation), None) if field else None
            if inner is None:
                return []
            shape = inner
    return list(shape.model_fields)


def _find_shapes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _find_shapes(argument)


def _word_expectation(message: str) -> str:
    for start, replacement in (("Value error, ", ""), ("Input should be ", ""), ("Input should ", "something to ")):
        if message.startswith(start):
            return replacement + message.removeprefix(start)
    return re.sub(r"^(\w+) should ", lambda match: f"a {match[1].lower()} to ", message)


def _format_location(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        name = str(part)
        plain = name if len(name) <= _SHOWN and name.isprintable() else format_value(name)
        text += f"[{part}]" if isinstance(part, int) else f".{plain}" if text else plain
    return text or "document"

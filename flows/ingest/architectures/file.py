"""Files of architectures: what each says, and which one a config belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any

from pydantic import Field

from flows.ingest.architectures.expression import Expression, ExpressionError
from flows.ingest.architectures.layer_kinds import FEED_FORWARDS, MIXERS, Kind, LayerFields, ModelFields
from flows.ingest.document import Document, Text, describe_keys, format_value, parse, validate
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, collect_refusals

_MAX_LIKES = 8  # files laid over each other
Given = Any  # an expression, a number, true or false: checked when it is parsed
Fields = Mapping[str, Expression]


class _Keys(Document):
    """How keys are found in one table of a config."""

    optional: list[Text] = Field(default_factory=list)
    defaults: dict[str, Any] = Field(default_factory=dict)
    aliases: dict[str, list[Text]] = Field(default_factory=dict)
    expect: dict[str, list[Any]] = Field(default_factory=dict)
    require: dict[str, Given] = Field(default_factory=dict)
    terms: dict[str, Given] = Field(default_factory=dict)


class _Tower(_Keys):
    name: Text
    section: str | list[Text]
    may_be_absent: bool = False
    when: Given = None
    parameters: Given


class _File(_Keys):
    classes: list[Text] = Field(default_factory=list)
    model_types: list[Text] = Field(default_factory=list)
    origin: Text
    like: Text | None = None
    section: str | list[Text] = Field(default_factory=list)
    text_model: str | list[Text] = Field(default_factory=list)
    text_model_type: Text | None = None
    section_defaults: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Given] = Field(default_factory=dict)
    mixer: dict[str, dict[str, Any]] = Field(default_factory=dict)
    feed_forward: dict[str, dict[str, Any]] = Field(default_factory=dict)
    mtp: dict[str, Given] = Field(default_factory=dict)
    tower: Annotated[list[_Tower], Field(max_length=8)] = Field(default_factory=list)


@dataclass(frozen=True)
class Keys:
    """How the keys of a table of a config are found: their other names, their defaults, and what they may be."""

    optional: frozenset[str]
    defaults: Mapping[str, Any]
    aliases: Mapping[str, Sequence[str]]
    expect: Mapping[str, Sequence[Any]]
    require: Fields
    terms: Fields


@dataclass(frozen=True)
class Layer:
    """A mixer or a feed-forward: the expressions of each of its kinds, and its own."""

    kinds: Mapping[str, Fields]
    fields: Fields


@dataclass(frozen=True)
class Tower:
    """An encoder beside the text model, whose weights are counted."""

    name: str
    sections: Sequence[str]
    is_optional: bool
    keys: Keys
    when: Expression | None
    parameters: Expression


@dataclass(frozen=True)
class Architecture:
    """How the configs of some classes are read."""

    source: SourceFile
    like: str | None
    classes: Sequence[str]
    model_types: Sequence[str]
    sections: Sequence[str]
    text_models: Sequence[str]
    text_model_type: str | None
    section_defaults: Mapping[str, Any]
    keys: Keys
    model: Fields
    mixers: Mapping[str, Layer]
    feed_forwards: Mapping[str, Layer]
    mtp: Fields
    towers: Sequence[Tower]

    def of_section(self) -> "Architecture":
        """Return how a section of a config is read, from which its class leaves out what equals its default."""
        return replace(self, keys=replace(self.keys, defaults={**self.section_defaults, **self.keys.defaults}))


@lru_cache(maxsize=8)
def read_architectures(sources: tuple[SourceFile, ...]) -> list[Architecture]:
    """Return what the files say.

    Raises
    ------
    InputError
        Files are broken, or describe a class that another describes: one line per file.
    """
    contents: dict[str, tuple[Mapping[str, Any], SourceFile]] = {}
    architectures: list[Architecture] = []
    with collect_refusals() as each:
        for source in sources:
            with each():
                content = parse(source)
                validate(content, _File, source.path)
                contents[source.entry_id] = (content, source)
        for content, source in contents.values():
            with each():
                architectures.append(_build(_lay_over(content, source, contents), source))
        with each():
            _refuse_repeats(architectures)
    return architectures


def _lay_over(
    content: Mapping[str, Any], source: SourceFile, contents: Mapping[str, tuple[Mapping[str, Any], SourceFile]]
) -> _File:
    """Return a file with what it does not say itself taken from the file that it is like."""
    merged = dict(content)
    like = content.get("like")
    for _ in range(_MAX_LIKES):
        if like is None:
            return validate(merged, _File, source.path)
        if like not in contents:
            raise InputError(f"{source.path}: like = {format_value(like)}: expected the name of another architecture")
        under = contents[like][0]
        own = {"classes", "model_types", "origin", "like", "section_defaults"}
        merged = _merge({key: value for key, value in under.items() if key not in own}, merged)
        like = under.get("like")
    raise InputError(f"{source.path}: like = {format_value(content['like'])}: expected files that end somewhere")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one, table by table; lists of optional keys are joined."""
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value)
        elif key == "optional" and isinstance(below, list) and isinstance(value, list):
            merged[key] = [*below, *value]
        else:
            merged[key] = value
    return merged


def _build(file: _File, source: SourceFile) -> Architecture:
    def build(where: str, table: Mapping[str, Given], known: Sequence[str]) -> dict[str, Expression]:
        return {name: _express(f"{where}.{name}", name, value, known, source) for name, value in table.items()}

    def build_layers(where: str, tables: Mapping[str, Any], kinds: Mapping[str, type[Kind]]) -> dict[str, Layer]:
        layers = {}
        for word, table in tables.items():
            inner = {name: value for name, value in table.items() if isinstance(value, dict)}
            own = {name: value for name, value in table.items() if not isinstance(value, dict)}
            if unknown := set(inner).difference(kinds):
                what = f"{where}.{word}.{describe_keys(unknown)}: unknown kind"
                raise InputError(f"{source.path}: {what}; expected one of {', '.join(kinds)}")
            parts = {
                name: build(f"{where}.{word}.{name}", value, list(kinds[name].model_fields))
                for name, value in inner.items()
            }
            layers[word] = Layer(parts, build(f"{where}.{word}", own, list(LayerFields.model_fields)))
        return layers

    def build_keys(where: str, keys: _Keys) -> Keys:
        terms = build(f"{where}terms", keys.terms, list(keys.terms))
        require = build(f"{where}require", keys.require, list(keys.require))
        return Keys(frozenset(keys.optional), keys.defaults, keys.aliases, keys.expect, require, terms)

    def build_tower(tower: _Tower) -> Tower:
        where = f"tower.{tower.name}"
        given = {"parameters": tower.parameters, **({} if tower.when is None else {"when": tower.when})}
        of = build(where, given, ["parameters", "when"])
        keys = build_keys(f"{where}.", tower)
        return Tower(tower.name, _as_list(tower.section), tower.may_be_absent, keys, of.get("when"), of["parameters"])

    return Architecture(
        source,
        file.like,
        file.classes,
        file.model_types,
        _as_list(file.section),
        _as_list(file.text_model),
        file.text_model_type,
        file.section_defaults,
        build_keys("", file),
        build("model", file.model, [*ModelFields.model_fields, "mixer", "feed_forward"]),
        build_layers("mixer", file.mixer, MIXERS),
        build_layers("feed_forward", file.feed_forward, FEED_FORWARDS),
        build("mtp", file.mtp, ["layers", "mixer", "feed_forward", "other_parameters"]),
        [build_tower(tower) for tower in file.tower],
    )


def _as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _express(where: str, name: str, value: object, known: Sequence[str], source: SourceFile) -> Expression:
    """Return the expression of a field; a number or a boolean stands for itself."""
    if name not in known:
        raise InputError(f"{source.path}: {where}: unknown field; expected {', '.join(known)}")
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
        raise InputError(f"{source.path}: {where} = {format_value(value)}: expected an expression or a number")
    try:
        return Expression(value if isinstance(value, str) else repr(value), f"{where} of {source.path.name}")
    except ExpressionError as error:
        raise InputError(f"{source.path}: {where} = {format_value(value)}: expected {error}") from None


def _refuse_repeats(architectures: Sequence[Architecture]) -> None:
    """Refuse a model type that two files describe, or a class if they have no model types to tell them apart."""
    first: dict[tuple[str, str], Architecture] = {}
    with collect_refusals() as each:
        for architecture in architectures:
            for field, word in _names(architecture):
                with each():
                    if (field, word) in first:
                        other = first[field, word].source.path
                        what = f"{architecture.source.path}: {field}: {format_value(word)}"
                        raise InputError(f"{what}: also in {other}")
                    first[field, word] = architecture


def _names(architecture: Architecture) -> Iterator[tuple[str, str]]:
    for word in () if architecture.model_types else architecture.classes:
        yield "classes", word
    for word in architecture.model_types:
        yield "model_types", word

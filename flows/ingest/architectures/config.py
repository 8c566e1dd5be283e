"""The keys of a config, as the expressions of an architecture find them."""

import re
from collections.abc import Mapping
from typing import Any

from flows.ingest.architectures.expression import ConfigError
from flows.ingest.architectures.file import Keys
from flows.ingest.document import format_value

_MISSING = object()


class ConfigScope:
    """What names in expressions stand for, in one table of one config.

    A name is a variable, a term of the architecture, or a key of the config; a key that is left out has the default
    of its class, or is null if the class takes it so.
    """

    def __init__(self, table: Mapping[str, Any], keys: Keys, variables: Mapping[str, Any]) -> None:
        self._table, self._keys = table, keys
        self._variables = dict(variables)
        self._found: dict[str, Any] = {}  # keys and terms that are the same in every layer
        self._found_in_layer: dict[str, Any] = {}  # terms that are not; terms of terms could double without end
        self._open: set[str] = set()  # terms that are being evaluated

    def refuse_misfits(self) -> None:
        """Raise `ConfigError` if a key has a value that the class does not take, or that does not fit others."""
        for key in self._keys.defaults:
            self._find_key(key)
        for key in self._keys.expect:
            self._refuse_unexpected(key)
        for key, condition in self._keys.require.items():
            if not condition.evaluate(self):
                value = self._find_key(key)
                shown = f"{key}: missing" if value is _MISSING else f"{key} = {format_value(value)}"
                raise ConfigError(f"{shown}: expected {condition.text}")

    def explain(self, message: str) -> str:
        """Return a message with the keys, under the config's own names, that the terms it is about follow from."""
        words = set(re.findall(r"[^\W\d]\w*", message.partition(":")[0]))
        names = {key: (key, *self._keys.aliases.get(key, ())) for key in self._find_keys(words)}
        given = [next((each for each in names[key] if _walk(self._table, each) is not _MISSING), key) for key in names]
        unsaid = [name for name in given if name not in message]
        return f"{message}; it follows from {', '.join(sorted(unsaid))}" if unsaid else message

    def set_variable(self, name: str, value: Any) -> None:
        """Give a variable its value: the number of layers, the layer at hand, the fields of the model."""
        self._variables[name] = value
        self._found_in_layer.clear()
        if name != "layer":
            self._found.clear()

    def is_own(self, name: str) -> bool:
        """Return whether a name is a term or a variable, and not a key of the config."""
        return name in self._variables or name in self._keys.terms

    def find(self, name: str) -> Any:
        """Return the value of a term, a variable or a key, which may have dots.

        Raises
        ------
        ConfigError
            The config lacks the key, and its class has no default; or gives it twice.
        """
        if name in self._variables:
            return self._variables[name]
        for found in (self._found, self._found_in_layer):
            if name in found:
                return found[name]
        if name in self._keys.terms:
            return self._find_term(name)
        value = self._find_key(name)
        if value is _MISSING:
            raise ConfigError(f"{name}: missing; expected this field")
        self._found[name] = value
        return value

    def has(self, name: str) -> bool:
        """Return whether a key is given, or has a default, and is not null."""
        return self._find_key(name) not in (_MISSING, None)

    def depends_on_layer(self, names: frozenset[str]) -> bool:
        """Return whether an expression with these names can differ from layer to layer."""
        return self._depends(names, set())

    def _depends(self, names: frozenset[str], seen: set[str]) -> bool:
        for name in names:
            first = name.split(".")[0]
            if first == "layer":
                return True
            if first in self._keys.terms and first not in seen:
                seen.add(first)
                if self._depends(self._keys.terms[first].names, seen):
                    return True
        return False

    def _find_keys(self, words: set[str]) -> set[str]:
        """Return the keys among some names, and those that the terms among them follow from."""
        seen: set[str] = set()
        names = {word for word in words if word in self._keys.terms or word in self._keys.aliases}
        while names - seen:
            name = (names - seen).pop()
            seen.add(name)
            if name in self._keys.terms:
                names |= self._keys.terms[name].names
        return {name for name in seen if name not in self._keys.terms and name not in self._variables}

    def _find_term(self, name: str) -> Any:
        if name in self._open:
            raise ConfigError(f"{name}: expected a term that does not need itself")
        self._open.add(name)
        try:
            value = self._keys.terms[name].evaluate(self)
        finally:
            self._open.discard(name)
        is_for_layer = self.depends_on_layer(self._keys.terms[name].names)
        (self._found_in_layer if is_for_layer else self._found)[name] = value
        return value

    def _find_key(self, key: str) -> Any:
        """Return the value of a key under any of its names; _MISSING if it has none."""
        given = {name: _walk(self._table, name) for name in (key, *self._keys.aliases.get(key, ()))}
        given = {name: value for name, value in given.items() if value is not _MISSING}
        if key in self._keys.defaults and key not in self._keys.optional:
            _refuse_other_types(given, self._keys.defaults[key])
        stated = {name: value for name, value in given.items() if value is not None}
        if stated:
            (first, value), *others = stated.items()
            for name, other in others:
                if other != value:
                    what = f"{first} = {format_value(value)} and {name} = {format_value(other)}"
                    raise ConfigError(f"{what}: expected the same, or one of them")
            return value
        if given:
            return None
        return self._keys.defaults.get(key, None if key in self._keys.optional else _MISSING)

    def _refuse_unexpected(self, key: str) -> None:
        value, known = self._find_key(key), self._keys.expect[key]
        if value not in (_MISSING, None) and not any(value == each and type(value) is type(each) for each in known):
            names = (key, *self._keys.aliases.get(key, ()))
            name = next(name for name in (*names, key) if _walk(self._table, name) in (value,) or name == key)
            words = ", ".join(map(format_value, known)) or "no such field"
            words = f"one of {words}" if len(known) > 1 else words
            raise ConfigError(f"{name} = {format_value(value)}: expected {words}")


def _refuse_other_types(given: Mapping[str, Any], default: Any) -> None:
    """Raise `ConfigError` if a key is null, or not of the type of its default, although the class needs it so."""
    expected: tuple[tuple[type, ...], str]
    match default:
        case bool():
            expected = (bool,), "true or false"
        case int() | float():
            expected = (int, float, list), "a number"
        case str():
            expected = (str, int, float), "a word"
        case list():
            expected = (list, int, float, str), "a list"
        case _:
            expected = (dict,), "a table"
    for name, value in given.items():
        if not isinstance(value, expected[0]) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ConfigError(f"{name} = {format_value(value)}: expected {expected[1]}")


def _walk(table: Any, dotted: str) -> Any:
    """Return the value at a dotted name; _MISSING if there is none."""
    for name in dotted.split("."):
        if not isinstance(table, Mapping) or name not in table:
            return _MISSING
        table = table[name]
    return table

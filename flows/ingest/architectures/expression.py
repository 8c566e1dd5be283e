"""Expressions of architecture files: a small part of Python, which can only read a config and calculate."""

import ast
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from flows.ingest.document import format_value

_MAX_LETTERS = 1000
_MAX_NUMBER = 2**62


class Scope(Protocol):
    """What names in an expression stand for."""

    def is_own(self, name: str) -> bool:
        """Return whether a name is a term or a variable, and not a key of the config."""
        ...

    def find(self, name: str) -> Any:
        """Return the value of a term, a variable or a key, which may have dots."""
        ...

    def has(self, name: str) -> bool:
        """Return whether a key is given and is not null."""
        ...


class ExpressionError(ValueError):
    """The text is no expression: a fault of an architecture file."""


class ConfigError(ValueError):
    """A config has a value that an expression cannot use, or lacks one."""


class Expression:
    """A parsed expression, which is evaluated once for each config, or once for each of its layers."""

    def __init__(self, text: str, place: str = "") -> None:
        if len(text) > _MAX_LETTERS:
            raise ExpressionError(f"an expression of at most {_MAX_LETTERS} letters")
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
            self.names = frozenset(self._check(self._root))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = str(error) if isinstance(error, ExpressionError) else "an expression, e.g. hidden_size // 2"
            raise ExpressionError(reason) from None
        self.text, self.place = text, place  # what messages name: the expression, or where it stands

    @cached_property
    def key(self) -> str | None:
        """The key that the expression is, if it is nothing else."""
        return _dotted(self._root)

    def evaluate(self, scope: Scope) -> Any:
        """Return the value.

        Raises
        ------
        ConfigError
            A key is missing, or a value is not what its place needs.
        """
        try:
            return _evaluate(self._root, scope)
        except RecursionError:
            raise ConfigError(f"{self.text}: expected an expression that does not need itself") from None

    def find_key(self, scope: Scope) -> str | None:
        """Return the key whose value the expression has, if it only chooses one."""
        node = self._root
        while _dotted(node) is None:
            choices = _CHOICES.get(type(node), lambda *_: ())(node, scope)
            chosen = next(iter(choices), None)
            if chosen is None:
                return None
            node = chosen
        return _dotted(node)

    def _check(self, node: ast.AST) -> set[str]:
        """Return the names in the expression, keys with their dots; raise if any part of it is not known."""
        if (name := _dotted(node)) is not None:
            return {name}
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and node.func.id in (*_FUNCTIONS, *_SPECIAL) and not node.keywords
            if not known:
                raise ExpressionError(f"one of the functions {', '.join((*_FUNCTIONS, *_SPECIAL))}")
            if not node.args:
                raise ExpressionError("arguments for each function")
            parts: list[ast.AST] = list(node.args)
            if isinstance(node.func, ast.Name) and node.func.id == "each":
                parts.append(ast.Name("layer"))
        elif isinstance(node, ast.Constant):
            _refuse_constant(node.value)
            return set()
        elif isinstance(node, _KNOWN):
            parts = list(ast.iter_child_nodes(node))
        else:
            raise ExpressionError(f"an expression without {type(node).__name__}")
        return {name for part in parts for name in self._check(part)}


_BINARY: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
_EQUAL: Mapping[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}
_ORDER: Mapping[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
_KNOWN = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Attribute, ast.List,
    ast.Tuple, ast.Load, ast.And, ast.Or, ast.Not, ast.USub, ast.In, ast.NotIn, *_BINARY, *_EQUAL, *_ORDER,
)  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "len": len,
    "ceil": math.ceil,
    "round": round,
    "int": int,
    "count": lambda values, word: list(values).count(word),
}
_SPECIAL = ("first", "has", "each")


def _refuse_constant(value: object) -> None:
    """Raise `ExpressionError` unless a constant is a word, a plausible number, true, false or null."""
    if not isinstance(value, str | int | float | None):
        raise ExpressionError("numbers, words, True, False or None")
    if isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
        raise ExpressionError(f"numbers of at most {_MAX_NUMBER}")


def _dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` of names that are joined by dots; None for any other node."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (of := _dotted(node.value)) is not None:
        return f"{of}.{node.attr}"
    return None


def _evaluate(node: ast.AST, scope: Scope) -> Any:
    if (name := _dotted(node)) is not None:
        return _find(name, scope)
    return _EVALUATORS[type(node)](node, scope)


def _find(name: str, scope: Scope) -> Any:
    first, *rest = name.split(".")
    if not scope.is_own(first):
        return scope.find(name)
    value = scope.find(first)
    for field in rest:
        value = _field_of(value, field, first)
    return value


def _field_of(value: Any, field: str, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} = {format_value(value)}: expected a table with {field}")
    if field not in value:
        raise ConfigError(f"{name}.{field}: missing; expected this field")
    return value[field]


def _number(node: ast.AST, scope: Scope) -> Any:
    value = _evaluate(node, scope)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{ast.unparse(node)} = {format_value(value)}: expected a number")
    if not abs(value) <= _MAX_NUMBER:
        raise ConfigError(f"{ast.unparse(node)} = {format_value(value)}: expected a plausible number")
    return value


def _calculate(node: ast.BinOp, scope: Scope) -> Any:
    left, right = _number(node.left, scope), _number(node.right, scope)
    if right == 0 and isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod):
        raise ConfigError(f"{ast.unparse(node.right)} = 0: expected a number that can divide")
    return _BINARY[type(node.op)](left, right)


def _combine(node: ast.BoolOp, scope: Scope) -> Any:
    value = None
    for part in node.values:
        value = _evaluate(part, scope)
        if bool(value) is isinstance(node.op, ast.Or):
            return value
    return value


def _compare(node: ast.Compare, scope: Scope) -> bool:
    left = node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, ast.In | ast.NotIn):
            many = _evaluate(right, scope)
            if not isinstance(many, list | tuple | str | Mapping):
                raise ConfigError(f"{ast.unparse(right)} = {format_value(many)}: expected a list")
            holds = (_evaluate(left, scope) in many) is isinstance(operator, ast.In)
        elif type(operator) in _EQUAL:
            holds = _EQUAL[type(operator)](_evaluate(left, scope), _evaluate(right, scope))
        else:
            holds = _ORDER[type(operator)](_number(left, scope), _number(right, scope))
        if not holds:
            return False
        left = right
    return True


def _pick(node: ast.Subscript, scope: Scope) -> Any:
    name, many = ast.unparse(node.value), _evaluate(node.value, scope)
    index = _evaluate(node.slice, scope)
    if isinstance(many, Mapping) and isinstance(index, int):  # a table of some layers by their numbers
        return next((value for name, value in many.items() if name.isdecimal() and int(name) == index), None)
    if isinstance(many, Mapping):
        return _field_of(many, str(index), name)
    if not isinstance(many, list | tuple | str):
        raise ConfigError(f"{name} = {format_value(many)}: expected a list")
    if not isinstance(index, int):
        raise ConfigError(f"{ast.unparse(node.slice)} = {format_value(index)}: expected a place in {name}")
    if _dotted(node.slice) == "layer" and len(many) != scope.find("layers"):
        raise ConfigError(f"{name}: {len(many)} entries: expected one for each of {scope.find('layers')} layers")
    if not -len(many) <= index < len(many):
        raise ConfigError(f"{name}: {len(many)} entries: expected more than {index}")
    return many[index]


def _call(node: ast.Call, scope: Scope) -> Any:
    function = node.func.id if isinstance(node.func, ast.Name) else ""
    if function == "has":
        return all(scope.has(_dotted(part) or "") for part in node.args)
    if function == "first":
        values = (_evaluate(part, scope) for part in node.args)
        return next((value for value in values if value is not None), None)
    if function == "each":
        many = _evaluate(node.args[0], scope)
        is_list = isinstance(many, list | tuple)
        return _pick(ast.Subscript(node.args[0], ast.Name("layer")), scope) if is_list else many
    try:
        return _FUNCTIONS[function](*(_evaluate(part, scope) for part in node.args))
    except (TypeError, ValueError, OverflowError):
        shown = ", ".join(f"{ast.unparse(part)} = {format_value(_evaluate(part, scope))}" for part in node.args)
        raise ConfigError(f"{shown}: expected what {function} takes") from None


def _turn(node: ast.UnaryOp, scope: Scope) -> Any:
    return not _evaluate(node.operand, scope) if isinstance(node.op, ast.Not) else -_number(node.operand, scope)


def _list(node: ast.List | ast.Tuple, scope: Scope) -> list[Any]:
    parts = [_evaluate(part, scope) for part in node.elts]
    if any(isinstance(part, list | Mapping) for part in parts):  # terms could double them without end
        raise ConfigError(f"{ast.unparse(node)}: expected a list of numbers or words")
    return parts


_EVALUATORS: Mapping[type[ast.AST], Callable[[Any, Scope], Any]] = {
    ast.Constant: lambda node, _: node.value,
    ast.BinOp: _calculate,
    ast.UnaryOp: _turn,
    ast.BoolOp: _combine,
    ast.Compare: _compare,
    ast.IfExp: lambda node, scope: _evaluate(node.body if _evaluate(node.test, scope) else node.orelse, scope),
    ast.List: _list,
    ast.Tuple: _list,
    ast.Subscript: _pick,
    ast.Attribute: lambda node, scope: _field_of(_evaluate(node.value, scope), node.attr, ast.unparse(node.value)),
    ast.Call: _call,
}


def _choose_argument(node: ast.Call, scope: Scope) -> list[ast.expr]:
    function = node.func.id if isinstance(node.func, ast.Name) else ""
    if function == "each":
        return node.args
    return [part for part in node.args if _evaluate(part, scope) is not None] if function == "first" else []


# node -> the part of it that is its value, if it is one of its parts
_CHOICES: Mapping[type[ast.AST], Callable[[Any, Scope], list[ast.expr]]] = {
    ast.Call: _choose_argument,
    ast.IfExp: lambda node, scope: [node.body if _evaluate(node.test, scope) else node.orelse],
}

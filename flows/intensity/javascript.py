"""The cost model as JavaScript, for pages that compute steps in the browser.

Formulas have one home, the expressions of this room: what a page computes with is translated from these. A null is NaN
there, which no sum or product hides, and which is not equal to itself.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from flows.intensity import conventions
from flows.intensity.conventions import CONVENTIONS, MASKED, MIXED, Op
from flows.intensity.costs import COUNTS, KINDS, QUANTITIES, cost
from flows.intensity.precisions import BITS, CHOSEN
from flows.intensity.shapes import BATCH_SHARE, MICRO_BATCHES
from flows.intensity.terms import BYTES, PARTS, PHASES, SHARING

Node = dict[str, Any]

# How tightly JavaScript's operators bind.
_TERNARY, _OR, _AND, _EQUAL, _COMPARE, _ADD, _MULTIPLY, _NOT, _CALL = range(9)
_INFIX = {
    "Or": ("||", _OR), "And": ("&&", _AND), "Eq": ("===", _EQUAL), "NotEq": ("!==", _EQUAL), "Gt": (">", _COMPARE),
    "GtEq": (">=", _COMPARE), "Lt": ("<", _COMPARE), "LtEq": ("<=", _COMPARE), "Plus": ("+", _ADD),
    "Minus": ("-", _ADD), "Multiply": ("*", _MULTIPLY), "TrueDivide": ("/", _MULTIPLY), "Modulus": ("%", _MULTIPLY),
}  # fmt: skip
_CALLS = {"MaxHorizontal": "most", "MinHorizontal": "least", "FillNull": "known", "Coalesce": "known"}
_FRACTIONS = ("expert_load",)  # columns that are no integers
_ABSENT: dict[str, object] = {
    **dict.fromkeys(("sequences", "m", "k", "n", "heads", "kv_heads", "head_dim", "value_dim", "kv_dim"), None),
    **dict.fromkeys(("attended_tokens", "cached_tokens", "experts", "row_share", "state_elements", "state_bits"), None),
    "chunk_size": None, "matrices": 1, "has_bias": False, "level": "dram",
}  # fmt: skip
_ALIKE = ("repeat", "idle_repeat")  # dimensions whose formulas most ops share
_HELD = (
    "KV_ELEMENTS", "INDEXER_ELEMENTS", "COMPRESSED_ELEMENTS", "COMPRESSED_INDEXER_ELEMENTS", "STATE_ELEMENTS",
    "RECENT_ELEMENTS", "ONE_EMBEDDING", "IN_STAGE", "STAGE_LAYERS",
)  # fmt: skip
_HEAD = """\
"use strict";

// The formulas of flows/intensity, written by flows/intensity/javascript.py: python -m tests.write_formulas.
// `l` is a kind of layer with what its model has once and the setting; an absent value is NaN.
const formulas = (() => {
  const known = (value, other) => (value === value ? value : other);
  const least = (one, other) => (other < one || one !== one ? other : one);
  const most = (one, other) => (other > one || one !== one ? other : one);
"""


def write_javascript() -> str:
    """Return a script that defines `formulas`: terms, ops, conventions, costs, bits, and the lists that they need.

    Raises
    ------
    NotImplementedError
        An expression has a function or an operator that has no translation yet; it is named.
    """
    script = _Script()
    written = {name: [_write_object(script.write_op(op)) for op in ops] for name, ops in CONVENTIONS.items()}
    place = {op: number for number, op in enumerate(dict.fromkeys(op for ops in written.values() for op in ops))}
    places = {name: [place[op] for op in ops] for name, ops in written.items()}
    held = [script.write_held(op) for op in CONVENTIONS["engine"]]  # which has every weight
    costs = {kind: script.write_cost(kind) for kind in KINDS}
    bits = {name: script.write(_read(chosen)) for name, chosen in CHOSEN.items()}
    setting = {"batch_share": BATCH_SHARE, "micro_batches": MICRO_BATCHES}
    of_setting = {name: script.write(_read(expression)) for name, expression in setting.items()}
    for name in _HELD:
        script.use(name)
    terms = list(script.write_terms())
    lists = {
        "conventions": places, "phases": PHASES, "parts": PARTS, "sharing": SHARING, "masked": MASKED, "mixed": MIXED,
        "bits_of": {name: int(8 * size) for name, size in BYTES.items()}, "dimensions": _ABSENT,
        "columns": sorted(script.columns),
    }  # fmt: skip
    lines = [
        _HEAD,
        "  class Layer {",
        *terms,
        "  }",
        "",
        "  return {",
        "    Layer,",
        *(f"    {name}: {json.dumps(value)}," for name, value in lists.items()),
        "    ops: [",
        *(f"      {op}," for op in place),
        "    ],",
        "    // of the ops of engine, in their order: weights that a device holds",
        "    held: [",
        *(f"      {_write_object(of_op)}," for of_op in held),
        "    ],",
        "    costs: {",
        *(f"      {json.dumps(kind)}: {_write_object(_as_functions(parts))}," for kind, parts in costs.items()),
        "    },",
        f"    chosen: {_write_object(_as_functions(bits))},",
        f"    of_setting: {_write_object(_as_functions(of_setting))},",
        "  };",
        "})();",
    ]
    return "\n".join(lines) + "\n"


class _Script:
    """Expressions as JavaScript, with the names that they use."""

    def __init__(self) -> None:
        self.columns: set[str] = set()
        self._named = {_key(node): name for name, node in _list_terms()}
        for key, name in _list_alike():
            self._named.setdefault(key, name)
        self._terms = {name: json.loads(key) for key, name in self._named.items()}
        self._used: list[str] = []

    def write_op(self, op: Op) -> dict[str, object]:
        """Return what sets an op apart, each part as a constant or as a text that begins with `=`."""
        found: dict[str, object] = {"op": op.name, "op_group": op.op_group, "part": op.part}
        found |= {"once": True} if op.once else {}
        found |= {"apart": True} if op.runs_apart else {}
        for name, condition in (("of", op.of), ("when", op.when)):
            if (text := self.write(_read(condition))) != "true":
                found[name] = f"={text}"
        for name, dimension in op.dimensions.items():
            value = self._value(_read(dimension))
            if name not in ("op_group", "part") and (name not in _ABSENT or value != _ABSENT[name]):
                found[name] = value
        return {**found, "apart_by": " ".join(op.columns)}

    def write_held(self, op: Op) -> dict[str, object]:
        """Return the weights of an op that a device holds, those of them in matrices, and the rows of these."""
        held = {"held": op.held(), "in_matrices": op.held_in_matrices(), "rows": op.held_rows()}
        return {name: value for name, of in held.items() if (value := self._value(_read(of))) != 0}

    def write_cost(self, kind: str) -> dict[str, str]:
        """Return the parts of the cost of a kind of op."""
        parts = cost(kind, {name: pl.col(name) for name in (*QUANTITIES, *BITS, *COUNTS)})._asdict()
        expressions = {name: part if isinstance(part, pl.Expr) else pl.lit(part) for name, part in parts.items()}
        return {name: self.write(_read(expression)) for name, expression in expressions.items()}

    def use(self, name: str) -> None:
        """Note that a term is used."""
        if name not in self._used:
            self._used.append(name)

    def write_terms(self) -> Iterator[str]:
        """Yield a getter for each term that is used, and for those that it uses."""
        for name in self._used:  # grows
            own = re.sub(r"\bl\.", "this.", self._write_own(self._terms[name])[0])
            yield f"    get {name}() {{ return {own}; }}"

    def write(self, node: Node) -> str:
        """Return an expression as JavaScript."""
        return self._write(node)[0]

    def _value(self, node: Node) -> object:
        """Return a constant as it is, and else the expression after `=`."""
        literal = _literal(node)
        return literal[0] if literal else f"={self.write(node)}"

    def _write(self, node: Node) -> tuple[str, int]:
        name = self._named.get(_key(node))
        if name is None:
            return self._write_own(node)
        self.use(name)
        return f"l.{name}", _CALL

    def _write_own(self, node: Node) -> tuple[str, int]:
        if literal := _literal(node):
            return ("NaN" if literal[0] is None else _write_constant(literal[0])), _CALL
        ((kind, of),) = node.items()
        writers: dict[str, Callable[[Any], tuple[str, int]]] = {
            "Column": self._write_column, "Ternary": self._write_ternary, "Cast": self._write_cast,
            "BinaryExpr": self._write_binary, "Function": self._write_call,
        }  # fmt: skip
        if kind not in writers:
            raise NotImplementedError(f"{kind} has no translation to JavaScript")
        return writers[kind](of)

    def _write_column(self, name: str) -> tuple[str, int]:
        self.columns.add(name)
        return f"l.{name}", _CALL

    def _write_ternary(self, of: Node) -> tuple[str, int]:
        if literal := _literal(of["predicate"]):
            return self._write(of["truthy" if literal[0] else "falsy"])
        predicate, truthy, falsy = (self._write(of[name]) for name in ("predicate", "truthy", "falsy"))
        return f"{_wrap(predicate, _OR)} ? {_wrap(truthy, _OR)} : {falsy[0]}", _TERNARY

    def _write_cast(self, of: Node) -> tuple[str, int]:
        inner = self._write(of["expr"])
        is_kept = of["dtype"] == {"Literal": "Float64"} or _is_whole(of["expr"])
        return inner if is_kept else (f"Math.trunc({inner[0]})", _CALL)

    def _write_binary(self, of: Node) -> tuple[str, int]:
        operator, left, right = of["op"], self._write(of["left"]), self._write(of["right"])
        if operator == "FloorDivide":
            return f"Math.floor({_wrap(left, _MULTIPLY)} / {_wrap(right, _NOT)})", _CALL
        if operator not in _INFIX:
            raise NotImplementedError(f"operator {operator} has no translation to JavaScript")
        if operator == "Multiply" and "1" in (left[0], right[0]):
            return right if left[0] == "1" else left
        sign, binds = _INFIX[operator]
        return f"{_wrap(left, binds)} {sign} {_wrap(right, binds + 1)}", binds

    def _write_call(self, of: Node) -> tuple[str, int]:
        function, inputs = of["function"], [self._write(each) for each in of["input"]]
        first = _wrap(inputs[0], _CALL)
        match function:
            case {"Boolean": "Not"}:
                return f"!{_wrap(inputs[0], _NOT)}", _NOT
            case {"Boolean": "IsNotNull"}:
                return f"{first} === {first}", _EQUAL
            case {"Boolean": "IsNull"}:
                return f"{first} !== {first}", _EQUAL
            case {"Pow": _}:
                return f"Math.pow({inputs[0][0]}, {inputs[1][0]})", _CALL
            case "Ceil":
                return f"Math.ceil({inputs[0][0]})", _CALL
            case str() if function in _CALLS:
                return _nest(_CALLS[function], [text for text, _ in inputs]), _CALL
        raise NotImplementedError(f"function {function} has no translation to JavaScript")


def _nest(function: str, inputs: list[str]) -> str:
    """Return calls of a function of two for any number of inputs."""
    first, *others = inputs
    return f"{function}({first}, {_nest(function, others)})" if others else first


def _list_terms() -> Iterator[tuple[str, Node]]:
    """Yield the named expressions of the conventions that are no mere columns or constants."""
    for name, value in vars(conventions).items():
        if isinstance(value, pl.Expr) and not (node := _read(value)).keys() & {"Column", "Literal"}:
            yield name.strip("_"), node


def _list_alike() -> Iterator[tuple[str, str]]:
    """Yield the formulas of dimensions that ops share, each with a name of its own."""
    ops = [op for of_convention in CONVENTIONS.values() for op in of_convention]
    for name in _ALIKE:
        counts = Counter(_key(_read(op.dimensions[name])["Cast"]["expr"]) for op in ops)
        frequent = (key for key, count in counts.items() if count > 1)
        yield from ((key, f"{name.upper()}_{number}") for number, key in enumerate(frequent, 1))


def _read(expression: pl.Expr) -> Node:
    node: Node = json.loads(expression.meta.serialize(format="json"))
    return node


def _key(node: Node) -> str:
    return json.dumps(node, sort_keys=True)


def _literal(node: Node) -> tuple[object] | None:
    """Return the value of a constant, alone in a tuple, as it may be None."""
    while "Cast" in node:
        node = node["Cast"]["expr"]
    match node:
        case {"Literal": {"Dyn": {"Int": int(value)}} | {"Dyn": {"Float": float(value)}}}:
            return (value,)
        case {"Literal": {"Scalar": {"Null": _}}}:
            return (None,)
        case {"Literal": {"Scalar": scalar}} if isinstance(scalar, dict):
            (value,) = scalar.values()
            if isinstance(value, bool | int | float | str):
                return (value,)
    return None


def _is_whole(node: Node) -> bool:
    """Return whether a number is an integer for sure."""
    if literal := _literal(node):
        return not isinstance(literal[0], float)
    ((kind, of),) = node.items()
    match kind:
        case "Column":
            return of not in _FRACTIONS
        case "Ternary":
            return _is_whole(of["truthy"]) and _is_whole(of["falsy"])
        case "BinaryExpr":
            return of["op"] != "TrueDivide" and _is_whole(of["left"]) and _is_whole(of["right"])
        case "Function":
            function = of["function"]
            keeps = isinstance(function, str) and function in _CALLS
            return function == "Ceil" or (keeps and all(_is_whole(each) for each in of["input"]))
    return False


def _wrap(written: tuple[str, int], binds: int) -> str:
    text, own = written
    return text if own >= binds else f"({text})"


def _as_functions(texts: Mapping[str, str]) -> dict[str, object]:
    return {name: 0 if text == "0" else f"={text}" for name, text in texts.items()}


def _write_constant(value: object) -> str:
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def _write_object(parts: Mapping[str, object]) -> str:
    """Return an object whose expressions are functions of `l`."""
    written = (
        f"{name}: (l) => {value[1:]}"
        if isinstance(value, str) and value.startswith("=")
        else f"{name}: {_write_constant(value)}"
        for name, value in parts.items()
    )
    return f"{{ {', '.join(written)} }}"

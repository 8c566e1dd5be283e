"""Which precision the weights of a model are published in, by what its config says about them.

How a config spells a precision is data: `published_as` of a precision is a set of conditions, or a list of sets. A
condition is a key of the config's `quantization_config`, which may have dots, and its value, or a list of values that
will do; "none" is what is left out, null or empty. `*` is every key of a table; `weights` and `input_activations` are
those of every group, if there are groups. Some keys are no keys of the table: `dtype` is that of a config without any
quantization, `expert_dtype` stands beside the table, `kv_bits` are the bits of the KV cache, `kept` or `quantized` are
the parts of the model that keep their 16 bits, or do not, and `layers.PART` is the algorithm of a part where
`quantized_layers` gives one to each module. A part that is covered in part is named so, and fits no condition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.ingest.architectures.expression import ConfigError
from flows.ingest.document import format_value
from flows.ingest.quantized_parts import Cover, Parts, list_algorithms, list_kept, list_targets

Conditions = Mapping[str, Any]

NONE = "none"
# where a config says how the KV cache is kept
_OF_KV_CACHE = ("kv_cache_quant_algo", "kv_cache_scheme.num_bits", "kv_cache_scheme")
_BITS_OF_KV_CACHE = {"FP8": 8, "INT8": 8, "NVFP4": 4.5, "STATIC": 8, "DYNAMIC": 8, "NONE": None}
_OF_GROUPS = ("weights.", "input_activations.")
_OF_PARTS = "layers."
_LM_HEAD = "lm_head"
_TABLES = ("quantization_config", "compression_config")
_FIRST = ("quant_method", "quant_algo")
_PARTS_TOLD = ("kept", "quantized")
_ANY = "any"
# what a rule expects that does not say otherwise: nothing keeps its bits, the KV cache does, experts and lm_head are as
# usual, no weight is left out as 0
_ASSUMED: Conditions = {
    "kept": NONE,
    "kv_bits": NONE,
    "quant_algo": NONE,
    "moe_quant_algo": NONE,
    "expert_dtype": NONE,
    "quantized_layers": NONE,
    _LM_HEAD: NONE,
    "sparsity_config.format": [NONE, "dense"],
}
_MORE = "or add a precision with such a published_as to catalog/precisions.toml"


class UnmatchedError(ConfigError):
    """No precision stands for a quantization; the message quotes the first key that differs."""


@dataclass(frozen=True)
class Rule:
    """How configs spell a precision."""

    precision_id: str
    conditions: Conditions

    @classmethod
    def from_conditions(cls, precision_id: str, conditions: Conditions) -> "Rule":
        """Return a rule with what it need not say."""
        told = {
            key: _join(sorted(value)) if key in _PARTS_TOLD and isinstance(value, list) else value
            for key, value in _flatten(conditions)
        }
        is_of_parts = any(key.startswith(_OF_PARTS) for key in told)
        if is_of_parts:
            told = {"quantized_layers": _ANY, "kept": _ANY, _LM_HEAD: _ANY, **told}
        elif "quantized" in told:
            told = {"kept": _ANY, **told}
        if "dtype" not in told:
            told = {**_ASSUMED, **told}
        return cls(precision_id, {key: value for key, value in told.items() if value != _ANY})


def find_published_precision(
    tables: Sequence[tuple[str, Mapping[str, Any]]], layers: Sequence[Mapping[str, Any]], rules: Sequence[Rule]
) -> str | None:
    """Return the precision of a model's weights as published; None if its config does not say.

    Parameters
    ----------
    tables
        Tables of the config that may say it, each with its path.
    layers
        The model's kinds of layers.
    rules
        How configs spell precisions; without any, no quantization is matched.

    Raises
    ------
    ConfigError
        A quantization is no table.
    UnmatchedError
        No precision stands for it.
    """
    for path, table in tables:
        for name in _TABLES:
            told = table.get(name)
            if told is not None and not isinstance(told, Mapping):
                raise ConfigError(f"{path}{name} = {format_value(told)}: expected a table of fields")
            if told and rules:
                dtypes = (each.get("expert_dtype") for each in (told, *(table for _, table in tables)))
                expert_dtype = next((dtype for dtype in dtypes if dtype is not None), None)
                return _match(f"{path}{name}", _Facts(told, Parts(layers), expert_dtype), rules)
    for _, table in tables:
        for name in ("dtype", "torch_dtype"):
            if isinstance(dtype := table.get(name), str):
                told = dtype.removeprefix("torch.")
                return next((rule.precision_id for rule in rules if _fits(rule.conditions.get("dtype"), told)), None)
    return None


class _Facts:
    """What a quantization says, by the keys of conditions."""

    def __init__(self, table: Mapping[str, Any], parts: Parts, expert_dtype: Any) -> None:
        nested = table.get("quantization")
        self._table = {**nested, **table} if isinstance(nested, Mapping) else table
        kept, quantized = _divide(self._table, parts)
        self._derived: Mapping[str, Any] = {
            "kv_bits": _find_kv_bits(self._table),
            "expert_dtype": expert_dtype,
            "kept": _join(kept),
            "quantized": _join(quantized),
            _LM_HEAD: _has_quantized_head(self._table) or None,
        }
        self._algorithms = _list_algorithms(self._table, parts)

    def find(self, key: str) -> list[Any]:
        """Return the values of a key: several if a part of it is `*`, none of a part that the model does not have."""
        if key.startswith(_OF_PARTS):
            part = key.removeprefix(_OF_PARTS)
            return [self._algorithms[part]] if part in self._algorithms else []
        return [self._derived[key]] if key in self._derived else list(_walk(self._table, self._place(key).split(".")))

    def _place(self, key: str) -> str:
        is_of_groups = key.startswith(_OF_GROUPS) and self._table.get("config_groups")
        return f"config_groups.*.{key}" if is_of_groups else key

    def label(self, key: str, path: str, value: Any) -> str:
        """Return a key and its value as a message quotes them."""
        if key == "kv_bits":
            key = next(name for name in _OF_KV_CACHE if _walk_once(self._table, name) is not None)
        if key.startswith(_OF_PARTS):
            return f"{path}.quantized_layers: {value or 'nothing'} of {key.removeprefix(_OF_PARTS)}"
        if key == "expert_dtype":
            return f"expert_dtype = {format_value(value)}"
        if key == _LM_HEAD and value:
            return f"{path}: quantizes lm_head"
        if key not in _PARTS_TOLD:
            place = f"{path}.{self._place(key)}"
            return f"{place}: missing" if value is None else f"{place} = {format_value(value)}"
        return f"{path}: quantizes {self._derived['quantized']} and leaves out {self._derived['kept']}"


def _flatten(conditions: Conditions) -> Iterator[tuple[str, Any]]:
    for key, value in conditions.items():
        inner = value if isinstance(value, Mapping) else None
        yield from ((f"{key}.{name}", each) for name, each in inner.items()) if inner else [(key, value)]


def _match(path: str, facts: _Facts, rules: Sequence[Rule]) -> str:
    """Return the precision of the rule with the most conditions, of those whose conditions all hold."""
    left = [rule for rule in rules if "dtype" not in rule.conditions]
    keys = dict.fromkeys(key for rule in left for key in rule.conditions)
    told = ""  # the last value of the config that no rule has, of those that have its key
    is_unnamed = all(_fits(NONE, value) for key in _FIRST for value in facts.find(key))
    for key in sorted(keys, key=_rank):
        values = facts.find(key)
        asking = [rule for rule in left if key in rule.conditions]
        agreeing = [rule for rule in asking if all(_fits(rule.conditions[key], value) for value in values)]
        fitting = [rule for rule in left if rule in agreeing or rule not in asking]
        if asking and not agreeing:
            strange = [value for value in values if not any(_fits(rule.conditions[key], value) for rule in asking)]
            value = (strange or values)[0]
            if value is not None or not told:
                told = f"{facts.label(key, path, value)}: expected {_name_expected(key, asking)}"
            if value is None and is_unnamed:
                told = f"{path}.{_FIRST[0]}: missing: expected the name of a method"
        if not fitting:
            raise UnmatchedError(f"{told}, {_MORE}")
        left = fitting
    best = max(reversed(left), key=lambda rule: len(rule.conditions), default=None)  # the later, of equals
    if best is None:
        raise UnmatchedError(f"{path}: expected no quantization, {_MORE}")
    return best.precision_id


def _rank(key: str) -> int:
    """Return how late a key is asked for: what names a format first, what most formats share last."""
    if key in _FIRST:
        return _FIRST.index(key)
    is_shared = key in _ASSUMED or key in _PARTS_TOLD
    return len(_FIRST) + (2 if key == "kept" else is_shared)


def _list_choices(condition: Any) -> list[Any]:
    """Return the values that a condition allows; a list of nothing but numbers is one value."""
    is_choice = isinstance(condition, list) and any(isinstance(each, bool | str) for each in condition)
    return condition if is_choice else [condition]


def _name_values(conditions: Iterator[Any]) -> str:
    """Return what conditions allow, each value once."""
    values = [value for condition in conditions for value in _list_choices(condition)]
    return " or ".join(dict.fromkeys(value if value == NONE else format_value(value) for value in values))


def _name_expected(key: str, rules: Sequence[Rule]) -> str:
    """Return what rules expect of a key, in words."""
    allowed = _name_values(rule.conditions[key] for rule in rules)
    return {"kept": "to leave out ", "quantized": "to quantize "}.get(key, "") + allowed


def _join(parts: Sequence[Any]) -> str:
    return ", ".join(map(str, parts)) or NONE


def _fits(condition: Any, value: Any) -> bool:
    """Return whether a value is one of those that a condition allows."""
    is_none = value is None or (isinstance(value, Sequence | Mapping) and not value)
    return any(each == NONE if is_none else _is_same(each, value) for each in _list_choices(condition))


def _is_same(asked: Any, value: Any) -> bool:
    if isinstance(asked, str) and isinstance(value, str):
        return asked.casefold() == value.casefold()
    return bool(asked == value) and isinstance(asked, bool) == isinstance(value, bool)


def _walk(table: Any, names: Sequence[str]) -> Iterator[Any]:
    """Yield the values at a path, or None for each that is missing."""
    if not names:
        yield table
    elif names[0] == "*" and isinstance(table, Mapping) and table:
        for each in table.values():
            yield from _walk(each, names[1:])
    elif isinstance(table, Mapping) and names[0] in table:
        yield from _walk(table[names[0]], names[1:])
    else:
        yield None


def _walk_once(table: Any, dotted: str) -> Any:
    return next(_walk(table, dotted.split(".")))


def _find_kv_bits(table: Mapping[str, Any]) -> Any:
    """Return the bits of the KV cache, or the word for its format; None if it keeps its own."""
    for name in _OF_KV_CACHE:
        told = _walk_once(table, name)
        if isinstance(told, str):
            return _BITS_OF_KV_CACHE.get(told.upper(), told)
        if told:
            return told
    return None


def _divide(table: Mapping[str, Any], parts: Parts) -> tuple[list[str], list[str]]:
    """Return the parts of a model that keep their bits, and the others; what is kept in part is told as such."""
    covers = [parts.measure(list_kept(table))]
    targets = list(list_targets(table))
    if targets and all(parts.is_named(each) for each in targets):
        opposite: Mapping[Cover, Cover] = {"all": "none", "some": "some", "none": "all"}
        covers.append({part: opposite[cover] for part, cover in parts.measure(targets).items()})
    kept = {part for part in parts.names if any(cover[part] == "all" for cover in covers)}
    halves = {part for part in parts.names if part not in kept and any(cover[part] == "some" for cover in covers)}
    told = sorted(kept | {f"a part of {part}" for part in halves})
    return told, [part for part in parts.names if part not in kept]


def _list_algorithms(table: Mapping[str, Any], parts: Parts) -> dict[str, str | None]:
    """Return the algorithm of each part by `quantized_layers`; None if its weights keep their bits."""
    found: dict[str, list[str]] = {part: [] for part in (*parts.names, _LM_HEAD)}
    for algorithm, names in list_algorithms(table).items():
        if any(_LM_HEAD in name for name in names):
            found[_LM_HEAD].append(algorithm)
        for part, cover in parts.measure(names).items():
            if cover != "none":
                found[part].append(algorithm if cover == "all" else f"{algorithm} in a part")
    return {part: " and ".join(algorithms) or None for part, algorithms in found.items()}


def _has_quantized_head(table: Mapping[str, Any]) -> bool:
    """Return whether a config quantizes lm_head; where `quantized_layers` says it, conditions can ask for it."""
    return bool(table.get(_LM_HEAD)) or any(_LM_HEAD in each for each in list_targets(table))

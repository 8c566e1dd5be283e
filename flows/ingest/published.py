"""Which precision the weights of a model are published in, by what its config says about them.

How a config spells a precision is data: `published_as` of a precision is a set of conditions, or a list of sets. A
condition is a key of the config's `quantization_config`, which may have dots, and its value, or a list of values that
will do; "none" is what is left out, null or empty. `*` is every key of a table; `weights` and `input_activations` are
those of every group, if there are groups. Three keys are no keys of the config: `dtype` is
that of a config without any quantization, `kv_bits` are the bits of the KV cache, and `kept` or `quantized` are the
parts of the model that keep their 16 bits, or do not.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.ingest.architectures.expression import ConfigError
from flows.ingest.document import format_value

Conditions = Mapping[str, Any]

NONE = "none"
# where a config says how the KV cache is kept
_OF_KV_CACHE = ("kv_cache_quant_algo", "quantization.kv_cache_quant_algo", "kv_cache_scheme.num_bits")
_BITS_OF_KV_CACHE = {"FP8": 8, "INT8": 8, "NVFP4": 4.5, "NONE": None}
_OF_GROUPS = ("weights.", "input_activations.")
_TABLES = ("quantization_config", "compression_config")
_PARTS_TOLD = ("kept", "quantized")
_ANY = "any"
# what a rule expects that does not say otherwise: nothing keeps its bits, the KV cache does, no weight is left out as 0
_ASSUMED: Conditions = {"kept": NONE, "kv_bits": NONE, "sparsity_config.format": [NONE, "dense"]}
_MORE = "or add a precision with such a published_as to catalog/precisions.toml"
# keys of lists of modules that keep their bits, of every library
_LISTS_OF_KEPT = (
    "modules_to_not_convert",
    "ignore",
    "ignored_layers",
    "exclude_modules",
    "llm_int8_skip_modules",
    "quantization.exclude_modules",
)
# words in the names of modules, by the part that they belong to; the first part that has one counts
_WORDS: Mapping[str, frozenset[str]] = {
    part: frozenset(words.split())
    for part, words in {
        "tower": "vision visual vision_tower vision_model vision_encoder vision_embed_tokens embed_vision audio"
        " audio_tower audio_model embed_audio multi_modal_projector mm_projector projector",
        "small": "lm_head embed_tokens wte norm shared_head eh_proj output_layer router shared_expert_gate indexer"
        " indexers_proj weights_proj conv1d in_proj_ba in_proj_a in_proj_b dt_proj x_proj q_norm k_norm",
        "shared_experts": "shared_expert shared_experts shared_mlp",
        "experts": "experts",
        "recurrence": "linear_attn mamba mixer ssm conv1d in_proj out_proj recurrent",
        "attention": "self_attn attn attention self_attention q_proj k_proj v_proj o_proj qkv_proj kv_b_proj q_a_proj"
        " q_b_proj kv_a_proj_with_mqa",
        "mlp": "mlp feed_forward ffn block_sparse_moe moe gate_proj up_proj down_proj gate_up_proj fc1 fc2",
    }.items()
}
_FEED_FORWARDS = ("mlp", "experts", "shared_experts")
_PROJECTIONS = re.compile(r".*_proj|proj|fc[12]|w[123]|gate_up|up|down")
_LAYER = re.compile(r"layers?|blocks|h")


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
        if "dtype" not in told:
            told = {**(_ASSUMED if "quantized" not in told else {**_ASSUMED, "kept": _ANY}), **told}
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
                return _match(f"{path}{name}", _Facts(told, layers), rules)
    for _, table in tables:
        for name in ("dtype", "torch_dtype"):
            if isinstance(dtype := table.get(name), str):
                told = dtype.removeprefix("torch.")
                return next((rule.precision_id for rule in rules if _fits(rule.conditions.get("dtype"), told)), None)
    return None


class _Facts:
    """What a quantization says, by the keys of conditions."""

    def __init__(self, table: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> None:
        self._table = table
        parts = _list_parts(layers)
        kept = _list_kept(table, parts, sum(layer["num_layers"] for layer in layers))
        self._derived: Mapping[str, Any] = {
            "kv_bits": _find_kv_bits(table),
            "kept": _join(sorted(kept)),
            "quantized": _join(sorted(parts - kept)),
        }

    def find(self, key: str) -> list[Any]:
        """Return the values of a key: several if a part of it is `*`."""
        return [self._derived[key]] if key in self._derived else list(_walk(self._table, self._place(key).split(".")))

    def _place(self, key: str) -> str:
        is_of_groups = key.startswith(_OF_GROUPS) and self._table.get("config_groups")
        return f"config_groups.*.{key}" if is_of_groups else key

    def label(self, key: str, path: str, value: Any) -> str:
        """Return a key and its value as a message quotes them."""
        if key == "kv_bits":
            key = next(name for name in _OF_KV_CACHE if _walk_once(self._table, name) is not None)
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
    for key in sorted(keys, key=lambda key: key in _ASSUMED or key in _PARTS_TOLD):
        values = facts.find(key)
        fitting = [
            rule
            for rule in left
            if key not in rule.conditions or all(_fits(rule.conditions[key], value) for value in values)
        ]
        if not fitting:
            allowed = _name_values(rule.conditions[key] for rule in left)
            value = next(value for value in values if not any(_fits(rule.conditions[key], value) for rule in left))
            what = facts.label(key, path, value)
            raise UnmatchedError(f"{what}: expected {allowed}, {_MORE}")
        left = fitting
    best = max(reversed(left), key=lambda rule: len(rule.conditions), default=None)  # the later, of equals
    if best is None:
        raise UnmatchedError(f"{path}: expected no quantization, {_MORE}")
    return best.precision_id


def _list_choices(condition: Any) -> list[Any]:
    """Return the values that a condition allows; a list of nothing but numbers is one value."""
    is_choice = isinstance(condition, list) and any(isinstance(each, bool | str) for each in condition)
    return condition if is_choice else [condition]


def _name_values(conditions: Iterator[Any]) -> str:
    """Return what conditions allow, each value once."""
    values = [value for condition in conditions for value in _list_choices(condition)]
    return " or ".join(dict.fromkeys(value if value == NONE else format_value(value) for value in values))


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
        if told is not None:
            return told
    return None


def _list_parts(layers: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the parts of a model whose weights are quantized, if any are."""
    columns = {
        "attention": "num_heads",
        "recurrence": "recurrence",
        "mlp": "intermediate_size",
        "experts": "num_experts",
        "shared_experts": "shared_intermediate_size",
    }
    return {part for part, column in columns.items() for layer in layers if layer[column] and not layer["is_draft"]}


def _list_kept(table: Mapping[str, Any], parts: set[str], layers: int) -> set[str]:
    """Return the parts of a model that keep their bits in most layers."""
    everywhere: set[str] = set()
    places: dict[str, set[int]] = {}
    for pattern in _list_kept_patterns(table):
        named, numbers = _read_pattern(pattern)
        if not numbers:
            everywhere |= named
        for part in named:
            places.setdefault(part, set()).update(numbers)
    most = {part for part, numbers in places.items() if 2 * len(numbers) > layers}
    targets = [_read_pattern(each)[0] for each in _list_targets(table)]
    untargeted = parts.difference(*targets) if targets and all(targets) else set()
    return parts & (everywhere | most | untargeted)


def _list_kept_patterns(table: Mapping[str, Any]) -> Iterator[str]:
    for path in _LISTS_OF_KEPT:
        for given in _walk(table, path.split(".")):
            yield from (each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str))
    dynamic = table.get("dynamic")  # of GPTQModel: a pattern that begins with a minus is left out
    yield from (each for each in (dynamic if isinstance(dynamic, Mapping) else ()) if each.startswith("-"))


def _list_targets(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the patterns of the modules that are quantized; a class of modules is none."""
    for given in _walk(table, ["config_groups", "*", "targets"]):
        yield from (each for each in (given if isinstance(given, list) else []) if isinstance(each, str))


def _read_pattern(pattern: str) -> tuple[set[str], set[int]]:
    """Return the parts that a name of modules, or a pattern of names, belongs to, and the layers that it numbers."""
    plain = re.sub(r"^[-+:re]*:|\\.|\[[^]]*\]", ".", pattern[:400].lower())
    words = re.findall(r"[a-z_][a-z0-9_]*|\d+", plain)
    numbers: set[int] = set()
    rest: list[str] = []
    is_place = False
    for word in words:
        if word.isdecimal() and is_place:
            numbers.add(int(word))
        else:
            is_place = bool(_LAYER.fullmatch(word))
            rest.append(word)
    part = next((part for part, known in _WORDS.items() if known.intersection(rest)), None)
    if part == "mlp":
        after = [word for word in rest if word not in ("model", "language_model", "layers", "mlp", "moe")]
        if any(_PROJECTIONS.fullmatch(word) for word in after):
            return {"mlp"}, numbers
        return (set() if {"gate", "router"} & set(after) else set(_FEED_FORWARDS)), numbers
    if part is None and numbers and not set(rest) - {"model", "language_model", "layers", "layer", "h", "blocks"}:
        return {"attention", "recurrence", *_FEED_FORWARDS}, numbers  # whole layers
    return ({part} if part not in (None, "tower", "small") else set()), numbers

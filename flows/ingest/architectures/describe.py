"""A config and the architecture of its class into rows: the model, and each kind of layer that it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel, ValidationError

from flows.ingest.architectures.config import ConfigScope
from flows.ingest.architectures.expression import ConfigError, Expression
from flows.ingest.architectures.file import Architecture, Fields, Layer, Tower
from flows.ingest.architectures.layer_kinds import FEED_FORWARDS, MIXERS, Kind, LayerFields, ModelFields
from flows.ingest.document import describe_first_mistake, format_value

M = TypeVar("M", bound=BaseModel)

_INT, _TEXT, _FLAG = pl.Int64, pl.String, pl.Boolean
# The columns of core.layer_group that kinds of layers fill; those of a kind that a layer lacks are null.
LAYER_SCHEMA: dict[str, type[pl.DataType]] = {
    "num_heads": _INT, "num_kv_heads": _INT, "head_dim": _INT, "value_head_dim": _INT, "rope_head_dim": _INT,
    "is_rotary": _FLAG,
    "sliding_window": _INT, "attention_chunk": _INT, "qkv_bias": _FLAG, "output_bias": _FLAG, "qk_norm": _TEXT,
    "qk_norm_weights": _INT, "attention_gate_size": _INT, "has_sinks": _FLAG, "shares_kv": _FLAG,
    "keys_are_values": _FLAG, "has_inner_norm": _FLAG, "q_lora_rank": _INT, "kv_lora_rank": _INT,
    "index_heads": _INT, "index_head_dim": _INT, "index_top_k": _INT, "index_from_latent": _FLAG,
    "index_is_shared": _FLAG, "index_is_weighted": _FLAG,
    "out_groups": _INT, "out_lora_rank": _INT, "compression_ratio": _INT, "compression_overlaps": _FLAG,
    "recurrence": _TEXT, "state_heads": _INT, "state_key_heads": _INT, "state_key_dim": _INT, "state_value_dim": _INT,
    "recurrent_in_size": _INT, "recurrent_in_bias": _FLAG, "recurrent_out_bias": _FLAG, "conv_channels": _INT,
    "conv_kernel": _INT, "conv_bias": _FLAG, "select_size": _INT, "select_rank": _INT, "select_bias": _FLAG,
    "gate_rank": _INT, "gate_size": _INT, "gate_blocks": _INT, "recurrent_norm_size": _INT,
    "recurrence_chunk": _INT, "last_tokens": _INT,
    "state_bits": _INT,
    "intermediate_size": _INT, "is_gated": _FLAG, "activation_kind": _TEXT, "mlp_bias": _FLAG, "has_mlp_norm": _FLAG,
    "num_experts": _INT, "experts_per_token": _INT, "expert_intermediate_size": _INT, "expert_is_gated": _FLAG,
    "expert_activation_kind": _TEXT, "expert_bias": _FLAG, "router_bias": _FLAG, "router_correction": _FLAG,
    "zero_experts": _INT, "shared_intermediate_size": _INT, "shared_gate": _FLAG, "expert_latent_size": _INT,
    "per_layer_size": _INT, "low_rank": _INT,
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """A model, and one row for each kind of layer with the number of its layers."""

    model: ModelFields
    layers: list[dict[str, Any]]
    tower_parameters: int
    states_mtp: bool = False


@dataclass(frozen=True)
class _Part:
    """A mixer or a feed-forward of a layer: its word, its columns, its norms and other weights."""

    word: str
    columns: tuple[tuple[str, Any], ...]
    norms: int
    other_parameters: int


_ATTENTIONS = {"attention", "latent", "indexer"}  # kinds of a mixer


def describe_model(content: Mapping[str, Any], architecture: Architecture) -> Described:
    """Return what a config says.

    Raises
    ------
    ConfigError
        The config lacks a key, or has a value that its class does not take. The message says which.
    """
    table = _find_section(content, architecture)
    scope = ConfigScope(table, architecture.keys, {"config": content})
    _refuse_other_layers(table, architecture)
    try:
        return _describe(scope, content, architecture)
    except ConfigError as error:
        raise ConfigError(scope.explain(str(error))) from None


def _describe(scope: ConfigScope, content: Mapping[str, Any], architecture: Architecture) -> Described:
    scope.refuse_misfits()
    own = {name: of for name, of in architecture.model.items() if name not in ("mixer", "feed_forward")}
    model = _fill(ModelFields, own, scope)
    scope.set_variable("model", model.model_dump())
    scope.set_variable("layers", model.layers)
    layers = _group_layers(scope, architecture, architecture.model, range(model.layers), is_draft=False)
    if architecture.mtp:
        drafts = architecture.mtp["layers"].evaluate(scope) or 0
        if isinstance(drafts, bool) or not isinstance(drafts, int) or not 0 <= drafts <= model.layers:
            label = _label(architecture.mtp["layers"])
            raise ConfigError(f"{label} = {format_value(drafts)}: expected at most {model.layers} layers")
        place = range(model.layers, model.layers + drafts)
        layers += _group_layers(scope, architecture, architecture.mtp, place, is_draft=True)
    towers = _count_towers(architecture.towers, content, model)
    return Described(model, layers, towers, bool(architecture.mtp))


def _refuse_other_layers(table: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise `ConfigError` if a config says of a layer that it is another kind than the only one that its class has."""
    keys, mixers = architecture.keys, list(architecture.mixers.values())
    fields = [
        architecture.model,
        architecture.mtp,
        keys.terms,
        keys.require,
        *(kind for each in mixers for kind in each.kinds.values()),
    ]
    if "layer_types" in keys.expect or any("layer_types" in of.names for each in fields for of in each.values()):
        return
    kinds = {kind for mixer in mixers for kind in mixer.kinds}
    words = table.get("layer_types")
    if not isinstance(words, list) or not kinds or not kinds <= _ATTENTIONS:
        return
    has_window = any("window" in kind for mixer in mixers for kind in mixer.kinds.values())
    known = ["full_attention", *(["sliding_attention"] if has_window else [])]
    for place, word in enumerate(words):
        if word not in known:
            raise ConfigError(f"layer_types[{place}] = {format_value(word)}: expected one of {', '.join(known)}")


def add_towers(inner: Described, outer: Architecture, content: Mapping[str, Any]) -> Described:
    """Return a text model with the towers, and the fields, of the architecture that wraps it."""
    fields = inner.model.model_dump()
    scope = ConfigScope(content, outer.keys, {"config": content, "model": fields})
    scope.refuse_misfits()
    changes = {name: of.evaluate(scope) for name, of in outer.model.items()}
    model = _validate(ModelFields, {**fields, **changes}, outer.model, scope)
    return replace(inner, model=model, tower_parameters=_count_towers(outer.towers, content, model))


def find_table(content: Mapping[str, Any], paths: Sequence[str]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the first of some tables that a config has, and its path; "." is the config itself."""
    for path in paths:
        table: Any = content
        for name in () if path == "." else path.split("."):
            table = table.get(name) if isinstance(table, Mapping) else None
        if isinstance(table, Mapping):
            return path, table
        if table is not None:
            raise ConfigError(f"{path} = {format_value(table)}: expected a table of fields")
    return None


def _find_section(content: Mapping[str, Any], architecture: Architecture) -> Mapping[str, Any]:
    found = find_table(content, architecture.sections)
    return found[1] if found else content


def _group_layers(
    scope: ConfigScope, architecture: Architecture, chosen_by: Fields, places: range, *, is_draft: bool
) -> list[dict[str, Any]]:
    """Return one row per kind of layer, in the order in which they first occur."""
    mixers = _Chooser(scope, "mixer", architecture.mixers, MIXERS, chosen_by)
    feed_forwards = _Chooser(scope, "feed_forward", architecture.feed_forwards, FEED_FORWARDS, chosen_by)
    groups: dict[tuple[_Part, _Part, int], int] = {}
    for place in places:
        scope.set_variable("layer", place)
        extra = _evaluate_count(chosen_by, "other_parameters", scope) if is_draft else 0
        group = (mixers.choose(place), feed_forwards.choose(place), extra)
        groups[group] = groups.get(group, 0) + 1
    return [
        {
            **dict.fromkeys(LAYER_SCHEMA),
            **dict(mixer.columns),
            **dict(feed_forward.columns),
            "mixer": mixer.word,
            "feed_forward": feed_forward.word,
            "is_draft": is_draft,
            "num_layers": count,
            "mixer_norms": mixer.norms,
            "feed_forward_norms": feed_forward.norms,
            "other_parameters": mixer.other_parameters + feed_forward.other_parameters + extra,
        }
        for (mixer, feed_forward, extra), count in groups.items()
    ]


class _Chooser:
    """Which mixer, or which feed-forward, each layer has; parts that are the same in every layer are read once."""

    def __init__(
        self,
        scope: ConfigScope,
        field: str,
        layers: Mapping[str, Layer],
        kinds: Mapping[str, type[Kind]],
        chosen_by: Fields,
    ) -> None:
        self._scope, self._layers, self._kinds = scope, layers, kinds
        self._by = chosen_by.get(field)
        self._parts: dict[str, _Part] = {}
        if self._by is None and len(layers) != 1:
            raise ConfigError(f"{field}: expected an expression that chooses one of {', '.join(layers)}")

    def choose(self, place: int) -> _Part:
        """Return the part of a layer."""
        word = next(iter(self._layers)) if self._by is None else self._by.evaluate(self._scope)
        if not isinstance(word, str) or word not in self._layers:
            label = _label_of_layer(self._by, place, self._scope) if self._by else ""
            raise ConfigError(f"{label} = {format_value(word)}: expected one of {', '.join(self._layers)}")
        if word in self._parts:
            return self._parts[word]
        layer = self._layers[word]
        columns: dict[str, Any] = {}
        for kind, fields in layer.kinds.items():
            columns |= _fill(self._kinds[kind], fields, self._scope).columns()
        own = _fill(LayerFields, layer.fields, self._scope)
        part = _Part(word, tuple(columns.items()), own.norms if layer.kinds else 0, own.other_parameters)
        every = [layer.fields, *layer.kinds.values()]
        if not any(self._scope.depends_on_layer(of.names) for fields in every for of in fields.values()):
            self._parts[word] = part
        return part


def _count_towers(towers: Sequence[Tower], content: Mapping[str, Any], model: ModelFields) -> int:
    """Return the weights of the towers; of those that stand at one place, exactly one must fit."""
    counts: dict[str, int] = {}
    unfit: dict[str, str] = {}
    for tower in towers:
        path, table = find_table(content, tower.sections) or (tower.sections[0], None)
        if table is None and tower.is_optional:
            continue
        try:
            scope = ConfigScope(table or {}, tower.keys, {"config": content, "model": model.model_dump()})
            scope.refuse_misfits()
            if tower.when is not None and not tower.when.evaluate(scope):
                values = ", ".join(f"{name} = {format_value(scope.find(name))}" for name in sorted(tower.when.names))
                unfit.setdefault(path, values)
                continue
            count = _evaluate_count({"parameters": tower.parameters}, "parameters", scope)
        except ConfigError as error:
            raise ConfigError(str(error) if path == "." else f"{path}.{error}") from None
        counts[path] = counts.get(path, 0) + count
    for path, values in unfit.items():
        if path not in counts:
            raise ConfigError(f"{path}.{values}: expected a tower that the architecture knows")
    return sum(counts.values())


def _evaluate_count(fields: Fields, name: str, scope: ConfigScope) -> int:
    expression = fields.get(name)
    count = 0 if expression is None else expression.evaluate(scope)
    if isinstance(count, bool) or not isinstance(count, int | float) or count < 0 or count != int(count):
        raise ConfigError(f"{name} = {format_value(count)}: expected a whole number")
    return int(count)


def _fill(shape: type[M], fields: Fields, scope: ConfigScope) -> M:
    return _validate(shape, {name: of.evaluate(scope) for name, of in fields.items()}, fields, scope)


def _validate(shape: type[M], values: Mapping[str, Any], fields: Fields, scope: ConfigScope) -> M:
    # null is what a field has if it is not given; whole numbers may come out of a division as 64.0
    plain = {name: int(value) if isinstance(value, float) and value.is_integer() else value
             for name, value in values.items() if value is not None}  # fmt: skip
    try:
        return shape.model_validate(plain)
    except ValidationError as error:
        labels = {name: of.find_key(scope) or _label(of) for name, of in fields.items()}
        raise ConfigError(_describe_mistake(error, shape, values, labels)) from None


def _describe_mistake(
    error: ValidationError, shape: type[BaseModel], values: Mapping[str, Any], labels: Mapping[str, str]
) -> str:
    """Describe the first mistake by the key that the field is read from."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else next(iter(labels), "")
    message = describe_first_mistake(error, shape)
    if not first["loc"]:  # fields that do not fit each other
        expected = message.partition("expected ")[2] or message
        field, _, rest = expected.partition(": ")
        if field in labels and rest:
            return f"{labels[field]} = {format_value(values.get(field))}: expected {rest}"
        misfits = [name for name in _MISFITS.get(shape.__name__, ()) if name in labels]
        keys = ", ".join(f"{labels[name]} = {format_value(values.get(name))}" for name in misfits)
        return f"{keys}: expected {expected}"
    expected = message.partition("expected ")[2]
    if name not in labels:
        return f"{name}: missing; expected this field"
    if name in values and values[name] is None:
        return f"{labels[name]} = null: expected a value"
    return f"{labels[name]} = {format_value(values.get(name))}: expected {expected}"


# fields that a message about several names
_MISFITS = {
    "Attention": ("heads", "kv_heads"),
    "Compressed": ("ratio", "index_heads", "index_dim", "top_k"),
    "Recurrent": ("heads", "key_heads"),
    "Moe": ("experts", "chosen"),
}


def _label_of_layer(expression: Expression, place: int, scope: ConfigScope) -> str:
    """Return the key that chooses for a layer, with the layer's place in it if it is a list of them."""
    keys = sorted(expression.names.difference(("layer", "layers")))
    by_layer = [name for name in keys if f"{name}[layer]" in expression.text and scope.has(name)]
    if len(by_layer) == 1:
        return f"{by_layer[0]}[{place}]"
    return keys[0] if len(keys) == 1 else _label(expression)


def _label(expression: Expression) -> str:
    """Return the key that an expression reads, if it reads one; where it stands, if it reads none; else its text."""
    if expression.key is not None:
        return expression.key
    if not expression.names:
        return expression.place
    return next(iter(expression.names)) if len(expression.names) == 1 else expression.text

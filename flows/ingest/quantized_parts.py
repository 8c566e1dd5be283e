"""Which parts of a model a quantization covers, by the names of modules in its config.

Configs list the modules that keep their bits, or those that do not, by names, globs or regular expressions of every
library. The words in them say the part, and the numbers the layers. A part counts as covered if the projections into
it and out of it are, in most layers that have them; the projections of recurrent layers belong to `attention`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

Cover = Literal["all", "some", "none"]
Unit = tuple[str, str]  # a kind of module, and whether it leads in or out

# words in the names of modules, by their kind; the first kind that has one counts
_WORDS: Mapping[str, frozenset[str]] = {
    kind: frozenset(words.split())
    for kind, words in {
        "tower": "vision visual vision_tower vision_model vision_encoder vision_embed_tokens embed_vision audio"
        " audio_tower audio_model embed_audio multi_modal_projector mm_projector projector patch_merge_mlp",
        "small": "lm_head embed_tokens wte shared_head eh_proj output_layer router shared_expert_gate indexer"
        " indexers_proj weights_proj conv1d in_proj_ba in_proj_a in_proj_b dt_proj x_proj a_log dt_bias",
        "shared_experts": "shared_expert shared_experts shared_mlp",
        "experts": "experts",
        "recurrence": "linear_attn mamba ssm in_proj out_proj recurrent",
        "attention": "self_attn attn attention self_attention q_proj k_proj v_proj o_proj qkv_proj kv_b_proj q_a_proj"
        " q_b_proj kv_a_proj_with_mqa wq_a wq_b wkv wo_a wo_b",
        "mlp": "mlp feed_forward ffn block_sparse_moe moe gate_proj up_proj down_proj gate_up_proj fc1 fc2 w1 w2 w3",
        "mixer": "mixer",
    }.items()
}
_IS_SMALL = re.compile(r"\w*norm\d?")
_INTO = re.compile(r"(?!(?:o|out|down|c)_proj)\w+_proj(_\w+)?|[qkv]|qkv|gate_up|up|w[13]|fc1|w(?:q|k|v|kv)(?:_[ab])?")
_OUT_OF = re.compile(r"(?:o|out|down|c)_proj|o|out|down|w2|fc2|wo(?:_[ab])?|dense_4h_to_h")
_LAYER = re.compile(r"layers?|blocks|h")
_OF_LAYERS = {"model", "language_model", "backbone", "transformer", "layers", "layer", "h", "blocks"}
_KEPT_BITS = 16
_FEED_FORWARDS = ("mlp", "experts", "shared_experts")
_WHOLE = ("layer", "feed forward")  # kinds of names that stand for several kinds of modules
_COLUMNS = {
    "attention": "num_heads",
    "recurrence": "recurrence",
    "mlp": "intermediate_size",
    "experts": "num_experts",
    "shared_experts": "shared_intermediate_size",
}


class Parts:
    """The parts of a model whose weights are quantized, if any are."""

    def __init__(self, layers: Sequence[Mapping[str, Any]]) -> None:
        own = [layer for layer in layers if not layer["is_draft"]]
        counts: dict[str, int] = {
            kind: sum(each["num_layers"] for each in own if each[name]) for kind, name in _COLUMNS.items()
        }
        self._counts = {kind: count for kind, count in counts.items() if count}
        self._num_layers = sum(layer["num_layers"] for layer in own)
        # an `mlp` beside experts in one layer is no name for them
        is_apart = any(layer["intermediate_size"] and layer["num_experts"] for layer in own)
        self._of_mlp = ("mlp",) if is_apart else _FEED_FORWARDS
        self.names = sorted({"attention" if kind == "recurrence" else kind for kind in self._counts})

    def measure(self, patterns: Iterable[str]) -> dict[str, Cover]:
        """Return how much of each part names of modules, or patterns of names, cover."""
        everywhere: set[Unit] = set()
        places: dict[Unit, set[int]] = {}
        for pattern in patterns:
            kind, ways, numbers = _read_pattern(pattern)
            units = self._list_units(kind, ways)
            if not numbers:
                everywhere |= units
            for unit in units:
                end = self._end(unit[0], is_whole=kind in _WHOLE)
                places.setdefault(unit, set()).update(each for each in numbers if each < end)
        most = {unit for unit, numbers in places.items() if 2 * len(numbers) > self._counts.get(unit[0], 0)}
        return {name: self._measure(name, everywhere | most) for name in self.names}

    def is_named(self, pattern: str) -> bool:
        """Return whether a pattern names a part, and not a class of modules."""
        kind, ways, _ = _read_pattern(pattern)
        return bool(self._list_units(kind, ways))

    def _measure(self, name: str, covered: set[Unit]) -> Cover:
        kinds = [kind for kind in ("attention", "recurrence") if kind in self._counts]
        units = {(kind, way) for kind in (kinds if name == "attention" else [name]) for way in ("in", "out")}
        return "all" if units <= covered else "some" if units & covered else "none"

    def _list_units(self, kind: str, ways: Sequence[str]) -> set[Unit]:
        kinds = {"layer": tuple(self._counts), "feed forward": self._of_mlp}.get(kind, (kind,))
        return {(each, way) for each in kinds for way in ways if each in self._counts}

    def _end(self, kind: str, *, is_whole: bool) -> int:
        """Return the number that layers of a kind end before: those without experts come first."""
        return self._counts[kind] if is_whole and kind == "mlp" else self._num_layers


def list_kept(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of modules that keep their bits."""
    for name in (
        "modules_to_not_convert",
        "ignore",
        "ignored_layers",
        "exclude_modules",
        "exclude",
        "llm_int8_skip_modules",
    ):
        yield from _list_texts(table.get(name))
    # of GPTQModel: a pattern that begins with a minus is left out; of AutoRound: one of 16 bits
    yield from (each for each in _get_table(table, "dynamic") if each.startswith("-"))
    for name, told in _get_table(table, "extra_config").items():
        if isinstance(told, Mapping) and told.get("bits") == _KEPT_BITS:
            yield name


def list_targets(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of modules, and of classes of modules, that are quantized; none: whatever can be."""
    for group in _get_table(table, "config_groups").values():
        if isinstance(group, Mapping):
            yield from _list_texts(group.get("targets"))
    blocks = table.get("modules_in_block_to_quantize")  # of GPTQ
    for names in blocks if isinstance(blocks, list) else ():
        yield from _list_texts(names)


def list_algorithms(table: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the modules that a config of several algorithms names, by algorithm."""
    found: dict[str, list[str]] = {}
    for name, told in _get_table(table, "quantized_layers").items():
        algorithm = told.get("quant_algo") if isinstance(told, Mapping) else told
        found.setdefault(str(algorithm), []).append(name)
    return found


def _get_table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    return found if isinstance(found, Mapping) else {}


def _list_texts(given: Any) -> list[str]:
    return [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str)]


@lru_cache(maxsize=4096)
def _read_pattern(pattern: str) -> tuple[str, tuple[str, ...], frozenset[int]]:
    """Return the kind of module that a name or pattern stands for, whether in or out, and the layers that it numbers.

    The kind is "layer" for whole layers, "feed forward" for whatever a layer has of that, and "" for nothing known.
    """
    plain = re.sub(r"^[-+:re]*:|\\.|\[[^]]*\]", ".", pattern[:400].lower())
    numbers: set[int] = set()
    rest: list[str] = []
    is_place = False
    for word in re.findall(r"[a-z_][a-z0-9_]*|\d+", plain):
        if word.isdecimal() and is_place:
            numbers.add(int(word))
        else:
            is_place = bool(_LAYER.fullmatch(word))
            rest.append(word)
    ways = tuple(way for way, of in (("in", _INTO), ("out", _OUT_OF)) if any(of.fullmatch(word) for word in rest))
    return _find_kind(rest, ways), ways or ("in", "out"), frozenset(numbers)


def _find_kind(words: Sequence[str], ways: Sequence[str]) -> str:
    if any(_IS_SMALL.fullmatch(word) for word in words):
        return ""
    kind = next((kind for kind, known in _WORDS.items() if known.intersection(words)), None)
    if kind is None:
        return "layer" if set(words) <= _OF_LAYERS and any(map(_LAYER.fullmatch, words)) else ""
    if kind in ("mlp", "mixer") and not ways:
        is_router = {"gate", "router"} & set(words)
        return "" if is_router else "feed forward" if kind == "mlp" else "recurrence"
    return {"tower": "", "small": "", "mixer": "mlp"}.get(kind, kind)

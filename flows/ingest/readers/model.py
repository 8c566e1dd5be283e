"""Hugging Face `config.json` files into the rows of core.model and core.layer_group."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from flows.ingest.architectures.describe import LAYER_SCHEMA, Described, add_towers, describe_model, find_table
from flows.ingest.architectures.expression import ConfigError
from flows.ingest.architectures.file import Architecture, read_architectures
from flows.ingest.document import ORIGIN_SCHEMA, TEXT_PATTERN, format_value, parse, refuse_bad_name
from flows.ingest.foreign_configs import describe_foreign
from flows.ingest.model_names import make_id, make_short_name
from flows.ingest.published import Rule, UnmatchedError, find_published_precision
from flows.ingest.readers.precision import read_published_rules
from flows.ingest.source_file import SourceFile
from flows.intensity.shapes import add_parameters
from warehouse.errors import InputError, collect_refusals

_log = logging.getLogger(__name__)

_MAX_WEIGHTS = 1e16
_MAX_LETTERS = 400  # of a name on the hub
_MODEL_SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(
        ("hidden_size", "vocab_size", "max_positions", "norm_weights", "embedding_size", "learned_positions",
         "per_layer_embedding_size", "per_layer_vocab_size", "other_parameters", "tower_parameters"), pl.Int64),
    **dict.fromkeys(("tied_embeddings", "final_norm", "embedding_norm", "lm_head_bias", "states_mtp"), pl.Boolean),
    "published_precision": pl.String,
}  # fmt: skip
_GROUP_SCHEMA: dict[str, type[pl.DataType]] = {
    "model_id": pl.String, "layer_group": pl.Int64, "num_layers": pl.Int64, "is_draft": pl.Boolean,
    "mixer": pl.String, "feed_forward": pl.String, **LAYER_SCHEMA, "mixer_norms": pl.Int64,
    "feed_forward_norms": pl.Int64, "other_parameters": pl.Int64,
}  # fmt: skip


class Architectures:
    """Every architecture, found by the class or the model type that a config names."""

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        # of several files that describe a class, the first, unless the model type says which
        self._by_class = {word: each for each in reversed(architectures) for word in each.classes}
        self._by_type = {word: each for each in architectures for word in each.model_types}

    @property
    def classes(self) -> Collection[str]:
        """Every class that a file describes."""
        return self._by_class

    def find(self, content: Mapping[str, Any]) -> Architecture:
        """Return the architecture of a config.

        Raises
        ------
        ConfigError
            It names a class that no file describes, or none at all.
        """
        named, model_type = content.get("architectures"), content.get("model_type")
        if named is not None:
            first = named[0] if isinstance(named, list) and named else None
            if isinstance(first, str) and first in self._by_class:
                of_class, of_type = self._by_class[first], self._by_type.get(str(model_type))
                is_closer = of_type and (first in of_type.classes or of_type.like == of_class.source.entry_id)
                return of_type if of_type and is_closer else of_class
            what = f"architectures = {format_value(named)}"
        else:
            if isinstance(model_type, str) and model_type in self._by_type:
                return self._by_type[model_type]
            what = f"model_type = {format_value(model_type)}"
        more = "add a file to catalog/architectures, or give its ops with `rooflines ingest ops`"
        raise ConfigError(f"{what}: expected one of {len(self._by_class)} known classes ({more})")

    def find_text_model(self, table: Mapping[str, Any], outer: Architecture) -> Architecture:
        """Return the architecture of the text model that another wraps: its type says more than its class."""
        named = table is not None and table.get("model_type")
        if isinstance(named, str) and named in self._by_type and self._by_type[named] is not outer:
            return self._by_type[named]
        if table.get("architectures") is None and not (isinstance(named, str) and named not in self._by_type):
            table = {**table, "model_type": outer.text_model_type}
        return self.find({"model_type": outer.text_model_type, **table})

    def describe(self, content: Mapping[str, Any]) -> tuple[str, Described]:
        """Return the class of a config, and what it says."""
        architecture = self.find(content)
        named = content.get("architectures")
        name = named[0] if isinstance(named, list) and named else (*architecture.classes, content.get("model_type"))[0]
        if not architecture.text_models:
            return str(name), describe_model(content, architecture)
        path, table = find_table(content, architecture.text_models) or (architecture.text_models[0], {})
        if path == ".":  # the text model's keys stand beside those of the tower
            table = {key: value for key, value in table.items() if key not in ("architectures", "model_type")}
        inner = self.find_text_model(table, architecture)
        inner = inner if path == "." else inner.of_section()
        try:
            described = describe_model(table, inner)
        except ConfigError as error:
            raise ConfigError(str(error) if path == "." else f"{path}.{error}") from None
        return str(name), add_towers(described, architecture, content)

    def list_tables(self, content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return a config, and the table of the text model that it wraps, each with the path to its keys."""
        inner = find_table(content, [path for path in self.find(content).text_models if path != "."])
        return [("", content)] if inner is None else [("", content), (f"{inner[0]}.", inner[1])]


def read_models(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `model` and `layer_group`, without numbers of weights, and `origin`.

    Parameters
    ----------
    sources
        Configs, the files of architectures that they may belong to, and lists of precisions.

    Raises
    ------
    InputError
        Files are broken, name an unknown architecture, or lack a field.
    """
    architectures = Architectures(read_architectures(tuple(each for each in sources if each.kind == "architecture")))
    rules = read_published_rules(tuple(each for each in sources if each.kind == "precision"))
    models: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    origins: list[dict[str, Any]] = []
    first: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for source in (source for source in sources if source.kind == "model"):
            with each():
                content = parse(source)
                refuse_bad_name(source)
                name = make_short_name(source.entry_id)
                if name in first:
                    raise InputError(
                        f"{source.path}: the name {format_value(name)}: also the name of {first[name].path}"
                    )
                first[name] = source
                model, layers, hub = _read_model(content, architectures, rules, source)
                names = {"model_id": source.entry_id, "short_name": name, "source_id": source.source_id}
                models.append({**names, **model})
                groups += ({"model_id": source.entry_id, "layer_group": i, **row} for i, row in enumerate(layers))
                origin = _describe_origin(source, hub)
                origins.append({"source_id": source.source_id, "origin": origin, "license": None})
    return {
        "model": pl.DataFrame(models, schema_overrides=_MODEL_SCHEMA, infer_schema_length=None),
        "layer_group": pl.DataFrame(groups, _GROUP_SCHEMA),
        "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA),
    }


def read_counted_models(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames of `read_models`, with the numbers of weights of each model.

    Raises
    ------
    InputError
        As in `read_models`, or a model is absurdly large.
    """
    frames = read_models(sources)
    if frames["model"].is_empty():
        return frames
    _refuse_absurd_sizes(frames, sources)
    return {**frames, "model": add_parameters(frames["model"], frames["layer_group"])}


def _read_model(
    content: Any, architectures: Architectures, rules: Sequence[Rule], source: SourceFile
) -> tuple[dict[str, Any], list[dict[str, Any]], str | None]:
    """Return the columns of core.model, the rows of core.layer_group, and the name on the hub."""
    if foreign := describe_foreign(content, architectures.classes):
        raise InputError(f"{source.path}: {foreign}")
    hub = content.get("_name_or_path")
    is_text = isinstance(hub, str) and len(hub) <= _MAX_LETTERS and re.fullmatch(TEXT_PATTERN, hub)
    if hub is not None and not is_text:
        raise InputError(f"{source.path}: _name_or_path = {format_value(hub)}: expected one line of text")
    try:
        architecture, described = architectures.describe(content)
        published = find_published_precision(architectures.list_tables(content), described.layers, rules)
    except UnmatchedError as error:  # the shapes are known all the same
        _log.warning("%s: %s; its published_precision is null", source.path, error)
        published = None
    except ConfigError as error:
        raise InputError(f"{source.path}: {error}") from None
    fields = described.model.model_dump(exclude={"layers", "norm"})
    norm = described.model.norm
    weights = described.model.norm_weights
    model = {
        "architecture": architecture,
        **fields,
        "norm_kind": norm,
        "norm_weights": ({"rms_norm": 1, "layer_norm": 2}[norm]) if weights is None else weights,
        "embedding_size": described.model.embedding_size or described.model.hidden_size,
        "tower_parameters": described.tower_parameters,
        "states_mtp": described.states_mtp,
        "published_precision": published,
    }
    longest = described.model.max_positions
    for layer in described.layers:  # a window that no context exceeds is full attention
        if longest is not None and (layer["sliding_window"] or 0) >= longest:
            layer["sliding_window"] = None
    return model, described.layers, hub or None


def _describe_origin(source: SourceFile, hub: str | None) -> str:
    """Return where a config comes from; in a user's fine-tune, what it was loaded from is its base."""
    if not hub:
        return "not stated in the file"
    if make_id(hub) == source.entry_id or source.source_id.startswith("shipped/"):
        return f"config.json of {hub} on the Hugging Face hub"
    return f"not stated in the file, which was loaded from {hub}"


def _refuse_absurd_sizes(frames: Mapping[str, pl.DataFrame], sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` for widths that are absurd together: they would overflow the number of weights."""
    widest = pl.max_horizontal(
        pl.col("intermediate_size") * 1.0,
        pl.col("expert_intermediate_size") * pl.col("num_experts") * 1.0,
        pl.col("num_heads") * pl.col("head_dim") * 1.0,
        pl.col("recurrent_in_size") * 1.0,
    ).fill_null(0)
    sizes = (
        frames["layer_group"]
        .group_by("model_id")
        .agg((widest * pl.col("num_layers")).sum().alias("width"))
        .join(frames["model"], on="model_id")
        .filter(pl.col("hidden_size") * (pl.col("vocab_size") * 1.0 + pl.col("width")) > _MAX_WEIGHTS)
    )
    paths = {source.source_id: source.path for source in sources}
    with collect_refusals() as each:
        for model_id, source_id in sizes.select("model_id", "source_id").sort("model_id").iter_rows():
            with each():
                what = f"{model_id} has more than {_MAX_WEIGHTS:.0e} weights; expected a plausible size"
                raise InputError(f"{paths[source_id]}: {what}")

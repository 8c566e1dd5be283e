"""Hugging Face `config.json` files into the rows of core.model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from flows.ingest.document import ORIGIN_SCHEMA, format_value, parse, refuse_bad_name, validate
from flows.ingest.readers.model_families import FAMILIES, Config, Family, describe_model
from flows.ingest.source_file import SourceFile
from flows.intensity.shapes import add_parameters
from warehouse.errors import InputError, collect_refusals

_SIZE = re.compile(r"\w?\d[\w.]*")  # 7b, 8x7b, a2.7b, v0.3
_SPELT = {
    "deepseek": "DeepSeek", "gpt": "GPT", "gpt2": "GPT-2", "moe": "MoE", "neox": "NeoX", "opt": "OPT", "oss": "OSS",
    "xl": "XL",
}  # fmt: skip
_MAX_WEIGHTS = 1e16
_NULLABLE = (
    "num_experts", "experts_per_token", "expert_intermediate_size", "shared_intermediate_size", "q_lora_rank",
    "kv_lora_rank", "sliding_window",
)  # fmt: skip


def read_models(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `model` (one row per config, without numbers of weights) and `origin`.

    Raises
    ------
    InputError
        Files are broken, name an unknown architecture, or lack a field.
    """
    rows, origins = [], []
    first: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for source in sources:
            with each():
                content = parse(source)
                refuse_bad_name(source)
                name = make_short_name(source.entry_id)
                if name in first:
                    raise InputError(
                        f"{source.path}: the name {format_value(name)}: also the name of {first[name].path}"
                    )
                first[name] = source
                architecture = _find_architecture(content, source)
                names = {"model_id": source.entry_id, "short_name": name, "architecture": architecture}
                hub, described = _describe_model(content, FAMILIES[architecture], source)
                rows.append({**names, **described, "source_id": source.source_id})
                origin = f"config.json of {hub} on the Hugging Face hub" if hub else "not stated in the file"
                origins.append({"source_id": source.source_id, "origin": origin, "license": None})
    return {
        "model": pl.DataFrame(rows, schema_overrides=dict.fromkeys(_NULLABLE, pl.Int64), infer_schema_length=None),
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
    models = add_parameters(frames["model"])
    # in floats: widths that are absurd together overflow the number of weights
    size = pl.col("hidden_size").cast(pl.Float64) * (
        pl.col("vocab_size") + pl.col("num_layers") * pl.col("intermediate_size") * pl.col("num_experts").fill_null(1)
    )
    paths = {source.source_id: source.path for source in sources}
    with collect_refusals() as each:
        for model_id, source_id in models.filter(size > _MAX_WEIGHTS).select("model_id", "source_id").iter_rows():
            with each():
                what = f"{model_id} has more than {_MAX_WEIGHTS:.0e} weights; expected a plausible size"
                raise InputError(f"{paths[source_id]}: {what}")
    return {**frames, "model": models}


def make_short_name(model_id: str) -> str:
    """Return the name of a model on charts: `Llama 7B` for `llama-7b`."""
    return " ".join(map(_spell, filter(None, model_id.split("-"))))


def _spell(word: str) -> str:
    if _SIZE.fullmatch(word):
        return word.upper().replace("X", "x")
    return _SPELT.get(word, word.capitalize())


def _describe_model(
    content: Mapping[str, Any], family: Family, source: SourceFile
) -> tuple[str | None, dict[str, Any]]:
    hub = content.get("_name_or_path")
    if family.section is not None:
        content = content.get(family.section) or {}
        if not isinstance(content, dict):
            raise InputError(f"{source.path}: {family.section} = {format_value(content)}: expected a table of fields")
    config = validate({**family.defaults, **content, "_name_or_path": hub}, Config, source.path)
    try:
        return config.name_or_path, describe_model(config, family)
    except ValueError as error:
        raise InputError(f"{source.path}: expected {error}") from None


def _find_architecture(content: Any, source: SourceFile) -> str:
    named = content.get("architectures") if isinstance(content, dict) else None
    first = named[0] if isinstance(named, list) and named else None
    if not isinstance(first, str) or first not in FAMILIES:
        known = ", ".join(FAMILIES)
        more = "add one in flows/ingest/readers/model_families.py, or give its ops with `rooflines ingest ops`"
        raise InputError(f"{source.path}: architectures = {format_value(named)}: expected one of {known} ({more})")
    return first

"""Hugging Face `config.json` files into the rows of core.model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.ingest.document import format_value, parse, refuse_bad_name, validate
from flows.ingest.readers.model_families import FAMILIES, Config, Family, describe_model
from warehouse.errors import InputError, collect_refusals

_SIZE = re.compile(r"\w?\d[\w.]*")  # 7b, 8x7b, a2.7b, v0.3
_SPELT = {
    "deepseek": "DeepSeek", "gpt": "GPT", "gpt2": "GPT-2", "moe": "MoE", "neox": "NeoX", "opt": "OPT", "oss": "OSS",
    "xl": "XL",
}  # fmt: skip
_NULLABLE = (
    "num_experts", "experts_per_token", "expert_intermediate_size", "shared_intermediate_size", "q_lora_rank",
    "kv_lora_rank", "sliding_window",
)  # fmt: skip


def read_models(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `model` (a row a config, without its counts of weights) and `origin`.

    Raises
    ------
    InputError
        Files are broken, name an architecture that is not known, or lack a field.
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
                        f"{source.path}: the name {format_value(name)}: also the one of {first[name].path}"
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
        "origin": pl.DataFrame(origins, schema_overrides={"license": pl.String}),
    }


def make_short_name(model_id: str) -> str:
    """Return the name of a model on charts: `llama-7b` is `Llama 7B`."""
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

"""Hugging Face `config.json` files into the rows of core.model."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.ingest.catalog import SourceFile
from flows.ingest.document import ID_PATTERN, Count, parse, shown, validated
from warehouse.errors import InputError

KNOWN_ARCHITECTURES = ("LlamaForCausalLM",)


class LlamaConfig(BaseModel):
    """The fields of a Llama config that shapes follow from; the file may hold any others."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    hidden_size: Annotated[Count, Field(le=2**20)]
    intermediate_size: Annotated[Count, Field(le=2**22)]
    num_hidden_layers: Annotated[Count, Field(le=10_000)]
    num_attention_heads: Annotated[Count, Field(le=2**16)]
    num_key_value_heads: Annotated[Count, Field(le=2**16)] | None = None
    head_dim: Annotated[Count, Field(le=2**16)] | None = None
    vocab_size: Annotated[Count, Field(le=2**24)]
    tie_word_embeddings: bool | None = None
    attention_bias: Literal[False] | None = None  # biases are not counted yet
    mlp_bias: Literal[False] | None = None
    name_or_path: str | None = Field(default=None, alias="_name_or_path")

    @model_validator(mode="after")
    def _heads_divide(self) -> "LlamaConfig":
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise ValueError("num_attention_heads that divide hidden_size")
        if self.num_attention_heads % (self.num_key_value_heads or self.num_attention_heads):
            raise ValueError("num_key_value_heads that divide num_attention_heads")
        return self


def read_models(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `model` (a row a config) and `origin`.

    Raises
    ------
    InputError
        A file is broken, names an architecture that is not known, or lacks a field.
    """
    rows, origins = [], []
    for source in sources:
        content = parse(source)
        if not re.fullmatch(ID_PATTERN, source.entry_id):
            raise InputError(f"{source.path}: file name = {shown(source.entry_id)}: expected an id, {ID_PATTERN}")
        architecture = _architecture(content, source)
        config = validated(content, LlamaConfig, source.path)
        rows.append(
            {
                "model_id": source.entry_id,
                "short_name": short_name(source.entry_id),
                "architecture": architecture,
                "hidden_size": config.hidden_size,
                "intermediate_size": config.intermediate_size,
                "num_layers": config.num_hidden_layers,
                "num_heads": config.num_attention_heads,
                "num_kv_heads": config.num_key_value_heads or config.num_attention_heads,
                "head_dim": config.head_dim or config.hidden_size // config.num_attention_heads,
                "vocab_size": config.vocab_size,
                "tied_embeddings": bool(config.tie_word_embeddings),
                "source_id": source.source_id,
            }
        )
        hub = config.name_or_path
        origin = f"config.json of {hub} on the Hugging Face hub" if hub else "not stated in the file"
        origins.append({"source_id": source.source_id, "origin": origin, "license": None})
    experts = {"num_experts": pl.lit(None, pl.Int64), "experts_per_token": pl.lit(None, pl.Int64)}
    return {
        "model": pl.DataFrame(rows).with_columns(**experts),
        "origin": pl.DataFrame(origins, schema_overrides={"license": pl.String}),
    }


def short_name(model_id: str) -> str:
    """Return the name of a model on charts: `llama-7b` is `Llama 7B`."""
    words = model_id.split("-")
    return " ".join(word.upper() if word[0].isdigit() else word.capitalize() for word in words if word)


def _architecture(content: Any, source: SourceFile) -> str:
    named = content.get("architectures") if isinstance(content, dict) else None
    first = named[0] if isinstance(named, list) and named else None
    if first not in KNOWN_ARCHITECTURES:
        known = ", ".join(KNOWN_ARCHITECTURES)
        raise InputError(f"{source.path}: architectures = {shown(named)}: expected one of {known}")
    return str(first)

"""Numbers of serving engines (engines.toml): what their expected times depend on."""

from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
from pydantic import Field, StringConstraints

from flows.ingest.document import ORIGIN_SCHEMA, Count, Document, Id, MisfitError, Text, read_documents
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, collect_refusals

_ORIGIN = "documentation of the engines, see memory_share_origin and token_budget_origin"
_SCHEMA: dict[str, Any] = {
    "engine": pl.String,
    "hardware_id": pl.String,
    "memory_share": pl.Float64,
    "memory_share_origin": pl.String,
    "token_budget": pl.Int64,
    "token_budget_origin": pl.String,
    "host_s": pl.Float64,
    "host_s_origin": pl.String,
    "n_runs": pl.Int64,
    "fit_error": pl.Float64,
    "holdout_error": pl.Float64,
    "source_id": pl.String,
}
Share = Annotated[float, Field(gt=0, le=1)]
Error = Annotated[float, Field(ge=0, le=1e6)]
EngineName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class HostTime(Document):
    """Time of an engine's host in a step, fitted to runs on one device."""

    engine: EngineName
    hardware_id: Id
    host_s: Annotated[float, Field(ge=0, le=1)]
    n_runs: Count
    fit_error: Error
    holdout_error: Error | None = None
    origin: Text


class Engine(Document):
    """One engine."""

    engine: EngineName
    memory_share: Share
    memory_share_origin: Text
    token_budget: Count | None = None
    token_budget_origin: Text | None = None


class Engines(Document):
    """The file."""

    engine: list[Engine] = Field(default_factory=list)
    host: list[HostTime] = Field(default_factory=list)


def read_engine_settings(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `engine` (one row per engine and device; "" for every other device) and `origin`.

    An engine, and the time of its host on a device, replaces that of an earlier file.

    Raises
    ------
    InputError
        A file is broken, lists an engine or a device of it twice, or a host whose engine no file lists.
    """
    engines: dict[str, dict[str, Any]] = {}
    hosts: dict[tuple[str, str], tuple[HostTime, SourceFile]] = {}
    origins = []
    with collect_refusals() as each:
        for document, source in read_documents(sources, Engines, each):
            with each():
                _refuse_repeats(document, source)
                for engine in document.engine:
                    engines[engine.engine] = {**engine.model_dump(), "source_id": source.source_id}
                hosts |= {(host.engine, host.hardware_id): (host, source) for host in document.host}
                origins.append({"source_id": source.source_id, "origin": _ORIGIN, "license": None})
    rows = [{**engine, "hardware_id": "", "host_s": 0.0} for _, engine in sorted(engines.items())]
    for _, (host, source) in sorted(hosts.items()):
        if host.engine not in engines:
            raise InputError(f"{source.path}: engine = {host.engine}: expected one that is listed as [[engine]]")
        fitted = {**host.model_dump(exclude={"origin"}), "host_s_origin": host.origin}
        rows.append({**engines[host.engine], **fitted, "source_id": source.source_id})
    return {"engine": pl.DataFrame(rows, schema=_SCHEMA), "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA)}


def _refuse_repeats(document: Engines, source: SourceFile) -> None:
    names = [engine.engine for engine in document.engine]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise InputError(f"{source.path}: engine = {twice}: listed twice; expected it once")
    keys = [(host.engine, host.hardware_id) for host in document.host]
    if (again := next((key for key in keys if keys.count(key) > 1), None)) is not None:
        raise InputError(f"{source.path}: hardware_id = {again[1]}: twice for engine {again[0]}; expected it once")
    for engine in document.engine:
        if (engine.token_budget is None) != (engine.token_budget_origin is None):
            error = MisfitError("token_budget", engine.token_budget, "token_budget_origin beside it")
            raise InputError(f"{source.path}: {error}")

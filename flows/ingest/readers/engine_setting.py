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
    host: list[HostTime] = Field(default_factory=list)


class Engines(Document):
    """The file."""

    engine: list[Engine] = Field(default_factory=list)


def read_engine_settings(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `engine` (one row per engine and device; "" for every other device) and `origin`.

    The file of the home replaces engines of the shipped one by name.

    Raises
    ------
    InputError
        A file is broken, or lists an engine or a device twice.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    origins = []
    with collect_refusals() as each:
        for document, source in read_documents(sources, Engines, each):
            with each():
                names = [engine.engine for engine in document.engine]
                twice = next((name for name in names if names.count(name) > 1), None)
                if twice is not None:
                    raise InputError(f"{source.path}: engine = {twice}: listed twice; expected it once")
                for engine in document.engine:
                    found[engine.engine] = list(_list_rows(engine, source))
                origins.append({"source_id": source.source_id, "origin": _ORIGIN, "license": None})
    rows = [row for name in sorted(found) for row in found[name]]
    return {"engine": pl.DataFrame(rows, schema=_SCHEMA), "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA)}


def _list_rows(engine: Engine, source: SourceFile) -> list[dict[str, Any]]:
    if (engine.token_budget is None) != (engine.token_budget_origin is None):
        error = MisfitError("token_budget", engine.token_budget, "token_budget_origin beside it")
        raise InputError(f"{source.path}: {error}")
    common = {
        "engine": engine.engine,
        "memory_share": engine.memory_share,
        "memory_share_origin": engine.memory_share_origin,
        "token_budget": engine.token_budget,
        "token_budget_origin": engine.token_budget_origin,
        "source_id": source.source_id,
    }
    devices = [host.hardware_id for host in engine.host]
    twice = next((name for name in devices if devices.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{source.path}: hardware_id = {twice}: twice in engine {engine.engine}; expected it once")
    return [
        {**common, "hardware_id": "", "host_s": 0.0},
        *(
            {
                **common,
                **host.model_dump(exclude={"origin"}),
                "host_s_origin": host.origin,
            }
            for host in engine.host
        ),
    ]

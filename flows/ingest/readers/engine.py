"""Files of serving results (CSV) into the rows of core.serving_measurement: runs of engines, a row per run."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from flows.ingest.document import ORIGIN_SCHEMA, format_value, refuse_bad_name
from flows.ingest.model_names import find_catalog_model
from flows.ingest.source_file import SourceFile
from flows.ingest.table import Rule, read_table, refuse_bad_rows, text_rules, type_columns
from flows.intensity.terms import SHARING
from warehouse.errors import InputError, collect_refusals

# steady: requests follow each other; batch: all of them run at once; disaggregated: prefill and decode on devices of
# their own, each side shared in its own way
MODES = ("steady", "batch", "disaggregated")
_IDS = {"hardware_id": "hardware", "model_id": "model", "precision_id": "precision"}  # column -> kind that it names
_TEXTS = (
    "engine", "engine_version", "hardware_id", "model", "model_id", "precision", "precision_id", "mode", "speculative",
    "method", "origin", "license",
)  # fmt: skip
PREFILL_SHARING = tuple(f"prefill_{name}" for name in SHARING)
_COUNTS = (
    *SHARING, "concurrency", "prompt_tokens", "output_tokens", *PREFILL_SHARING, "prefill_workers", "decode_workers",
)  # fmt: skip
TIMES = ("ttft_s", "tpot_s", "request_s")
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(TIMES, pl.Float64),
    "has_mean_lengths": pl.Boolean,
    "measured_at": pl.Datetime("us", "UTC"),
}
NEEDED = ("engine", "hardware_id", "model", "mode", "concurrency", "prompt_tokens", "output_tokens")
_MAX_LENGTH = 400
_MAX_COUNT = 2**31
_SCHEMA: dict[str, Any] = {
    "serving_id": pl.String,
    **{name: dtype for name, dtype in COLUMNS.items() if name not in {"origin", "license"}},
    "source_id": pl.String,
}
# word for the weights' precision in files of results -> a precision of the catalog; the model's own comes first where
# it has the same bits
_PRECISIONS = {
    "bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "f16": "fp16", "half": "fp16",
    "fp8": "fp8-tensor", "fp8_block": "fp8-block", "fp4": "nvfp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4",
}  # fmt: skip
_BITS = {"fp8": ("fp8",), "fp4": ("nvfp4", "mxfp4"), "nvfp4": ("nvfp4", "mxfp4"), "int4": ("int4",)}
_OWN = {"int4_wo": "int4"}


def read_engine_results(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `serving_run` (one row per run of an engine) and `origin`.

    Raises
    ------
    InputError
        Files are broken, or a column or value is missing, unknown or out of range.
    """
    frames, origins = [pl.DataFrame(schema=_SCHEMA)], []
    with collect_refusals() as each:
        for source in sources:
            with each():
                refuse_bad_name(source)
                rows = read_rows(source)
                origin, license_ = rows.select(pl.col("origin", "license").drop_nulls().first()).row(0)
                how = f"results of {', '.join(rows['engine'].unique(maintain_order=True))}"[:_MAX_LENGTH]
                origins.append({"source_id": source.source_id, "origin": origin or how, "license": license_})
                identity = pl.format("{}/{}", pl.lit(source.entry_id), pl.int_range(1, 1 + pl.len()))
                found = rows.with_columns(serving_id=identity, source_id=pl.lit(source.source_id))
                frames.append(found.select(list(_SCHEMA)))
    return {"serving_run": pl.concat(frames), "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA)}


def read_rows(source: SourceFile) -> pl.DataFrame:
    """Return the rows of one file, typed and checked, with the columns of `COLUMNS`."""
    rows = type_columns(read_table(source), COLUMNS, source.path, needed=NEEDED, other_names={})
    if rows.is_empty():
        raise InputError(f"{source.path}: no rows; expected one per run")
    rows = rows.with_columns(
        pl.col("tensor_parallel", "pipeline_parallel", "data_parallel").fill_null(1),
        pl.col("has_mean_lengths").fill_null(value=False),
    )
    known = [pl.col(name).is_not_null() for name in TIMES]
    rules: list[Rule] = [
        *((pl.col(name).is_not_null(), f"{name}: missing; expected a value") for name in NEEDED),
        *(
            (pl.col(name).is_null() | pl.col(name).is_between(1, _MAX_COUNT), f"{name}: expected 1 or more")
            for name in _COUNTS
        ),
        (pl.col("mode").is_in(MODES), f"mode: expected one of {', '.join(MODES)}"),
        *text_rules(dict.fromkeys(_TEXTS, _MAX_LENGTH)),
        (pl.any_horizontal(known), f"no time; expected {', '.join(TIMES[:-1])} or {TIMES[-1]}"),
        *(
            (
                pl.col(name).is_null() | pl.col(name).is_between(1e-9, 1e6).fill_null(value=False),
                f"{name}: expected 1e-9 to 1e6 seconds",
            )
            for name in TIMES
        ),
    ]
    # a refusal names the row by its model
    refuse_bad_rows(rows.with_columns(op=pl.col("model").fill_null("no model")), rules, source.path)
    return rows


def refuse_unknown_names(frames: Mapping[str, pl.LazyFrame], sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a run names a device, model or precision by an id that no file describes.

    The name of a model in a file of results is none: without a model of the catalog a run has no bound.

    Parameters
    ----------
    frames
        `serving_run`, `hardware`, `model` and `precision`.
    sources
        The files, to name the one that is wrong.
    """
    runs = frames["serving_run"].collect()
    with collect_refusals() as each:
        for column, kind in _IDS.items():
            known = frames[kind].select(column).collect()[column].to_list()
            unknown = runs.filter(~pl.col(column).is_in(known)).unique(["source_id"], keep="first", maintain_order=True)
            for source_id, given in unknown.select("source_id", column).iter_rows():
                with each():
                    path = next(source.path for source in sources if source.source_id == source_id)
                    what = "device" if kind == "hardware" else kind
                    raise InputError(f"{path}: {column} = {format_value(given)}: expected a {what} of the catalog")


def name_models_and_precisions(runs: pl.DataFrame, models: pl.DataFrame, precisions: pl.DataFrame) -> pl.DataFrame:
    """Fill `model_id` and `precision_id` where names of the catalog follow from what a run says; else they stay null.

    A run that says nothing of a precision has that of the published weights, which engines load by themselves.

    Parameters
    ----------
    runs
        The frame `serving_run`.
    models, precisions
        Rows of core.model and core.precision.
    """
    ids = models["model_id"].to_list()
    names = {name: find_catalog_model(name, ids) for name in runs["model"].unique().to_list()}
    named = runs.with_columns(
        model_id=pl.coalesce("model_id", pl.col("model").replace_strict(names, return_dtype=pl.String))
    )
    published: dict[str, str | None] = dict(models.select("model_id", "published_precision").iter_rows())
    known = precisions["precision_id"].to_list()
    keys = named.select("model_id", "precision").unique().rows()
    found = pl.DataFrame(
        [(model, word, _find_precision(word, published.get(model or ""), known)) for model, word in keys],
        schema={"model_id": pl.String, "precision": pl.String, "found": pl.String},
        orient="row",
    )
    joined = named.join(found, on=["model_id", "precision"], how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(precision_id=pl.coalesce("precision_id", "found")).drop("found")


def _find_precision(word: str | None, published: str | None, known: Sequence[str]) -> str | None:
    if word is None:
        return published
    plain = word.strip().lower()
    plain = _OWN.get(plain, plain)
    if published and any(published.startswith(bits) for bits in _BITS.get(plain, ())):
        return published
    found = _PRECISIONS.get(plain, plain)
    return found if found in known else None

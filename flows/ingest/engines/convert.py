"""A file of results of any known format into a file of serving results."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import load_json
from flows.ingest.engines.json_results import list_runs
from flows.ingest.engines.settings import EngineOptions, Row, complete_run
from flows.ingest.engines.tables import (
    LLAMA_COLUMNS,
    SAMPLE_COLUMNS,
    read_llama_markdown,
    read_llama_table,
    read_sample,
)
from flows.ingest.readers.engine import COLUMNS
from flows.ingest.source_file import SourceFile
from flows.ingest.table import read_table
from warehouse.errors import InputError, one_line

SUFFIXES = (".csv", ".json", ".jsonl", ".md")
_FORMATS = (
    "results of vLLM, SGLang, InferenceX, AIPerf, GenAI-Perf, GuideLLM or llama-bench, silicon_sample.csv, or a table"
    " of serving results"
)
_MAX_RUNS = 100_000


def convert_results(source: SourceFile, options: EngineOptions, names: Mapping[str, str]) -> bytes:
    """Return the runs of a file as CSV with the columns of a file of serving results.

    Parameters
    ----------
    source
        The file.
    options
        What options say of runs whose file does not.
    names
        Names of the catalog's devices, and their ids, in lower case -> their ids.

    Raises
    ------
    InputError
        The file is broken or of no known format, or a value is missing that every run needs.
    """
    where = str(source.path)
    if source.path.suffix == ".csv":
        rows = read_table(source)
        columns = set(rows.columns)
        if columns >= SAMPLE_COLUMNS:
            return _write_rows(read_sample(rows, where, names))
        if not columns >= LLAMA_COLUMNS:
            return _fill_table(rows, options)
        runs = read_llama_table(rows, where, names)
    elif source.path.suffix == ".md":
        runs = read_llama_markdown(_decode(source), where, names)
    else:
        runs = _read_documents(source, names)
    if not runs:
        raise InputError(f"{where}: no runs; expected {_FORMATS}")
    if len(runs) > _MAX_RUNS:
        raise InputError(f"{where}: {len(runs)} runs; expected at most {_MAX_RUNS}")
    whole = [_finish_run(run, options, f"{where}: run {number}") for number, run in enumerate(runs, 1)]
    return _write_rows(pl.DataFrame(whole, infer_schema_length=None))


def _finish_run(run: Row, options: EngineOptions, where: str) -> Row:
    row = complete_run(run, options, where)
    if (share := row.pop("share_of_request_s", None)) is not None:
        row["request_s"] = share * row["concurrency"]
    row.setdefault("mode", "steady")
    return row


def _fill_table(rows: pl.DataFrame, options: EngineOptions) -> bytes:
    """Return a table of serving results with what options say in columns that it lacks, or has without a value."""
    given = options.given
    if options.model_id is not None:
        given |= {"model": options.model_id}
    plain = rows.rename({name: name.strip().lower() for name in rows.columns})
    filled = plain.with_columns(
        pl.coalesce(pl.col(name), pl.lit(str(value))) if name in plain.columns else pl.lit(str(value)).alias(name)
        for name, value in given.items()
    )
    return filled.write_csv().encode()


def _write_rows(rows: pl.DataFrame) -> bytes:
    return rows.select(name for name in COLUMNS if name in rows.columns).write_csv().encode()


def _decode(source: SourceFile) -> str:
    try:
        return source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source.path}: byte {error.start} is not UTF-8; expected a text file") from None


def _read_documents(source: SourceFile, names: Mapping[str, str]) -> list[Row]:
    where, runs = str(source.path), []
    for number, document in _parse_documents(_decode(source), source.path):
        place = where if number is None else f"{where}: line {number}"
        found = list_runs(document, place, names)
        if found is None:
            raise InputError(f"{place}: not recognized; expected {_FORMATS}")
        runs += found
    return runs


def _parse_documents(text: str, path: Path) -> Sequence[tuple[int | None, Any]]:
    """Return the documents of JSON, or of JSON Lines with the numbers of their lines."""
    try:
        return [(None, load_json(text, path))]
    except json.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(io.StringIO(text), 1) if line.strip()]
        if path.suffix == ".json" and error.msg != "Extra data":
            raise InputError(f"{path}: broken JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: broken JSON: {one_line(error)[:200]}") from None
    documents: list[tuple[int | None, Any]] = []
    for number, line in lines:
        try:
            documents.append((number, load_json(line, path)))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {number}: broken JSON: {one_line(error)[:200]}") from None
    return documents

"""Results in tables: llama-bench (CSV, Markdown), and the sample of aiconfigurator-core (CSV)."""

import re
from collections.abc import Iterator, Mapping

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.engines.devices import find_device
from flows.ingest.engines.json_results import MEAN_OF_DRAWN, Names, build_llama_run, read_llama_bench
from flows.ingest.engines.settings import Row
from warehouse.errors import InputError

LLAMA_COLUMNS = frozenset({"n_prompt", "n_gen", "avg_ns"})
SAMPLE_COLUMNS = frozenset({"backend", "model_path", "system", "isl", "osl", "silicon_ttft_ms", "silicon_tpot_ms"})

_TEST = re.compile(r"(pp|tg)(\d+)(?:\+tg(\d+))?(?: @ d(\d+))?")
_ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "trtllm"}
_COUNTS = (
    "isl", "osl", "batch_size", "tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size",
    "prefill_num_workers", "prefill_tp_size", "prefill_pp_size", "prefill_attention_dp_size", "prefill_moe_tp_size",
    "prefill_moe_ep_size", "decode_batch_size", "decode_num_workers", "decode_tp_size", "decode_pp_size",
    "decode_attention_dp_size", "decode_moe_tp_size", "decode_moe_ep_size",
)  # fmt: skip
_TIMES = ("silicon_ttft_ms", "silicon_tpot_ms")
_MAX_RATE = 1e12  # tokens a second
_ORIGIN = "NVIDIA, aiconfigurator-core, systems/silicon_sample.csv"


def read_llama_table(rows: pl.DataFrame, where: str, names: Names) -> list[Row]:
    """Return the tests of llama-bench in CSV."""
    found = enumerate(rows.iter_rows(named=True), 1)
    return [run for number, row in found for run in read_llama_bench(row, f"{where}: row {number}", names)]


def read_llama_markdown(text: str, where: str, names: Names) -> list[Row]:
    """Return the tests of the table that llama-bench prints; the speed of a test is its tokens a second."""
    return [run for row in _list_cells(text) for run in _read_markdown_row(row, where, names)]


def _list_cells(text: str) -> Iterator[Mapping[str, str]]:
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "test" in cells and "t/s" in cells:
            header = cells
        elif header and len(cells) == len(header) and not set(cells[0]) <= {"-", ":", " "}:
            yield dict(zip(header, cells, strict=True))


def _read_markdown_row(row: Mapping[str, str], where: str, names: Names) -> Iterator[Row]:
    test, speed = _TEST.fullmatch(row["test"]), row["t/s"].split("±")[0].strip()
    if test is None:
        raise InputError(f"{where}: test = {format_value(row['test'])}: expected one such as pp512 or tg128")
    try:
        rate = float(speed)
    except ValueError:
        rate = 0.0
    if not 0 < rate < _MAX_RATE:  # also what is no number
        raise InputError(f"{where}: t/s = {format_value(row['t/s'])}: expected a number above 0")
    first, further = int(test[2][:9]), int((test[3] or "0")[:9])
    prompt, output = (first, further) if test[1] == "pp" else (0, first)
    document = {"model_type": row.get("model"), "build_commit": None}
    yield build_llama_run(document, prompt, output, int((test[4] or "0")[:9]), (prompt + output) / rate, names)


def read_sample(rows: pl.DataFrame, where: str, names: Names) -> pl.DataFrame:
    """Return the runs of aiconfigurator-core's silicon_sample.csv.

    `mode` is agg or disagg, where prefill and decode have sides of their own; `attention_dp_size` is the number of
    replicas of attention, `moe_tp_size` and `moe_ep_size` share experts. Its batch is that of one replica.

    Parameters
    ----------
    rows
        The table, of strings.
    where
        The file, which messages name.
    names
        Names of the catalog's devices -> their ids.

    Raises
    ------
    InputError
        A device or an engine is unknown, or what must be a number is none.
    """
    table = _type_sample(rows, where)
    systems = {name: find_device(name, names) for name in table["system"].unique(maintain_order=True)}
    for name, known in systems.items():
        if known is None:
            raise InputError(f"{where}: system = {format_value(name)}: expected a device of the catalog")
    for name in table["backend"].unique(maintain_order=True):
        if name not in _ENGINES:
            raise InputError(f"{where}: backend = {format_value(name)}: expected one of {', '.join(_ENGINES)}")
    is_apart = pl.col("mode") == "disagg"
    side = {
        name: pl.when(is_apart).then(f"decode_{name}").otherwise(name)
        for name in ("batch_size", "tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    }
    replicas = _at_least_one(side["attention_dp_size"])
    stated = pl.col("silicon_data_source").str.extract(r"silicon_concurrency=(\d{1,9})\b").cast(pl.Int64)
    batches = (
        side["batch_size"] * replicas * pl.when(is_apart).then(_at_least_one(pl.col("decode_num_workers"))).otherwise(1)
    )
    # InferenceX's results, of which the file says `db-dump`, have lengths drawn at random
    is_drawn = pl.col("silicon_data_source").str.starts_with("db-dump")
    drawn = pl.when(is_drawn).then(MEAN_OF_DRAWN).otherwise(1.0)
    return table.select(
        engine=pl.col("backend"),
        engine_version=pl.col("backend_version"),
        hardware_id=pl.col("system").replace_strict(systems),
        model=pl.col("model_path"),
        precision=pl.coalesce("gemm_quant_mode", "precision"),
        mode=pl.when(is_apart).then(pl.lit("disaggregated")).otherwise(pl.lit("steady")),
        # a batch beside more requests than it holds is one of several replicas of the engine
        concurrency=pl.when(is_apart).then(pl.coalesce(stated, batches)).otherwise(pl.coalesce(batches, stated)),
        prompt_tokens=(pl.col("isl") * drawn).round().cast(pl.Int64),
        output_tokens=(pl.col("osl") * drawn).round().cast(pl.Int64),
        has_mean_lengths=is_drawn,
        tensor_parallel=side["tp_size"],
        pipeline_parallel=_at_least_one(side["pp_size"]),
        data_parallel=replicas,
        expert_parallel=_spread(side, replicas),
        **_prefill_side(is_apart),
        prefill_workers=pl.when(is_apart).then("prefill_num_workers"),
        decode_workers=pl.when(is_apart).then("decode_num_workers"),
        ttft_s=pl.col("silicon_ttft_ms") / 1e3,
        tpot_s=pl.col("silicon_tpot_ms") / 1e3,
        measured_at=pl.col("silicon_data_source").str.extract(r"measured=(\d{4}-\d\d-\d\d)"),
        method=pl.lit("as aiconfigurator-core collected it"),
        origin=pl.lit(_ORIGIN),
        license=pl.lit("Apache-2.0"),
    )


def _prefill_side(is_apart: pl.Expr) -> dict[str, pl.Expr]:
    side = {
        name: pl.col(f"prefill_{name}")
        for name in ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    }
    replicas = _at_least_one(side["attention_dp_size"])
    columns = {
        "tensor_parallel": side["tp_size"],
        "pipeline_parallel": _at_least_one(side["pp_size"]),
        "data_parallel": replicas,
        "expert_parallel": _spread(side, replicas),
    }
    return {f"prefill_{name}": pl.when(is_apart).then(of) for name, of in columns.items()}


def _at_least_one(number: pl.Expr) -> pl.Expr:
    """Return a degree of sharing; what is absent, or 0, is not shared so."""
    return pl.max_horizontal(number.fill_null(1), 1)


def _spread(side: Mapping[str, pl.Expr], replicas: pl.Expr) -> pl.Expr:
    """Return the devices that whole experts are spread over; null if they are shared otherwise, or it is not told.

    Experts that only tensor parallelism shares are spread over one device. A product of `moe_tp_size` and `moe_ep_size`
    that is not the number of devices says nothing of experts: dense models have 1 and 1.
    """
    devices, split, spread = side["tp_size"] * replicas, side["moe_tp_size"], side["moe_ep_size"]
    is_whole = (split == 1) & (spread == devices)
    is_split = (spread == 1) & (split == side["tp_size"]) & (replicas == 1)
    return pl.when(is_split).then(1).when(is_whole).then(spread)


def _type_sample(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    missing = [
        name
        for name in (*_COUNTS, "silicon_data_source", "mode", "precision", "gemm_quant_mode")
        if name not in rows.columns
    ]
    if missing:
        raise InputError(f"{where}: no column {missing[0]}; expected silicon_sample.csv of aiconfigurator-core 0.12")
    rows = rows.with_columns(pl.all().str.strip_chars().replace("", None))
    typed = rows.with_columns(
        *(pl.col(name).cast(pl.Int64, strict=False) for name in _COUNTS),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in _TIMES),
    )
    for name in (*_COUNTS, *_TIMES):
        wrong = typed[name].is_null() & rows[name].is_not_null()
        if wrong.any():
            row = wrong.arg_max() or 0
            raise InputError(f"{where}: row {row + 1}: {name} = {format_value(rows[name][row])}: expected a number")
    for name in ("backend", "system", "mode", "model_path"):
        if typed[name].null_count():
            raise InputError(
                f"{where}: row {(typed[name].is_null().arg_max() or 0) + 1}: {name}: missing; expected a value"
            )
    return typed

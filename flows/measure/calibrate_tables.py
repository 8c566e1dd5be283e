"""Calibrated roofs, fitted to the tables of measured kernels in the package `aiconfigurator-core`.

A kind of kernel, dtype and launch of a device is fitted to what one framework measured, in its latest version: the
first of TensorRT-LLM, vLLM and SGLang that has it; of attention vLLM comes first, and of products SGLang, whose kernels
do nothing else. NCCL and oneCCL stand for the collectives that no framework has of its own. Left out are kernels that a
cache served (`_drop_warm`), and what differs from the roof's op: weights of another dtype than activations, sliding
windows, and experts whose tokens are spread unevenly.

An engine runs both products of its experts in one kernel, with what moves tokens there and back. They count as two
equal ones, each with half of the work and of the time, so that the launch is not counted twice in a step.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.ingest.document import format_value, read_document
from flows.ingest.entry import inspect_file
from flows.ingest.limits import silence_panics
from flows.ingest.profiles.aiconfigurator import BALANCED, TABLES, find_device, names_device, read_kernels
from flows.ingest.readers.calibration import CalibrationFile
from flows.intensity.calibration import COLLECTIVES, calibrate_measurements
from flows.measure.calibrate import format_calibrations
from warehouse.errors import InputError, explain_write_error, one_line
from warehouse.files.atomic import write_file
from warehouse.home import Home
from warehouse.polars_frames import read_frame, register_frame
from warehouse.snapshot import open_snapshot, refuse_earlier_version
from warehouse.sql_files import load_sql

PACKAGE = "aiconfigurator-core"
GREATEST_ERROR = 0.4  # of kernels held out: a roof that errs more says less than the device's relative does
_PRODUCT_FORMS = ("plain", "sustained", "streams")  # the others take long and are seldom chosen
_MOST_ROWS = 400  # that a fit looks at, spread evenly over the sorted ones
_FEWEST_ROWS = 50  # of a table that is preferred to others
_FRAMEWORKS = ("trtllm", "vllm", "sglang")
# kernels that do nothing else: TensorRT-LLM's products of 8 and 4 bits contain the conversion of their inputs, which is
# an op of its own, and its attention the rotation of queries and the write to the cache
_FRAMEWORKS_OF = {
    "gemm_perf.parquet": ("sglang", "trtllm", "vllm"),
    "context_attention_perf.parquet": ("vllm", "trtllm", "sglang"),
    "generation_attention_perf.parquet": ("vllm", "trtllm", "sglang"),
}
_COPIES = 6  # of a weight that the collector takes turns with, so that smaller ones alone stay in a cache
_SHORTEST_S = 5e-7  # the time of a kernel that moves less does not show where its bytes come from
_DRAM_SHARE = 0.95  # of its bandwidth, which no DRAM reaches
_LARGEST_HEAD = 256  # elements; larger ones are taken for latents
_LARGEST_CACHE = 128 * 2**20  # if a device's own is not known
_KEY = ["hardware_id", "op_kind", "dtype", "launch"]
# variant of a table -> the dtype of the roof that its rows are fitted to. With keys and values of 8 bits, engines
# multiply in fp8 in decode too, whatever the table calls the dtype of the queries
_VARIANTS = {
    "linear": {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8", "nvfp4": "fp4", "sq": "int8"},
    "attention": {"bfloat16 bfloat16": "bf16", "float16 float16": "fp16", "fp8 fp8": "fp8", "bfloat16 fp8": "fp8"},
    "exchange": {"half": "bf16", "bfloat16": "bf16"},
}
_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("hardware_id", "kind", "op", "phase", "dtype", "launch", "level", "source_id"), pl.String),
    **dict.fromkeys(
        ("m", "k", "n", "batch_size", "sequence_length", "query_length", "heads", "kv_heads", "head_dim"), pl.Int64
    ),
    "tensor_parallel": pl.Int64,
    **dict.fromkeys(("matrices", "flops", "bytes", "latency_s"), pl.Float64),
    "variant": pl.String,
    "rank": pl.List(pl.Int64),
}


@dataclass(frozen=True)
class TableFit:
    """What was fitted to a package.

    Attributes
    ----------
    path
        The file of calibrations.
    rows
        One row per roof.
    dropped
        The same of those that predict kernels held out too badly to be written.
    """

    path: Path
    rows: pl.DataFrame
    dropped: pl.DataFrame


def calibrate_tables(home: Home, folder: Path, hardware_ids: Sequence[str] = (), out: Path | None = None) -> TableFit:
    """Fit roofs to the tables of an unzipped `aiconfigurator-core`, and write them beside those that the file has.

    Parameters
    ----------
    home
        The home, whose snapshot has the devices and their ceilings.
    folder
        The folder that the wheel was unzipped into.
    hardware_ids
        The devices; by default all that have tables, but not those that the home has measurements of.
    out
        The file to write: `catalog/calibrations.toml` of the home by default. Its other calibrations stay. What another
        source measured of a device, kind and dtype is not fitted.

    Raises
    ------
    InputError
        The folder is no such package, a table is broken, a device has none, there is no snapshot or an earlier version
        made it, the extra `calibrate` is not installed, or the file cannot be written.
    """
    edition = _read_edition(folder)
    tables = _find_tables(folder)
    path = out or home.catalog / "calibrations.toml"
    present = _read_present(path)
    with open_snapshot(home.snapshot) as connection:
        refuse_earlier_version(connection)
        measured = read_frame(connection, "select distinct hardware_id from core.measurement")["hardware_id"].to_list()
        own = read_frame(connection, load_sql("calibration/own"))
        chosen = list(hardware_ids) or sorted(set(tables) - set(measured))
        for hardware_id in chosen:
            if hardware_id not in tables:
                expected = ", ".join(sorted(tables)) or "none"
                raise InputError(
                    f"--hardware-id: {format_value(hardware_id)}: no table in {folder}; expected one of {expected}"
                )
        rows = pl.concat([_read_device(hardware_id, tables[hardware_id]) for hardware_id in chosen])
        with register_frame(connection, "table_kernel", rows.drop("rank", "variant")):
            kernels = read_frame(connection, load_sql("calibration/table_kernels"))
    sampled = _sample(_drop_warm(_drop_own(kernels, own)))
    fitted = calibrate_measurements(sampled, _PRODUCT_FORMS, most_of_peak=1.0)
    if fitted.is_empty():
        raise InputError(f"{folder}: too few kernels; expected at least 10 of a device, kind of op and dtype")
    fitted = fitted.with_columns(
        origin=pl.format(f"NVIDIA AIConfigurator, {edition}: {{}}", "source_id").str.slice(0, 400)
    ).sort(_KEY)
    is_good = (pl.col("holdout_mape") <= GREATEST_ERROR).fill_null(value=False)
    good = fitted.filter(is_good)
    _write(path, _merge(present, good, chosen))
    return TableFit(path, good, fitted.filter(~is_good))


def _read_edition(folder: Path) -> str:
    """Return the package with its version and licence; refuse a folder that holds another one, or none."""
    expected = f"expected the folder that the wheel of {PACKAGE} was unzipped into"
    if not folder.is_dir():
        raise InputError(f"--from-aiconfigurator: {folder}: not a folder; {expected}")
    for path in sorted(folder.glob("*.dist-info/METADATA")):
        try:
            head = path.read_text("utf-8").partition("\n\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {one_line(error)}; {expected}") from None
        fields = dict(line.partition(": ")[::2] for line in head.splitlines())
        if fields.get("Name") == PACKAGE:
            version, licence = fields.get("Version", ""), fields.get("License-Expression", "")
            if not re.fullmatch(r"[\w.+-]{1,40}", version) or not re.fullmatch(r"[\w.+ -]{1,60}", licence):
                raise InputError(f"{path}: no Version and License-Expression; {expected}")
            return f"{PACKAGE} {version} ({licence})"
    raise InputError(f"--from-aiconfigurator: {folder}: no *.dist-info/METADATA of {PACKAGE}; {expected}")


def _find_tables(folder: Path) -> dict[str, list[Path]]:
    """Return the tables of each device that the catalog may know."""
    found: dict[str, list[Path]] = {}
    with silence_panics():
        for path in sorted(folder.glob("*/systems/data/*/*/*/*/*.parquet")):
            if path.name in TABLES:
                source = inspect_file(path, "measurement")
                hardware_id = find_device(source) if names_device(source) else None
                if hardware_id is not None:
                    found.setdefault(hardware_id, []).append(path)
    if not found:
        raise InputError(
            f"--from-aiconfigurator: {folder}: no table of a known device; expected"
            f" */systems/data/SYSTEM/OP/FRAMEWORK/VERSION/{TABLES[0]} or another of {', '.join(TABLES[1:])}"
        )
    return found


def _read_device(hardware_id: str, paths: Sequence[Path]) -> pl.DataFrame:
    """Return the kernels of a device that roofs are fitted to."""
    frames = []
    with silence_panics():
        for path in paths:
            try:
                rows = read_kernels(inspect_file(path, "measurement"), hardware_id).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise InputError(
                    f"{path}: not a table of AIConfigurator: {one_line(error)[:200]}; expected one of {PACKAGE}"
                ) from None
            framework, version = path.parts[-3], path.parts[-2]
            order = _FRAMEWORKS_OF.get(path.name, _FRAMEWORKS)
            place = order.index(framework) if framework in order else len(order)
            newest = [-int(number) for number in re.findall(r"\d{1,9}", version)]
            given = [*rows.columns, "source_id", "rank"]
            missing = [pl.lit(None, dtype).alias(name) for name, dtype in _COLUMNS.items() if name not in given]
            frames.append(
                rows.with_columns(
                    *missing,
                    source_id=pl.lit(f"{framework} {version} ({path.name})"),
                    rank=pl.lit([place, *newest], pl.List(pl.Int64)),
                ).select(pl.col(name).cast(dtype) for name, dtype in _COLUMNS.items())
            )
    rows = pl.concat(frames).with_columns(
        pl.col("tensor_parallel", "matrices").fill_null(1), level=pl.col("level").fill_null("dram")
    )
    sound = rows.filter(
        (pl.col("latency_s") > 0) & (pl.col("bytes") > 0), pl.col("latency_s", "bytes", "flops").is_finite()
    )
    return pl.concat(
        [_choose(part) for part in _name_roofs(sound).partition_by("kind", "op", "phase", "dtype", "launch")]
    )


def _name_roofs(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that have a roof, with its dtype and the place of their table among those of the roof."""
    is_mixture, is_exchange = pl.col("kind") == "mixture", pl.col("level") == "interconnect"
    first = pl.col("variant").str.split(" ").list.first()
    dtype = pl.coalesce(
        pl.when(of).then(variant.replace_strict(_VARIANTS[kind], default=None, return_dtype=pl.String))
        for kind, of, variant in (
            ("linear", is_mixture | (pl.col("kind") == "linear"), first),
            ("attention", pl.col("kind") == "attention", pl.col("variant")),
            ("exchange", is_exchange, pl.col("variant")),
        )
    )
    # latents of 8 bits have no prompt beside them; heads of 512 have no latents, whatever their size looks like
    is_latent = pl.col("op") == "latent_attention"
    is_odd = pl.when(is_latent).then(pl.col("dtype") == "fp8").otherwise(pl.col("head_dim") > _LARGEST_HEAD)
    halves = [pl.when(is_mixture).then(pl.col(name) / 2).otherwise(name).alias(name) for name in ("flops", "bytes")]
    named = rows.with_columns(
        dtype=dtype,
        # scales of blocks come last
        rank=pl.concat_list(
            # engines start their own all-reduce from graphs; what a program starts is the library's
            (is_exchange & (pl.col("launch") == "eager") & pl.col("source_id").str.contains("custom")).cast(pl.Int64),
            "rank",
            (first == "fp8_block").cast(pl.Int64),
        ),
    ).filter(
        pl.col("dtype").is_not_null(),
        ~is_odd.fill_null(value=False),
        ~is_mixture | pl.col("variant").str.ends_with(f" {BALANCED}"),
    )
    products = named.with_columns(
        *halves,
        latency_s=pl.when(is_mixture).then(pl.col("latency_s") / 2).otherwise("latency_s"),
        n=pl.when(is_mixture)
        .then((pl.col("flops") / (4 * pl.col("m") * pl.col("k"))).ceil().clip(1).cast(pl.Int64))
        .otherwise("n"),
        op=pl.when(is_mixture).then(pl.lit("expert_products")).otherwise("op"),
        kind=pl.when(is_mixture).then(pl.lit("linear")).otherwise("kind"),
        # what is held out together
        setting=pl.when(is_latent & (pl.col("kv_heads") == 1))
        .then(pl.col("batch_size").cast(pl.String))
        .when(pl.col("kind") == "attention")
        .then(pl.format("{} {} {}", "heads", "kv_heads", "head_dim"))
        .when(is_exchange)
        .then(pl.col("n").cast(pl.String)),
    )
    # the products of one expert run another kernel, and this would name them among single products
    return products.filter((pl.col("op") != "expert_products") | (pl.col("matrices") > 1)).with_columns(
        kind=pl.when(pl.col("op") == "expert_products").then(pl.lit("mixture")).otherwise("kind")
    )


def _choose(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the first table that has at least as many as a fit needs, of those with one roof."""
    counted = rows.group_by("rank").agg(pl.len()).sort("len", descending=True)
    enough = counted.filter(pl.col("len") >= min(_FEWEST_ROWS, counted["len"][0]))
    best = min(enough["rank"].to_list())
    return rows.filter(pl.col("rank") == pl.lit(best, pl.List(pl.Int64))).with_columns(
        kind=pl.when(pl.col("kind") == "mixture").then(pl.lit("linear")).otherwise("kind")
    )


def _drop_own(kernels: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Return kernels of what no other source measured; 16 bits are 16 bits."""
    alike = pl.col("dtype").replace("fp16", "bf16")
    known = own.select("hardware_id", kind="op_kind", alike=alike).unique()
    return kernels.with_columns(alike=alike).join(known, on=["hardware_id", "kind", "alike"], how="anti").drop("alike")


def _drop_warm(kernels: pl.DataFrame) -> pl.DataFrame:
    """Return kernels without those that a cache served: the memory-bound ones that fit it, or beat the DRAM."""
    moved_s = pl.col("bytes") / pl.col("bandwidth_bytes_per_s")
    is_bound = moved_s > pl.col("flops") / pl.col("peak_flops_per_s")
    copies = pl.when(pl.col("kind") == "linear").then(_COPIES).otherwise(1)
    fits = pl.col("bytes") * copies <= pl.col("l2_bytes").fill_null(_LARGEST_CACHE)
    is_warm = is_bound & ((fits & (moved_s > _SHORTEST_S)) | (moved_s > _DRAM_SHARE * pl.col("latency_s")))
    return kernels.filter(~is_warm | pl.col("kind").is_in(COLLECTIVES))


def _sample(kernels: pl.DataFrame) -> pl.DataFrame:
    """Return at most so many kernels of each roof, spread evenly over the sorted ones."""
    key = ["hardware_id", "kind", "dtype", "launch"]
    ordered = kernels.sort(*key, "flops", "bytes", "latency_s")
    place, count = pl.int_range(pl.len()).over(key), pl.len().over(key)
    taken = (place * _MOST_ROWS // count) != ((place - 1) * _MOST_ROWS // count)
    return ordered.filter(taken | (count <= _MOST_ROWS) | (place == 0))


def _read_present(path: Path) -> CalibrationFile:
    """Return the calibrations that a file has; none if there is no file."""
    if not path.exists():
        return CalibrationFile(calibration=[])
    return read_document(inspect_file(path, "calibration"), CalibrationFile)


def _merge(present: CalibrationFile, fitted: pl.DataFrame, hardware_ids: Sequence[str]) -> str:
    """Return the text of a file with its calibrations and the fitted ones, which replace those of the same devices."""
    stale = [
        each
        for each in present.calibration
        if each.hardware_id in hardware_ids and each.origin.startswith(f"NVIDIA AIConfigurator, {PACKAGE}")
    ]
    new = set(fitted.select(_KEY).iter_rows())
    kept = [
        each
        for each in present.calibration
        if each not in stale and tuple(getattr(each, name) for name in _KEY) not in new
    ]
    rows = pl.concat(
        [pl.DataFrame([each.model_dump() for each in kept], infer_schema_length=None), fitted], how="diagonal_relaxed"
    )
    steps = pl.DataFrame([each.model_dump() for each in present.step], infer_schema_length=None)
    return format_calibrations(rows, steps)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())
    except OSError as error:
        raise explain_write_error(path, error, "a file") from None

"""Which lines the ceilings of a device are, and how each is labelled."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from charts.axes import PERFORMANCE
from charts.label_layout import ELLIPSIS, shorten_text
from charts.levels import name_level

Row = dict[str, Any]
_KEY = ("layer", "level", "dtype", "basis", "origin", "pipe", "accumulator", "ceiling_name")  # of a ceiling
_LEAST_TERA = 1e11
_PUBLISHED = "datasheet"
_BESIDE = ("measured", "counter")  # bases whose ceilings the label of a published one names
_WIDEST_REMARK = 190  # pixels
_SIZE = 12
_ALIKE = 20  # dtypes whose measured ceilings differ by less than a twentieth of a decade share a label
_NEAR = 2  # a measured bandwidth further below the published one than this has its own label


def label_ceilings(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a roofline, with its compute and bandwidth ceilings made lines that have a `label`.

    Dtypes with the same ceiling share a line. A measured ceiling, or one of counters, is named in the label of the
    published one, and its own line has no label.

    Parameters
    ----------
    frame
        Rows of the layers `peak` and `bandwidth`, of one device and with their `vertex`; other rows stay as they are.

    Returns
    -------
    The rows, with the column `beside`: the values of the ceilings that the label names besides its own.
    """
    is_ceiling = pl.col("layer").is_in(["peak", "bandwidth"])
    peaks, slopes = (
        frame.filter(layer="peak", vertex=3).to_dicts(),
        frame.filter(layer="bandwidth", vertex=1).to_dicts(),
    )
    lines = [*_label_peaks(peaks), *_label_slopes(slopes)]
    if not lines:
        return frame
    labelled = pl.DataFrame(lines, infer_schema_length=None, schema_overrides={"beside": pl.List(pl.Float64)})
    drawn = frame.filter(is_ceiling).drop("label", "is_main").join(labelled, on=_KEY, how="inner", nulls_equal=True)
    drawn = drawn.with_columns(pl.coalesce("dtypes", "dtype").alias("dtype")).drop("dtypes")
    return pl.concat([frame.filter(~is_ceiling), drawn], how="diagonal")


def label_roofs(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a roofline of several devices, each roof with a `label` of device, dtype, peak and bandwidths.

    Roofs of one device with the same peak share the label, which the first of them has.
    """
    roofs = frame.filter(layer="roof", vertex=3).sort("level_rank", "dtype", descending=[True, False]).to_dicts()
    shared: dict[tuple[str, str, float], list[Row]] = defaultdict(list)
    for roof in roofs:
        shared[roof["hardware"], roof["dtype"], roof["peak_flops_per_s"]].append(roof)
    labels = [
        {
            "hardware": device, "dtype": dtype, "level": alike[0]["level"], "peak_flops_per_s": peak,
            "label": f"{device} · {dtype} {format_rate(peak, 'OP/s' if is_integer(dtype) else 'FLOP/s')} · "
            + ", ".join(_write_bandwidth(roof) for roof in alike),
        }
        for (device, dtype, peak), alike in shared.items()
    ]  # fmt: skip
    if not labels:
        return frame
    keys = ["hardware", "dtype", "level", "peak_flops_per_s"]
    return frame.drop("label").join(pl.DataFrame(labels), on=keys, how="left", nulls_equal=True)


def format_rate(value: float, unit: str = "FLOP/s") -> str:
    """Return a rate in tera, or in giga if it is small, e.g. "989.4 TFLOP/s"."""
    return f"{value / 1e12:,.5g} T{unit}" if value >= _LEAST_TERA else f"{value / 1e9:,.4g} G{unit}"


def is_integer(dtype: str) -> bool:
    """Return whether arithmetic in a dtype is counted in operations rather than FLOP."""
    return dtype.startswith("int")


def _label_peaks(ceilings: Sequence[Row]) -> Iterator[Row]:
    """Yield one row per line of compute ceilings: the key of one that stands for all, and the label of the line."""
    remarks = [_remark(ceiling, ceilings) for ceiling in ceilings]
    beside = _find_published(ceilings, _is_published_peak)
    lines = defaultdict(list)
    for i, ceiling in enumerate(ceilings):
        named = [ceilings[j] for j, published in beside.items() if published == i]
        alike = tuple(
            max((round(_ALIKE * math.log10(row[PERFORMANCE])) for row in named if row["basis"] == basis), default=None)
            for basis in _BESIDE
        )
        lines[ceiling[PERFORMANCE], ceiling["basis"], ceiling["pipe"], remarks[i], alike].append((i, named))
    for (value, basis, pipe, remark, _), members in lines.items():
        rows = [ceilings[i] for i, _ in members]
        dtypes = ", ".join(sorted({row["dtype"] for row in rows}))
        others = [row for _, named in members for row in named]
        unit = "OP/s" if all(is_integer(row["dtype"]) for row in rows) else "FLOP/s"
        # an origin that is named says by itself what was measured
        is_plain = basis == _PUBLISHED or rows[0]["origin"] in remark or ELLIPSIS in remark
        words = [f"{dtypes} · {format_rate(value, unit)}", pipe, "" if is_plain else _write_basis(basis)]
        notes = [" ".join(word for word in words if word), remark, *_write_others(others, format_rate(value, unit))]
        is_named = all(i in beside for i, _ in members)
        yield {
            **_find_key(rows[0]), "dtypes": dtypes, "is_main": any(row["is_main"] for row in rows),
            "beside": sorted({row[PERFORMANCE] for row in others}),
            "label": "" if is_named else ", ".join(note for note in notes if note),
        }  # fmt: skip


def _label_slopes(ceilings: Sequence[Row]) -> Iterator[Row]:
    """Yield one row per bandwidth ceiling: its key, and its label, which names the level if there are several."""
    has_levels = len({ceiling["level"] for ceiling in ceilings}) > 1
    beside = _find_published(ceilings, _is_published_slope)
    seen = set()
    for i, ceiling in enumerate(ceilings):
        level, basis, bandwidth = ceiling["level"], ceiling["basis"], _find_bandwidth(ceiling)
        if (level, basis, bandwidth) in seen:
            continue
        seen.add((level, basis, bandwidth))
        named = {(row["basis"], _find_bandwidth(row)) for row in (ceilings[j] for j, of in beside.items() if of == i)}
        text = f"{bandwidth / 1e9:,.5g} GB/s" + ("" if basis == _PUBLISHED else f" {_write_basis(basis)}")
        for of in _BESIDE:
            text += "".join(
                f", {of} {value / 1e9:,.5g}" for value in sorted(value for each, value in named if each == of)
            )
        label = f"{name_level(level)} {text}" if has_levels or level != "dram" else text
        yield {**_find_key(ceiling), "is_main": ceiling["is_main"], "label": "" if i in beside else label}


def _find_published(ceilings: Sequence[Row], is_published: Callable[[Row, Row], bool]) -> Mapping[int, int]:
    """Return for each ceiling of `_BESIDE` that has a published one which that is: the one of its pipe first."""
    found = {}
    for i, measured in enumerate(ceilings):
        published = [
            (row["pipe"] != measured["pipe"], not row["is_default"], -row[PERFORMANCE], j)
            for j, row in enumerate(ceilings)
            if row["basis"] == _PUBLISHED and is_published(measured, row)
        ]
        if measured["basis"] in _BESIDE and published and not measured["ceiling_name"]:
            found[i] = min(published)[-1]
    return found


def _is_published_peak(measured: Row, published: Row) -> bool:
    return published["dtype"] == measured["dtype"] and measured["pipe"] in {"", published["pipe"]}


def _is_published_slope(measured: Row, published: Row) -> bool:
    near = 1 / _NEAR < _find_bandwidth(measured) / _find_bandwidth(published) < _NEAR
    return published["level"] == measured["level"] and near


def _remark(ceiling: Row, ceilings: Sequence[Row]) -> str:
    """Return what tells a compute ceiling from others of its dtype: accumulator, own name, or else its origin."""
    alike = [row for row in ceilings if all(row[name] == ceiling[name] for name in ("dtype", "basis", "pipe"))]
    twins = [row for row in alike if all(row[name] == ceiling[name] for name in ("accumulator", "ceiling_name"))]
    notes = [ceiling["ceiling_name"]]
    if ceiling["accumulator"] and len({row["accumulator"] for row in alike}) > 1:
        notes.insert(0, f"{ceiling['accumulator']} accumulation")
    if len({row[PERFORMANCE] for row in twins}) > 1:
        notes.append(shorten_text(ceiling["origin"], _WIDEST_REMARK, _SIZE))
    return ", ".join(note for note in notes if note)


def _write_others(others: Sequence[Row], published: str) -> Iterator[str]:
    """Yield "measured 794.3" for the ceilings of each basis that a line names, in the unit of the published one."""
    scale = 1e12 if " T" in published else 1e9
    bases = {row["basis"] for row in others}
    for basis in _BESIDE:
        if values := sorted(row[PERFORMANCE] for row in others if row["basis"] == basis):
            # two ranges are too long
            ends = (values[0], values[-1]) if len(bases) == 1 else (values[-1],)
            yield f"{basis} {'–'.join(dict.fromkeys(f'{value / scale:,.4g}' for value in ends))}"


def _write_basis(basis: str) -> str:
    return f"({basis.replace('_', ' ')})"


def _write_bandwidth(roof: Row) -> str:
    bandwidth = f"{_find_bandwidth(roof) / 1e9:,.5g} GB/s"
    return bandwidth if roof["level"] == "dram" else f"{name_level(roof['level'])} {bandwidth}"


def _find_bandwidth(slope: Row) -> float:
    return float(slope["bandwidth_bytes_per_s"])


def _find_key(ceiling: Row) -> Row:
    return {name: ceiling[name] for name in _KEY}

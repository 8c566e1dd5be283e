"""What a roofline in the house style says in its title and below it."""

import polars as pl

from charts.label_layout import shorten_text
from charts.levels import name_level
from charts.summaries import format_time, is_profile, summarize_kernels, summarize_points, summarize_profile

_NOT_DRAWN = {
    "zero": "of 0 FLOP",
    "null": "null",
    "negative": "negative",
    "infinite": "infinite",
    "not a number": "NaN",
    "no roof": "without a roof",
}
_MOST_NAMES = 3
_WIDEST_NAME, _WIDEST_DEVICE, _SIZE = 170, 240, 12  # pixels


def compose_title(frame: pl.DataFrame, points: pl.DataFrame) -> str:
    """Name the device, or several, and say what its points show."""
    names = frame["hardware"].unique(maintain_order=True)
    devices = [shorten_text(name, _WIDEST_DEVICE, _SIZE) for name in names]
    subject = ", ".join(devices) if len(devices) <= _MOST_NAMES else f"{len(devices)} devices"
    finding = _describe_ridge(frame) if points.is_empty() else _summarize(points)
    if is_profile(points):
        finding = summarize_profile(_list_kernels(frame))
    return f"{subject}: {finding}"


def compose_subtitle(frame: pl.DataFrame, points: pl.DataFrame, left_out: int) -> list[str]:
    """Say what the points are, which roofs they are held against, and what is not drawn or above its roof.

    Parameters
    ----------
    frame
        All rows of the chart.
    points
        Those that are drawn as points.
    left_out
        Number of ceilings without a label.
    """
    lines = [_describe_points(points), *_describe_marks(points), _describe_roofs(frame, points, left_out)]
    if is_profile(points):
        lines.insert(0, _describe_profile(_list_kernels(frame)))
    lines += [_count_not_drawn(frame, points), _describe_above(points)]
    return [line for line in lines if line]


def _list_kernels(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the kernels of a profile, those that are not drawn too."""
    return frame.filter(pl.col("time_share").is_not_null())


def _describe_profile(kernels: pl.DataFrame) -> str:
    """Say which kernel of a profile has the most headroom, and what the marks are."""
    name = shorten_text(kernels["profile"][0], _WIDEST_DEVICE, _SIZE)
    known = kernels.filter(pl.col("headroom_s") > 0).sort("headroom_s", "label", descending=[True, False])
    what = f"Profile {name}. Area of a mark: its share of the time"
    for worst in known.head(1).iter_rows(named=True):
        kernel = shorten_text(worst["label"], _WIDEST_NAME, _SIZE)
        reach = f"at {worst['share_of_roof']:.0%} of its roof"
        what += f". Most headroom: {kernel}, {format_time(worst['headroom_s'])} ({reach})"
    covered = kernels["covered_share"][0]
    return what if covered is None else f"{what}. These kernels are {covered:.1%} of the device's time"


def _describe_ridge(frame: pl.DataFrame) -> str:
    ridge = frame.filter(layer="ridge").row(0, named=True)
    return f"compute-bound in {ridge['dtype']} from {ridge['ridge_flops_per_byte']:.3g} FLOP/byte"


def _summarize(points: pl.DataFrame) -> str:
    """Summarize a model's points by phase, and others by number; if some were measured, those."""
    points = points.filter(layer="measured") if "measured" in points["layer"] else points
    if points["phase"].null_count() or points["model"].null_count():
        return summarize_kernels(points)
    return summarize_points(points) or summarize_kernels(points)


def _describe_points(points: pl.DataFrame) -> str:
    """Say whose points they are, at which setting, and whether they were computed or measured."""
    if points.is_empty():
        return ""
    model, precision = points.select("model", "precision_id").row(0)
    kinds = set(points["layer"])
    source = _name_source(points) if "measured" in kinds else ""
    if model is None:
        return f"Filled: measured ({source})" if "measured" in kinds else "Points of a query"
    batch, sequence, devices = points.select("batch_size", "sequence_length", "tensor_parallel").row(0)
    setting = "" if batch is None else f", batch {batch}, sequence {sequence}"
    setting += f", one of {devices} devices (tensor parallel)" if (devices or 1) > 1 else ""
    dtypes = points["dtype"].drop_nulls().unique().sort().to_list()
    subject = f"{model} in {', '.join(dtypes) if batch is None else precision}{setting}"
    if "measured" in kinds:
        return f"{subject}. Filled: measured ({source})"
    return f"{subject}, computed from shapes" if "computed" in kinds else subject


def _name_source(points: pl.DataFrame) -> str:
    sources: list[str] = points["source"].drop_nulls().unique().sort().to_list()
    return sources[0].split(", cuda-event")[0] + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")


def _describe_marks(points: pl.DataFrame) -> list[str]:
    if "predicted" in points["layer"]:
        return ["Dotted: predicted by a calibrated roof. Lines: headroom to the roof"]
    if points["kernel"].count():
        return ["A line joins the points of one kernel at several levels"]
    return []


def _describe_roofs(frame: pl.DataFrame, points: pl.DataFrame, left_out: int) -> str:
    """Say which roofs are solid, and where they come from."""
    roofs = frame.filter(layer="roof", vertex=3).sort("dtype", "level_rank", "hardware")
    dashed = frame.filter(pl.col("layer").is_in(["peak", "bandwidth"]) & ~pl.col("is_main"))
    others = "" if dashed.is_empty() else "; dashed: other ceilings"
    others += f", {left_out} of them only in the table" if left_out else ""
    lost = points.filter(pl.col("attainable_flops_per_s").is_null()).drop_nulls("dtype").sort("dtype", "level")
    names = _list_some([_name_roof({**row, "pipe": row["pipe"] or ""}) for row in lost.iter_rows(named=True)])
    unknown = f". No roof of {names} is known" if names else ""
    if roofs.is_empty():
        return f"No roof of the points is known{others}"
    if len(roofs) > 1:
        names = _list_some([_name_roof(row) for row in roofs.iter_rows(named=True)])
        return f"Solid: the roofs that the points are held against ({names}){others}{unknown}"
    (roof,) = roofs.iter_rows(named=True)
    return f"Solid: the {_name_roof(roof)} roof, basis {roof['basis']} ({roof['origin']}){others}{unknown}"


def _name_roof(roof: dict[str, str]) -> str:
    return f"{roof['dtype']} {roof['pipe']}".strip() + (
        "" if roof["level"] == "dram" else f" {name_level(roof['level'])}"
    )


def _list_some(names: list[str]) -> str:
    """Return names, but of many only the first ones and how many there are."""
    unique = list(dict.fromkeys(names))
    shown = unique[: 2 * _MOST_NAMES]
    return ", ".join(shown) + (f" and {len(unique) - len(shown)} more" if len(unique) > len(shown) else "")


def _count_not_drawn(frame: pl.DataFrame, points: pl.DataFrame) -> str:
    """Say how many rows have no place on a logarithmic chart, and why."""
    reasons = frame.filter(layer="not drawn")["not_drawn"]
    counts = reasons.value_counts().sort("count", "not_drawn", descending=[True, False]).iter_rows()
    parts = [f"{count:,} {_NOT_DRAWN[reason]}" for reason, count in counts]
    of = f"{len(reasons):,} of {len(reasons) + len(points):,} rows"
    return f"Not drawn, as they have no place on these axes: {of} ({', '.join(parts)})" if parts else ""


def _describe_above(points: pl.DataFrame) -> str:
    """Name the points above their roof and the cause, if they are few, or else count them by cause."""
    above = points.filter("is_above_roof")
    if above.is_empty():
        return ""
    causes = above["likely_cause"].fill_null("not known")
    if len(above) <= _MOST_NAMES:
        names = (shorten_text(name, _WIDEST_NAME, _SIZE) for name in above["label"])
        parts = [f"{name} (cause: {cause})" for name, cause in zip(names, causes, strict=True)]
    else:
        counts = causes.value_counts(name="n").sort("n", "likely_cause", descending=[True, False])
        parts = [f"{count} (cause: {cause})" for cause, count in counts.iter_rows()]
    return f"Ringed: {len(above):,} of {len(points):,} points above the roof: {', '.join(parts)}"

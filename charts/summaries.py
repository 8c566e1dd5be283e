"""What the points of a roofline show, in one sentence."""

import polars as pl

from charts.ceilings import name_level
from charts.label_layout import shorten_text

_PHASES = ("prefill", "decode", "speculative")
_MOST_NAMES = 3
_WIDEST_NAME, _SIZE = 170, 12


def summarize_grid(points: pl.DataFrame) -> str:
    """Summarize points at many settings: the compute-bound share of each phase.

    Unless all points are computed, summarize the most frequent kind instead, as `summarize_points` does.
    """
    if points["layer"].unique().to_list() != ["computed"]:
        most = points["layer"].mode().sort().first()
        return summarize_points(points.filter(layer=most))
    shares = points.group_by("phase").agg((pl.col("bound") == "compute").mean()).sort("phase", descending=True)
    parts = (f"{share:.0%} of {phase} marks" if share else f"no {phase} marks" for phase, share in shares.rows())
    return f"Compute-bound: {', '.join(parts)}"


def summarize_points(points: pl.DataFrame) -> str:
    """Summarize a model's points of one kind: how close they come to the roof, or what bounds them if computed.

    Parameters
    ----------
    points
        Rows with `layer`, `phase`, and `roof_fraction` (measured, predicted) or `label` and `bound` (computed).
    """
    if points.is_empty():
        return ""
    kind = points["layer"][0]
    if kind in {"measured", "predicted"}:
        shares = points.group_by("phase").agg(pl.col("roof_fraction").median()).sort("phase", descending=True)
        verb = "reaches" if kind == "measured" else "is expected to reach"
        return ", ".join(f"{phase} {verb} {share:.0%} of the roof" for phase, share in shares.iter_rows()) + " (median)"
    sentences = []
    for phase in _PHASES:
        groups = points.filter(phase=phase).select("label", "bound").drop_nulls().unique().sort("label")
        bounds = groups.group_by("bound").agg("label").sort(pl.col("label").list.len(), "bound", descending=True)
        for place, (bound, names) in enumerate(bounds.iter_rows()):
            others = " and ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} of {len(groups)}"
            sentences.append(f"; {phase} is {bound}-bound" if place == 0 else f" except {others}")
    return "".join(sentences).removeprefix("; ")


def summarize_kernels(points: pl.DataFrame) -> str:
    """Summarize points that belong to no model: how many there are, what bounds them, which level binds.

    Parameters
    ----------
    points
        One row per point, with `layer`, `label`, `bound`, `roof_fraction`, and `kernel` and `binding_level` of those
        that were counted at several levels.
    """
    counts = points["bound"].drop_nulls().value_counts().sort("count", "bound", descending=[True, False])
    parts = [f"{count:,} {bound}-bound" for bound, count in counts.iter_rows()]
    shares = points.filter(pl.col("layer") != "computed")["roof_fraction"].drop_nulls()
    if len(shares):
        parts.append(f"{shares.median():.0%} of the roof" + (" (median)" if len(shares) > 1 else ""))
    number = f"{len(points):,} point{'s' if len(points) != 1 else ''}"
    return "; ".join([f"{number}: {', '.join(parts)}" if parts else number, *_summarize_levels(points)])


def _summarize_levels(points: pl.DataFrame) -> list[str]:
    """Say which level binds the kernels that were counted at several, by name if they are few."""
    kernels = points.drop_nulls("kernel").unique("kernel", maintain_order=True).drop_nulls("binding_level")
    levels = kernels.group_by("binding_level", maintain_order=True).agg("label")
    if len(kernels) > _MOST_NAMES:
        return [
            f"{name_level(level)} binds {len(names)} of {len(kernels)} kernels" for level, names in levels.iter_rows()
        ]
    return [
        f"{name_level(level)} binds {' and '.join(shorten_text(name, _WIDEST_NAME, _SIZE) for name in names)}"
        for level, names in levels.iter_rows()
    ]

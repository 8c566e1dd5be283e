"""What the points of a roofline show, in one sentence."""

import polars as pl

_PHASES = ("prefill", "decode", "speculative", "kernel")
_MOST_NAMES = 3


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
    """Summarize points of one kind: how close measured or predicted ones come to the roof, what bounds computed ones.

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
            subject = "kernels are" if phase == "kernel" else f"{phase} is"
            others = " and ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} of {len(groups)}"
            sentences.append(f"; {subject} {bound}-bound" if place == 0 else f" except {others}")
    return "".join(sentences).removeprefix("; ")

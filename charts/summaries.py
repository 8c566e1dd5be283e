"""What the points of a roofline show, in one sentence."""

from statistics import median

import polars as pl

from charts.levels import name_level

_PHASES = ("prefill", "decode", "speculative", "mixed")
_MOST_NAMES = 3
_TWO = 2  # bounds: of more, each exception says which it is
_MOST_LETTERS = 30
_MANY_S = 999.5  # from here on, seconds are given as whole numbers


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
        others = [
            (" and ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} of {len(groups)}")
            + (f" ({bound}-bound)" if len(bounds) > _TWO else "")
            for bound, names in bounds[1:].iter_rows()
        ]
        main = f"{phase} is {bounds['bound'][0]}-bound" if len(bounds) else ""
        sentences.append(" except ".join([main, " and ".join(others)] if others else [main]))
    return "; ".join(sentence for sentence in sentences if sentence)


def is_profile(points: pl.DataFrame) -> bool:
    """Return whether points are kernels of a profile, whose shares of the time are known."""
    return "time_share" in points.columns and points["time_share"].count() > 0


def summarize_profile(kernels: pl.DataFrame) -> str:
    """Summarize the kernels of a profile: how long they take, and how much less it would be at their roofs.

    Parameters
    ----------
    kernels
        One row per kernel, with `total_s` and `headroom_s`, null if no roof is known.
    """
    known = kernels.drop_nulls("headroom_s")
    number = f"{len(kernels):,} kernel{'s' if len(kernels) != 1 else ''}"
    takes = f"{number} take{'s' if len(kernels) == 1 else ''} {format_time(sum(kernels['total_s']))}"
    if known.is_empty():
        return f"{takes}; no roof of them is known"
    of = "" if len(known) == len(kernels) else f" of the {len(known):,} with a roof"
    return f"{takes}; headroom{of} {format_time(sum(known['headroom_s']))}"


def format_time(seconds: float) -> str:
    """Return a time with three digits and the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < _MANY_S else f"{seconds:,.0f} s"
    return f"{seconds / 1e-9:.3g} ns" if seconds else "0 s"


def summarize_kernels(points: pl.DataFrame) -> str:
    """Summarize points that belong to no model: how many there are, what bounds them, which level binds.

    Parameters
    ----------
    points
        One row per point, with `layer`, `label`, `bound`, `roof_fraction`, and `kernel` and `binding_level` of those
        that were counted at several levels.
    """
    bounds = points.drop_nulls("bound").group_by("bound").agg("label")
    bounds = bounds.sort(pl.col("label").list.len(), "bound", descending=[True, False])
    parts = [
        f"{len(names):,} {bound}-bound" + (f" ({_join(names)})" if place and _are_few(names) else "")
        for place, (bound, names) in enumerate(bounds.iter_rows())
    ]
    if len(bounds) == 1 and len(bounds["label"][0]) == len(points):
        parts = [f"{'all ' if len(points) > 1 else ''}{bounds['bound'][0]}-bound"]
    shares: list[float] = points.filter(pl.col("layer") != "computed")["roof_fraction"].drop_nulls().to_list()
    if shares:
        parts.append(f"{median(shares):.0%} of the roof" + (" (median)" if len(shares) > 1 else ""))
    number = f"{len(points):,} point{'s' if len(points) != 1 else ''}"
    return "; ".join([", ".join([number, *parts]), *_summarize_levels(points)])


def _summarize_levels(points: pl.DataFrame) -> list[str]:
    """Say which level binds the kernels that were counted at several, by name if they are few."""
    kernels = points.drop_nulls("kernel").unique("kernel", maintain_order=True).drop_nulls("binding_level")
    levels = kernels.group_by("binding_level", maintain_order=True).agg("label")
    if not _are_few(kernels["label"].to_list()):
        return [
            f"{name_level(level)} binds {len(names)} of {len(kernels)} kernels" for level, names in levels.iter_rows()
        ]
    return [f"{name_level(level)} binds {_join(names)}" for level, names in levels.iter_rows()]


def _are_few(names: list[str]) -> bool:
    """Return whether names are so few and short that a title can have them all."""
    return len(names) <= _MOST_NAMES and sum(map(len, names)) <= _MOST_LETTERS


def _join(names: list[str]) -> str:
    return " and ".join(
        f"{name} ×{names.count(name)}" if names.count(name) > 1 else name for name in dict.fromkeys(names)
    )

"""What a chart in the paper's style says about its roofs and about each kind of marks."""

from typing import Any

import polars as pl

KINDS = ("measured", "predicted", "computed")  # best known first
NEAREST = "nearest"


def compose_subtitle(ceilings: pl.DataFrame, precision: str) -> list[str]:
    """Return one line per peak with its basis and origin, the main roof first."""
    peaks = ceilings.filter(layer="peak").to_dicts()
    looks = ["thick: ", *["thin: "] * (len(peaks) - 1)] if len(peaks) > 1 else [""]
    lines = [
        f"{look}{_name_peak(peak)}, {_name_basis(peak)} ({peak['origin']})"
        for look, peak in zip(looks, peaks, strict=True)
    ]
    return [f"{precision}; {lines[0]}", *lines[1:]]


def compose_captions(frame: pl.DataFrame) -> dict[str, str]:
    """Return a caption for each choice of marks: how many marks of which kind it shows, and where they come from.

    A choice is one of `KINDS`, or `NEAREST`, which comes first and is offered if it mixes kinds.
    """
    points = frame.filter(pl.col("is_nearest").is_not_null())
    choices = {kind: points.filter(layer=kind) for kind in KINDS if kind in points["layer"]}
    nearest = points.filter("is_nearest")
    if nearest["layer"].n_unique() > 1:
        choices = {NEAREST: nearest, **choices}
    captions = {}
    for choice, marks in choices.items():
        parts = [(kind, marks.filter(layer=kind)) for kind in KINDS if kind in marks["layer"]]
        captions[choice] = "; ".join(f"{len(part)} {_describe_kind(kind, part, frame)}" for kind, part in parts)
    return captions


def _describe_kind(kind: str, marks: pl.DataFrame, frame: pl.DataFrame) -> str:
    """Say where marks of one kind come from."""
    if kind == "measured":
        # device and software only: the page and the data hold the whole source
        sources = sorted({", ".join(source.split(", ")[:2]) for source in marks["source"]})
        return f"measured ({sources[0]})" if len(sources) == 1 else f"measured ({len(sources)} sources)"
    if kind == "predicted":
        lenders = marks.group_by("transferred_from").len().drop_nulls().sort(pl.all())
        lent = " and ".join(f"{lender} ({count})" for lender, count in lenders.iter_rows())
        return f"predicted by a calibrated roof{f', transferred from {lent}' if lent else ''}"
    roof = frame.filter("is_default", layer="peak").head(1).to_dicts()
    return f"computed from shapes{f', on the {_name_basis(roof[0])} roof of {_name_peak(roof[0])}' if roof else ''}"


def _name_peak(row: dict[str, Any]) -> str:
    return str(row["label"]).split(" (")[0]


def _name_basis(row: dict[str, Any]) -> str:
    return str(row["basis"]).replace("_", " ")

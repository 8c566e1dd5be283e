"""What a chart in the paper's style says about its roofs and about each kind of marks."""

from typing import Any

import polars as pl

from charts.label_layout import shorten_text

KINDS = ("measured", "predicted", "computed")  # best known first
NEAREST = "nearest"
_WIDEST_NAME, _TITLE_SIZE = 240, 17  # pixels
_WIDEST_ORIGIN, _SIZE = 400, 12


def compose_subtitle(ceilings: pl.DataFrame, precision: str) -> list[str]:
    """Return one line per peak with its basis and origin, the main roof first."""
    peaks = ceilings.filter(layer="peak").to_dicts()
    looks = ["thick: ", *["thin: "] * (len(peaks) - 1)] if len(peaks) > 1 else [""]
    lines = [
        f"{look}{_name_peak(peak)}, {_name_basis(peak)} ({shorten_text(peak['origin'], _WIDEST_ORIGIN, _SIZE)})"
        for look, peak in zip(looks, peaks, strict=True)
    ]
    return [f"{precision}; {lines[0]}", *lines[1:]]


def compose_title(frame: pl.DataFrame) -> str:
    """Return the title that the paper gives to a model on a device."""
    names = (shorten_text(name, _WIDEST_NAME, _TITLE_SIZE) for name in frame.select("model", "hardware").row(0))
    return "Roofline Model ({}, {})".format(*names)


def list_choices(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the marks of each choice: one of `KINDS`, or `NEAREST`, which is offered if it mixes kinds."""
    points = frame.filter(pl.col("is_nearest").is_not_null())
    choices = {kind: points.filter(layer=kind) for kind in KINDS if kind in points["layer"]}
    nearest = points.filter("is_nearest")
    return {NEAREST: nearest, **choices} if nearest["layer"].n_unique() > 1 else choices


def find_first_choice(frame: pl.DataFrame) -> str:
    """Return the choice that is drawn first."""
    kinds = frame.filter(pl.col("is_nearest").is_not_null(), pl.col("is_shown"))["layer"].unique().to_list()
    return str(kinds[0]) if len(kinds) == 1 else NEAREST


def compose_caption(marks: pl.DataFrame, frame: pl.DataFrame) -> str:
    """Say how many marks of which kind there are, and where they come from."""
    parts = [(kind, marks.filter(layer=kind)) for kind in KINDS if kind in marks["layer"]]
    return f"Marks: {'; '.join(f'{len(part):,} {_describe_kind(kind, part, frame)}' for kind, part in parts)}"


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

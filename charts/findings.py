"""Findings that do not hang on the last bits of a figure, and the names in them."""

from collections.abc import Sequence

import polars as pl

from charts.label_layout import shorten_text

LEAD = 0.01  # a smaller lead is none
_WIDEST_NAME, _SIZE = 170, 12  # pixels


def keep_best(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows whose figure is within 1 % of the highest, in their order."""
    return frame.filter(pl.col(column) >= (1 - LEAD) * pl.col(column).max())


def list_dominant(parts: pl.DataFrame) -> pl.DataFrame:
    """Return for each batch the op groups that no other leads by more than 1 % of the step.

    Parameters
    ----------
    parts
        Rows with `batch_size`, `op_group`, and the group's `share` of the step.

    Returns
    -------
    pl.DataFrame
        One row per batch, in order: `op_group` (a list, by name), and the largest
        `share`.
    """
    most = pl.col("share").max().over("batch_size")
    return (
        parts.filter(most - pl.col("share") <= LEAD)
        .sort("batch_size", "op_group")
        .group_by("batch_size", maintain_order=True)
        .agg("op_group", pl.col("share").max())
    )


def describe_left_out(devices: pl.DataFrame) -> list[str]:
    """Say which devices are not drawn and why, if there are any.

    Parameters
    ----------
    devices
        Rows with `hardware` and `status`, which is `drawn` or the reason.
    """
    others = devices.filter(pl.col("status") != "drawn")
    if others.is_empty():
        return []
    reasons = others.sort("hardware").group_by("status").agg("hardware").sort("status")
    named = ", ".join(f"{join_names(names)} ({reason})" for reason, names in reasons.iter_rows())
    verb = "is" if len(others) == 1 else "are"
    return [f"{len(others)} of {devices['hardware'].n_unique()} devices {verb} not drawn: {named}"]


def join_names(names: Sequence[str], most: int = 3) -> str:
    """Return names as one phrase, e.g. "A, B and C"; if there are more than `most`, "A and 4 others"."""
    if len(names) > most:
        return f"{names[0]} and {len(names) - 1} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def shorten_names(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows with long names of a column shortened, unless two of them would become the same."""
    full = frame[column].drop_nulls().unique().to_list()
    short = {name: shorten_text(name, _WIDEST_NAME, _SIZE) for name in full}
    if len(set(short.values())) < len(full):
        return frame
    return frame.with_columns(pl.col(column).replace(short))

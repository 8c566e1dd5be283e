"""Predicted over measured times, with a band of ten percent on either side."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer, log_axis
from charts.style import COLOURS, GREY, assemble_chart

BAND = 0.1
_RARER = "rarer kinds"
_KIND_COLOURS = [colour for colour in COLOURS if colour != GREY]
_SECONDS = "format(datum.value, '~s') + 's'"  # 10µs, 100ms
KIND_TOOLTIP = [
    alt.Tooltip("label:N", title="kind"),
    alt.Tooltip("ops:N", title="op"),
    alt.Tooltip("phase:N"),
    alt.Tooltip("dtype:N"),
    alt.Tooltip("m:Q"),
    alt.Tooltip("k:Q"),
    alt.Tooltip("n:Q"),
    alt.Tooltip("batch_size:Q", title="batch"),
    alt.Tooltip("sequence_length:Q", title="sequence"),
    alt.Tooltip("latency_s:Q", title="measured, s", format=".3~s"),
    alt.Tooltip("predicted_s:Q", title="predicted, s", format=".3~s"),
    alt.Tooltip("relative_error:Q", title="error", format="+.1%"),
]


def draw_accuracy(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/accuracy.sql."""
    frame = name_kinds(frame)
    low = 0.7 * min(frame["latency_s"].to_list() + frame["predicted_s"].to_list())
    high = 1.4 * max(frame["latency_s"].to_list() + frame["predicted_s"].to_list())
    domain = (low, high)
    predicted = log_axis(domain, "Predicted time", labelExpr=_SECONDS)
    x = alt.X("latency_s:Q", **log_axis(domain, "Measured time", labelExpr=_SECONDS))
    y = alt.Y("predicted_s:Q", **predicted)
    band = pl.DataFrame({"layer": "band", "latency_s": [low, high], "predicted_s": [low, high]}).with_columns(
        upper_s=pl.col("predicted_s") * (1 + BAND), lower_s=pl.col("predicted_s") / (1 + BAND)
    )
    band_layer = Layer().transform_filter("datum.layer == 'band'")
    layers: list[Any] = [
        band_layer.mark_area(color=GREY, opacity=0.18, clip=True).encode(
            x, alt.Y("lower_s:Q", **predicted), alt.Y2("upper_s:Q")
        ),
        band_layer.mark_line(color=GREY, strokeWidth=1).encode(x, y),
        Layer()
        .transform_filter("datum.layer == 'measured'")
        .mark_point(size=14, strokeWidth=1, opacity=0.7)
        .encode(
            x,
            y,
            color=kind_colour(frame),
            tooltip=KIND_TOOLTIP,
        ),
    ]
    totals = frame.row(0, named=True)
    share, kernels = totals["within_ten_percent"], totals["kernels"]
    title = f"{totals['hardware']}: {share:.0%} of {kernels:,} kernels are predicted within 10%"
    errors = f"median error {totals['median_absolute_error']:.1%}, mean {totals['mean_absolute_error']:.1%}"
    subtitle = [f"Calibrated roofs: {errors}{describe_sample(frame)}"]
    return assemble_chart(
        layers, pl.concat([band, frame], how="diagonal"), "Predicted over measured times", title, subtitle
    )


def name_kinds(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `kind`: the kind of op that `label` names, or that it is one of the rarer ones.

    There are not more kinds with a name than colours that can be told apart.
    """
    counts = frame["label"].value_counts().sort("count", "label", descending=[True, False])
    shown = counts["label"].head(len(_KIND_COLOURS)).to_list()
    is_shown = pl.col("label").is_in(shown)
    return frame.with_columns(kind=pl.when(is_shown).then("label").otherwise(pl.lit(_RARER)))


def kind_colour(frame: pl.DataFrame) -> alt.Color:
    """Return a colour channel with one colour per kind of op, for rows of `name_kinds`."""
    kinds = frame["kind"].unique().sort().to_list()
    named = [kind for kind in kinds if kind != _RARER]
    last = {_RARER: GREY} if len(named) < len(kinds) else {}
    return alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[*named, *last], range=[*_KIND_COLOURS[: len(named)], *last.values()]),
        legend=alt.Legend(title="kind of op", orient="bottom", columns=4),
    )


def describe_sample(frame: pl.DataFrame) -> str:
    """Say how many kernels are shown if they are a sample."""
    return f"; a sample of {len(frame):,} is shown" if len(frame) < frame["kernels"][0] else ""

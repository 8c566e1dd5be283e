"""Devices ranked by decode speed at one setting; those that cannot decode there are listed with the reason."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.decode_steps import describe_roof, describe_setting, name_expected, name_model
from charts.findings import join_names, keep_best, shorten_names
from charts.style import BLUE, GREY, INK, LABEL, VERMILION, WIDTH, assemble_chart

_ROW_HEIGHT = 15
_COLUMN_WIDTH = 72  # pixels from the plot to the end of the numbers at its right
_TOOLTIP = [
    alt.Tooltip("hardware:N", title="device"),
    alt.Tooltip("vendor:N"),
    alt.Tooltip("status:N", title="in memory"),
    alt.Tooltip("tokens_per_s:Q", title="tokens/s at most", format=",.4~r"),
    alt.Tooltip("token_ms:Q", title="least time of a step, ms", format=".4~g"),
    alt.Tooltip("expected_tokens_per_s:Q", title="tokens/s expected", format=",.4~r"),
    alt.Tooltip("expected_ms:Q", title="expected time of a step, ms", format=".4~g"),
    alt.Tooltip("transferred_from:N", title="measured on"),
    alt.Tooltip("tokens_per_joule:Q", title="tokens per joule at TDP", format=".3~g"),
    alt.Tooltip("tdp_w:Q", title="TDP, W"),
    alt.Tooltip("memory_bytes:Q", title="memory, bytes", format=".4~s"),
    alt.Tooltip("device_memory_bytes:Q", title="device memory, bytes", format=".4~s"),
    alt.Tooltip("bound:N"),
]


def draw_ranking(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/ranking.sql."""
    frame = shorten_names(shorten_names(frame, "hardware"), "model")
    devices = frame["hardware"].to_list()
    x = alt.X(
        "tokens_per_s:Q",
        axis=alt.Axis(title="Decode tokens/s, at most", format=",~f", tickCount=6, orient="top"),
    )
    y = alt.Y(
        "hardware:N",
        sort=devices,
        scale=alt.Scale(domain=devices),
        axis=alt.Axis(title=None, ticks=False, labelLimit=0),
    )
    base = Layer()
    fits, lacks_room = (base.transform_filter(f"datum.status == '{status}'") for status in ("fits", "does not fit"))
    others = base.transform_filter("datum.status != 'fits' && datum.status != 'does not fit'")
    number: dict[str, Any] = {"align": "left", "dx": 5, "fontSize": 10}
    beside: dict[str, Any] = {"align": "right", "dx": _COLUMN_WIDTH, "fontSize": 10}
    layers: list[Any] = [
        fits.mark_bar(color=BLUE).encode(x, y, tooltip=_TOOLTIP),
        lacks_room.mark_bar(fill="white", stroke=VERMILION, strokeDash=[3, 2], strokeWidth=1).encode(
            x, y, tooltip=_TOOLTIP
        ),
        fits.mark_text(color=INK, **number).encode(x, y, text=LABEL),
        *_draw_expected(frame, fits, y),
        lacks_room.mark_text(color=INK, **number).encode(x, y, text=LABEL),
        others.mark_text(color=GREY, fontStyle="italic", **number).encode(y, x=alt.XValue(0), text=LABEL),
        fits.transform_filter("isValid(datum.tokens_per_joule)")
        .mark_text(color=INK, **beside)
        .encode(y, x=alt.XValue(WIDTH), text=alt.Text("efficiency_label:N")),
        base.transform_filter("datum.place == 1")
        .mark_text(color=INK, text=["tokens", "per joule"], dy=-28, **beside)
        .encode(y, x=alt.XValue(WIDTH)),
    ]
    title, subtitle = _compose_title(frame), _compose_subtitle(frame)
    return assemble_chart(layers, frame, "Ranked bars", title, subtitle, height=_ROW_HEIGHT * len(devices))


def _draw_expected(frame: pl.DataFrame, fits: alt.Chart, y: alt.Y) -> list[alt.Chart]:
    """Return the diamonds of expected tokens per second, in bars."""
    if frame["expected_tokens_per_s"].is_null().all():
        return []
    shape, _ = name_expected("expected_tokens_per_s:Q", "diamond")
    expected, x = fits.transform_filter("isValid(datum.expected_tokens_per_s)"), alt.X("expected_tokens_per_s:Q")
    # a legend of marks with a fill shows no outline
    return [
        expected.mark_point(shape="diamond", size=50, filled=True, color="white", opacity=1).encode(x, y),
        expected.mark_point(size=50, stroke=INK, strokeWidth=1.25, opacity=1).encode(
            x, y, shape=shape, tooltip=_TOOLTIP
        ),
    ]


def _compose_title(frame: pl.DataFrame) -> str:
    """Name the fastest devices, and those with the most tokens per joule."""
    model = name_model(frame)
    held = frame.filter(status="fits")
    if held.is_empty():
        return f"{model} fits on none of {len(frame)} devices"
    first = keep_best(held, "tokens_per_s")["hardware"].to_list()
    names = join_names(first)
    title = f"{model}: at most {held['label'][0]} tokens/s ({names})"
    thrifty = keep_best(held, "tokens_per_joule").sort("tokens_per_joule", "hardware", descending=[True, False])
    return title if thrifty.is_empty() else f"{title}, most per joule on {join_names(thrifty['hardware'].to_list())}"


def _compose_subtitle(frame: pl.DataFrame) -> list[str]:
    row = frame.row(0, named=True)
    counts = dict(frame["status"].value_counts().rows())
    left = [
        f"{counts[status]} {one if counts[status] == 1 else many}"
        for status, one, many in (
            ("does not fit", "lacks the memory (dashed)", "lack the memory (dashed)"),
            ("no peak", f"has no {row['dtype']} peak", f"have no {row['dtype']} peak"),
            ("no link", "has no link", "have no link"),
            ("not known", "is not known here", "are not known here"),
        )
        if status in counts
    ]
    setting = f"{describe_setting(frame)}, batch {row['batch_size']:,}, context {row['sequence_length']:,}"
    fit = f"{counts.get('fits', 0)} fit{'s' if counts.get('fits') == 1 else ''}"
    roof = describe_roof(frame)
    if frame.filter(status="fits")["expected_tokens_per_s"].is_not_null().any():
        roof[-1] += "; diamonds: expected"
    return [f"{setting}: {', '.join([fit, *left])}", *roof]

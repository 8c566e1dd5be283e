"""The share of the bandwidth that measured kernels without arithmetic reach."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.label_layout import shorten_text
from charts.levels import name_level
from charts.style import BLUE, GREY, HALO, INK, assemble_chart

_ROW_HEIGHT = 26
_MOST_ROWS = 40
_WIDEST_NAME, _SIZE = 230, 12
_TOOLTIP = [
    alt.Tooltip("label:N", title="kernel"),
    alt.Tooltip("level:N", title="bytes of"),
    alt.Tooltip("bytes:Q", format=".4~s"),
    alt.Tooltip("latency_s:Q", title="time, s", format=".3~s"),
    alt.Tooltip("achieved_bytes_per_s:Q", title="B/s", format=".4~s"),
    alt.Tooltip("bandwidth_bytes_per_s:Q", title="bandwidth, B/s", format=".4~s"),
    alt.Tooltip("bandwidth_fraction:Q", title="share of the bandwidth", format=".1%"),
    alt.Tooltip("likely_cause:N", title="above the bandwidth"),
    alt.Tooltip("method:N"),
]


def draw_copies(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/copies.sql."""
    shown = (
        frame.head(_MOST_ROWS)
        .with_row_index("row")
        .with_columns(
            name=pl.col("label").map_elements(lambda name: shorten_text(name, _WIDEST_NAME, _SIZE), pl.String),
            text=pl.struct("achieved_bytes_per_s", "bandwidth_fraction", "level").map_elements(_write_share, pl.String),
        )
    )
    most = max([1.0, *shown["bandwidth_fraction"].drop_nulls()])
    x = alt.X(
        "bandwidth_fraction:Q",
        scale=alt.Scale(domain=[0, 1.35 * most], nice=False),
        axis=alt.Axis(title="Share of the bandwidth", format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=True),
    )
    # rows of one name stay apart
    names = {str(row): name for row, name in shown.select("row", "name").iter_rows()}
    label = f"{names}[datum.value]"
    y = alt.Y("row:O", axis=alt.Axis(title=None, labelExpr=label, labelLimit=0, ticks=False, domain=False))
    base = Layer()
    layers: list[Any] = [
        base.mark_bar(color=BLUE, opacity=0.85, height=14).encode(x, y, tooltip=_TOOLTIP),
        base.mark_rule(color=GREY, strokeDash=[5, 3]).encode(x=alt.XDatum(1)),
        *(
            base.mark_text(align="left", baseline="middle", dx=6, fontSize=_SIZE, **look).encode(
                x, y, text=alt.Text("text:N")
            )
            for look in (HALO, {"color": INK})
        ),
    ]
    return assemble_chart(
        layers, shown, "Bar chart", _compose_title(frame), _compose_subtitle(frame), height=_ROW_HEIGHT * len(shown)
    )


def _write_share(row: dict[str, Any]) -> str:
    rate = f"{row['achieved_bytes_per_s'] / 1e9:,.5g} GB/s"
    share = row["bandwidth_fraction"]
    return f"{rate}, {share:.1%} of {name_level(row['level'])}" if share is not None else f"{rate}; bandwidth not known"


def _compose_title(frame: pl.DataFrame) -> str:
    best = frame.row(0, named=True)
    fastest = max(frame["achieved_bytes_per_s"].to_list())
    number = f"{len(frame):,} kernel{'s' if len(frame) != 1 else ''} without arithmetic"
    if best["bandwidth_fraction"] is None:
        return f"{best['hardware']}: {number}, at up to {fastest / 1e9:,.5g} GB/s"
    reach = "reaches" if len(frame) == 1 else "reach up to"
    share = f"{best['bandwidth_fraction']:.1%} of the bandwidth of {name_level(best['level'])}"
    return f"{best['hardware']}: {number} {reach} {share}"


def _compose_subtitle(frame: pl.DataFrame) -> list[str]:
    above = frame.filter(pl.col("bandwidth_fraction") > 1)
    lines = ["Measured bytes per second, as a share of the default bandwidth of the level whose bytes were counted"]
    if len(above):
        causes = ", ".join(above["likely_cause"].fill_null("not known").unique().sort())
        lines.append(f"{len(above):,} above the bandwidth (cause: {causes})")
    if len(frame) > _MOST_ROWS:
        lines.append(f"The {_MOST_ROWS} with the largest share; {len(frame) - _MOST_ROWS:,} more in the table")
    return lines

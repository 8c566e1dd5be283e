"""Tokens per second over the values of made-up devices, with where another limit takes over."""

from typing import NamedTuple

import altair as alt
import polars as pl

from charts.axes import Layer, log_axis
from charts.style import COLOURS, GREY, HALO, INK, LABEL, assemble_chart

EXPECTED = "expected_tokens_per_s"
_TICKS = (1, 2, 3, 5, 7)
_SHARING = ("tensor_parallel", "expert_parallel", "pipeline_parallel", "data_parallel")
_SHAPES = {"memory": "circle", "compute": "square", "interconnect": "triangle-up"}
_TOOLTIP = [
    alt.Tooltip("device:N"),
    alt.Tooltip("tokens_per_s:Q", title="tokens/s at most", format=",.4~r"),
    alt.Tooltip(f"{EXPECTED}:Q", title="tokens/s expected", format=",.4~r"),
    alt.Tooltip("bound:N"),
    alt.Tooltip("fits_in_memory:N", title="fits in memory"),
]


class Varied(NamedTuple):
    """A value that made-up devices differ in: what it is called, its unit, and how many of its SI units that is."""

    name: str
    unit: str
    scale: float


# in this order: the first that varies is the horizontal axis, the second tells lines apart
VARIED = {
    "bandwidth_bytes_per_s": Varied("bandwidth", "TB/s", 1e12),
    "peak_flops_per_s": Varied("peak", "PFLOP/s", 1e15),
    "link_bytes_per_s": Varied("link", "GB/s", 1e9),
    "device_memory_bytes": Varied("memory", "GB", 1e9),
}


def list_varied(frame: pl.DataFrame) -> list[str]:
    """Return the columns of VARIED in which the rows differ."""
    return [name for name in VARIED if frame[name].n_unique() > 1]


def draw_what_if(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/sweep/steps.sql: one setting, on devices that differ in one or two values."""
    across, *further = list_varied(frame)
    named = [_name_value(name) for name in (across, *further)]
    lines = _name_value(further[0]) if further else pl.lit("")
    frame = (
        frame.with_columns(
            x=pl.col(across) / VARIED[across].scale,
            line=lines,
            device=pl.concat_str([pl.format("like {}", "hardware"), *named], separator=", "),
        )
        .sort(*further, across)
        .with_columns(before=pl.col("bound").shift(1).over("line"))
        .with_columns(changes=pl.col("before").is_not_null() & (pl.col("bound") != pl.col("before")))
        .with_columns(label=pl.when("changes").then(pl.format("{}-bound", "bound")))
        .drop("before")
    )
    has_expected = frame[EXPECTED].is_not_null().any()
    rates = frame.select(pl.concat([pl.col("tokens_per_s"), pl.col(EXPECTED)]).drop_nulls()).to_series().to_list()
    places = frame["x"].to_list()
    x_domain, y_domain = (min(places) / 1.08, max(places) * 1.08), (min(rates) / 1.3, max(rates) * 1.3)
    title = f"{_name_axis(frame, across)} ({VARIED[across].unit})"
    most = "at most and expected" if has_expected else "at most"
    x = alt.X("x:Q", **log_axis(x_domain, title, _TICKS, format=",~r"))
    y_axis = log_axis(y_domain, f"Tokens/s, {most}", _TICKS, format=",~r")
    y = alt.Y("tokens_per_s:Q", **y_axis)
    names = frame["line"].unique(maintain_order=True).to_list()
    legend = alt.Legend(title=_name_axis(frame, further[0]), orient="bottom") if further else None
    scale = alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    colour = alt.Color("line:N", scale=scale, legend=legend)
    bounds = [name for name in _SHAPES if name in frame["bound"]]
    shape = alt.Shape(
        "bound:N",
        scale=alt.Scale(domain=bounds, range=[_SHAPES[name] for name in bounds]),
        legend=alt.Legend(title="bound", orient="bottom", symbolFillColor=GREY, symbolStrokeColor=GREY),
    )
    layers = [
        Layer().mark_line(strokeWidth=1.75).encode(x, y, color=colour),
        Layer()
        .mark_point(filled=True, size=55, stroke="white", strokeWidth=0.5, opacity=1)
        .encode(x, y, color=colour, shape=shape, tooltip=_TOOLTIP),
        Layer()
        .transform_filter("datum.changes")
        .mark_point(shape="circle", size=220, strokeWidth=1.5, color=INK, filled=False, opacity=1)
        .encode(x, y),
        *(
            Layer()
            .transform_filter("datum.changes")
            .mark_text(align="right", dx=-12, dy=-9, fontSize=11, **look)
            .encode(x, y, text=LABEL)
            for look in (HALO, {"color": INK})
        ),
    ]
    if has_expected:
        expected = Layer().transform_filter(f"isValid(datum.{EXPECTED})").mark_line(strokeWidth=1.5, strokeDash=[6, 3])
        layers.insert(1, expected.encode(x, alt.Y(f"{EXPECTED}:Q", **y_axis), color=colour))
    drawn = ["x", "line", "device", "changes", "label", "tokens_per_s", EXPECTED, "bound", "fits_in_memory"]
    return assemble_chart(
        layers,
        frame.select(drawn),
        "Tokens per second of made-up devices",
        _find(frame),
        _compose_subtitle(frame, [across, *further], has_expected=has_expected),
    )


def _name_value(column: str) -> pl.Expr:
    """Return a value with its unit, e.g. 8 TB/s."""
    varied = VARIED[column]
    value = (pl.col(column) / varied.scale).round_sig_figs(4)
    text = pl.when(value == value.floor()).then(value.cast(pl.Int64).cast(pl.String)).otherwise(value.cast(pl.String))
    return pl.format(f"{{}} {varied.unit}", text)


def _name_axis(frame: pl.DataFrame, column: str) -> str:
    name = VARIED[column].name
    return f"{frame['dtype'][0]} {name}" if column == "peak_flops_per_s" else name.capitalize()


def _find(frame: pl.DataFrame) -> str:
    best = frame.sort("tokens_per_s", "x", descending=[True, False]).row(0, named=True)
    return f"{best['model']}, {best['phase']}: at most {best['tokens_per_s']:,.0f} tokens/s, {best['device']}"


def _compose_subtitle(frame: pl.DataFrame, varied: list[str], *, has_expected: bool) -> list[str]:
    first = frame.row(0, named=True)
    names = " and ".join(VARIED[name].name for name in varied)
    setting = f"{first['precision_id']}, batch {first['batch_size']:,}, context {first['sequence_length']:,}"
    shared = [f"{name.replace('_', ' ')} {first[name]:,}" for name in _SHARING if first[name] > 1]
    expected = f"; dashed: expected, with the calibration of {first['hardware']}" if has_expected else ""
    crowded = frame.filter(~pl.col("fits_in_memory").fill_null(value=True))
    lines = [
        ", ".join([f"Made-up devices, like {first['hardware']} but for {names}: {setting}", *shared]),
        f"solid: at the roof{expected}; rings: where another bound begins",
    ]
    if len(crowded):
        lines.append(f"On {len(crowded)} of {len(frame)} devices the model does not fit in memory")
    return lines

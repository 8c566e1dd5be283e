"""Throughput of a device over the time of a token, for ways to serve requests: what a plan chooses from."""

import altair as alt
import polars as pl

from charts.axes import Layer, log_axis
from charts.findings import join_names
from charts.style import COLOURS, GREY, HALO, INK, LABEL, assemble_chart

_MODES = ["interleaved", "disaggregated"]
_SHAPES = ["circle", "square"]
_TICKS = (1, 2, 5)
_NUMBER = ",~r"  # format of an axis
_ABOUT = (
    "Each mark is a way to serve at one batch: further left a request gets its tokens faster, higher up a device "
    "yields more of them. A line joins the ways of one device that no other of its kind beats in both. The vertical "
    "is the limit of the time per token. Both axes are logarithmic."
)
_TOOLTIP = [
    alt.Tooltip("device:N"),
    alt.Tooltip("mode:N"),
    alt.Tooltip("sharing:N"),
    alt.Tooltip("precision_id:N", title="precision"),
    alt.Tooltip("devices:Q", title="devices in all"),
    alt.Tooltip("batch_size:Q", title="batch", format=","),
    alt.Tooltip("ttft_s:Q", title="time to first token, s", format=".3~g"),
    alt.Tooltip("tpot_ms:Q", title="time per token, ms", format=".4~g"),
    alt.Tooltip("device_tokens_per_s:Q", title="tokens/s per device", format=",.4~r"),
    alt.Tooltip("memory_gb:Q", title="memory, GB", format=".4~g"),
]


def draw_serving_plan(
    rows: pl.DataFrame, model: str, requests: str, ttft_limit_s: float, tpot_limit_s: float
) -> alt.LayerChart:
    """Draw every way to serve of a plan, and the limits.

    Parameters
    ----------
    rows
        One row per way to serve and batch: device (its name), is_expected (else its times are those at the roof), mode,
        sharing, precision_id, devices, batch_size, ttft_s, tpot_s, device_tokens_per_s and memory_gb.
    model
        Name of the model.
    requests
        The requests, in words.
    ttft_limit_s, tpot_limit_s
        The limits.
    """
    frame = _mark_best(rows, ttft_limit_s, tpot_limit_s)
    limit_ms = tpot_limit_s * 1e3
    times = [*frame["tpot_ms"], limit_ms]
    rates = frame["device_tokens_per_s"].to_list()
    is_expected = frame["is_expected"].all()
    least, most = ("Expected time", "expected") if is_expected else ("Expected or least time", "expected or at most")
    x_axis = log_axis(
        (min(times) / 1.2, max(times) * 1.2), f"{least} per token of a request (ms)", _TICKS, format=_NUMBER
    )
    y_axis = log_axis(
        (min(rates) / 1.3, max(rates) * 1.5), f"Output tokens/s per device, {most}", _TICKS, format=_NUMBER
    )
    x, y = alt.X("tpot_ms:Q", **x_axis), alt.Y("device_tokens_per_s:Q", **y_axis)
    devices = frame["device"].unique(maintain_order=True).to_list()
    inks = [COLOURS[i % len(COLOURS)] for i in range(len(devices))]
    colour = alt.Color(
        "device:N",
        scale=alt.Scale(domain=devices, range=inks),
        legend=alt.Legend(title="device", orient="bottom", columns=4, labelLimit=0),
    )
    modes = [mode for mode in _MODES if mode in frame["mode"]]
    kept = {mode: i for i, mode in enumerate(_MODES)}
    dash = alt.StrokeDash(
        "mode:N",
        scale=alt.Scale(domain=modes, range=[[[1, 0], [6, 3]][kept[mode]] for mode in modes]),
        legend=None,
    )
    shape = alt.Shape(
        "mode:N",
        scale=alt.Scale(domain=modes, range=[_SHAPES[kept[mode]] for mode in modes]),
        legend=alt.Legend(title="prefill and decode", orient="bottom", labelLimit=0, symbolFillColor=GREY),
    )
    limits = Layer().transform_filter("datum.is_leader").transform_calculate(limit_ms=str(limit_ms))
    best = Layer().transform_filter("datum.is_best")
    layers = [
        limits.mark_rule(color=INK, strokeDash=[3, 3]).encode(alt.X("limit_ms:Q", **x_axis)),
        limits.mark_text(align="left", baseline="top", dx=5, dy=3, color=INK, fontSize=11).encode(
            alt.X("limit_ms:Q", **x_axis), y=alt.value(0), text=alt.value(f"limit: {limit_ms:g} ms")
        ),
        Layer()
        .transform_filter("!datum.is_best")
        .mark_point(size=14, strokeWidth=0.75)
        .encode(x, y, color=colour, shape=shape, strokeOpacity=alt.value(0.45), tooltip=_TOOLTIP),
        best.mark_line(strokeWidth=1.75).encode(
            x, y, color=colour, strokeDash=dash, detail=alt.Detail("precision_id:N"), order=alt.Order("tpot_ms:Q")
        ),
        best.mark_point(filled=True, size=55, stroke="white", strokeWidth=0.5, opacity=1).encode(
            x, y, color=colour, shape=shape, tooltip=_TOOLTIP
        ),
        *(
            Layer()
            .transform_filter("datum.is_leader && datum.meets")
            .mark_text(align="right", baseline="bottom", dx=-6, dy=-6, fontSize=11, color=INK, **halo)
            .encode(x, y, text=LABEL)
            for halo in (HALO, {})
        ),
    ]
    subtitle = [
        f"{requests}; first token within {ttft_limit_s:g} s, each further one within {limit_ms:g} ms",
        "steady state, without waiting; lines: the best of batch and sharing that meet the limit of the first token",
    ]
    if not frame["is_expected"].all():
        subtitle.append(
            "at the roof: the device is not calibrated, so its times are the least, and its tokens the most"
        )
    chart = assemble_chart(layers, frame, "Throughput over time per token", _find(frame, model), subtitle)
    description: str = f"{chart.description} {_ABOUT}"
    chart.description = description
    return chart


def _mark_best(rows: pl.DataFrame, ttft_limit_s: float, tpot_limit_s: float) -> pl.DataFrame:
    """Add which ways are on the line of their device, and the one with the most tokens within the limits."""
    kind = ["device", "mode", "precision_id"]
    early = pl.col("ttft_s") <= ttft_limit_s
    rate = pl.col("device_tokens_per_s")
    frame = rows.with_columns(
        tpot_ms=pl.col("tpot_s") * 1e3,
        is_early=early,
        meets=early & (pl.col("tpot_s") <= tpot_limit_s),
        label=pl.format("{}, batch {}", "sharing", "batch_size"),
    ).sort("tpot_ms", "device_tokens_per_s", descending=[False, True])
    above = pl.when("is_early").then(rate).otherwise(0).cum_max().shift(1, fill_value=0).over(kind)
    frame = frame.with_columns(is_best=pl.col("is_early") & (rate > above))
    order = frame.select("meets", "is_early", "device_tokens_per_s").with_row_index("row")
    first = order.sort("meets", "is_early", "device_tokens_per_s", descending=True)["row"].first()
    return frame.with_row_index("row").with_columns(is_leader=pl.col("row") == first).drop("row")


def _find(frame: pl.DataFrame, model: str) -> str:
    """Return what the chart says: which device yields the most within the limits."""
    met = frame.filter("meets")
    if met.is_empty():
        return f"{model}: no configuration meets both limits"
    most: float = max(met["device_tokens_per_s"].to_list())
    leaders = met.filter(device_tokens_per_s=most)["device"].unique(maintain_order=True).to_list()
    verb = "leads" if len(leaders) == 1 else "lead"
    of = "expected" if met.filter(device_tokens_per_s=most)["is_expected"].all() else "at most"
    return f"{model}: {join_names(leaders)} {verb} with {most:,.0f} tokens/s per device, {of}"

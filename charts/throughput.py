"""Tokens per second over the time of a token, for growing batches up to what fits in a device's memory."""

import math

import altair as alt
import polars as pl

from charts.axes import Domain, log_axis
from charts.decode_steps import (
    EXPECTED,
    NUMBER,
    Finding,
    assemble_step_chart,
    describe_roof,
    describe_setting,
    name_estimate,
    name_model,
    select_context,
)
from charts.findings import LEAD, describe_left_out, join_names, keep_best, shorten_names
from charts.label_layout import Layout, box_of_text
from charts.style import COLOURS, GREY, HEIGHT, INK, LABEL, WIDTH

_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
_TICKS = (1, 2, 5)
_LINE, _CASING = 1.75, 3  # pixels: the width of a line, and how much wider one is that lies below another
_NUMBER, _ASIDE, _ABOVE = 11, 5, 3  # pixels: the size of a batch's number, and its place at the left above a point
_KEY, _LETTER = 34, 6.5  # pixels of a legend: a symbol with its gaps, and a letter
_TOOLTIP = [
    alt.Tooltip("hardware:N", title="device"),
    alt.Tooltip("batch_size:Q", title="batch", format=","),
    alt.Tooltip("sequence_length:Q", title="context", format=","),
    alt.Tooltip("token_ms:Q", title="least time of a step, ms", format=".4~g"),
    alt.Tooltip("tokens_per_s:Q", title="tokens/s at most", format=",.4~r"),
    alt.Tooltip("expected_ms:Q", title="expected time of a step, ms", format=".4~g"),
    alt.Tooltip("expected_tokens_per_s:Q", title="tokens/s expected", format=",.4~r"),
    alt.Tooltip("memory_bytes:Q", title="memory, bytes", format=".4~s"),
    alt.Tooltip("device_memory_bytes:Q", title="device memory, bytes", format=".4~s"),
    alt.Tooltip("fits_in_memory:N", title="fits in memory"),
    alt.Tooltip("bound:N"),
    alt.Tooltip("dominant_op_group:N", title="dominant op group"),
]


def draw_throughput(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/throughput.sql."""
    frame = shorten_names(shorten_names(frame, "hardware"), "model")
    frame = _add_line_widths(frame)
    drawn = frame.filter(status="drawn")
    order = drawn.group_by("hardware").agg(pl.col("token_ms").min()).sort("token_ms", "hardware")
    devices = order["hardware"].to_list()
    looks = [(COLOURS[i % len(COLOURS)], _SHAPES[(i + i // len(COLOURS)) % len(_SHAPES)]) for i in range(len(devices))]
    colours, shapes = (list(each) for each in zip(*looks, strict=True))
    times, rates = (
        drawn.select(pl.concat([pl.col(least), pl.col(f"expected_{most}")]).drop_nulls()).to_series().to_list()
        for least, most in (("token_ms", "ms"), ("tokens_per_s", "tokens_per_s"))
    )
    x_domain, y_domain = (min(times) / 1.5, max(times) * 1.15), (min(rates) / 1.3, max(rates) * 1.5)
    has_expected = drawn["expected_ms"].is_not_null().any()
    least, most = ("Time", "at most and expected") if has_expected else ("Least time", "at most")
    x_axis = log_axis(x_domain, f"{least} per token of a sequence (ms)", _TICKS, format=NUMBER)
    y_axis = log_axis(y_domain, f"Tokens/s of all sequences, {most}", _TICKS, format=NUMBER)
    x, y = alt.X("token_ms:Q", **x_axis), alt.Y("tokens_per_s:Q", **y_axis)
    chosen = alt.selection_point(fields=["hardware"], bind="legend", name="device")
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    colour = alt.Color(
        "hardware:N",
        scale=alt.Scale(domain=devices, range=colours),
        legend=alt.Legend(title="device", orient="bottom", columns=_count_columns(devices), labelLimit=0),
    )
    shape = alt.Shape("hardware:N", scale=alt.Scale(domain=devices, range=shapes))
    width = alt.StrokeWidth("line_width:O", scale=None, legend=None)
    points = select_context()
    dash = alt.StrokeDash(
        "estimate:N",
        scale=alt.Scale(domain=[EXPECTED], range=[[6, 3]]),
        legend=name_estimate(symbolType="stroke", symbolSize=600, symbolStrokeWidth=1.5),
    )
    expected = select_context("isValid(datum.expected_ms)").mark_line(strokeWidth=1.5)
    expected_x, expected_y = alt.X("expected_ms:Q", **x_axis), alt.Y("expected_tokens_per_s:Q", **y_axis)
    layers = [
        points.mark_line(color=GREY, strokeWidth=0.75, strokeDash=[2, 2]).encode(
            x, y, detail=alt.Detail("batch_size:N")
        ),
        points.mark_line()
        .encode(x, y, color=colour, strokeWidth=width, order=alt.Order("batch_size:Q"), strokeOpacity=faded)
        .add_params(chosen),
        expected.encode(
            expected_x,
            expected_y,
            color=colour,
            strokeDash=dash,
            order=alt.Order("batch_size:Q"),
            strokeOpacity=faded,
        ),
        select_context("!datum.fits_in_memory")
        .mark_point(fill="white", size=110, strokeWidth=1.75, opacity=1)
        .encode(x, y, color=colour, shape=shape, strokeOpacity=faded, fillOpacity=faded, tooltip=_TOOLTIP),
        select_context("datum.fits_in_memory")
        .mark_point(filled=True, size=60, stroke="white", strokeWidth=0.5, opacity=1)
        .encode(x, y, color=colour, shape=shape, fillOpacity=faded, tooltip=_TOOLTIP),
        select_context("datum.is_numbered")
        .mark_text(align="right", baseline="bottom", dx=-_ASIDE, dy=-_ABOVE, fontSize=_NUMBER, color=INK)
        .encode(x, y, text=LABEL),
    ]
    if not has_expected:
        layers.pop(2)
    kind = "Tokens per second over time per token"
    frame = _choose_numbers(frame, x_domain, y_domain)
    return assemble_step_chart(layers, frame, kind, _compose_subtitle(frame), _find)


def _find(rows: pl.DataFrame) -> Finding:
    """Name the devices with the most tokens per second, their smallest batch that reaches them, and who has no room."""
    devices = rows["hardware"].n_unique()
    lack_room = rows.filter(~pl.col("has_room"))["hardware"].unique().sort().to_list()
    least = rows["batch_size"].sort()[0]
    short = f"{len(lack_room)} of {devices} devices without room for batch {least:,}: {join_names(lack_room)}"
    alike = "; ".join(f"the lines of {join_names(names, 5)} coincide" for names in _list_coinciding(rows))
    remarks = [*([short] if lack_room else []), *([alike] if alike else [])]
    subject = f"{name_model(rows)}, context {rows['sequence_length'][0]:,}"
    best = keep_best(rows.filter("fits_in_memory"), "tokens_per_s").sort("batch_size", "hardware")
    if best.is_empty():
        return Finding(f"{subject}: fits in the memory of none of these devices", remarks)
    leaders = best["hardware"].unique(maintain_order=True).to_list()
    first = best.row(0, named=True)
    names = join_names(leaders)
    verb = "leads" if len(leaders) == 1 else "lead"
    at = f"batch {first['batch_size']:,} ({first['token_ms']:.3g} ms per token)"
    return Finding(f"{subject}: {names} {verb} with {first['tokens_per_s']:,.0f} tokens/s at {at}", remarks)


def _compose_subtitle(frame: pl.DataFrame) -> list[str]:
    setting = f"{describe_setting(frame)}; numbers: batch; hollow: the first batch that does not fit"
    return [setting, *describe_roof(frame.filter(status="drawn")), *describe_left_out(frame)]


def _choose_numbers(frame: pl.DataFrame, x_domain: Domain, y_domain: Domain) -> pl.DataFrame:
    """Add at which points the number of the batch stands: at the fastest device, where it lies on no other number."""
    kept: dict[str, list[int]] = {"sequence_length": [], "batch_size": []}
    for rows in frame.filter("is_fastest").sort("batch_size").partition_by("sequence_length"):
        layout = Layout(2 * WIDTH, 2 * HEIGHT)  # numbers may leave the plot
        for context, batch, label, *place in rows.select(*kept, "label", "token_ms", "tokens_per_s").rows():
            (low, high), (bottom, top) = x_domain, y_domain
            right = WIDTH * (0.5 + math.log(place[0] / low) / math.log(high / low)) - _ASIDE
            base = HEIGHT * (0.5 + math.log(top / place[1]) / math.log(top / bottom)) - _ABOVE
            if layout.place([box_of_text(right, base - _NUMBER / 2, label, _NUMBER, "right")]):
                kept["sequence_length"].append(context)
                kept["batch_size"].append(batch)
    keys = pl.DataFrame(kept, schema=dict.fromkeys(kept, pl.Int64)).with_columns(is_numbered=True)
    joined = frame.join(keys, on=list(kept), how="left", maintain_order="left")
    return joined.with_columns(pl.col("is_numbered").fill_null(value=False) & pl.col("is_fastest"))


def _count_columns(names: list[str]) -> int:
    """Return how many columns of a legend fit below the plot."""
    return max(1, min(4, int(WIDTH / (_KEY + _LETTER * max(map(len, names))))))


def _add_line_widths(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the widths of lines: where several coincide, those that are drawn first are wider, so that all show."""
    alike = _list_coinciding(frame.filter(status="drawn"))
    widths = {name: _LINE + _CASING * (len(names) - 1 - i) for names in alike for i, name in enumerate(names)}
    return frame.with_columns(line_width=pl.col("hardware").replace_strict(widths, default=_LINE))


def _list_coinciding(drawn: pl.DataFrame) -> list[list[str]]:
    """Return the devices that take the same time, within 1 %, at every setting that they share, in drawing order."""
    times = {
        str(name): {(context, batch): time for context, batch, time in rows.rows()}
        for (name,), rows in drawn.select("hardware", "sequence_length", "batch_size", "token_ms").partition_by(
            "hardware", as_dict=True, include_key=False, maintain_order=True
        ).items()
    }  # fmt: skip
    groups: list[list[str]] = []
    for name, own in times.items():
        for group in groups:
            other = times[group[0]]
            shared = own.keys() & other.keys()
            if shared and all(abs(own[each] / other[each] - 1) <= LEAD for each in shared):
                group.append(name)
                break
        else:
            groups.append([name])
    return [group for group in groups if len(group) > 1]

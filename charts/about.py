"""What the marks of each template are, in words: the description of a chart ends with it."""

from collections.abc import Mapping
from typing import Any

_ROOFS = (
    "A roof rises with the memory bandwidth up to the ridge, and is flat at the peak from there on. Both axes are "
    "logarithmic."
)

ABOUT: Mapping[str, str] = {
    "paper": f"{_ROOFS} The blue dashed slope is the bandwidth, the red dashed line the peak, and the green dashed "
    "vertical the ridge; thin ones are other figures of the same device, and a thin green line is a reference. Each "
    "mark is an op of the model at one batch and sequence length. Colour and shape tell the series apart: init is "
    "prefill, ar is decode. Computed marks lie on the roof, predicted and measured ones where they are expected or "
    "were timed.",
    "house": f"{_ROOFS} Solid lines are the roofs that points are compared with, dashed ones the other ceilings; the "
    "diamond is the ridge. On blue ground memory bounds an op, on orange ground compute. Hollow points are computed "
    "from shapes, filled ones measured, with a thin line up to the roof, and dotted ones predicted. The legend says "
    "what their colours and shapes mean. A thin line joins the points of one kernel at several levels of memory, and a "
    "ring marks a point above its roof.",
    "comparison": f"{_ROOFS} Each line is the roof of one device, told apart by colour and dashes, and its diamond is "
    "the ridge. The label at the right names the device, its peak and its bandwidth.",
    "speculative": f"{_ROOFS} The line is the roof, and the diamond the ridge. Each hollow point is an op group that "
    "verifies as many candidate tokens as the number beside it says, computed from shapes. Colour and shape are the op "
    "group.",
    "copies": "Each bar is a measured kernel without arithmetic, and its length the share of the bandwidth that it "
    "reaches. The number at its end is what it moves per second. The dashed vertical is the bandwidth.",
    "accuracy": "Each hollow point is a measured kernel: further right it took longer, higher up it was predicted to. "
    "On the line both times are the same, and in the grey band they differ by 10% at most. The colour is the kind of "
    "op. Both axes are logarithmic.",
    "heat": "Each cell is the median of the measured kernels of one op group and one range of work. The brighter it "
    "is, the larger is the share of the roof, which the number gives in percent.",
    "residuals": "Each hollow point is a measured kernel: above the line it was predicted to take longer than it "
    "did, below it less long. In the grey band the error is 10% at most. Errors above 100% are drawn at the edge. The "
    "colour is the kind of op.",
    "step_time": "Each bar is one decode step at the batch below it, and its height is the least time that the step "
    "can take. Its parts are op groups, by colour: the length of a part is the sum of the times of its ops at the "
    "roof. On grey ground the weights and the KV cache do not fit in memory.",
    "crossover": "Each line is an op, and each hollow point its intensity at one batch, computed from shapes. Colour "
    "and shape are the op group. The dashed line is the ridge of the device: on the tinted ground above it an op is "
    "compute-bound. A filled point is the smallest batch at which its op is. The label at the right says this batch. "
    "Both axes are logarithmic.",
    "throughput": "Each line is a device, by colour and shape, and each point a batch: further right a step takes "
    "longer, higher up all sequences together get more tokens. Filled points fit in memory; the hollow one is the "
    "first batch that does not. Dotted lines join the points of one batch. Both axes are logarithmic.",
    "ranking": "The length of a bar, and the number at its end, are the tokens per second that the device can reach at "
    "most. Filled bars fit in memory; dashed ones would be reached with more of it. A device without a bar cannot run "
    "this, and says why. The numbers at the right are tokens per joule at the rated power.",
    "engines": "Each row is a number of devices that share each layer, a device and a serving engine, by colour. The "
    "point is the median share of the bound that its runs reach, and the line holds 80% of them. At the dashed "
    "vertical a run would take its least time per output token.",
    "history": "Each point is a run: further right it started later, and its height is how long it took. Colour and "
    "shape say how it ended.",
}


def explain_marks(spec: dict[str, Any], template: str) -> None:
    """Add what the marks are to the description of a specification, and to that of each choice, in place."""
    choices = spec.get("usermeta", {}).get("choices", {}).values()
    for text in [spec, *(value for choice in choices for value in choice["values"])]:
        text["description"] = f"{text['description']} {ABOUT[template]}"

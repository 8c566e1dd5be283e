"""`rooflines plan`: configurations that serve requests within a latency."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from flows.cli.options import Common, Flag, Format, Names, choose_format, write_output
from flows.cli.terminal import show_progress
from warehouse.errors import InputError
from warehouse.home import refuse_no_path

if TYPE_CHECKING:
    from flows.plan.answer import Answer
    from flows.plan.request import Request
    from warehouse.home import Home

_ROLES = {
    "interleaved": ("prefill", "mixed"),
    "disaggregated": ("prefill", "decode"),
    "both": ("prefill", "mixed", "decode"),
}
_MOST_DIGITS = 6
_CHARTS = (".json", ".html", ".svg", ".png")


@Parameter(name="*")
@dataclass(frozen=True)
class Requests:
    """The requests, and their limits."""

    prompt: int
    "Tokens of a prompt."

    output: int
    "Tokens of an answer."

    ttft: float
    "The most seconds until the first token, on devices that are idle."

    tpot: float
    "The most seconds for each token after it."

    cached: int = 0
    "Tokens at the head of the prompt that are in the KV cache already."

    candidates: int | None = None
    "Tokens that a speculative step verifies at once, as a chain; needs --accept."

    tree: str | None = None
    "How many candidates stand at each depth instead, e.g. 1,4,8; needs --accept."

    accept: float | None = None
    "Probability that a candidate is accepted after the one before it. Drafting itself is not counted."


@Parameter(name="*")
@dataclass(frozen=True)
class Serving:
    """How they may be served."""

    precision: Names | None = None
    "Precisions. Default: the one that the model is published in."

    mode: Literal["interleaved", "disaggregated", "both"] | None = None
    """interleaved: each step decodes and has a chunk of a prompt beside it, on the same devices. disaggregated: prompts
    have devices of their own, whose KV cache goes over the link. Default: both; with candidates, disaggregated."""

    most_devices: int = 8
    "The most devices that share a copy of the model."

    step_tokens: int = 8192
    "The most tokens that a step carries (vLLM: --max-num-batched-tokens)."

    free_share: float = 0.1
    "Share of the memory of a device that is left free."

    launch: Literal["eager", "graph"] = "graph"
    "How kernels are started: replayed from a graph, as engines do, or each by the program, as plain PyTorch does."


def plan(
    *,
    model: str,
    devices: Names,
    requests: Requests,
    serving: Serving = Serving(),
    by: Literal["device", "dollar", "joule"] = "device",
    limit: int = 20,
    sql: Flag = False,
    format: Format | None = None,  # noqa: A002
    out: Path | None = None,
    chart: Path | None = None,
    common: Common = Common(),
) -> int:
    """Print the configurations that serve requests within a latency, most tokens per device first.

    Times are expected ones, of a steady state in which requests of one length follow each other; arrivals are not
    simulated. Of each device, precision and way to share, the batch with the most tokens is shown. If none meets both
    limits, the nearest is shown, and the exit code is 1.

    Parameters
    ----------
    model
        The model, e.g. llama-3-70b.
    devices
        Devices to choose from, e.g. h100-sxm,h200-sxm.
    by
        What configurations are sorted by: tokens per second and device, per dollar (dollars_per_hour of device files),
        or per joule at the thermal design power. Devices whose files lack it come last.
    limit
        The most configurations to show.
    sql
        Print the query behind it instead, which `rooflines query --file` runs again.
    format
        How rows are written, as in `rooflines query`.
    out
        File to write instead of standard output.
    chart
        File for a chart of tokens per device over the time per token: .json (Vega-Lite), .html, .svg or .png.
    """
    from flows.cli.query_result import write_result
    from flows.plan.answer import plan as make_plan
    from warehouse.sandbox.question import Question

    if sql and format:
        raise InputError("plan: expected either --sql or --format")
    if limit < 1:
        raise InputError(f"--limit: {limit}: expected a whole number from 1")
    for option, path in (("--out", out), ("--chart", chart)):
        refuse_no_path(option, path or "")
    if chart and chart.suffix not in _CHARTS:
        raise InputError(f"--chart: {chart}: expected a file that ends in .json, .html, .svg or .png")
    home, request = common.place, _make_request(model, devices, requests, serving)
    with show_progress("computing the steps"):
        answer = make_plan(home, request, by, limit)
    for line in answer.remarks:
        print(f"rooflines: {line}", file=sys.stderr)
    if not answer.statement:
        return 1
    if chart:
        _draw(home, request, answer, chart)
    if sql and out:
        write_output(out, answer.statement.encode())
    elif sql:
        print(answer.statement, end="")
    else:
        form = choose_format(format, out)
        write_result(home, Question(str(home.snapshot), answer.statement, form, "plan", 300), out)
        if form == "table" and out is None:
            print("next: the same with --sql > plan.sql    rooflines query --file plan.sql")
    return 0 if answer.is_met else 1


def _make_request(model: str, devices: list[str], requests: Requests, serving: Serving) -> "Request":
    from flows.intensity.request_steps import Profile
    from flows.plan.request import Request

    is_speculative = requests.candidates is not None or requests.tree is not None
    return Request(
        model,
        devices,
        Profile(
            requests.prompt,
            requests.output,
            requests.cached,
            serving.step_tokens,
            requests.candidates,
            _read_tree(requests.tree),
        ),
        requests.ttft,
        requests.tpot,
        precisions=serving.precision or [],
        roles=_ROLES[serving.mode or ("disaggregated" if is_speculative else "both")],
        most_devices=serving.most_devices,
        free_share=serving.free_share,
        acceptance_rate=requests.accept,
        launch=serving.launch,
    )


def _draw(home: "Home", request: "Request", answer: "Answer", path: Path) -> None:
    """Write the chart of a plan."""
    from charts.serving_plan import draw_serving_plan
    from flows.plan.answer import list_ways
    from flows.site.render import render

    rows, model = list_ways(home, request, answer)
    drawn = draw_serving_plan(rows, model, request.profile.describe(), request.ttft_s, request.tpot_s)
    write_output(path, render(drawn.to_dict(), path.suffix.removeprefix(".")), "--chart")


def _read_tree(text: str | None) -> tuple[int, ...]:
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and part.isascii() and len(part) <= _MOST_DIGITS for part in parts):
        raise InputError(f"--tree: {text}: expected the candidates at each depth, e.g. 1,4,8")
    return tuple(map(int, parts))

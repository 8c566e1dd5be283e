"""The query of a plan: its steps written out, so that it gives the same rows wherever the snapshot's formulas are."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from flows.intensity.terms import SHARING
from flows.plan.request import Request
from warehouse.errors import InputError
from warehouse.sandbox.statements import LONGEST_STATEMENT
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_value

By = Literal["device", "dollar", "joule"]

_KEYS = ["hardware_id", "precision_id", *SHARING, "role"]
WHOLE = 0.995  # share of a step's least time that calibrations of its device cover, to call it covered
_DIGITS = 6  # of a number that is written out
# by -> the figure that configurations are sorted by, and its column beside tokens a device
_RATES: Mapping[By, tuple[str, str]] = {
    "device": ("tokens_per_s_per_device", ""),
    "dollar": ("tokens_per_dollar", "    round(tokens_per_dollar) as tokens_per_dollar,"),
    "joule": ("tokens_per_joule", "    round(tokens_per_joule, 3) as tokens_per_joule,"),
}
_ORIGINS = "    round(100 * covered_share) as percent_calibrated,\n    transferred_from as calibrated_on,"


def write_statement(
    request: Request, steps: pl.DataFrame, which: str, by: By = "device", limit: int | None = None
) -> str:
    """Return the query of a plan.

    Parameters
    ----------
    request
        The request.
    steps
        Result of `compute_steps`.
    which
        `best`, `nearest` or `every`: a file of sql/plan that says which rows, and their order.
    by, limit
        For `best`: what configurations are sorted by, and how many are shown.

    Raises
    ------
    InputError
        The query would be longer than one may be.
    """
    own = request.profile
    rate, column = _RATES[by]
    numbers = {"ttft": repr(request.ttft_s), "tpot": repr(request.tpot_s)}
    chosen = load_sql(f"plan/{which}", **({"by": rate} if which == "best" else numbers if which == "nearest" else {}))
    is_transferred = steps["transferred_from"].count() > 0 or (steps["covered_share"] < WHOLE).any()
    statement = load_sql(
        "plan/query",
        model=request.model_id,
        profile=own.describe(),
        steps=",\n".join(_write_steps(steps)),
        output=str(own.output_tokens),
        tokens_per_step=_write_tokens(request),
        free_share=repr(request.free_share),
        rate=column,
        origin=_ORIGINS if is_transferred else "",
        which=chosen.partition("\n")[2].rstrip() + (f"\nlimit {limit}" if limit else ""),
        **numbers,
    )
    statement = statement.replace("\n\n    round(", "\n    round(")
    if len(statement) > LONGEST_STATEMENT:
        raise InputError(
            f"--devices: {len(request.devices)} devices make a query of {len(statement):,} characters; expected at most"
            f" {LONGEST_STATEMENT:,}: fewer devices, or precisions"
        )
    return statement


def _write_tokens(request: Request) -> str:
    """Return SQL for the tokens that a step yields of each request."""
    own = request.profile
    if own.tree:
        return f"mart.expected_tree_tokens({request.acceptance_rate!r}, {list(own.tree)})"
    if own.candidates is not None:
        return f"mart.expected_tokens({request.acceptance_rate!r}, {own.candidates})"
    return "1"


def _write_steps(steps: pl.DataFrame) -> list[str]:
    """Return one row of VALUES per device, precision, sharing and role."""
    sends = pl.col("role").first() == "prefill"
    rows = steps.group_by(_KEYS, maintain_order=True).agg(
        "batch_size",
        "step_s",
        (pl.col("memory_bytes") / 1e6).ceil().cast(pl.Int64),
        pl.when(sends).then(pl.col("send_s").implode()),
        pl.col("covered_share").min().round(3),
        pl.col("transferred_from").first(),
    )
    return [f"            ({', '.join(map(_write, row))})" for row in rows.iter_rows()]


def _write(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, float):  # with an exponent: without one, it would be an exact decimal
        return f"{value:.{_DIGITS - 1}e}"
    return quote_value(value)

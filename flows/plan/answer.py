"""What a plan answers: the configurations that meet the limits, or which limit fails by how much."""

from dataclasses import dataclass

import polars as pl

from flows.plan.request import Request
from flows.plan.statement import WHOLE, By, write_statement
from flows.plan.steps import compute_steps
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot


@dataclass(frozen=True, eq=False)
class Answer:
    """A plan.

    Parameters
    ----------
    statement
        The query, which gives `rows` on the snapshot.
    rows
        The configurations, best first; if none meets both limits, the nearest one.
    is_met
        Whether they meet both limits.
    steps
        The steps that they follow from.
    remarks
        What there is to say: a line each.
    """

    statement: str
    rows: pl.DataFrame
    is_met: bool
    steps: pl.DataFrame
    remarks: tuple[str, ...]


def plan(home: Home, request: Request, by: By = "device", limit: int = 20) -> Answer:
    """Return the configurations that serve requests within their limits.

    Raises
    ------
    InputError
        The request cannot be met, for what the snapshot lacks.
    """
    steps, remarks = compute_steps(home, request)
    if steps.is_empty():
        nothing = f"{request.model_id} fits none of these devices, alone or as {request.most_devices}"
        return Answer("", pl.DataFrame(), False, steps, (*remarks, nothing))
    remarks += _name_origins(steps)
    with open_snapshot(home.snapshot) as connection:
        statement = write_statement(request, steps, "best", by, limit)
        rows = read_frame(connection, statement)
        if len(rows):
            if by != "device":
                remarks += _name_rateless(fetch_rows(connection, _UNKNOWN[by]), rows, by)
            return Answer(statement, rows, True, steps, tuple(remarks))
        statement = write_statement(request, steps, "nearest")
        rows = read_frame(connection, statement)
    if rows.is_empty():
        nothing = f"{request.model_id} fits none of these devices with a request, alone or as {request.most_devices}"
        return Answer("", rows, False, steps, (*remarks, nothing))
    return Answer(statement, rows, False, steps, (_say_missed(request, rows), *remarks))


def _name_origins(steps: pl.DataFrame) -> list[str]:
    """Return a line about each device whose calibrations are another's, or do not cover its steps."""
    lines = []
    for name, covered, lent in (
        steps.group_by("hardware_id", maintain_order=True)
        .agg(pl.col("covered_share").min(), pl.col("transferred_from").drop_nulls().unique().sort().str.join(", "))
        .iter_rows()
    ):
        parts = [f"some calibrations are those of {lent}"] if lent else []
        if covered == 0:
            parts.append("no calibration, so its times are the least, those at the roof")
        elif covered < WHOLE:
            parts.append(f"{1 - covered:.0%} of the least time of a step is not calibrated and counts at the roof")
        if parts:
            lines.append(f"{name}: {'; '.join(parts)}")
    return lines


def list_ways(home: Home, request: Request, answer: Answer) -> tuple[pl.DataFrame, str]:
    """Return every way to serve of a plan with the name of its device, and the name of the model."""
    with open_snapshot(home.snapshot) as connection:
        rows = read_frame(connection, write_statement(request, answer.steps, "every"))
        names = dict(fetch_rows(connection, "select hardware_id, short_name from core.hardware"))
        models = dict(fetch_rows(connection, "select model_id, short_name from core.model"))
    covered = answer.steps.group_by("hardware_id").agg(pl.col("covered_share").max())
    at_roof = set(covered.filter(covered_share=0)["hardware_id"])
    named = {name: f"{short} (at the roof)" if name in at_roof else short for name, short in names.items()}
    return rows.with_columns(
        device=pl.col("hardware_id").replace_strict(named), is_expected=~pl.col("hardware_id").is_in(list(at_roof))
    ), models[request.model_id]


_UNKNOWN = {
    "dollar": "select hardware_id from core.hardware where dollars_per_hour is null",
    "joule": "select hardware_id from core.hardware where tdp_w is null",
}


def _name_rateless(unknown: list[tuple[str]], rows: pl.DataFrame, by: By) -> list[str]:
    """Return a line about the devices whose files lack what configurations are sorted by."""
    names = sorted({name for (name,) in unknown} & set(rows["hardware_id"]))
    field = "dollars_per_hour" if by == "dollar" else "tdp_w"
    return [f"listed last, as their files have no {field}: {', '.join(names)}"] if names else []


def _say_missed(request: Request, rows: pl.DataFrame) -> str:
    """Return which limits the nearest configuration fails, and by how much."""
    row = rows.row(0, named=True)
    limits = (("--ttft", float(row["ttft_s"]), request.ttft_s), ("--tpot", float(row["tpot_s"]), request.tpot_s))
    missed = [
        f"{option} {limit:g} s fails: {seconds:.4g} s, {seconds / limit:.3g} times as long"
        for option, seconds, limit in limits
        if seconds > limit
    ]
    where = f"{row['sharing']} of {row['hardware_id']} at batch {row['batch_size']}, {row['mode']}"
    return f"no configuration meets both limits; the nearest is {where}: {' and '.join(missed)}"

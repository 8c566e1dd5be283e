"""Commands that read the published snapshot: query, questions, schema, chart, publish, check."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from flows.cli.options import (
    Common,
    Flag,
    Format,
    Names,
    QueryFile,
    choose_format,
    read_folder,
    read_statement,
    write_output,
)
from flows.cli.terminal import print_bytes, show_progress
from warehouse.errors import InputError
from warehouse.home import refuse_no_path

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from charts.gallery import ChartEntry
    from flows.site.chart_settings import ChartSettings

_SUFFIXES = ("json", "html", "svg", "png")
_OF_A_QUERY = ("precision", "colour")  # what can be chosen about the points of a query


def query(
    sql: str | None = None,
    /,
    *,
    file: QueryFile | None = None,
    format: Format | None = None,  # noqa: A002
    out: Path | None = None,
    as_of: str | None = None,
    timeout: float = 300,
    memory: str = "2GB",
    raw: Flag = False,
    common: Common = Common(),
) -> int:
    """Run read-only SQL on the published snapshot.

    Parameters
    ----------
    sql
        The statement, e.g. "select * from mart.roof".
    file
        Read the statement from this file instead; - is standard input.
    format
        How rows are written. A table shows the first and the last rows; the other formats write all of them. Default:
        what the suffix of --out means, else table.
    out
        File to write instead of standard output.
    as_of
        Read the snapshot of this run instead: its id, or the beginning of it, e.g. 20261122 (see mart.run_history).
    timeout
        Seconds after which the statement is stopped.
    memory
        Memory limit, e.g. 500MB.
    raw
        In CSV, leave text that begins with =, +, - or @ as it is. Default: prefix it with an apostrophe, for
        spreadsheets.
    """
    from flows.cli.query_result import write_result
    from warehouse.sandbox.question import Question

    if not timeout > 0:
        raise InputError(f"--timeout: {timeout:g}; expected seconds")
    home, snapshot = common.place, common.place.snapshot
    if as_of is not None:
        from warehouse.snapshot import find_snapshot

        snapshot = find_snapshot(home, as_of)
    more = "--timeout --memory"
    form, statement = choose_format(format, out), read_statement(sql, file)
    question = Question(str(snapshot), statement, form, "query", timeout, memory, more, raw=raw)
    write_result(home, question, out)
    return 0


def questions(
    name: str | None = None,
    /,
    *,
    format: Format | None = None,  # noqa: A002
    out: Path | None = None,
    sql: Flag = False,
    common: Common = Common(),
) -> int:
    """List the worked questions, or answer one of them from the published snapshot.

    Parameters
    ----------
    name
        Name of the question, e.g. compute_bound_from.
    format
        How rows are written, as in `rooflines query`.
    out
        File to write instead of standard output.
    sql
        Print the SQL instead of running it, to start a query from.
    """
    from warehouse.questions import find_question, list_questions
    from warehouse.snapshot import open_snapshot, refuse_earlier_version

    if name is None and (sql or format or out):
        raise InputError("questions: expected the name of a question with --sql, --format and --out")
    if sql and format:
        raise InputError("questions: expected either --sql or --format")
    if name is None:
        width = max(len(question.name) for question in list_questions())
        print("\n".join(f"{question.name:<{width}}  {question.asks}" for question in list_questions()))
        return 0
    asked = find_question(name)
    if sql and out:
        refuse_no_path("--out", out)
        write_output(out, asked.sql.encode())
        return 0
    if sql:
        print(asked.sql, end="")
        return 0
    with open_snapshot(common.place.snapshot) as connection:
        refuse_earlier_version(connection)
    return query(asked.sql, format=format, out=out, common=common)


def schema(name: str | None = None, /, *, common: Common = Common()) -> int:
    """List tables and views, or the columns of one, with their comments.

    Parameters
    ----------
    name
        A table or view, e.g. mart.roof; `mart.` may be left out.
    """
    from warehouse.schema import describe

    print(describe(common.place.snapshot, name))
    return 0


@Parameter(name="*")
@dataclass(frozen=True)
class Choices:
    """What a chart is drawn for, where that is not what the gallery says."""

    precision: str | None = None
    """Precision of the points and of the roof that they are held against, e.g. fp8. A query's points have fp16, unless
    this or their dtype says otherwise."""

    tensor_parallel: int | None = None
    "How many devices share the model."

    batch: Names | None = None
    "Batch size; for charts over batch sizes, all that are drawn."

    sequence: Names | None = None
    "Prompt and context length; for charts with a choice of contexts, all that can be chosen."

    devices: Names | None = None
    "For charts of several devices: exactly these."

    model: str | None = None
    "Model whose ops are drawn."

    convention: str | None = None
    "Which ops the model has: engine, paper, llm-viewer, draft."

    marks: Literal["computed", "predicted", "measured", "compared", "nearest"] | None = None
    """Which marks are drawn. compared: measured and predicted ones. nearest, of charts in the paper's style: measured
    if there are any, else predicted, else computed."""

    colour: str | None = None
    "Column of the points that tells them apart by colour and shape, e.g. bound, level or op_group."

    def read(self) -> "ChartSettings":
        """Return the choices with numbers as numbers."""
        from flows.site.chart_settings import ChartSettings

        return ChartSettings(
            model=self.model,
            convention=self.convention,
            precision=self.precision,
            tensor_parallel=self.tensor_parallel,
            batch=_read_numbers("--batch", self.batch),
            sequence=_read_numbers("--sequence", self.sequence),
            devices=self.devices,
            marks=self.marks,
            colour=self.colour,
        )


def chart(
    name: str | None = None,
    /,
    *,
    out: Path | None = None,
    sql: QueryFile | None = None,
    sweep: str | None = None,
    choices: Choices = Choices(),
    common: Common = Common(),
) -> int:
    """Draw a chart of the gallery, the rows of a query as a roofline, or a sweep; without any, list the charts.

    Parameters
    ----------
    name
        Name of the chart, e.g. roofline-llama-7b-a40. With a * it lists the names that match, also of charts that can
        be drawn but are not in the list, e.g. 'roofline-*-l4'.
    out
        File to write: .json (Vega-Lite), .html, .svg or .png. Default: Vega-Lite on standard output.
    sql
        File with a query whose rows are points on the rooflines of one or more devices: hardware_id,
        intensity_flops_per_byte, performance_flops_per_s, and optionally label, phase, bound, dtype, pipe, accumulator
        and level. - is standard input.
    sweep
        Name of a sweep with made-up devices (`rooflines sweep --device-like`), of one setting: tokens/s over the one or
        two values that vary.
    """
    settings = choices.read()
    _refuse_odd_arguments(name, out, sql, settings, sweep)
    if sweep is not None:
        return _draw_sweep(sweep, out, common)
    from warehouse.snapshot import open_snapshot

    with open_snapshot(common.place.snapshot) as connection:
        if sql is None and (name is None or "*" in name):
            _print_names(connection, name)
            return 0
        entry, frame = _read_chart(connection, name, sql, settings)
    from flows.site.render import build_spec, render

    _write_chart(render(build_spec(entry, frame), _suffix(out)), out)
    return 0


def _draw_sweep(sweep: str, out: Path | None, common: Common) -> int:
    """Draw the made-up devices of a sweep."""
    from flows.site.render import render
    from flows.site.what_if import build_what_if
    from warehouse.snapshot import open_snapshot, refuse_earlier_version

    with open_snapshot(common.place.snapshot) as connection:
        refuse_earlier_version(connection)
        spec = build_what_if(connection, sweep)
    _write_chart(render(spec, _suffix(out)), out)
    return 0


def _write_chart(content: bytes, out: Path | None) -> None:
    """Write a chart to the file that is given, whose name is then printed, or else to standard output."""
    if out is None:
        print_bytes(content)
    else:
        write_output(out, content)
        print(out)


def publish(
    *,
    out: str | None = None,
    base_url: str | None = None,
    sql_console: str | None = None,
    common: Common = Common(),
) -> int:
    """Build the site from the published snapshot.

    Parameters
    ----------
    out
        Folder to publish to. It replaces an earlier site there and keeps all other files. Default: HOME/site.
    base_url
        Where the site will be, e.g. https://example.org/rooflines/: pages then name their address and their picture for
        links that are shared, and feed.json and feed.xml list the charts by the date of their data. Later runs keep it;
        none takes it away.
    sql_console
        Folder in which npm installed @duckdb/duckdb-wasm: adds the page console/, which asks the site's data in SQL in
        the browser. That page needs a server. Later runs keep it; none takes it away.
    """
    from flows.site.publish import publish_site
    from flows.site.site_extras import read_extras
    from flows.site.snapshot_charts import summarize_left_out

    home = common.place
    site = read_folder("--out", out) or home.site.absolute()
    asked = read_extras(base_url, sql_console)
    with show_progress("reading the snapshot") as show:
        report = publish_site(home, site, show.tell, asked)
    print(f"published {report.charts} charts, {len(report.drawn)} of them redrawn")
    for line in summarize_left_out(report.left_out):
        print(f"  left out  {line}")
    print(f"  site  {site / 'index.html'}")
    return 0


def check(*, common: Common = Common()) -> int:
    """Check the published snapshot against the rules of sql/checks; exit code 1 if a rule does not hold.

    Also lists the charts that the site leaves out. They break no rule: the data are right without them.
    """
    from warehouse.checks import run_checks
    from warehouse.runs import read_left_out
    from warehouse.snapshot import open_snapshot, refuse_earlier_version

    with open_snapshot(common.place.snapshot) as connection:
        refuse_earlier_version(connection)
        rules, missing = run_checks(connection), read_left_out(connection)
    for rule in rules:
        verdict = f"{rule.offending_rows} rows" if rule.offending_rows else "ok"
        print(f"{verdict:>10}  {rule.name}: {rule.grain}")
        if rule.offending_rows:
            print(f"{'':>10}  e.g. {rule.example}")
    for line in missing:
        print(f"{'left out':>10}  {': '.join(line)}")
    return int(any(rule.offending_rows for rule in rules))


def _refuse_odd_arguments(
    name: str | None, out: Path | None, sql: Path | None, settings: "ChartSettings", sweep: str | None
) -> None:
    """Raise `InputError` if the arguments of `chart` do not fit each other."""
    if sweep is not None and (name is not None or sql is not None):
        raise InputError(f"--sweep: {sweep}: expected without the name of a chart and without --sql")
    if out and sql is None and sweep is None and (name is None or "*" in name):
        raise InputError("chart: expected the name of a chart with --out; `rooflines chart` lists them")
    if name is not None and sql is not None:
        raise InputError("chart: expected either the name of a chart or --sql FILE")
    for option in settings.list_given():
        if name is None and (sql is None or option not in _OF_A_QUERY):
            expected = "the name of a chart; `rooflines chart` lists them"
            raise InputError(f"--{option.replace('_', '-')}: expected with {expected}")
    refuse_no_path("--out", out or "")
    if _suffix(out) not in _SUFFIXES:
        raise InputError(f"--out: {out}: expected a file that ends in .json, .html, .svg or .png")


def _read_numbers(option: str, values: list[str] | None) -> list[int] | None:
    """Return the numbers of an option, or raise `InputError`."""
    for value in values or []:
        if not value.isdecimal() or int(value) == 0:
            raise InputError(f"{option}: {value or 'empty'}: expected a whole number from 1")
    return None if values is None else sorted({int(value) for value in values})


def _suffix(out: Path | None) -> str:
    return out.suffix.removeprefix(".") if out else "json"


def _print_names(connection: "duckdb.DuckDBPyConnection", pattern: str | None) -> None:
    """Print the names of the charts in the list, or of all that can be drawn and match a pattern."""
    from fnmatch import fnmatchcase

    from flows.site.snapshot_charts import list_drawable_charts, list_snapshot_charts

    entries = list_snapshot_charts(connection)
    asked = [entry for entry in entries if (fnmatchcase(entry.name, pattern) if pattern else entry.is_listed)]
    names = [entry.name for entry in list_drawable_charts(connection, asked)]
    if pattern and not names:
        raise InputError(
            f"chart: {pattern}: no chart has such a name; expected a part of one that `rooflines chart` lists"
        )
    print("\n".join(names))


def _read_chart(
    connection: "duckdb.DuckDBPyConnection", name: str | None, sql: Path | None, settings: "ChartSettings"
) -> tuple["ChartEntry", "pl.DataFrame"]:
    """Return a chart and its rows.

    Raises
    ------
    InputError
        There is no such chart, or nothing to draw.
    """
    from flows.site.chart_rows import build_own_roofline, is_drawable, query_chart
    from flows.site.chart_settings import change_settings, colour_points, explain_nothing_to_draw
    from flows.site.snapshot_charts import find_chart

    if sql is not None:
        statement = read_statement(None, sql, "--sql")
        return build_own_roofline(connection, statement, settings.precision or "fp16", "chart: --sql", settings.colour)
    entry = change_settings(connection, find_chart(connection, name or ""), settings)
    frame = query_chart(connection, entry)
    if not is_drawable(frame):
        raise explain_nothing_to_draw(connection, entry, settings)
    return entry, frame if settings.colour is None else colour_points(entry, frame, settings.colour)

"""The `rooflines` command: its families of commands, and how each ends.

A command imports what it needs when it runs: only what orchestrates imports Prefect.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, Parameter

from flows.cli import catalog, lake, measure, plan, profile, read, run, sweep
from flows.cli.terminal import flush_or_drop_output, flush_output, is_abandoned, print_error, print_warnings
from warehouse.errors import InputError, RunError, explain_disk_error
from warehouse.version import package_version

_COMMANDS: tuple[Callable[..., int], ...] = (
    run.run, run.serve, catalog.ingest, profile.profile, measure.measure, measure.calibrate, sweep.sweep, plan.plan,
    read.query, read.questions, read.schema, read.chart, read.publish, read.check,
)  # fmt: skip
_LAKE_COMMANDS: tuple[Callable[..., int], ...] = (lake.push, lake.pull, lake.remove)

app = App(
    name="rooflines",
    help="A queryable warehouse of rooflines: how close an operator runs to the limit of its hardware.",
    version=package_version,
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
lakes = App(
    name="lake",
    help="""Share what several homes have published: a DuckLake with its catalog in PostgreSQL.

    Each home pushes under its own name, and no home undoes what another pushed. Needs the extra lake.""",
    result_action="return_value",
)
for _command in _COMMANDS:
    app.command(_command)
for _command in _LAKE_COMMANDS:
    lakes.command(_command)
app.command(lakes)


def main() -> None:
    """Run the command line and exit: 0 good, 1 a run or a rule failed, 2 bad input."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in tokens
    print_warnings()
    try:
        code = int(app(tokens, exit_on_error=False, print_error=False) or 0)
        flush_output()
        return code
    except KeyboardInterrupt:
        print_error("interrupted", with_traceback=False)
        return 130
    except Exception as error:
        is_broken_pipe = os.strerror(errno.EPIPE) in str(error) and is_abandoned(sys.stdout)
        flush_or_drop_output()
        if is_broken_pipe:
            return 0
        known = error if isinstance(error, InputError | RunError | CycloptsError) else explain_disk_error(error)
        print_error(known or _describe_unforeseen(error, debug), with_traceback=debug)
        return 2 if isinstance(known, InputError | CycloptsError) else 1


def _describe_unforeseen(error: Exception, debug: bool) -> str:
    return str(error) if debug else f"{type(error).__name__}: {error} (--debug shows where)"

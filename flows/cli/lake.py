"""`rooflines lake`: what several homes share."""

import os
import shlex
import time
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Common, Flag
from flows.cli.terminal import show_progress
from warehouse.errors import InputError


def push(
    *,
    to: str | None = None,
    data: str | None = None,
    writer: str | None = None,
    replace: Flag = False,
    common: Common = Common(),
) -> int:
    """Push the tables of the published snapshot to the lake, in one transaction; only rows that differ are written.

    Rows of other writers stay. Sweeps stay in their homes. `rooflines lake remove` undoes it.

    Parameters
    ----------
    to
        The lake: what DuckLake takes after ducklake:, e.g. "postgres:dbname=lake host=db.example.org". Default:
        $ROOFLINES_LAKE. Keep passwords in ~/.pgpass or $PGPASSWORD.
    data
        Folder or s3:// address for the files of a new lake, which every home must be able to reach.
    writer
        Name that this home pushes under. Default: the name of the machine.
    replace
        Replace what another home pushed under this name.
    """
    from warehouse.lake.push import default_writer, push_home

    home, name, started = common.place, writer or default_writer(), time.monotonic()
    with show_progress("pushing"):
        pushed = push_home(home, _read_address("--to", to), name, data, replace=replace)
    seconds = time.monotonic() - started
    if pushed.touched:
        print(f"pushed as {name}: {pushed.put_in:,} rows put in, {pushed.taken_out:,} taken out ({seconds:.1f} s)")
    else:
        print(f"unchanged: the lake has all of {name} ({seconds:.1f} s)")
    print("next: rooflines lake pull --home FOLDER")
    return 0


def pull(*, from_: Annotated[str | None, Parameter(name="--from")] = None, common: Common = Common()) -> int:
    """Replace a home's snapshot with what the lake shows, for query, schema, chart, publish and check.

    Use a home for this alone: a run needs one of its own.

    Parameters
    ----------
    from_
        The lake, as in `rooflines lake push --to`. Default: $ROOFLINES_LAKE.
    """
    from warehouse.lake.pull import pull_lake

    home, started = common.place, time.monotonic()
    with show_progress("pulling"):
        pulled = pull_lake(home, _read_address("--from", from_))
    seconds = time.monotonic() - started
    verb = "unchanged since the last pull" if pulled.run_id is None else "pulled"
    print(f"{verb}: what {', '.join(pulled.writers) or 'nobody'} pushed ({seconds:.1f} s)")
    print(f"  snapshot  {home.snapshot}")
    print(f'next: rooflines query --home {shlex.quote(str(home.path))} "select * from core.writer"')
    return 0


def remove(
    *, writer: str, from_: Annotated[str | None, Parameter(name="--from")] = None, common: Common = Common()
) -> int:
    """Remove every row of a writer from the lake.

    Parameters
    ----------
    writer
        Name that a home pushed under.
    from_
        The lake, as in `rooflines lake push --to`. Default: $ROOFLINES_LAKE.
    """
    from warehouse.lake.push import remove_writer

    with show_progress("removing"):
        count = remove_writer(_read_address("--from", from_), writer)
    print(f"removed {writer}: {count:,} rows")
    return 0


def _read_address(option: str, given: str | None) -> str:
    address = (given or os.environ.get("ROOFLINES_LAKE", "")).strip().removeprefix("ducklake:")
    if not address:
        expected = f"{option} ADDRESS or $ROOFLINES_LAKE, e.g. 'postgres:dbname=lake host=localhost'"
        raise InputError(f"lake: expected {expected}")
    return address

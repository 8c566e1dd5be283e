"""`rooflines profile`: the roofline of one profile, without a catalog of one's own and without a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows.cli.options import Common, Flag, write_output
from flows.cli.terminal import print_bytes, show_progress
from warehouse.errors import InputError
from warehouse.home import refuse_no_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

_SUFFIXES = {".html": "html", ".svg": "svg", ".png": "png", ".json": "json"}
_MOST_LETTERS = 60  # of a kernel's name
_BETWEEN = 3  # letters between two columns


def profile(
    file: Path,
    /,
    *,
    hardware_id: str | None = None,
    model_id: str | None = None,
    kind: str | None = None,
    out: Path | None = None,
    top: int = 20,
    format: Literal["table", "csv", "json"] = "table",  # noqa: A002
    anyway: Flag = False,
    common: Common = Common(),
) -> int:
    """Draw the roofline of the kernels in a profile, and list them: what each would gain at its roof, most first.

    Takes the files of other tools that `rooflines ingest` takes, and tables of kernel times. Nothing is kept, and no
    run is needed.

    Parameters
    ----------
    file
        The profile.
    hardware_id
        The device. Default: the one that the file or its path names.
    model_id
        The model. Default: the one that the path names.
    kind
        What the file is, as for `rooflines ingest`, if its content does not tell.
    out
        Chart to write: .html (with a table of the kernels), .svg, .png or .json (Vega-Lite; also .vl.json).
    top
        How many kernels the table lists; 0 is all.
    format
        table, or csv or json with every column of mart.profile_kernel.
    anyway
        Take a profile that names another device than --hardware-id.
    """
    suffix = _read_suffix(out)
    if top < 0:
        raise InputError(f"--top: {top}: expected 0 or more")
    refuse_no_path("profile", file)
    from flows.ingest.kinds import recognize_kind
    from flows.ingest.lone_profile import read_lone_profile
    from flows.ingest.profiles import nsys
    from flows.site.lone_profiles import draw_profile, open_profile, read_kernels

    file = file.expanduser()
    kind = kind or recognize_kind(file)
    if kind == "nsys":
        return _print_times(nsys.list_kernels(file), nsys.COUNT, top, out, format)
    with show_progress("reading") as show:
        read = read_lone_profile(common.place, file, kind, hardware_id, model_id, anyway=anyway)
        show.tell("placing the kernels")
        with open_profile(read.tables) as connection:
            kernels = read_kernels(connection)
            if kernels.is_empty():
                raise InputError(f"{file}: ceilings, no kernels; expected a profile; `rooflines ingest` takes it")
            if out is not None:
                show.tell("drawing")
                write_output(out, draw_profile(connection, read.name, read.hardware_id, suffix))
    if format == "table":
        _print_kernels(kernels, top)
        for ceiling in read.counted:
            print(f"counter ceiling  {ceiling}")
    else:
        _print_rows(kernels, top, format)
    if out is not None and format == "table":
        print(out)
    return 0


def _print_rows(kernels: "pl.DataFrame", top: int, format: str) -> None:  # noqa: A002
    shown = kernels.head(top or len(kernels))
    print_bytes((shown.write_csv() if format == "csv" else shown.write_json() + "\n").encode())


def _print_times(kernels: "pl.DataFrame", expected: str, top: int, out: Path | None, format: str) -> int:  # noqa: A002
    """Print kernels of which the times alone are known."""
    from charts.summaries import format_time

    if out is not None:
        raise InputError(f"--out: {out}: times without FLOP and bytes, so there is no chart; expected {expected}")
    if format != "table":
        _print_rows(kernels, top, format)
        return 0
    total = sum(kernels["total_s"])
    rows = [
        [row["op"], format_time(row["total_s"]), f"{row['total_s'] / total:.1%}", f"{row['launches']:,}"]
        for row in kernels.head(top or len(kernels)).iter_rows(named=True)
    ]
    _print_table({"kernel": "left", "time": "right", "share": "right", "launches": "right"}, rows)
    print(f"{len(kernels)} kernels take {format_time(total)}; FLOP and bytes are not in the file: {expected}")
    return 0


def _read_suffix(out: Path | None) -> str:
    """Return the format of the chart that --out names."""
    refuse_no_path("--out", out or "")
    if out is not None and out.suffix not in _SUFFIXES:
        raise InputError(f"--out: {out}: expected a file that ends in .html, .svg, .png or .vl.json")
    return _SUFFIXES[out.suffix] if out else "json"


def _print_kernels(kernels: "pl.DataFrame", top: int) -> None:
    """Print the kernels as a table, and what they take together."""
    from charts.summaries import format_time, summarize_profile

    columns = dict.fromkeys(("kernel", "time", "share", "FLOP/s", "of roof", "bound", "headroom"), "right")
    shown = kernels.head(top or len(kernels))
    rows = []
    for row in shown.iter_rows(named=True):
        above = " (above)" if row["is_above_roof"] else ""
        rows.append(
            [
                row["op"],
                format_time(row["total_s"]),
                f"{row['time_share']:.1%}",
                _write_rate(row["achieved_flops_per_s"]),
                "" if row["roof_fraction"] is None else f"{row['roof_fraction']:.0%}{above}",
                row["bound"] or "no roof",
                "" if row["headroom_s"] is None else format_time(row["headroom_s"]),
            ]
        )
    _print_table({**columns, "kernel": "left", "bound": "left"}, rows)
    more = f" (the first {len(shown)} of them above)" if len(shown) < len(kernels) else ""
    print(f"{kernels['hardware_id'][0]}: {summarize_profile(kernels)}{more}")
    if kernels["coverage"][0]:
        print(kernels["coverage"][0])


def _print_table(columns: "Mapping[str, str]", rows: "Sequence[Sequence[str]]") -> None:
    """Print rows under the names of the columns, each aligned left or right; the first may be shortened."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    widths = [max(len(text) for text in column) for column in zip(columns, *rows, strict=True)]
    first = max(12, min(_MOST_LETTERS, widths[0], console.width - sum(widths[1:]) - _BETWEEN * len(widths)))
    for name, side, width in zip(columns, columns.values(), [first, *widths[1:]], strict=True):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True, width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _write_rate(flops_per_s: float) -> str:
    if not flops_per_s:
        return ""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if flops_per_s >= size:
            return f"{flops_per_s / size:.4g} {prefix}"
    return f"{flops_per_s:.4g}"

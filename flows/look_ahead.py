"""What `rooflines run` does before Prefect is loaded: it checks if anything changed, and refuses bad files."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from flows.core_tables import find_chart_faults, scan_kind
from flows.ingest.catalog import list_sources
from flows.ingest.kinds import CATALOG_KINDS, refuse_unknown_names
from flows.ingest.readers import step
from flows.ingest.source_file import SourceFile
from flows.run import Summary, create_run, is_copy_due, is_published, record, record_unchanged
from warehouse.errors import collect_refusals
from warehouse.home import Home


def look_ahead(
    home: Home,
    catalog: Path | None,
    publish_to: Path | None,
    *,
    may_end: bool = True,
    warn: Callable[[str], None] = lambda _: None,
) -> Summary | None:
    """Return what the run did if there was nothing to do; None if a flow run is due.

    Call it with the home held for writing. A run that it refuses is recorded as failed, without a flow run.

    Parameters
    ----------
    home, catalog, publish_to
        As in the flow `refresh`.
    may_end
        Whether the run may end here.
    warn
        Called with one line per chart of the user's gallery that the run will leave out.

    Raises
    ------
    InputError
        A file of the catalog or the gallery cannot be used, or the home cannot be written.
    RunError
        The disk is full.
    """
    sources = list_sources(home, catalog)
    this = create_run(sources)
    if may_end and is_published(home, this) and not is_copy_due(this, publish_to):
        return record_unchanged(home, this)
    try:
        _refuse_bad_files(home, sources, warn)
    except Exception as error:
        with record(home, this):
            raise error
    return None


def _refuse_bad_files(home: Home, sources: list[SourceFile], warn: Callable[[str], None]) -> None:
    """Raise `InputError` if a run would refuse a file of the catalog; files that a run has staged are good."""
    frames: dict[str, pl.LazyFrame] = {}
    with collect_refusals() as each:
        for name, kind in CATALOG_KINDS.items():
            if kind.max_bytes is None:  # files of any size are read once, by the run itself
                continue
            with each():
                frames |= scan_kind(home, name, sources)
    refuse_unknown_names(frames, sources)
    step.refuse_unknown_names(frames, sources)
    for name, fault in find_chart_faults(frames).select("name", "fault").drop_nulls().iter_rows():
        warn(f"gallery.toml: {name}: {fault}; the chart is left out")

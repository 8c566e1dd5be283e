"""What `rooflines run` does before Prefect is loaded: it looks whether anything changed, and refuses bad files."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from flows import steps
from flows.ingest.catalog import list_sources
from flows.ingest.kinds import CATALOG_KINDS, refuse_unknown_names
from flows.ingest.source_file import SourceFile
from flows.steps import Summary
from warehouse.errors import refused_together
from warehouse.home import Home
from warehouse.site_placement import made_from


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
        As of the flow `refresh`.
    may_end
        Whether the run may end here.
    warn
        Called with a line for each chart of the user's gallery that the run will leave out.

    Raises
    ------
    InputError
        A file of the catalog or the gallery cannot be used, or the home not be written.
    RunError
        The disk is full.
    """
    sources = list_sources(home, catalog)
    run = steps.new_run(sources)
    if may_end and steps.is_published(home, run) and (publish_to is None or made_from(publish_to) == run.inputs_sha256):
        return steps.record_unchanged(home, run)
    try:
        _refuse_bad_files(home, sources, warn)
    except Exception as error:
        with steps.recorded(home, run):
            raise error
    return None


def _refuse_bad_files(home: Home, sources: list[SourceFile], warn: Callable[[str], None]) -> None:
    """Raise `InputError` if a run would refuse a file of the catalog; files that a run has staged are good."""
    frames: dict[str, pl.LazyFrame] = {}
    with refused_together() as each:
        for name, kind in CATALOG_KINDS.items():
            if kind.max_bytes is None:  # files of any size are read once, by the run itself
                continue
            with each():
                frames |= steps.read(home, name, [source for source in sources if source.kind == name])
    refuse_unknown_names(frames, sources)
    for name, fault in steps.charts_with_faults(frames).select("name", "fault").drop_nulls().iter_rows():
        warn(f"gallery.toml: {name}: {fault}; the chart is left out")

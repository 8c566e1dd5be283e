"""The pages of one site: what all of them say in their heads and at their feet."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from flows.site.page_templates import render_page
from flows.site.site_rows import SiteRows


class SitePages:
    """The folder of a new site, and the dates of what its pages show.

    Parameters
    ----------
    out
        Folder of the site.
    dates
        The rows of sql/site/page_dates.sql; without them, pages have no date.
    """

    def __init__(self, out: Path, dates: pl.DataFrame | None = None) -> None:
        self.out = out
        rows = [] if dates is None else dates.iter_rows()
        self._dates: dict[tuple[str, str], datetime] = {(kind, id_): changed_at for kind, id_, changed_at in rows}

    def find_date(self, devices: Iterable[str] = (), models: Iterable[str | None] = ()) -> datetime | None:
        """Return when the data of any of these devices and models last changed; without any, those of the site."""
        keys = [("device", id_) for id_ in devices] + [("model", id_) for id_ in models if id_ is not None]
        found = [self._dates[key] for key in keys or [("site", "")] if key in self._dates]
        return max(found, default=None)

    def write(
        self,
        path: str,
        template: str,
        *,
        of_devices: Iterable[str] = (),
        of_models: Iterable[str | None] = (),
        **values: Any,
    ) -> None:
        """Render a template into a page.

        Parameters
        ----------
        path
            Path of the page in the site, e.g. "devices/a40/index.html"; the navigation marks it if it lists it.
        template
            Name of a file in charts/pages.
        of_devices, of_models
            Ids of the devices and models that the page shows: their data date the page. Without any, all data do.
        values
            What the template uses.
        """
        file = self.out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.render(path, template, self.find_date(of_devices, of_models), **values), "utf-8")

    def render(self, path: str, template: str, date: datetime | None = None, **values: Any) -> str:
        """Return the text of a page, with the date that it says."""
        return render_page(template, root="../" * path.count("/"), here=path, date=date, **values)


def read_pages(out: Path, rows: SiteRows) -> SitePages:
    """Return the pages of a new site, dated by the rows of sql/site."""
    return SitePages(out, rows.frames["page_dates"])

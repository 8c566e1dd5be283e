"""The pages of one site: what all of them say in their heads and at their feet."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from flows.site.page_templates import render_page
from flows.site.site_extras import NO_EXTRAS, SiteExtras
from flows.site.site_rows import SiteRows


class SitePages:
    """The folder of a new site, and the dates of what its pages show.

    Parameters
    ----------
    out
        Folder of the site.
    dates
        The rows of sql/site/page_dates.sql; without them, pages have no date.
    extras
        The address of the site, which its pages then name, and whether it has a console.
    """

    def __init__(self, out: Path, dates: pl.DataFrame | None = None, extras: SiteExtras = NO_EXTRAS) -> None:
        self.out, self.extras = out, extras
        rows = [] if dates is None else dates.iter_rows()
        self._dates: dict[tuple[str, str], datetime] = {(kind, id_): changed_at for kind, id_, changed_at in rows}

    def find_date(self, devices: Iterable[str] = (), models: Iterable[str | None] = ()) -> datetime | None:
        """Return when the data of any of these devices and models last changed; without any, those of the site."""
        keys = [("device", id_) for id_ in devices] + [("model", id_) for id_ in models if id_ is not None]
        found = [self._dates[key] for key in keys or [("site", "")] if key in self._dates]
        return max(found, default=None)

    def find_address(self, path: str) -> str:
        """Return the address of a file of the site; that of an index ends in a slash. Empty if the site has none."""
        return self.extras.base_url and self.extras.base_url + quote(path.removesuffix("index.html"))

    def write(
        self,
        path: str,
        template: str,
        *,
        of_devices: Iterable[str] = (),
        of_models: Iterable[str | None] = (),
        picture: str | None = None,
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
        picture
            Path of the picture that stands for the page where it is shared.
        values
            What the template uses.
        """
        file = self.out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.render(path, template, self.find_date(of_devices, of_models), picture, **values), "utf-8")

    def render(
        self, path: str, template: str, date: datetime | None = None, picture: str | None = None, **values: Any
    ) -> str:
        """Return the text of a page, with the date that it says."""
        head = {"address": self.find_address(path), "picture": self.find_address(picture) if picture else ""}
        head["root"] = "../" * path.count("/")
        return render_page(template, here=path, date=date, has_console=bool(self.extras.console), **head, **values)


def read_pages(out: Path, rows: SiteRows, extras: SiteExtras) -> SitePages:
    """Return the pages of a new site, dated by the rows of sql/site."""
    return SitePages(out, rows.frames["page_dates"], extras)

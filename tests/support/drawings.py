"""Charts without ink, for tests of which charts a run draws rather than how they look."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import polars as pl

from charts.gallery import ChartEntry
from flows.site.drawing_processes import submit_chart

_PICTURE = '<svg width="1" height="1"><g transform="translate(0,0)"></g></svg>'
_PLOT = {"width": 1, "height": 1, "layer": []}


@contextmanager
def draw_without_ink(*drawn: str) -> Iterator[None]:
    """Write a few words in place of each picture of the gallery, except for the charts that are named."""

    def write_words(entry: ChartEntry, frame: pl.DataFrame, files: Mapping[str, Path]) -> Future[None]:
        if entry.name in drawn:
            return submit_chart(entry, frame, files)
        title = {"text": entry.name, "subtitle": "without ink"}
        spec = {"title": title, "description": entry.name, "data": {"values": []}, **_PLOT}
        for suffix, file in files.items():
            file.write_text(json.dumps(spec) if suffix == "vl.json" else _PICTURE, "utf-8")
        future: Future[None] = Future()
        future.set_result(None)
        return future

    with mock.patch("flows.site.site_charts.submit_chart", write_words):
        yield

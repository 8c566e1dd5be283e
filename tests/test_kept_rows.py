"""Rows that pages show are kept while nothing that they are asked of changes, and are those that would be asked."""

import shutil
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from flows.site.kept_rows import COMMON_DEVICES, KEPT, KeptRows
from tests.support.other_devices import change_other_devices
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import load_all_sql
from warehouse.sql_values import OneOf, write_values


def load_queries() -> dict[str, str]:
    """Return the queries whose rows are kept."""
    queries = {**load_all_sql("explorer"), **load_all_sql("site")}
    return {name: write_values(queries[name], {"common_devices": OneOf(COMMON_DEVICES)}) for name in sorted(KEPT)}


def test_kept_rows_are_those_that_were_asked(snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    queries = load_queries()
    kept = KeptRows(snapshot, tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    old = tmp_path / "kept" / "steps-of-earlier-tables.parquet"
    old.write_bytes(b"")
    with mock.patch("flows.site.kept_rows.read_frame", wraps=read_frame) as asked:
        for name, sql in queries.items():
            first, second = (kept.read(snapshot, name, sql) for _ in range(2))
            assert first.equals(second), name
            assert second.schema == read_frame(snapshot, f"select * from ({sql}) limit 0").schema, name
    assert len(asked.call_args_list) == len(queries)
    assert len(list((tmp_path / "kept").iterdir())) == len(queries)


def test_rows_that_cannot_be_kept_are_asked(snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    sql = load_queries()["device_crossovers"]
    expected = read_frame(snapshot, sql)
    kept = KeptRows(snapshot, tmp_path)
    kept.read(snapshot, "device_crossovers", sql)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"PAR1 and no more PAR1")
    assert kept.read(snapshot, "device_crossovers", sql).equals(expected)
    (tmp_path / "a file").write_text("in the way", "utf-8")
    for folder in (tmp_path / "a file" / "kept", None):
        assert KeptRows(snapshot, folder).read(snapshot, "device_crossovers", sql).equals(expected)
    assert not kept.find_digest("device_crossovers", "select 1 from core.run")  # a run writes it while it draws


@pytest.mark.slow
def test_rows_of_some_devices_stay_when_others_change(finished: Home, tmp_path: Path) -> None:
    queries = load_queries()
    changed = tmp_path / "changed.duckdb"
    with open_snapshot(finished.snapshot, threads=1) as before:
        kept = KeptRows(before, None)
        named = {name: kept.list_devices(name) for name in queries}
        assert [name for name, devices in named.items() if devices] == [
            "device_measured", "kernel_errors", "measured", "model_answers", "step_errors"
        ]  # fmt: skip
        for devices in {tuple(devices) for devices in named.values() if devices}:
            shutil.copyfile(finished.snapshot, changed)
            change_other_devices(changed, devices)
            with open_snapshot(changed, threads=1) as after:
                kept_after = KeptRows(after, None)
                for name, sql in queries.items():
                    reads_others = name != "held" and not (named[name] and set(named[name]) <= set(devices))
                    if not reads_others:
                        assert read_frame(before, sql).equals(read_frame(after, sql)), name
                    assert (kept.find_digest(name, sql) != kept_after.find_digest(name, sql)) == reads_others, name

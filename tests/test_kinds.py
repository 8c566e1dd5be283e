"""The tables of what rooflines knows: kinds of files, and the fixed terms of the cost model."""

import inspect
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli import catalog as command
from flows.ingest.catalog import list_sources
from flows.ingest.document import Document, Id, list_origins, merge_lists, read_documents
from flows.ingest.kinds import CATALOG_KINDS, INGESTED_KINDS, CatalogKind, read_every_kind, recognize_kind
from flows.ingest.profiles import aiconfigurator
from flows.ingest.profiles.nsight import counters
from flows.ingest.profiles.torch_profiler import op_shapes
from flows.ingest.readers import device_table, engine, measurement, ops, own_times, step
from flows.ingest.source_file import SourceFile
from flows.ingest.toml_writer import format_toml
from flows.ingest.user_catalog import add_files
from flows.intensity.conventions import CONVENTIONS
from flows.intensity.terms import BYTES, DTYPES, Convention
from flows.measure import standalone
from tests.support.files import write_file
from tests.support.inputs import assert_refused
from tests.support.whole_runs import write_small_catalog
from warehouse.errors import collect_refusals
from warehouse.home import Home


def test_the_command_takes_the_kinds_of_the_table() -> None:
    annotation = inspect.signature(command.ingest).parameters["kind"].annotation
    assert get_args(annotation) == INGESTED_KINDS


def test_every_kind_of_the_command_is_explained() -> None:
    assert [kind for kind in INGESTED_KINDS if f"{kind}: " not in (command.ingest.__doc__ or "")] == []


def test_help_names_every_column_of_the_formats_of_this_project() -> None:
    *_, of_devices, of_ops, of_kernels, of_steps, of_results = (
        (command.ingest.__doc__ or "").partition("Parameters")[0].split("Columns of ")
    )
    columns = {
        of_devices: [*device_table._TEXTS, *device_table._NUMBERS],
        of_ops: [*ops._COLUMNS, *ops._OTHER_NAMES],
        of_kernels: [*measurement.COLUMNS, *own_times.TIMES, *own_times.RATES],
        of_steps: list(step.COLUMNS),
        of_results: list(engine.COLUMNS),
    }
    for text, names in columns.items():
        assert set(names) - set(re.findall(r"\w+", text)) == set()


def test_no_two_kinds_share_files() -> None:
    patterns = [pattern for kind in CATALOG_KINDS.values() for pattern in kind.patterns]
    assert len(patterns) == len(set(patterns))
    for kind in CATALOG_KINDS.values():
        assert len({Path(pattern).parent for pattern in kind.patterns}) == 1


class _Rack(Document):
    rack_id: Id


def _read_racks(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    with collect_refusals() as each:
        racks = [([rack], source) for rack, source in read_documents(sources, _Rack, each)]
    return {"rack": merge_lists("rack_id", racks), "origin": list_origins(sources)}


def test_a_new_kind_is_a_reader_and_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = CatalogKind(
        patterns=("racks/*.toml",),
        read=_read_racks,
        frames=("rack",),
        id_field="rack_id",
        recognizes=lambda head: "rack_id" in head.keys,
    )
    monkeypatch.setitem(CATALOG_KINDS, "rack", kind)
    home, path = Home(tmp_path / "home"), write_file(tmp_path, "any.toml", 'rack_id = "mine"\n')
    assert recognize_kind(path) == "rack"
    assert [added.path for added in add_files(home, "rack", [str(path)])] == [home.catalog / "racks" / "mine.toml"]
    assert read_every_kind(list_sources(home))["rack"].collect()["rack_id"].to_list() == ["mine"]
    bad = write_file(tmp_path, "bad.toml", 'rack_id = "other"\nsize = 1\n')
    assert_refused(lambda: add_files(home, "rack", [str(bad)]), names=["bad.toml", "size", "unknown field"])


def test_what_did_not_change_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def count_racks(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
        read.append(len(sources))
        return _read_racks(sources)

    kind = CatalogKind(
        patterns=("racks/*.toml",),
        read=count_racks,
        frames=("rack",),
        id_field="rack_id",
        recognizes=lambda head: "rack_id" in head.keys,
    )
    monkeypatch.setitem(CATALOG_KINDS, "rack", kind)
    home, shipped = Home(tmp_path / "home"), write_small_catalog(tmp_path / "shipped")
    (home.catalog / "racks").mkdir(parents=True)
    for content in ("size = 1", "size = 1", "size = 2", "size = 1"):
        write_file(home.catalog / "racks", "mine.toml", f'rack_id = "mine"\n# {content}\n')
        read_every_kind(list_sources(home, shipped=shipped))
    assert read == [1, 1]


def test_another_catalog_may_take_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    shipped = write_small_catalog(tmp_path / "shipped")
    sources = list_sources(Home(tmp_path / "home"), shipped=shipped)
    assert sources
    assert all(source.path.is_relative_to(shipped) for source in sources)


def test_every_dtype_has_a_size() -> None:
    assert tuple(BYTES) == DTYPES


def test_bare_machines_and_profiles_know_no_other_dtypes() -> None:
    assert {name: BYTES[name] for name in standalone._BYTES} == standalone._BYTES  # type: ignore[index]
    backends = {dtype for backend in (standalone.TorchCuda, standalone.Numpy) for dtype in backend.dtypes}
    profiles = {*counters.DTYPES, *op_shapes._DTYPES.values(), *aiconfigurator._ATTENTIONS.values()}
    assert backends <= standalone._BYTES.keys()
    assert profiles | {dtype for row in aiconfigurator._PRODUCTS.values() for dtype in row} <= set(DTYPES)


def test_workloads_can_ask_for_every_convention() -> None:
    assert get_args(Convention) == tuple(CONVENTIONS)


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
TABLES = st.dictionaries(st.text(max_size=9), VALUES | st.lists(st.text(), max_size=3), max_size=5)


@given(fields=TABLES, rows=st.lists(TABLES, max_size=3))
def test_toml_reads_as_it_was_written(fields: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    fields.pop("row", None)
    text = format_toml(fields, {"row": rows}, comment="made by a test")
    assert tomllib.loads(text) == {**fields, **({"row": rows} if rows else {})}


def test_toml_has_no_number_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="nan in TOML"):
        format_toml({"x": float("nan")}, {})


def test_toml_is_laid_out_for_people() -> None:
    text = format_toml({"a": 1}, {"b": [{"c": 0.5}, {"c": True, "d": "é"}]}, comment="two")
    assert text == '# two\n\na = 1\n\n[[b]]\nc = 0.5\n\n[[b]]\nc = true\nd = "é"\n'

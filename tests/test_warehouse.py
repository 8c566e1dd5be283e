"""The build database, the snapshot and the rules, without Prefect."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import snapshot
from warehouse import sql_files as objects
from warehouse.build import open_build
from warehouse.checks import Rule, run_checks
from warehouse.errors import InputError, RunError
from warehouse.files.atomic import PARTIALS
from warehouse.home import Home
from warehouse.load import StagedFile, load_tables
from warehouse.migrations import create_tables, has_tables, is_current, read_table_version
from warehouse.rows import fetch_count
from warehouse.runs import Run, finish_run, start_run
from warehouse.schema import describe
from warehouse.sql_files import load_all_sql, sql_folder
from warehouse.sql_values import OneOf, quote_name, quote_value, write_values
from warehouse.table_digests import TableDigests
from warehouse.views import create_views


@pytest.fixture
def build(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The build database of a finished run, to be damaged."""
    with open_build(home) as connection:
        yield connection


DAMAGE = {
    "point_above_roof": "update core.op_cost set intensity_flops_per_byte = 2 * intensity_flops_per_byte",
    "intensity_is_flops_per_byte": "update core.op_cost set bytes = 2 * bytes",
    "ceiling_without_origin": "update core.source set origin = ' ' where kind = 'hardware'",
    "missing_setting": "delete from core.op_cost where precision_id = 'bf16' and shape_id % 7 = 0",
    "duplicate_key": "update core.op_shape set batch_size = 1 where batch_size = 2",
    "orphan_row": "delete from core.model where model_id = 'llama-7b'",
    "one_default_ceiling": "update core.ceiling set is_default = true",
    "device_without_roof": "delete from core.ceiling where hardware_id = 'a40' and kind = 'bandwidth'",
}


def test_the_rules_hold(build: duckdb.DuckDBPyConnection) -> None:
    assert not any(found.offending_rows for found in run_checks(build))


def test_every_rule_is_tried() -> None:
    assert {path.stem for path in objects.sql_files("checks")} == set(DAMAGE)


def run_rule(build: duckdb.DuckDBPyConnection, name: str, since: TableDigests | None = None) -> Rule:
    """Run one rule alone: all of them take a second."""
    one = {name: load_all_sql("checks")[name]}
    with mock.patch("warehouse.checks.load_all_sql", return_value=one):
        (rule,) = run_checks(build, since)
    return rule


def load_from_others(build: duckdb.DuckDBPyConnection, *tables: str) -> None:
    """Have tables look as if they were loaded from other files than before; without names, all tables."""
    loaded = "update core.run_change set inputs_sha256 = repeat('0', 64)"
    build.execute(f"{loaded} where list_contains($tables, table_name) or $tables = []", {"tables": list(tables)})


@pytest.mark.parametrize("rule", DAMAGE)
def test_a_rule_finds_the_rows_that_offend_it(rule: str, build: duckdb.DuckDBPyConnection) -> None:
    held = TableDigests(build)
    build.execute(DAMAGE[rule])
    load_from_others(build)
    found = run_rule(build, rule)
    assert found.offending_rows > 0
    assert found.example
    assert run_rule(build, rule, held).offending_rows == found.offending_rows


def test_a_rule_that_held_is_asked_for_what_changed_since(build: duckdb.DuckDBPyConnection) -> None:
    build.execute(DAMAGE["point_above_roof"])
    held = TableDigests(build)
    load_from_others(build, "ceiling")
    assert run_rule(build, "point_above_roof", held).offending_rows == 0  # not asked: the rows are equal
    build.execute(
        "update core.ceiling set value_per_s = 2 * value_per_s where hardware_id = 'a40' and kind = 'compute'"
    )
    found = run_rule(build, "point_above_roof", held)
    whole = fetch_count(
        build, f"select count(*) from ({load_all_sql('checks')['point_above_roof']}) where hardware_id = 'a40'"
    )
    assert found.offending_rows == whole > 0
    assert found.example.startswith("hardware_id a40")
    load_from_others(build, "op_cost")
    assert run_rule(build, "point_above_roof", held).offending_rows > whole


@pytest.mark.parametrize(
    ("table", "column"),
    [("ceiling", "hardware_id"), ("hardware", "source_id"), ("op_cost", "precision_id"), ("op_shape", "model_id")],
)
def test_an_orphan_of_any_table_is_found(table: str, column: str, build: duckdb.DuckDBPyConnection) -> None:
    build.execute(f"create table copied as select * from core.{table} limit 1")
    build.execute(f"update copied set {column} = 'nobody'")
    if table == "op_shape":
        build.execute("update copied set shape_id = -1")
    is_keyed = table != "op_cost"
    conflict = f" on conflict do update set {column} = 'nobody'" if is_keyed else ""
    build.execute(f"insert into core.{table} select * from copied{conflict}")
    found = run_rule(build, "orphan_row")
    references = build.sql((sql_folder() / "checks" / "orphan_row.sql").read_text("utf-8")).fetchall()
    assert found.offending_rows == len(references)
    assert f"core.{table}.{column}" in {reference for reference, *_ in references}


def test_a_missing_setting_of_any_precision_is_found(build: duckdb.DuckDBPyConnection) -> None:
    build.execute("update core.workload set batch_sizes = list_append(batch_sizes, 128)")
    assert run_rule(build, "missing_setting").offending_rows > 0


def test_the_tables_are_created_once(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "new.duckdb")) as connection:
        assert not has_tables(connection)
        create_tables(connection)
        create_tables(connection)
        assert is_current(connection)
        applied = connection.sql("select version, name from core.schema_migration").fetchall()
    assert applied == [(read_table_version().number, path.name) for path in objects.sql_files("migrations")]


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "create schema core; create table core.schema_migration (a int); select no_such_column"
    monkeypatch.setattr("warehouse.migrations.load_all_sql", lambda _: {"001_bad": bad})
    with duckdb.connect(str(tmp_path / "new.duckdb")) as connection:
        with pytest.raises(duckdb.Error):
            create_tables(connection)
        schemas = connection.sql("select count(*) from duckdb_schemas() where schema_name = 'core'").fetchall()[0]
    assert schemas == (0,)


@pytest.mark.parametrize(
    ("edit", "is_noticed"),
    [
        (("-- the schemas", "-- all schemas"), False),
        (("create schema core;", "create schema core;  -- where the tables are\n"), False),
        (("tdp_w double", "tdp_w float"), True),
        (("'one row per device'", "'one row per  device'"), True),
    ],
)
def test_an_edited_migration_counts_as_earlier(
    edit: tuple[str, str], is_noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, sql),) = objects.load_all_sql("migrations").items()
    assert edit[0] in sql
    with duckdb.connect() as connection:
        create_tables(connection)
        monkeypatch.setattr("warehouse.migrations.load_all_sql", lambda _: {name: sql.replace(*edit)})
        assert is_current(connection) is not is_noticed


def test_a_build_database_of_an_earlier_version_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path)
    table = stage(tmp_path, "phase", "a", phase=["prefill"], series_suffix=["init"])
    with open_build(home) as connection:
        load_tables(connection, started(connection, "1"), table)
        connection.execute("insert into core.sweep_part values ('s', 'p', 1, 1)")
        connection.execute("insert into core.run_left_out values ('1', 1, 'f', 'n', 'r')")
        connection.execute("alter table core.run drop column flow_run_id")
        connection.execute("alter table core.op_set rename column short_name to caption")
        connection.execute("update core.schema_migration set version = 9")
    with open_build(home) as connection:
        assert is_current(connection)
        assert connection.sql("select run_id, status, flow_run_id from core.run").fetchall() == [("1", "running", None)]
        assert connection.sql("select count(*) from core.sweep_part").fetchall() == [(1,)]
        assert connection.sql("select count(*) from core.run_left_out").fetchall() == [(1,)]
        assert connection.sql("select count(*) from core.phase").fetchall() == [(4,)]
        (change,) = load_tables(connection, started(connection, "2"), table)
        assert change.touched > 0  # although the same inputs were loaded before
    (line,) = caplog.messages
    assert line == "build.duckdb was made by an earlier version; rebuilt from the catalog"
    assert not list(tmp_path.glob(PARTIALS))


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_cannot_be_read_is_kept_under_a_name_of_its_own(as_folder: bool, tmp_path: Path) -> None:
    home = Home(tmp_path)
    for content in ("first", "second", "third"):
        home.build.unlink(missing_ok=True)
        if as_folder and content == "second":
            home.build.mkdir()
            (home.build / "note").write_text(content)
        else:
            home.build.write_text(content)
        with open_build(home) as connection:
            assert is_current(connection)
    kept = [tmp_path / name for name in ("build.broken", "build-2.broken", "build-3.broken")]
    files = [path / "note" if path.is_dir() else path for path in kept]
    assert [file.read_text() for file in files] == ["first", "second", "third"]


def test_what_does_not_fit_is_left_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_build(Home(tmp_path)) as connection:
        started(connection, "1")
        connection.execute("insert into core.sweep_part values ('s', 'p', 1, 1)")
        connection.execute("alter table core.sweep_part rename column size_bytes to bytes")
        connection.execute("update core.schema_migration set sha256 = repeat('0', 64)")
    with open_build(Home(tmp_path)) as connection:
        assert connection.sql("select run_id from core.run").fetchall() == [("1",)]
        assert connection.sql("select count(*) from core.sweep_part").fetchall() == [(0,)]
    (line,) = caplog.messages
    assert line.endswith("rebuilt from the catalog, without core.sweep, core.sweep_part, core.sweep_device")


def stage(folder: Path, name: str, digest: str, **columns: list[Any]) -> dict[str, StagedFile]:
    pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
    return {name: StagedFile(folder / f"{name}.parquet", digest * 64)}


def started(connection: duckdb.DuckDBPyConnection, run_id: str) -> str:
    start_run(connection, Run(run_id, datetime.now(UTC), "1", "a" * 64, None))
    return run_id


def test_a_load_touches_only_rows_that_differ(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "kind": ["norm", "add"],
        "flops_per_element": [7.0, 1.0],
        "reads_per_element": [1.0, 1.0],
        "writes_per_element": [1.0, 1.0],
        "weight_reads_per_element": [0.0, 0.0],
        "origin": ["x", "x"],
        "source_id": ["s", "s"],
    }
    with open_build(Home(tmp_path)) as connection:
        first = load_tables(connection, started(connection, "1"), stage(tmp_path, "elementwise", "a", **columns))
        columns["flops_per_element"] = [8.0, 1.0]
        second = load_tables(connection, started(connection, "2"), stage(tmp_path, "elementwise", "b", **columns))
        columns = {name: values[:1] for name, values in columns.items()}
        third = load_tables(connection, started(connection, "3"), stage(tmp_path, "elementwise", "c", **columns))
        fourth = load_tables(connection, started(connection, "4"), stage(tmp_path, "elementwise", "c", kind=["gone"]))
    counts = [(c.rows, c.inserted, c.updated, c.deleted) for (c,) in (first, second, third, fourth)]
    assert counts == [(2, 2, 0, 0), (2, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 0)]


def test_a_load_that_fails_changes_no_table(home: Home, tmp_path: Path) -> None:
    with open_build(home) as connection:
        run_id = started(connection, "9")
        before = connection.sql("select * from core.precision order by all").fetchall()
        good = stage(
            tmp_path, "precision", "a", precision_id=["p"], weight_bits=[1.0], activation_bits=[1.0],
            kv_bits=[1.0], compute_dtype=["fp16"], origin=["x"], source_id=["s"],
        )  # fmt: skip
        bad = stage(tmp_path, "hardware", "a", hardware_id=["h"], memory_bytes=[float("nan")])
        with pytest.raises(duckdb.Error):
            load_tables(connection, run_id, {**good, **bad})
        assert connection.sql("select * from core.precision order by all").fetchall() == before
        assert connection.execute("select count(*) from core.run_change where run_id = '9'").fetchall()[0] == (0,)


def test_values_that_are_not_finite_cannot_be_stored(build: duckdb.DuckDBPyConnection) -> None:
    for value in ("'inf'", "'nan'", "-1"):
        with pytest.raises(duckdb.ConstraintException):
            build.execute(f"update core.ceiling set value_per_s = {value}::double where hardware_id = 'a40'")


def test_an_interrupted_run_does_not_count_as_running(tmp_path: Path) -> None:
    with open_build(Home(tmp_path)) as connection:
        started(connection, "1")
        started(connection, "2")
        rows = connection.sql("select run_id, status, error from core.run order by 1").fetchall()
    assert rows == [("1", "failed", "interrupted"), ("2", "running", None)]


def test_a_run_that_was_killed_after_it_published_counts_as_succeeded(tmp_path: Path) -> None:
    with open_build(Home(tmp_path)) as connection:
        started(connection, "1")
        start_run(connection, Run("0", datetime.now(UTC), "1", "a" * 64, None), "1")
        rows = connection.sql("select run_id, run_number, status from core.run order by run_number").fetchall()
    assert rows == [("1", 1, "succeeded"), ("0", 2, "running")]


def test_the_order_of_runs_does_not_hang_on_the_clock(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"kind": ["norm"], "origin": ["x"], "source_id": ["s"], "flops_per_element": [1.0]}
    columns |= {f"{name}_per_element": [1.0] for name in ("reads", "writes", "weight_reads")}
    counts = []
    with open_build(Home(tmp_path)) as connection:
        for run_id, digest in (("9", "a"), ("1", "b"), ("5", "a")):
            columns["flops_per_element"] = [float(ord(digest))]
            files = stage(tmp_path, "elementwise", digest, **columns)
            load_tables(connection, started(connection, run_id), files)
            row = connection.sql("select flops_per_element from core.elementwise").fetchall()[0]
            counts.append(row and row[0])
    assert counts == [97.0, 98.0, 97.0]


def test_a_clock_that_steps_back_does_not_fail_a_run(tmp_path: Path) -> None:
    with open_build(Home(tmp_path)) as connection:
        later = datetime.now(UTC) + timedelta(hours=1)
        start_run(connection, Run("1", later, "1", "a" * 64, None))
        finish_run(connection, "1", "succeeded")
        assert connection.sql(
            "select seconds from (select finished_at - started_at as seconds from core.run)"
        ).fetchall()[0] == (timedelta(0),)


def ceiling(build: duckdb.DuckDBPyConnection, kind: str, name: str, basis: str, value: float, is_default: bool) -> None:
    row = ["a40", kind, name, basis, "x", value, is_default, 1, "shipped/hardware/a40", "", "", ""]
    build.execute("delete from core.ceiling where hardware_id = 'a40' and name = ? and basis = ?", [name, basis])
    names = "hardware_id, kind, name, basis, origin, value_per_s, is_default, preference, source_id, pipe, accumulator"
    build.execute(f"insert into core.ceiling ({names}, ceiling_name) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def test_a_default_peak_stands_with_the_default_bandwidth(build: duckdb.DuckDBPyConnection) -> None:
    build.execute("update core.ceiling set is_default = false where hardware_id = 'a40' and kind = 'bandwidth'")
    ceiling(build, "bandwidth", "dram", "measured", 600e9, True)
    ceiling(build, "compute", "fp16", "measured", 120e12, False)
    roofs = build.sql(
        "select basis, bandwidth_basis, bandwidth_bytes_per_s from mart.roof"
        " where hardware_id = 'a40' and dtype = 'fp16' order by basis"
    ).fetchall()
    assert roofs == [("datasheet", "measured", 600e9), ("measured", "measured", 600e9)]


def test_a_roof_of_a_basis_prefers_the_bandwidth_of_that_basis(build: duckdb.DuckDBPyConnection) -> None:
    ceiling(build, "bandwidth", "dram", "measured", 600e9, False)
    ceiling(build, "compute", "fp16", "measured", 120e12, False)
    roofs = build.sql(
        "select basis, bandwidth_bytes_per_s from mart.roof where hardware_id = 'a40' and dtype = 'fp16' order by basis"
    ).fetchall()
    assert roofs == [("datasheet", 696e9), ("measured", 600e9)]


positive = st.floats(1e-3, 1e20, allow_nan=False)


@given(rows=st.lists(st.tuples(positive, positive), min_size=1, max_size=50), peak=positive, bandwidth=positive)
@settings(max_examples=50, deadline=None)
def test_no_point_of_the_view_lies_above_its_roof(
    rows: list[tuple[float, float]], peak: float, bandwidth: float, empty: duckdb.DuckDBPyConnection
) -> None:
    empty.begin()
    known = "hardware_id, name, short_name, vendor, architecture, memory_bytes, tdp_w, source_id"
    empty.execute(f"insert into core.hardware ({known}) values ('h', 'h', 'h', 'v', 'a', 1, 1, 's')")
    for kind, name, value in (("compute", "fp16", peak), ("bandwidth", "dram", bandwidth)):
        empty.execute(
            "insert into core.ceiling"
            f" values ('h', '{kind}', '{name}', 'datasheet', 'o', {value!r}, true, 1, null, 's', '', '', '', null,"
            " null)"
        )
    empty.execute("insert into core.precision values ('p', 16, 16, 16, 'fp16', 'o', 's', null, 0, null, 16)")
    empty.execute("insert into core.runnable_precision values ('h', 'p')")
    for i, (flops, moved) in enumerate(rows):
        names = "shape_id, model_id, convention, tensor_parallel, op, op_group, kind, matrices, has_bias, level, repeat"
        shape = f"{i}, 'm', 'c', 1, 'op', 'g', 'given', 1, false, 'dram', 1"
        ways = "expert_parallel, pipeline_parallel, data_parallel, idle_repeat, is_measured"
        empty.execute(f"insert into core.op_shape ({names}, pipe, {ways}) values ({shape}, '', 1, 1, 1, 0, false)")
        empty.execute(
            "insert into core.op_cost"
            f" values ({i}, 'p', {flops!r}, 0, {moved!r}, 0, {moved!r}, {flops / moved!r}, 0, 'fp16')"
        )
    points = empty.sql(
        "select flops, bytes, attainable_flops_per_s, lower_bound_s, bound, ridge_flops_per_byte"
        " from mart.roofline_point"
    ).fetchall()
    empty.rollback()
    assert len(points) == len(rows)
    for flops, moved, attainable, seconds, bound, ridge in points:
        assert attainable <= min(peak, flops / moved * bandwidth) * (1 + 1e-12)
        assert flops / seconds == pytest.approx(attainable, rel=1e-9)
        assert bound == ("compute" if flops / moved >= ridge else "memory")


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with tables and views, and no row in them."""
    with duckdb.connect() as connection:
        create_tables(connection)
        create_views(connection)
        yield connection


def test_everything_is_described(snapshot: duckdb.DuckDBPyConnection) -> None:
    bare = snapshot.sql(
        "select table_name from duckdb_tables() where comment is null and schema_name in ('core', 'mart')"
        " union all select view_name from duckdb_views() where comment is null and schema_name = 'mart'"
        " union all select table_name || '.' || column_name from duckdb_columns()"
        " where comment is null and schema_name in ('core', 'mart')"
    ).fetchall()
    assert bare == []


def test_a_column_is_described_alike_wherever_it_stands(snapshot: duckdb.DuckDBPyConnection) -> None:
    differing = snapshot.sql(
        "select column_name from duckdb_columns() where schema_name = 'mart'"
        " and (table_name, column_name) not in (('step_time', 'lower_bound_s'), ('op_group_time', 'lower_bound_s'),"
        " ('efficiency', 'n'))"  # sums, counts
        " and table_name not in ('step_op', 'predicted_step', 'measured_step', 'step_error', 'sweep_step',"  # of steps
        " 'measured_serving')"  # as engines name it
        " and column_name not in ('bound', 'kind')"  # of an op, a step, a measurement; of a ceiling
        " group by 1 having count(distinct comment) > 1"
    ).fetchall()
    assert differing == []


def test_every_table_has_a_key(build: duckdb.DuckDBPyConnection) -> None:
    keyless = build.sql("select table_name from duckdb_tables() where not has_primary_key").fetchall()
    assert keyless == [("op_cost",)]  # an index would be most of the file: a rule holds its key
    build.execute("insert into core.op_cost select * from core.op_cost limit 1")
    found = {each.name: each for each in run_checks(build)}
    assert found["duplicate_key"].offending_rows == 1
    assert "core.op_cost" in found["duplicate_key"].example


def test_sql_files_say_what_a_row_is() -> None:
    for folder in ("views", "checks", "charts", "schema"):
        for path in objects.sql_files(folder):
            assert path.read_text("utf-8").startswith("-- one row per "), path.name


def test_texts_are_joined_in_one_order() -> None:
    """Or else a chart would differ from one drawing to the next."""
    for path in (
        path for folder in ("views", "charts", "site", "explorer", "queries") for path in objects.sql_files(folder)
    ):
        sql = path.read_text("utf-8")
        calls = re.findall(r"string_agg\s*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))", sql)
        assert len(calls) == sql.count("string_agg"), path.name
        assert all("order by" in call for call in calls), path.name


def test_the_public_contract_is_there(snapshot: duckdb.DuckDBPyConnection) -> None:
    views = {
        "roof": "hardware_id dtype basis short_name peak_flops_per_s bandwidth_bytes_per_s ridge_flops_per_byte"
        " is_default",
        "roofline_point": "hardware_id model_id convention precision_id phase batch_size sequence_length query_length"
        " tensor_parallel op op_group series repeat flops bytes intensity_flops_per_byte attainable_flops_per_s"
        " lower_bound_s bound ridge_flops_per_byte",
        "crossover": "hardware_id model_id convention precision_id tensor_parallel op critical_tokens",
        "run_history": "run_id rows seconds status changed",
        "step_time": "hardware_id model_id convention precision_id phase batch_size sequence_length query_length"
        " tensor_parallel flops bytes lower_bound_s tokens_per_s memory_bytes fits_in_memory dominant_op_group bound",
        "spec_conflict": "hardware_id kind name lowest highest spread origins",
        "measured_point": "measurement_id hardware_id series intensity_flops_per_byte achieved_flops_per_s"
        " achieved_bytes_per_s attainable_flops_per_s roof_fraction bound is_above_roof software source",
        "predicted_point": "hardware_id shape_id precision_id predicted_s predicted_flops_per_s roof_fraction",
        "prediction_error": "measurement_id latency_s predicted_s relative_error",
        "efficiency": "hardware_id op_group dtype source_id n median p10 p90",
    }
    for view, columns in views.items():
        assert set(columns.split()) <= set(snapshot.sql(f"select * from mart.{view} limit 0").columns)
    tables = {
        "run": "run_id started_at finished_at status code_version inputs_sha256 flow_run_id",
        "source": "source_id kind path sha256 size_bytes origin license ingested_at",
        "hardware": "hardware_id name short_name vendor architecture memory_bytes tdp_w source_id",
        "ceiling": "hardware_id kind name basis value_per_s is_default origin note source_id",
        "model": "model_id short_name architecture hidden_size intermediate_size num_layers num_heads num_kv_heads"
        " head_dim vocab_size num_experts experts_per_token parameters source_id",
        "precision": "precision_id weight_bits activation_bits kv_bits compute_dtype",
        "op_shape": "shape_id model_id convention phase batch_size sequence_length query_length tensor_parallel op"
        " op_group kind m k n heads kv_heads head_dim repeat",
        "op_cost": "shape_id precision_id flops weight_bytes activation_bytes kv_bytes bytes intensity_flops_per_byte",
        "measurement": "measurement_id hardware_id model_id op op_group phase kind m k n batch_size sequence_length"
        " query_length heads kv_heads head_dim tensor_parallel dtype flops bytes latency_s latency_min_s latency_std_s"
        " repeats method software measured_at source_id",
        "calibration": "hardware_id op_kind dtype compute_efficiency bandwidth_efficiency overhead_s blend n_points"
        " fit_mape holdout_mape source_id",
    }
    for table, columns in tables.items():
        assert set(columns.split()) <= set(snapshot.sql(f"select * from core.{table} limit 0").columns)


def test_a_home_is_for_one_writer(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock_for_writing(), pytest.raises(RunError, match="another run"), home.lock_for_writing():
        pass


def test_where_the_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Home.at().path == Path(__file__).resolve().parents[1] / "warehouse" / "data"
    monkeypatch.setenv("ROOFLINES_HOME", str(tmp_path / "env"))
    assert Home.at().path == tmp_path / "env"
    assert Home.at(tmp_path / "given").path == tmp_path / "given"


def test_a_snapshot_that_is_not_there_or_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rooflines run"), snapshot.open_snapshot(tmp_path / "none.duckdb"):
        pass
    (tmp_path / "bad.duckdb").write_bytes(b"not a database" * 1000)
    with (
        pytest.raises(InputError, match="not a snapshot"),
        snapshot.open_snapshot(tmp_path / "bad.duckdb"),
    ):
        pass


def test_schema_prints_comments(finished: Home) -> None:
    assert "mart.roof " in describe(finished.snapshot)
    text = describe(finished.snapshot, "roof")
    assert text.startswith("mart.roof: one row per hardware, dtype and basis")
    assert "ridge_flops_per_byte" in text
    with pytest.raises(InputError, match=r"schema: rof: no such table or view; expected one of mart\.roof"):
        describe(finished.snapshot, "rof")


def test_literals_cannot_be_broken_out_of(tmp_path: Path) -> None:
    values = ["it's", "a'; drop table x; --", 1.5, None, True, ["a'b", "c"]]
    with duckdb.connect() as connection:
        for value in values:
            assert connection.sql(f"select {quote_value(value)}").fetchall()[0] == (value,)
        several = quote_value(OneOf(["x", "it's"]))
        assert connection.sql(f"select 'it''s' in ({several})").fetchall() == [(True,)]
        name = 'a"b'
        assert connection.sql(f"select 1 as {quote_name(name)}").columns == [name]


def test_a_single_value_of_several_is_an_equality() -> None:
    """DuckDB plans it otherwise, and fails to plan some queries of charts."""
    sql = "a in ($a) and b not in ($a)"
    assert write_values(sql, {"a": "x"}) == write_values(sql, {"a": OneOf(["x"])}) == "a = 'x' and b <> 'x'"
    assert write_values(sql, {"a": OneOf(["x", "y"])}) == "a in ('x', 'y') and b not in ('x', 'y')"

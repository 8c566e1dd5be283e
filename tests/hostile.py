"""Statements that must not be answered, and a process that tries many of them, limited as that of a query is."""

import json
import sys
import unicodedata
from pathlib import Path

from warehouse import landlock, sandboxed

FILES = ["/etc/passwd", "~/.bashrc", "file:/etc/passwd", "file:///etc/passwd", "/proc/self/environ", "/dev/stdin"]
PLACES = [*FILES, "https://example.com/x.csv", "http://127.0.0.1:9/x", "s3://bucket/x.parquet", "hf://datasets/a/b.csv"]
READERS = [
    "read_csv",
    "read_csv_auto",
    "read_text",
    "read_blob",
    "read_parquet",
    "parquet_scan",
    "read_json",
    "read_ndjson_objects",
    "glob",
    "sniff_csv",
    "parquet_metadata",
    "parquet_kv_metadata",
    "parquet_bloom_probe",
    "read_duckdb",
]
OUT = "rooflines-test-out"  # in the folder of the test, if anything writes it
SECRETS = "duckdb_secrets()"

READ_FILES = [
    *(f"select * from {function}('{place}')" for function in READERS for place in PLACES),
    *(f"from '{place}'" for place in PLACES),
    "select * from read_text(['/etc/passwd'])",
    'from "/etc/passwd"',
    "describe '/etc/passwd'",
    "summarize '/etc/passwd'",
    "show '/etc/passwd'",
    "table '/etc/passwd'",
    "from foo.csv",
    'from main."/etc/passwd"',
    'with "/etc/passwd" as (from "/etc/passwd") from "/etc/passwd"',
    "from (from '/etc/passwd')",
    "select (select content from read_text('/etc/passwd'))",
    "explain from '/etc/passwd'",
    "explain analyze from read_text('/etc/passwd')",
    "pivot '/etc/passwd' on x in (1)",
    "unpivot '/etc/passwd' on x",
    "from mart.roof where exists (from read_text('/etc/passwd'))",
    "select 1 limit (select 1 from '/etc/passwd')",
    "from range(1), lateral (from read_text('/etc/passwd'))",
    "select 1 order by (from read_text('/etc/passwd'))",
    "with recursive t as (select 1 union all (from read_text('/etc/passwd'))) from t",
    "(select 1) union (from '/etc/passwd')",
    "select list_transform([1], lambda x: (from read_text('/etc/passwd')))",
    "select * replace ((from read_text('/etc/passwd')) as dtype) from mart.roof",
    "from seq_scan('roof')",
    "select sum(1) over (order by (from read_text('/etc/passwd')))",
    "values ((from read_text('/etc/passwd')))",
    "select count(*) filter ((from read_text('/etc/passwd')))",
    "from system.main.read_text('/etc/passwd')",
    "select getenv('HOME')",
    "select system('ls')",
    ".read /etc/passwd",
    ".shell ls",
]
CALL_OTHERS = [  # statements, functions and tables by a text
    "select * from query('select * from read_text(''/etc/passwd'')')",
    "select 'select 1'.query()",
    "select * from query('from enable_' || 'logging()')",
    "select * from query_table('/etc/passwd')",
    "from query_table('roof')",
    "from query_table(['roof', 'hardware'])",
    "from \"query\"('select 1')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select json_serialize_plan('select 1')",
    "pragma json_execute_serialized_sql('{}')",
    "from destroy_external_resource('query', 'select 1')",
    "from create_external_resource('query', 'select 1')",
    "from register_external_resource('query', 'select 1')",
    "from add_grammar_extension('x')",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "select $1",
    "select ?",
    "select getvariable('x')",
    "from own_frame",
    "from connection",
    "from sql",
    "from statement",
    "select * from arrow_scan(1, 2, 3)",
    "select * from pandas_scan(1)",
    "select * from python_map_function()",
    "select index_key('x')",
    "from mart.roof at (version => 1)",
    "from sql_auto_complete('from ''/etc/')",
]
TELL_SECRETS = [
    f"select * from {SECRETS}",
    f"from {SECRETS}",
    'from "duckdb_secrets"()',
    f"from system.main.{SECRETS}",
    "from DUCKDB_SECRETS()",
    f"describe from {SECRETS}",
    f"explain analyze from {SECRETS}",
    f"call {SECRETS}",
    f"select 1 from {SECRETS} secrets",
    f"with x as (from {SECRETS}) from x",
    "show secrets",
    "from duckdb_secrets",
    "select * from which_secret('s3://x', 's3')",
    "select * from duckdb_extensions()",
    "from duckdb_logs()",
    "from duckdb_logs",
    "from duckdb_log_contexts()",
    "from duckdb_settings()",
    "from pg_settings",
    "from pg_catalog.pg_settings",
    "select current_setting('memory_limit')",
    "show memory_limit",
    "show all settings",
    "show variables",
    "from duckdb_temporary_files()",
    "from duckdb_external_file_cache()",
]
ATTACH = [
    "attach '/tmp/x.duckdb'",
    "attach ':memory:' as m",
    "attach 'x.db' (type sqlite)",
    "detach rooflines",
    "attach 'host=localhost' as p (type postgres)",
    "install httpfs",
    "force install httpfs",
    "load httpfs",
    "load '/tmp/x.duckdb_extension'",
    "install spatial from community",
    "update extensions",
    "create secret (type s3)",
    "create persistent secret s (type s3)",
    "drop secret s",
]
WRITE_FILES = [
    f"copy (select 1) to '{OUT}'",
    f"copy core.run to '{OUT}' (format parquet)",
    "copy core.run from '/etc/passwd'",
    "copy (select 1) to '/dev/stdout'",
    "copy from database rooflines to memory",
    f"export database '{OUT}'",
    f"import database '{OUT}'",
    f"explain analyze copy (select 1) to '{OUT}'",
    f"explain copy (select 1) to '{OUT}'",
    f"explain analyze copy (select 1 as x) to '{OUT}' (format parquet, use_tmp_file false)",
    f"explain (analyze) copy (select 1) to '{OUT}'",
    f"explain (format json, analyze) copy (select 1) to '{OUT}'",
    f"/* x */ explain /* x */ analyze /* x */ copy (select 1) to '{OUT}'",
    f"explain analyze export database '{OUT}'",
    f"explain (select 1) copy (select 1) to '{OUT}'",
    f"explain analyze explain analyze copy (select 1) to '{OUT}'",
    f"prepare p as copy (select 1) to '{OUT}'",
    "explain analyze execute p",
    f"explain analyze select 1; copy (select 1) to '{OUT}'",
    f"select 1; copy (select 1) to '{OUT}'",
    f"copy (select 1) to '{OUT}'; select 1",
    f"pivot mart.roof on dtype; copy (select 1) to '{OUT}'",
    f"with x as (copy (select 1) to '{OUT}') from x",
    f"with x as materialized (copy (select 1) to '{OUT}' (format csv)) select 1",
    f"from (with x as (copy (select 1) to '{OUT}') from x)",
    f"explain analyze with x as (copy (select 1) to '{OUT}') from x",
    f"describe with x as (copy (select 1) to '{OUT}') from x",
    f"summarize with x as (copy (select 1) to '{OUT}') from x",
    f"call enable_logging(storage = 'file', storage_path = '{OUT}')",
    "call enable_logging()",
    f"select * from enable_logging(storage = 'file', storage_path = '{OUT}')",
    "from Enable_Logging(storage = 'stdout')",
    'from "enable_logging"()',
    "from system.main.enable_logging /* */ ()",
    "explain analyze from enable_logging()",
    "call disable_logging()",
    "call truncate_duckdb_logs()",
    "select write_log('x')",
    "pragma enable_profiling",
    "call enable_profiling()",
    f"pragma profiling_output = '{OUT}'",
    "pragma enable_progress_bar",
    "pragma disable_optimizer",
    "pragma add_parquet_key('k', '0123456789112345')",
    "pragma table_info('mart.roof'); copy (select 1) to 'x'",
    "pragma import_database('x')",
    "pragma copy_database('x', 'y')",
]
CHANGE_THE_WAREHOUSE = [
    "create table core.x (a int)",
    "create temp table x as select 1",
    "create or replace view mart.roof as select 1",
    "create temp view v as select * from read_text('/etc/passwd')",
    "create index i on core.run (run_id)",
    "create temp macro m() as table select * from read_text('/etc/passwd')",
    "create schema s",
    "create sequence s",
    "create type t as enum ('a')",
    "insert into core.run select * from core.run",
    "update core.run set status = 'x'",
    "delete from core.run",
    "truncate core.run",
    "drop table core.run",
    "drop view mart.roof",
    "drop schema core cascade",
    "select nextval('s')",
    "select setval('s', 1)",
    "alter table core.run add column x int",
    "comment on table core.run is 'x'",
    "explain analyze delete from core.run",
    "explain analyze insert into core.run select * from core.run",
    "merge into core.run using core.run as r on true when matched then delete",
    "with x as (merge into core.run using core.run as r on true when matched then delete returning *) from x",
    "select 1; delete from core.run",
    "with x as (insert into core.run from core.run returning *) from x",
    "with x as (delete from core.run returning *) select * from x",
    "checkpoint",
    "force checkpoint",
    "vacuum",
    "with x as (update core.run set status = 'x' returning *) select * from x",
    "from force_checkpoint('rooflines')",
    "analyze",
    "select * from checkpoint('rooflines')",
    "begin",
    "commit",
    "rollback",
    "begin; select 1",
    "use memory",
    "use system",
]
CHANGE_SETTINGS = [
    "set variable x = 1",
    "reset all",
    "set search_path = 'core'",
    "pragma memory_limit = '10GB'",
    "call pragma_version()",
    "set local memory_limit = '1GB'",
    "select set_config('memory_limit', '1GB', false)",
    "pragma database_list; set threads = 1",
    "from disable_profiling()",
]
HOSTILE = [
    *READ_FILES,
    *CALL_OTHERS,
    *TELL_SECRETS,
    *ATTACH,
    *WRITE_FILES,
    *CHANGE_THE_WAREHOUSE,
    *CHANGE_SETTINGS,
    "select '\ud800'",
    "",
    ";",
    "-- nothing",
    "pivot mart.roof on dtype",
    "from (pivot mart.roof on dtype)",
]
TOO_LARGE = [  # of which each may cost the process its life
    f"select 1{' ' * 100_000}",
    f"select {','.join(['1'] * 20_000)}",
    f"select {'(' * 8_000}1",
    f"select {'(' * 40_000}1",
    f"select 1{'+1' * 40_000}",
    f"select {'[' * 8_000}",
    f"from {'(' * 8_000}",
    f"select {'not ' * 20_000}1",
]
GOOD = [
    "select 1",
    "from mart.roof",
    "show tables",
    "show all tables",
    "show databases",
    "show tables from core",
    "describe",
    "describe mart.roof",
    "describe select 1",
    "show roof",
    "summarize mart.roof",
    "explain select 1",
    "explain analyze select 1",
    "explain (format json) select 1",
    "-- x\nexplain /* x */ analyze (from mart.roof)",
    "pivot mart.roof on dtype in ('fp16', 'bf16') using max(peak_flops_per_s) group by hardware_id",
    "unpivot (select 1 as a, 2 as b) on a, b",
    "from (select 1 as a, 2 as b) unpivot (v for n in (a, b))",
    "pragma table_info('mart.roof')",
    "pragma version",
    "values (1)",
    "table mart.roof",
    'FROM "MART"."ROOF"',
    "with x as (select 1) from x",
    "with x as materialized (select 1), y as (from x) from y",
    "from rooflines.mart.roof",
    "with recursive t (i) as (select 1 union all select i + 1 from t where i < 5) from t",
    "from information_schema.tables",
    "select 'enable_logging', 1 as checkpoints -- query",
    "select 1; select 2",
    "from duckdb_columns()",
    "from pg_class",
    "select current_date, current_user, now(), #1 from (select 1)",
    "select columns('.*_s') from mart.roof",
    "select * exclude (dtype) replace (1 as basis) rename (hardware_id as h) from mart.roof",
    "select list_transform([1], lambda x: x + 1), [x for x in [1] if x > 0], list_aggregate([1], 'sum'), upper('a')",
    "select interval 1 day, date '2020-01-01' + interval (3) month, extract(year from date '2020-01-01'), 'abc'[1:2]",
    "select {'a': 1}.a, map {'a': 1}['a'], try_cast('x' as int), 1 in (1, 2), not exists (select 1), -1, 2 ** 3",
    "select case when true then 1 end, coalesce(null, 1), if(true, 1, 2), 1 is distinct from 2, 5 // 2, 'a' ilike 'A'",
    "select row_number() over w, lag(dtype) over w, sum(1) filter (true) over w from roof window w as (order by dtype)",
    "select grouping(dtype), count(distinct basis) from mart.roof group by rollup (dtype) order by all limit 50%",
    "from mart.roof as r asof join core.hardware as h on r.hardware_id >= h.hardware_id",
    "from mart.roof limit 3",
    "from mart.roof semi join core.hardware using (hardware_id)",
    "from range(3) t (i), lateral (select i + 1)",
    "select unnest([1, 2]), array_agg(1 order by 1), quantile_cont(1, 0.5), arg_max(1, 1)",
    "from mart.roof tablesample 10%",
    "select distinct on (dtype) dtype collate nocase from mart.roof qualify row_number() over () < 4",
    "(select 1 as a) union all by name (select 2 as b)",
    "select roof_bound(1::double, 2::double, 'dram')",
    "select 1::decimal(4, 2), 'x'::enum ('x'), [1]::int[1], '{}'::json -> 'a', try(1), cast(1 as union (a int))",
]


def other_blanks() -> list[str]:
    """What a parser might take for a blank."""
    spaces = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) in {"Zs", "Zl", "Zp"}]
    others = ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u180e", "\u200b", "\u200c"]
    return [*spaces, *others, "\u200d", "\u2060", "\ufeff", "/**/", "/* x */", "--\n", " -- x\n"]


def disguised(sql: str) -> list[str]:
    """A statement with its blanks replaced: all of them, or one alone, by each other kind."""
    whole = [sql.replace(" ", blank) for blank in other_blanks()]
    words = sql.split(" ")
    places = range(1, len(words))
    single = [
        f"{' '.join(words[:place])}{blank}{' '.join(words[place:])}"
        for place in places
        for blank in ("\xa0", "\u3000", "\ufeff", "/**/")
    ]
    return [*whole, *single]


def main() -> None:
    """Decide on the statements of standard input as the process of a query does, and print why each was refused."""
    landlock.forbid_writing([Path(sys.argv[2])])
    sandboxed.limit("1GB")
    import duckdb  # noqa: PLC0415

    from warehouse import snapshot, statements  # noqa: PLC0415

    with snapshot.open_snapshot(Path(sys.argv[1])) as connection:
        known = statements.Known(connection)

        def refusal(sql: str) -> str | None:
            try:
                return None if list(statements.readable(connection, sql, known)) else "no statement"
            except (duckdb.Error, RuntimeError) as error:
                return str(error)

        print(json.dumps([refusal(sql) for sql in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()

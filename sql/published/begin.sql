-- The tables and views of this site, for any DuckDB from 1.5 on. Start it in the folder of this file and its Parquet
-- files: duckdb -cmd '.read rooflines.sql', then for example: select * from mart.roof;
create schema if not exists core;

create schema if not exists mart;

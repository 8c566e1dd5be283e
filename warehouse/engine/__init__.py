"""What depends on the installed DuckDB: its version, its file format, its extensions."""

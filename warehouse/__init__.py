"""Where data rests: the build database that a run writes, and the snapshot that readers open.

A run passes through `repair`, `build` (whose tables `migrations` creates), `staged_frames`, `load`, `views`, `checks`,
`runs` and `snapshot`. Readers start at `snapshot`, `schema` and `questions`, and users' SQL at `sandbox`.

- `sql_files`, `sql_values`, `rows`, `polars_frames`: SQL in, rows and frames out.
- `engine`: what depends on the installed DuckDB.
- `files`: atomic writes, buckets, spreadsheets.
- `site_folder`: how a finished site replaces the earlier one.
- `sweeps`: large grids in Parquet files.
- `lake`: what several homes share.
- `catalog`: the input files that ship.
"""

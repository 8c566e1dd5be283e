"""Large grids of op costs, written as Parquet files on one machine or on many."""

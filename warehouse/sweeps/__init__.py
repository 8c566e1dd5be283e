"""Large grids whose rows are in Parquet files next to the database."""

"""Large grids whose rows lie in Parquet files beside the database."""

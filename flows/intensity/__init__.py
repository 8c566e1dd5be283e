"""Op shapes, their FLOP and bytes: polars only, no files."""

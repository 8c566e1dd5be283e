"""Files of the catalog in, validated frames out; one module a kind of file."""

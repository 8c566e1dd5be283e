"""Files in, validated frames out; one module a kind of file."""

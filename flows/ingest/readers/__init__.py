"""Readers of catalog files into validated frames; one module per kind of file."""

"""Altair charts from polars frames. Every figure comes from a view; a chart only places it."""

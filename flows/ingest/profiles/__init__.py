"""Converters of what other programs measured into measurement files; one module per format."""

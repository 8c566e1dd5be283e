"""The lake: a shared DuckLake that several homes push to and pull from."""

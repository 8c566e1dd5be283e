"""The static site: charts and pages drawn from a snapshot."""

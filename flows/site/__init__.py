"""The static site: charts and pages made from a snapshot."""

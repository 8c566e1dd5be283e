"""Where data rests: the build database that a run writes and the snapshot that readers open."""

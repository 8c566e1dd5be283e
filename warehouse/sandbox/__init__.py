"""Users' SQL: each statement runs in a process of its own that reads the snapshot and can do nothing else."""

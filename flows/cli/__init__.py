"""The `rooflines` command, one module per family of commands."""

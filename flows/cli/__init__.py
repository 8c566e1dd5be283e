"""The `rooflines` command, a module a family of commands."""

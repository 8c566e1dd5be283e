"""`python -m flows.cli` is `rooflines`."""

from flows.cli.app import main

main()

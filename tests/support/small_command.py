"""The command over a small catalog and without pictures: `python -m tests.support.small_command CATALOG ARGUMENT…`."""

import sys
from pathlib import Path
from unittest import mock

from flows.cli.app import main
from tests.support.whole_runs import draw_nothing

if __name__ == "__main__":
    with (
        mock.patch("flows.ingest.catalog.SHIPPED", Path(sys.argv.pop(1))),
        mock.patch("flows.site.drawing_processes.start"),
        draw_nothing(),
    ):
        main()

"""How long the main job takes beside an empty Prefect flow: `python -m tests.benchmark`.

Every command runs as a process of its own, with Prefect's embedded server, the competitors in turn,
so that a noisy machine disturbs them alike. What counts are the ratios of the medians.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.ingest.catalog import SHIPPED

_ROUNDS = 5
EMPTY_FLOW = """
from prefect import flow

@flow
def empty():
    return 1

empty()
"""


def main() -> None:
    """Print seconds and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {
            "PREFECT_HOME": str(Path(folder) / "prefect"),
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "ROOFLINES_HOME": str(home),
        }
        rooflines = [sys.executable, "-m", "flows.cli"]
        commands = {
            "empty flow": [sys.executable, "-c", EMPTY_FLOW],
            "run, nothing changed": [*rooflines, "run"],
            "run, one device changed": [*rooflines, "run"],
            "run, everything anew": [*rooflines, "run"],
            "query": [*rooflines, "query", "select count(*) from mart.roofline_point where hardware_id = 'a40'"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        subprocess.run(commands["run, nothing changed"], env=environment, check=True, stdout=subprocess.DEVNULL)
        for turn in range(_ROUNDS):
            for name, command in commands.items():
                if name == "run, one device changed":
                    change_device(home, turn)
                if name == "run, everything anew":
                    shutil.rmtree(home)
                started = time.perf_counter()
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - started)
        empty = statistics.median(seconds["empty flow"])
        print(f"{'':24}  {'median s':>8}  {'min':>6}  {'max':>6}  {'of an empty flow':>16}")
        for name, times in seconds.items():
            median = statistics.median(times)
            print(f"{name:24}  {median:8.2f}  {min(times):6.2f}  {max(times):6.2f}  {median / empty:16.2f}")


def change_device(home: Path, turn: int) -> None:
    """Give a device another bandwidth at each turn."""
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
    target = home / "catalog" / "hardware" / "a40.toml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace("gb_per_s = 696", f"gb_per_s = {690 - turn}"), "utf-8")


if __name__ == "__main__":
    main()

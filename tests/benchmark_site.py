"""How long a site of 200 charts takes, whole and after one device changed: `python -m tests.benchmark_site`."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.ingest.catalog import SHIPPED

_MODELS = ["llama-3-8b", "llama-3-70b", "mistral-7b-v0.3"]
_GALLERY = f"""
[[chart]]
name = "benchmark-{{model_id}}-{{hardware_id}}"
template = "house"
model_id = {_MODELS}
hardware_id = "*"
precision_id = "fp16"
convention = "engine"
batch_size = 8
sequence_length = 1024
"""


def main() -> None:
    """Print seconds, charts and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        home, site = Path(folder) / "home", Path(folder) / "site"
        (home / "catalog" / "hardware").mkdir(parents=True)
        _rooflines(home, folder, "run")
        (home / "catalog" / "gallery.toml").write_text(_GALLERY, "utf-8")
        whole_s, charts, _ = _timed_run(home, folder)
        device = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
        changed = device.replace("gb_per_s = 696", "gb_per_s = 690")
        (home / "catalog" / "hardware" / "a40.toml").write_text(changed, "utf-8")
        rebuild_s, _, redrawn = _timed_run(home, folder)
        started = time.perf_counter()
        _rooflines(home, folder, "publish", "--out", str(site))
        copied_s = time.perf_counter() - started
        print(f"{charts} charts on {os.cpu_count()} cores")
        print(f"all but the shipped ones drawn anew   {whole_s:6.1f} s")
        print(f"one device changed, {redrawn:3} drawn anew   {rebuild_s:6.1f} s  {rebuild_s / whole_s:5.2f} of that")
        print(f"published elsewhere, none drawn anew  {copied_s:6.1f} s  {copied_s / whole_s:5.2f} of that")


def _timed_run(home: Path, folder: str) -> tuple[float, int, int]:
    """Run, and return seconds, charts, and how many were drawn anew."""
    started = time.perf_counter()
    said = _rooflines(home, folder, "run")
    seconds = time.perf_counter() - started
    drawn, charts = map(int, re.findall(r"(\d+) of (\d+) charts", said)[0])
    return seconds, charts, drawn


def _rooflines(home: Path, folder: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": f"{folder}/prefect", "ROOFLINES_HOME": str(home)}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()

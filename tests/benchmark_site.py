"""How long a site of 200 charts takes, whole and after one device changed: `python -m tests.benchmark_site`.

A run is told beside an empty Prefect flow, in turn with it, since most of a short run is Prefect's.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.ingest.catalog import SHIPPED
from tests.benchmark import EMPTY_FLOW, change_device

_ROUNDS = 3  # of a run and an empty flow
_CHART = """
[[chart]]
name = "{name}-{{model_id}}-{{hardware_id}}"
template = "house"
model_id = {models}
hardware_id = {devices}
precision_id = "fp16"
convention = "engine"
batch_size = 8
sequence_length = 1024
"""
_SOME_DEVICES = sorted(path.stem for path in (SHIPPED / "hardware").glob("*.toml"))[:24]
_GALLERY = _CHART.format(name="all", models=["llama-3-8b", "llama-3-70b", "mistral-7b-v0.3"], devices='"*"')
_GALLERY += _CHART.format(name="some", models=["qwen2.5-7b"], devices=_SOME_DEVICES)


def main() -> None:
    """Print seconds, charts and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (home / "catalog" / "hardware").mkdir(parents=True)
        (home / "catalog" / "gallery.toml").write_text(_GALLERY, "utf-8")
        _rooflines(home, folder, "run")
        print(f"on {os.cpu_count()} cores")
        shutil.rmtree(home / "site")
        whole = _published(home, folder)
        _say("published whole", whole, whole)
        _say("published again", _published(home, folder), whole)
        _say("published elsewhere", _published(home, folder, f"--out={folder}/elsewhere"), whole)
        beside = []
        for turn in range(_ROUNDS):
            started = time.perf_counter()
            _run_python(home, folder, "-c", EMPTY_FLOW)
            empty_s = time.perf_counter() - started
            change_device(home, turn)
            started = time.perf_counter()
            drawn, charts = map(int, re.findall(r"(\d+) of (\d+) charts", _rooflines(home, folder, "run"))[0])
            run_s = time.perf_counter() - started
            _say("run after one device changed", (charts, drawn, run_s), whole)
            print(f"{'an empty Prefect flow':52} {empty_s:6.1f} s")
            beside.append(run_s - empty_s)
        print(f"{'such a run beside an empty flow, median':52} {statistics.median(beside):6.1f} s")


def _say(what: str, done: tuple[int, int, float], whole: tuple[int, int, float]) -> None:
    charts, drawn, seconds = done
    print(f"{what:28} {drawn:4} of {charts} charts drawn {seconds:6.1f} s {seconds / whole[2]:5.2f} of the first")


def _published(home: Path, folder: str, *options: str) -> tuple[int, int, float]:
    """Publish, and return charts, how many were drawn, and seconds."""
    started = time.perf_counter()
    said = _rooflines(home, folder, "publish", *options)
    seconds = time.perf_counter() - started
    charts, drawn = map(int, re.findall(r"(\d+) charts, (\d+)", said)[0])
    return charts, drawn, seconds


def _rooflines(home: Path, folder: str, *arguments: str) -> str:
    return _run_python(home, folder, "-m", "flows.cli", *arguments)


def _run_python(home: Path, folder: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": f"{folder}/prefect", "ROOFLINES_HOME": str(home)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()

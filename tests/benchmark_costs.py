"""How long a step takes in the browser: `python -m tests.benchmark_costs [HOME]`, of a home with a snapshot."""

import sys
from pathlib import Path
from statistics import median

from tests.support.costs_page import open_models, open_page
from warehouse.home import Home

_REPEATS = 50
# Milliseconds of the first step of a model, and of each of the others, every one at another setting.
_TIMES = f"""(model) => {{
  const times = [];
  for (let batch = 1; batch <= {_REPEATS}; batch += 1) {{
    const start = performance.now();
    costs.step(model, {{ batch, sequence: 1000 + batch }});
    times.push(performance.now() - start);
  }}
  return times;
}}"""


def main(folder: str = "warehouse/data") -> None:
    """Print the first and the median time of a step of each model, and the slowest of all."""
    slowest = 0.0
    with open_models(Home(Path(folder))) as (inputs, connection), open_page(connection) as page:
        for model_id in sorted(inputs.layers["model_id"].unique()):
            first, *others = page.evaluate(_TIMES, model_id)
            slowest = max(slowest, median(others))
            print(f"{model_id:32} first {first:6.1f} ms, then {median(others):5.1f} ms")
    print(f"slowest model {slowest:.1f} ms a step")


if __name__ == "__main__":
    main(*sys.argv[1:])

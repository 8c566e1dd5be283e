"""How long the explorer takes from a control to its picture, and to all of its tables.

`python -m tests.benchmark_explorer [HOME]`, of a home with a site. Each time stands beside that of a plain table of
1,000 cells, which the same browser writes and paints in the same run.
"""

import sys
from pathlib import Path
from statistics import median

from playwright.sync_api import Page

from tests.support.browsers import WIDE, start_browser
from warehouse.home import Home

_THREE = "#devices=h100-sxm,a100-80gb-sxm,mi300x&model=llama-3.1-8b"
_MANY = "#devices=h100-sxm,b200,mi300x,a100-80gb-sxm,l40s,h200-sxm,a6000,a40&tp=8&precision=bf16"
_MODELS = "&model=llama-3.1-8b&model=mixtral-8x7b&model=deepseek-v3"
# what is shown, the control, and its values
_BATCH = ("batch", "3 + 7 * i")
_CASES = {
    "as it opens": ("", *_BATCH),
    "three devices": (_THREE, *_BATCH),
    "eight devices, three models": (_MANY + _MODELS, *_BATCH),
    "slider of bandwidth": (_THREE, "scale_bandwidth", "(i - 10) / 8"),
    "slider of memory": ("#devices=b200&model=llama-3-70b&tp=4", "scale_memory", "(i - 10) / 8"),
}
_REPEATS = 20
# Milliseconds from an input to the end of the frame that shows it, and to the end of what follows it: a message that is
# sent while a frame begins arrives when it is painted.
_TIMES = f"""async (change) => {{
  const [painted, all] = [[], []];
  const {{ dataset }} = document.body;
  for (let i = -3; i < {_REPEATS}; i++) {{
    const begun = performance.now();
    const ended = new Promise((resolve) => requestAnimationFrame(() => {{
      const {{ port1, port2 }} = new MessageChannel();
      port1.onmessage = () => resolve(performance.now() - begun);
      port2.postMessage(null);
    }}));
    change(i);
    const took = await ended;
    while (dataset.shown === "picture") await new Promise((resolve) => setTimeout(resolve));
    if (i >= 0) {{
      painted.push(took);
      all.push(performance.now() - begun);
    }}
    await new Promise((resolve) => setTimeout(resolve, 50));
  }}
  return [painted, all];
}}"""
_TABLE = """(i) => {
  const cells = Array.from({ length: 10 }, (_, n) => `<td>${n + i}</td>`).join("");
  document.body.innerHTML = `<table>${`<tr>${cells}</tr>`.repeat(100)}</table>`;
}"""
_INPUT = """(i) => {
  const field = document.getElementById("controls").elements.NAME;
  field.value = VALUE;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def main(folder: str = "warehouse/data") -> None:
    """Print the median times of each case, and how many plain tables could be painted meanwhile."""
    explorer = f"{Home(Path(folder).resolve()).site.as_uri()}/explorer/index.html"
    with start_browser() as browser:
        page = browser.new_page(viewport=WIDE)
        table, _ = _measure(page, _TABLE)
        print(f"{'plain table of 1,000 cells':30} {table:6.1f} ms")
        for name, (address, control, value) in _CASES.items():
            page.goto("about:blank")
            page.goto(explorer + address)
            page.locator("body[data-shown=all]").wait_for()
            picture, whole = _measure(page, _INPUT.replace("NAME", control).replace("VALUE", value))
            told = f"{picture:6.1f} ms to the picture ({picture / table:.1f} tables)"
            print(f"{name:30} {told}, {whole:6.1f} ms to all of the page ({whole / table:.1f} tables)")


def _measure(page: Page, change: str) -> list[float]:
    return [median(times) for times in page.evaluate(f"() => ({_TIMES})({change})")]


if __name__ == "__main__":
    main(*sys.argv[1:])

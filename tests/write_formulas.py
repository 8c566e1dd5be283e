"""Write charts/pages/formulas.js from the cost model: `python -m tests.write_formulas`."""

from importlib import resources
from pathlib import Path

from flows.intensity.javascript import write_javascript

FORMULAS = Path(str(resources.files("charts"))) / "pages" / "formulas.js"

if __name__ == "__main__":
    FORMULAS.write_text(write_javascript(), "utf-8")

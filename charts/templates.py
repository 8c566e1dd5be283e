"""The template of a chart, as gallery.toml names it, and the function that draws it."""

from collections.abc import Callable, Mapping

import altair as alt
import polars as pl

from charts.accuracy import draw_accuracy
from charts.comparison import draw_comparison
from charts.copies import draw_copies
from charts.crossover import draw_crossover
from charts.engines import draw_engines
from charts.heat import draw_heat
from charts.history import draw_history
from charts.house import draw_house
from charts.paper import draw_paper
from charts.ranking import draw_ranking
from charts.residuals import draw_residuals
from charts.speculative import draw_speculative
from charts.step_time import draw_step_time
from charts.throughput import draw_throughput

TEMPLATES: Mapping[str, Callable[[pl.DataFrame], alt.LayerChart]] = {
    "paper": draw_paper,
    "house": draw_house,
    "comparison": draw_comparison,
    "speculative": draw_speculative,
    "copies": draw_copies,
    "accuracy": draw_accuracy,
    "heat": draw_heat,
    "residuals": draw_residuals,
    "step_time": draw_step_time,
    "crossover": draw_crossover,
    "throughput": draw_throughput,
    "ranking": draw_ranking,
    "engines": draw_engines,
    "history": draw_history,
}

"""Which function draws each kind of chart."""

from collections.abc import Callable, Mapping

import altair as alt
import polars as pl

from charts.accuracy import accuracy
from charts.comparison import comparison
from charts.crossover import crossover
from charts.heat import heat
from charts.history import history
from charts.house import house
from charts.paper import paper
from charts.ranking import ranking
from charts.residuals import residuals
from charts.speculative import speculative
from charts.step_time import step_time
from charts.throughput import throughput

TEMPLATES: Mapping[str, Callable[[pl.DataFrame], alt.LayerChart]] = {
    "paper": paper,
    "house": house,
    "comparison": comparison,
    "speculative": speculative,
    "accuracy": accuracy,
    "heat": heat,
    "residuals": residuals,
    "step_time": step_time,
    "crossover": crossover,
    "throughput": throughput,
    "ranking": ranking,
    "history": history,
}

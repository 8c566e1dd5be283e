"""Which function draws each kind of chart."""

from collections.abc import Callable, Mapping

import altair as alt
import polars as pl

from charts.accuracy import accuracy
from charts.comparison import comparison
from charts.heat import heat
from charts.house import house
from charts.paper import paper
from charts.residuals import residuals
from charts.speculative import speculative

TEMPLATES: Mapping[str, Callable[[pl.DataFrame], alt.LayerChart]] = {
    "paper": paper,
    "house": house,
    "comparison": comparison,
    "speculative": speculative,
    "accuracy": accuracy,
    "heat": heat,
    "residuals": residuals,
}

"""Steps computed in the browser are those of the warehouse, at any setting."""

import json
import math
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.readers.model import read_counted_models
from flows.intensity.conventions import CONVENTIONS
from flows.intensity.costs import KINDS
from flows.intensity.javascript import write_javascript
from flows.intensity.shapes import join_layers
from flows.site.model_scripts import write_models, write_precisions
from flows.site.page_templates import read_asset
from flows.sweep.grid import Inputs
from tests.support.browsers import start_browser
from tests.support.files import write_file
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES
from tests.support.random_steps import compute_steps, make_settings
from tests.write_formulas import FORMULAS
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.scratch import open_scratch

EXACT = 1e-9  # relative
FIXED = 20261127
# What the two sides call alike; the others are compared by name.
NAMES = {"dtype": "compute_dtype"}
COMPARED = [
    "op_group", "kind", "part", "level", "sequences", "m", "k", "n", "heads", "kv_heads", "head_dim", "value_dim",
    "kv_dim", "attended_tokens", "cached_tokens", "matrices", "experts", "row_share", "has_bias", "state_elements",
    "state_bits", "chunk_size", "repeat", "idle_repeat", "dtype", "flops", "bytes", "weight_bytes", "kv_bytes",
    "activation_bytes", "state_bytes",
]  # fmt: skip
# The script in the page, as the site writes it.
STEPS = """(asked) => asked.map(({ model, ...setting }) => {
  const refused = costs.refuse(model, setting);
  return refused ? { refused, ops: [] } : costs.step(model, setting);
})"""
SPEED = """(asked) => asked.map(({ model, ...setting }) => {
  const start = performance.now();
  for (let time = 0; time < 20; time += 1) costs.step(model, { ...setting, batch: setting.batch + time });
  return (performance.now() - start) / 20;
})"""


def test_the_formulas_in_the_browser_are_those_of_the_cost_model() -> None:
    """A changed formula: python -m tests.write_formulas."""
    assert FORMULAS.read_text("utf-8") == write_javascript()


def test_every_kind_of_op_has_a_cost_in_the_browser(snapshot: duckdb.DuckDBPyConnection) -> None:
    """A kind without a formula of its own is element-wise, and has counts."""
    counted = set(read_frame(snapshot, "select kind from core.elementwise")["kind"])
    named = {op.kind for ops in CONVENTIONS.values() for op in ops if isinstance(op.kind, str)}
    computed = set(read_frame(snapshot, "select distinct kind from core.op_shape where kind <> 'given'")["kind"])
    assert named | computed <= counted | set(KINDS)
    costs = re.search(r"^    costs: \{\n(.*?)^    \},$", FORMULAS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert costs
    assert re.findall(r'^      "(.+?)": ', costs[1], re.MULTILINE) == list(KINDS)


def test_steps_in_the_browser_are_those_of_the_warehouse(finished: Home) -> None:
    """Hundreds of settings of some models."""
    with open_models(finished) as (inputs, connection):
        compare(inputs, connection, [(FIXED, 100), (any_seed(), 200)], most_models=6)


@pytest.mark.slow
def test_steps_of_every_kind_of_model_are_those_of_the_warehouse(finished: Home, tmp_path: Path) -> None:
    """Thousands of settings of the shipped models and of small ones of every class; every op occurs."""
    own = read_small_models(tmp_path)
    with open_models(finished, own) as (inputs, connection):
        seen = compare(inputs, connection, [(FIXED, 3000), (any_seed(), 3000)])
    assert {op.name for ops in CONVENTIONS.values() for op in ops} - seen == set()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "none"}, "model none is not known"),
        ({"precision": "fp7"}, "precision fp7 is not known"),
        ({"parts": {"experts": "fp7"}}, "precision fp7 is not known"),
        ({"parts": {"wings": "fp8"}}, "part wings is not known"),
        ({"phase": "training"}, "phase training is not known"),
        ({"convention": "own"}, "convention own is not known"),
        ({"batch": 1.5}, "batch is 1.5; expected a whole number above 0"),
        ({"sequence": 0}, "sequence is 0; expected a whole number above 0"),
        ({"expert_load": 0.5}, "expert_load is 0.5; expected a number from 1"),
        ({"phase": "prefill", "sequence": 8, "query": 9}, "query 9 is longer than the context 8"),
        ({"tensor_parallel": 3}, "3 devices cannot share 32 heads evenly"),
        ({"expert_parallel": 2}, "experts cannot be spread over 2 devices: it must be a multiple of 1 that divides 1"),
        ({"expert_parallel": 2, "data_parallel": 2}, "0 experts on 2 devices"),
        ({"pipeline_parallel": 33}, "32 layers in 33 stages"),
    ],
)
def test_a_step_that_there_cannot_be_is_refused_by_name(change: dict[str, Any], said: str, page: Any) -> None:
    """The line names what was asked, and what is expected."""
    assert page.evaluate(STEPS, [{"model": "llama-3.1-8b", **change}])[0]["refused"] == said


def test_a_step_takes_a_few_milliseconds_in_the_browser(page: Any) -> None:
    """Time enough to draw within 100 ms; the bound is of a busy machine."""
    asked = [{"model": model, "batch": 7, "sequence": 999} for model in ("llama-3.1-8b", "deepseek-v3")]
    milliseconds = page.evaluate(SPEED, asked)
    print(milliseconds)
    assert max(milliseconds) < 50


@pytest.fixture(scope="module")
def page(finished: Home) -> Iterator[Any]:
    """A page that knows the shipped models."""
    with open_models(finished) as (_, connection), open_page(connection) as found:
        yield found


@contextmanager
def open_models(
    home: Home, own: dict[str, pl.DataFrame] | None = None
) -> Iterator[tuple[Inputs, duckdb.DuckDBPyConnection]]:
    """Open a database in memory that has the models of a home and others, with what costs are computed from."""
    with open_scratch(home.snapshot, {}, {}) as connection:
        tables = ("model", "layer_group", "precision", "elementwise", "precision_part")
        frames = {table: read_frame(connection, f"from core.{table} order by all") for table in tables}
    if own:
        frames |= {table: pl.concat([frames[table], frame], how="diagonal_relaxed") for table, frame in own.items()}
    layers = join_layers(frames["model"], frames["layer_group"])
    inputs = Inputs(layers, frames["precision"], frames["elementwise"], frames["precision_part"])
    with open_scratch(home.snapshot, {}, {name: frames[name] for name in ("model", "layer_group")}) as connection:
        yield inputs, connection


@contextmanager
def open_page(connection: duckdb.DuckDBPyConnection) -> Iterator[Any]:
    """Open an empty page with the scripts of the site."""
    scripts = [read_asset("formulas.js"), read_asset("costs.js"), write_precisions(connection)]
    scripts += write_models(connection).values()
    with start_browser() as browser:
        page = browser.new_page()
        page.add_script_tag(content="\n".join(scripts))
        yield page
        page.close()


def any_seed() -> int:
    """Return another seed each time."""
    return random.SystemRandom().randrange(10**6)


def compare(
    inputs: Inputs,
    connection: duckdb.DuckDBPyConnection,
    seeds: list[tuple[int, int]],
    most_models: int | None = None,
) -> set[str]:
    """Assert that settings, so many of each seed, have the same ops and memory on both sides; return the ops."""
    drawn = [(seed, of) for seed, count in seeds for of in make_settings(inputs, seed, count, most_models)]
    asked = [of for _, of in drawn]
    with open_page(connection) as page:
        found = page.evaluate(STEPS, asked)
    steps = compute_steps(inputs, connection, asked)
    wrong: list[str] = []
    for number, ((seed, setting), step) in enumerate(zip(drawn, found, strict=True)):
        expected = steps.ops.get(number, {})
        ops = {op["op"]: op for op in step["ops"]}
        where = f"seed {seed}, {json.dumps(setting)}: "
        if ops.keys() != expected.keys():
            wrong.append(f"{where}{step.get('refused')}, {sorted(ops.keys() ^ expected.keys())}")
            continue
        wrong += [
            f"{where}{name}: {column} is {op[column]}, not {expected[name][NAMES.get(column, column)]}"
            for name, op in ops.items()
            for column in COMPARED
            if not is_same(op[column], expected[name][NAMES.get(column, column)])
        ]
        if ops:
            held = steps.memory[number]
            wrong += [
                f"{where}{name}: {step['memory'][name]}, not {bytes_}"
                for name, bytes_ in held.items()
                if not is_same(step["memory"][name], bytes_)
            ]
    assert wrong[:3] == []
    seen = {name for of_setting in steps.ops.values() for name in of_setting}
    assert len(steps.ops) > len(asked) / 3
    return seen


def is_same(one: object, other: object) -> bool:
    """Return whether numbers agree to rounding, and others are equal."""
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=EXACT)
    return one == other


def read_small_models(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the models of the configs that tests count: at least one of every class that is known."""
    lines = (Path(__file__).parent / "model_configs.jsonl").read_text("utf-8").splitlines()
    configs = [json.loads(line) for line in lines]
    paths = [write_file(folder, f"small-{of['name'].lower()}.json", json.dumps(of["config"])) for of in configs]
    frames = read_counted_models([*ARCHITECTURES, *(make_source(path, "model") for path in paths)])
    return {table: frames[table] for table in ("model", "layer_group")}

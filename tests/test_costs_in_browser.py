"""Steps computed in the browser are those of the warehouse, at any setting."""

import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from flows.ingest.readers.model import read_counted_models
from flows.ingest.readers.ops import read_ops
from flows.intensity.conventions import CONVENTIONS
from flows.intensity.costs import KINDS, op_costs
from flows.intensity.custom import custom_costs, custom_shapes
from flows.intensity.javascript import write_javascript
from flows.site.model_scripts import write_models
from flows.site.page_templates import read_asset
from flows.sweep.grid import Inputs
from tests.support.costs_page import open_models, open_page
from tests.support.files import write_file
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES
from tests.support.random_steps import compute_steps, cover_models, make_settings
from tests.write_formulas import FORMULAS
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.scratch import add_table

EXACT = 1e-9  # relative
# The class of DeepSeek-V4, which no model that ships has.
COMPRESSED: dict[str, Any] = {
    "architectures": ["DeepseekV4ForCausalLM"], "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4,
    "head_dim": 24, "q_lora_rank": 20, "vocab_size": 1000, "o_groups": 2, "o_lora_rank": 12, "sliding_window": 16,
    "index_n_heads": 3, "index_head_dim": 8, "index_topk": 5, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "moe_intermediate_size": 40, "hc_mult": 2, "num_hash_layers": 0, "layer_types": [
        *["sliding_attention", "compressed_sparse_attention"] * 2, *["heavily_compressed_attention"] * 2,
    ],
    "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 10},
}  # fmt: skip
FIXED = 20261127
OWN_OPS = """name,group,m,k,n,batch,flops,bytes,precision,level,devices,repeat,pipe
conv,a,501,57,64,,,,,,,3,
</script>&,b,12,33,64,5,,,fp8,,,,
fft,c,,,,,1048,335.5,fp32,,,,vector
fft,c,,,,,1048,77,fp32,l2,,,vector
fft,c,,,,,1048,335,bf16,,,,vector
shared,c,,,,,500,300,bf16,,2,,
shared,c,,,,,500,3,bf16,interconnect,2,,
"""
# What the two sides call alike; the others are compared by name.
NAMES = {"dtype": "compute_dtype"}
COMPARED = [
    "op_group", "kind", "part", "level", "sequences", "m", "k", "n", "heads", "kv_heads", "head_dim", "value_dim",
    "kv_dim", "attended_tokens", "cached_tokens", "matrices", "experts", "row_share", "has_bias", "state_elements",
    "state_bits", "chunk_size", "repeat", "idle_repeat", "dtype", "flops", "bytes", "weight_bytes", "kv_bytes",
    "activation_bytes", "state_bytes", "pipe",
]  # fmt: skip
# The script in the page, as the site writes it.
# as text: the driver checks each value of an object on its own, which takes longer than computing it
STEPS = """(asked) => JSON.stringify(JSON.parse(asked).map(({ model, ...setting }) => {
  const refused = costs.refuse(model, setting);
  return refused ? { refused, ops: [] } : costs.step(model, setting);
}))"""


def compute_in_page(page: Any, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compute settings in the page."""
    steps: list[dict[str, Any]] = json.loads(page.evaluate(STEPS, json.dumps(asked)))
    return steps


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
        seen = compare(inputs, connection, [(FIXED, 500), (any_seed(), 500)], covers=True)
    assert {op.name for ops in CONVENTIONS.values() for op in ops} - seen == set()


def test_ops_of_the_user_have_the_costs_of_the_warehouse_in_the_browser(finished: Home, tmp_path: Path) -> None:
    """GEMMs in any precision, and kernels by FLOP and bytes at each level and number of devices."""
    given = read_ops([make_source(write_file(tmp_path, "mine.csv", OWN_OPS), "ops")])["op"]
    with open_models(finished) as (inputs, connection):
        ids = inputs.precisions["precision_id"].to_list()
        shapes = custom_shapes(given, ids)
        costs = [
            op_costs(shapes, inputs.precisions, inputs.elementwise),
            custom_costs(given, shapes, inputs.precisions),
        ]
        add_table(connection, "op_shape", shapes.drop("precisions"))
        add_table(connection, "op_cost", pl.concat(costs))
        rows = read_frame(connection, "from core.op_shape join core.op_cost using (shape_id)").to_dicts()
        asked = [{"model": "mine", "precision": of, "tensor_parallel": count} for of in ids for count in (1, 2)]
        script = write_models(connection)["mine"]
        with open_page(connection) as page:
            found = compute_in_page(page, asked)
    expected = {(row["precision_id"], row["tensor_parallel"], row["op"], row["level"]): row for row in rows}
    ops = {
        (of["precision"], of["tensor_parallel"], op["op"], op["level"]): op
        for of, step in zip(asked, found, strict=True) for op in step["ops"]
    }  # fmt: skip
    assert len(ops) > len(ids)
    assert ops.keys() == expected.keys()
    for key, op in ops.items():
        assert [key, *list_differences(op, expected[key])] == [key]
    assert not re.search("[<>&]", script)
    assert found[asked.index({"model": "mine", "precision": "int8", "tensor_parallel": 2})]["refused"]


def test_the_scripts_that_steps_are_computed_from_are_small(snapshot: duckdb.DuckDBPyConnection) -> None:
    """A page reads the formulas once, and a few kB for each model that is chosen."""
    assert max(map(len, write_models(snapshot).values())) < 5_000
    assert len(read_asset("formulas.js", "costs.js")) < 150_000


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
        ({"expert_parallel": 2, "data_parallel": 2}, "no experts to spread over 2 devices"),
        (
            {"model": "mixtral-8x7b", "expert_parallel": 4, "tensor_parallel": 2, "data_parallel": 3},
            "experts cannot be spread over 4 devices: expected a multiple of tensor parallelism, 2, that divides "
            "tensor times data parallelism, 6",
        ),
        ({"model": "mixtral-8x7b", "expert_parallel": 16, "data_parallel": 16}, "8 experts on 16 devices"),
        ({"pipeline_parallel": 33}, "32 layers in 33 stages"),
        ({"convention": "toString"}, "convention toString is not known"),
        ({"parts": {"mlp": "valueOf"}}, "precision valueOf is not known"),
        ({"phase": "speculative", "tree": [2, 0]}, "tree is 2,0; expected how many candidates stand at each depth"),
        ({"phase": "speculative", "tree": [2, 3], "query": 4}, "tree has 5 candidates, query 4"),
    ],
)
def test_a_step_that_there_cannot_be_is_refused_by_name(change: dict[str, Any], said: str, page: Any) -> None:
    """The line names what was asked, and what is expected."""
    assert compute_in_page(page, [{"model": "llama-3.1-8b", **change}])[0]["refused"] == said


@pytest.fixture(scope="module")
def page(finished: Home) -> Iterator[Any]:
    """A page that knows the shipped models."""
    with open_models(finished) as (_, connection), open_page(connection) as found:
        yield found


def any_seed() -> int:
    """Return another seed each time."""
    return random.SystemRandom().randrange(10**6)


def compare(
    inputs: Inputs,
    connection: duckdb.DuckDBPyConnection,
    seeds: list[tuple[int, int]],
    most_models: int | None = None,
    *,
    covers: bool = False,
) -> set[str]:
    """Assert that settings, so many of each seed, have the same ops and memory on both sides; return the ops."""
    drawn = [(seed, of) for seed, count in seeds for of in make_settings(inputs, seed, count, most_models)]
    drawn += [(0, of) for of in (cover_models(inputs) if covers else [])]
    asked = [of for _, of in drawn]
    with open_page(connection) as page:
        found = compute_in_page(page, asked)
    steps = compute_steps(inputs, connection, asked)
    wrong: list[str] = []
    for number, ((seed, setting), step) in enumerate(zip(drawn, found, strict=True)):
        expected = steps.ops.get(number, {})
        ops = {op["op"]: op for op in step["ops"]}
        where = f"seed {seed}, {json.dumps(setting)}: "
        if ops.keys() != expected.keys():
            wrong.append(f"{where}{step.get('refused')}, {sorted(ops.keys() ^ expected.keys())}")
            continue
        wrong += [f"{where}{name}: {of}" for name, op in ops.items() for of in list_differences(op, expected[name])]
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


def list_differences(op: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return the columns of an op that differ, with their values on both sides."""
    pairs = {column: (op[column], expected[NAMES.get(column, column)]) for column in COMPARED}
    return [f"{column} is {own}, not {theirs}" for column, (own, theirs) in pairs.items() if not is_same(own, theirs)]


def is_same(one: object, other: object) -> bool:
    """Return whether numbers agree to rounding, and others are equal."""
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=EXACT)
    return one == other


def read_small_models(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the models of the configs that tests count: at least one of every class that is known."""
    lines = (Path(__file__).parent / "model_configs.jsonl").read_text("utf-8").splitlines()
    configs = {of["name"].lower(): of["config"] for of in map(json.loads, lines)} | {"compressed": COMPRESSED}
    paths = [write_file(folder, f"small-{name}.json", json.dumps(config)) for name, config in configs.items()]
    frames = read_counted_models([*ARCHITECTURES, *(make_source(path, "model") for path in paths)])
    return {table: frames[table] for table in ("model", "layer_group")}

"""What the page computes from the ops of a step is what the views say: least and expected times, bounds and memory."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flows.ingest.catalog import SHIPPED
from flows.site.explorer import write_explorer
from flows.site.page_templates import read_asset
from flows.site.site_pages import SitePages
from tests.support.browsers import start_browser
from tests.support.explorer_data import decode, read_call
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

SETTING = ["convention", "precision_id", "phase", "batch_size", "sequence_length", "query_length"]
SETTING += ["tensor_parallel", "expert_parallel", "pipeline_parallel", "data_parallel"]
STEP = ["flops", "bytes", "interconnect_bytes", "lower_bound_s", "memory_s", "compute_s", "interconnect_s", "bubble_s"]
STEP += ["tokens_per_s", "bound", "fits"]
USED = ["op", "kind", "m", "k", "n", "matrices", "kv_heads", "head_dim", "level", "pipe", "repeat", "idle_repeat"]
USED += ["flops", "bytes", "activation_bytes", "kv_bytes"]
OP = ["bytes", "intensity", "attainable", "seconds", "bound"]
EXPECTED = ["predicted_s", "tokens_per_s", "host_wait_s", "covered_share"]
SEED = 20261127

# every step in one call, and as text, which passes faster between the page and the test
COMPUTE = """(text) => {
  const {known, calibrations, steps} = JSON.parse(text);
  times.knowKernels(known.kernels);
  const devices = new Map(known.devices.map((facts) => {
    const device = times.makeDevice(facts, known.roofs.filter((roof) => roof.hardware_id === facts.hardware_id));
    if (calibrations[facts.hardware_id]) device.calibration = times.makeCalibration(calibrations[facts.hardware_id]);
    return [facts.hardware_id, device];
  }));
  return JSON.stringify(steps.map(({hardware_id, ops, memory_bytes, ...setting}) => {
    const device = devices.get(hardware_id);
    const step = times.takeStep(ops, device, setting, {total: memory_bytes});
    const pick = (from, names) => names.map((name) => from[name]);
    const kinds = ["engine", "none"].flatMap((fusion) => ["eager", "graph"].map((launch) => ({fusion, launch})));
    const expected = kinds.flatMap((kind) => {
      const expected = times.expectStep(step, device, setting, kind);
      return expected ? [[kind.fusion, kind.launch, ...pick(expected, EXPECTED)]] : [];
    });
    return {
      step: pick(step, STEP), expected,
      points: step.points.map((point) => point && [point.op, ...pick(point, OP)]).filter(Boolean),
    };
  }));
}"""


def compute_in_page(folder: Path, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compute steps with the module of the page, from the data that the site ships."""
    (known,) = read_call(folder / "assets" / "roofs.js")
    known = {
        "kernels": known["kernels"],
        **{name: decode(known[name]).to_dicts() for name in ("devices", "roofs")},
    }
    needed = {step["hardware_id"] for step in steps}
    files = {name: folder / "assets" / "calibrations" / f"{name}.js" for name in needed}
    calibrations = {name: decode(read_call(file)[1]).to_dicts() for name, file in files.items() if file.exists()}
    names = f"const STEP = {STEP}, OP = {OP}, EXPECTED = {EXPECTED};"
    with start_browser() as browser:
        page = browser.new_page()
        page.add_script_tag(content=read_asset("times.js") + names)
        asked = json.dumps({"known": known, "calibrations": calibrations, "steps": steps})
        found: list[dict[str, Any]] = json.loads(page.evaluate(COMPUTE, asked))
    return found


def compare_steps(snapshot: duckdb.DuckDBPyConnection, folder: Path, pairs: list[tuple[str, str]], most: int) -> int:
    """Compare steps of pairs of a device and a model, at most so many of each; return how many were compared."""
    steps: list[dict[str, Any]] = []
    views: dict[str, list[pl.DataFrame]] = {"step": [], "op": [], "expected": []}
    for hardware_id, model_id in pairs:
        of = f"where hardware_id = '{hardware_id}' and model_id = '{model_id}'"
        step = read_frame(snapshot, f"select * from mart.step_time {of} order by all")
        step = step.sample(min(most, step.height), seed=SEED).with_row_index("number", len(steps))
        keys = step.select("number", *SETTING)
        op = read_frame(snapshot, f"select * from mart.roofline_point {of}").join(keys, on=SETTING)
        shapes = read_frame(
            snapshot,
            f"""
            select {", ".join(SETTING + USED)}, compute_dtype as dtype
            from core.op_shape as shape inner join core.op_cost as cost using (shape_id)
            where model_id = '{model_id}'
            """,
        ).join(keys, on=SETTING)
        ops = shapes.partition_by("number", as_dict=True)
        for row in step.to_dicts():
            of_step = ops[row["number"],].drop("number", *SETTING).to_dicts()
            kept = {name: row[name] for name in ("hardware_id", "memory_bytes", *SETTING)}
            steps.append({**kept, "ops": of_step})
        views["step"].append(step.rename({"fits_in_memory": "fits"}))
        views["op"].append(op)
        predicted = read_frame(snapshot, f"select * from mart.predicted_step {of}").join(keys, on=SETTING)
        views["expected"].append(predicted)
    found = compute_in_page(folder, steps)
    wanted = pl.concat(views["step"]).select(STEP)
    told = pl.DataFrame([row["step"] for row in found], schema=wanted.schema, orient="row", strict=False)
    assert_frame_equal(told, wanted, rel_tol=1e-9, abs_tol=1e-18)

    rows = [[number, *point] for number, row in enumerate(found) for point in row["points"]]
    renamed = {
        "intensity": "intensity_flops_per_byte",
        "attainable": "attainable_flops_per_s",
        "seconds": "lower_bound_s",
    }
    wanted = pl.concat(views["op"]).select(
        "number", "op", *(pl.col(renamed.get(name, name)).alias(name) for name in OP)
    )
    told = pl.DataFrame(rows, schema=wanted.schema, orient="row", strict=False)
    by = ["number", "op"]
    assert_frame_equal(told.sort(by), wanted.sort(by), rel_tol=1e-9, abs_tol=0)

    rows = [[number, *each] for number, row in enumerate(found) for each in row["expected"]]
    kinds = ["number", "fusion", "launch"]
    # without a calibration the view takes the roof, and the page says nothing
    wanted = pl.concat(views["expected"]).filter(pl.col("covered_share") > 0).select(kinds + EXPECTED)
    told = pl.DataFrame(rows, schema=wanted.schema, orient="row", strict=False)
    assert wanted.height > most
    assert_frame_equal(told.sort(kinds), wanted.sort(kinds), rel_tol=1e-9, abs_tol=1e-15)
    assert wanted["covered_share"].min() != wanted["covered_share"].max()
    return len(steps)


def test_times_in_the_page_are_those_of_the_views(
    finished: Home, snapshot: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    write_explorer(SitePages(tmp_path), snapshot)
    # measured, of a relative with a switch that adds, partly calibrated, without a calibration; dense, MoE, MLA, hybrid
    pairs = [("h100-sxm", "deepseek-v3"), ("b200", "llama-3-70b"), ("arc-pro-b60", "llama-7b")]
    pairs += [("mi300x", "qwen3-30b-a3b"), ("l40s", "jamba-1.5-mini"), ("h200-sxm", "gpt-oss-120b")]
    assert compare_steps(snapshot, tmp_path, pairs, 60) == 360


@pytest.mark.slow
def test_times_of_thousands_of_random_settings_are_those_of_the_views(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # so that a failure can be had again
    chance = random.Random(seed)
    shipped, home = tmp_path / "shipped", Home(tmp_path / "home")
    devices = ["h100-sxm", "b200", "mi300x", "a6000", "arc-pro-b60"]
    models = ["llama-3-8b", "qwen3-30b-a3b", "deepseek-v2-lite", "jamba-1.5-mini", "gemma-2-2b"]
    for place in ("hardware", "models", "workloads"):
        (shipped / place).mkdir(parents=True)
    shutil.copytree(SHIPPED / "architectures", shipped / "architectures")
    files = ["precisions.toml", "elementwise.toml", "calibrations.toml"]
    files += [f"hardware/{name}.toml" for name in devices] + [f"models/{name}.json" for name in models]
    for name in files:
        shutil.copyfile(SHIPPED / name, shipped / name)

    def draw(most: int, number: int) -> list[int]:
        return sorted({int(most ** chance.random()) for _ in range(number)})

    for number in range(6):
        lengths, phase = draw(100_000, 2), ("prefill", "decode", "speculative", "mixed")[number % 4]
        further = {
            "speculative": f"candidates = {draw(64, 2)}",
            "mixed": f"query_length = [1, {chance.randint(1, min(lengths))}]",
        }
        asked = f"""
            workload_id = "w{number}"
            name = "random settings {number}"
            origin = "of a test"
            conventions = ["engine", "paper"]
            phases = ["{phase}"]
            batch_size = {draw(2000, 2)}
            sequence_length = {lengths}
            precisions = {chance.sample(["bf16", "fp8", "w4a16", "nvfp4", "fp8-block", "int8", "mxfp4"], 2)}
            tensor_parallel = [1, {chance.choice([2, 4])}]
            {further.get(phase, "")}
            """
        (shipped / "workloads" / f"w{number}.toml").write_text(asked, "utf-8")
    run_without_prefect(home, shipped)
    with open_snapshot(home.snapshot) as connection:
        write_explorer(SitePages(tmp_path), connection)
        pairs = [(device, model) for device in devices for model in models]
        assert compare_steps(connection, tmp_path, pairs, 100) > 1500

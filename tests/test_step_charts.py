"""Charts of steps, devices and runs: they show what the views say, and their titles are true."""

import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from charts.texts import read_texts
from flows.cli.app import run_command
from flows.site.chart_rows import is_drawable, query_chart
from flows.site.render import build_spec, render
from flows.site.snapshot_charts import find_chart, list_snapshot_charts
from tests.support.boxes import find_overlaps, list_texts
from tests.support.charts import STEP_CHARTS, choose, draw, list_encodings, select_marks, validate
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

STEP_TIME, CROSSOVER, THROUGHPUT, RANKING, HISTORY = STEP_CHARTS
OTHER_MODELS = [
    "step-time-llama-3-70b-h100-sxm",  # fits at no setting
    "step-time-mixtral-8x7b-mi300x",
    "crossover-deepseek-v2-a100-80gb-sxm",  # attention is compute-bound at every batch
    "crossover-deepseek-v3-h100-sxm",
    "throughput-llama-3.1-405b",  # fits on no device
    "devices-llama-3-70b-bf16",
]
OF_LLAMA = "model_id = 'llama-3-8b' and convention = 'engine' and precision_id = 'bf16' and tensor_parallel = 1"
STEPS = f"select * from mart.step_time where {OF_LLAMA} and phase = 'decode'"


def read_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in spec.get("params", []) if "value" in each}


@pytest.mark.parametrize("name", [*STEP_CHARTS, *OTHER_MODELS])
def test_they_are_valid_and_name_columns(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    validate(spec)
    json.dumps(spec, allow_nan=False)
    columns = {*frame.columns, "layer", "end", "label_ms", "line_width"}  # the last ones are of the layout
    for _, channel, encoding in list_encodings(spec):
        assert encoding.get("field", "layer") in columns, channel
    title, subtitle, description = read_texts(spec)
    assert title in description
    assert title in spec["description"]
    assert spec["title"]["subtitle"] == subtitle[: len(spec["title"]["subtitle"])]
    assert len(subtitle) == len(set(subtitle)) >= 1


@pytest.mark.parametrize("name", [STEP_TIME, CROSSOVER, THROUGHPUT])
def test_the_context_is_chosen_by_words_and_the_shortest_is_drawn(
    name: str, snapshot: duckdb.DuckDBPyConnection
) -> None:
    spec, frame = draw(snapshot, name)
    (choice,) = [each for each in spec["params"] if each["name"] == "context"]
    contexts = frame["sequence_length"].drop_nulls().unique().sort().to_list()
    assert choice["bind"]["name"] == "context, tokens"
    assert (choice["value"], choice["bind"]["options"]) == (contexts[0], contexts)
    assert any(each.get("bind") == "legend" for each in spec["params"])
    for each in spec["usermeta"]["choices"]["context"]["values"]:
        assert each["title"] in spec["description"]  # a description cannot follow a choice, so it tells of all


@pytest.mark.parametrize("name", [STEP_TIME, CROSSOVER, THROUGHPUT, *OTHER_MODELS[:5]])
def test_all_that_a_chart_says_follows_the_context(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    offered = spec["usermeta"]["choices"]["context"]
    contexts = frame["sequence_length"].drop_nulls().unique().sort().to_list()
    assert offered["label"] == "context, tokens"
    assert [each["value"] for each in offered["values"]] == contexts
    for each in offered["values"]:
        context, title = each["value"], each["title"]
        others = {f"ontext {other:,}" for other in contexts if other != context}
        assert f"context {context:,}: " in title
        assert title in each["description"]
        assert all(line in each["description"] for line in each["subtitle"])
        assert not any(other in text for other in others for text in each.values() if isinstance(text, str))
        drawn = unescape(render(choose(spec, "context", context), "svg").decode())
        assert all(part in drawn for part in title.split(": "))
        assert f"Context {context:,}" in drawn
        assert not any(other in drawn for other in others)
        assert all(line in drawn for line in each["subtitle"])


def test_bars_add_up_to_the_steps(snapshot: duckdb.DuckDBPyConnection) -> None:
    _, frame = draw(snapshot, STEP_TIME)
    keys = ["batch_size", "sequence_length"]
    steps = read_frame(snapshot, f"{STEPS} and hardware_id = 'h100-sxm'")
    tops = frame.filter("is_top").join(steps, on=keys, suffix="_of_view", validate="1:1")
    assert len(tops) == frame.select(keys).n_unique() == 33
    assert tops["end_ms"].to_list() == pytest.approx((tops["lower_bound_s"] * 1e3).to_list(), rel=1e-6)
    assert tops["fits_in_memory"].to_list() == tops["fits_in_memory_of_view"].to_list()
    shares = (tops["compute_s"] / tops["lower_bound_s"]).to_list()
    assert tops["compute_bound_share"].to_list() == pytest.approx(shares, abs=1e-6)
    for bar in frame.partition_by(keys):
        assert bar["start_ms"].to_list() == [0, *bar["end_ms"].to_list()[:-1]]
        assert bar["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "mark", "times", "says"),
    [
        (STEP_TIME, "point", {"y": "expected_ms"}, "least and expected"),
        (THROUGHPUT, "line", {"x": "expected_ms", "y": "expected_tokens_per_s"}, "at most and expected"),
        (RANKING, "point", {"x": "expected_tokens_per_s"}, "diamonds: expected"),
    ],
)
def test_expected_times_stand_beside_the_least_told_apart(
    name: str, mark: str, times: dict[str, str], says: str, snapshot: duckdb.DuckDBPyConnection
) -> None:
    """They are those of the view, a legend names their marks, and no step is expected below its least time."""
    spec, frame = draw(snapshot, name)
    ((layer, encoding),) = ((layer, each) for layer, _, each in list_encodings(spec) if each.get("field") == "estimate")
    assert layer["mark"]["type"] == mark
    assert {channel: layer["encoding"][channel]["field"] for channel in times} == times
    legend = encoding["legend"]
    assert (legend["title"], legend["labelExpr"]) == ("expected", "'by calibrated roofs'")
    assert says in json.dumps(spec)
    shown = frame.filter(pl.col("expected_ms").is_not_null())
    devices = shown["hardware_id"].unique().to_list() if "hardware_id" in shown.columns else ["h100-sxm"]
    named = ", ".join(f"'{each}'" for each in devices)
    where = f"hardware_id in ({named}) and {OF_LLAMA} and phase = 'decode' and covered_share >= 0.9"
    sql = f"select round(predicted_s * 1e3, 9) as ms from mart.predicted_step where {where} and is_default_launch"
    assert set(shown["expected_ms"]) <= set(read_frame(snapshot, f"{sql} and fusion = 'engine'")["ms"])
    assert (shown["expected_ms"] >= shown["step_ms" if name == STEP_TIME else "token_ms"]).all()


def test_charts_of_devices_without_calibrations_name_nothing_expected(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, "step-time-mixtral-8x7b-mi300x")
    assert frame["expected_ms"].is_null().all()
    assert "calibrated" not in json.dumps(spec["layer"])
    assert '"Least time of a decode step (ms)"' in json.dumps(spec)


def test_the_op_group_that_takes_the_most_time_is_named(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, STEP_TIME)
    steps = read_frame(snapshot, f"{STEPS} and hardware_id = 'h100-sxm' and sequence_length = 1024 and fits_in_memory")
    most = dict(steps.select("batch_size", "dominant_op_group").sort("batch_size").rows())
    last = most[max(most)]
    since = min(batch for batch in most if all(most[b] == last for b in most if b >= batch))
    assert read_texts(spec).title.endswith(f"context 1,024: {last} takes the most time from batch {since} on")
    assert "attention" in last
    shown = frame.filter("is_shown", sequence_length=1024)["batch_size"].max()
    assert shown == max(most)
    assert frame.filter("is_last", sequence_length=1024)["batch_size"].unique().to_list() == [max(most)]


def test_a_model_that_fits_nowhere_is_drawn_and_said_to_be(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, OTHER_MODELS[0])
    assert frame["is_shown"].all()
    assert not frame["fits_in_memory"].any()
    assert read_texts(spec).title.endswith("context 1,024: no batch fits in memory")
    assert read_texts(spec).subtitle[-1].endswith("the bars ignore memory")
    nowhere, _ = draw(snapshot, "throughput-llama-3.1-405b")
    assert "fits in the memory of none" in read_texts(nowhere).title


def test_ops_cross_the_ridge_where_the_view_says(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, CROSSOVER)
    view = read_frame(snapshot, f"select * from mart.crossover where {OF_LLAMA} and hardware_id = 'h100-sxm'")
    since = dict(view.select("op", "critical_tokens").rows())
    (ridge,) = select_marks(spec, "ridge")
    crossings = {row["op"]: row for row in select_marks(spec, "crossing")}
    assert {op: row["batch_size"] for op, row in crossings.items()} == {
        op: tokens for op, tokens in since.items() if tokens is not None
    }
    assert {row["intensity_flops_per_byte"] for row in crossings.values()} == {ridge["intensity_flops_per_byte"]}
    points = frame.filter(layer="computed", sequence_length=1024)
    for op, line in points.group_by("op"):
        below = line.filter(pl.col("intensity_flops_per_byte") < ridge["intensity_flops_per_byte"])
        tokens = since[str(op[0])]
        assert below["batch_size"].to_list() == [b for b in line["batch_size"] if tokens is None or b < tokens]
    assert points.filter(answer="never")["op"].unique().to_list() == ["attention"]
    known = [tokens for tokens in since.values() if tokens is not None]
    said = f"GEMMs become compute-bound at batch {min(known)} to {max(known)}, attention never"
    assert read_texts(spec).title.endswith(said)


@pytest.mark.parametrize("name", [CROSSOVER, *OTHER_MODELS[2:4]])
def test_labels_of_lines_lie_apart_and_inside(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    (low, high) = next(e["scale"]["domain"] for _, c, e in list_encodings(spec) if c == "y" and "scale" in e)
    context = read_defaults(spec)["context"]
    places = sorted(
        row["intensity_flops_per_byte"] for row in select_marks(spec, "label") if row["sequence_length"] == context
    )
    assert low < places[0] < places[-1] < high
    gap = (high / low) ** (14 / spec["height"])  # pixels
    assert all(after / before > gap for before, after in pairwise(places))


def test_attention_is_compute_bound_by_context_not_by_batch(snapshot: duckdb.DuckDBPyConnection) -> None:
    _, frame = draw(snapshot, "crossover-deepseek-v2-a100-80gb-sxm")
    attention = frame.filter(op_group="attention")
    assert attention["answer"].unique().to_list() == ["at every batch"]
    assert attention["bound"].unique().to_list() == ["compute"]
    assert attention["layer"].unique().to_list() == ["computed"]


def test_batches_beyond_memory_are_marked(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, THROUGHPUT)
    keys = ["hardware_id", "sequence_length", "batch_size"]
    shown = frame.join(read_frame(snapshot, STEPS), on=keys, suffix="_of_view", validate="1:1")
    assert len(shown) == len(frame)
    assert shown["fits_in_memory"].to_list() == shown["fits_in_memory_of_view"].to_list()
    assert shown["tokens_per_s"].to_list() == pytest.approx(shown["tokens_per_s_of_view"].to_list(), rel=1e-6)
    assert shown["token_ms"].to_list() == pytest.approx((shown["lower_bound_s"] * 1e3).to_list(), rel=1e-6)
    for line in frame.partition_by("hardware_id", "sequence_length"):
        fits = line.sort("batch_size")["fits_in_memory"].to_list()
        assert False not in fits[:-1]
        assert fits[-1] is (line["batch_size"].max() == 1024 and fits[-1])
    filters = [str(layer.get("transform")) for layer in spec["layer"]]
    assert sum("!datum.fits_in_memory" in each for each in filters) == 1
    for each in spec["usermeta"]["choices"]["context"]["values"]:
        rows = frame.filter("fits_in_memory", sequence_length=each["value"])
        best = rows.filter(pl.col("tokens_per_s") > 0.99 * pl.col("tokens_per_s").max()).sort("batch_size")
        first = best.row(0, named=True)
        said = f"{first['hardware']} leads with {first['tokens_per_s']:,.0f} tokens/s at batch {first['batch_size']:,} "
        assert said in each["title"]


@pytest.mark.parametrize(("name", "model_id"), [(RANKING, "llama-3-8b"), (OTHER_MODELS[5], "llama-3-70b")])
def test_every_device_is_ranked_or_says_why_not(name: str, model_id: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, name)
    steps = read_frame(
        snapshot, f"{STEPS.replace('llama-3-8b', model_id)} and batch_size = 8 and sequence_length = 1024"
    )
    fits = dict(steps.select("hardware_id", "fits_in_memory").rows())
    status = {True: "fits", False: "does not fit", None: "no peak"}
    devices = [str(id_) for (id_,) in snapshot.sql("select hardware_id from core.hardware").fetchall()]
    assert dict(frame.select("hardware_id", "status").rows()) == {id_: status[fits.get(id_)] for id_ in devices}
    for part in frame.partition_by("status", maintain_order=True)[:2]:
        assert part["tokens_per_s"].is_sorted(descending=True)
    assert frame["status"].unique(maintain_order=True).to_list() == list(status.values())
    assert frame.filter(status="no peak")["label"].unique().to_list() == ["no bf16 peak"]
    assert all(" GB of " in label for label in frame.filter(status="does not fit")["label"])
    counts = [list(fits.values()).count(each) for each in (True, False)]
    assert f"{counts[0]} fit, {counts[1]} lack the memory (dashed)" in spec["title"]["subtitle"][0]
    most = max(steps.filter("fits_in_memory")["tokens_per_s"].to_list())
    assert f"at most {most:,.0f} tokens/s" in spec["title"]["text"]
    power = dict(snapshot.sql("select hardware_id, tdp_w from core.hardware where tdp_w is not null").fetchall())
    thrifty = {row["hardware_id"]: row["tokens_per_s"] / power[row["hardware_id"]]
               for row in steps.filter("fits_in_memory").to_dicts() if row["hardware_id"] in power}  # fmt: skip
    alike = [id_ for id_, share in thrifty.items() if share >= 0.99 * max(thrifty.values())]
    best = sorted(frame.filter(pl.col("hardware_id").is_in(alike))["hardware"].to_list())
    assert spec["title"]["text"].endswith(f"most per joule on {' and '.join(best)}")


def test_one_run_is_a_history(snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, frame = draw(snapshot, HISTORY)
    assert len(frame) == 1
    assert spec["title"]["text"].startswith("1 run (1 succeeded); the last took ")
    (low, high) = next(e["scale"]["domain"] for _, c, e in list_encodings(spec) if c == "x" and "scale" in e)
    assert low < high
    assert render(spec, "svg") == render(draw(snapshot, HISTORY)[0], "svg")


def test_a_history_of_failed_and_unchanged_runs(home: Home) -> None:
    with duckdb.connect(home.snapshot) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "insert into core.run select run_id || status, number, started_at + to_hours(number),"
            " finished_at + to_hours(number), status, code_version, inputs_sha256, null, error"
            " from (select * exclude (status, error, flow_run_id) from core.run), (values (2, 'failed', 'no space'),"
            " (3, 'unchanged', null), (4, 'running', null)) as more (number, status, error)"
        )
        connection.execute("update core.run set finished_at = null where status = 'running'")
    with open_snapshot(home.snapshot) as connection:
        spec, frame = draw(connection, HISTORY)
    assert frame["status"].to_list() == ["succeeded", "failed", "unchanged"]  # one that did not end took no time
    assert frame["error"].to_list() == [None, "no space", None]
    (colours, shapes) = (
        next(e["scale"] for _, c, e in list_encodings(spec) if c == channel) for channel in ("color", "shape")
    )
    assert colours["domain"] == shapes["domain"] == ["succeeded", "unchanged", "failed"]
    assert len(set(colours["range"])) == len(set(shapes["range"])) == 3
    assert spec["title"]["text"].startswith("3 runs (1 succeeded, 1 unchanged, 1 failed)")
    assert spec["title"]["text"].endswith("changed 0 rows")


def test_every_model_on_every_device_is_drawn_and_few_are_listed(
    finished: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with open_snapshot(finished.snapshot) as connection:
        entries = list_snapshot_charts(connection)
    listed = {entry.name for entry in entries if entry.is_listed}
    assert {"step-time-qwen2-7b-h100-sxm", "step-time-llama-3-8b-mi300x", "throughput-qwen2-7b"} <= listed
    assert "step-time-qwen2-7b-mi300x" not in listed
    assert {entry.name for entry in entries if entry.on_site} <= listed
    assert len(entries) > 6000
    assert len(listed) < len(entries) / 8
    place = ["--home", str(finished.path)]
    assert run_command(["chart", "step-time-qwen2-7b-mi300x", "--out", str(tmp_path / "a.json"), *place]) == 0
    assert "Qwen2 7B in bf16 on MI300X" in (tmp_path / "a.json").read_text("utf-8")
    capsys.readouterr()
    for name in ("step-time-llama-3-8b-t4", "crossover-llama-3-8b-t4"):  # a T4 has no bf16
        assert run_command(["chart", name, *place]) == 0
        assert "Llama 3 8B in fp16 on T4" in capsys.readouterr().out
        assert run_command(["chart", name, "--precision", "bf16", *place]) == 2
        assert capsys.readouterr().err.startswith("rooflines: --precision: bf16: no peak for it on t4; expected ")


def test_a_grid_without_the_settings_leaves_them_out(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in STEP_CHARTS[:4]:
        entry = find_chart(snapshot, name)
        other = {"batch_sizes": [3], "sequence_lengths": [5], "batch_size": 3}
        absent = type(entry)(name, entry.template, {**entry.parameters, **other})
        assert not is_drawable(query_chart(snapshot, absent))
        assert is_drawable(query_chart(snapshot, entry))


def test_a_single_batch_and_context_can_be_drawn(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in STEP_CHARTS[:3]:
        entry = find_chart(snapshot, name)
        one = type(entry)(name, entry.template, {**entry.parameters, "batch_sizes": [8], "sequence_lengths": [1024]})
        assert b"context 1,024" in render(build_spec(one, query_chart(snapshot, one)), "svg")


def test_devices_that_cannot_be_drawn_are_counted_by_reason(snapshot: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(snapshot, "throughput-llama-3-70b")
    devices = ["b200", "h100-sxm", "t4", "not-there"]
    entry = type(entry)(entry.name, entry.template, {**entry.parameters, "devices": devices})
    frame = query_chart(snapshot, entry)
    assert set(frame["hardware_id"]) == set(devices)
    _, subtitle, _ = read_texts(build_spec(entry, frame))
    assert "2 of 4 devices are not drawn: T4 (no bf16 peak), not-there (not known here)" in subtitle
    assert subtitle[-1] == "Context 1,024: 1 of 2 devices without room for batch 1: H100 SXM"


def test_many_batches_leave_room_for_each_other(snapshot: duckdb.DuckDBPyConnection) -> None:
    batches = pl.DataFrame({"batch_size": range(1, 41)}, schema={"batch_size": pl.Int64})
    for name, growing in ((STEP_TIME, pl.col("^.*_ms$")), (THROUGHPUT, pl.col("token_ms", "tokens_per_s"))):
        entry = find_chart(snapshot, name)
        one = query_chart(snapshot, entry).filter(sequence_length=1024, batch_size=8).drop("batch_size")
        many = one.join(batches, how="cross").with_columns(growing * (1 + pl.col("batch_size") / 50))
        if name == THROUGHPUT:
            many = many.with_columns(label=pl.col("batch_size").cast(pl.String))
        texts = list_texts(spec := build_spec(entry, many))
        assert find_overlaps(spec) == []
        assert sum(each.role == "mark" for each in texts) > 5


def test_lines_that_coincide_all_show_and_are_named(snapshot: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(snapshot, "throughput-llama-3-70b")
    own = {"devices": ["b200", "h100-sxm", "mi355x"], "precision_id": "fp8"}
    entry = type(entry)(entry.name, entry.template, {**entry.parameters, **own})
    spec = build_spec(entry, query_chart(snapshot, entry))
    first = spec["usermeta"]["choices"]["context"]["values"][0]
    rows = [row for row in spec["data"]["values"] if row["batch_size"] == 1 and row["sequence_length"] == 1024]
    widths = {row["hardware"]: row["line_width"] for row in rows}
    assert "the lines of B200 and MI355X coincide" in first["subtitle"][-1]
    assert widths["B200"] > widths["MI355X"] == widths["H100 SXM"]


def test_steps_of_shared_models_say_how_many_devices_share_them(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in ("step-time-llama-3-70b-h100-sxm", "crossover-llama-3-70b-h100-sxm", "throughput-llama-3-70b"):
        entry = find_chart(snapshot, name)
        entry = type(entry)(name, entry.template, {**entry.parameters, "tensor_parallel": 8})
        title, subtitle, _ = read_texts(build_spec(entry, query_chart(snapshot, entry)))
        assert "8 × " in title
        assert "shared by 8 devices" in subtitle[0]


def test_they_are_found_by_device_and_model(finished: Home) -> None:
    device, other, model = (
        (finished.site / path / "index.html").read_text("utf-8")
        for path in ("devices/h100-sxm", "devices/t4", "models/llama-3-8b")
    )
    for name in STEP_CHARTS[:4]:
        assert f"charts/{name}/index.html" in device
        assert f"charts/{name}/index.html" in model
    assert RANKING in other
    assert THROUGHPUT not in other
    index = (finished.site / "index.html").read_text("utf-8")
    for kind in ("Time of a step", "Intensity and batch", "Tokens/s and latency", "Devices ranked", "Runs"):
        assert f'data-kind="{kind}"' in index


@pytest.mark.parametrize("name", [*STEP_CHARTS, *OTHER_MODELS, "step-time-gemma-3-1b-l4", "crossover-mixtral-8x7b-a40"])
def test_no_text_lies_on_another(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    spec, _ = draw(snapshot, name)
    contexts = [each["bind"]["options"] for each in spec.get("params", []) if each["name"] == "context"]
    for context in contexts[0] if contexts else [None]:
        assert find_overlaps(choose(spec, "context", context) if contexts else spec) == []


@pytest.mark.parametrize("name", ["step-time-gpt2-b200", "throughput-llama-3.1-405b", "roofline-llama-7b-a40"])
def test_every_symbol_of_a_picture_has_an_accessible_name(name: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    symbols = re.findall(r'<[^>]*role="graphics-symbol"[^>]*>', render(draw(snapshot, name)[0], "svg").decode())
    assert symbols
    assert [each for each in symbols if not re.search('aria-label="[^"]', each)] == []


def test_long_names_and_many_batches_leave_room_for_each_other(snapshot: duckdb.DuckDBPyConnection) -> None:
    for name in STEP_CHARTS[:4]:
        entry = find_chart(snapshot, name)
        frame = query_chart(snapshot, entry)
        long = pl.concat_str(pl.col("hardware"), pl.lit(" " + "x" * 80 + " "), pl.col("hardware"))
        spec = build_spec(entry, frame.with_columns(hardware=long))
        assert find_overlaps(spec) == []
        assert "x" * 40 not in json.dumps(spec["title"])
        assert not any(each.text.startswith("x") for each in list_texts(spec))


@pytest.mark.parametrize(
    ("name", "column"), [(STEP_TIME, "share"), (THROUGHPUT, "tokens_per_s"), (RANKING, "tokens_per_s")]
)
def test_findings_do_not_hang_on_float_noise(name: str, column: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    entry = find_chart(snapshot, name)
    frame = query_chart(snapshot, entry)
    said = read_texts(build_spec(entry, frame))
    for sign in (1, -1):
        noise = pl.int_range(pl.len()) % 2 * 2e-12 * sign
        noisy = frame.with_columns(pl.col(column) * (1 + noise))
        assert read_texts(build_spec(entry, noisy)) == said

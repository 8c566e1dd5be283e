"""The user's own gallery: what is refused, what is drawn."""

import json
from pathlib import Path

import pytest

from charts.gallery import Precisions, list_charts
from flows.ingest.readers.gallery import read_gallery
from flows.site.chart_rows import query_chart
from flows.site.snapshot_charts import find_chart, list_snapshot_charts
from tests.support.drawings import draw_without_ink
from tests.support.files import write_file
from tests.support.inputs import make_source
from tests.support.whole_runs import run_without_prefect
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

CHART = """
[[chart]]
name = "mine-{model_id}-{hardware_id}"
template = "house"
model_id = ["llama-3-8b", "llama-13b"]
hardware_id = "l40s"
precision_id = "fp16"
convention = "paper"
batch_size = 8
sequence_length = 1024
"""
QUERY = """
[[chart]]
name = "my-kernels"
template = "house"
precision_id = "bf16"
sql = '''
select hardware_id, op as label, intensity_flops_per_byte, attainable_flops_per_s as performance_flops_per_s, bound
from mart.roofline_point
where model_id = 'llama-3-8b' and hardware_id = 'h100-sxm' and convention = 'engine' and precision_id = 'bf16'
  and phase = 'decode' and batch_size = 8 and sequence_length = 1024 and tensor_parallel = 1
'''
"""


def read(folder: Path, text: str) -> list[dict[str, object]]:
    return read_gallery([make_source(write_file(folder, "gallery.toml", text), "gallery")])["own_chart"].to_dicts()


def test_an_own_gallery_is_read(tmp_path: Path) -> None:
    first, second = read(tmp_path, CHART + QUERY)
    assert (first["chart_number"], first["name"]) == (1, "mine-{model_id}-{hardware_id}")
    assert json.loads(str(first["entry"]))["model_id"] == ["llama-3-8b", "llama-13b"]
    assert json.loads(str(second["entry"]))["sql"].strip().startswith("select hardware_id")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"house"', '"hous"', 'chart[0].template = "hous": expected accuracy, comparison'),
        ("{model_id}-", "", "expected {model_id} in it"),
        ("mine-", "../", 'chart[0].name = "../{model_id}'),
        ("mine-", "{hardware_id.__class__}", "chart[0].name"),
        ("mine-", "A", "expected lowercase letters, digits, dots, dashes, underscores, and fields in braces"),
        ('"fp16"', '"FP16"', 'precision_id = "FP16": expected at most 64 lowercase letters, digits, dots, dashes'),
        ("mine-", "{devices}", "no field devices; expected one of batch_size, convention, dtype, hardware_id, marks"),
        ("batch_size = 8", "batch_size = 8\nelse_fastest = 1", "chart[0].else_fastest = 1: expected"),
        ("batch_size = 8", "batch_size = 8\ntensor_parallel = 0", "chart[0].tensor_parallel = 0: expected"),
        ("mine-", "{sql}", "no field sql"),
        ('precision_id = "fp16"', "", "chart[0].precision_id: missing"),
        ("batch_size = 8", 'batch_size = "8"', 'chart[0].batch_size = "8": expected'),
        ("batch_size = 8", "batch = 8", "chart[0].batch: unknown field"),
        ("batch_size = 8", 'batch_size = 8\nmarks = "nearest"', 'chart[0].marks = "nearest": expected computed'),
        ("batch_size = 8", 'dtype = "fp16"', "chart[0].dtype: not a parameter of house"),
        ("batch_size = 8", "sql = 'select 1'", "not a parameter of house"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_are_read(old: str, new: str, said: str, tmp_path: Path) -> None:
    bad, good = read(tmp_path, CHART.replace(old, new) + QUERY)
    assert said in str(bad["fault"])
    assert "\n" not in str(bad["fault"])
    assert bad["name"]
    assert (good["name"], good["fault"]) == ("my-kernels", None)


@pytest.mark.parametrize("text", ["[[charts]]", "[[chart]", "chart = 3", "chart = [3]", CHART + "[other]", "\xff"])
def test_a_file_that_is_no_gallery_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "gallery.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"gallery\.toml: ") as caught:
        read_gallery([make_source(tmp_path / "gallery.toml", "gallery")])
    assert "\n" not in str(caught.value)


def test_a_query_is_drawn_by_the_house_template_alone(tmp_path: Path) -> None:
    (chart,) = read(tmp_path, QUERY.replace('"house"', '"paper"'))
    assert 'expected "house"' in str(chart["fault"])


def test_a_chart_of_steps_names_its_batches_and_contexts(tmp_path: Path) -> None:
    lists = "batch_sizes = [1, 8]\nsequence_lengths = [1024]"
    text = CHART.replace('"house"', '"step_time"').replace("batch_size = 8\nsequence_length = 1024", lists)
    (chart,) = read(tmp_path, text)
    assert json.loads(str(chart["entry"]))["batch_sizes"] == [1, 8]
    (chart,) = read(tmp_path, text.replace("[1, 8]", "[]"))
    assert str(chart["fault"]).startswith("chart[0].batch_sizes")


def test_an_own_chart_takes_the_place_of_a_shipped_one() -> None:
    own = {"name": "devices-fp16", "template": "comparison", "dtype": "fp8", "devices": ["h100-sxm"]}
    words = {"hardware_id": {"*": [{"hardware_id": "h"}]}}
    entries = [entry for entry in list_charts(words, [own]) if entry.name == "devices-fp16"]
    assert [entry.parameters["dtype"] for entry in entries] == ["fp8"]


HOUSE: dict[str, object] = {
    "template": "house",
    "model_id": "llama-7b",
    "hardware_id": ["a", "b"],
    "precision_id": "fp16",
    "convention": "paper",
    "batch_size": 8,
    "sequence_length": 1024,
}
PRECISIONS = Precisions({"fp16": "fp16", "w8": "int8"}, {("b", "paper", "fp16"): "w8"})
DEVICES = {"hardware_id": {"own": [{"hardware_id": "mine"}, {"hardware_id": "yours"}]}}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("x-{hardware_id}-{precision_id}-{dtype}", ["x-a-fp16-fp16", "x-b-w8-int8"]),
        ("x-{hardware_id}-{batch_size}-{marks}-{tensor_parallel}", ["x-a-8-computed-1", "x-b-8-computed-1"]),
        ("x-{hardware_id}-{template}-{convention}", ["x-a-house-paper", "x-b-house-paper"]),
    ],
)
def test_a_name_can_have_every_field_its_default_and_what_it_stands_for(
    name: str, names: list[str], tmp_path: Path
) -> None:
    own = {**HOUSE, "name": name, "else_fastest": True}
    assert [entry.name for entry in list_charts(DEVICES, [own], PRECISIONS) if entry.name.startswith("x-")] == names
    fields = [f"{field} = {json.dumps(value)}" for field, value in own.items()]
    (chart,) = read(tmp_path, "\n".join(["[[chart]]", *fields]))
    assert chart["fault"] is None


def test_a_device_without_the_dtype_falls_back_only_if_the_entry_says_so() -> None:
    for falls_back, expected in ((True, ["fp16", "w8"]), (False, ["fp16", "fp16"])):
        own = {**HOUSE, "name": "x-{hardware_id}", "else_fastest": falls_back}
        entries = [entry for entry in list_charts(DEVICES, [own], PRECISIONS) if entry.name.startswith("x-")]
        assert [entry.parameters["precision_id"] for entry in entries] == expected


def test_a_chart_of_several_devices_shows_exactly_those_that_it_names() -> None:
    for devices, expected in ((["a", "b"], ["a", "b"]), (["b", "own", "mine"], ["b", "mine", "yours"])):
        own = {"name": "x", "template": "comparison", "dtype": "fp8", "devices": devices}
        (entry,) = (entry for entry in list_charts(DEVICES, [own]) if entry.name == "x")
        assert entry.parameters["devices"] == expected


def test_a_chart_of_a_profile_is_of_its_device(tmp_path: Path) -> None:
    text = '[[chart]]\nname = "own-{profile}"\ntemplate = "house"\nmarks = "profile"\nprofile = ["p", "gone"]\n'
    (row,) = read(tmp_path, f'{text}precision_id = "fp16"\n')
    assert row["fault"] is None
    of_profile = {"profile": "p", "hardware_id": "a40"}
    expansions = {**DEVICES, "profile": {"*": [of_profile], "p": [of_profile]}}
    own = {**json.loads(str(row["entry"])), "name": row["name"], "template": row["template"]}
    entries = {entry.name: entry.parameters for entry in list_charts(expansions, [own])}
    assert [entries[name]["hardware_id"] for name in ("own-p", "own-gone")] == ["a40", None]


def test_own_charts_are_published(home: Home, tmp_path: Path) -> None:
    home.catalog.mkdir()
    write_file(home.catalog, "gallery.toml", CHART + QUERY)
    public = tmp_path / "public"
    mine = {"mine-llama-3-8b-l40s", "mine-llama-13b-l40s", "my-kernels"}
    with draw_without_ink(*mine):
        summary = run_without_prefect(home, publish_to=public, draws=True)
    assert summary.site
    assert mine <= set(summary.site.drawn)
    for name in mine:
        for site in (home.site, public):
            assert "<svg" in (site / "charts" / name / f"{name}.svg").read_text("utf-8")
    with open_snapshot(home.snapshot) as connection:
        assert mine <= {entry.name for entry in list_snapshot_charts(connection)}
        frame = query_chart(connection, find_chart(connection, "my-kernels"))
        decode = connection.sql(QUERY.split("'''")[1]).filter("performance_flops_per_s > 0").fetchall()
    assert frame["layer"].to_list().count("computed") == len(decode) > 5

    before = {path: path.stat().st_mtime_ns for path in public.rglob("*")}
    assert run_without_prefect(home, publish_to=public, draws=True).status == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in public.rglob("*")} == before

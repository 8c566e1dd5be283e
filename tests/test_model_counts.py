"""Counts of models are those of their classes: of published configs, made-up ones, changed ones and re-saved ones.

The figures were made with transformers 5.24.0, which no test imports: each class was built from the config on PyTorch's
meta device, where weights have shapes and no values; its weights (a tied matrix once, and the bias buffers of routers)
and the growth of its cache by one token were counted (of Falcon without its copies of key-value heads, of MLA the
latent alone). A cell is empty where the class cannot be built, or not run.
The files of figures: `model_counts.csv` of the configs in `../shared/cases/models/families`, which are read where they
lie; `model_configs.jsonl` of made-up configs, one for each class, in which no two sizes coincide, with what the class
saves of it; `model_changes.csv` of those in which one key is left out, null, 0 or doubled (`changed_to`; a key that the
config lacks: twice the class's own value; true and false are turned).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.ingest.readers.model import read_counted_models
from flows.intensity.shapes import join_layers, model_shards
from tests.support.files import ROOT, write_file
from tests.support.inputs import make_source
from tests.support.models import ARCHITECTURES
from warehouse.errors import InputError, error_lines

_HERE = Path(__file__).parent
FAMILIES = ROOT.parent / "shared" / "cases" / "models" / "families"
COUNTS = {row["config"]: row for row in pl.read_csv(_HERE / "model_counts.csv").iter_rows(named=True)}
CONFIGS = {row["name"]: row for row in map(json.loads, (_HERE / "model_configs.jsonl").read_text().splitlines())}
CHANGES = pl.read_csv(_HERE / "model_changes.csv")
_NEAR = 5e-4


@pytest.mark.parametrize("name", COUNTS)
def test_a_published_config_has_the_count_of_its_class(name: str) -> None:
    path = FAMILIES / name
    if not path.exists():
        pytest.skip("the configs of families are not there")
    frames = read_counted_models([*ARCHITECTURES, make_source(path, "model")])
    row = frames["model"].row(0, named=True)
    assert row["parameters"] == pytest.approx(COUNTS[name]["text_parameters"], rel=_NEAR)
    assert row["tower_parameters"] == COUNTS[name]["tower_parameters"]
    assert COUNTS[name]["kv_bytes_per_token"] in (None, count_kv_bytes(frames))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_made_up_config_has_the_count_of_its_class(name: str, tmp_path: Path) -> None:
    stored = CONFIGS[name]
    frames = read(tmp_path, {"config": stored["config"]})
    row = frames["model"].row(0, named=True)
    assert row["parameters"] == stored["text_parameters"]
    assert row["tower_parameters"] == stored["tower_parameters"]
    assert stored["kv_bytes_per_token"] in (None, count_kv_bytes(frames))


@pytest.mark.parametrize("name", [name for name, row in CONFIGS.items() if row["saved"]])
def test_a_config_that_the_class_saved_again_is_the_same_model(name: str, tmp_path: Path) -> None:
    given, saved = (read(tmp_path, {"m": CONFIGS[name][form]}) for form in ("config", "saved"))
    assert given["layer_group"].equals(saved["layer_group"])
    assert given["model"].drop("source_id").equals(saved["model"].drop("source_id"))


@pytest.mark.parametrize("name", CHANGES["name"].unique(maintain_order=True))
def test_a_changed_config_has_the_count_of_its_class_or_is_refused_by_the_key(name: str, tmp_path: Path) -> None:
    """No number is taken that the class would not give."""
    rows = CHANGES.filter(name=name).to_dicts()
    config = CONFIGS[name]["config"]
    changed = {f"{row['key']}--{change}": of for row in rows for change, of in _change(config, row)}
    expected = {f"{row['key']}--{change}": row[change] for row in rows for change in _CHANGES}
    counts, refusals = count_or_refuse(tmp_path, changed)
    assert counts.keys() | refusals.keys() == changed.keys()
    wrong = {name: (count, expected[name]) for name, count in counts.items() if not _is_near(count, expected[name])}
    assert wrong == {}
    unnamed = {name: line for name, line in refusals.items() if name.split("--")[0].split(".")[-1] not in line}
    assert unnamed == {}


def read(folder: Path, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, pl.DataFrame]:
    """Return the frames of some configs, by their names."""
    paths = [write_file(folder, f"{name}.json", json.dumps(config)) for name, config in configs.items()]
    return read_counted_models([*ARCHITECTURES, *(make_source(path, "model") for path in paths)])


def count_or_refuse(folder: Path, configs: dict[str, dict[str, Any]]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the number of weights of each config that is taken, and what is said of each other, without its path."""
    try:
        models = read(folder, configs)["model"]
    except InputError as error:
        lines = (line.removeprefix(f"{folder}/") for line in error_lines(error))
        refusals = {name: said for name, _, said in (line.partition(".json: ") for line in lines)}
        rest = {name: config for name, config in configs.items() if name not in refusals}
        counts, others = count_or_refuse(folder, rest) if 0 < len(rest) < len(configs) else ({}, {})
        return counts, refusals | others
    return dict(models.select("model_id", "parameters").iter_rows()), {}


def count_kv_bytes(frames: dict[str, pl.DataFrame]) -> int:
    """Return the bytes of the KV cache of one token in 16 bits, in a context that no window cuts."""
    shard = model_shards(join_layers(frames["model"], frames["layer_group"]), [1]).row(0, named=True)
    return int(2 * (shard["kv_elements_per_token"] + shard["local_kv_elements_per_token"]))


_CHANGES = ("dropped", "null", "zero", "changed")


def _change(config: dict[str, Any], row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each change of a key, and the changed config."""
    *tables, key = row["key"].split(".")
    values = {"null": None, "zero": 0, "changed": json.loads(row["changed_to"])}
    for change in _CHANGES:
        changed = json.loads(json.dumps(config))
        table = changed
        for name in tables:
            table = table[name]
        if change in values:
            table[key] = values[change]
        else:
            table.pop(key, None)
        yield change, changed


def _is_near(count: int, expected: int | None) -> bool:
    return expected is not None and count == pytest.approx(expected, rel=_NEAR)

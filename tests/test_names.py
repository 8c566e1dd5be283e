"""Ids and names in whatever script: those that pass the checks go through a run, the others are refused in one line."""

import csv
import io
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flows import run as steps
from flows.core_tables import stage_inputs, stage_tables
from flows.ingest.catalog import list_sources
from flows.ingest.document import ID_PATTERN
from flows.ingest.user_catalog import add_files
from tests.support.inputs import CONFIG, DEVICE, WORKLOAD
from tests.support.whole_runs import write_small_catalog
from warehouse.build import open_build
from warehouse.errors import InputError, error_lines
from warehouse.home import Home
from warehouse.rows import fetch_rows

EXAMPLES = int(os.environ.get("ROOFLINES_FUZZ_EXAMPLES", "1"))
# separators, marks without width, directions, marks that combine, what XML does not allow, what tables and SQL use
ODD = [
    "a\u2028b", "a\x85b", "a\u200bb", "\u202eb", "e\u0301", "\u0301", "👩\u200d🚀", "屋顶", "בית", "a\u00a0b",
    "\ufeffa", "a\ufffeb", "a\uffffb", "'", '"', "a,b;c", "=1+1", "$x", "{x}", "%s", "\\", "--", "NULL", "nan", "null",
    "\U0010ffff", "|", "<b>", "a\nb", "\x00", " ", "x" * 401, "\U000e0041", "ﬁ", "İ", "1e5", "٣",
]  # fmt: skip
REFUSED = ["a\u2028b", "a\x85b", "a\ufffeb", "a\uffffb", "a\nb", "\x00", " ", "x" * 401]
IDS = ["con", "nul", "index.html", "a..", "0", "1e5", "nan", "null", "true", "a.toml", "x.partial", "a-_.", "z" * 64]
names = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
ids = st.one_of(st.sampled_from(IDS), st.from_regex(ID_PATTERN, fullmatch=True))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalog that replaces the shipped one."""
    return write_small_catalog(tmp_path_factory.mktemp("shipped"))


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def describe_device(entry_id: str, name: str, number: int) -> str:
    text = DEVICE.replace('"mine"', quote(entry_id)).replace('"Mine"', quote(f"{number} {name}"))
    for said in ('"My device"', '"Me"', '"my datasheet"'):
        text = text.replace(said, quote(name))
    return text


def to_csv(columns: str, row: Sequence[object]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([columns.split(","), row])
    return file.getvalue()


def make_files(entry_id: str, name: str, number: int) -> dict[tuple[str, str], str]:
    """Return files that have the name wherever it can stand, under an id of their own."""
    own_id = f"{number}{entry_id}"[:60]
    ops = [name, name, 1, 2, 3]
    times = ["a40", name, name, "linear", "fp16", 1e9, 1e6, 1e-3, name, name, name, name]
    return {
        ("hardware", f"{number}.toml"): describe_device(own_id, name, number),
        ("workload", f"{number}.toml"): WORKLOAD.replace('"mine"', quote(own_id)).replace('"My grid"', quote(name)),
        ("model", f"m{own_id}.json"): json.dumps({**CONFIG, "_name_or_path": name}),
        ("ops", f"o{own_id}.csv"): to_csv("op,op_group,m,k,n", ops),
        ("ops", f"j{own_id}.json"): json.dumps([dict(zip(("op", "op_group", "m", "k", "n"), ops, strict=True))]),
        ("measurement", f"t{own_id}.csv"): to_csv(
            "hardware_id,op,op_group,kind,dtype,flops,bytes,latency_s,method,device_name,software,origin", times
        ),
    }


def add_good_ones(home: Home, kind: str, names: Mapping[Path, str], shipped: Path) -> set[str]:
    """Put files into the catalog but for those that are refused, each in one line, and return the names in them."""
    refused: set[Path] = set()
    try:
        add_files(home, kind, [str(path) for path in names], shipped=shipped)
    except InputError as error:
        said = list(error_lines(error))
        assert all(line.isprintable() for line in said)
        refused = {path for path in names if any(line.startswith(f"{path}:") for line in said)}
        assert refused
        assert all(any(line.startswith(f"{path}:") for path in refused) for line in said)
        if refused < names.keys():
            add_files(home, kind, [str(path) for path in names if path not in refused], shipped=shipped)
    return {name.strip() for path, name in names.items() if path not in refused}


def load(home: Home, shipped: Path) -> None:
    """Do what a run does, but for charts and pages."""
    sources = list_sources(home, shipped=shipped)
    run = steps.create_run(sources)
    with steps.record(home, run):
        tables = stage_inputs(home, sources)
        tables |= stage_tables(home, tables, sources)
        steps.load(home, run, tables, sources)
        steps.refuse_offences(steps.check(home))


def write_files(folder: Path, given: Sequence[tuple[str, str]]) -> dict[str, dict[Path, str]]:
    """Write files of every kind, and return which name stands in each."""
    by_kind: dict[str, dict[Path, str]] = {}
    for number, (entry_id, name) in enumerate(given):
        for (kind, file), text in make_files(entry_id, name, number).items():
            path = folder / kind / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            by_kind.setdefault(kind, {})[path] = name
    return by_kind


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(given=st.lists(st.tuples(ids, names), min_size=20, max_size=30))
@example(given=list(zip(itertools.cycle(IDS), ODD)))
def test_names_that_pass_the_checks_go_through_a_run(
    given: list[tuple[str, str]], shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    by_kind = write_files(home.path / "given", given)
    kept = {kind: add_good_ones(home, kind, paths, shipped) for kind, paths in by_kind.items()}
    load(home, shipped)
    with open_build(home) as connection:
        for query, expected in (
            ("select name from core.hardware where hardware_id <> 'a40'", kept["hardware"]),
            ("select name from core.workload where workload_id <> 'small'", kept["workload"]),
            ("select op from core.op_shape where convention = 'custom'", kept["ops"]),
            ("select op_group from core.measurement", kept["measurement"]),
        ):
            assert {name for (name,) in fetch_rows(connection, query)} == expected


def test_a_name_is_refused_only_where_it_is_no_line_of_text(shipped: Path, tmp_path: Path) -> None:
    by_kind = write_files(tmp_path / "given", [("x", name) for name in ODD])
    kept = {name.strip() for name in ODD if name not in REFUSED}
    assert add_good_ones(Home(tmp_path / "home"), "hardware", by_kind["hardware"], shipped) == kept


@pytest.mark.parametrize("entry_id", ["", "-a", "A", "a/b", "..", "a b", "a\n", "é", "z" * 65, "a\u200b", "a\x00"])
def test_an_id_that_could_be_no_file_is_refused(entry_id: str, shipped: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(DEVICE.replace('"mine"', json.dumps(entry_id)), "utf-8")
    with pytest.raises(
        InputError, match=r"x\.toml: hardware_id = .*: expected an id: at most 64 lowercase letters"
    ) as caught:
        add_files(Home(tmp_path / "home"), "hardware", [str(path)], shipped=shipped)
    assert str(caught.value).isprintable()

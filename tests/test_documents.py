"""The documents tell the truth: their examples run, their links lead somewhere, and they leave nothing out."""

import ast
import inspect
import io
import re
import shutil
import string
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from cyclopts import App
from pydantic import BaseModel

from flows.cli.app import app, run_command
from flows.ingest.architectures.file import read_architectures
from flows.ingest.catalog import list_sources
from flows.ingest.kinds import CATALOG_KINDS, INGESTED_KINDS, read_kind, recognize_kind
from flows.ingest.profiles import aiconfigurator, vidur
from flows.ingest.profiles.nsight import counters
from flows.ingest.profiles.torch_profiler import shipped_trace_ops
from flows.ingest.readers import device_table, engine, measurement, ops, own_times, step
from flows.ingest.readers.calibration import Calibration, StepCalibration
from flows.ingest.readers.elementwise import Elementwise, OpKernel
from flows.ingest.readers.engine_setting import Engine, HostTime
from flows.ingest.readers.gallery import OwnChart
from flows.ingest.readers.hardware import Bandwidth, Compute, Device
from flows.ingest.readers.precision import Precision
from flows.ingest.readers.trace_ops import TraceOp
from flows.ingest.readers.workload import Workload
from flows.measure import standalone, standalone_steps
from flows.site.snapshot_charts import list_snapshot_charts
from tests.support.documents import (
    README,
    Block,
    list_blocks,
    list_documents,
    parse_commands,
    read_examples,
    split_cells,
    strip_blocks,
)
from tests.support.files import ROOT
from tests.support.models import ARCHITECTURES
from tests.support.whole_runs import run_without_prefect
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.sql_files import sql_files

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in list_documents()}
BLOCKS = list_blocks()
NOT_RUN = [block for block in BLOCKS if block.marker.startswith("not run: ")]
RUN = [block for block in BLOCKS if block not in NOT_RUN]
# pictures and configurations of other programs: nothing in them is ours to run
PICTURES = {"mermaid", "text", "ini"}
WRITING = {"ingest", "sweep", "calibrate", "publish", "run"}
# the list in a file of the catalog -> kind of the file, and its name
LISTS = {
    "precision": ("precision", "precisions.toml"),
    "elementwise": ("elementwise", "elementwise.toml"),
    "op_kernel": ("elementwise", "elementwise.toml"),
    "step": ("calibration", "calibrations.toml"),
    "engine": ("engine_setting", "engines.toml"),
    "host": ("engine_setting", "engines.toml"),
    "calibration": ("calibration", "calibrations.toml"),
    "chart": ("gallery", "gallery.toml"),
    "op": ("trace_ops", "trace_ops.toml"),
}
# what queries of charts ask for
PARAMETERS = {"hardware_id": "'h100-sxm'", "model_id": "'llama-7b'", "precision_id": "'fp16'", "convention": "'paper'"}


def select_blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=block.name, marks=[pytest.mark.slow] if block.marker.startswith("slow: ") else [])
        for block in RUN
        if block.language in languages
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of an example: the project's SQL is there, as in a checkout."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "sql").symlink_to(ROOT / "sql")
    monkeypatch.chdir(folder)
    return folder


# What is run


def test_every_block_is_run_or_says_why_not() -> None:
    languages = {"console", "sh", "toml", "csv", "json", "python", "sql"}
    assert {block.language for block in BLOCKS} <= languages | PICTURES
    assert [block.name for block in BLOCKS if block.marker and not re.match("(not run|slow): .", block.marker)] == []
    shell = [block.name for block in RUN if block.language == "sh"]
    assert shell == [block.name for block in BLOCKS if block.document == "README.md" and block.language == "sh"]
    run = [block for block in RUN if block.language not in {*PICTURES, "sh"}]
    assert len(run) > 2 * len(NOT_RUN)


@pytest.mark.parametrize("block", select_blocks("console"))
def test_commands_print_what_the_document_shows(
    block: Block,
    finished: Home,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Except for times and the path of the home."""
    monkeypatch.setenv("COLUMNS", "160")  # a wide terminal
    examples = read_examples(block)
    home = finished
    if any(example.arguments[1] in WRITING for example in examples):
        home = Home(tmp_path / "home")
        shutil.copytree(finished.path, home.path)
    for example in examples:
        program, *arguments = example.arguments
        assert program == "rooflines"
        monkeypatch.setattr("sys.stdin", io.StringIO(example.stdin))
        assert run_command([*arguments, "--home", str(home.path)]) == 0, capsys.readouterr().err
        printed = capsys.readouterr().out.replace(str(home.path), "HOME")
        assert split_cells(mask_times(printed)) == split_cells(mask_times(example.output))


def mask_times(text: str) -> str:
    return re.sub(r"\(\d+\.\d s\)", "(s)", text)


@pytest.mark.parametrize("block", select_blocks("toml", "csv", "json"))
def test_files_can_be_ingested(block: Block, folder: Path, tmp_path: Path) -> None:
    path = folder / f"example.{block.language}"
    path.write_text(block.text, "utf-8")
    lists = LISTS.keys() & tomllib.loads(block.text) if block.language == "toml" else set()
    for kind, name in map(LISTS.__getitem__, lists):
        (tmp_path / "given").mkdir()
        shutil.copyfile(path, tmp_path / "given" / name)
        sources = list_sources(Home(tmp_path / "home"), tmp_path / "given")
        frames = read_kind(kind, sources[-1:])
        assert any(len(frame.collect()) for frame in frames.values())
        if kind == "gallery":
            assert frames["own_chart"].collect()["fault"].to_list() == [None] * block.text.count("[[chart]]")
    if not lists:
        kind = recognize_kind(path)
        assert run_command(["ingest", kind, str(path), "--home", str(tmp_path / "home")]) == 0


@pytest.mark.parametrize("block", select_blocks("python"))
def test_programs_run(
    block: Block, finished: Home, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run; `frame` is what the query before them returns."""
    monkeypatch.setenv("ROOFLINES_HOME", str(finished.path))
    queries = [other for other in RUN if other.language == "sql" and other.document == block.document]
    before = [other for other in queries if other.line < block.line]
    names: dict[str, Any] = {}
    if before:
        names["frame"] = run_sql(before[-1], copy_snapshot(finished, tmp_path))
    exec(compile(block.text, block.name, "exec"), names)


@pytest.mark.parametrize("block", select_blocks("sql"))
def test_queries_return_rows(block: Block, finished: Home, tmp_path: Path) -> None:
    assert len(run_sql(block, copy_snapshot(finished, tmp_path)))


def copy_snapshot(home: Home, folder: Path) -> Home:
    """Copy the snapshot of a home that blocks must not change."""
    copy = Home(folder)
    shutil.copyfile(home.snapshot, copy.snapshot)
    return copy


def run_sql(block: Block, home: Home) -> pl.DataFrame:
    """Return the rows of a query, or of the view that a block makes."""
    sql = string.Template(block.text).safe_substitute(PARAMETERS)
    is_view = re.search(r"^create or replace view (\S+)", sql, re.MULTILINE)
    with duckdb.connect(str(home.snapshot), read_only=not is_view) as connection:
        if is_view:
            connection.execute(sql)
            sql = f"select * from {is_view[1]}"
        names = [name for name, *_ in fetch_rows(connection, f"describe {sql}")]
        return pl.DataFrame(fetch_rows(connection, sql), schema=names, orient="row", infer_schema_length=None)


@pytest.mark.slow
def test_the_gallery_is_drawn_on_a_fresh_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run; of the other charts none is drawn, for they take long."""
    (block,) = (block for block in RUN if block.document == "charts/README.md" and block.language == "toml")
    home.catalog.mkdir()
    (home.catalog / "gallery.toml").write_text(block.text, "utf-8")
    monkeypatch.setattr(
        "flows.site.site_charts.list_snapshot_charts",
        lambda opened: [entry for entry in list_snapshot_charts(opened) if entry.source],
    )
    summary = run_without_prefect(home, draws=True)
    assert summary.left_out == ()
    names = ["mine-llama-13b-l40s", "mine-llama-3-8b-l40s", "my-kernels"]
    assert sorted(path.name for path in (home.site / "charts").iterdir()) == names
    for name in names:
        assert "<svg" in (home.site / "charts" / name / f"{name}.svg").read_text("utf-8")
        assert name in (home.site / "index.html").read_text("utf-8")


@pytest.mark.parametrize("question", [path.stem for path in sql_files("queries")])
def test_worked_questions_have_answers(question: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    (path,) = [path for path in sql_files("queries") if path.stem == question]
    assert path.read_text("utf-8").startswith("-- ")
    rows = snapshot.sql(path.read_text("utf-8")).fetchall()
    assert rows or question == "share_of_the_bound"  # no results of engines ship


# What is named


def list_anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a document, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", strip_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", TEXTS)
def test_links_lead_somewhere(document: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", strip_blocks(TEXTS[document])) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        if anchor:
            assert anchor in list_anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("document", TEXTS)
def test_files_that_are_named_are_there(document: str) -> None:
    for name in re.findall(r"`((?:sql|charts|warehouse|flows|tests|\.ci|\.github)/[\w./-]*)`", TEXTS[document]):
        if not name.startswith("warehouse/data") and not re.search("[A-Z]{4}", name.removesuffix("README.md")):
            assert (ROOT / name).exists(), name


def test_every_document_is_linked_from_the_readme() -> None:
    folders = [name for name in TEXTS if name != "README.md"]
    assert [name for name in folders if f"({name}" not in README] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_more_ships_than_the_readme_says(snapshot: duckdb.DuckDBPyConnection) -> None:
    """More, but not twice as much."""
    tables = {
        "devices": "core.hardware",
        "models": "core.model",
        "precisions": "core.precision",
        "kernel timings": "core.measurement",
    }
    said = re.findall(rf"over ([\d,]+) ({'|'.join(tables)})", README, re.IGNORECASE)
    bounds = {what: int(number.replace(",", "")) for number, what in said}
    assert bounds.keys() == tables.keys()
    for what, bound in bounds.items():
        ((count,),) = fetch_rows(snapshot, f"select count(*) from {tables[what]}")
        assert bound < count < 2 * bound, what


def test_a_third_of_the_devices_have_a_known_l2_bandwidth(snapshot: duckdb.DuckDBPyConnection) -> None:
    sql = "select count(distinct hardware_id) filter (name = 'l2') / count(distinct hardware_id) from core.ceiling"
    ((share,),) = fetch_rows(snapshot, sql)
    assert "L2 bandwidth is known for a third of the devices" in " ".join(TEXTS["flows/intensity/README.md"].split())
    assert 0.25 < share < 0.4


def test_documents_are_packed() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    included = build["sdist"]["include"]
    assert [
        name for name in TEXTS if not any(name == given or name.startswith(f"{given}/") for given in included)
    ] == []


# What imports what


def read_rooms() -> dict[str, set[str]]:
    """Return the rooms of the code, and what each may import."""
    rows = re.findall(r"^\| `([\w./]+)` \| (.*) \|$", read_section("CONTRIBUTING.md", "The rooms"), re.MULTILINE)
    every = {room for room, _ in rows}
    return {room: every if said == "every room" else find_code_spans(said) for room, said in rows}


def find_room(module: str) -> str:
    first, *rest = module.split(".")
    if first != "flows":
        return first
    return f"flows/{rest[0]}.py" if (ROOT / "flows" / f"{rest[0]}.py").exists() else f"flows/{rest[0]}"


def list_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this project that a module imports, also those within functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in {"flows", "charts", "warehouse"})


def test_rooms_import_what_they_may() -> None:
    allowed = read_rooms()
    for top in ("flows", "charts", "warehouse"):
        for path in (path for path in (ROOT / top).rglob("*.py") if path.stem != "__init__"):
            room = find_room(".".join(path.relative_to(ROOT).with_suffix("").parts))
            others = {find_room(module) for module in list_imports(path)} - {room}
            assert others <= allowed[room], path


# What the command line offers


def walk_commands(of: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command that takes arguments, with the words that call it."""
    for name in of:
        if not name.startswith("-"):
            below = list(walk_commands(of[name], (*path, name)))
            yield from below or [((*path, name), of[name])]


COMMANDS = dict(walk_commands())


def list_options(command: App) -> set[str]:
    names = chain.from_iterable(argument.names for argument in command.assemble_argument_collection())
    return {name for name in names if name.startswith("--")}


def test_every_command_is_in_the_documents() -> None:
    every = "\n".join(TEXTS.values())
    assert [" ".join(path) for path in COMMANDS if f"rooflines {' '.join(path)}" not in every] == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    for argument in COMMANDS[path].assemble_argument_collection(parse_docstring=True):
        if argument.show:
            assert argument.parameter.help, argument.names


@pytest.mark.parametrize("document", TEXTS)
def test_options_that_are_named_exist(document: str) -> None:
    """Those of a command that stands before them, or of any, or of the file that measures by itself."""
    of_measure = set(re.findall(r'"(--[a-z-]+)"', inspect.getsource(standalone)))
    known = {"--help", *of_measure, *chain.from_iterable(map(list_options, COMMANDS.values()))}
    for span in re.findall(r"`([^`\n]+)`", strip_blocks(TEXTS[document])):
        named = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", span))
        if span.startswith("rooflines "):
            words = tuple(span.split()[1:])
            path = next((path for path in COMMANDS if path == words[: len(path)]), None)
            is_group = any(path[:1] == words[:1] for path in COMMANDS) or words[0] in {"--help", "COMMAND"}
            assert path or is_group, span
            assert named <= (list_options(COMMANDS[path]) if path else known) | {"--help"}, span
        elif span.startswith("--"):
            assert named <= known, span


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sh"], ids=lambda block: block.name)
def test_commands_that_are_not_run_can_be_parsed(block: Block) -> None:
    for arguments in parse_commands(block):
        app.parse_args(arguments, exit_on_error=False, print_error=False)


# What formats and views there are


def find_code_spans(text: str) -> set[str]:
    """Return what stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def read_section(document: str, title: str) -> str:
    """Return a section of a document, with those below it."""
    level, text = re.split(rf"^(#+) {re.escape(title)}$", TEXTS[document], flags=re.MULTILINE)[1:]
    return re.split(rf"^#{{1,{len(level)}}} ", text, flags=re.MULTILINE)[0]


def read_requirements(text: str) -> dict[str, str]:
    """Return what the tables of a section say of each field: required, optional, or when."""
    rows = re.findall(r"^\| ((?:`[^`\n]+`[^|`]*)+) \| ([^|\n]*) \|", text, re.MULTILINE)
    return {name: said.strip() for names, said in rows for name in find_code_spans(names)}


@pytest.mark.parametrize(
    ("document", "title", "models"),
    [
        ("warehouse/README.md", "Device", [Device, Compute, Bandwidth]),
        ("warehouse/README.md", "Workload", [Workload]),
        ("warehouse/README.md", "Precision", [Precision]),
        ("warehouse/README.md", "Element-wise op", [Elementwise, OpKernel]),
        ("warehouse/README.md", "Op of a trace", [TraceOp]),
        ("warehouse/README.md", "Engine", [Engine, HostTime]),
        ("warehouse/README.md", "Calibration", [Calibration]),
        ("warehouse/README.md", "Errors of steps", [StepCalibration]),
        ("charts/README.md", "Your own charts", [OwnChart]),
    ],
)
def test_every_field_of_a_file_is_described(document: str, title: str, models: list[type[BaseModel]]) -> None:
    said = read_requirements(read_section(document, title))
    fields = {name: field.is_required() for model in models for name, field in model.model_fields.items()}
    assert said.keys() >= fields.keys()
    assert {name for name in fields if said[name] == "required"} == {name for name in fields if fields[name]}


def test_the_model_classes_that_are_named_are_read() -> None:
    known = {word for each in read_architectures(tuple(ARCHITECTURES)) for word in each.classes}
    section = read_section("warehouse/README.md", "Model classes")
    assert find_code_spans(section) <= {"architectures", *known}
    assert len(known) > int(re.findall(r"More than (\d+) classes", section)[0])


def test_every_column_of_published_parameters_is_described() -> None:
    columns = pl.read_csv(ROOT / "tests" / "published_parameters.csv").columns
    rows = re.findall(r"^\| `(\w+)` \|", read_section("CONTRIBUTING.md", "A model family"), re.MULTILINE)
    assert rows == columns


def test_every_kind_of_file_is_described() -> None:
    assert [
        kind for kind in INGESTED_KINDS if not any(f"rooflines ingest {kind} " in text for text in TEXTS.values())
    ] == []
    paths = " ".join(find_code_spans(read_section("warehouse/README.md", "The home")))
    for kind in CATALOG_KINDS.values():
        assert [pattern for pattern in kind.patterns[:1] if f"catalog/{pattern.replace('*', 'ID')}" not in paths] == []


TABLES: Mapping[str, tuple[str, str, set[str]]] = {
    "measurement": (
        "warehouse/README.md",
        "Measurement",
        {*measurement.COLUMNS, *own_times.TIMES, *own_times.RATES, *own_times.OTHER_DTYPES},
    ),
    "step": ("warehouse/README.md", "Measured step", set(step.COLUMNS)),
    "engine": ("warehouse/README.md", "Serving results", set(engine.COLUMNS)),
    "ops": ("warehouse/README.md", "Kernels", {*ops._COLUMNS, *ops._OTHER_NAMES}),
    "devices": (
        "warehouse/README.md",
        "Device",
        {*device_table._TEXTS, *device_table._NUMBERS, "bandwidth_gb_per_s"},
    ),
    "plan": ("flows/measure/README.md", "On a bare machine", set(standalone.PLANNED)),
    "kinds": ("flows/measure/README.md", "Kinds of kernels", set(standalone.KINDS)),
    "launches": ("flows/measure/README.md", "Measure", set(standalone.LAUNCHES)),
    "steps": ("flows/measure/README.md", "Whole steps", set(standalone_steps.PLANNED)),
    "vidur": (
        "flows/measure/README.md",
        "Vidur",
        {*vidur._SIZES, *vidur._ATTENTION_SIZES, vidur._SHARES, *vidur._LAYERS, *vidur._PHASES.values()},
    ),
    "aiconfigurator": (
        "flows/measure/README.md",
        "AIConfigurator",
        {
            *aiconfigurator.TABLES, *aiconfigurator._PRODUCTS, *aiconfigurator._MIXTURES, *aiconfigurator._ATTENTIONS,
            *aiconfigurator._COLLECTIVES, *aiconfigurator._EXCHANGES,
            *chain.from_iterable((*table.columns, *table.optional) for table in aiconfigurator._TABLES.values()),
        },
    ),
    "nsight": (
        "flows/measure/README.md",
        "Nsight Compute",
        {
            counters.DEVICE, *counters.TIME, *counters.CYCLES, *chain.from_iterable(counters.LEVELS.values()),
            *chain.from_iterable(counters.READ_AND_WRITTEN), *chain.from_iterable(counters.THREAD.values()),
            counters.INTEGER, *counters.FORMATS, "sm__inst_executed_pipe_tensor",
        },
    ),
    "torch-profiler": (
        "flows/measure/README.md",
        "PyTorch's profiler",
        set(shipped_trace_ops().names),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_every_column_of_a_table_is_described(kind: str) -> None:
    document, title, columns = TABLES[kind]
    assert columns - find_code_spans(read_section(document, title)) == set()


def test_required_columns_of_measurements_are_said_to_be() -> None:
    said = read_requirements(read_section("warehouse/README.md", "Measurement"))
    always = {name for name, when in said.items() if when == "required"}
    assert always == {*measurement._NEEDED} - {*own_times.FILLED, "latency_s"}
    assert {name for name, when in said.items() if when == "or a shape"} == {*own_times.FILLED}
    said = read_requirements(read_section("warehouse/README.md", "Serving results"))
    assert {name for name, when in said.items() if when == "required"} == set(engine.NEEDED)
    said = read_requirements(read_section("warehouse/README.md", "Measured step"))
    assert {name for name, when in said.items() if when == "required"} == set(step.NEEDED)


def test_metrics_of_nsight_are_collected_as_the_message_says() -> None:
    assert counters.COLLECT in TEXTS["flows/measure/README.md"]


def test_every_view_is_described_with_its_grain() -> None:
    said = dict(re.findall(r"^\| \[`(mart\.\w+)`\]\(\S+\) \| .* \| (.*) \|$", TEXTS["sql/README.md"], re.MULTILINE))
    lines = {f"mart.{path.stem}": path.read_text("utf-8").splitlines()[0] for path in sql_files("views")}
    assert said == {name: line.removeprefix("-- ") for name, line in lines.items()}


def test_every_worked_question_is_listed() -> None:
    said = dict(re.findall(r"^\| \[`(\w+)`\]\(queries/\S+\) \| (.*) \|$", TEXTS["sql/README.md"], re.MULTILINE))
    lines = {path.stem: path.read_text("utf-8").splitlines()[0] for path in sql_files("queries")}
    assert said == {name: line.removeprefix("-- ") for name, line in lines.items()}


def test_every_folder_of_sql_is_described() -> None:
    folders = {path.name for path in (ROOT / "sql").iterdir() if path.is_dir()}
    assert {name for name in folders if f"`sql/{name}/" not in TEXTS["sql/README.md"]} == set()


def test_the_gallery_of_the_documents_is_the_one_that_ships(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Every chart is in one row of the table, and every row is of a chart; kernels are the user's alone."""
    rows = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", read_section("charts/README.md", "The gallery"), re.MULTILINE)
    patterns = {name: re.compile(re.sub("[A-Z]{4,}", r"[\\w.-]+", name)) for name, _ in rows}
    found = set()
    for entry in list_snapshot_charts(snapshot):
        if not entry.alias_of:
            matches = [row for row in rows if row[1] == entry.template and patterns[row[0]].fullmatch(entry.name)]
            assert len(matches) == 1, entry.name
            found.add(matches[0])
    of_the_user = {"ops-FILE-DEVICE", "kernels-DEVICE", "profile-FILE", "copies-DEVICE"}
    assert {name for name, _ in set(rows) - found} == of_the_user


def test_the_glossary_has_every_word() -> None:
    rows = re.findall(r"^\| ([\w ]+) \|", read_section("sql/README.md", "Glossary"), re.MULTILINE)
    words = "convention basis home series phase op,op group,ceiling roof ridge point bound precision workload snapshot"
    assert {*words.replace(",", " ").replace("op group", "").split(), "op group", "sweep", "lake"} <= set(rows)

"""What the explorer shows is what the SQL below it gives, and its what-if is that of a sweep over made-up devices."""

import csv
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.site.explorer import write_explorer
from flows.site.site_pages import SitePages
from tests.support.browsers import start_browser
from tests.support.files import write_tree
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot

pytestmark = pytest.mark.slow

BESIDES = (
    "calibrations.toml",
    "hardware/h100-sxm.toml",
    "architectures/deepseek_v2.toml",
    "models/deepseek-v2-lite.json",
    "workloads",
)
OWN = "own=1000,4000,100,450"
PEAKS = "own=4000,100,450,fp16:1000,fp8:2000"
MODELS = "model=llama-7b&model=deepseek-v2-lite"
# settings that a workload has, that a sweep computes, and of precisions that the catalog lacks
ADDRESSES = (
    f"devices=own,h100-sxm&model=kernels&precision=bf16&parts=kv:fp8&{OWN}",
    f"devices=own,a40&model=llama-7b&precision=fp16&batch=8&sequence=1024&convention=paper&{OWN}",
    "devices=own&model=llama-7b&precision=bf16&batch=8&sequence=128&convention=llm-viewer&own=1000,4000,100,0",
    f"devices=h100-sxm,own&{MODELS}&precision=bf16&batch=37&sequence=1000&tp=16&phase=prefill&query=100&{OWN}",
    "devices=h100-sxm&model=deepseek-v2-lite&precision=fp8&batch=24&sequence=900&tp=2&ep=4&pp=3&dp=2",
    "devices=a40&model=llama-7b&precision=bf16&phase=speculative&query=5&batch=3&sequence=2000&convention=llm-viewer",
    "devices=h100-sxm&model=deepseek-v2-lite&precision=bf16&phase=mixed&query=300&batch=16&sequence=4096&tp=4",
    f"devices=own,h100-sxm&model=llama-7b&precision=fp16&parts=attention:fp8,lm_head:w4a16,kv:w4a8-kv4&batch=9&{PEAKS}",
    "devices=h100-sxm&model=deepseek-v2-lite&precision=w4a16&parts=experts:fp8,shared_experts:fp8,router:fp32,"
    "attention:bf16,scores:bf16,mlp:int8,embedding:bf16&phase=prefill&batch=2&sequence=500&tp=4",
)
# a step on the scaled device, and the memory that its largest batch and one sequence more take
WHAT_IF = """() => {
    const { whatIf, results, choices: { state } } = explorer;
    const { model, step } = whatIf.chosenStep(results.compute());
    const { expected, ...here } = whatIf.takeStep(step, model, state.scale, state.moved === "memory");
    const { predicted_s, tokens_per_s: expected_tokens_per_s } = expected;
    return { ...here, dtypes: model.needed, predicted_s, expected_tokens_per_s };
}"""
SCALED = (
    ("model=llama-7b&precision=bf16&batch=16&sequence=2000", "bandwidth:1.5422108254079407,peak:0.5"),
    ("model=deepseek-v2-lite&precision=bf16&batch=64&tp=4&ep=4", "link:0.25,bandwidth:4,peak:1.25"),
    ("model=deepseek-v2-lite&precision=fp8&batch=2&phase=prefill&tp=2", "peak:2.1810154653305154,link:3"),
    ("model=llama-7b&precision=fp16&sequence=4000", "bandwidth:2,memory:0.5946035575013605"),
)
STEP = ["flops", "bytes", "interconnect_bytes", "lower_bound_s", "tokens_per_s", "predicted_s", "expected_tokens_per_s"]
# a reader's own ops: GEMMs of any precision, one of them on two devices, and one that is given by FLOP and bytes
KERNELS = """name,group,m,k,n,flops,bytes,precision_id,devices
up,mlp,64,4096,11008,,,,1
down,mlp,64,11008,4096,,,,1
out,out,64,4096,2048,,,,2
scan,custom,,,,2e9,3e8,bf16,1
"""
NUMBERS = ["flops", "bytes", "intensity_flops_per_byte", "attainable_flops_per_s", "lower_bound_s"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalog that stands in for the shipped one, with a calibrated device and a model with experts and MLA."""
    folder = write_small_catalog(tmp_path_factory.mktemp("catalog"))
    for name in BESIDES:
        if (SHIPPED / name).is_file():
            shutil.copyfile(SHIPPED / name, folder / name)
    write_tree(folder, {"ops/kernels.csv": KERNELS})
    return folder


@pytest.fixture(scope="module")
def base(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after a run with that catalog."""
    home = Home(tmp_path_factory.mktemp("sql") / "home")
    run_without_prefect(home, shipped)
    return home


@pytest.fixture(scope="module")
def page(base: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The explorer of that home, in a window."""
    site = tmp_path_factory.mktemp("site")
    with open_snapshot(base.snapshot) as connection:
        write_explorer(SitePages(site), connection)
    with start_browser() as browser:
        page = browser.new_page()
        page.goto((site / "explorer" / "index.html").as_uri())
        yield page


def show(page: Page, address: str) -> None:
    """Show what an address says, and wait until all of it is there."""
    page.evaluate("document.body.dataset.shown = ''")
    page.evaluate("(address) => { location.hash = address; }", address)
    page.locator("body[data-shown=all]").wait_for()


def test_the_sql_of_any_setting_gives_what_the_page_shows(
    page: Page, base: Home, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, list[dict[str, str]]]] = []
    for address in ADDRESSES:
        show(page, address)
        text = page.evaluate("explorer.downloads.makeCsv(explorer.results.compute())")
        asked.append((page.locator("#sql").inner_text(), list(csv.DictReader(io.StringIO(text)))))
    home = Home(tmp_path / "home")
    shutil.copytree(base.path, home.path)
    entries = dict.fromkeys(entry for sql, _ in asked for entry in re.findall(r"\[\[precision\]\][^*]*?\n\n", sql))
    assert len(entries) == 2
    write_tree(home.path / "catalog", {"precisions.toml": "".join(entries)})
    run_without_prefect(home, shipped)
    swept = 0
    for sql, told in asked:
        for command in re.findall("-- rooflines (sweep .*)", sql):
            assert run_command([*shlex.split(command), "--home", str(home.path)]) == 0
            swept += 1
        with open_snapshot(home.snapshot) as connection:
            names = [name for name, *_ in fetch_rows(connection, f"describe {sql}")]
            wanted = [dict(zip(names, row, strict=True)) for row in fetch_rows(connection, sql)]
        compare_rows(told, wanted)
    assert swept == 7
    capsys.readouterr()
    # a comment of several lines before it, as the page has it, is no obstacle to the command
    assert run_command(["query", asked[-1][0], "--home", str(home.path)]) == 0


def test_own_ops_beside_a_model_leave_it_its_answer_and_its_what_if(page: Page) -> None:
    show(page, "devices=h100-sxm&model=kernels&model=llama-7b&precision=bf16&tp=2")
    assert page.locator("#finding").inner_text().startswith("Llama 7B on H100 SXM: about ")
    assert " tokens/s expected, as today" in page.locator("#what-if-said").inner_text()
    show(page, "devices=h100-sxm&model=kernels&precision=bf16&tp=2")
    assert page.locator("#finding").inner_text().startswith("Kernels on H100 SXM; all of its ops in at least ")
    assert page.locator("#what-if").is_hidden()
    show(page, "devices=h100-sxm&model=kernels&precision=bf16&tp=4")
    refused = "Kernels has no such step: no op of kernels runs in bf16 on 4 devices"
    assert page.locator("#finding").inner_text() == refused


@pytest.mark.parametrize(("setting", "factors"), SCALED)
def test_what_if_is_a_sweep_over_that_device(
    page: Page, base: Home, tmp_path: Path, setting: str, factors: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(page, f"devices=h100-sxm&{setting}&whatif=h100-sxm,{factors}")
    told = page.evaluate(WHAT_IF)
    said = page.locator("#what-if-said").inner_text()
    sql = page.locator("#what-if-sql").text_content() or ""
    (command,) = re.findall("-- rooflines (sweep .*)", sql)
    home = Home(tmp_path / "home")
    shutil.copytree(base.path, home.path)
    # with other memory, the page takes the largest batch that fits; one more does not
    batch = told["batch"]
    swept = re.sub("--batch [0-9]+", f"--batch {batch},{batch + 1}", command)
    assert run_command([*shlex.split(swept), "--home", str(home.path)]) == 0
    with open_snapshot(home.snapshot) as connection:
        names = ", ".join(STEP)
        query = f"select bound, fits_in_memory, {names} from mart.sweep_step where is_made_up order by batch_size"
        found = fetch_rows(connection, query)
    (bound, fits, *numbers), (_, fits_with_more, *_) = found
    assert told["bound"] == bound
    assert fits in {told["fits"], None}  # which a sweep only knows of models that a workload shares so
    assert [told[name] for name in STEP] == pytest.approx(numbers, rel=1e-9)
    if "memory" in factors:
        assert f"at the largest batch that fits, {batch}," in said
        assert (fits, fits_with_more) == (True, False)
    assert None not in numbers
    with open_snapshot(home.snapshot) as connection:
        of_page = fetch_rows(connection, sql)
    assert [row[0] for row in of_page] == [0, 0, 1, 1]


def compare_rows(told: list[dict[str, str]], wanted: list[dict[str, Any]]) -> None:
    """Compare the rows that the page saves with those of its query."""
    keys = [name for name in ("model_id", "hardware_id", "op") if name in wanted[0]]
    told = sorted(told, key=lambda row: [row[name] for name in keys])
    wanted = sorted(wanted, key=lambda row: [row[name] for name in keys])
    assert len(told) == len(wanted) > 4
    for row, other in zip(told, wanted, strict=True):
        of = [*keys, "op_group", "bound"]
        assert [row[name] for name in of] == [other[name] for name in of]
        assert int(row["repeat"]) == other["repeat"]
        assert [float(row[name]) for name in NUMBERS] == pytest.approx([other[name] for name in NUMBERS], rel=1e-9)

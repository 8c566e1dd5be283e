"""The console in a browser: DuckDB-WASM from a local server, on a site's own data, and no request elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsers import Visitor, find_violations, start_browser, visit
from tests.support.console import build_console, read_real_library, serve_folder
from warehouse.home import Home
from warehouse.rows import fetch_column, fetch_count
from warehouse.snapshot import open_snapshot

pytestmark = pytest.mark.slow

PAGE = "console/index.html"
SLOW = 120_000  # milliseconds in which a busy machine starts DuckDB or answers


@pytest.fixture(scope="module")
def site(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that has the console and what it needs of the rest."""
    return build_console(finished, tmp_path_factory.mktemp("console") / "site", read_real_library())


@pytest.fixture(scope="module")
def visitor(site: Path) -> Iterator[Visitor]:
    """A visitor to the site on a server, who asks nothing of anyone else."""
    with serve_folder(site) as root, start_browser() as browser, visit(browser, root) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def console(visitor: Visitor) -> Page:
    """The console, when it is ready."""
    page = visitor.open(PAGE)
    expect(page.locator("#status")).to_have_text("Ready.", timeout=SLOW)
    return page


def ask(page: Page, sql: str) -> str:
    """Run a query, and return what the page says of it."""
    page.fill("#sql", sql)
    page.press("#sql", "Control+Enter")
    expect(page.locator("#run")).to_be_enabled(timeout=SLOW)
    return page.inner_text("#error") if page.is_visible("#error") else page.inner_text("#status")


def test_every_view_can_be_asked(console: Page, finished: Home) -> None:
    with open_snapshot(finished.snapshot) as connection:
        views = fetch_column(connection, "select view_name from duckdb_views() where schema_name = 'mart' order by all")
        steps = fetch_count(connection, "select count(*) from mart.step_time where hardware_id = 'a40'")
    assert len(views) > 30
    for view in views:
        assert ask(console, f"explain select * from mart.{view}").startswith("1 row ("), view
    assert ask(console, "select * from mart.step_time where hardware_id = 'a40'").startswith(f"{steps:,} rows")


def test_every_view_answers_the_query_that_the_page_starts(console: Page) -> None:
    console.fill("#filter", "")
    views = console.locator("#objects details", has=console.locator("summary", has_text="mart."))
    answers = {}
    for place in range(views.count()):
        view = views.nth(place)
        view.locator("summary").click()
        view.get_by_role("button").click()
        sql = console.input_value("#sql")
        answers[sql] = ask(console, sql)
        view.locator("summary").click()
    assert len(answers) > 30
    assert [sql for sql, said in answers.items() if not re.match(r"[\d,]+ rows? \(", said)] == []
    assert any("model_id = 'llama-3-8b'" in sql and not said.startswith("0 ") for sql, said in answers.items())


@pytest.mark.parametrize("view", ["mart.predicted_point", "mart.prediction", "mart.roofline_point"])
def test_a_few_rows_of_millions_need_no_condition(console: Page, view: str) -> None:
    assert ask(console, f"select * from {view} limit 100").startswith("100 rows (")


def test_every_worked_question_is_answered(console: Page) -> None:
    questions = console.locator("#question option:not([value=''])").evaluate_all("all => all.map(({ value }) => value)")
    for question in questions:
        console.select_option("#question", question)
        assert re.match(r"[\d,]+ rows? \(", ask(console, console.input_value("#sql"))), question
    assert len(questions) > 20


def test_a_query_that_needs_too_much_memory_says_what_to_do(console: Page) -> None:
    ask(console, "set memory_limit = '64MiB'")
    said = ask(console, "select * from mart.step_time limit 100")
    ask(console, "reset memory_limit")
    assert said == (
        "Out of memory: this takes more than the 64.0 MiB that DuckDB has in a browser. Ask for a part, e.g. where "
        "hardware_id = 'h100-sxm' and model_id = 'llama-3-8b', or use rooflines query."
    )
    assert ask(console, "select 1").startswith("1 row (")


def test_the_first_thousand_rows_are_shown_and_all_are_counted(console: Page) -> None:
    assert ask(console, "select range as n, '<b>x</b>' as markup, null as nothing from range(2500)").startswith(
        "2,500 rows, the first 1,000 shown ("
    )
    assert console.locator("#result tbody tr").count() == 1000
    assert console.locator("#result tbody tr").nth(2).inner_text().split("\t") == ["2", "<b>x</b>", "null"]


def test_an_error_is_one_line(console: Page) -> None:
    assert ask(console, "selec 1") == 'Parser Error: syntax error at or near "selec"'
    said = ask(console, "select nothing from mart.roof")
    assert said.startswith('Binder Error: Referenced column "nothing" not found')
    assert "\n" not in said
    assert ask(console, "select 1").startswith("1 row (")


def test_a_query_reaches_no_other_server_and_no_file(console: Page) -> None:
    """The visitor fails the test if a request leaves the site."""
    for sql in ("from read_csv('http://example.org/x.csv')", "from 'https://example.org/x.parquet'", "load httpfs"):
        assert "Error" in ask(console, sql), sql


def test_a_long_query_can_be_stopped(console: Page) -> None:
    console.fill("#sql", "select count(*) from range(1000000000000)")
    console.click("#run")
    console.click("#stop")
    expect(console.locator("#status")).to_have_text("Stopped.", timeout=SLOW)
    assert ask(console, "select 1").startswith("1 row (")


def test_a_result_becomes_a_csv_file(console: Page) -> None:
    ask(console, "select '=1+1' as formula, 'a,\"b\"' as quoted, 0.1 as tenth, null as nothing, -1 as below")
    with console.expect_download() as waiting:
        console.click("#csv")
    text = Path(waiting.value.path()).read_text("utf-8")
    assert text == 'formula,quoted,tenth,nothing,below\n\'=1+1,"a,""b""",0.1,,-1\n'


def test_points_are_drawn_on_the_roofs_of_their_devices(console: Page) -> None:
    assert ask(console, "select 1 as hardware_id").startswith("1 row")
    expect(console.locator("#draw")).to_be_hidden()
    points = "(values ('a40', 10, 1e12, 'fp16'), ('h100-sxm', 20, 1e13, 'fp8'))"
    names = "point (hardware_id, intensity_flops_per_byte, performance_flops_per_s, dtype)"
    ask(console, f"select * from {points} as {names}")
    console.click("#draw")
    expect(console.locator("#roofline svg .mark-symbol.role-mark path")).to_have_count(2)
    expect(console.locator("#roofline svg")).to_contain_text("H100 SXM, fp8")
    ask(console, f"select * replace ('nope' as hardware_id) from {points} as {names}")
    expect(console.locator("#roofline")).to_be_hidden()
    console.click("#draw")
    expect(console.locator("#error")).to_have_text("hardware_id = nope: no such device, or it has no roof")


def test_a_question_fills_the_editor_and_the_address_holds_the_query(console: Page, visitor: Visitor) -> None:
    console.select_option("#question", "compute_bound_from")
    console.click("#run")
    expect(console.locator("#status")).to_contain_text("row", timeout=SLOW)
    assert console.input_value("#sql").startswith("-- ")
    other = visitor.open(PAGE + console.evaluate("location.hash"))
    assert other.input_value("#sql").strip() == console.input_value("#sql").strip()
    expect(other.locator("#status")).to_contain_text("row", timeout=SLOW)
    other.context.close()


def test_views_are_found_by_their_columns_and_start_a_query(console: Page) -> None:
    console.fill("#filter", "critical_tokens crossover")
    shown = console.locator("#objects details:visible")
    expect(shown.first).to_contain_text("mart.crossover")
    shown.first.locator("summary").click()
    expect(shown.first).to_contain_text("critical_tokens")
    shown.first.get_by_role("button").click()
    where = "where\n    hardware_id = 'h100-sxm'\n    and model_id = 'llama-3-8b'"
    assert console.input_value("#sql") == f"select *\nfrom mart.crossover\n{where}\nlimit 100"
    assert find_violations(console) == []


def test_the_page_from_disk_says_that_it_needs_a_server(site: Path, visitor: Visitor) -> None:
    page = visitor.browser.new_page()
    page.goto((site / PAGE).as_uri())
    expect(page.locator("#needs-server")).to_be_visible()
    expect(page.locator("#needs-server")).to_contain_text("python -m http.server")
    page.close()

"""Fixtures: one Prefect server and one finished run for all tests that need them, and small homes."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from filelock import FileLock

from flows.ingest.catalog import SHIPPED
from flows.orchestrate.settings import quiet_terminal
from tests.support.whole_runs import (
    ask_for,
    copy_home,
    fingerprint_snapshot,
    run_without_prefect,
    write_small_catalog,
)
from warehouse.home import Home
from warehouse.load import Fingerprints
from warehouse.snapshot import open_snapshot

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.browsers import Visitor

quiet_terminal()  # before Prefect is imported

_LONGEST = ["test_schedules", "test_refresh", "test_cli", "test_charts", "test_browser", "test_snapshots"]
_LONGEST += ["test_costs_in_browser", "test_labels", "test_site", "test_chart_pages", "test_chart_list"]
_LONGEST += ["test_sandbox", "test_faults", "test_damage", "test_lake", "test_fuzz", "test_browser_times"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first; otherwise one of them would run alone at the end."""
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST))


def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than there are cores: some tests mostly wait, e.g. for a schedule."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _no_home_of_the_user() -> None:
    os.environ.pop("ROOFLINES_HOME", None)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One server per worker for the whole session; harnesses must not be nested."""
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415  # three seconds, for few workers

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Home:
    """A home after its first run; tests must not write to it. The first worker that needs it makes it for all."""
    is_worker = hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    home = Home((base.parent if is_worker else base) / "finished")
    with FileLock(f"{home.path}.lock"):
        if not home.snapshot.exists():
            assert run_without_prefect(home, draws=True).status == "succeeded"
    return home


@pytest.fixture
def home(finished: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of the finished home that a test may change; of 200 MB, so it goes with the test."""
    shutil.copytree(finished.path, tmp_path / "home")
    yield Home(tmp_path / "home")
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def snapshot(finished: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader's connection to the finished run."""
    with open_snapshot(finished.snapshot) as connection:
        yield connection


@pytest.fixture(scope="module")
def browser(finished: Home) -> Iterator["Browser"]:
    """One browser, started when the site is there: Prefect cannot run beside Playwright's event loop."""
    from tests.support.browsers import start_browser  # noqa: PLC0415  # Playwright, for few workers

    with start_browser() as browser:
        yield browser


@pytest.fixture
def disk(browser: "Browser", finished: Home) -> Iterator["Visitor"]:
    """A visitor who has the site as files."""
    from tests.support.browsers import visit  # noqa: PLC0415

    with visit(browser, finished.site.as_uri() + "/") as visitor:
        yield visitor


@pytest.fixture(scope="module")
def small_shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalog that stands in for the shipped one; tests leave it asking for a batch of 8."""
    return write_small_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="module")
def built(small_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after its first run with the small catalog; tests must not write to it."""
    home = Home(tmp_path_factory.mktemp("built") / "home")
    run_without_prefect(home, small_shipped)
    return home


@pytest.fixture
def small_home(built: Home, tmp_path: Path) -> Home:
    """A copy of that home that a test may change."""
    return copy_home(built, tmp_path / "home")


@pytest.fixture(scope="module")
def whole(built: Home) -> Fingerprints:
    """What the first run published."""
    return fingerprint_snapshot(built.snapshot)


@pytest.fixture(scope="module")
def elsewhere(small_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Fingerprints:
    """What a run publishes that asks for another batch."""
    other, home = tmp_path_factory.mktemp("other catalog"), Home(tmp_path_factory.mktemp("other"))
    shutil.copytree(small_shipped, other, dirs_exist_ok=True)
    ask_for(other, 16)
    run_without_prefect(home, other)
    return fingerprint_snapshot(home.snapshot)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """An empty catalog for `--catalog`."""
    folder = tmp_path / "given"
    for kind in ("hardware", "models", "workloads"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def shipped() -> Path:
    """The catalog that ships."""
    return SHIPPED

"""The explorer: its data are the views', its files are small, the same twice, and safe in a page."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flows.site.explorer import write_explorer
from flows.site.page_templates import script_json
from flows.site.site_pages import SitePages
from tests.support.explorer_data import decode, read_call
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028\u2029]]><!--"


@pytest.fixture(scope="module")
def site(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the explorer of the finished run; tests must not write to it."""
    folder = tmp_path_factory.mktemp("explorer")
    with open_snapshot(finished.snapshot) as connection:
        write_explorer(SitePages(folder), connection)
    return folder


def test_every_model_has_its_ops_and_every_device_its_roofs(site: Path, snapshot: duckdb.DuckDBPyConnection) -> None:
    models = read_frame(snapshot, "select model_id from core.model order by 1")["model_id"].to_list()
    assert sorted(path.stem for path in (site / "assets" / "models").iterdir()) == models
    page = (site / "explorer" / "index.html").read_text("utf-8")
    assert sorted(re.findall(r'<option value="([^"]+)" data-published=', page)) == models
    for reference in re.findall(r'(?:src|href)="(\.\./assets/[^"]+)"', page):
        name = (site / "explorer" / reference).resolve().name
        assert (site / "assets" / name).exists() or name in {"search.js", "site.css"}
    (known,) = read_call(site / "assets" / "roofs.js")
    columns = "hardware_id, dtype, peak_flops_per_s, bandwidth_bytes_per_s, ridge_flops_per_byte, basis"
    roofs = read_frame(snapshot, f"select {columns} from mart.roof where is_default")
    told = decode(known["roofs"]).filter(level="dram").select(roofs.columns)
    assert_frame_equal(told, roofs, check_row_order=False, check_exact=True)
    precisions = decode(known["precisions"])
    main = read_frame(snapshot, "select precision_id, compute_dtype as dtype from core.precision")
    assert_frame_equal(precisions.unique("precision_id", keep="first"), main, check_row_order=False)
    assert precisions.filter(precision_id="nvfp4")["dtype"].to_list() == ["fp4", "bf16"]


def test_same_snapshot_same_bytes(site: Path, snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write_explorer(SitePages(tmp_path), snapshot)
    first, again = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (site, tmp_path)
    )
    assert first == again


def test_data_are_small(site: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in (site / "assets").rglob("*.js")}
    assert max(sizes.values()) < 300_000
    assert sum(sizes.values()) < 8_000_000


def test_hostile_names_stay_data() -> None:
    text = script_json({HOSTILE: [HOSTILE]})
    assert text.isascii()
    assert not re.search(r"[<>&\n]", text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}


def test_hostile_op_and_model_stay_data(finished: Home, tmp_path: Path) -> None:
    changed = tmp_path / "changed.duckdb"
    shutil.copyfile(finished.snapshot, changed)
    with duckdb.connect(str(changed)) as connection:
        connection.execute("insert into core.op_set values ('mine', ?, 'user/mine')", [HOSTILE])
        own = "model_id = 'mine', convention = 'custom', op = ?"
        is_one = "model_id = 'gpt2' and tensor_parallel = 1 and op = 'lm_head'"
        connection.execute(f"update core.op_shape set {own} where {is_one}", [HOSTILE])
        connection.execute("update core.model set short_name = ? where model_id = 'gpt2'", [HOSTILE])
        write_explorer(SitePages(tmp_path), connection)
    text = (tmp_path / "assets" / "models" / "mine.js").read_text("utf-8")
    assert text.isascii()
    assert "<" not in text
    name, data = read_call(tmp_path / "assets" / "models" / "mine.js")
    assert (name, {op["op"] for op in data["own"]}) == ("mine", {HOSTILE})
    page = (tmp_path / "explorer" / "index.html").read_text("utf-8")
    assert "<img" not in page
    assert page.count('data-source="ops"') == 1


def test_the_page_knows_which_settings_the_warehouse_holds(site: Path, snapshot: duckdb.DuckDBPyConnection) -> None:
    (columns,) = read_call(site / "assets" / "held.js")
    told = decode(columns).with_columns(pl.col("models", "precisions").str.split("|"))
    held = told.explode("models").explode("precisions").rename({"models": "model_id", "precisions": "precision_id"})
    of = "hardware_id = 'b200' and model_id in ('llama-7b', 'deepseek-v3')"  # which runs every precision
    wanted = read_frame(snapshot, f"select distinct {', '.join(held.columns)} from mart.step_time where {of}")
    assert wanted.height > 1000
    assert wanted.join(held, on=held.columns, how="anti").is_empty()
    assert held.join(wanted, on="model_id", how="semi").height == wanted.height
    assert held.is_duplicated().sum() == 0

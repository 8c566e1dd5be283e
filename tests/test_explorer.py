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
SETTING = ["convention", "phase", "precision_id", "batch_size", "sequence_length", "query_length"]


@pytest.fixture(scope="module")
def site(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the explorer of the finished run; tests must not write to it."""
    folder = tmp_path_factory.mktemp("explorer")
    with open_snapshot(finished.snapshot) as connection:
        write_explorer(SitePages(folder), connection)
    return folder


def list_ops(site: Path, model_id: str) -> pl.DataFrame:
    """Return a row an op, as the script in the browser reads them."""
    name, data = read_call(site / "assets" / "points" / f"{model_id}.js")
    assert name == model_id
    rows = []
    for setting in decode(data["settings"]).to_dicts():
        lists = {key: data["lists"][key][setting[key]] for key in ("ops", "dtypes", "flops", "bytes")}
        of_setting = {column: setting[column] for column in SETTING}
        columns = (*lists["ops"], lists["dtypes"], lists["flops"], lists["bytes"])
        for op, op_group, repeat, dtype, flops, bytes_ in zip(*columns, strict=True):
            row = {"op": op, "op_group": op_group, "repeat": repeat, "dtype": dtype}
            rows.append({**of_setting, **row, "flops": float(flops), "bytes": float(bytes_)})
    return pl.DataFrame(rows)


def test_every_model_has_its_ops_and_every_device_its_roofs(site: Path, snapshot: duckdb.DuckDBPyConnection) -> None:
    models = read_frame(snapshot, "select distinct model_id from core.op_shape order by 1")["model_id"].to_list()
    assert sorted(path.stem for path in (site / "assets" / "points").iterdir()) == models
    page = (site / "explorer" / "index.html").read_text("utf-8")
    assert sorted(re.findall(r'<option value="([^"]+)" data-published=', page)) == models
    for reference in re.findall(r'(?:src|href)="(\.\./assets/[^"]+)"', page):
        name = (site / "explorer" / reference).resolve().name
        assert name in {"explorer.js", "roofs.js", "search.js", "vega.js", "site.css"}
    (known,) = read_call(site / "assets" / "roofs.js")
    columns = "hardware_id, dtype, peak_flops_per_s, bandwidth_bytes_per_s, ridge_flops_per_byte, basis"
    roofs = read_frame(snapshot, f"select {columns} from mart.roof where is_default")
    told = decode(known["roofs"]).filter(level="dram").select(roofs.columns)
    assert_frame_equal(told, roofs, check_row_order=False, check_exact=True)
    precisions = decode(known["precisions"])
    main = read_frame(snapshot, "select precision_id, compute_dtype as dtype from core.precision")
    assert_frame_equal(precisions.unique("precision_id", keep="first"), main, check_row_order=False)
    assert precisions.filter(precision_id="nvfp4")["dtype"].to_list() == ["fp4", "bf16"]


# B200 has every dtype; the A100 has neither fp8 nor fp4
@pytest.mark.parametrize(
    ("model_id", "device", "is_mixed"),
    [("llama-7b", "a100-80gb-pcie", False), ("deepseek-v3", "b200", True), ("gpt-oss-120b", "h100-sxm", True)],
)
def test_points_are_those_of_the_view(
    site: Path, snapshot: duckdb.DuckDBPyConnection, model_id: str, device: str, *, is_mixed: bool
) -> None:
    view = read_frame(
        snapshot,
        f"""
        select {", ".join(SETTING)}, op, op_group, repeat, dtype, flops, bytes,
            attainable_flops_per_s, lower_bound_s, bound
        from mart.roofline_point
        where
            model_id = '{model_id}' and hardware_id = '{device}'
            and tensor_parallel = 1 and expert_parallel = 1 and pipeline_parallel = 1 and data_parallel = 1
        """,
    )
    assert view.height > 3_000
    assert (view.select("precision_id", "dtype").n_unique() > view["precision_id"].n_unique()) is is_mixed
    (known,) = read_call(site / "assets" / "roofs.js")
    roofs = decode(known["roofs"]).filter(hardware_id=device, level="dram")
    lacking = decode(known["precisions"]).join(roofs, on="dtype", how="anti")["precision_id"]
    peak, bandwidth = pl.col("peak_flops_per_s"), pl.col("bandwidth_bytes_per_s")
    intensity = pl.col("flops") / pl.col("bytes")
    told = (
        list_ops(site, model_id)
        .filter(~pl.col("precision_id").is_in(lacking.implode()))
        .join(roofs, on="dtype")
        .with_columns(
            attainable_flops_per_s=pl.min_horizontal(peak, intensity * bandwidth),
            lower_bound_s=pl.max_horizontal(pl.col("flops") / peak, pl.col("bytes") / bandwidth),
            bound=pl.when(intensity >= pl.col("ridge_flops_per_byte"))
            .then(pl.lit("compute"))
            .otherwise(pl.lit("memory")),
        )
        .select(view.columns)
    )
    assert_frame_equal(told, view, check_row_order=False, rel_tol=1e-9, abs_tol=0)


@pytest.mark.parametrize("model_id", ["deepseek-v3", "gpt2"])
def test_costs_are_exact(site: Path, snapshot: duckdb.DuckDBPyConnection, model_id: str) -> None:
    costs = read_frame(
        snapshot,
        f"""
        select {", ".join(SETTING)}, op, op_group, repeat, compute_dtype as dtype, flops, bytes
        from core.op_shape inner join core.op_cost using (shape_id)
        where model_id = '{model_id}' and tensor_parallel = 1 and expert_parallel = 1
        """,
    )
    assert_frame_equal(list_ops(site, model_id), costs, check_row_order=False, check_exact=True)


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
        is_one = "model_id = 'gpt2' and tensor_parallel = 1 and op = 'lm_head'"
        connection.execute(f"update core.op_shape set op = ? where {is_one}", [HOSTILE])
        connection.execute("update core.model set short_name = ? where model_id = 'gpt2'", [HOSTILE])
        write_explorer(SitePages(tmp_path), connection)
    script = (tmp_path / "assets" / "points" / "gpt2.js").read_text("utf-8")
    assert script.isascii()
    assert "<" not in script
    assert HOSTILE in list_ops(tmp_path, "gpt2")["op"].to_list()
    assert "<img" not in (tmp_path / "explorer" / "index.html").read_text("utf-8")

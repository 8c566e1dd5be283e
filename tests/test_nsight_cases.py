"""Exports of Nsight Compute in ../shared/cases/nsight, through each door; its README says what each should give."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from flows.ingest.incoming import accept_incoming
from flows.ingest.lone_profile import read_lone_profile
from flows.ingest.profiles.nsight import read_nsight
from flows.ingest.user_catalog import add_files
from flows.site.lone_profiles import open_profile, read_kernels
from tests.support.files import ROOT
from tests.support.inputs import assert_refused, make_source
from warehouse.home import Home

CASES = ROOT.parent / "shared" / "cases" / "nsight"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not at hand")

Rates = Sequence[tuple[int, str, float]]  # launches, dtype, operations a second

ON_H100: dict[str, Rates] = {
    "persistent_grid_merged": [(2, "fp16", 499.996e12), (1, "fp16", 499.9998e12)],
    "persistent_control_split_by_grid": [(2, "fp16", 499.996e12), (1, "fp16", 499.9998e12)],
    "int_kernel": [(1, "int32", 1e11)],
    "copy_zero_flop": [(1, "fp32", 0), (1, "fp32", 5e11)],
    "per_second_units": [(1, "fp32", 3.4e11)] * 2,
    "h100-sxm-app_output_before": [(1, "fp32", 3.4e11)] * 2,
    "n_a_dram_l2_only": [(3, "fp32", 1.553484e10)],
    "wide_nvtx": [(1, "fp16", 4e14)],
    "time_avg_only": [(1, "fp32", 2e11)],
    "two_devices": [(1, "fp32", 2e11), (1, "fp32", 5e10)],
}
ELSEWHERE: dict[tuple[str, str], Rates] = {
    ("tensor_op_names", "rtx-5090"): [(1, "bf16", 5e14)],
    ("plain_fp64_a100", "a100-80gb-sxm"): [(1, "fp64", 9.2e12)],
    ("fp16_accumulate_rtx4090", "rtx-4090"): [(1, "fp16", 3e14)],
    ("blackwell_packed_fp32", "rtx-5090"): [(1, "fp32", 1.2e12)],
    ("nersc_recipe_a100", "a100-40gb-sxm"): [(1, "fp32", 0)],
}
REFUSED = {
    "details_page_rules": "ncu --import",
    "locale_decimal_comma": '"1.205,50": expected a number',
    "locale_dot_thousands": '"50.331.648": expected a number',
    "locale_dot_thousands_short": '"331.648" byte: expected a whole number',
}
EVERY = {**ON_H100, **{name: rates for (name, _), rates in ELSEWHERE.items()}}
# the share of the roof of each kernel, and whether it is above
SHARES = {
    "tensor_op_names": (2.387, True), "plain_fp64_a100": (0.948, False), "fp16_accumulate_rtx4090": (0.908, False),
    "copy_zero_flop": (0.896, False),
}  # fmt: skip


def list_rates(rows: pl.DataFrame, launches: str) -> list[tuple[int, str, float]]:
    rate = pl.col("flops") / pl.col("latency_s")
    kernels = rows.unique(["op", "flops", "latency_s", launches])  # not one for each level
    return kernels.select(launches, "dtype", rate).sort("dtype", "flops", descending=[False, False]).rows()


def sort_rates(rates: Rates) -> list[tuple[int, str, object]]:
    return [(n, dtype, pytest.approx(rate, rel=1e-5)) for n, dtype, rate in sorted(rates, key=lambda rate: rate[2])]


@pytest.mark.parametrize("name", EVERY)
def test_a_case_has_its_launches_at_their_rates(name: str) -> None:
    rows = read_nsight(make_source(CASES / f"{name}.csv", "measurement"), "h100-sxm", None)
    assert list_rates(rows, "repeats") == sort_rates(EVERY[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_case_that_cannot_be_read_gets_one_line(name: str) -> None:
    source = make_source(CASES / f"{name}.csv", "measurement")
    assert_refused(lambda: read_nsight(source, "h100-sxm", None), names=[name, REFUSED[name]])


def test_no_case_is_left_out() -> None:
    assert {path.stem for path in CASES.iterdir()} == {*EVERY, *REFUSED}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARES)
def test_a_case_is_drawn_against_the_roof_of_its_pipe_and_accumulator(name: str, tmp_path: Path) -> None:
    device = dict(ELSEWHERE.keys()).get(name, "h100-sxm")
    profile = read_lone_profile(Home(tmp_path / "home"), CASES / f"{name}.csv", hardware_id=device)
    with open_profile(profile.tables) as connection:
        kernels = read_kernels(connection)
    share, is_above = SHARES[name]
    assert list_rates(kernels, "launches") == sort_rates(EVERY[name])
    assert kernels["roof_fraction"].to_list() == pytest.approx([share] * len(kernels), abs=5e-4)
    assert kernels["is_above_roof"].to_list() == [is_above] * len(kernels)


@pytest.mark.slow
def test_cases_come_in_by_either_door(tmp_path: Path) -> None:
    """By `rooflines ingest`, and by the folder `incoming`, where the name of a file has to name its device."""
    given, waiting = Home(tmp_path / "given"), Home(tmp_path / "waiting")
    added = add_files(given, "nsight", [str(CASES / f"{name}.csv") for name in ON_H100], hardware_id="h100-sxm")
    incoming = waiting.path / "incoming"
    incoming.mkdir(parents=True)
    for name in ON_H100:
        path = incoming / f"h100-sxm-{name.removeprefix('h100-sxm-')}.csv"
        shutil.copyfile(CASES / f"{name}.csv", path)
        os.utime(path, (1, 1))  # nobody is writing it any more
    arrived = accept_incoming(waiting)
    assert [arrival.kind for arrival in arrived] == ["nsight"] * len(ON_H100)
    for home in (given, waiting):
        paths = sorted((home.catalog / "measurements").iterdir())
        rates = [list_rates(pl.read_parquet(path), "repeats") for path in paths]
        assert sorted(map(str, rates)) == sorted(
            str(list_rates(pl.read_parquet(each.path), "repeats")) for each in added
        )

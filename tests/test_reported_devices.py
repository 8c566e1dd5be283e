"""The device that a profile names is used where none is given, and refused where another one is."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from flows.ingest.catalog import SHIPPED
from flows.ingest.profile_conversion import NoDeviceError, convert_profile
from flows.ingest.reported_devices import find_reported_device, read_devices, refuse_other_device
from flows.ingest.source_file import SourceFile
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from warehouse.errors import InputError

IDS = ("h100-sxm", "h100-pcie", "h200-sxm", "a100-80gb-sxm", "a40", "t4", "rtx-5090", "b200", "b300", "m1-max")
SOURCES: Sequence[SourceFile] = [make_source(SHIPPED / "hardware" / f"{name}.toml", "hardware") for name in IDS]
DEVICES = read_devices(SOURCES)


@pytest.mark.parametrize(
    ("names", "capabilities", "found"),
    [
        (["NVIDIA H100 80GB HBM3"], ["9.0"], "h100-sxm"),
        (["nvidia a100-sxm4-80gb"], [], "a100-80gb-sxm"),
        (["NVIDIA H100 80GB HBM3", "NVIDIA H200"], ["9.0"], None),
        (["NVIDIA H100 of another kind"], ["9.0"], None),
        ([], ["7.5"], "t4"),
        ([], ["9.0"], None),  # of several devices
        ([], [], None),
    ],
)
def test_the_device_that_a_file_names(names: list[str], capabilities: list[str], found: str | None) -> None:
    assert find_reported_device(DEVICES, names, capabilities) == found


@pytest.mark.parametrize(
    ("given", "names", "capabilities", "said"),
    [
        ("a100-80gb-sxm", ["NVIDIA H100 80GB HBM3"], [], 'was taken on "NVIDIA H100 80GB HBM3" (h100-sxm), not on'),
        ("h100-pcie", ["NVIDIA H100 80GB HBM3"], [], "(h100-sxm), not on --hardware-id h100-pcie; --anyway takes it"),
        ("h100-sxm", ["NVIDIA H20-3e"], [], 'was taken on "NVIDIA H20-3e", not on --hardware-id h100-sxm'),
        ("h100-sxm", [], ["8.0"], "compute capability 8.0 (Ampere), not on --hardware-id h100-sxm (9.0, Hopper)"),
        ("h100-sxm", ["NVIDIA H100 80GB HBM3", "NVIDIA A40"], [], '"NVIDIA A40" (a40)'),
    ],
)
def test_another_device_is_refused_in_one_line(
    given: str, names: list[str], capabilities: list[str], said: str
) -> None:
    path = Path("mine.csv")
    assert_refused(lambda: refuse_other_device(DEVICES, given, names, capabilities, path), names=["mine.csv", said])


@pytest.mark.parametrize(
    ("given", "names", "capabilities"),
    [
        ("h100-sxm", ["NVIDIA H100 80GB HBM3"], ["9.0"]),
        ("h100-sxm", ["NVIDIA H100 of another kind"], ["9.0"]),
        ("rtx-5090", [], ["10.0"]),  # both are Blackwell
        ("b200", [], ["10.3"]),
        ("h100-sxm", [], ["99.0"]),  # of no device in the catalog
        ("m1-max", [], ["9.0"]),  # a device without one
        ("my-gpu", ["NVIDIA H100 80GB HBM3"], ["9.0"]),  # another line says that it is unknown
    ],
)
def test_what_may_be_the_device_is_taken(given: str, names: list[str], capabilities: list[str]) -> None:
    refuse_other_device(DEVICES, given, names, capabilities, Path("mine.csv"))


def test_a_profile_brings_its_device(tmp_path: Path) -> None:
    header = "ID,Kernel Name,CC,Metric Name,Metric Unit,Metric Value\n"
    metrics = {"gpu__time_duration.sum": "ns,5", "dram__bytes.sum": "byte,5", "device__attribute_display_name": ",{}"}
    metrics["sm__sass_thread_inst_executed_op_ffma_pred_on.sum"] = "inst,5"
    text = header + "".join(f"0,k,9.0,{name},{value}\n" for name, value in metrics.items())
    named = write_file(tmp_path, "named.csv", text.format("NVIDIA H100 80GB HBM3"))
    target = tmp_path / "out.parquet"
    entry = convert_profile("nsight", named, target, SOURCES)
    assert entry.entry_id.startswith("nsight-h100-sxm-")
    assert pl.read_parquet(target)["hardware_id"].to_list() == ["h100-sxm"]
    with pytest.raises(InputError, match=r"named\.csv: was taken on .* not on --hardware-id a40; --anyway takes it"):
        convert_profile("nsight", named, target, SOURCES, "a40")
    convert_profile("nsight", named, target, SOURCES, "a40", anyway=True)
    assert pl.read_parquet(target)["hardware_id"].to_list() == ["a40"]
    unnamed = write_file(tmp_path, "unnamed.csv", text.format("n/a"))
    with pytest.raises(NoDeviceError):
        convert_profile("nsight", unnamed, target, SOURCES)
    convert_profile("nsight", unnamed, target, SOURCES, "h100-pcie")
    assert pl.read_parquet(target)["device_name"].to_list() == [None]

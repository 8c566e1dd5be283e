"""The shipped devices: their ceilings are those that the named documents print."""

import re
import tomllib
from collections import defaultdict
from datetime import date
from math import isclose, prod
from typing import Any

import pytest

from tests.support.files import ROOT

DEVICES: dict[str, dict[str, Any]] = {
    path.stem: tomllib.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "warehouse/catalog/hardware").glob("*.toml"))
}

# (device, dtype, pipe, accumulator): TFLOP/s. The documents: whitepapers of the A100, H100 (v1.04), GA102, Ada (v2.02)
# and RTX Blackwell (v1.1); datasheets of the V100, A30, H100 and B200; AMD's product pages, CDNA whitepapers and
# GPUOpen; Intel's Gaudi 3 whitepaper; Neuron's and Google Cloud's documentation.
PEAKS: dict[tuple[str, str, str, str], float] = {
    ("v100-sxm", "fp16", "tensor", ""): 125,
    ("v100-sxm", "fp16", "vector", ""): 31.4,
    ("a100-80gb-sxm", "fp64", "tensor", "fp64"): 19.5,
    ("a100-80gb-sxm", "fp64", "vector", ""): 9.7,
    ("a100-80gb-sxm", "fp32", "vector", ""): 19.5,
    ("a100-80gb-sxm", "fp16", "vector", ""): 78,
    ("a100-80gb-sxm", "bf16", "vector", ""): 39,
    ("a100-80gb-sxm", "int32", "vector", ""): 19.5,
    ("a100-80gb-sxm", "int8", "tensor", "int32"): 624,
    ("a30", "fp64", "vector", ""): 5.2,
    ("h100-sxm", "fp64", "tensor", "fp64"): 67,
    ("h100-sxm", "fp64", "vector", ""): 34,
    ("h100-sxm", "fp16", "vector", ""): 133.8,
    ("h100-sxm", "bf16", "vector", ""): 133.8,
    ("h100-sxm", "int32", "vector", ""): 33.5,
    ("h100-pcie", "fp16", "vector", ""): 102.4,
    ("b200", "fp64", "vector", ""): 37,
    ("gb300", "fp32", "vector", ""): 80,
    ("gb300", "fp4", "tensor", "fp32"): 15000,
    ("gb300", "int8", "tensor", "int32"): 165,
    ("vr200", "bf16", "tensor", "fp32"): 4000,
    ("vr200", "fp4", "tensor", "fp32"): 35000,
    ("vr200", "int8", "tensor", "int32"): 250,
    ("rtx-3090", "fp16", "tensor", "fp16"): 142.3,
    ("rtx-3090", "fp16", "vector", ""): 35.6,
    ("rtx-4090", "tf32", "tensor", "fp32"): 82.6,
    ("rtx-4090", "fp16", "tensor", "fp32"): 165.2,
    ("rtx-4090", "fp16", "tensor", "fp16"): 330.3,
    ("rtx-4090", "fp8", "tensor", "fp16"): 660.6,
    ("rtx-4090", "fp64", "vector", ""): 1.29,
    ("rtx-4090", "int32", "vector", ""): 41.3,
    ("rtx-5090", "int32", "vector", ""): 104.8,
    ("mi100", "fp32", "vector", ""): 23.1,
    ("mi250x", "fp64", "vector", ""): 47.9,
    ("mi300x", "fp64", "tensor", "fp64"): 163.4,
    ("mi300x", "fp64", "vector", ""): 81.7,
    ("mi300x", "fp32", "vector", ""): 163.4,
    ("mi355x", "fp64", "vector", ""): 78.6,
    ("mi350x", "fp64", "vector", ""): 72.1,
    ("mi455x", "bf16", "tensor", "fp32"): 5000,
    ("mi455x", "fp8", "tensor", "fp32"): 20100,
    ("rx-7900-xtx", "fp16", "vector", ""): 61.4,
    ("rx-7900-xtx", "fp64", "vector", ""): 1.92,
    ("gaudi3", "bf16", "tensor", "fp32"): 1835,
    ("gaudi3", "bf16", "vector", ""): 28.7,
    ("arc-b580", "int8", "tensor", "int32"): 233,
    ("xeon-8480plus", "bf16", "tensor", "fp32"): 114.688,
    ("xeon-8480plus", "fp64", "vector", ""): 3.584,
    ("epyc-9654", "fp64", "scalar", ""): 0.9216,
    ("m1-max", "fp32", "vector", ""): 10.4,
    ("m4-max", "fp32", "vector", ""): 16.16,
    ("tpu-v5p", "bf16", "tensor", "fp32"): 459,
    ("trainium2", "bf16", "tensor", "fp32"): 667,
    ("trainium3", "fp8", "tensor", "fp32"): 2517,
}

# (device, level): GB/s, the default of the level
BANDWIDTHS: dict[tuple[str, str], float] = {
    ("v100-sxm", "l1"): 80 * 128 * 1.530,
    ("t4", "l1"): 40 * 64 * 1.590,  # Turing: 64 bytes a clock and SM
    ("a100-80gb-sxm", "l1"): 108 * 128 * 1.410,
    ("a100-80gb-sxm", "l2"): 5120 * 1.410,
    ("h100-sxm", "l1"): 132 * 128 * 1.980,
    ("rtx-4090", "l1"): 128 * 128 * 2.520,
    ("mi210", "l2"): 32 * 128 * 1.700,
    ("mi300x", "lds"): 304 * 128 * 2.100,
    ("mi300x", "l2"): 8 * 2048 * 2.100,  # printed as 34.4 TB/s
    ("mi300x", "l3"): 17_200,
    ("mi350x", "lds"): 256 * 256 * 2.200,  # CDNA 4 doubles the read rate of the LDS
    ("mi455x", "dram"): 23_300,
    ("vr200", "dram"): 22_000,
    ("mi300a", "l3"): 17_200,
    ("rx-7900-xtx", "l3"): 5300,
    ("xeon-8480plus", "l1"): 56 * 128 * 2.0,
    ("epyc-9654", "l1"): 96 * 64 * 2.4,
}

_UNITS = r"(\d+) (?:SMs|CUs|cores|XCDs|dies)((?: x [\d.]+(?: bytes(?: a clock)?)?)+) x ([\d.]+) (GHz|MHz)"


def list_ceilings(kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, entry) for name, device in DEVICES.items() for entry in device[kind]]


def find_first(hardware_id: str, kind: str, **said: str) -> dict[str, Any]:
    """Return the first entry that says so: of entries alike, the first one is compared with."""
    entries = DEVICES[hardware_id][kind]
    return next(entry for entry in entries if all(entry.get(key, "") == value for key, value in said.items()))


@pytest.mark.parametrize(("hardware_id", "dtype", "pipe", "accumulator"), PEAKS)
def test_a_peak_is_the_printed_one(hardware_id: str, dtype: str, pipe: str, accumulator: str) -> None:
    entry = find_first(hardware_id, "compute", dtype=dtype, pipe=pipe, accumulator=accumulator)
    assert entry["tflops"] == PEAKS[hardware_id, dtype, pipe, accumulator]


@pytest.mark.parametrize(("hardware_id", "level"), BANDWIDTHS)
def test_a_bandwidth_is_the_printed_one(hardware_id: str, level: str) -> None:
    entry = find_first(hardware_id, "bandwidth", level=level, basis="datasheet")
    assert entry["gb_per_s"] == pytest.approx(BANDWIDTHS[hardware_id, level], rel=1e-4)


def test_every_compute_ceiling_states_its_pipe() -> None:
    assert [(name, entry) for name, entry in list_ceilings("compute") if "pipe" not in entry] == []


def test_an_accumulator_is_of_tensor_cores_and_at_least_as_wide_as_16_bits() -> None:
    for name, entry in list_ceilings("compute"):
        if "accumulator" in entry:
            integer = entry["dtype"].startswith("int")
            assert entry["pipe"] == "tensor", (name, entry)
            assert entry["accumulator"] in ({"int32"} if integer else {"fp16", "fp32", "fp64"}), (name, entry)


def test_a_figure_is_the_product_of_units_and_clock_in_its_note() -> None:
    told = 0
    for name, entry in (*list_ceilings("compute"), *list_ceilings("bandwidth")):
        for units, factors, clock, unit in re.findall(_UNITS, entry.get("note", "")):
            numbers = [float(number) for number in re.findall(r"[\d.]+", factors)]
            giga = int(units) * prod(numbers) * float(clock) / (1 if unit == "GHz" else 1e3)
            figure = entry["tflops"] * 1e3 if "tflops" in entry else entry["gb_per_s"]
            assert isclose(giga, figure, rel_tol=0.012), (name, entry)
            told += 1
    assert told > 100


def test_plain_units_are_no_faster_than_tensor_cores() -> None:
    peaks: dict[tuple[str, str, str], float] = defaultdict(float)
    for name, entry in list_ceilings("compute"):
        key = (name, entry["dtype"], entry["pipe"])
        peaks[key] = max(peaks[key], entry["tflops"])
    for (name, dtype, pipe), peak in peaks.items():
        assert pipe == "tensor" or peak <= peaks.get((name, dtype, "tensor"), peak), (name, dtype)


def test_geforce_cards_accumulate_in_fp16_at_twice_the_rate_of_fp32() -> None:
    for name in (name for name in DEVICES if DEVICES[name]["name"].startswith("NVIDIA GeForce")):
        half, single = (
            find_first(name, "compute", dtype="fp16", pipe="tensor", accumulator=accumulator)["tflops"]
            for accumulator in ("fp16", "fp32")
        )
        assert half == pytest.approx(2 * single, rel=0.002), name


@pytest.mark.parametrize("hardware_id", DEVICES)
def test_bandwidth_grows_towards_the_cores(hardware_id: str) -> None:
    bandwidth: dict[str, float] = {}
    for basis in ("datasheet", "measured"):  # the default of a level is of the first basis
        for entry in DEVICES[hardware_id]["bandwidth"]:
            if entry["basis"] == basis:
                bandwidth.setdefault(entry["level"], entry["gb_per_s"])
    inner = min((bandwidth[level] for level in ("l1", "lds") if level in bandwidth), default=None)
    levels = [bandwidth.get("dram"), bandwidth.get("l3"), bandwidth.get("l2"), inner]
    ascending = [value for value in levels if value is not None]
    assert ascending == sorted(set(ascending))


def test_only_switches_with_sharp_add() -> None:
    adding = {name for name, entry in list_ceilings("bandwidth") if entry.get("reduces_in_switch")}
    assert {"h100-sxm", "h200-sxm", "b200", "b300", "gb200"} <= adding
    assert all(DEVICES[name]["architecture"].startswith(("Hopper", "Blackwell", "Rubin")) for name in adding)
    for name in ("v100-sxm", "a100-80gb-sxm", "h100-nvl", "l40s", "mi300x", "tpu-v5p"):
        assert find_first(name, "bandwidth", level="interconnect")["reduces_in_switch"] is False


@pytest.mark.parametrize("hardware_id", DEVICES)
def test_a_device_was_released_as_a_document_says(hardware_id: str) -> None:
    released, origin = DEVICES[hardware_id]["released"], DEVICES[hardware_id]["released_origin"]
    assert date(2016, 1, 1) <= released <= date.today()
    assert released.isoformat() in origin or "month only" in origin  # the document says the day, or only its month
    assert str(released.year) in origin
    assert ("month only" in origin) <= (released.day == 1)


def test_rtx_4090_went_on_sale_on_12_october_2022() -> None:
    assert DEVICES["rtx-4090"]["released"] == date(2022, 10, 12)

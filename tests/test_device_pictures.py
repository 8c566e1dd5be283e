"""The pictures that stand for pages of devices and models where links to them are shared."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl

from flows.site.device_pictures import compose_device_picture, find_device_picture, write_device_pictures
from flows.site.site_files import SiteFiles
from flows.site.site_rows import SiteRows
from warehouse.home import Home

SVG = "{http://www.w3.org/2000/svg}"
NAME = 'An "A40" & <more>\x07'
LINE: dict[str, Any] = {
    "dtypes": "bf16, fp16", "is_half": True, "is_integer": False, "peak_flops_per_s": 149.7e12,
    "bandwidth_bytes_per_s": 696e9, "ridge_flops_per_byte": 149.7e12 / 696e9,
}  # fmt: skip


def test_a_picture_has_the_name_and_the_roofs_of_the_device() -> None:
    svg = compose_device_picture({"name": NAME}, [LINE])
    texts = ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert texts[0] == 'An "A40" & <more>\N{REPLACEMENT CHARACTER}'
    assert {"bf16, fp16 · 149.7 TFLOP/s", "696 GB/s"} <= set(texts)
    assert "var(" not in svg
    assert "polyline.main { stroke: #0072b2;" in svg


def test_a_picture_that_did_not_change_is_that_of_the_previous_site(tmp_path: Path) -> None:
    frame = pl.DataFrame([{"hardware_id": "con", **LINE}])
    rows = SiteRows({"device_lines": frame}, {"con": {"name": NAME}}, {})
    path = find_device_picture("con")
    assert path == "devices/-con-/roofline.png"
    pictures = []
    for name, earlier in (("first", "none"), ("second", "first")):
        files = SiteFiles(tmp_path / name, tmp_path / earlier)
        write_device_pictures(files, rows)
        files.write_manifest()
        pictures.append(tmp_path / name / path)
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert pictures[0].stat().st_ino == pictures[1].stat().st_ino
    assert path in json.loads((tmp_path / "second" / "site.json").read_text("utf-8"))["made_from"]


def test_a_site_without_an_address_has_no_such_pictures(finished: Home) -> None:
    assert not list(finished.site.glob("devices/*/*.png"))

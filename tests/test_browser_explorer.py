"""The explorer in a browser: any setting is computed, drawn at once, kept in the address, and can be taken along."""

import csv
import io
import json
import re
from pathlib import Path

import duckdb
import pytest
import vl_convert
from playwright.sync_api import Page, expect

from tests.support.browsers import NARROW, WIDE, Visitor
from warehouse.rows import fetch_rows, fetch_value

EXPLORER = "explorer/index.html"
MEASURED = "#devices=h100-sxm&model=llama-3-8b&batch=4&sequence=512&precision=bf16"
SHARED = "#devices=h100-sxm,b200&model=deepseek-v3&precision=bf16&batch=8&sequence=1024"
MOST_STOPS = 10  # of the Tab key, from the start of the page to any control
SOON = 0.1  # s, from a control to the picture

pytestmark = pytest.mark.slow


def open_at(disk: Visitor, address: str = "", width: int = 1440) -> Page:
    """Open the explorer at an address, and wait until all of it is shown."""
    page = disk.open(EXPLORER + address, viewport={"width": width, "height": 900})
    page.locator("body[data-shown=all]").wait_for()
    return page


def list_step_rows(page: Page) -> list[list[str]]:
    rows: list[list[str]] = page.locator("#steps tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    return rows


def write_number(value: float) -> str:
    """Write a number of at least 1000 as the page does."""
    return f"{value:,.0f}"


def test_any_batch_and_length_are_computed_and_kept_in_the_address(disk: Visitor) -> None:
    page = open_at(disk, "#model=llama-3.1-8b&devices=h100-sxm")
    before = page.locator("#finding").inner_text()
    page.locator("[name=batch]").fill("37")
    page.locator("[name=sequence]").fill("3001")
    expect(page.locator("#setting")).to_contain_text("batch 37 · length 3,001")
    assert page.locator("#finding").inner_text() != before
    page.get_by_role("button", name="Double Batch size").click()
    expect(page.locator("#setting")).to_contain_text("batch 74 ")
    page.locator("[name=sequence]").press("PageDown")
    expect(page.locator("#setting")).to_contain_text("length 1,500")
    expect(page).to_have_url(re.compile("batch=74&sequence=1500"))
    said, address = page.locator("#finding").inner_text(), page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#finding")).to_have_text(said)
    page.locator("[name=batch]").fill("2.5")
    expect(page.locator("#notes")).to_contain_text("batch is 2.5, not a whole number from 1 to 1,000,000; 74 is shown.")
    expect(page.locator("[name=batch]")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#finding")).to_have_text(said)


def test_steps_are_those_of_the_warehouse(disk: Visitor, snapshot: duckdb.DuckDBPyConnection) -> None:
    page = open_at(disk, f"{SHARED}&tp=8&ep=8")
    query = """
        select short_name, step_time.tokens_per_s, predicted_step.tokens_per_s, step_time.memory_bytes,
            fits_in_memory
        from mart.step_time
        inner join mart.predicted_step using (
            hardware_id, model_id, convention, precision_id, phase, batch_size, sequence_length, query_length,
            tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
        )
        inner join core.hardware using (hardware_id)
        where
            hardware_id in ('h100-sxm', 'b200') and model_id = 'deepseek-v3' and convention = 'engine'
            and precision_id = 'bf16' and phase = 'decode' and batch_size = 8 and sequence_length = 1024
            and tensor_parallel = 8 and expert_parallel = 8 and data_parallel = 1 and pipeline_parallel = 1
            and fusion = 'engine' and is_default_launch
        order by short_name
        """
    wanted = fetch_rows(snapshot, query)
    assert len(wanted) == 2
    for row, (name, _, tokens, memory, fits) in zip(sorted(list_step_rows(page)), wanted, strict=True):
        assert row[0] == name
        assert float(row[3].split("\n")[0].replace(",", "")) == pytest.approx(tokens, rel=1e-3)
        assert f"{memory / 1e9:.4g} of" in row[4]
        assert row[4].startswith("does not fit: ") is not fits


def test_a_model_that_does_not_fit_is_said_to(disk: Visitor, snapshot: duckdb.DuckDBPyConnection) -> None:
    page = open_at(disk, SHARED)
    memory = fetch_value(
        snapshot,
        """
        select memory_bytes from mart.step_time
        where
            hardware_id = 'b200' and model_id = 'deepseek-v3' and convention = 'engine' and precision_id = 'bf16'
            and phase = 'decode' and batch_size = 8 and sequence_length = 1024 and tensor_parallel = 1
        """,
    )
    said = f"does not fit: {write_number(memory / 1e9)} of 180 GB"
    expect(page.locator("#finding")).to_contain_text(said)
    expect(page.locator("#steps tr", has_text="B200")).to_contain_text(said)
    expect(page.locator("#memory tr.over")).to_have_count(2)
    page.locator("[name=tp]").fill("16")
    expect(page.locator("#memory tr.over")).to_have_count(1)
    expect(page.locator("#finding")).to_contain_text("the fastest shown that fits")
    page.locator("[name=tp]").fill("3")
    expect(page.locator("#finding")).to_contain_text("3 devices cannot share 128 heads evenly")


def test_a_broken_address_says_what_was_replaced(disk: Visitor) -> None:
    address = (
        "#devices=h100-sxm,nix&model=none&phase=ar&batch=0&tp=x&parts=nose:fp8&whatif=h100-sxm,peak:9&own=1&sort=3"
    )
    page = open_at(disk, address)
    notes = page.locator("#notes")
    for said in (
        "No device is called nix.",
        "No model is called none.",
        "There is no phase ar; decode is shown.",
        "batch is 0, not a whole number from 1 to 1,000,000; 8 is shown.",
        "tp is x, not a whole number from 1 to 16; 1 is shown.",
        "No part of a model has the precision nose:fp8",
        "whatif has peak:9, not a factor from 0.25 to 4",
        "own is 1, not numbers from 0.0001",
        "There is no choice called sort",
    ):
        expect(notes).to_contain_text(said)
    shown = "#devices=h100-sxm&model=llama-3.1-8b&convention=engine&phase=decode&batch=8&sequence=1024"
    expect(page).to_have_url(re.compile(f"{shown}$"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("own=1e-320,1e9,1,1&devices=own", "own is 1e-320,1e9,1,1, not numbers from 0.0001 to 1,000,000: GB/s"),
        ("own=,,,&devices=own", "own is ,,,, not numbers from"),
        ("own=1,2,3,constructor:4&devices=own", "own is 1,2,3,constructor:4, not numbers from"),
        ("own=1,2,3,bf16:&devices=own", "own is 1,2,3,bf16:, not numbers from"),
        ("own=1,2,3&devices=own", "own is 1,2,3, not numbers from"),
        (f"batch={'9' * 5000}", f"batch is {'9' * 60}…, not a whole number"),
        (f"devices={'x' * 5000}", f"No device is called {'x' * 60}…."),
        ("model=__proto__&precision=toString&parts=kv:constructor", "There is no precision toString"),
        ("devices=b200&whatif=nix,peak:2", "whatif names nix, which is not chosen; B200 is altered."),
        ("phase=<img src=x onerror=alert(1)>&devices=%E0%A4%A", "There is no phase <img src=x onerror=alert(1)>"),
    ],
)
def test_a_hostile_address_is_a_short_note(disk: Visitor, address: str, said: str) -> None:
    page = open_at(disk, f"#{address}")
    expect(page.locator("#notes")).to_contain_text(said)
    assert len(page.locator("#notes").inner_text()) < 700
    assert page.locator("#roofline .spot").count() > 3


def test_a_link_restores_all_choices(disk: Visitor) -> None:
    address = (
        "#devices=b200,own&model=deepseek-v3&model=mixtral-8x7b&convention=engine&phase=mixed&precision=fp8&batch=12"
        "&sequence=3000&query=200&tp=2&ep=2&pp=2&dp=2&parts=kv:bf16,lm_head:bf16&own=2000,6000,200,900"
        "&whatif=own,peak:2,bandwidth:0.5"
    )
    page = open_at(disk, address)
    expect(page.locator("#notes")).not_to_contain_text("is shown")
    assert page.evaluate("explorer.choices.write()") == address
    fields = ["own_peak_fp16", "tp", "query", "scaled", "precision", "model2", "scale_bandwidth"]
    values = [page.locator(f"[name={name}]").input_value() for name in fields]
    assert values == ["2000", "2", "200", "own", "fp8", "mixtral-8x7b", "-1"]


def test_what_is_no_number_in_a_box_is_said(disk: Visitor) -> None:
    page = open_at(disk, "#devices=h100-sxm,own&model=llama-3.1-8b&own=1000,4000,100,450")
    page.locator("#own").evaluate("own => { own.open = true; }")
    before = page.locator("#steps").inner_text()
    for name, text, said in (
        ("own_peak_bf16", "-5", "Peak bf16, TFLOP/s: -5; expected a number from 0.0001 to 1,000,000, or nothing if"),
        ("own_memory", "", "Memory, GB: no number; expected a number from 0.0001 to 1,000,000; 100 is shown."),
        ("own_link", "1e12", "Link, GB/s: 1e12; expected a number from 0.0001 to 1,000,000, or 0 for no link; 450"),
        ("batch", "", "batch has no number; 8 is shown."),
        ("sequence", "-3", "sequence is -3, not a whole number from 1 to 100,000,000; 1,024 is shown."),
    ):
        page.locator(f"[name={name}]").fill(text)
        expect(page.locator("#notes")).to_contain_text(said)
        expect(page.locator(f"[name={name}]")).to_have_attribute("aria-invalid", "true")
    assert page.locator("#steps").inner_text() == before


def test_a_time_of_which_little_is_calibrated_leads_no_finding(disk: Visitor) -> None:
    page = open_at(disk, "#devices=l40s&model=qwen3-30b-a3b&precision=w8a8&batch=1")
    said = r"Qwen3 30B A3B on L40S: at most [\d.,]+ tokens/s; about [\d.,]+ expected, [1-9]% calibrated;"
    expect(page.locator("#finding")).to_contain_text(re.compile(said))
    page.locator("[name=precision]").select_option("bf16")
    expect(page.locator("#finding")).to_contain_text(re.compile(r"on L40S: about [\d.,]+ tokens/s; a decode step"))


def test_time_in_which_a_stage_waits_is_told(disk: Visitor) -> None:
    page = open_at(disk, "#devices=h100-sxm&model=llama-3.1-8b&pp=4&batch=1")
    expect(page.locator("#finding")).to_contain_text(re.compile(r"\d+% memory-bound, \d+% waiting for other stages"))
    expect(page.locator("#steps tbody")).to_contain_text("waiting for other stages")


def test_roofs_of_a_dtype_have_one_kind_of_line_in_all_panels(disk: Visitor) -> None:
    """More dtypes than a chart usually has, and one that only the second model computes in."""
    parts = "attention:bf16,mlp:int8,experts:fp8,router:tf32,lm_head:fp64"
    page = open_at(disk, f"#devices=h100-sxm&model=llama-3.1-8b&model=mixtral-8x7b&precision=fp16&parts={parts}")
    kinds = page.locator("#key li", has_text=" roof")
    told = {
        kind.inner_text().removesuffix(" roof"): kind.locator("path").get_attribute("style") for kind in kinds.all()
    }
    assert {"fp16", "bf16", "int8", "fp8", "fp64"} <= set(told)
    dashes = [(style or "").split("stroke-dasharray:")[1] for style in told.values()]
    assert len(set(dashes)) == len(dashes)
    drawn = page.locator("#roofline path.roof").evaluate_all(
        "all => all.map((one) => one.getAttribute('stroke-dasharray'))"
    )
    assert {dash.replace(" ", ",") for dash in drawn} == set(dashes)


def test_no_control_is_more_than_ten_tab_stops_from_the_start(disk: Visitor) -> None:
    page = open_at(disk, MEASURED.replace("h100-sxm", "h100-sxm,b200") + "&parts=kv:fp8&tp=2")
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    groups = page.locator("#go-to button").count()
    reached: dict[str, int] = {}
    active = """() => {
        const one = document.activeElement;
        const group = one.closest('#devices, .chips, #files, #go-to, thead');
        return (group ?? one).id || group?.parentElement.dataset.model || one.name || one.textContent;
    }"""
    for group in range(groups):
        page.evaluate(
            "() => { document.activeElement.blur(); scrollTo(0, 0); getSelection().collapse(document.body, 0); }"
        )
        page.locator("a.skip").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.locator("#go-to button").first.focus()
        for _ in range(group):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        stops = 2
        while stops <= MOST_STOPS:
            name = page.evaluate(active)
            reached[name] = min(reached.get(name, stops), stops)
            page.keyboard.press("Tab")
            stops += 1
    controls = page.locator("#controls :is(input, select), #what-if :is(input, select)").evaluate_all(
        "all => all.filter((one) => one.offsetParent).map((one) => one.closest('#devices')?.id ?? (one.id || one.name))"
    )
    assert len(set(controls)) > 25
    assert set(controls) - set(reached) == set()
    assert {"files", "chips", "parts", "of-ops", "llama-3-8b", "copy-sql"} <= set(reached)


def test_arrow_keys_move_within_a_list(disk: Visitor) -> None:
    page = open_at(disk)
    page.locator("#devices input[tabindex='0']").focus()
    page.keyboard.press("Home")
    first = page.evaluate("document.activeElement.value")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    chosen = page.evaluate("document.activeElement.value")
    assert chosen != first
    expect(page).to_have_url(re.compile(f"devices=[^&]*{chosen}"))
    assert page.locator("#devices input[tabindex='0']").count() == 1


def test_the_picture_follows_a_control_at_once(disk: Visitor) -> None:
    page = open_at(disk, "#devices=h100-sxm,a100-80gb-sxm,mi300x&model=llama-3.1-8b")
    script = """async () => {
        const [field, times] = [document.querySelector("[name=batch]"), []];
        const marks = () => [...document.querySelectorAll("#roofline .spot")].map((one) => one.outerHTML).join();
        for (let i = 0; i < 25; i++) {
            const before = marks();
            field.value = 3 + 7 * i;
            const start = performance.now();
            field.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            if (marks() === before) throw new Error(`the picture did not follow to ${field.value}`);
            times.push((performance.now() - start) / 1000);
        }
        return times.sort((a, b) => a - b);
    }"""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read_busy() -> float:
        metrics = tools.send("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")

    before = read_busy()
    seconds = page.evaluate(script)
    busy = (read_busy() - before) / len(
        seconds
    )  # time of the processor, with all tables: other tests run beside this one
    print(f"from control to picture: median {seconds[len(seconds) // 2]:.3f} s, of the processor {busy:.3f} s")
    assert busy < SOON


def test_a_mark_lists_all_ops_of_its_spot_and_is_as_large_as_their_share(disk: Visitor) -> None:
    page = open_at(disk, "#devices=h100-sxm&model=llama-3.1-8b&precision=bf16")
    marks = page.evaluate("""() => {
        const [{ steps: [step] }] = explorer.results.compute();
        const drawn = explorer.plot.drawnOps(step);
        return { ops: drawn.length, share: drawn.reduce((sum, op) => sum + explorer.results.share(step, op), 0) };
    }""")
    spots = page.locator("#roofline .spot")
    assert 1 < spots.count() < marks["ops"]
    assert marks["share"] == pytest.approx(1, abs=0.01)
    sizes = spots.evaluate_all("all => all.map((one) => Number(one.getAttribute('transform').match(/scale.(.*)./)[1]))")
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[-1]
    spots.first.hover(force=True)
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(re.compile(r"H100 SXM: \d+ ops, \d+% of the step"))
    expect(tip.locator("tbody tr")).not_to_have_count(1)
    expect(tip).to_contain_text("down_proj")


def test_measured_kernels_are_drawn_with_their_headroom(disk: Visitor, snapshot: duckdb.DuckDBPyConnection) -> None:
    page = open_at(disk, MEASURED)
    ((latency, factor),) = fetch_rows(
        snapshot,
        """
        select min(latency_s), arg_min(1 / roof_fraction, latency_s) from mart.measured_point
        where
            hardware_id = 'h100-sxm' and model_id = 'llama-3-8b' and op = 'down_proj' and phase = 'decode'
            and batch_size = 4 and sequence_length = 512 and tensor_parallel = 1 and dtype = 'bf16' and level = 'dram'
        """,
    )
    assert page.locator("#roofline .measured").count() > 3
    cell = page.locator("#ops tbody tr", has_text="down_proj").locator("td").first
    expect(cell).to_contain_text(f"measured {32 * latency * 1e3:.4g} ms")
    expect(cell).to_contain_text(f"headroom ×{factor:.4g}")
    page.locator("[name=batch]").fill("5")
    expect(page.locator("#notes")).to_contain_text(
        "were measured on H100 SXM, but not at this setting: nearest is batch 4"
    )
    expect(page.locator("#roofline .measured")).to_have_count(0)


def test_the_ops_are_sorted_by_any_column(disk: Visitor) -> None:
    page = open_at(disk)
    head = page.locator("#ops th", has_text=re.compile("^bytes$"))
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(page.locator("#ops tbody th").first).to_have_text("lm_head")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#ops tbody th").last).to_have_text("lm_head")
    page.locator("#ops th button").first.click()
    names = page.locator("#ops tbody th").all_inner_texts()
    assert names == sorted(names)


def test_models_stand_side_by_side(disk: Visitor) -> None:
    page = open_at(disk, "#model=llama-3.1-8b&devices=h100-sxm")
    page.get_by_text("Compare models").click()
    page.get_by_label("Second model").select_option("mixtral-8x7b")
    page.get_by_label("Third model").select_option("deepseek-v3")
    expect(page.locator("#ops table")).to_have_count(3)
    assert page.locator("#roofline svg > g").count() == 3
    assert len(list_step_rows(page)) == 3
    expect(page).to_have_url(re.compile("(model=.*){3}"))


def test_a_device_that_one_of_the_models_cannot_run_on_is_still_drawn_for_the_others(disk: Visitor) -> None:
    page = open_at(disk, "#devices=b200,a100-80gb-sxm&model=llama-3.1-8b&model=deepseek-v3&tp=8")
    expect(page.locator("#notes")).to_contain_text(
        "Not on the chart of DeepSeek V3, because no fp8 roof is known: A100 80GB SXM."
    )
    expect(page.locator("#chips button")).to_have_text(["B200×", "A100 80GB SXM×"])
    expect(page.locator("#setting")).to_contain_text("bf16, fp8-block, arithmetic in bf16 and fp8 ·")
    assert len(list_step_rows(page)) == 3
    page.locator("[name=model2]").select_option("")
    page.locator("[name=model]").select_option("deepseek-v3")
    expect(page.locator("#chips button")).to_have_text(["B200×", "A100 80GB SXM: no fp8 roof×"])


def test_the_first_step_of_the_table_is_the_one_that_the_finding_names(disk: Visitor) -> None:
    # the B200 has a calibration, the MI300X has none, so their least times are compared
    page = open_at(disk, "#devices=mi300x,b200&model=deepseek-v3&batch=32&tp=8")
    assert "on B200: at most" in page.locator("#finding").inner_text()
    assert [row[0] for row in list_step_rows(page)] == ["B200", "MI300X"]


def test_a_device_of_ones_own_has_least_times_only(disk: Visitor) -> None:
    page = open_at(disk, "#model=llama-3.1-8b&devices=h100-sxm&precision=bf16")
    page.get_by_text("Your own device").click()
    page.get_by_label("Bandwidth, GB/s").fill("3350")
    page.get_by_label("Peak bf16, TFLOP/s").fill("989.4")
    page.get_by_label("Memory, GB").fill("10")
    expect(page.locator("#steps tr", has_text="Your device")).to_contain_text("not calibrated")
    rows = {row[0]: row for row in list_step_rows(page)}
    assert rows["Your device"][1] == rows["H100 SXM"][1]
    assert rows["Your device"][4].startswith("does not fit: 17.13 of 10 GB")
    expect(page).to_have_url(re.compile("own=3350,10,450,bf16:989.4,fp16:1000"))


def test_a_device_of_ones_own_has_a_peak_for_each_dtype_and_no_other(disk: Visitor) -> None:
    address = "#model=llama-3.1-8b&devices=own&phase=prefill&own=3350,80,450,bf16:989.4,fp8:1978.9&precision="
    page = open_at(disk, address + "bf16")
    expect(page.locator("#steps tr", has_text="Your device")).to_contain_text("989.4 TFLOP/s")
    page.locator("[name=precision]").select_option("fp8")
    expect(page.locator("#steps tr", has_text="Your device")).to_contain_text("1.979 PFLOP/s")
    page.get_by_label("Peak fp8, TFLOP/s").fill("")
    expect(page.locator("#chips button")).to_have_text(["Your device: no fp8 roof"])
    expect(page).to_have_url(re.compile("own=3350,80,450,bf16:989.4$"))
    page.get_by_label("Peak bf16, TFLOP/s").fill("")
    expect(page.locator("#notes")).to_contain_text("but one of some dtype; 989.4 is shown.")


def test_a_link_with_one_peak_of_ones_own_device_means_every_dtype(disk: Visitor) -> None:
    page = open_at(disk, "#model=llama-3.1-8b&devices=own&precision=fp8&own=500,3350,80,450")
    expect(page.locator("#steps tr", has_text="Your device")).to_contain_text("500 TFLOP/s")
    expect(page.get_by_label("Peak int8, TFLOP/s")).to_have_value("500")
    expect(page).to_have_url(re.compile("own=500,3350,80,450"))


def test_a_part_has_another_precision(disk: Visitor) -> None:
    page = open_at(disk, "#model=llama-3.1-8b&devices=h100-sxm&precision=bf16")
    page.get_by_text("Another for a part").click()
    page.locator("[name=part]").select_option("kv")
    page.locator("[name=part_precision]").select_option("fp8-kv8")
    expect(page.locator("#memory tbody td").nth(2)).to_have_text("0.5369")
    expect(page.locator("#setting")).to_contain_text("kv fp8-kv8")
    expect(page.locator("#sql")).to_contain_text('precision_id = "explorer-bf16-kv-fp8-kv8"')
    text = page.evaluate("explorer.downloads.makeCsv(explorer.results.compute())")
    assert {row["parts"] for row in csv.DictReader(io.StringIO(text))} == {"kv:fp8-kv8"}
    page.get_by_role("button", name="Remove kv fp8-kv8").click()
    expect(page.locator("#memory tbody td").nth(2)).to_have_text("1.074")


@pytest.mark.parametrize(
    ("phase", "field", "number"), [("speculative", "Candidates", 5), ("prefill", "Chunk", 77), ("mixed", "Chunk", 77)]
)
def test_phases_have_candidates_or_a_chunk(disk: Visitor, phase: str, field: str, number: int) -> None:
    page = open_at(disk)
    expect(page.locator("#query-field")).to_be_hidden()
    page.get_by_label("Phase").select_option(phase)
    page.get_by_label(field, exact=True).fill(str(number))
    expect(page.locator("#setting")).to_contain_text(f"query tokens {number}")
    expect(page).to_have_url(re.compile(f"query={number}"))


def test_this_view_is_downloaded(disk: Visitor, snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    page = open_at(disk, "#devices=h100-sxm,b200&model=llama-3-8b&precision=bf16&batch=8&sequence=1024")
    files: dict[str, Path] = {}
    for name in ("PNG", "SVG", "CSV", "Vega-Lite"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    assert {path.name for path in files.values()} == {
        f"roofline-llama-3-8b.{end}" for end in ("png", "svg", "csv", "vl.json")
    }
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    svg = files["SVG"].read_text("utf-8")
    assert "var(--" not in svg
    assert page.locator("#finding").inner_text().split(":")[0] in svg
    chart = json.loads(files["Vega-Lite"].read_text("utf-8"))
    marks = chart["hconcat"][0]["layer"][1]["data"]["values"]
    assert vl_convert.vegalite_to_svg(chart).count("aria-label") > len(marks)
    told = list(csv.DictReader(io.StringIO(files["CSV"].read_text("utf-8"))))
    sql = page.locator("#sql").inner_text()
    wanted = fetch_rows(snapshot, sql)
    assert len(wanted) == len(told) > 20
    for row, (hardware_id, op, _, repeat, flops, _, _, attainable, least, bound) in zip(
        sorted(told, key=lambda row: (row["hardware_id"], row["op"])), wanted, strict=True
    ):
        assert (row["hardware_id"], row["op"], int(row["repeat"]), row["bound"]) == (hardware_id, op, repeat, bound)
        numbers = [float(row[name]) for name in ("flops", "attainable_flops_per_s", "lower_bound_s")]
        assert numbers == pytest.approx([flops, attainable, least], rel=1e-9)


def test_a_setting_of_no_workload_names_the_sweep_that_computes_it(disk: Visitor) -> None:
    page = open_at(
        disk, "#devices=h100-sxm&model=llama-3-8b&precision=bf16&batch=37&sequence=1000&tp=4&phase=prefill&query=100"
    )
    said = page.locator("#sql").inner_text()
    command = "rooflines sweep --name explorer --model llama-3-8b --convention engine --phase prefill --precision bf16"
    assert f"{command} --batch 37 --sequence 1000 --query 100 --tensor-parallel 4\n" in said
    assert "from mart.sweep_point\nwhere\n    hardware_id in ('h100-sxm')\n    and sweep_id = 'explorer'" in said


def test_what_if_shows_where_the_bottleneck_changes(disk: Visitor) -> None:
    page = open_at(disk, "#devices=h100-sxm&model=llama-3.1-8b&precision=bf16&phase=prefill&batch=1&sequence=128")
    said = page.locator("#what-if-said")
    expect(said).to_contain_text("as today")
    page.locator("#scale-bandwidth").fill("2")
    expect(page.locator("output[for=scale-bandwidth]")).to_have_text("13.4 TB/s (×4)")
    expect(said).to_contain_text(
        re.compile(r"tokens/s expected, ×[\d.]+ of today's; memory- becomes compute-bound at [\d.]+ TB/s")
    )
    expect(page.locator("#what-if-curve .change")).to_have_count(1)
    expect(page).to_have_url(re.compile("whatif=h100-sxm,bandwidth:4"))
    page.locator("#scale-memory").fill("-1")
    expect(said).to_contain_text("at the largest batch that fits")
    page.locator("#scale-memory").fill("-2")
    expect(said).to_contain_text("tokens/s")
    expect(page.locator("output[for=scale-link]")).to_have_text("not used by one device")
    expect(page.locator("#scale-link")).to_be_disabled()
    page.get_by_role("button", name="As it is today").click()
    expect(page.locator("output[for=scale-memory]")).to_have_text("80 GB")
    expect(page).not_to_have_url(re.compile("whatif"))


@pytest.mark.parametrize("width", [WIDE["width"], 1024, NARROW["width"]])
def test_the_page_fits_its_window(disk: Visitor, width: int) -> None:
    page = open_at(disk, "#devices=h100-sxm,b200,mi300x&model=deepseek-v3&model=llama-3-8b&tp=8", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first = page.locator("#finding").bounding_box()
    picture = page.locator("#roofline svg").bounding_box()
    assert first is not None
    assert picture is not None
    assert first["y"] < picture["y"] < 500
    assert picture["width"] <= width

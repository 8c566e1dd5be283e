"use strict";

// The explorer's page: its controls, and what follows from them. All choices are in the address.
(() => {
  const { choices, results, plot, tables, downloads, sql, whatIf } = explorer;
  const { state } = choices;
  const { element, swatch } = tables;
  const { key } = explorer;
  const { rove, listenToNumber, copy } = explorer.controls;
  const byId = (id) => document.getElementById(id);
  const form = () => byId("controls").elements;
  const ADDRESS_EVERY = 350; // ms
  let [writing, written] = [null, -ADDRESS_EVERY];
  let drawn = 0;
  let taken = []; // what is shown

  function read() {
    clearTimeout(writing);
    const notes = [];
    const address = choices.read(location.hash, notes);
    fillControls();
    byId("own").open = state.devices.includes("own") || address.has("own");
    byId("by-part").open ||= Object.keys(state.parts).length > 0;
    update(notes);
  }

  function fillControls() {
    const fields = form();
    ["model", "model2", "model3"].forEach((name, i) => (fields[name].value = state.models[i] ?? ""));
    byId("compare").open ||= state.models.length > 1;
    for (const name of ["phase", "convention"]) fields[name].value = state[name];
    for (const name of ["batch", "sequence", "query", ...choices.SHARING]) fields[name].value = state[name] ?? "";
    for (const [name, value] of Object.entries(state.own)) fields[`own_${name}`].value = value;
    for (const dtype of choices.listDtypes()) fields[`own_peak_${dtype}`].value = state.peaks[dtype] ?? "";
    for (const box of byId("devices").querySelectorAll("input")) box.checked = state.devices.includes(box.value);
    fields.own_device.checked = state.devices.includes("own");
  }

  // What the choices say is drawn at once if all data are here, so that the picture follows a control.
  function update(notes = []) {
    const turn = ++drawn;
    fillPrecision();
    fillQuery();
    showDevices();
    const loading = explorer.loadAll(choices.chosenModels(), choices.chosenDevices());
    if (!loading) return show(notes);
    return loading.then(
      () => turn === drawn && show(notes), // unless the choices have changed meanwhile
      (error) => turn === drawn && showNotes([...notes, error.message]),
    );
  }

  // The answer and the picture at once; what stands further down follows when they are on the screen.
  function show(notes) {
    const turn = drawn;
    taken = results.compute();
    showNotes([...notes, ...explain()]);
    showChips();
    byId("finding").textContent = finding();
    byId("setting").textContent = describe();
    plot.draw(byId("roofline"), taken, key.openTooltip);
    byId("roofline").setAttribute("aria-label", `Roofline. ${byId("finding").textContent}. The table of ops holds its points.`);
    key.openTooltip(null);
    key.show(taken);
    document.body.dataset.shown = "picture";
    requestAnimationFrame(() => setTimeout(() => showDetails(turn)));
  }

  // Browsers refuse more than a hundred addresses in half a minute, which a slider soon reaches.
  function writeAddress() {
    clearTimeout(writing);
    const wait = written + ADDRESS_EVERY - performance.now();
    if (wait > 0) writing = setTimeout(writeAddress, wait);
    else keepAddress();
  }

  function keepAddress() {
    clearTimeout(writing);
    const address = choices.write();
    if (address === location.hash) return;
    history.replaceState(null, "", address);
    written = performance.now();
  }

  // One after the other, so that a control that is used meanwhile waits for one of them at most.
  const DETAILS = [
    writeAddress,
    () => tables.showSteps(byId("steps"), taken),
    () => tables.showMemory(byId("memory"), taken),
    () => whatIf.show(taken),
    () => showOps(),
    () => (byId("sql").textContent = sql.write(taken)),
  ];

  function showDetails(turn, [first, ...others] = DETAILS) {
    if (turn !== drawn) return;
    first();
    if (others.length) setTimeout(() => showDetails(turn, others));
    else document.body.dataset.shown = "all";
  }

  const showOps = () => {
    tables.showOps(byId("ops"), taken, showOps);
    for (const table of byId("ops").children) rove(table.tHead, () => [...table.tHead.querySelectorAll("button")]);
  };

  const drawnSteps = () => taken.flatMap(({ steps }) => steps.filter(results.isDrawn));

  // Why something is not on the chart.
  function explain() {
    const notes = [];
    // of one model, the finding says it
    for (const { model, refused } of taken) if (refused && taken.length > 1) notes.push(`${model.name} has no such step: ${refused}.`);
    for (const { model, steps } of taken) {
      const where = taken.length > 1 ? ` of ${model.name}` : "";
      for (const [lacking, lackers] of Map.groupBy(steps.filter((step) => step.lacking), (step) => step.lacking)) {
        const names = lackers.map(({ device }) => device.name).join(", ");
        const what = lacking === "link" ? "link between devices" : `${lacking} roof`;
        notes.push(`Not on the chart${where}, because no ${what} is known: ${names}.`);
      }
    }
    const ops = taken.flatMap((model) => model.ops);
    const list = (some) => [...new Set(some.map(({ op }) => op))].join(", ");
    const idle = list(ops.filter(({ flops, level }) => !flops && level === "dram"));
    const exchanged = list(ops.filter(({ level }) => level === "interconnect"));
    if (idle) notes.push(`Only in the table, because they have no FLOP: ${idle}.`);
    if (exchanged) notes.push(`Only in the table, because they use the link between devices: ${exchanged}.`);
    const known = drawnSteps();
    const near = known.some(({ measured }) => measured.some(Boolean)) ? null : results.nearestMeasured(known);
    if (near) {
      const { batch_size: batch, sequence_length: length, query_length: query } = near.kernel;
      const chunk = query === length || state.phase === "decode" ? "" : `, query ${legible(query)}`;
      notes.push(`Kernels of ${near.model.name} were measured on ${near.device.name}, but not at this setting: ` +
        `nearest is batch ${legible(batch)}, length ${legible(length)}${chunk}.`);
    }
    return notes;
  }

  // The answer first: how fast, what limits, and whether it fits.
  function finding() {
    const shown = drawnSteps();
    if (!shown.length) {
      const [first] = taken;
      if (first.refused) return `${first.model.name} has no such step: ${first.refused}`;
      return `None of the chosen devices has what this step needs: ${first.needed.join(" and ")}`;
    }
    // ops of the reader's own file make no tokens
    const making = shown.filter(({ setting }) => setting.phase);
    const steps = making.length ? making : shown;
    const isExpected = results.isExpected(steps);
    const rate = (step) => (step.setting.phase ? (isExpected ? step.expected : step).tokens_per_s : 1 / step.lower_bound_s);
    const fitting = steps.filter(({ fits }) => fits !== false);
    const [fastest] = [...(fitting.length ? fitting : steps)].sort((a, b) => rate(b) - rate(a));
    const { phase } = fastest.setting;
    const unit = phase === "prefill" ? "prompt tokens/s" : "tokens/s";
    const seconds = isExpected ? fastest.expected.predicted_s : fastest.lower_bound_s;
    const speed = `${isExpected ? "about" : "at most"} ${legible(rate(fastest))} ${unit}`;
    const lead = `${fastest.model.name} on ${fastest.device.name}${phase ? `: ${speed}` : ""}`;
    const share = fastest.expected?.covered_share < 0.995 ? tables.calibratedText(fastest.expected) : null;
    const about = fastest.expected && !isExpected
      ? [`about ${legible(fastest.expected.tokens_per_s)} expected`, share].filter(Boolean).join(", ") : null;
    const took = `${phase ? `a ${phase} step` : "all of its ops"} in ${phase ? "" : "at least "}${legible(seconds, "s")}, ` +
      `${tables.percent(fastest[`${fastest.bound}_s`] / fastest.lower_bound_s)} ${fastest.bound}-bound${tables.waiting(fastest)}`;
    const misfits = steps.filter(({ fits }) => fits === false);
    const rank = steps.length > 1 ? `the fastest shown${misfits.length && fitting.length ? " that fits" : ""}` : null;
    const first = misfits.includes(fastest) ? fastest : misfits[0];
    const misfit = first && `${first === fastest ? "" : `${first.model.name} on ${first.device.name} `}${tables.memoryText(first)}`;
    return [lead, isExpected ? share : null, about, took, rank, misfit].filter(Boolean).join("; ");
  }

  function describe() {
    const model = taken.find(({ setting }) => setting);
    if (!model) return "";
    const { setting } = model;
    const precisions = [...new Set(taken.filter((each) => each.setting).map((each) => each.setting.precision_id))].join(", ");
    const parts = Object.entries(setting.parts ?? {}).map(([part, precision]) => `${part} ${precision}`);
    const told = [`${[precisions, ...parts].join(", ")}, arithmetic in ${plot.listDtypes(taken).join(" and ")}`, `${setting.convention} convention`];
    const sizes = { batch: setting.batch_size, length: setting.sequence_length };
    if (setting.query_length !== null && setting.phase !== "decode") sizes["query tokens"] = setting.query_length;
    for (const [name, size] of Object.entries(sizes)) if (size !== null) told.push(`${name} ${legible(size)}`);
    const shared = ["tp", "ep", "pp", "dp"].filter((name) => state[name] > 1).map((name) => `${name.toUpperCase()}${state[name]}`);
    told.push(shared.length ? shared.join(" ") : "one device");
    return told.join(" · ");
  }

  function showNotes(notes) {
    byId("notes").replaceChildren(...notes.map((note) => element("p", {}, note)));
  }

  function showDevices() {
    byId("chosen").textContent = state.devices.length;
    const isFull = state.devices.length >= choices.MOST_DEVICES;
    for (const box of [...byId("devices").querySelectorAll("input"), form().own_device]) {
      box.checked = state.devices.includes(box.value);
      box.disabled = !box.checked && isFull;
    }
  }

  function showChips() {
    const devices = choices.chosenDevices();
    const chip = ({ id, name }, i) => {
      const own = taken.flatMap(({ steps }) => steps).filter((step) => step.device.id === id);
      const lacking = own.some(results.isDrawn) ? null : own[0]?.lacking; // which may be of one model only
      const label = lacking ? `${name}: no ${lacking === "link" ? "link" : `${lacking} roof`}` : name;
      const isLast = devices.length === 1;
      const button = element("button", { type: "button", className: lacking ? "without" : "", disabled: isLast },
        swatch(results.COLOURS[i]), label, isLast ? null : element("span", { ariaHidden: "true" }, "×"));
      button.setAttribute("aria-label", isLast ? label : `Remove ${label}`);
      button.addEventListener("click", () => {
        choose(id, false);
        byId("chips").querySelector("button").focus();
      });
      return element("li", {}, button);
    };
    byId("chips").replaceChildren(...devices.map(chip));
    rove(byId("chips"), () => [...byId("chips").querySelectorAll("button")]);
  }

  function choose(id, isChosen) {
    const others = state.devices.filter((other) => other !== id);
    if (!isChosen && !others.length) {
      return update(["At least one device is drawn."]);
    }
    state.devices = isChosen ? [...others, id] : others;
    return update();
  }

  function fillPrecision() {
    const [first] = choices.chosenModels();
    form().precision.value = choices.precisionOf(first);
    const rows = Object.entries(state.parts).map(([part, precision]) => {
      const button = element("button", { type: "button", ariaLabel: `Remove ${part} ${precision}` }, `${part} ${precision} `, element("span", { ariaHidden: "true" }, "×"));
      button.addEventListener("click", () => {
        delete state.parts[part];
        update();
        form().part.focus();
      });
      return element("li", {}, button);
    });
    byId("parts").replaceChildren(...rows);
    rove(byId("parts"), () => [...byId("parts").querySelectorAll("button")]);
  }

  const QUERY = { prefill: ["Chunk", "whole"], speculative: ["Candidates", "1"], mixed: ["Chunk", "1"] };

  function fillQuery() {
    const [name, placeholder] = QUERY[state.phase] ?? [];
    const field = byId("query-field");
    field.hidden = !name;
    if (!name) return;
    field.querySelector("label").firstChild.data = `${name} `;
    form().query.placeholder = placeholder;
  }

  function listDevices() {
    const list = byId("devices");
    for (const [vendor, members] of Map.groupBy(explorer.devices.values(), (device) => device.vendor)) {
      const title = element("p", { className: "vendor" }, vendor);
      const group = list.appendChild(element("div", { role: "group", ariaLabel: vendor }, title));
      for (const { id, name } of members) {
        const label = element("label", {}, element("input", { type: "checkbox", value: id }), element("span", {}, name));
        label.dataset.text = `${id} ${name} ${vendor}`.toLowerCase();
        group.append(label);
      }
    }
    list.addEventListener("change", ({ target }) => choose(target.value, target.checked));
    return rove(list, () => [...list.querySelectorAll("input")]);
  }

  function findDevices(words) {
    for (const group of byId("devices").children) {
      const labels = [...group.querySelectorAll("label")];
      for (const label of labels) label.hidden = !words.every((word) => label.dataset.text.includes(word));
      group.hidden = labels.every((label) => label.hidden);
    }
  }

  // What is no number is said, and the last one stays.
  function takeNumber(name, number, notes) {
    if (notes.length) return showNotes([`${notes[0].split(";")[0]}; ${legible(state[name] ?? "none")} is shown.`]);
    state[name] = number;
    return update();
  }

  function drawOwn() {
    const isDrawn = state.devices.includes("own") || state.devices.length >= choices.MOST_DEVICES;
    return isDrawn ? update() : choose("own", true);
  }

  function makePeakField(dtype) {
    const field = tables.element("input", { name: `own_peak_${dtype}`, type: "number", min: 0, step: "any" });
    return tables.element("label", { className: "field" }, `Peak ${dtype}, TFLOP/s `, field);
  }

  // A peak that is taken away is one that the device does not have; the last one stays.
  function listenToPeaks() {
    for (const dtype of choices.listDtypes()) {
      const field = form()[`own_peak_${dtype}`];
      field.addEventListener("input", () => {
        const isEmpty = field.value.trim() === "" && !field.validity.badInput;
        const number = Number(field.value);
        const isGood = isEmpty ? choices.listOwnDtypes().join() !== dtype : choices.isOwn("peak", number);
        field.setAttribute("aria-invalid", String(!isGood));
        if (!isGood) return showNotes([choices.refusePeak(dtype, field.value)]);
        if (isEmpty) delete state.peaks[dtype];
        else state.peaks[dtype] = number;
        return drawOwn();
      });
    }
  }

  function listenToOwn() {
    listenToPeaks();
    for (const name of Object.keys(state.own)) {
      const field = form()[`own_${name}`];
      field.addEventListener("input", () => {
        const number = Number(field.value);
        const isGood = field.value.trim() !== "" && choices.isOwn(name, number);
        field.setAttribute("aria-invalid", String(!isGood));
        if (!isGood) return showNotes([choices.refuseOwn(name, field.value)]);
        state.own[name] = number;
        return drawOwn();
      });
    }
    form().own_device.addEventListener("change", ({ target }) => choose("own", target.checked));
  }

  function listen() {
    const fields = form();
    const names = ["model", "model2", "model3"];
    for (const name of names) {
      fields[name].addEventListener("input", () => {
        state.models = [...new Set(names.map((each) => fields[each].value).filter(Boolean))];
        update();
      });
    }
    for (const name of ["phase", "convention", "precision"]) {
      fields[name].addEventListener("input", ({ target }) => {
        state[name] = target.value;
        if (name === "phase") state.query = null;
        if (name === "phase") fields.query.value = "";
        update();
      });
    }
    for (const name of ["batch", "sequence", "query", ...choices.SHARING]) listenToNumber(name, (number, notes) => takeNumber(name, number, notes));
    fields.part_precision.addEventListener("input", ({ target }) => {
      if (!fields.part.value || !target.value) return;
      state.parts[fields.part.value] = target.value;
      target.value = "";
      update();
    });
    listenToOwn();
    whatIf.listen(() => {
      writeAddress();
      whatIf.show(taken);
    });
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    const markDevice = listDevices();
    byId("search").addEventListener("input", ({ target }) => {
      findDevices(target.value.toLowerCase().split(/\s+/));
      markDevice();
    });
    byId("copy-sql").addEventListener("click", ({ target }) => copy(target, byId("sql").textContent));
    rove(byId("files"), () => [...byId("files").querySelectorAll("button")]);
    byId("files").addEventListener("click", ({ target }) => target.dataset.file && saveAs(target));
    rove(byId("go-to"), () => [...byId("go-to").querySelectorAll("button")]);
    byId("go-to").addEventListener("click", ({ target }) => goTo(target.dataset.group));
  }

  // The first control of a group, so that no control is far for the Tab key.
  function goTo(id) {
    if (!id) return;
    const group = byId(id);
    const details = group.closest("details");
    if (details) details.open = true;
    const items = [...group.querySelectorAll("summary, input, select, button, [tabindex]")];
    items.find((item) => item.tabIndex >= 0 && !item.disabled && item.offsetParent !== null)?.focus();
    group.scrollIntoView({ block: "nearest" });
  }

  function saveAs(button) {
    const kind = button.dataset.file;
    const picture = byId("roofline").querySelector("svg");
    if (kind === "link") {
      keepAddress();
      return copy(button, location.href);
    }
    if (!picture) return showNotes(["There is nothing to save."]);
    const [title, subtitle] = [byId("finding").textContent, byId("setting").textContent];
    const name = downloads.fileName(taken, kind);
    if (kind === "csv") return downloads.save(name, new Blob([downloads.makeCsv(taken)], { type: "text/csv" }));
    if (kind === "vl.json") {
      const chart = JSON.stringify(downloads.makeVegaLite(taken, title, subtitle), null, 1);
      return downloads.save(name, new Blob([chart], { type: "application/json" }));
    }
    const svg = downloads.makeSvg(picture, title, subtitle);
    if (kind === "svg") return downloads.save(name, new Blob([svg], { type: "image/svg+xml" }));
    return downloads.savePng(name, svg);
  }

  function start() {
    const options = [...form().model.options];
    choices.begin(options.map(({ value: id, textContent: name, dataset }) => ({
      id, name, published: dataset.published, hasFormulas: dataset.source === "formulas",
    })));
    byId("own-peaks").append(...choices.listDtypes().map(makePeakField));
    const precisions = [...explorer.dtypes.keys()];
    form().precision.replaceChildren(...precisions.map((id) => new Option(id, id)));
    form().part_precision.append(...precisions.map((id) => new Option(id, id)));
    form().part.append(...choices.listParts().map((part) => new Option(part.replaceAll("_", " "), part)));
    for (const name of ["model2", "model3"]) {
      form()[name].append(...options.map(({ value, textContent }) => new Option(textContent, value)));
    }
    byId("explorer").hidden = false;
    listen();
    let width = plot.widthOf(byId("roofline"));
    new ResizeObserver(() => {
      if (plot.widthOf(byId("roofline")) === width || !taken.length) return;
      width = plot.widthOf(byId("roofline"));
      plot.draw(byId("roofline"), taken, key.openTooltip);
      whatIf.show(taken);
    }).observe(byId("roofline"));
    // #content is the target of the skip link, not a choice
    addEventListener("hashchange", () => location.hash !== "#content" && read());
    read();
  }

  addEventListener("DOMContentLoaded", start);
})();

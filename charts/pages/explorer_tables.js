"use strict";

// The tables below the picture: steps, memory and ops. A column is sorted by the button in its head.
explorer.tables = (() => {
  const { results } = explorer;
  const MEMORY = [["weights", "weights", "blue"], ["towers", "towers", "sky"], ["kv", "KV cache", "orange"],
    ["indexer", "indexer keys", "purple"], ["state", "recurrent state", "green"]];
  let sorting = { column: null, descending: true }; // of the ops

  function element(tag, properties = {}, ...children) {
    const { style, data, ...others } = properties;
    const made = Object.assign(document.createElement(tag), others);
    for (const [name, value] of Object.entries(style ?? {})) made.style.setProperty(name, value);
    Object.assign(made.dataset, data ?? {});
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  const percent = (share) => (share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`);
  const swatch = (colour) => element("span", { className: "swatch", ariaHidden: "true", style: { "--of": colour } });
  const heading = (...children) => element("th", { scope: "row" }, ...children);
  const number = (value, small = null) =>
    element("td", { className: "number" }, value, small && element("span", { className: "small" }, small));

  // A name that begins with # heads a column of numbers.
  function head(names) {
    const cells = names.map((name) =>
      element("th", { scope: "col", className: name.startsWith("#") ? "number" : "" }, name.replace(/^#/, "")));
    return element("thead", {}, element("tr", {}, ...cells));
  }

  const gigabytes = (bytes) => legible(bytes / 1e9);
  // Of a pipeline that is not full, the time in which a device waits is bound by nothing.
  const waiting = ({ bubble_s: idle, lower_bound_s: all }) => (idle / all > 0.005 ? `, ${percent(idle / all)} waiting for other stages` : "");
  const boundOf = ({ bound, ...step }) => `${bound} ${percent(step[`${bound}_s`] / step.lower_bound_s)}${waiting(step)}`;

  // "64.2 of 80 GB", or that it does not fit
  function memoryText({ memory, device, fits }) {
    if (!memory) return "not known";
    const told = `${gigabytes(memory.total)} of ${gigabytes(device.memory_bytes)} GB`;
    return fits ? told : `does not fit: ${told}`;
  }

  // How much of the least time calibrations cover, if it is not all of it.
  function calibratedText({ covered_share: share }) {
    if (share >= 0.9995) return null;
    return `${share < 0.995 ? percent(share) : ">99%"} calibrated`;
  }

  function expectedText({ expected, device }) {
    if (expected) return [legible(expected.predicted_s, "s"), calibratedText(expected)];
    return ["not calibrated", device.id === "own" ? "your device" : null];
  }

  function showSteps(place, taken) {
    const steps = taken.flatMap((model) => model.steps.filter(results.isDrawn));
    const hasModels = taken.length > 1;
    if (!steps.length) return place.replaceChildren();
    const longest = Math.max(...steps.map(results.best));
    const time = results.isExpected(steps) ? results.best : ({ lower_bound_s: least }) => least; // the order of the finding
    const rows = [...steps].sort((a, b) => time(a) - time(b)).map((step) => {
      const { device, model, expected } = step;
      const roofs = explorer.plot.drawnRoofs(taken.find((each) => each.model === model), device);
      const bar = element("span", { className: "bar", style: { "--of": device.colour } },
        element("i", { style: { width: `${(100 * results.best(step)) / longest}%` } }),
        element("b", { style: { left: `${(100 * step.lower_bound_s) / longest}%` } }));
      const [told, small] = expectedText(step);
      return element(
        "tr", {}, heading(swatch(device.colour), " ", device.name), hasModels ? element("td", {}, model.name) : null,
        number(legible(step.lower_bound_s, "s")),
        element("td", { className: expected ? "number" : "number none" }, told, small && element("span", { className: "small" }, small)),
        step.setting.phase ? number(legible(results.tokens(step)), expected ? "expected" : "at most") : number(""),
        element("td", { className: step.fits === false ? "over" : "" }, memoryText(step)),
        element("td", {}, boundOf(step)),
        element("td", {}, bar),
        ofRoofs(roofs, ({ peak_flops_per_s: peak }) => legible(peak, "FLOP/s")),
        number(roofs.length ? legible(roofs[0].bandwidth_bytes_per_s, "B/s") : ""),
        ofRoofs(roofs, ({ ridge_flops_per_byte: ridge }) => legible(ridge)),
        element("td", { title: origins(roofs) }, roofs[0]?.basis ?? ""),
      );
    });
    const names = ["device", ...(hasModels ? ["model"] : []), "#least time", "#expected time", "#tokens/s",
      "memory", "bound", "relative to the longest", "#peak", "#bandwidth", "#ridge, FLOP/byte", "basis"];
    place.replaceChildren(head(names), element("tbody", {}, ...rows));
    return undefined;
  }

  // A number per dtype, each named if there are several.
  function ofRoofs(roofs, say) {
    const lines = roofs.map((roof) => [say(roof), roofs.length > 1 ? ` ${roof.dtype}` : ""].join(""));
    return element("td", { className: "number" }, ...lines.map((line) => element("div", {}, line)));
  }

  const origins = (roofs) => [...new Set(roofs.flatMap((roof) => [roof.peak_origin, roof.bandwidth_origin]))].join("\n");

  // A bar a device: the parts of its memory, beside what it has.
  function showMemory(place, taken) {
    const steps = taken.flatMap((model) => model.steps.filter((step) => results.isDrawn(step) && step.memory));
    const most = Math.max(...steps.map(({ memory, device }) => Math.max(memory.total, device.memory_bytes)));
    const used = MEMORY.filter(([part]) => steps.some(({ memory }) => memory[part] > 0));
    const rows = steps.map((step) => {
      const { memory, device, model, fits } = step;
      const width = (bytes) => ({ width: `${((100 * bytes) / most).toFixed(3)}%` });
      const parts = used.map(([part, , colour]) =>
        element("i", { style: { ...width(memory[part]), "--of": `var(--${colour})` }, title: `${part} ${gigabytes(memory[part])} GB` }));
      const limit = element("b", { style: { left: `${(100 * device.memory_bytes) / most}%` }, title: `${gigabytes(device.memory_bytes)} GB` });
      return element("tr", { className: fits ? "" : "over" },
        heading(swatch(device.colour), " ", device.name, taken.length > 1 ? element("span", { className: "small" }, model.name) : null),
        element("td", { className: "wide" }, element("span", { className: "stack" }, ...parts, limit)),
        ...used.map(([part]) => number(gigabytes(memory[part]))), number(gigabytes(memory.activations)),
        element("td", {}, memoryText(step)));
    });
    if (!rows.length) return place.replaceChildren();
    const header = head(["device", "of a device, GB", ...used.map(([, name]) => `#${name}`), "#activations, besides", "fits"]);
    used.forEach(([, , colour], i) => header.rows[0].cells[i + 2].prepend(swatch(`var(--${colour})`), " "));
    place.replaceChildren(header, element("tbody", {}, ...rows));
    return undefined;
  }

  function listColumns(drawn) {
    return [
      ["op", (op) => op.op], ...drawn.map((step) => [`#${step.device.name}`, (_, i) => opSeconds(step, i)]),
      ["#FLOP/byte", (op) => op.flops / op.bytes], ["#FLOP", (op) => op.flops], ["#bytes", (op) => op.bytes],
      ["#times a step", (op) => op.repeat], ["group", (op) => op.op_group],
    ];
  }

  const opSeconds = ({ points }, i) => (points[i] ? points[i].repeat * points[i].seconds : 0);

  function showOps(place, taken, again) {
    place.replaceChildren(...taken.filter(({ refused }) => !refused).map((model) => drawOps(model, taken.length > 1, again)));
  }

  function drawOps(model, isNamed, again) {
    const drawn = model.steps.filter(results.isDrawn);
    const columns = listColumns(drawn);
    const by = columns[sorting.column] ?? columns[1];
    const values = model.ops.map(by[1]);
    const compare = (a, b) => (typeof values[a] === "string" ? values[a].localeCompare(values[b]) : values[a] - values[b]);
    const order = model.ops.map((_, i) => i).sort((a, b) => (sorting.descending ? compare(b, a) : compare(a, b)) || a - b);
    const rows = order.map((i) => {
      const { op, op_group, repeat, flops, bytes, dtype } = model.ops[i];
      return element("tr", {}, heading(op), ...drawn.map((step) => opCell(step, i)), number(legible(flops / bytes)),
        number(legible(flops, "FLOP"), model.needed.length > 1 ? dtype : null), number(legible(bytes, "B")),
        number(legible(repeat)), element("td", {}, op_group));
    });
    const total = (cost, level) => model.ops.reduce((sum, op) => sum + (op.level === level || !level ? op.repeat * op[cost] : 0), 0);
    const [flops, bytes] = [total("flops"), total("bytes", "dram")];
    const sums = element("tr", {}, heading("step"),
      ...drawn.map(stepCell), number(legible(flops / bytes)),
      number(legible(flops, "FLOP")), number(legible(bytes, "B")), element("td"), element("td"));
    const sorted = columns.indexOf(by);
    const header = element("thead", {}, element("tr", {}, ...columns.map(([name], column) => {
      const button = element("button", { type: "button", tabIndex: column === sorted ? 0 : -1, data: { column } }, name.replace(/^#/, ""));
      const cell = element("th", { scope: "col", className: name.startsWith("#") ? "number" : "" }, button);
      if (column === sorted) cell.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
      return cell;
    })));
    header.addEventListener("click", ({ target }) => {
      const column = Number(target.closest("button")?.dataset.column ?? NaN);
      if (Number.isNaN(column)) return;
      const isNumber = columns[column][0].startsWith("#");
      sorting = { column, descending: sorted === column ? !sorting.descending : isNumber };
      again();
      place(model, column)?.focus();
    });
    const place = ({ model: { id } }, column) =>
      [...document.querySelectorAll("#ops table")].find((table) => table.dataset.model === id)?.querySelector(`button[data-column="${column}"]`);
    const caption = `${isNamed ? `${model.model.name}: ` : ""}FLOP and bytes of one execution, least seconds of all that a step has; the last row is the whole step`;
    return element("table", { className: "sortable", data: { model: model.model.id } }, element("caption", {}, caption), header,
      element("tbody", {}, ...rows), element("tfoot", {}, sums));
  }

  function stepCell(step) {
    const expected = step.expected && `expected ${legible(step.expected.predicted_s, "s")}`;
    const lines = [boundOf(step), expected].filter(Boolean).map((line) => element("span", { className: "small" }, line));
    return element("td", { className: "number" }, legible(step.lower_bound_s, "s"), ...lines);
  }

  // Least seconds of all executions, what limits, and what is expected and measured of it.
  function opCell({ points, expected, measured }, i) {
    const point = points[i];
    if (!point) return number("", "no link");
    const { repeat, seconds, bound } = point;
    const lines = [];
    if (expected?.ops[i]?.isCovered) lines.push(`expected ${legible(expected.ops[i].seconds, "s")}`);
    const kernel = measured?.[i];
    if (kernel) {
      lines.push(`measured ${legible(kernel.seconds * repeat, "s")}`, `headroom ×${legible(kernel.seconds / kernel.lower_bound_s)}`);
    }
    return element("td", { className: "number", title: kernel ? `${kernel.software}, ${kernel.method}` : "" },
      legible(repeat * seconds, "s"), ...[bound, ...lines].map((line) => element("span", { className: "small" }, line)));
  }

  return { element, swatch, heading, number, head, percent, gigabytes, memoryText, boundOf, waiting, calibratedText, showSteps, showMemory, showOps };
})();

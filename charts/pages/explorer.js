"use strict";

// A scope of its own: the names of the Vega bundle are global.
(() => {
  const MOST_DEVICES = 8;
  const FIRST_DEVICES = ["h100-sxm", "a100-80gb-sxm", "mi300x"];
  const FIRST = {
    model: "llama-3.1-8b", convention: "engine", phase: "decode", precision: "bf16", batch: "8", sequence: "1024",
  };
  // in this order: each choice narrows the values of the next
  const CHOICES = ["convention", "phase", "precision", "batch", "sequence", "query"];
  const SLIDERS = ["batch", "sequence", "query"];
  const COLUMNS = {
    convention: "convention", phase: "phase", precision: "precision_id", batch: "batch_size",
    sequence: "sequence_length", query: "query_length",
  };
  // the palette of charts/style.py, which the style sheet has for both colour schemes, and the ink
  const NAMES = ["blue", "vermilion", "green", "purple", "orange", "sky", "ink", "grey"];
  const COLOURS = NAMES.map((name) => `var(--${name})`);
  const GROUPS = [
    "qkv mlp", "up/gate/down", "qk/pv", "out", "attention", "norm", "elementwise", "lm_head", "router", "embedding",
  ];
  const SHAPES = [
    "circle", "square", "triangle-up", "diamond", "triangle-up", "triangle-down", "cross", "triangle-right",
    "triangle-left", "M-.9,-.3L-.9,.3L.9,.3L.9,-.3Z",
  ];
  const DASHES = [[1, 0], [7, 4], [2, 3], [10, 3, 2, 3]];
  const SELECTED = [
    "hardware_id", "op", "op_group", "repeat", "flops", "bytes", "intensity_flops_per_byte", "attainable_flops_per_s",
    "lower_bound_s", "bound",
  ].join(", ");
  const TOOLTIP = [
    ["device", "device"], ["op", "op"], ["op_group", "group"], ["dtype", "arithmetic"], ["repeat", "times a step", ""],
    ["flops", "FLOP", "FLOP"], ["bytes", "bytes", "B"], ["intensity", "FLOP/byte", ""],
    ["attainable", "attainable", "FLOP/s"], ["seconds", "least time", "s"], ["bound", "bound"],
  ];

  const byId = (id) => document.getElementById(id);
  const devices = new Map(); // by id: name, vendor, and a roof per dtype
  const dtypes = new Map(); // by precision, in the order of the list: those of its arithmetic, the main one first
  const files = new Map(); // by model id: the name of its script, if it differs from the id
  const models = new Map(); // by id: a promise of its data, and then its settings
  const state = { devices: [] };
  let drawn = 0;
  let view = null;

  // The data scripts call these.
  window.explorer = {
    know({ devices: facts, roofs, precisions, files: named }) {
      for (const [id, file] of Object.entries(named)) files.set(id, file);
      for (const { precision_id: id, dtype } of decode(precisions)) {
        if (!dtypes.has(id)) dtypes.set(id, []);
        dtypes.get(id).push(dtype);
      }
      for (const { hardware_id: id, short_name: name, vendor } of decode(facts)) {
        devices.set(id, { id, name, vendor, roofs: new Map() });
      }
      for (const row of decode(roofs)) {
        if (row.level === "dram" && row.pipe === "") devices.get(row.hardware_id).roofs.set(row.dtype, row);
      }
    },
    add(model, { settings, lists }) {
      models.get(model).settings = decode(settings).map(({ ops, dtypes: kinds, flops, bytes, ...setting }) => {
        const [names, groups, repeats] = lists.ops[ops];
        return {
          ...setting,
          ops: names.map((op, i) => ({
            op, op_group: groups[i], repeat: repeats[i], dtype: lists.dtypes[kinds][i], flops: lists.flops[flops][i],
            bytes: lists.bytes[bytes][i],
          })),
        };
      });
    },
  };

  function decode(columns) {
    const names = Object.keys(columns);
    return columns[names[0]].codes.map((_, i) =>
      Object.fromEntries(names.map((name) => {
        const { values, codes } = columns[name];
        return [name, values ? values[codes[i]] : codes[i]];
      })),
    );
  }

  // The roofline: the lower of two ceilings.
  function attainable(roof, intensity) {
    return Math.min(roof.peak_flops_per_s, intensity * roof.bandwidth_bytes_per_s);
  }

  function place(op, roof) {
    const intensity = op.flops / op.bytes;
    return {
      ...op,
      intensity,
      attainable: attainable(roof, intensity),
      seconds: Math.max(op.flops / roof.peak_flops_per_s, op.bytes / roof.bandwidth_bytes_per_s),
      bound: intensity >= roof.ridge_flops_per_byte ? "compute" : "memory",
    };
  }

  // The script of a model is loaded once, when the model is first chosen.
  function loadModel(id) {
    if (!models.has(id)) {
      const loading = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `../assets/points/${encodeURIComponent(files.get(id) ?? id)}.js`;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`The data of ${id} could not be loaded.`));
        document.head.append(script);
      });
      models.set(id, { loading });
      loading.catch(() => models.delete(id));
    }
    return models.get(id).loading;
  }

  function readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const name of ["model", ...CHOICES]) state[name] = address.get(name) ?? FIRST[name] ?? null;
    state.devices = (address.get("devices") ?? FIRST_DEVICES.join(",")).split(",");
    state.given = new Set(address.keys());
    state.chosen = new Set(address.keys());
    update();
  }

  function writeAddress() {
    const parts = [["devices", state.devices.join(",")], ["model", state.model]];
    for (const name of CHOICES) if (!byName(name).closest("label").hidden) parts.push([name, state[name]]);
    const address = `#${new URLSearchParams(parts)}`.replaceAll("%2C", ",");
    if (address !== location.hash) history.replaceState(null, "", address);
  }

  const byName = (name) => byId("controls").elements[name];
  const text = (value) => (value === null ? "none" : String(value));

  // Replace choices that do not exist, and note each replacement.
  function settleDevices(notes) {
    const known = [...new Set(state.devices)].filter((id) => devices.has(id));
    const unknown = state.devices.filter((id) => id && !devices.has(id));
    if (unknown.length) notes.push(`No device is called ${unknown.join(", ")}.`);
    if (known.length > MOST_DEVICES) notes.push(`Only the first ${MOST_DEVICES} devices are drawn.`);
    state.devices = known.slice(0, MOST_DEVICES);
    if (!state.devices.length) state.devices = FIRST_DEVICES.filter((id) => devices.has(id));
    if (!state.devices.length) state.devices = [devices.keys().next().value];
  }

  function settleModel(notes) {
    const select = byName("model");
    const ids = [...select.options].map((option) => option.value);
    if (!ids.includes(state.model)) {
      if (state.given.has("model")) notes.push(`No model is called ${state.model}.`);
      state.model = ids.includes(FIRST.model) ? FIRST.model : ids[0];
    }
    select.value = state.model;
  }

  function settleSetting(notes) {
    let left = models.get(state.model).settings;
    for (const name of CHOICES) {
      const column = COLUMNS[name];
      const values = [...new Set(left.map((setting) => setting[column]))].sort(order(name));
      const isOpen = name === "precision" && !state.chosen.has(name);
      const chosen = nearest(values, isOpen ? published() : state[name], FIRST[name]);
      if (state.given.has(name) && text(chosen) !== state[name]) {
        notes.push(`${modelName()} has no ${name} ${state[name]} at this setting; ${text(chosen)} is shown.`);
      }
      state[name] = text(chosen);
      (SLIDERS.includes(name) ? fillSlider : fillSelect)(byName(name), values.map(text), state[name]);
      left = left.filter((setting) => setting[column] === chosen);
    }
    return left[0];
  }

  // What a model is shown in until the reader chooses a precision.
  const published = () => byName("model").selectedOptions[0].dataset.published;

  function order(name) {
    const precisions = [...dtypes.keys()];
    if (name === "precision") return (a, b) => precisions.indexOf(a) - precisions.indexOf(b);
    if (SLIDERS.includes(name)) return (a, b) => a - b;
    return (a, b) => text(a).localeCompare(text(b));
  }

  function nearest(values, wanted, first) {
    const same = values.find((value) => text(value) === wanted);
    if (same !== undefined) return same;
    const far = (value) => Math.abs(Math.log(value / wanted));
    if (typeof values[0] === "number" && wanted > 0) return values.reduce((a, b) => (far(b) < far(a) ? b : a));
    return values.find((value) => value === first) ?? values[0];
  }

  function fillSelect(select, values, chosen) {
    const shown = [...select.options].map((option) => option.value);
    const isSame = shown.join("\n") === values.join("\n");
    if (!isSame) select.replaceChildren(...values.map((value) => new Option(value, value)));
    select.value = chosen;
  }

  function fillSlider(slider, values, chosen) {
    slider.values = values;
    slider.max = values.length - 1;
    slider.value = values.indexOf(chosen);
    slider.setAttribute("aria-valuetext", chosen);
    const label = slider.closest("label");
    label.querySelector("output").value = chosen > 0 ? legible(Number(chosen)) : chosen;
    label.hidden = values.length < 2 && slider.name === "query";
    slider.disabled = values.length < 2;
  }

  const modelName = () => byName("model").selectedOptions[0].textContent;

  async function update(notes = []) {
    const turn = ++drawn;
    settleDevices(notes);
    settleModel(notes);
    showDevices();
    try {
      await loadModel(state.model);
    } catch (error) {
      if (turn === drawn) showNotes([...notes, error.message]);
      return;
    }
    if (turn !== drawn) return; // the choices have changed meanwhile
    const setting = settleSetting(notes);
    state.given = new Set();
    writeAddress();
    await show(setting, notes, turn);
  }

  async function show(setting, notes, turn) {
    const needed = dtypes.get(setting.precision_id);
    const chosen = state.devices.map((id, i) => {
      const device = devices.get(id);
      return { ...device, colour: COLOURS[i], lacking: needed.filter((dtype) => !device.roofs.has(dtype)) };
    });
    const roofed = chosen.filter(hasRoofs).map((device) => withStep(device, setting));
    const without = chosen.filter((device) => !hasRoofs(device));
    const idle = setting.ops.filter((op) => op.flops === 0).map((op) => op.op);
    for (const dtype of needed) {
      const names = without.filter(({ lacking }) => lacking[0] === dtype).map(({ name }) => name);
      if (names.length) notes.push(`Not on the chart, because no ${dtype} roof is known: ${names.join(", ")}.`);
    }
    if (idle.length) notes.push(`Only in the table, because they have no FLOP: ${idle.join(", ")}.`);
    showNotes(notes);
    showChips(chosen);
    byId("finding").textContent = finding(roofed, setting, needed);
    byId("setting").textContent = describe(setting, needed);
    showSteps(roofed);
    showOps(roofed, setting);
    byId("sql").textContent = sql(setting);
    await draw(roofed, setting, turn);
  }

  // A step is all of its ops: a device that lacks the roof of one of them is not drawn.
  const hasRoofs = ({ lacking }) => !lacking.length;

  // Each op lies under the roof of the dtype that its arithmetic runs in.
  function withStep(device, { precision_id: precision, ops }) {
    const points = ops.map((op) => place(op, device.roofs.get(op.dtype)));
    const used = new Set(ops.filter(({ flops }) => flops).map(({ dtype }) => dtype));
    const roofs = dtypes.get(precision).filter((dtype) => used.has(dtype)).map((dtype) => device.roofs.get(dtype));
    const sum = (some) => some.reduce((seconds, point) => seconds + point.repeat * point.seconds, 0);
    const of = (bound) => sum(points.filter((point) => point.bound === bound));
    return { ...device, points, drawn: roofs, seconds: sum(points), memory: of("memory"), compute: of("compute") };
  }

  function finding(roofed, setting, needed) {
    if (!roofed.length) return `None of the chosen devices has a roof for ${needed.join(" and ")}`;
    const sorted = [...roofed].sort((a, b) => a.seconds - b.seconds);
    const [fastest, slowest] = [sorted[0], sorted.at(-1)];
    const what = setting.phase ? `a ${setting.phase} step of ${modelName()}` : modelName();
    const factor = slowest.seconds / fastest.seconds;
    const takes = `takes at least ${legible(fastest.seconds, "s")}`;
    const bounds = `${percent(fastest[mostBound(fastest)] / fastest.seconds)} of it is ${mostBound(fastest)}-bound`;
    if (roofed.length === 1) return `On ${fastest.name}, ${what} ${takes}; ${bounds}`;
    if (factor < 1.005) return `On all of these devices, ${what} ${takes}; ${bounds}`;
    const lead = `${fastest.name} is fastest, ${legible(factor)} times as fast as ${slowest.name}`;
    return `${lead}: ${what} ${takes}; ${bounds}`;
  }

  const mostBound = ({ memory, compute }) => (memory >= compute ? "memory" : "compute");
  const shareBound = (device) => `${mostBound(device)} ${percent(device[mostBound(device)] / device.seconds)}`;

  function describe(setting, needed) {
    const { convention, precision_id, batch_size, sequence_length, query_length } = setting;
    const parts = [`${precision_id}, arithmetic in ${needed.join(" and ")}`, `${convention} convention`];
    const sizes = { batch: batch_size, sequence: sequence_length, "query tokens": query_length };
    for (const [name, size] of Object.entries(sizes)) if (size !== null) parts.push(`${name} ${legible(size)}`);
    return `${parts.join(" · ")} · one device, whether or not it fits in memory · times at the roof, without overhead`;
  }

  function showNotes(notes) {
    byId("notes").replaceChildren(...notes.map((note) => element("p", {}, note)));
  }

  function showDevices() {
    byId("chosen").textContent = state.devices.length;
    const isFull = state.devices.length >= MOST_DEVICES;
    for (const box of byId("devices").querySelectorAll("input")) {
      box.checked = state.devices.includes(box.value);
      box.disabled = !box.checked && isFull;
    }
  }

  function showChips(chosen) {
    const chip = ({ id, name, lacking, colour }) => {
      const label = lacking.length ? `${name}: no ${lacking[0]} roof` : name;
      const isLast = chosen.length === 1;
      const properties = { type: "button", className: lacking.length ? "without" : "", disabled: isLast };
      const button = element("button", properties, swatch(colour), label);
      if (!isLast) button.append(element("span", { ariaHidden: "true" }, "×"));
      button.setAttribute("aria-label", isLast ? label : `Remove ${label}`);
      button.addEventListener("click", async () => {
        await choose(id, false);
        byId("chips").querySelector("button").focus();
      });
      return element("li", {}, button);
    };
    byId("chips").replaceChildren(...chosen.map(chip));
  }

  function choose(id, isChosen) {
    const others = state.devices.filter((other) => other !== id);
    if (!isChosen && !others.length) return update(["At least one device is drawn."]);
    state.devices = isChosen ? [...others, id] : others;
    return update();
  }

  function showSteps(roofed) {
    const longest = Math.max(...roofed.map((device) => device.seconds));
    const rows = [...roofed].sort((a, b) => a.seconds - b.seconds).map((device) => {
      const { drawn: roofs, seconds, memory } = device;
      const bar = element("span", { className: "bar" }, element("i", {}));
      bar.style.setProperty("--of", device.colour);
      bar.firstChild.style.width = `${(100 * seconds) / longest}%`;
      return element(
        "tr", {}, heading(swatch(device.colour), " ", device.name), number(legible(seconds, "s")), element("td", {}, bar),
        number(percent(memory / seconds)), ofRoofs(roofs, ({ peak_flops_per_s: peak }) => legible(peak, "FLOP/s")),
        number(legible(roofs[0].bandwidth_bytes_per_s, "B/s")),
        ofRoofs(roofs, ({ ridge_flops_per_byte: ridge }) => legible(ridge)),
        element("td", { title: origins(roofs) }, roofs[0].basis),
      );
    });
    const names = ["device", "#least time", "relative to the longest", "#memory-bound", "#peak", "#bandwidth", "#ridge, FLOP/byte", "basis"];
    byId("steps").replaceChildren(head(names), element("tbody", {}, ...rows));
  }

  // A number per dtype, each named if there are several.
  function ofRoofs(roofs, say) {
    const lines = roofs.map((roof) => [say(roof), roofs.length > 1 ? ` ${roof.dtype}` : ""].join(""));
    return element("td", { className: "number" }, ...lines.map((line) => element("div", {}, line)));
  }

  const origins = (roofs) =>
    [...new Set(roofs.flatMap((roof) => [roof.peak_origin, roof.bandwidth_origin]))].join("\n");

  function showOps(roofed, { ops }) {
    const first = roofed[0]?.points ?? ops;
    const share = ({ repeat, seconds }) => repeat * (seconds ?? 0);
    const longestFirst = ops.map((_, i) => i).sort((a, b) => share(first[b]) - share(first[a]) || a - b);
    const rows = longestFirst.map((i) => {
      const { op, op_group, repeat, flops, bytes } = ops[i];
      return element(
        "tr", {}, heading(op), element("td", {}, op_group), number(legible(repeat)), ...costs(flops, bytes),
        ...roofed.map(({ points }) => time(points[i].seconds, points[i].bound)),
      );
    });
    const total = (cost) => ops.reduce((sum, op) => sum + op.repeat * op[cost], 0);
    const [flops, bytes] = [total("flops"), total("bytes")];
    const sums = element(
      "tr", {}, heading("step"), element("td", {}), element("td", {}), ...costs(flops, bytes),
      ...roofed.map((device) => time(device.seconds, shareBound(device))),
    );
    const names = ["op", "group", "#repeat", "#FLOP", "#bytes", "#FLOP/byte"];
    byId("ops").replaceChildren(
      element("caption", {}, "FLOP, bytes and least time of one execution; the last row is the whole step"),
      head(names, roofed.map(({ name }) => name)), element("tbody", {}, ...rows), element("tfoot", {}, sums),
    );
  }

  function sql(setting) {
    const quoted = (value) => `'${value.replaceAll("'", "''")}'`;
    const is = (column, value) =>
      value === null ? `${column} is null` : `${column} = ${typeof value === "string" ? quoted(value) : value}`;
    const terms = [`hardware_id in (${state.devices.map(quoted).join(", ")})`, is("model_id", state.model)];
    for (const column of Object.values(COLUMNS)) terms.push(is(column, setting[column]));
    for (const sharing of ["tensor", "expert", "pipeline", "data"]) terms.push(`${sharing}_parallel = 1`);
    return `select ${SELECTED} from mart.roofline_point where ${terms.join(" and ")} order by hardware_id, op`;
  }

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const heading = (...children) => element("th", { scope: "row" }, ...children);
  const number = (value) => element("td", { className: "number" }, String(value));
  const costs = (flops, bytes) =>
    [legible(flops, "FLOP"), legible(bytes, "B"), legible(flops / bytes)].map(number);
  const time = (seconds, bound) =>
    element("td", { className: "number" }, legible(seconds, "s"), element("span", { className: "small" }, bound));

  // A name that begins with # heads a column of numbers.
  function head(names, numbers = []) {
    const cells = names.map((name) =>
      element("th", { scope: "col", className: name.startsWith("#") ? "number" : "" }, name.replace(/^#/, "")),
    );
    cells.push(...numbers.map((name) => element("th", { scope: "col", className: "number" }, name)));
    return element("thead", {}, element("tr", {}, ...cells));
  }

  function swatch(colour) {
    const made = element("span", { className: "swatch", ariaHidden: "true" });
    made.style.setProperty("--of", colour);
    return made;
  }

  const percent = (share) => legible(share, "%");

  // The ranges cover all sizes, so that the points move, and not the axes, when a size changes.
  function ranges(roofed, setting) {
    const same = ({ convention, phase, precision_id }) =>
      convention === setting.convention && phase === setting.phase && precision_id === setting.precision_id;
    const roofs = roofed.flatMap((device) => device.drawn);
    const ops = models.get(state.model).settings.filter(same).flatMap(({ ops }) => ops);
    const at = [
      ...new Set(ops.map(({ flops, bytes }) => flops / bytes)), ...roofs.map((roof) => roof.ridge_flops_per_byte),
    ].filter((intensity) => intensity > 0);
    const across = [Math.min(0.6, at.reduce((a, b) => Math.min(a, b)) / 1.6), 3 * at.reduce((a, b) => Math.max(a, b))];
    const lowest = Math.min(...roofs.map((roof) => attainable(roof, across[0])));
    return [across, [0.8 * lowest, 2 * Math.max(...roofs.map((roof) => roof.peak_flops_per_s))]];
  }

  function axis(field, domain, title, inks, most) {
    const decades = [];
    for (let i = Math.ceil(Math.log10(domain[0])); i <= Math.log10(domain[1]); i++) decades.push(Number(`1e${i}`));
    const every = Math.ceil(decades.length / most);
    const labelled = JSON.stringify(decades.filter((_, i) => i % every === 0));
    const format = "format(datum.value, datum.value < 1 ? '~g' : '~s')";
    return {
      field,
      type: "quantitative",
      scale: { type: "log", domain, nice: false },
      axis: {
        title, values: decades, gridColor: inks.line, labelOverlap: false,
        labelExpr: `indexof(${labelled}, datum.value) < 0 ? '' : ${format}`,
      },
    };
  }

  const label = ({ name, drawn: roofs }, { dtype }) => (roofs.length > 1 ? `${name}, ${dtype}` : name);

  // Labels at the right end of roofs, moved apart if they would collide.
  function endLabels(roofed, right, gap) {
    const labels = roofed.flatMap((device) =>
      device.drawn.map((roof) => ({ device: label(device, roof), y: Math.log10(attainable(roof, right)) })),
    );
    labels.sort((a, b) => a.y - b.y);
    for (let moved = true, tries = 50; moved && tries; tries--) {
      moved = false;
      for (let i = 1; i < labels.length; i++) {
        const lacking = gap - (labels[i].y - labels[i - 1].y);
        if (lacking < 1e-9) continue;
        labels[i].y += lacking / 2;
        labels[i - 1].y -= lacking / 2;
        moved = true;
      }
    }
    return labels.map(({ device, y }) => ({ device, intensity: right, attainable: 10 ** y }));
  }

  function specification(roofed, setting, across, inks) {
    const isWide = across >= 560;
    const names = roofed.map(({ name }) => name);
    const roofs = roofed.flatMap((device) => device.drawn.map((roof) => ({ device, roof })));
    const longest = Math.max(...roofs.map(({ device, roof }) => label(device, roof).length));
    const width = Math.max(180, across - 78 - (isWide ? Math.min(170, 7.2 * longest + 8) : 6));
    const height = isWide ? 400 : 300;
    const [xs, ys] = ranges(roofed, setting);
    const title = `Operational intensity (FLOP per byte${isWide ? " of DRAM traffic" : ""})`;
    const x = axis("intensity", xs, title, inks, width / 45);
    const y = axis("attainable", ys, "Performance (FLOP/s)", inks, height / 30);
    const range = roofed.map((device) => inks.of(device.colour));
    const color = { field: "device", type: "nominal", legend: null, scale: { domain: names, range } };
    const lines = roofs.flatMap(({ device, roof }) =>
      [xs[0], roof.ridge_flops_per_byte, xs[1]].map((intensity) => ({
        device: device.name, dtype: roof.dtype, intensity, attainable: attainable(roof, intensity),
      })),
    );
    const points = roofed.flatMap((device) => device.points.map((point) => ({ ...point, device: device.name })));
    const layer = [
      {
        data: { values: lines },
        mark: { type: "line", strokeWidth: 2.5 },
        encoding: { x, y, color, strokeDash: dash(setting, roofs) },
      },
      {
        data: { values: points.filter(({ flops }) => flops) },
        mark: { type: "point", fill: inks.ground, strokeWidth: 2, opacity: 1, size: 75 },
        encoding: { x, y, color, shape: shape(setting, width), tooltip: TOOLTIP.map(tooltip) },
      },
    ];
    if (isWide) {
      layer.push({
        data: { values: endLabels(roofed, xs[1], (15 * Math.log10(ys[1] / ys[0])) / height) },
        mark: { type: "text", align: "left", dx: 8, fontSize: 12, color: inks.ink },
        encoding: { x, y, text: { field: "device" } },
      });
    }
    return { width, height, background: null, padding: 4, config: look(inks), layer };
  }

  // The roof of the main dtype is a whole line, those of others are dashed.
  function dash({ precision_id: precision }, roofs) {
    const used = new Set(roofs.map(({ roof }) => roof.dtype));
    const domain = dtypes.get(precision).filter((dtype) => used.has(dtype));
    const scale = { domain, range: DASHES.slice(0, domain.length) };
    const legend = { title: null, orient: "top", direction: "horizontal", symbolType: "stroke", symbolSize: 500 };
    return { field: "dtype", type: "nominal", scale, legend: domain.length > 1 ? legend : null };
  }

  function shape(setting, width) {
    const rank = (group) => (GROUPS.includes(group) ? GROUPS.indexOf(group) : GROUPS.length);
    const domain = [...new Set(setting.ops.filter(({ flops }) => flops).map(({ op_group }) => op_group))];
    domain.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
    const range = domain.map((group, i) => SHAPES[(GROUPS.includes(group) ? rank(group) : i) % SHAPES.length]);
    const columns = Math.max(1, Math.floor(width / 115));
    const legend = { title: null, orient: "bottom", direction: "horizontal", columns, symbolSize: 70 };
    return { field: "op_group", type: "nominal", scale: { domain, range }, legend };
  }

  function tooltip([field, title, unit]) {
    return unit === undefined
      ? { field, title, type: "nominal" }
      : { field, title, type: "quantitative", formatType: "legible", format: unit };
  }

  function look({ ink, grey }) {
    const font = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12 };
    return {
      aria: false,
      customFormatTypes: true,
      font: "system-ui, Helvetica Neue, Arial, Liberation Sans, sans-serif",
      view: { stroke: null },
      axis: { ...font, titleFontWeight: "normal", titlePadding: 8, domainColor: grey, tickColor: grey },
      legend: { ...font, symbolStrokeColor: ink },
    };
  }

  function readInks() {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`).trim();
    const of = (colour) => colour.replace(/^var\(--(\w+)\)$/, (_, name) => ink(name));
    return { ground: ink("ground"), ink: ink("ink"), grey: ink("grey"), line: ink("line"), of };
  }

  // The new picture replaces the old one only when it is complete.
  async function draw(roofed, setting, turn) {
    const plot = byId("roofline");
    plot.setAttribute("aria-label", `Roofline. ${byId("finding").textContent}. The table of ops holds its points.`);
    redraw = () => draw(roofed, setting, drawn);
    if (!roofed.some(({ points }) => points.some(({ flops }) => flops))) return plot.replaceChildren();
    const made = document.createElement("div");
    const inks = readInks();
    // Vega-Lite omits the outline of legend symbols if marks are filled
    const patch = (vega) => {
      for (const { encode } of vega.legends ?? []) if (encode) encode.symbols.update.stroke = { value: inks.ink };
      return vega;
    };
    const tooltip = { theme: "custom" }; // the style sheet has it
    const options = {
      mode: "vega-lite", actions: false, renderer: "svg", patch, tooltip, expressionFunctions: { legible },
    };
    const result = await vegaEmbed(made, specification(roofed, setting, plot.clientWidth - 16, inks), options);
    made.querySelector("svg").setAttribute("aria-hidden", "true"); // the finding and the tables say the same
    if (turn !== drawn) return result.finalize();
    view?.finalize();
    view = result;
    plot.replaceChildren(made);
  }
  let redraw = () => {};

  async function copy(button, copied) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(copied);
    } catch { // not allowed, or not served over https
      const area = document.body.appendChild(element("textarea", { value: copied }));
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  }

  function listDevices() {
    const list = byId("devices");
    for (const vendor of new Set([...devices.values()].map((device) => device.vendor))) {
      const members = [...devices.values()].filter((device) => device.vendor === vendor);
      const title = element("p", { className: "vendor" }, vendor);
      const group = list.appendChild(element("div", { role: "group", ariaLabel: vendor }, title));
      for (const { id, name } of members) {
        const box = element("input", { type: "checkbox", value: id });
        const label = element("label", {}, box, element("span", {}, name));
        label.dataset.text = `${id} ${name} ${vendor}`.toLowerCase();
        group.append(label);
      }
    }
    list.addEventListener("change", ({ target }) => choose(target.value, target.checked));
  }

  function findDevices(words) {
    for (const group of byId("devices").children) {
      const labels = [...group.querySelectorAll("label")];
      for (const label of labels) label.hidden = !words.every((word) => label.dataset.text.includes(word));
      group.hidden = labels.every((label) => label.hidden);
    }
  }

  function start() {
    const form = byId("controls");
    listDevices();
    for (const name of ["model", ...CHOICES]) {
      byName(name).addEventListener("input", ({ target }) => {
        state.chosen.add(name);
        state[name] = target.values ? target.values[target.value] : target.value;
        update();
      });
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    byId("search").addEventListener("input", ({ target }) => findDevices(target.value.toLowerCase().split(/\s+/)));
    byId("share").addEventListener("click", ({ target }) => copy(target, location.href));
    byId("copy-sql").addEventListener("click", ({ target }) => copy(target, byId("sql").textContent));
    byId("explorer").hidden = false;
    let width = byId("roofline").clientWidth;
    new ResizeObserver(() => {
      if (byId("roofline").clientWidth === width) return;
      width = byId("roofline").clientWidth;
      redraw();
    }).observe(byId("roofline"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
    addEventListener("hashchange", readAddress);
    readAddress();
  }

  addEventListener("DOMContentLoaded", start);
})();

"use strict";

// What is chosen: read from the page's address, mended where it names what does not exist, and written back.
explorer.choices = (() => {
  const MOST_DEVICES = 8;
  const MOST_MODELS = 3;
  const FIRST_DEVICES = ["h100-sxm", "a100-80gb-sxm", "mi300x"];
  const FIRST_MODEL = "llama-3.1-8b";
  const CONVENTIONS = ["engine", "paper", "llm-viewer"];
  const PHASES = ["prefill", "decode", "speculative", "mixed"];
  const SHARING = ["tp", "ep", "pp", "dp"];
  const FIRST = {
    convention: "engine", phase: "decode", precision: "bf16", batch: 8, sequence: 1024, query: null, tp: 1, ep: 1, pp: 1,
    dp: 1,
  };
  const NAMES = ["devices", "model", "parts", "own", "whatif", ...Object.keys(FIRST)];
  const MOST = { batch: 1e6, sequence: 1e8, query: 1e8, tp: 16, ep: 64, pp: 16, dp: 64 };
  const OWN = { bandwidth: 4000, memory: 100, link: 450 }; // GB/s, GB, GB/s
  const OWN_PEAKS = { fp16: 1000, bf16: 1000 }; // TFLOP/s; a dtype without one is not supported
  const OWN_NAMES = { bandwidth: "Bandwidth, GB/s", memory: "Memory, GB", link: "Link, GB/s" };
  const [LEAST_OWN, MOST_OWN] = [1e-4, 1e6]; // what a chart can show
  const LONGEST = 60; // letters of an address that a note repeats
  const FACTORS = ["bandwidth", "peak", "memory", "link"];
  const [LEAST_FACTOR, MOST_FACTOR] = [0.25, 4];

  const state = { models: [], devices: [], parts: {}, own: { ...OWN }, peaks: { ...OWN_PEAKS }, scale: {}, scaled: null };
  let models = []; // { id, name, published, hasFormulas }

  const shorten = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
  const findModel = (id) => models.find((model) => model.id === id);
  const chosenModels = () => state.models.map(findModel);

  function begin(list) {
    models = list;
  }

  function read(hash, notes) {
    const address = new URLSearchParams(hash.replace(/^#/, ""));
    const unknown = [...new Set(address.keys())].filter((name) => !NAMES.includes(name));
    if (unknown.length) notes.push(`There is no choice called ${shorten(unknown.join(", "))}; it is left out.`);
    readDevices(address, notes);
    readModels(address, notes);
    const pick = (name, values) => {
      const given = address.get(name);
      if (given === null || values.includes(given)) return given;
      notes.push(`There is no ${name} ${shorten(given)}; ${FIRST[name]} is shown.`);
      return null;
    };
    state.convention = pick("convention", CONVENTIONS) ?? FIRST.convention;
    state.phase = pick("phase", PHASES) ?? FIRST.phase;
    state.precision = pick("precision", [...explorer.dtypes.keys()]); // null: the one that the model is published in
    for (const name of ["batch", "sequence", ...SHARING]) {
      state[name] = readNumber(name, address.get(name), notes) ?? FIRST[name];
    }
    state.query = state.phase === "decode" ? null : readNumber("query", address.get("query"), notes);
    state.parts = readParts(address.get("parts"), notes);
    readOwn(address.get("own"), notes);
    readScale(address.get("whatif"), notes);
    return address;
  }

  function readDevices(address, notes) {
    const given = (address.get("devices") ?? FIRST_DEVICES.join(",")).split(",").filter(Boolean);
    const isKnown = (id) => id === "own" || explorer.devices.has(id);
    const unknown = given.filter((id) => !isKnown(id));
    if (unknown.length && address.has("devices")) notes.push(`No device is called ${shorten(unknown.join(", "))}.`);
    const known = [...new Set(given)].filter(isKnown);
    if (known.length > MOST_DEVICES) notes.push(`Only the first ${MOST_DEVICES} devices are drawn.`);
    state.devices = known.slice(0, MOST_DEVICES);
    if (!state.devices.length) state.devices = FIRST_DEVICES.filter(isKnown);
    if (!state.devices.length) state.devices = [explorer.devices.keys().next().value];
  }

  function readModels(address, notes) {
    const given = [...new Set(address.getAll("model"))];
    const unknown = given.filter((id) => !findModel(id));
    if (unknown.length) notes.push(`No model is called ${shorten(unknown.join(", "))}.`);
    const known = given.filter(findModel);
    if (known.length > MOST_MODELS) notes.push(`Only the first ${MOST_MODELS} models are drawn.`);
    state.models = known.slice(0, MOST_MODELS);
    if (!state.models.length) state.models = [(findModel(FIRST_MODEL) ?? models[0]).id];
  }

  // A whole number, or null: also for an empty text, which is no mistake.
  function readNumber(name, given, notes) {
    if (given === null || given.trim() === "" || (name === "query" && given === "none")) return null;
    const number = Number(given);
    if (Number.isInteger(number) && number >= 1 && number <= MOST[name]) return number;
    const shown = FIRST[name] === null ? "none" : legible(FIRST[name]);
    notes.push(`${name} is ${shorten(given)}, not a whole number from 1 to ${legible(MOST[name])}; ${shown} is shown.`);
    return null;
  }

  function readParts(given, notes) {
    const parts = {};
    for (const each of (given ?? "").split(",").filter(Boolean)) {
      const [part, precision] = each.split(":");
      if (listParts().includes(part) && explorer.dtypes.has(precision)) parts[part] = precision;
      else notes.push(`No part of a model has the precision ${shorten(each)}; it is left out.`);
    }
    return parts;
  }

  // GB/s, GB and GB/s of the link, and a peak for each dtype; or, before them, one peak of all dtypes.
  function readOwn(given, notes) {
    Object.assign(state, { own: { ...OWN }, peaks: { ...OWN_PEAKS } });
    if (given === null) return;
    const toNumber = (text) => (text?.trim() ? Number(text) : NaN);
    const each = given.split(",").map((text) => text.split(":"));
    const numbers = each.filter((pair) => pair.length === 1).map(([text]) => toNumber(text));
    const peaks = each.filter((pair) => pair.length > 1).map(([dtype, text]) => [dtype, toNumber(text)]);
    const names = Object.keys(OWN);
    if (numbers.length > names.length && !peaks.length) {
      const [peak] = numbers.splice(0, 1);
      peaks.push(...listDtypes().map((dtype) => [dtype, peak]));
    }
    const isGood = numbers.length === names.length && numbers.every((n, i) => isOwn(names[i], n)) && peaks.length &&
      peaks.every(([dtype, n]) => listDtypes().includes(dtype) && isOwn("peak", n));
    if (isGood) {
      names.forEach((name, i) => (state.own[name] = numbers[i]));
      state.peaks = Object.fromEntries(peaks);
    } else {
      notes.push(`own is ${shorten(given)}, not numbers from 0.0001 to 1,000,000: GB/s, GB, GB/s of the link and a peak in ` +
        "TFLOP/s of each dtype, as bf16:1000, or before them one of all; others are shown.");
    }
  }

  function writeOwn() {
    const own = Object.values(state.own);
    const peaks = listOwnDtypes().map((dtype) => state.peaks[dtype]);
    const isOne = peaks.length === listDtypes().length && new Set(peaks).size === 1;
    return (isOne ? [peaks[0], ...own] : [...own, ...listOwnDtypes().map((dtype) => `${dtype}:${state.peaks[dtype]}`)]).join(",");
  }

  // The dtypes that the precisions of the page compute in, and those that the reader's own device has a peak of.
  const listDtypes = () => [...new Set([...explorer.dtypes.values()].flat())].sort();
  const listOwnDtypes = () => listDtypes().filter((dtype) => state.peaks[dtype]);

  // A device may have no link.
  const isOwn = (name, number) => (number >= LEAST_OWN && number <= MOST_OWN) || (name === "link" && number === 0);

  const refusePeak = (dtype, text) =>
    `Peak ${dtype}, TFLOP/s: ${text.trim() ? shorten(text) : "no number"}; expected a number from 0.0001 to 1,000,000, or ` +
    `nothing if the device has none${listOwnDtypes().join() === dtype ? ", but one of some dtype" : ""}; ` +
    `${state.peaks[dtype] ? legible(state.peaks[dtype]) : "none"} is shown.`;

  const refuseOwn = (name, text) =>
    `${OWN_NAMES[name]}: ${text.trim() ? shorten(text) : "no number"}; expected a number from 0.0001 to 1,000,000` +
    `${name === "link" ? ", or 0 for no link" : ""}; ${legible(state.own[name])} is shown.`;

  function readScale(given, notes) {
    Object.assign(state, { scale: Object.fromEntries(FACTORS.map((name) => [name, 1])), moved: "bandwidth", scaled: null });
    if (given === null) return;
    const [device, ...factors] = given.split(",");
    if (state.devices.includes(device)) state.scaled = device;
    else notes.push(`whatif names ${shorten(device) || "no device"}, which is not chosen; ${nameOf(state.devices[0])} is altered.`);
    for (const each of factors) {
      const [name, text] = each.split(":");
      const factor = Number(text);
      if (FACTORS.includes(name) && factor >= LEAST_FACTOR && factor <= MOST_FACTOR) {
        state.scale[name] = factor;
        state.moved = name;
      } else notes.push(`whatif has ${shorten(each)}, not a factor from 0.25 to 4 of ${FACTORS.join(", ")}; it is left out.`);
    }
  }

  const nameOf = (id) => explorer.devices.get(id)?.name ?? "your device";

  function write() {
    const parts = [["devices", state.devices.join(",")], ...state.models.map((id) => ["model", id])];
    for (const name of ["convention", "phase"]) parts.push([name, state[name]]);
    if (state.precision) parts.push(["precision", state.precision]);
    parts.push(["batch", state.batch], ["sequence", state.sequence]);
    if (state.query !== null) parts.push(["query", state.query]);
    for (const name of SHARING) if (state[name] > 1) parts.push([name, state[name]]);
    const overrides = Object.entries(state.parts).map((each) => each.join(":"));
    if (overrides.length) parts.push(["parts", overrides.join(",")]);
    if (state.devices.includes("own")) parts.push(["own", writeOwn()]);
    const factors = FACTORS.filter((name) => state.scale[name] !== 1);
    const last = (name) => (name === state.moved ? 1 : 0); // the one whose curve is drawn comes last
    const told = factors.sort((a, b) => last(a) - last(b)).map((name) => `${name}:${state.scale[name]}`);
    if (told.length) parts.push(["whatif", [state.scaled ?? state.devices[0], ...told].join(",")]);
    return `#${new URLSearchParams(parts)}`.replaceAll("%2C", ",").replaceAll("%3A", ":");
  }

  const listParts = () => ["kv", ...formulas.parts];

  // The setting of a model in the words of costs.js.
  function settingOf(model) {
    const setting = {
      convention: state.convention, phase: state.phase, batch: state.batch, sequence: state.sequence,
      precision: precisionOf(model), parts: state.parts, tensor_parallel: state.tp, expert_parallel: state.ep,
      pipeline_parallel: state.pp, data_parallel: state.dp,
    };
    if (state.query !== null) setting.query = state.query;
    return setting;
  }

  // What a model is shown in until the reader chooses a precision.
  const precisionOf = (model) => state.precision ?? (explorer.dtypes.has(model.published) ? model.published : FIRST.precision);

  function chosenDevices() {
    return state.devices.map((id) => (id === "own" ? ownDevice() : explorer.devices.get(id)));
  }

  function ownDevice() {
    const { bandwidth, memory, link } = state.own;
    const facts = { id: "own", name: "Your device", vendor: "", memory_bytes: memory * 1e9, multiprocessors: null };
    const rates = { bandwidth_bytes_per_s: bandwidth * 1e9, link_bytes_per_s: link * 1e9 };
    return times.makeOwnDevice(facts, rates, listOwnDtypes().map((dtype) => [dtype, state.peaks[dtype] * 1e12]));
  }

  return {
    state, begin, read, write, settingOf, precisionOf, chosenModels, chosenDevices, listParts, readNumber,
    isOwn, refuseOwn, refusePeak, listDtypes, listOwnDtypes,
    CONVENTIONS, PHASES, SHARING, FACTORS, MOST_DEVICES, MOST_MODELS, MOST, FIRST,
  };
})();

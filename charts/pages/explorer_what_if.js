"use strict";

// What if a device had another bandwidth, peak, memory or link: tokens/s over the one that was moved last, and where the
// bottleneck changes. A calibration keeps its efficiencies.
explorer.whatIf = (() => {
  const { choices, results, plot, tables } = explorer;
  const { state, FACTORS } = choices;
  const STEPS = 32; // of the curve, from a quarter to four times
  const UNITS = {
    bandwidth: ["bandwidth", "B/s"], peak: ["peak", "FLOP/s"], memory: ["memory", "B"], link: ["link", "B/s"],
  };
  const factorOf = (step) => 2 ** step;
  const factorText = (factor) => `×${legible(factor)}`;

  // What the device has of each: null if it is not known, or if no other device shares the model, so that nothing is sent.
  function valuesOf(device, dtype, isShared) {
    const [roof, link] = ["dram", "interconnect"].map((level) => times.findRoof(device, level, dtype));
    return {
      bandwidth: roof?.bandwidth_bytes_per_s ?? null, peak: roof?.peak_flops_per_s ?? null,
      memory: device.memory_bytes, link: (isShared && link?.bandwidth_bytes_per_s) || null,
    };
  }

  // A step on the altered device. With other memory, the batch is the largest that fits, since nothing else changes.
  function takeStep({ model, device, setting }, taken, scale, isFilled) {
    const altered = times.scaleDevice(device, scale);
    let from = taken;
    if (isFilled) {
      const batch = largestBatch(model, altered, taken);
      if (!batch) return null;
      from = costs.step(model.id, { ...choices.settingOf(model), batch });
      from.setting.precision_id = setting.precision_id;
    }
    const step = times.takeStep(from.ops, altered, from.setting, from.memory);
    if (step.lacking) return null;
    return { ...step, batch: from.setting.batch_size, expected: times.expectStep(step, altered, from.setting) };
  }

  // Memory is a line over the batch of a replica, so two of its points say where it ends; they are the same of all devices.
  function largestBatch(model, device, { setting }) {
    const asked = choices.settingOf(model);
    const replicas = setting.data_parallel;
    const key = JSON.stringify([model.id, asked]);
    if (line.key !== key) {
      const [one, two] = [1, 2].map((batch) => costs.step(model.id, { ...asked, batch: batch * replicas }).memory.total);
      line = { key, one, two };
    }
    const { one, two } = line;
    if (one > device.memory_bytes) return 0;
    if (two === one) return null;
    return replicas * (1 + Math.floor((device.memory_bytes - one) / (two - one)));
  }
  let line = {};

  function chosenStep(taken) {
    const model = taken.find(({ model: { hasFormulas }, steps }) => hasFormulas && steps.some(results.isDrawn));
    const drawn = model?.steps.filter(results.isDrawn) ?? [];
    const step = drawn.find(({ device }) => device.id === state.scaled) ?? drawn[0];
    return step ? { model, step } : null;
  }

  function show(taken) {
    const place = document.getElementById("what-if");
    const found = chosenStep(taken);
    place.hidden = !found;
    if (place.hidden) return;
    const { model, step } = found;
    fillDevices(model.steps.filter(results.isDrawn), step.device.id);
    const isShared = formulas.sharing.some((name) => step.setting[name] > 1);
    const now = valuesOf(step.device, model.needed[0], isShared);
    for (const name of FACTORS) fillSlider(name, now[name], isShared);
    const moved = now[state.moved] === null ? "bandwidth" : state.moved;
    const curve = trace(step, model, moved);
    const here = takeStep(step, model, state.scale, moved === "memory");
    document.getElementById("what-if-said").textContent = say(step, model, here, curve, moved, now[moved]);
    const sql = here ? explorer.sql.writeWhatIf(step, here.batch, model.needed, state.scale) : "";
    document.getElementById("what-if-sql").textContent = sql;
    document.getElementById("of-what-if-sql").hidden = !sql;
    draw(document.getElementById("what-if-curve"), curve, moved, now[moved], here);
  }

  function fillDevices(steps, chosen) {
    const select = document.getElementById("controls").elements.scaled;
    const options = steps.map(({ device }) => [device.id, device.name]);
    if ([...select.options].map(({ value }) => value).join() !== options.map(([id]) => id).join()) {
      select.replaceChildren(...options.map(([id, name]) => new Option(name, id)));
    }
    select.value = chosen;
  }

  function fillSlider(name, value, isShared) {
    const slider = document.getElementById(`scale-${name}`);
    const factor = state.scale[name];
    const [, unit] = UNITS[name];
    slider.disabled = value === null;
    slider.value = Math.log2(factor);
    const lacking = name === "link" && !isShared ? "not used by one device" : "not known";
    const told = value === null ? lacking : legible(value * factor, unit);
    const text = factor === 1 || value === null ? told : `${told} (${factorText(factor)})`;
    slider.closest("label").querySelector("output").value = text;
    slider.setAttribute("aria-valuetext", text);
  }

  function trace(step, model, moved) {
    const found = [];
    for (let i = 0; i <= STEPS; i++) {
      const factor = factorOf(-2 + (4 * i) / STEPS);
      const taken = takeStep(step, model, { ...state.scale, [moved]: factor }, moved === "memory");
      if (taken) found.push({ factor, least: taken.tokens_per_s, expected: taken.expected?.tokens_per_s ?? null, bound: taken.bound });
    }
    const changes = found.slice(1).flatMap((point, i) => (point.bound === found[i].bound ? [] :
      [locateChange(step, model, moved, found[i], point)]));
    return { found, changes };
  }

  // Where the step's largest part of time becomes another one.
  function locateChange(step, model, moved, before, after) {
    let [low, high] = [before.factor, after.factor];
    for (let i = 0; i < 12; i++) {
      const middle = Math.sqrt(low * high);
      const taken = takeStep(step, model, { ...state.scale, [moved]: middle }, moved === "memory");
      if (taken?.bound === before.bound) low = middle;
      else high = middle;
    }
    return { factor: high, before: before.bound, after: after.bound };
  }

  const rate = (step) => step.expected?.tokens_per_s ?? step.tokens_per_s;

  function say(step, model, here, { changes }, moved, value) {
    const { device, model: { name } } = step;
    if (!here) return `${device.name} with this memory does not hold ${name}`;
    const before = moved === "memory" ? takeStep(step, model, {}, true) ?? step : step;
    const factor = rate(here) / rate(before);
    const kind = here.expected ? "expected" : "at most";
    const batch = moved === "memory" ? `, at the largest batch that fits, ${legible(here.batch)}` : "";
    const lead = `${legible(rate(here))} tokens/s ${kind}${batch}`;
    const change = Math.abs(factor - 1) < 5e-4 ? "as today" : `${factorText(factor)} of today's`;
    const unit = UNITS[moved][1];
    const turns = changes.map((each) => `${each.before}- becomes ${each.after}-bound at ${legible(each.factor * value, unit)}`);
    return `${lead}, ${change}; ${turns.length ? turns.join(", ") : `${here.bound}-bound all along`}`;
  }

  function draw(place, { found, changes }, moved, value, here) {
    const width = Math.max(260, Math.min(640, plot.widthOf(place)));
    const height = 220;
    const frame = { left: 58, right: width - 12, top: 22, bottom: height - 40 };
    if (found.length < 2) return place.replaceChildren();
    const all = found.flatMap(({ least, expected }) => (expected === null ? [least] : [least, expected]));
    const top = 1.08 * Math.max(...all);
    const x = (factor) => frame.left + ((Math.log2(factor) + 2) / 4) * (frame.right - frame.left);
    const y = (tokens) => frame.bottom - (tokens / top) * (frame.bottom - frame.top);
    const { svg, text } = plot;
    const unit = UNITS[moved][1];
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    const told = width < 480 ? [0.25, 1, 4] : [0.25, 0.5, 1, 2, 4];
    for (const factor of told) {
      picture.append(svg("line", { x1: x(factor), x2: x(factor), y1: frame.top, y2: frame.bottom, style: "stroke:var(--line)" }));
      const anchor = factor === 4 ? "end" : factor === 0.25 ? "start" : "middle";
      picture.append(text(x(factor), frame.bottom + 16, legible(factor * value, unit), { "text-anchor": anchor }));
    }
    for (const share of [0, 0.5, 1]) {
      const at = nice(top) * share;
      if (at > top) continue;
      picture.append(svg("line", { x1: frame.left, x2: frame.right, y1: y(at), y2: y(at), style: "stroke:var(--line)" }));
      picture.append(text(frame.left - 6, y(at) + 4, legible(at), { "text-anchor": "end" }));
    }
    picture.append(text(4, 12, moved === "memory" ? "tokens/s at the largest batch that fits" : "tokens/s"));
    picture.append(text((frame.left + frame.right) / 2, height - 6, UNITS[moved][0], { "text-anchor": "middle" }));
    const line = (name, attributes) => {
      const path = found.filter((point) => point[name] !== null).map((point, i) => `${i ? "L" : "M"}${x(point.factor).toFixed(1)},${y(point[name]).toFixed(1)}`);
      return svg("path", { d: path.join(""), style: "fill:none;stroke:var(--blue);stroke-width:2", ...attributes });
    };
    picture.append(line("least", {}));
    if (found.some(({ expected }) => expected !== null)) picture.append(line("expected", { "stroke-dasharray": "6 4" }));
    for (const { factor, before, after } of changes) {
      const at = x(factor);
      picture.append(svg("line", { class: "change", x1: at, x2: at, y1: frame.top, y2: frame.bottom, style: "stroke:var(--vermilion);stroke-dasharray:2 3" }));
      const isRight = at > (frame.left + frame.right) / 2;
      picture.append(text(at + (isRight ? -5 : 5), frame.top + 10, `${before} → ${after}`, { "text-anchor": isRight ? "end" : "start", "font-size": 11 }));
    }
    if (here) picture.append(svg("circle", { cx: x(state.scale[moved]), cy: y(rate(here)), r: 5, style: "fill:var(--ink)" }));
    place.replaceChildren(picture);
    const hasExpected = found.some(({ expected }) => expected !== null);
    document.getElementById("what-if-key").textContent = hasExpected ? "Whole line: at most, at the roof. Dashed: expected, with the efficiencies of today's calibration." : "At most, at the roof.";
    return undefined;
  }

  function nice(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [5, 2, 1].find((digit) => digit * power <= value) * power;
  }

  function listen(update) {
    const { elements } = document.getElementById("controls");
    elements.scaled.addEventListener("input", ({ target }) => {
      state.scaled = target.value;
      update();
    });
    for (const name of FACTORS) {
      elements[`scale_${name}`].addEventListener("input", ({ target }) => {
        state.scale[name] = factorOf(Number(target.value));
        state.moved = name;
        update();
      });
    }
    document.getElementById("what-if-reset").addEventListener("click", () => {
      for (const name of FACTORS) state.scale[name] = 1;
      update();
    });
  }

  return { show, listen, takeStep, trace, chosenStep };
})();

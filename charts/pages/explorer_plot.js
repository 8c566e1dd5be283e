"use strict";

// The roofline as SVG, side by side for several models. Its colours are those of the style sheet, so it follows the scheme.
explorer.plot = (() => {
  const GROUPS = [
    "qkv mlp", "up/gate/down", "qk/pv", "out", "attention", "norm", "elementwise", "lm_head", "router", "embedding",
    "communication",
  ];
  // each as a path of about the area of a circle of radius 1
  const SHAPES = [
    "M0,-1A1,1 0 1 1 0,1A1,1 0 1 1 0,-1Z", "M-.89,-.89H.89V.89H-.89Z", "M0,-1.35L1.17,.68H-1.17Z",
    "M0,-1.3L1.1,0L0,1.3L-1.1,0Z", "M-.4,-1.15H.4V-.4H1.15V.4H.4V1.15H-.4V.4H-1.15V-.4H-.4Z", "M0,1.35L1.17,-.68H-1.17Z",
    "M1.35,0L-.68,1.17V-1.17Z", "M-1.35,0L.68,1.17V-1.17Z", "M-1.3,-.6H1.3V.6H-1.3Z", "M-.6,-1.3H.6V1.3H-.6Z",
    "M-.5,-1.1H.5L1.1,0L.5,1.1H-.5L-1.1,0Z",
  ];
  const DASHES = ["none", "7 4", "2 3", "10 3 2 3", "12 4", "5 2", "1 4", "14 3 2 3 2 3"];
  const [LEAST_RADIUS, MORE_RADIUS] = [3, 12]; // of a mark that takes no time, and what a whole step adds
  const NEAR = 22; // pixels from the pointer to a mark
  const WIDE = 520;
  const NS = "http://www.w3.org/2000/svg";
  const widths = new WeakMap(); // of places, since asking a place for its width lays out all that has changed before
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) widths.set(target, target.clientWidth);
  });
  let spots = [];

  function widthOf(place) {
    if (!widths.get(place)) {
      widths.set(place, place.clientWidth);
      sizes.observe(place);
    }
    return widths.get(place);
  }

  function svg(tag, attributes = {}, ...children) {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const shapeOf = (group) => {
    const rank = GROUPS.indexOf(group);
    return SHAPES[(rank < 0 ? group.length : rank) % SHAPES.length];
  };

  // Roofs of one dtype have one kind of line in all panels, as the key has it.
  const listDtypes = (taken) => [...new Set(taken.flatMap(({ needed }) => needed))];
  const dashOf = (dtype, dtypes) => DASHES[dtypes.indexOf(dtype) % DASHES.length];

  const drawnOps = ({ points }) => points.filter((point) => point && point.flops && point.level === "dram");
  const drawnRoofs = ({ needed, ops }, device) => {
    const used = new Set(ops.filter(({ flops, level }) => flops && level === "dram").map(({ dtype }) => dtype));
    return needed.filter((dtype) => used.has(dtype)).map((dtype) => times.findRoof(device, "dram", dtype));
  };

  // Whole decades, so that the axes stay where they are while sizes change a little.
  function ranges(taken) {
    const [xs, ys] = [[], []];
    for (const model of taken) {
      for (const step of model.steps.filter(explorer.results.isDrawn)) {
        for (const point of drawnOps(step)) {
          xs.push(point.intensity);
          ys.push(point.attainable);
        }
        for (const kernel of step.measured.filter(Boolean)) if (kernel.flops) ys.push(kernel.flops / kernel.seconds);
        for (const roof of drawnRoofs(model, step.device)) {
          xs.push(roof.ridge_flops_per_byte * 1.5);
          ys.push(roof.peak_flops_per_s * 1.2);
        }
      }
    }
    const decades = (values) => [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
    return [decades(xs), decades(ys)];
  }

  function draw(place, taken, openTooltip) {
    spots = [];
    const models = taken.filter((model) => model.steps.some((step) => explorer.results.isDrawn(step) && drawnOps(step).length));
    if (!models.length) return place.replaceChildren();
    const across = Math.max(280, widthOf(place) - 16);
    const columns = across >= models.length * 330 ? models.length : 1;
    const width = Math.floor(across / columns);
    const height = columns === 1 && width >= WIDE ? 440 : 360;
    const rows = Math.ceil(models.length / columns);
    const [xs, ys] = ranges(models);
    const dtypes = listDtypes(taken);
    const picture = svg("svg", {
      viewBox: `0 0 ${width * columns} ${height * rows}`, width: width * columns, height: height * rows, "aria-hidden": "true",
    });
    models.forEach((model, i) => {
      const at = { left: (i % columns) * width, top: Math.floor(i / columns) * height, width, height };
      picture.append(drawPanel(model, at, xs, ys, dtypes, models.length > 1));
    });
    picture.addEventListener("pointermove", (event) => openTooltip(findSpot(picture, event), event));
    picture.addEventListener("pointerleave", () => openTooltip(null));
    place.replaceChildren(picture);
    return undefined;
  }

  function findSpot(picture, { clientX, clientY }) {
    const box = picture.getBoundingClientRect();
    const zoom = picture.viewBox.baseVal.width / box.width;
    const [x, y] = [(clientX - box.left) * zoom, (clientY - box.top) * zoom];
    const far = (spot) => Math.hypot(spot.x - x, spot.y - y) - spot.radius;
    const nearest = spots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return nearest && far(nearest) < NEAR ? nearest : null;
  }

  function drawPanel(model, { left, top, width, height }, xs, ys, dtypes, isNamed) {
    const isWide = width >= WIDE;
    const drawn = model.steps.filter(explorer.results.isDrawn);
    const roofs = drawn.flatMap((step) => drawnRoofs(model, step.device).map((roof) => ({ step, roof })));
    const name = ({ step, roof }) =>
      (drawnRoofs(model, step.device).length > 1 ? `${step.device.name}, ${roof.dtype}` : step.device.name);
    const right = isWide ? Math.min(170, 7 * Math.max(...roofs.map((each) => name(each).length)) + 14) : 14;
    const frame = { left: 56, right: width - right, top: isNamed ? 28 : 10, bottom: height - 44 };
    const scale = ([low, high], from, to) => (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
    const x = scale(xs, frame.left, frame.right);
    const y = scale(ys, frame.bottom, frame.top);
    const panel = svg("g", { transform: `translate(${left},${top})` });
    if (isNamed) panel.append(text(frame.left, 16, model.model.name, { style: "fill:var(--ink);font-weight:600" }));
    panel.append(drawAxes(frame, x, y, xs, ys, isWide));
    const ends = [10 ** xs[0], 10 ** xs[1]];
    for (const { step, roof } of roofs) panel.append(drawRoof(step, roof, dashOf(roof.dtype, dtypes), x, y, ends, ys));
    for (const step of drawn) panel.append(...drawMeasured(step, x, y));
    const marks = drawn.flatMap((step) => findSpots(step, x, y)).sort((a, b) => b.radius - a.radius);
    panel.append(...marks.map(drawSpot));
    spots.push(...marks.map((spot) => ({ ...spot, x: spot.x + left, y: spot.y + top })));
    if (isWide) panel.append(...drawLabels(roofs, name, ends[1], frame, x, y));
    return panel;
  }

  const text = (x, y, words, attributes = {}) => {
    const made = svg("text", { x, y, "font-size": 12, style: "fill:var(--ink)", ...attributes });
    made.textContent = words;
    return made;
  };

  function drawAxes(frame, x, y, xs, ys, isWide) {
    const axes = svg("g", { "font-size": 12 });
    const line = (a, b, c, d, colour) => svg("line", { x1: a, y1: b, x2: c, y2: d, style: `stroke:var(--${colour})` });
    const decades = ([low, high]) => Array.from({ length: high - low + 1 }, (_, i) => low + i);
    const every = Math.ceil(decades(xs).length / ((frame.right - frame.left) / 44));
    for (const power of decades(xs)) {
      const at = x(10 ** power);
      axes.append(line(at, frame.top, at, frame.bottom, "line"));
      if ((power - xs[0]) % every === 0) axes.append(text(at, frame.bottom + 16, tick(power), { "text-anchor": "middle" }));
    }
    for (const power of decades(ys)) {
      const at = y(10 ** power);
      axes.append(line(frame.left, at, frame.right, at, "line"));
      axes.append(text(frame.left - 6, at + 4, tick(power), { "text-anchor": "end" }));
    }
    axes.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "grey"));
    const middle = (frame.left + frame.right) / 2;
    const title = `Operational intensity (FLOP per byte${isWide ? " of DRAM traffic" : ""})`;
    axes.append(text(middle, frame.bottom + 36, title, { "text-anchor": "middle" }));
    const along = (frame.top + frame.bottom) / 2;
    axes.append(text(0, 0, "Performance (FLOP/s)", { "text-anchor": "middle", transform: `translate(13,${along}) rotate(-90)` }));
    return axes;
  }

  const tick = (power) => {
    const step = Math.floor(power / 3);
    return power < 0 ? String(Number(`1e${power}`)) : `${10 ** (power - 3 * step)}${["", "k", "M", "G", "T", "P", "E"][step]}`;
  };

  function drawRoof({ device }, roof, dash, x, y, [from, to], [lowest]) {
    const start = Math.max(from, 10 ** lowest / roof.bandwidth_bytes_per_s);
    const at = [start, roof.ridge_flops_per_byte, to].filter((intensity) => intensity >= start && intensity <= to);
    const path = at.map((intensity, i) => `${i ? "L" : "M"}${x(intensity).toFixed(1)},${y(times.attainable(roof, intensity)).toFixed(1)}`);
    return svg("path", {
      class: "roof", d: path.join(""), "stroke-dasharray": dash,
      style: `fill:none;stroke:${device.colour};stroke-width:2.5`,
    });
  }

  // One mark a spot: ops of a device that lie on the same pixel share it. Its area is their share of the step's time.
  function findSpots(step, x, y) {
    const found = new Map();
    for (const point of drawnOps(step)) {
      const at = [x(point.intensity), y(point.attainable)];
      const key = at.map(Math.round).join();
      if (!found.has(key)) found.set(key, { x: at[0], y: at[1], step, points: [], share: 0 });
      const spot = found.get(key);
      spot.points.push(point);
      spot.share += explorer.results.share(step, point);
    }
    return [...found.values()].map((spot) => {
      const points = spot.points.sort((a, b) => explorer.results.share(step, b) - explorer.results.share(step, a));
      return { ...spot, points, radius: LEAST_RADIUS + MORE_RADIUS * Math.sqrt(Math.min(spot.share, 1)) };
    });
  }

  function drawSpot({ x, y, radius, step, points: [first] }) {
    const colour = step.device.colour;
    return svg("path", {
      class: "spot", d: shapeOf(first.op_group), transform: `translate(${x.toFixed(1)},${y.toFixed(1)}) scale(${radius.toFixed(2)})`,
      style: `fill:${colour};fill-opacity:.28;stroke:${colour};stroke-width:1.75;vector-effect:non-scaling-stroke`,
      "vector-effect": "non-scaling-stroke",
    });
  }

  // What was measured hangs below the roof; the thin line is its headroom.
  function drawMeasured(step, x, y) {
    const found = [];
    step.measured.forEach((kernel, i) => {
      const point = step.points[i];
      if (!kernel?.flops || !point?.flops) return;
      const at = x(kernel.flops / kernel.bytes);
      const [top, below] = [y(times.attainable(point.roof, kernel.flops / kernel.bytes)), y(kernel.flops / kernel.seconds)];
      const style = `stroke:${step.device.colour}`;
      found.push(svg("line", { x1: at, x2: at, y1: top, y2: below, style: `${style};stroke-opacity:.5` }));
      const cross = `M${at - 3.5},${below - 3.5}l7,7m0,-7l-7,7`;
      found.push(svg("path", { class: "measured", d: cross, style: `fill:none;stroke-width:1.75;${style}` }));
    });
    return found;
  }

  // Labels at the right end of roofs, moved apart where they would touch.
  function drawLabels(roofs, name, end, frame, x, y) {
    const labels = roofs.map((each) => ({
      words: name(each), colour: each.step.device.colour, y: y(times.attainable(each.roof, end)),
    }));
    labels.sort((a, b) => a.y - b.y);
    for (let tries = 60; tries; tries--) {
      for (let i = 1; i < labels.length; i++) {
        const lacking = 15 - (labels[i].y - labels[i - 1].y);
        if (lacking <= 0) continue;
        labels[i].y += lacking / 2;
        labels[i - 1].y -= lacking / 2;
      }
    }
    return labels.map(({ words, y: at }) => text(frame.right + 6, at + 4, words));
  }

  return { draw, svg, text, widthOf, tick, shapeOf, drawnOps, drawnRoofs, ranges, listDtypes, dashOf, GROUPS, NS };
})();

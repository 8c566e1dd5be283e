"use strict";

// The rows of a result as points on the roofs of their devices.
window.consoleChart = (() => {
  const NEEDED = ["hardware_id", "intensity_flops_per_byte", "performance_flops_per_s"];
  const NAMES = ["label", "op", "op_group"];
  const DTYPES = ["bf16", "fp16"]; // of points without a dtype: the first that the device has a roof of
  const COLOURS = ["blue", "vermilion", "green", "purple", "orange", "sky"];
  const [WIDE, HEIGHT] = [560, 400];

  const can = (names) => NEEDED.every((name) => names.includes(name));

  function readPoints(names, rows) {
    const at = (name) => names.indexOf(name);
    const label = NAMES.find((name) => names.includes(name));
    return rows.map((row) => ({
      device: row[at("hardware_id")],
      intensity: Number(row[at(NEEDED[1])]),
      performance: Number(row[at(NEEDED[2])]),
      dtype: names.includes("dtype") ? row[at("dtype")] : null,
      label: label ? String(row[at(label)] ?? "") : "",
    })).filter(({ intensity, performance }) => intensity > 0 && performance > 0 && Number.isFinite(intensity * performance));
  }

  // The roof that each point is held against; a device or a dtype that has none is named.
  function findRoof(roofs, { device, dtype }) {
    const own = roofs.filter((roof) => roof.hardware_id === device);
    if (!own.length) throw new Error(`hardware_id = ${device}: no such device, or it has no roof`);
    const wanted = dtype ? [dtype] : DTYPES;
    const found = wanted.map((name) => own.find((roof) => roof.dtype === name)).find(Boolean);
    if (!found) throw new Error(`${device}: no roof in ${wanted.join(" or ")}; name another in a column dtype`);
    return found;
  }

  function axis(field, domain, title, inks) {
    const decades = [];
    for (let i = Math.ceil(Math.log10(domain[0])); i <= Math.log10(domain[1]); i++) decades.push(Number(`1e${i}`));
    return {
      field, type: "quantitative", scale: { type: "log", domain, nice: false },
      axis: { title, values: decades, gridColor: inks.line, labelExpr: "format(datum.value, datum.value < 1 ? '~g' : '~s')" },
    };
  }

  function specify(roofs, names, rows, across) {
    const points = readPoints(names, rows);
    if (!points.length) throw new Error("no row with an intensity and a performance above 0");
    const held = new Map(points.map((point) => [point, findRoof(roofs, point)]));
    const used = [...new Set(held.values())];
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`).trim();
    const inks = { ink: ink("ink"), grey: ink("grey"), line: ink("line"), ground: ink("ground") };
    const least = (values) => values.reduce((a, b) => Math.min(a, b));
    const most = (values) => values.reduce((a, b) => Math.max(a, b));
    const at = [...points.map(({ intensity }) => intensity), ...used.map((roof) => roof.ridge_flops_per_byte)];
    const across_ = [least(at) / 2, 3 * most(at)];
    const attainable = (roof, intensity) => Math.min(roof.peak_flops_per_s, intensity * roof.bandwidth_bytes_per_s);
    const heights = [...points.map(({ performance }) => performance), ...used.flatMap((roof) => across_.map((x) => attainable(roof, x)))];
    const x = axis("intensity", across_, "Operational intensity (FLOP per byte)", inks);
    const y = axis("performance", [least(heights) / 1.5, 2 * most(heights)], "Performance (FLOP/s)", inks);
    const name = (roof) => `${roof.short_name}, ${roof.dtype}`;
    const domain = used.map(name);
    const range = used.map((_, i) => ink(COLOURS[i % COLOURS.length]));
    const columns = across < WIDE ? 1 : 3;
    const legend = { title: null, orient: "bottom", columns, labelLimit: 300 };
    const color = { field: "roof", type: "nominal", scale: { domain, range }, legend };
    const lines = used.flatMap((roof) => [across_[0], roof.ridge_flops_per_byte, across_[1]].map((intensity) => ({
      roof: name(roof), intensity, performance: attainable(roof, intensity),
    })));
    const marks = points.map((point) => {
      const roof = held.get(point);
      return { ...point, roof: name(roof), share: point.performance / attainable(roof, point.intensity) };
    });
    const number = (field, title, format) => ({ field, title, type: "quantitative", formatType: "legible", format });
    const tooltip = [
      { field: "label", type: "nominal" }, { field: "roof", type: "nominal" }, number("intensity", "FLOP/byte", ""),
      number("performance", "performance", "FLOP/s"), number("share", "share of the roof", "%"),
    ];
    const font = { labelColor: inks.ink, titleColor: inks.ink, labelFontSize: 12, titleFontSize: 12 };
    return {
      width: Math.max(180, across - 90), height: across < WIDE ? 300 : HEIGHT, background: null, padding: 4,
      config: {
        aria: false, customFormatTypes: true, font: "system-ui, Helvetica Neue, Arial, Liberation Sans, sans-serif",
        view: { stroke: null }, legend: font,
        axis: { ...font, titleFontWeight: "normal", titlePadding: 8, domainColor: inks.grey, tickColor: inks.grey },
      },
      layer: [
        { data: { values: lines }, mark: { type: "line", strokeWidth: 2.5 }, encoding: { x, y, color } },
        {
          data: { values: marks }, mark: { type: "point", fill: inks.ground, strokeWidth: 2, opacity: 1, size: 75, clip: true },
          encoding: { x, y, color, tooltip },
        },
      ],
    };
  }

  // The bundle is loaded when it is first needed.
  let loading = null;
  function loadVega() {
    return (loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = "../assets/vega.js";
      script.onload = resolve;
      script.onerror = () => reject(new Error("assets/vega.js cannot be loaded"));
      document.head.append(script);
    }));
  }

  async function draw(place, roofs, names, rows) {
    place.hidden = false;
    const specification = specify(roofs, names, rows, place.clientWidth - 16);
    await loadVega();
    const options = {
      mode: "vega-lite", actions: false, renderer: "svg", tooltip: { theme: "custom" },
      expressionFunctions: { legible: window.legible },
    };
    const made = document.createElement("div"); // Vega-Embed's own style would show a hidden element
    await window.vegaEmbed(made, specification, options);
    place.replaceChildren(made);
  }

  return { can, draw };
})();

"use strict";

// This view as files.
explorer.downloads = (() => {
  const { results, plot } = explorer;
  const SETTING = ["batch_size", "sequence_length", "query_length", ...formulas.sharing];

  function save(name, blob) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  const steps = (taken) => taken.flatMap((model) => model.steps.filter(results.isDrawn));

  const fileName = (taken, extension) =>
    `roofline-${taken.map(({ model }) => model.id).join("-")}`.replaceAll(/[^\w.-]+/g, "-") + `.${extension}`;

  // Parts of the model whose precision is another one than `precision_id`, as the address has them.
  const parts = (setting) => Object.entries(setting.parts ?? {}).map((each) => each.join(":")).join(" ");

  function rowsOf(taken) {
    return steps(taken).flatMap(({ model, device, setting, points, expected, measured }) =>
      points.map((point, i) => point && {
        model_id: model.id, hardware_id: device.id, convention: setting.convention, precision_id: setting.precision_id,
        phase: setting.phase, ...Object.fromEntries(SETTING.map((name) => [name, setting[name]])), op: point.op,
        op_group: point.op_group, level: point.level, dtype: point.dtype, repeat: point.repeat, flops: point.flops,
        bytes: point.bytes, intensity_flops_per_byte: point.intensity, attainable_flops_per_s: point.attainable,
        lower_bound_s: point.seconds, bound: point.bound,
        predicted_s: expected?.ops[i]?.isCovered ? expected.ops[i].seconds / (point.repeat + (point.idle_repeat || 0)) : null,
        measured_s: measured?.[i]?.seconds ?? null,
        ...(parts(setting) ? { parts: parts(setting) } : {}),
      }).filter(Boolean));
  }

  function makeCsv(taken) {
    const rows = rowsOf(taken);
    if (!rows.length) return "";
    const names = Object.keys(rows[0]);
    // a text that begins like a formula would be run by a spreadsheet
    const safe = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      if (typeof value === "number") return String(value);
      return /[",\n\r]/.test(value) ? `"${safe(value).replaceAll('"', '""')}"` : safe(value);
    };
    return [names.join(","), ...rows.map((row) => names.map((name) => cell(row[name])).join(","))].join("\n") + "\n";
  }

  // The picture with its title, in the colours of the present scheme.
  function makeSvg(picture, title, subtitle) {
    const copy = picture.cloneNode(true);
    const { width, height } = picture.viewBox.baseVal;
    const lines = [...wrap(title, width / 8.4).map((line) => [line, 15, 600]), ...wrap(subtitle, width / 6.4).map((line) => [line, 12, 400])];
    const above = 8 + 19 * lines.length;
    copy.setAttribute("viewBox", `0 ${-above} ${width} ${height + above}`);
    copy.setAttribute("height", height + above);
    copy.setAttribute("xmlns", plot.NS);
    copy.setAttribute("font-family", "Helvetica Neue, Arial, Liberation Sans, sans-serif");
    copy.removeAttribute("aria-hidden");
    copy.prepend(plot.svg("rect", { x: 0, y: -above, width, height: height + above, style: "fill:var(--ground)" }),
      ...lines.map(([line, size, weight], i) =>
        plot.text(8, 19 * (i + 1) - above, line, { "font-size": size, "font-weight": weight })));
    const style = getComputedStyle(document.documentElement);
    const text = new XMLSerializer().serializeToString(copy);
    return text.replaceAll(/var\(--(\w+)\)/g, (_, name) => style.getPropertyValue(`--${name}`).trim());
  }

  function wrap(text, most) {
    const lines = [""];
    for (const word of text.split(" ")) {
      if (`${lines.at(-1)} ${word}`.length > most && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
    }
    return lines;
  }

  function savePng(name, svg) {
    const image = new Image();
    image.onload = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 2 * image.width, height: 2 * image.height });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(name, blob), "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  }

  // A Vega-Lite chart of the same marks, side by side for several models; it needs nothing of this page.
  function makeVegaLite(taken, title, subtitle) {
    const style = getComputedStyle(document.documentElement);
    const ink = (colour) => style.getPropertyValue(colour.replace(/^var\((.*)\)$/, "$1")).trim();
    const drawn = taken.filter(({ refused }) => !refused);
    const models = drawn.filter((model) => model.steps.some(results.isDrawn));
    if (!models.length) return null;
    const [xs, ys] = plot.ranges(models);
    const axis = (field, [low, high], name) => ({
      field, type: "quantitative", title: name, axis: { format: "~s", tickCount: high - low + 1 },
      scale: { type: "log", domain: [10 ** low, 10 ** high], nice: false },
    });
    const devices = models[0].steps.map(({ device }) => device);
    const color = {
      field: "device", type: "nominal", title: null,
      scale: { domain: devices.map(({ name }) => name), range: devices.map(({ colour }) => ink(colour)) },
    };
    const panels = models.map((model) => {
      const shown = model.steps.filter(results.isDrawn);
      const x = axis("intensity_flops_per_byte", xs, "Operational intensity (FLOP per byte of DRAM traffic)");
      const y = axis("attainable_flops_per_s", ys, "Performance (FLOP/s)");
      const lines = shown.flatMap(({ device }) => plot.drawnRoofs(model, device).flatMap((roof) =>
        [10 ** xs[0], roof.ridge_flops_per_byte, 10 ** xs[1]].map((intensity) => ({
          device: device.name, dtype: roof.dtype, intensity_flops_per_byte: intensity,
          attainable_flops_per_s: times.attainable(roof, intensity),
        }))));
      const marks = shown.flatMap((step) => plot.drawnOps(step).map((point) => ({
        device: step.device.name, op: point.op, op_group: point.op_group, dtype: point.dtype, repeat: point.repeat,
        flops: point.flops, bytes: point.bytes, intensity_flops_per_byte: point.intensity,
        attainable_flops_per_s: point.attainable, lower_bound_s: point.seconds, bound: point.bound,
        share_of_step: results.share(step, point),
      })));
      const fields = ["device", "op", "op_group", "dtype", "repeat", "flops", "bytes", "lower_bound_s", "bound", "share_of_step"];
      return {
        title: model.model.name, width: 420, height: 340,
        layer: [
          { data: { values: lines }, mark: { type: "line", clip: true }, encoding: { x, y, color, detail: { field: "dtype" } } },
          {
            data: { values: marks }, mark: { type: "point", filled: true, opacity: 0.6, clip: true },
            encoding: {
              x, y, color, shape: { field: "op_group", type: "nominal", title: null },
              size: { field: "share_of_step", type: "quantitative", title: "share of the step", scale: { range: [20, 500], domain: [0, 1] } },
              tooltip: fields.map((field) => ({ field })),
            },
          },
        ],
      };
    });
    return { $schema: "https://vega.github.io/schema/vega-lite/v6.json", title: { text: title, subtitle }, hconcat: panels };
  }

  return { save, fileName, makeCsv, makeSvg, savePng, makeVegaLite };
})();

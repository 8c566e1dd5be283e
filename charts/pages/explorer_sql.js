"use strict";

// The SQL that gives the same rows: of the views if the warehouse holds the setting, else of a sweep, whose command
// stands above it, and for a precision with parts of its own, of an entry of the catalog, which stands there too.
explorer.sql = (() => {
  const { choices } = explorer;
  const SELECTED = [
    "hardware_id", "op", "op_group", "repeat", "flops", "bytes", "intensity_flops_per_byte", "attainable_flops_per_s",
    "lower_bound_s", "bound",
  ];
  const SETTING = ["batch_size", "sequence_length", "query_length", ...formulas.sharing];
  const BITS = ["weight_bits", "activation_bits", "compute_dtype", "row_scale_bits"];
  const [LONGEST_ID, LONGEST_ORIGIN] = [64, 400];
  const held = new Map(); // what the warehouse holds: models and precisions by setting

  function hold(rows) {
    for (const { models, precisions, ...setting } of rows) {
      const key = keyOf(setting);
      if (!held.has(key)) held.set(key, []);
      held.get(key).push([new Set(models.split("|")), new Set(precisions.split("|"))]);
    }
  }

  const keyOf = (setting) => ["convention", "phase", ...SETTING].map((name) => setting[name]).join(" ");

  const isHeld = (model, setting) =>
    (held.get(keyOf(setting)) ?? []).some(([models, ids]) => models.has(model.id) && ids.has(setting.precision_id));

  const quoted = (value) => `'${value.replaceAll("'", "''")}'`;

  function write(taken) {
    const known = taken.filter(({ setting }) => setting);
    if (!known.length) return "-- there is no such step";
    const [before, queries] = [new Set(), []]; // two models may need the same entry of the catalog
    known.forEach((each, number) => {
      const { comments, selects } = query(each, number, known.length > 1);
      comments.forEach((comment) => before.add(comment));
      queries.push(...selects);
    });
    const order = `order by ${known.length > 1 ? "model_id, " : ""}hardware_id, op`;
    return [...before, queries.join("\nunion all by name\n"), order].join("\n");
  }

  // A setting with the id of its precision, and the entry of the catalog that this needs if the precision is none of it.
  function enter(model, setting) {
    const entry = model.hasFormulas && Object.keys(setting.parts).length ? writePrecision(setting) : null;
    return { entry, of: { ...setting, precision_id: entry?.id ?? setting.precision_id } };
  }

  // What must be done first, and the query of each table that has the rows of a model.
  function query({ model, setting }, number, isNamed) {
    const { entry, of } = enter(model, setting);
    const isSwept = model.hasFormulas && (entry !== null || !isHeld(model, of));
    const sweep = isSwept ? `explorer${number || ""}` : null;
    const comments = entry ? [entry.text] : [];
    if (isSwept) comments.push("-- no workload has this setting, so compute it first:", `-- ${writeSweep(model, of, sweep)}`);
    const ids = choices.state.devices.filter((id) => id !== "own");
    const names = [...(isNamed ? ["model_id"] : []), ...SELECTED];
    const terms = [...(sweep ? [`sweep_id = ${quoted(sweep)}`] : []), ...conditions(model, of)];
    const selects = ids.length ? [
      select(` ${names.join(", ")}`, `mart.${sweep ? "sweep" : "roofline"}_point`, [`hardware_id in (${ids.map(quoted).join(", ")})`, ...terms]),
    ] : [];
    if (choices.state.devices.includes("own")) selects.push(selectOwn(names, sweep, terms));
    return { comments, selects };
  }

  const select = (columns, from, terms) => `select${columns}\nfrom ${from}\nwhere\n    ${terms.join("\n    and ")}`;

  function conditions(model, setting) {
    const is = (column, value) =>
      value === null ? `${column} is null` : `${column} = ${typeof value === "string" ? quoted(value) : value}`;
    const columns = ["convention", "phase", "precision_id", ...SETTING];
    return [is("model_id", model.id), ...columns.map((column) => is(column, setting[column]))];
  }

  // The reader's own device is in no table: its roof is written out.
  function selectOwn(names, sweep, terms) {
    const { bandwidth, link } = choices.state.own;
    const write = (rate) => rate.toExponential().replace("+", "");
    const [dram, sent] = [bandwidth, link].map((rate) => write(rate * 1e9));
    const rate = link ? `if(level = 'interconnect', ${sent}, ${dram})` : dram;
    const dtypes = choices.listOwnDtypes();
    const ofDtype = dtypes.map((dtype) => `when ${quoted(dtype)} then ${write(choices.state.peaks[dtype] * 1e12)}`);
    const peak = `case compute_dtype ${ofDtype.join(" ")} end`;
    const written = {
      hardware_id: "'own'",
      intensity_flops_per_byte: "flops / bytes",
      attainable_flops_per_s: "least(peak, flops / bytes * rate)",
      lower_bound_s: "greatest(flops / peak, bytes / rate)",
      bound: `case when flops / bytes >= peak / rate then 'compute' when level = 'dram' then 'memory' else level end`,
    };
    const columns = names.map((name) => (written[name] ? `${written[name]} as ${name}` : name)).join(",\n    ");
    const from = sweep ? "mart.sweep_cost" : "core.op_shape inner join core.op_cost using (shape_id)";
    const levels = link ? "level in ('dram', 'interconnect')" : "level = 'dram'";
    const others = sweep ? [levels] : [levels, "pipe = ''"];
    return select(`\n    ${columns}`, `(select *, ${rate} as rate, ${peak} as peak from ${from})`, [...terms, ...others, "peak is not null"]);
  }

  function writeSweep(model, setting, name) {
    const { phase, query_length: length } = setting;
    const options = [
      ["name", name], ["model", model.id], ["convention", setting.convention], ["phase", phase],
      ["precision", setting.precision_id], ["batch", setting.batch_size], ["sequence", setting.sequence_length],
    ];
    const isChunk = phase === "mixed" || (phase === "prefill" && length !== setting.sequence_length);
    if (phase === "speculative") options.push(["candidates", length]);
    if (isChunk) options.push(["query", length]);
    for (const column of formulas.sharing) if (setting[column] > 1) options.push([column.replace("_", "-"), setting[column]]);
    const shell = (value) => (/^[\w.-]+$/.test(value) ? value : `'${String(value).replaceAll("'", "'\\''")}'`);
    return `rooflines sweep ${options.map(([option, value]) => `--${option} ${shell(value)}`).join(" ")}`;
  }

  // The sweep over a device with other values, and the query of its step; empty if there is nothing to alter.
  function writeWhatIf({ model, device, setting }, batch, dtypes, scale) {
    if (device.id === "own" || Object.values(scale).every((factor) => factor === 1)) return "";
    const { entry, of } = enter(model, { ...setting, batch_size: batch });
    const number = (value) => value.toExponential().replace("+", "");
    const [[roof], [link]] = ["dram", "interconnect"].map((level) => dtypes.map((dtype) => times.findRoof(device, level, dtype)));
    const now = { bandwidth: roof.bandwidth_bytes_per_s, memory: device.memory_bytes, link: link?.bandwidth_bytes_per_s };
    const isShared = formulas.sharing.some((name) => setting[name] > 1);
    const altered = Object.keys(now).filter((name) => scale[name] !== 1 && now[name] && (name !== "link" || isShared))
      .map((name) => `--${name} ${number(now[name] * scale[name])}`);
    const peaks = scale.peak === 1 ? [] : dtypes.map((dtype) =>
      `--peak ${dtype}=${number(times.findRoof(device, "dram", dtype).peak_flops_per_s * scale.peak)}`);
    if (!altered.length && !peaks.length) return "";
    const command = [writeSweep(model, of, "what-if"), "--device-like", device.id, ...altered, ...peaks].join(" ");
    const columns = ["lower_bound_s", "tokens_per_s", "predicted_s", "expected_tokens_per_s", "bound", "fits_in_memory"];
    const question = `select device_number, ${columns.join(", ")}\nfrom mart.sweep_step\nwhere sweep_id = 'what-if'\norder by device_number`;
    return [...(entry ? [entry.text] : []), `-- ${command}`, question].join("\n");
  }

  // A precision as an entry of the catalog, which a run takes up.
  function writePrecision({ precision_id: base, parts }) {
    const { parts: apart, ...own } = costs.choosePrecision(base, parts);
    const chosen = Object.entries(parts).map(([part, precision]) => `${part}-${precision}`);
    const name = ["explorer", base, ...chosen].join("-").replaceAll("_", "-");
    const id = name.length > LONGEST_ID ? `explorer-${digest(name)}` : name;
    const told = (value) => (typeof value === "string" ? JSON.stringify(value) : value);
    const pairs = (names, from) => names.filter((column) => typeof from[column] === "string" || from[column] >= 0)
      .map((column) => `${column} = ${told(from[column])}`);
    const isFollowing = apart.attention && apart.scores && BITS.every((name) => Object.is(apart.scores[name], apart.attention[name]));
    if (isFollowing) delete apart.scores; // which a file means when it names attention alone
    const tables = Object.keys(apart).sort().map((part) => `${part} = { ${pairs(BITS, apart[part]).join(", ")} }`);
    const columns = [...BITS, "kv_bits", "vector_bits", "state_bits", "residual_bits"];
    const lines = [
      "/* The warehouse has no such precision. Add these lines to catalog/precisions.toml in the home:", "",
      "[[precision]]", `precision_id = "${id}"`, ...pairs(columns, own),
      `origin = "${`of the explorer: ${base} with ${chosen.join(", ")}`.slice(0, LONGEST_ORIGIN)}"`, ...tables, "",
      "and take them up: rooflines run", "*/",
    ];
    return { id, text: lines.join("\n") };
  }

  // A short name of a long one, the same each time.
  const digest = (text) => [...text].reduce((found, letter) => (Math.imul(31, found) + letter.charCodeAt(0)) >>> 0, 7).toString(36);

  return { hold, write, writeWhatIf };
})();

"use strict";

// The console: SQL on the site's own data. DuckDB runs in a worker; this page asks it, and shows what it answers.
(() => {
  const SHOWN = 1000; // rows of the table
  const DATABASE = "rooflines.duckdb";
  // what views of all devices and models are asked for at first: all of their rows take more memory than a browser gives
  const EXAMPLE = { hardware_id: "h100-sxm", model_id: "llama-3-8b" };
  const NARROWED = Object.entries(EXAMPLE).map(([column, value]) => `${column} = '${value}'`);
  // in this order: no extension is fetched, then the data are opened, then nothing else can be
  const PREPARATIONS = [
    "set autoinstall_known_extensions = false", "set autoload_known_extensions = false",
    `attach '${DATABASE}' as rooflines (read_only)`, "use rooflines", "set enable_external_access = false",
    // it takes millions of points for few, and keeps them to look up a calibration in, which a limit cannot stop
    "set disabled_optimizers = 'build_side_probe_side'",
  ];
  const { show, csvCell, quote, plain } = window.consoleTable;
  const { objects, questions, first, roofs: roofsSql } = window.known;
  const byId = (id) => document.getElementById(id);
  const [form, editor, status, fault] = ["ask", "sql", "status", "error"].map(byId);
  let connection = null;
  let result = null; // names and first rows of the last result, and the SQL that gave it
  let roofs = null;
  let isStopped = false;

  const address = (file) => new URL(file, location.href).href;
  const say = (text) => (status.textContent = text);
  const count = (number, word) => `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`;

  // DuckDB tells some errors as JSON.
  function readMessage(text) {
    try {
      const { exception_type: type, exception_message: message } = JSON.parse(text);
      return message ? `${type} Error: ${message}` : text;
    } catch {
      return text;
    }
  }

  // What DuckDB says in several lines, in one; its advice about extensions would need another server.
  function explain(error) {
    const lines = readMessage(String(error?.message ?? error)).split("\n").map((line) => line.trim()).filter(Boolean);
    const more = lines.slice(1).find((line) => /^(Did you mean|Candidate bindings)/.test(line));
    fault.textContent = adviseOnMemory(lines[0] ?? "") ?? [lines[0] ?? "It failed without a word.", more].filter(Boolean).join(" ");
    fault.hidden = false;
  }

  function adviseOnMemory(text) {
    if (!/^Out of Memory|^RangeError: Array buffer allocation/.test(text)) return null;
    const most = /\/([\d.]+ [KMGT]iB) used/.exec(text)?.[1] ?? "memory";
    return `Out of memory: this takes more than the ${most} that DuckDB has in a browser. Ask for a part, e.g. ` +
      `where ${NARROWED.join(" and ")}, or use rooflines query.`;
  }

  // The worker comes from a blob, so that it keeps to the policy of this page: no request leaves the site.
  async function start() {
    say("Loading DuckDB …");
    await addScript("arrow.js");
    await addScript("duckdb.js");
    const code = `importScripts(${JSON.stringify(address("duckdb-worker.js"))});`;
    const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const database = new window.duckdb.AsyncDuckDB(new window.duckdb.VoidLogger(), worker);
    const [content] = await Promise.all([fetchDatabase(), database.instantiate(address("duckdb.wasm"))]);
    say("Opening the data …");
    await database.registerFileBuffer(DATABASE, content);
    await database.open({ path: ":memory:", query: { castBigIntToDouble: false, castDecimalToDouble: true } });
    connection = await database.connect();
    for (const sql of PREPARATIONS) await connection.query(sql);
    byId("run").disabled = false;
    say("Ready.");
  }

  function addScript(file) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = file;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${file} cannot be loaded`));
      document.head.append(script);
    });
  }

  async function fetchDatabase() {
    const response = await fetch(`${DATABASE}.gz`);
    if (!response.ok) throw new Error(`${DATABASE}.gz cannot be loaded: ${response.status}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes; // a server that says what gzip is leaves it to the browser
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Hands over each batch of a query's rows: the fields, and the rows as lists of values.
  async function ask(sql, take) {
    const reader = await connection.send(sql, true);
    let fields = null;
    for await (const batch of reader) {
      fields ??= batch.schema.fields;
      const columns = fields.map((_, i) => batch.getChildAt(i));
      take(fields, batch.numRows, (row) => columns.map((column) => column?.get(row) ?? null));
      if (isStopped) return fields;
    }
    return fields ?? reader.schema?.fields ?? [];
  }

  function begin(sql) {
    fault.hidden = true;
    isStopped = false;
    byId("run").disabled = true;
    byId("stop").hidden = false;
    history.replaceState(null, "", `#${new URLSearchParams({ sql })}`);
    say("Running …");
  }

  function end() {
    byId("run").disabled = false;
    byId("stop").hidden = true;
  }

  async function run() {
    const sql = editor.value.trim();
    if (!connection || !sql || byId("run").disabled) return;
    begin(sql);
    const started = performance.now();
    const rows = [];
    let total = 0;
    for (const id of ["result", "roofline", "draw", "csv"]) byId(id).hidden = true;
    try {
      const fields = await ask(sql, (_, size, read) => {
        for (let row = 0; row < size && rows.length < SHOWN; row++) rows.push(read(row));
        total += size;
      });
      const seconds = (performance.now() - started) / 1000;
      result = { sql, fields, rows };
      show(byId("result").querySelector("table"), fields, rows);
      byId("result").hidden = !fields.length;
      byId("csv").hidden = !fields.length;
      byId("draw").hidden = !window.consoleChart.can(fields.map(({ name }) => name)) || !rows.length;
      const shown = rows.length < total ? `, the first ${SHOWN.toLocaleString("en-US")} shown` : "";
      say(`${isStopped ? "Stopped after " : ""}${count(total, "row")}${shown} (${window.legible(seconds, "s")})`);
    } catch (error) {
      say(isStopped ? "Stopped." : "");
      if (!isStopped) explain(error);
    }
    end();
  }

  async function download() {
    const { sql } = result;
    begin(sql);
    const lines = [];
    try {
      const fields = await ask(sql, (given, size, read) => {
        for (let row = 0; row < size; row++) lines.push(read(row).map((value, i) => csvCell(value, given[i].type)).join(","));
      });
      lines.unshift(fields.map(({ name }) => quote(name)).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
      link.download = "rooflines.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      say(`${count(lines.length - 1, "row")} in rooflines.csv`);
    } catch (error) {
      say("");
      explain(error);
    }
    end();
  }

  async function draw() {
    fault.hidden = true;
    const place = byId("roofline");
    try {
      if (!roofs) {
        const table = await connection.query(roofsSql);
        roofs = table.toArray().map((row) => row.toJSON());
      }
      const names = result.fields.map(({ name }) => name);
      await window.consoleChart.draw(place, roofs, names, result.rows.map((row) => row.map(plain)));
    } catch (error) {
      place.hidden = true;
      explain(error);
    }
  }

  function insert(sql) {
    editor.value = sql;
    editor.focus();
  }

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function firstQuery(name, kind, columns) {
    const has = (wanted) => columns.some(([column]) => column === wanted);
    const where = kind === "view" && Object.keys(EXAMPLE).every(has) ? `where\n    ${NARROWED.join("\n    and ")}\n` : "";
    return `select *\nfrom ${name}\n${where}limit 100`;
  }

  // A table or view: its comment; its columns are written when they are opened.
  function listObject({ name, kind, comment, columns }) {
    const details = element("details", {}, element("summary", {}, element("code", {}, name)));
    details.dataset.text = [name, comment, ...columns.map(([column]) => column)].join(" ").toLowerCase();
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      const start_ = element("button", { type: "button" }, "Start a query");
      start_.addEventListener("click", () => insert(firstQuery(name, kind, columns)));
      const terms = columns.flatMap(([column, type, about]) => [
        element("dt", {}, element("code", {}, column), " ", element("span", { className: "small" }, type)),
        element("dd", {}, about ?? ""),
      ]);
      details.append(element("p", { className: "small" }, `${kind}: ${comment}`), start_, element("dl", {}, ...terms));
    });
    return details;
  }

  function filter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const details of byId("objects").children) details.hidden = !words.every((word) => details.dataset.text.includes(word));
  }

  function fill() {
    byId("objects").append(...objects.map(listObject));
    byId("question").append(...questions.map(({ name, asks }) => element("option", { value: name }, asks)));
    editor.value = new URLSearchParams(location.hash.slice(1)).get("sql") ?? first;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run();
  });
  byId("stop").addEventListener("click", () => {
    isStopped = true;
    connection.cancelSent().catch(() => {});
  });
  byId("draw").addEventListener("click", draw);
  byId("csv").addEventListener("click", download);
  byId("filter").addEventListener("input", filter);
  byId("question").addEventListener("change", ({ target }) => {
    const chosen = questions.find(({ name }) => name === target.value);
    if (chosen) insert(chosen.sql);
  });
  addEventListener("hashchange", () => {
    const sql = new URLSearchParams(location.hash.slice(1)).get("sql");
    if (sql && sql !== editor.value.trim()) editor.value = sql;
  });
  fill();
  if (location.protocol === "file:") {
    byId("needs-server").hidden = false;
  } else {
    // a query in the address is somebody's answer: it is run, on this data and in this browser only
    const isShared = new URLSearchParams(location.hash.slice(1)).has("sql");
    start().then(() => isShared && run()).catch((error) => {
      say("");
      explain(error);
    });
  }
})();

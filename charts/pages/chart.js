"use strict";

// The page of a chart: the picture as wide as the page, the reader's choices, and downloads of what is seen. The page comes
// with a still of the chart, in a box of the chart's size; the chart takes its place when Vega has drawn it.
// A scope of its own: the names of the Vega bundle are global.
(() => {
const NARROW = 900; // pixels of a layout in which long labels beside the plot are shortened, and repeated below it
const LONGEST_BESIDE = 22; // letters of a label beside a narrow plot
const SHORT = "short label";
const LETTER = 6.5; // pixels of a letter
const MANY = 20; // labels of one mark
const KINDS = ["measured", "predicted", "computed"];
const byId = (id) => document.getElementById(id);
const place = byId("chart");
const name = place.dataset.name;
const spec = JSON.parse(byId("spec").textContent);
const texts = spec.usermeta?.choices ?? {}; // by parameter: its label, and what the chart says at each value
const said = { title: byId("title").textContent, subtitle: spec.title.subtitle ?? [], description: spec.description };
const state = { choices: {}, hidden: [] };
const still = byId("still"); // none in the page of a profile
let drawn; // the picture that is shown
let turn = 0;

// The rows of the chart, from its script: each column is its distinct values, and per row the number of its value.
function decodeRows({ count, columns }) {
  const names = Object.keys(columns);
  return Array.from({ length: count }, (_, i) => {
    const row = {};
    for (const column of names) {
      const { values, codes } = columns[column];
      const value = codes ? values[codes[i]] : values[i];
      if (value !== null) row[column] = value;
    }
    return row;
  });
}

// A layout of another width: the plot takes what labels and axes leave of `across` pixels, and of the height of the box.
function layOut(across) {
  const { title, ...copy } = structuredClone(spec);
  const isNarrow = across < NARROW;
  const isBoxed = place.classList.contains("boxed");
  const autosize = { type: isBoxed ? "fit" : "fit-x", contains: "padding" };
  Object.assign(copy, { width: across, autosize, background: null, padding: 4 });
  if (isBoxed) copy.height = Math.round((place.clientHeight * across) / place.clientWidth);
  copy.config = { ...copy.config, aria: false, customFormatTypes: true };
  copy.params = listParameters(copy);
  for (const param of copy.params) if (isChoice(param)) delete param.bind; // the page has controls of its own
  const isTold = (layer) => Object.keys(texts).length > 0 && isCaption(layer);
  copy.layer = copy.layer.filter((layer) => !isTold(layer));
  for (const layer of copy.layer) layOutLayer(layer, across, isNarrow);
  return copy;
}

// A line of text above the plot that is drawn for no row: the page itself has the texts of each choice.
const isCaption = ({ data, mark, encoding }) => data && mark.type === "text" && encoding?.y?.value < 0;

function layOutLayer(layer, across, isNarrow) {
  const { mark, encoding = {} } = layer;
  const isAtRight = encoding.x?.value === spec.width;
  for (const channel of ["x", "x2"]) anchor(encoding[channel], "width");
  for (const channel of ["y", "y2"]) anchor(encoding[channel], "height");
  for (const channel of Object.values(encoding)) if (channel.legend) layOutLegend(channel, across, isNarrow);
  layer.encoding = { ...encoding, ...(encoding.tooltip && { tooltip: [encoding.tooltip].flat().map(writeTooltip) }) };
  if (isNarrow && encoding.x?.axis) encoding.x.axis = { labelOverlap: "greedy", ...encoding.x.axis };
  if (mark.type !== "text") return;
  if (mark.angle % 90) mark.angle = { expr: turnWithPlot(mark.angle) };
  if (!isNarrow) return;
  mark.fontSize = Math.max(mark.fontSize ?? 0, 12);
  if (isAtRight && mark.align === "left" && encoding.text?.field) shorten(layer, encoding.text.field);
  if (typeof mark.text === "string") wrap(mark, across / LETTER - 10);
}

// Of "bf16, fp16 · 989.4 TFLOP/s" a narrow picture shows what stands before the dot.
function shorten(layer, field) {
  const label = `datum['${field}']`;
  const calculate = `length(${label}) > ${LONGEST_BESIDE} ? split(${label}, ' · ')[0] : ${label}`;
  layer.transform = [...(layer.transform ?? []), { calculate, as: SHORT }];
  layer.encoding.text = { field: SHORT, type: "nominal" };
  layer.mark.limit = LETTER * (LONGEST_BESIDE + 2);
}

// A text above the plot that is longer than the picture is wide gets several lines.
function wrap(mark, most) {
  const lines = [""];
  for (const word of mark.text.split(" ")) {
    if (lines.at(-1).length + word.length < most) lines.push(`${lines.pop()} ${word}`.trim());
    else lines.push(word);
  }
  Object.assign(mark, { text: lines, lineHeight: 14, dy: (mark.dy ?? 0) - 14 * (lines.length - 1) });
}

// A place in pixels keeps its distance from the nearer edge, or from the middle if it is near that.
function anchor(channel, side) {
  if (typeof channel?.value !== "number") return;
  const whole = spec[side];
  const [at, end] = Math.abs(channel.value - whole / 2) < whole / 8 ? [whole / 2, `${side} / 2`] :
    channel.value < whole / 2 ? [0, "0"] : [whole, side];
  channel.value = { expr: `${end} + ${channel.value - at}` };
}

// A text along a slope turns as the plot becomes wider or narrower.
function turnWithPlot(angle) {
  const slope = (Math.tan((angle * Math.PI) / 180) * spec.width) / spec.height;
  return `atan(${slope} * height / width) * 180 / PI`;
}

function layOutLegend({ scale, legend }, across, isNarrow) {
  if (legend.orient === "none") return anchorLegend(legend);
  if (!scale?.domain || scale.scheme) {
    if (isNarrow) Object.assign(legend, { orient: "bottom", direction: "horizontal", gradientLength: across / 2 });
    return;
  }
  if (legend.orient !== "bottom" && !isNarrow) return;
  const longest = Math.max(...scale.domain.map((label) => String(label).length));
  const columns = Math.floor((across - 90) / (LETTER * longest + 34 + Math.sqrt(legend.symbolSize ?? 100)));
  Object.assign(legend, { orient: "bottom", columns: Math.max(1, Math.min(columns, scale.domain.length)) });
}

function anchorLegend(legend) {
  const [right, below] = [spec.width - legend.legendX, spec.height - legend.legendY];
  if (right < spec.width / 2) legend.legendX = { expr: `width - ${right}` };
  if (below < spec.height / 2) legend.legendY = { expr: `height - ${below}` };
}

// The same style of numbers as in the tables; a unit comes from the title, e.g. "FLOP/s" or "time, s".
function writeTooltip({ format = "", title = "", ...tooltip }) {
  const channel = { ...tooltip, title, formatType: "legible", format: format.endsWith("%") ? "%" : "" };
  const [end, unit] = title.match(/(?:^|, )(FLOP\/s|B\/s|FLOP|bytes|s)\b/) ?? [];
  if (!format.endsWith("s") || !unit) return channel;
  const name = title === unit ? title : title.replace(end, "").replace(/^, /, "");
  return { ...channel, title: name, format: unit.replace("bytes", "B") };
}

const listParameters = ({ params = [] }) => params;
const isChoice = ({ bind }) => ["select", "radio"].includes(bind?.input);
const choices = listParameters(spec).filter(isChoice);

// Vega writes the width into the picture, and the style sheet scales it: the text is between 9 and 14 pixels high.
const findScale = (across) => Math.min(1.2, 0.65 + across / 2600);
const findLayoutWidth = () => Math.round(place.clientWidth / findScale(place.clientWidth));

// Vega is large, so it is run after the still is seen.
const vega = window.vegaEmbed ? Promise.resolve() : seeStill().then(loadVega);

async function seeStill() {
  const picture = still?.querySelector("img");
  await picture?.decode().catch(() => {});
  const drawn = new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  await Promise.race([drawn, new Promise((resolve) => setTimeout(resolve, 200))]); // no frame is drawn of a hidden page
}

function loadVega() {
  return new Promise((resolve) => {
    const script = Object.assign(document.createElement("script"), { src: "../../assets/vega.js", onload: resolve });
    document.head.append(script);
  });
}

async function draw() {
  const mine = ++turn;
  await vega;
  if (mine !== turn) return undefined;
  const across = findLayoutWidth();
  const made = document.createElement("div");
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" }, expressionFunctions: { legible } };
  const layout = layOut(across);
  for (const param of layout.params) if (param.name in state.choices) param.value = state.choices[param.name];
  layout.data = { ...layout.data, values: listShownRows() };
  const result = await vegaEmbed(made, layout, { mode: "vega-lite", ...options });
  await fit(result.view);
  made.querySelector("svg").setAttribute("aria-hidden", "true"); // the place has the description
  if (mine !== turn) return result.finalize();
  drawn?.result.finalize();
  drawn = { result, across };
  place.replaceChildren(made);
  return fitLabels();
}

// Labels reach out of a narrow plot, so that Vega needs a few turns until the plot has its size.
async function fit(view) {
  const measure = () => `${view.width()} ${view.height()}`;
  for (let i = 0, before = ""; i < 3 && before !== measure(); i++) {
    before = measure();
    await view.resize().runAsync();
  }
}

// In a plot that is narrower than it was made for, a label is hidden if it would lie on one that is drawn later, e.g. on
// a bar's number, and all the labels of a mark if that holds for many of them, e.g. for numbers in small cells.
function hideCoveredLabels() {
  const hidden = [];
  const kept = [];
  for (const mark of [...place.querySelectorAll(".mark-text.role-mark")].reverse()) {
    const labels = [...mark.querySelectorAll("text")].filter((label) => label.textContent);
    const count = kept.length;
    const covered = new Set(labels.filter((label) => {
      const one = { box: label.getBoundingClientRect(), text: label.textContent };
      return kept.some((other) => overlap(one, other)) || !kept.push(one);
    }));
    const isCrowded = labels.length > MANY && covered.size > labels.length / 4;
    if (isCrowded) kept.length = count;
    else hidden.push(...covered);
    for (const label of labels) label.style.visibility = isCrowded || covered.has(label) ? "hidden" : "";
  }
  return hidden.filter(isOfRow).map(readLines);
}

// A label of several lines has a child for each.
const readLines = (label) => [...label.childNodes].map((line) => line.textContent).join(", ");

// Whether a label names a row, and not the ground that it stands on.
function isOfRow(label) {
  const row = label.__data__?.datum ?? {};
  return row.layer !== "region label" && [row.label].flat().join(", ") === readLines(label);
}

// What a narrow picture hides or shortens is said below it.
function fitLabels() {
  const isTight = drawn.across < NARROW || drawn.result.view.width() < spec.width;
  const hidden = isTight ? hideCoveredLabels() : [];
  const shown = [...place.querySelectorAll(".mark-text.role-mark text")].map((label) => label.__data__?.datum ?? {});
  const shortened = shown.filter((row) => SHORT in row).map((row) => row.label ?? row.answer);
  const long = shortened.filter((label) => label?.length > LONGEST_BESIDE);
  const words = hidden.filter((label) => /[a-z]/i.test(label)); // a number says nothing elsewhere
  byId("labels").replaceChildren(...[...new Set([...long, ...words])].map((label) => makeElement("li", label)));
}

// A label does not cover its own halo, which has the same text and place.
function overlap(one, other) {
  const [a, b] = [one.box, other.box];
  if (one.text === other.text && Math.abs(a.left - b.left) < 2 && Math.abs(a.top - b.top) < 2) return false;
  return a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
}

const listShownRows = () => rows.filter((row) => !state.hidden.includes(row.layer));

// Titles and descriptions are those of the chosen value.
function findTexts() {
  for (const [param, { values }] of Object.entries(texts)) {
    const found = values.find(({ value }) => value === state.choices[param]);
    if (found) return found;
  }
  return said;
}

function showTexts() {
  const { title, subtitle, description, finding } = findTexts();
  byId("title").textContent = title;
  document.title = `${title} · Rooflines`;
  place.setAttribute("aria-label", description);
  byId("description").textContent = description;
  const isAsChosenFirst = choices.every(({ name, value }) => state.choices[name] === value);
  const lines = [subtitle].flat();
  const first = finding ?? (isAsChosenFirst ? byId("caption").dataset.finding : lines[0]);
  const shown = first && first !== lines[0] && first !== title ? [first, ...lines] : lines;
  byId("caption").replaceChildren(...shown.map((line) => makeElement("p", line)));
}

function writeAddress() {
  const address = new URLSearchParams(location.search);
  for (const { name, value } of choices) {
    address.delete(name);
    if (state.choices[name] !== value) address.set(name, state.choices[name]);
  }
  address.delete("without");
  if (state.hidden.length) address.set("without", state.hidden.join(","));
  const query = String(address).replaceAll("%2C", ",");
  history.replaceState(null, "", `${location.pathname}${query && "?"}${query}${location.hash}`);
}

function readAddress() {
  const address = new URLSearchParams(location.search);
  for (const { name, value, bind } of choices) {
    const wanted = bind.options.find((option) => String(option) === address.get(name));
    state.choices[name] = wanted ?? value;
  }
  const kinds = listKinds();
  state.hidden = (address.get("without") ?? "").split(",").filter((kind) => kinds.includes(kind));
}

const labelOf = ({ bind }, option) => bind.labels?.[bind.options.indexOf(option)] ?? String(option);

function offerChoices() {
  const form = byId("choices");
  for (const choice of choices) {
    const label = texts[choice.name]?.label ?? (choice.bind.name ?? choice.name).trim();
    form.append((choice.bind.input === "radio" ? makeRadios : makeSelect)(choice, label));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = !choices.length;
}

function makeSelect(choice, text) {
  const options = choice.bind.options.map((option) => new Option(labelOf(choice, option), option));
  const select = Object.assign(document.createElement("select"), { name: choice.name });
  select.append(...options);
  select.value = state.choices[choice.name];
  select.addEventListener("input", () => choose(choice.name, choice.bind.options[select.selectedIndex]));
  return makeElement("label", text, " ", select);
}

function makeRadios(choice, text) {
  const radios = choice.bind.options.map((option) => {
    const isChosen = option === state.choices[choice.name];
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: choice.name, checked: isChosen });
    radio.addEventListener("input", () => choose(choice.name, option));
    return makeElement("label", radio, labelOf(choice, option));
  });
  return makeElement("fieldset", makeElement("legend", text), ...radios);
}

function makeElement(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

async function choose(param, value) {
  state.choices[param] = value;
  hideStillOfOther();
  if (drawn) await drawn.result.view.signal(param, value).runAsync();
  else draw(); // instead of what was not chosen yet
  show();
}

// The still shows what is chosen at first.
const isFirst = () => !state.hidden.length && choices.every(({ name, value }) => state.choices[name] === value);
function hideStillOfOther() {
  if (still) still.hidden = !isFirst();
}

function show() {
  showTexts();
  writeAddress();
  if (drawn) fitLabels();
}

// The kinds of marks that the reader can hide, unless the chart brings its own choice.
function listKinds() {
  const kinds = KINDS.filter((kind) => rows.some((row) => row.layer === kind));
  return kinds.length > 1 && !choices.some((choice) => choice.name === "marks") ? kinds : [];
}

function offerKinds() {
  const form = byId("layers");
  for (const kind of listKinds()) {
    const isShown = !state.hidden.includes(kind);
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name: kind, checked: isShown });
    box.addEventListener("input", async () => {
      state.hidden = listKinds().filter((each) => !form.elements[each].checked);
      hideStillOfOther();
      if (drawn) await drawn.result.view.data("marks", listShownRows()).runAsync();
      else draw();
      show();
    });
    form.append(Object.assign(makeElement("label", box, kind), { className: "check" }));
  }
  form.hidden = !form.childElementCount;
}

// The chart as a file of its own, with the choices and values that are seen; its title follows the choices.
function composeSpec() {
  const copy = Object.assign(structuredClone(spec), { description: findTexts().description });
  for (const param of listParameters(copy)) if (param.name in state.choices) param.value = state.choices[param.name];
  copy.data.values = listShownRows();
  return copy;
}

const MAKERS = {
  "vl.json": async () => [JSON.stringify(composeSpec(), null, 1), "application/json"],
  svg: async () => [await renderAlone((view) => view.toSVG().then(addDarkInks)), "image/svg+xml"],
  png: async () => [await renderAlone((view) => view.toCanvas(1.5).then(readCanvas)), "image/png"],
  csv: async () => [await composeCsv(), "text/csv"],
};

async function renderAlone(read) {
  await vega;
  const made = document.createElement("div");
  const result = await vegaEmbed(made, composeSpec(), { mode: "vega-lite", actions: false, renderer: "none" });
  try {
    return await read(result.view);
  } finally {
    result.finalize();
  }
}

const addDarkInks = (svg) => svg.replace(">", `><style>${byId("inks").textContent}</style>`);
const readCanvas = (canvas) => new Promise((resolve) => canvas.toBlob(resolve));

// The lines of the chart's CSV that are chosen; a script brings them, because a page from disk cannot fetch a file.
async function composeCsv() {
  const { head, lines, chosen } = await loadLines();
  const views = Object.entries(state.choices).map(([param, value]) => chosen[param]?.[String(value)]);
  const hidden = new Set(state.hidden.flatMap((kind) => chosen.layer?.[kind] ?? []));
  const isShown = (_, i) => !hidden.has(i) && views.every((view) => !view || view.includes(i));
  return head + lines.filter(isShown).join("");
}

function loadLines() {
  return new Promise((resolve, reject) => {
    if (window.chartLines) return resolve(window.chartLines);
    const script = Object.assign(document.createElement("script"), { src: `../../assets/csv/${name}.js` });
    script.onload = () => resolve(window.chartLines);
    script.onerror = () => reject(new Error("the rows could not be loaded"));
    document.head.append(script);
  });
}

// The names of files carry what was chosen.
function nameView() {
  const parts = choices.map(({ name }) => `-${name}-${state.choices[name]}`);
  return `${name}${parts.join("")}${state.hidden.map((kind) => `-without-${kind}`).join("")}`;
}

async function download(event) {
  const suffix = event.currentTarget.dataset.suffix;
  if (!(suffix in MAKERS) || nameView() === name) return; // the file is what is seen
  event.preventDefault();
  const [content, type] = await MAKERS[suffix]();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = `${nameView()}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Send the specification to the editor until it answers: it listens only after it has loaded.
function openEditor() {
  const address = "https://vega.github.io/editor/";
  const editor = window.open(address);
  const message = { mode: "vega-lite", spec: JSON.stringify(composeSpec(), null, 2) };
  let tries = 40;
  const timer = setInterval(() => {
    editor?.postMessage(message, new URL(address).origin);
    if (--tries === 0) clearInterval(timer);
  }, 250);
  addEventListener("message", (event) => event.source === editor && clearInterval(timer));
}

function followWidth() {
  let waiting;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => drawn && findLayoutWidth() !== drawn.across && draw(), 150);
  }).observe(place);
}

const rows = decodeRows(window.chartRows);
readAddress();
hideStillOfOther();
offerChoices();
offerKinds();
show();
draw().then(followWidth);
for (const link of document.querySelectorAll("a[data-suffix]")) link.addEventListener("click", download);
byId("editor").hidden = false;
byId("editor").addEventListener("click", openEditor);
})();

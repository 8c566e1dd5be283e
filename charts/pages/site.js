"use strict";

// A scope of its own: the names of the Vega bundle are global.
(() => {
// The index: show the cards that match the filters, and keep the filters in the address, so that it can be shared.
function filterCards(form) {
  const cards = [...document.querySelectorAll("#cards li")];
  const names = ["text", "device", "model", "phase", "kind"];
  const show = () => {
    const chosen = Object.fromEntries(names.map((name) => [name, form.elements[name].value.trim()]));
    const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const { kind, devices, model, phases, text } = card.dataset;
      const fits =
        words.every((word) => text.includes(word)) &&
        (!chosen.device || devices.split(" ").includes(chosen.device)) &&
        (!chosen.model || model === chosen.model) &&
        (!chosen.phase || phases.split(" ").includes(chosen.phase)) &&
        (!chosen.kind || kind === chosen.kind);
      card.hidden = !fits;
      shown += fits;
    }
    for (const group of document.querySelectorAll("#cards > section")) group.hidden = !group.querySelector("li:not([hidden])");
    document.getElementById("count").textContent = `${shown} of ${cards.length} charts`;
    document.getElementById("none").hidden = shown > 0;
    const others = document.getElementById("others");
    if (shown) others.hidden = true;
    else findOtherPages(chosen.text, others);
    const address = new URLSearchParams(names.filter((name) => chosen[name]).map((name) => [name, chosen[name]]));
    history.replaceState(null, "", String(address) ? `#${address}` : location.pathname + location.search);
  };
  const read = () => {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const name of names) form.elements[name].value = address.get(name) ?? "";
    show();
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  // #content is the target of the skip link, not a filter
  addEventListener("hashchange", () => (location.hash === "#content" ? show() : read()));
  form.hidden = false;
  read();
}

// A list: show the rows that match the filters, sort by a column, and keep both in the address.
function operateList(form) {
  const table = document.getElementById(form.dataset.filters);
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const fields = [...form.elements].filter((field) => field.name);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const read = (row, name) => row.querySelector(`[data-name="${name}"]`).textContent;
  const [count, none] = ["count", "none"].map((part) => document.querySelector(`[data-${part}="${table.id}"]`));
  const thing = count.textContent.replace(/^[\d,]+ /, "");
  const sorting = { column: "", descending: false };
  const show = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const choices = fields.filter((field) => field.name !== "text" && field.value);
    let shown = 0;
    for (const row of rows) {
      const fits =
        words.every((word) => texts.get(row).includes(word)) &&
        choices.every((field) => read(row, field.name) === field.value);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown === rows.length ? `${shown} ${thing}` : `${shown} of ${rows.length} ${thing}`;
    none.hidden = shown > 0;
    const address = new URLSearchParams(fields.filter((field) => field.value).map((field) => [field.name, field.value]));
    if (sorting.column) address.set("sort", (sorting.descending ? "-" : "") + sorting.column);
    history.replaceState(null, "", String(address) ? `#${address}` : location.pathname + location.search);
  };
  // rows without a value come last in either direction
  const sort = (column, descending) => {
    Object.assign(sorting, { column, descending });
    const keys = new Map(rows.map((row) => {
      const cell = row.cells[column];
      return [row, cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value)];
    }));
    const compare = (a, b) => {
      const [left, right] = [keys.get(a), keys.get(b)];
      if (left === "" || right === "") return (left === "") - (right === "");
      const order = typeof left === "number" ? left - right : left.localeCompare(right, "en", { numeric: true });
      return descending ? -order : order;
    };
    body.append(...[...rows].sort(compare));
    for (const button of table.querySelectorAll("button[data-sorts]")) {
      const isChosen = button.dataset.sorts === String(column);
      if (isChosen) button.closest("th").setAttribute("aria-sort", descending ? "descending" : "ascending");
      else button.closest("th").removeAttribute("aria-sort");
    }
  };
  const restore = () => {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) field.value = address.get(field.name) ?? "";
    const [, sign, column] = address.get("sort")?.match(/^(-?)(\d{1,2})$/) ?? [];
    if (column && table.querySelector(`button[data-sorts="${column}"]`)) sort(Number(column), sign === "-");
    show();
  };
  table.tHead.addEventListener("click", (event) => {
    const column = Number(event.target.closest("button")?.dataset.sorts);
    if (!column) return;
    // numbers begin with the largest
    const isNumber = rows.some((row) => row.cells[column].dataset.value !== undefined);
    sort(column, sorting.column === column ? !sorting.descending : isNumber);
    show();
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  addEventListener("hashchange", () => (location.hash === "#content" ? show() : restore()));
  form.hidden = false;
  restore();
}

function offerCopies() {
  if (!navigator.clipboard) return; // e.g. over plain http
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    });
  }
}

// If the site is served, a page elsewhere needs the whole address to embed a picture or a chart.
function nameSources() {
  if (!location.protocol.startsWith("http")) return;
  for (const embed of document.querySelectorAll("textarea.embed")) {
    embed.value = embed.value.replace(/src="([^"]*)"/, (_, file) => `src="${new URL(file, location)}"`);
  }
}

// In a frame of another page, a chart is its title, its choices and its picture, which lead to the whole page.
function embed() {
  const title = document.getElementById("title");
  if (!title || !new URLSearchParams(location.search).has("embed")) return;
  document.documentElement.classList.add("embedded");
  const link = document.createElement("a");
  link.href = location.pathname;
  link.target = "_blank";
  title.replaceWith(link);
  link.append(title);
}

const filters = document.getElementById("filters");
if (filters) filterCards(filters);
for (const form of document.querySelectorAll("form[data-filters]")) operateList(form);
embed();
nameSources();
offerCopies();
})();
